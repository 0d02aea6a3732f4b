//! What became of updates: a small file beside the bundle, on which nothing depends.
//!
//! An update is written down before the system is asked to install it, so that one which a power cut interrupts is known
//! of afterwards.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coffer_api::{PastUpdate, UpdateFailure, UpdateFailureCode as Code, UpdateOutcome as Outcome};
use jiff::Timestamp;
use log::warn;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::update_reports::Slot;
use crate::storage::durable;

const FILE: &str = "history.json";
const MAX_BYTES: u64 = 128 * 1024;
/// How many are kept.
const KEPT: usize = 20;
/// Another one after every start of the kernel (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The history, in the folder of updates.
pub(super) struct History {
    path: PathBuf,
}

/// An update, and what tells later what became of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    id: Uuid,
    version: Option<String>,
    from_version: String,
    /// The slot that ran.
    from_slot: Option<String>,
    at: Timestamp,
    /// The start of the kernel during which it was to be installed.
    boot_id: String,
    /// Absent while it is being installed.
    end: Option<End>,
}

/// How an update ended, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Installed,
    OnTrial,
    Proved,
    FellBack,
    Failed { code: Code, why: String },
}

impl History {
    /// Of that folder.
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join(FILE) }
    }

    /// An update is about to be installed. Blocks.
    pub(super) fn begin(&self, id: Uuid, from_version: &str, slot: Option<&Slot>, at: Timestamp) {
        let mut records = self.read();
        let from_slot = slot.map(|slot| slot.name.clone());
        let from_version = from_version.to_owned();
        records.insert(0, Record { id, version: None, from_version, from_slot, at, boot_id: boot_id(), end: None });
        records.truncate(KEPT);
        self.write(&records);
    }

    /// The one that was begun has ended. Blocks.
    pub(super) fn end(&self, version: Option<&str>, end: End) {
        let mut records = self.read();
        let Some(last) = records.first_mut().filter(|last| last.end.is_none()) else { return };
        last.version = version.map(ToOwned::to_owned);
        last.end = Some(end);
        self.write(&records);
    }

    /// Nobody installs the one that was begun: nothing has happened. Blocks.
    pub(super) fn take_back(&self) {
        let mut records = self.read();
        if records.first().is_some_and(|last| last.end.is_none()) {
            records.remove(0);
            self.write(&records);
        }
    }

    /// The one that was begun and has not ended. Blocks.
    pub(super) fn open(&self) -> Option<Uuid> {
        self.read().first().filter(|last| last.end.is_none()).map(|last| last.id)
    }

    /// All that have ended, the newest first, after a look at what became of the last one: the slot that runs tells.
    /// Blocks.
    pub(super) fn settle(&self, slot: Option<&Slot>) -> Vec<PastUpdate> {
        let mut records = self.read();
        if let Some(slot) = slot
            && let Some(last) = records.first_mut()
            && matches!(last.end, Some(End::Installed | End::OnTrial))
            && last.boot_id != boot_id()
            && let Some(from_slot) = &last.from_slot
        {
            let end = Some(verdict(from_slot, slot));
            if end != last.end {
                last.end = end;
                self.write(&records);
            }
        }
        records.into_iter().filter_map(Record::told).collect()
    }

    fn read(&self) -> Vec<Record> {
        let read = durable::read_small_file(&self.path, MAX_BYTES)
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from));
        read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                warn!(error:% = error; "the history of updates cannot be read, and begins anew");
            }
            Vec::new()
        })
    }

    fn write(&self, records: &[Record]) {
        let written = serde_json::to_vec(records)
            .map_err(io::Error::from)
            .and_then(|bytes| durable::replace_file(&self.path, &bytes));
        if let Err(error) = written {
            warn!(error:% = error; "the history of updates was not written");
        }
    }
}

impl Record {
    /// As it is told, once it has ended.
    fn told(self) -> Option<PastUpdate> {
        let (outcome, failure) = match self.end? {
            End::Installed => (Outcome::Installed, None),
            End::OnTrial => (Outcome::OnTrial, None),
            End::Proved => (Outcome::Proved, None),
            End::FellBack => (Outcome::FellBack, None),
            End::Failed { code, why } => (Outcome::Failed, Some(failure(code, &why))),
        };
        Some(PastUpdate { version: self.version, from_version: self.from_version, at: self.at, outcome, failure })
    }
}

fn failure(code: Code, why: &str) -> UpdateFailure {
    let (happened, try_next) = match code {
        Code::NotReceived => {
            (format!("The update did not arrive: {why}."), "Look whether the box reaches the internet, and try again.")
        }
        Code::BundleRefused => (
            format!("The update was refused: {why}."),
            "Fetch it again. It has to be one for this kind of box, signed by whoever made its image.",
        ),
        Code::InstallFailed => (
            format!("The other half of the card was not written: {why}."),
            "Try again. If it happens again, the card may be failing.",
        ),
        Code::Interrupted => {
            ("The power went, or the box was restarted, while it was being installed.".to_owned(), "Install it again.")
        }
    };
    UpdateFailure { code, happened, try_next: try_next.to_owned() }
}

/// What became of an update, after a restart.
fn verdict(from_slot: &str, now: &Slot) -> End {
    match (from_slot == now.name, now.is_proved) {
        (false, true) => End::Proved,
        (false, false) => End::OnTrial,
        // The slot from before says that it runs only when no trial is left to be begun again (coffer-slot-good).
        (true, _) => End::FellBack,
    }
}

fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(name: &str, is_proved: bool) -> Slot {
        Slot { name: name.to_owned(), is_proved }
    }

    #[test]
    fn the_slot_after_a_restart_tells_what_became_of_an_update() {
        for (now, expected) in
            [(slot("B", false), End::OnTrial), (slot("B", true), End::Proved), (slot("A", true), End::FellBack)]
        {
            assert_eq!(verdict("A", &now), expected);
        }
    }

    #[test]
    fn before_a_restart_it_waits_and_the_oldest_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path());
        for number in 0..KEPT + 2 {
            history.begin(Uuid::nil(), "0", Some(&slot("A", true)), Timestamp::UNIX_EPOCH);
            history.end(Some(&number.to_string()), End::Installed);
        }
        let settled = history.settle(Some(&slot("B", true)));
        assert_eq!((settled.len(), settled[0].version.as_deref()), (KEPT, Some("21")));
        assert_eq!(settled[0].outcome, Outcome::Installed, "the same start of the kernel");
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(history.settle(None).is_empty(), "a damaged one begins anew");
    }

    #[test]
    fn the_longest_that_the_system_may_tell_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path());
        for _ in 0..KEPT {
            history.begin(Uuid::nil(), "0", None, Timestamp::UNIX_EPOCH);
            let why = "\"".repeat(usize::try_from(super::super::update_reports::MAX_BYTES).unwrap());
            history.end(None, End::Failed { code: Code::InstallFailed, why });
        }
        assert_eq!(history.settle(None).len(), KEPT);
    }

    #[test]
    fn what_was_begun_is_told_when_it_has_ended_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path());
        assert_eq!(history.open(), None);
        history.begin(Uuid::nil(), "0", None, Timestamp::UNIX_EPOCH);
        assert_eq!((history.open(), history.settle(None).len()), (Some(Uuid::nil()), 0));
        history.take_back();
        history.end(Some("1"), End::Installed);
        assert_eq!((history.open(), history.settle(None).len()), (None, 0));
    }
}
