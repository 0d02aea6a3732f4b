//! What needs a person: one list, whoever asks. Each problem has a code, says what happened and what to try.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use coffer_api::{DeviceProblem, DeviceProblemCode as Code, NvmeWarning, Severity, TunnelState};
use jiff::Timestamp;

use super::drives;
use super::error::KeyFileProblem;
use super::registration::Registrations;
use super::tunnel::Tunnel;
use super::vault::Vault;
use super::watchdog::Watchdog;
use crate::model::clock::SharedClock;
use crate::storage::drive_wear::DriveWear;
use crate::storage::hardware::Hardware;
use crate::storage::{capacity, durable};

/// Largest report on the drive that is read.
const MAX_REPORT_BYTES: u64 = 4096;
/// Less than this, and next to nothing can be stored any more.
const LITTLE_ROOM_BYTES: u64 = 128 * 1024 * 1024;
/// A drive this worn is to be replaced in time.
const WORN_PERCENT: u8 = 90;
/// No box of this kind ran before: a clock that shows it was never set. 2026-01-01.
const FIRST_SECOND: i64 = 1_767_225_600;

/// Looks for problems.
pub(crate) struct Problems {
    vault: Arc<Vault>,
    watchdog: Arc<Watchdog>,
    tunnel: Arc<Tunnel>,
    registrations: Arc<Registrations>,
    hardware: Arc<Hardware>,
    clock: SharedClock,
    storage_report: Option<PathBuf>,
    since: Mutex<BTreeMap<Code, Timestamp>>,
}

/// A problem, without when it began.
struct Found(Code, Severity, Cow<'static, str>, Cow<'static, str>);

impl Problems {
    /// Of that box. `storage_report` is where the system leaves a line about a drive that it could not take.
    pub(crate) fn new(
        vault: Arc<Vault>,
        watchdog: Arc<Watchdog>,
        tunnel: Arc<Tunnel>,
        registrations: Arc<Registrations>,
        hardware: Arc<Hardware>,
        clock: SharedClock,
        storage_report: Option<PathBuf>,
    ) -> Self {
        let since = Mutex::default();
        Self { vault, watchdog, tunnel, registrations, hardware, clock, storage_report, since }
    }

    /// All there are, the worst first. Looks at files.
    pub(crate) fn look(&self) -> Vec<DeviceProblem> {
        let mut found = Vec::new();
        found.extend(self.of_the_storage());
        found.extend(self.of_the_key());
        found.extend(self.of_the_way_in());
        found.extend(self.of_the_board());
        found.extend(self.hardware.nvme_drives().into_iter().find_map(|drive| of_a_drive(drive.wear?)));
        found.sort_by_key(|Found(code, severity, ..)| (*severity, *code));
        let now = self.clock.now();
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.retain(|code, _| found.iter().any(|Found(other, ..)| other == code));
        let problem = |Found(code, severity, happened, try_next)| DeviceProblem {
            code,
            severity,
            happened: happened.into_owned(),
            try_next: try_next.into_owned(),
            since: *since.entry(code).or_insert(now),
        };
        found.into_iter().map(problem).collect()
    }

    fn of_the_storage(&self) -> Option<Found> {
        if !self.vault.storage_present() {
            return Some(match self.storage_report() {
                Some(report) => {
                    let try_next = "Look at the drive in another computer, or attach another one.";
                    critical(Code::StorageRefused, report, try_next)
                }
                None => critical(Code::StorageMissing, "The storage drive is missing.", "Check that it is plugged in."),
            });
        }
        let left = capacity::free_bytes(&self.vault.drive()).ok()?;
        let try_next = "Delete something and empty the trash.";
        (left < LITTLE_ROOM_BYTES).then(|| warning(Code::StorageFull, "The storage drive is full.", try_next))
    }

    fn of_the_key(&self) -> Vec<Found> {
        let mut found = Vec::new();
        match self.watchdog.problem() {
            None => {}
            Some(KeyFileProblem::Missing | KeyFileProblem::Unreadable) if self.vault.key_is_on_stick() => {
                let happened = "The key stick is not in the box, or cannot be read.";
                let try_next = "Put the stick that holds this box's key into the box, then unlock.";
                found.push(critical(Code::KeyStickMissing, happened, try_next));
            }
            Some(KeyFileProblem::Missing | KeyFileProblem::Unreadable) => {
                found.push(critical(Code::KeyFileMissing, "The key file is missing.", "Attach the key."));
            }
            Some(KeyFileProblem::Damaged | KeyFileProblem::Newer | KeyFileProblem::Replaced) => {
                let happened = "The key file is damaged, or another one.";
                found.push(critical(Code::KeyFileDamaged, happened, "Restore it from a backup."));
            }
        }
        if !self.watchdog.is_alive() {
            let happened = "The watch over the key file has stopped.";
            found.push(critical(Code::WatchdogStopped, happened, "Restart the box."));
        }
        found
    }

    fn of_the_way_in(&self) -> Vec<Found> {
        let mut found = Vec::new();
        if let Some(failure) = self.registrations.lasting_failure() {
            found.push(warning(Code::Registration, failure.happened, failure.try_next));
        }
        match self.tunnel.state() {
            TunnelState::None | TunnelState::Starting | TunnelState::Connected => {}
            TunnelState::Disconnected => {
                let happened = "The tunnel does not reach the Internet: the box is reached in the local network alone.";
                let try_next = "Check the router. If other devices are online, the tunnel may have been removed.";
                found.push(warning(Code::TunnelDisconnected, happened, try_next));
            }
        }
        if !is_plausible(self.clock.now()) {
            let happened = "The clock stands in the past, so that no secure connection can be made.";
            let try_next = "Let a phone set it, or connect the box to the Internet.";
            found.push(warning(Code::ClockWrong, happened, try_next));
        }
        found
    }

    fn of_the_board(&self) -> Option<Found> {
        let throttling = self.hardware.throttling()?;
        if throttling.under_voltage == Some(true) {
            let try_next = "Use the supply made for this board (5 V, 5 A).";
            return Some(warning(Code::UnderVoltage, "The power supply is too weak.", try_next));
        }
        let happened = "The processor is slowed down, because it is too hot.";
        let is_slow = throttling.throttled == Some(true);
        is_slow.then(|| warning(Code::TooHot, happened, "Check the fan, and let air get to the box."))
    }

    fn storage_report(&self) -> Option<String> {
        let bytes = durable::read_small_file(self.storage_report.as_ref()?, MAX_REPORT_BYTES).ok()?;
        let line = String::from_utf8_lossy(&bytes).trim().to_owned();
        (!line.is_empty()).then_some(line)
    }
}

/// The worst that there is to say of a drive.
fn of_a_drive(wear: DriveWear) -> Option<Found> {
    let warnings = drives::warnings(wear);
    let replace = "Back up the vault, and replace the drive.";
    if warnings.iter().any(|warning| *warning != NvmeWarning::Temperature) {
        return Some(critical(Code::DriveFailing, "The storage drive warns that it is failing.", replace));
    }
    if wear.media_errors.is_some_and(|errors| errors > 0) {
        let happened = "The storage drive could not read or write some of its blocks.";
        return Some(warning(Code::DriveErrors, happened, replace));
    }
    if wear.used_percent >= WORN_PERCENT {
        let happened = format!("The storage drive is worn: {} % of its life is used up.", wear.used_percent);
        return Some(warning(Code::DriveWorn, happened, replace));
    }
    let happened = "The storage drive is outside of the temperatures that it is made for.";
    let is_hot = warnings.contains(&NvmeWarning::Temperature);
    is_hot.then(|| warning(Code::DriveTemperature, happened, "Check the fan, and let air get to the box."))
}

fn critical(code: Code, happened: impl Into<Cow<'static, str>>, try_next: impl Into<Cow<'static, str>>) -> Found {
    Found(code, Severity::Critical, happened.into(), try_next.into())
}

fn warning(code: Code, happened: impl Into<Cow<'static, str>>, try_next: impl Into<Cow<'static, str>>) -> Found {
    Found(code, Severity::Warning, happened.into(), try_next.into())
}

/// Whether a clock can be right that shows this.
pub(super) fn is_plausible(now: Timestamp) -> bool {
    now.as_second() >= FIRST_SECOND
}
