//! What became of updates: a small file beside the bundle, of which nothing depends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coffer_api::{PastUpdate, UpdateOutcome as Outcome};
use jiff::Timestamp;
use log::warn;
use serde::{Deserialize, Serialize};

use super::update_reports::Slot;
use crate::storage::durable;

const FILE: &str = "history.json";
const MAX_BYTES: u64 = 64 * 1024;
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
    version: String,
    from_version: String,
    /// The slot that ran.
    from_slot: Option<String>,
    at: Timestamp,
    outcome: Outcome,
    /// The start during which it was written.
    boot_id: String,
}

impl History {
    /// Of that folder.
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join(FILE) }
    }

    /// Adds one. Blocks.
    pub(super) fn add(&self, version: &str, from: (&str, Option<&Slot>), at: Timestamp, outcome: Outcome) {
        let (from_version, slot) = from;
        let mut records = self.read();
        records.insert(0, Record {
            version: version.to_owned(),
            from_version: from_version.to_owned(),
            from_slot: slot.map(|slot| slot.name.clone()),
            at,
            outcome,
            boot_id: boot_id(),
        });
        records.truncate(KEPT);
        self.write(&records);
    }

    /// All of them, the newest first, after a look at what became of the last one: the slot that runs tells. Blocks.
    pub(super) fn settle(&self, slot: Option<&Slot>) -> Vec<PastUpdate> {
        let mut records = self.read();
        if let Some(last) = records.first_mut()
            && matches!(last.outcome, Outcome::Installed | Outcome::OnTrial)
            && last.boot_id != boot_id()
            && let Some(slot) = slot
        {
            let outcome = verdict(last.from_slot.as_deref(), slot);
            if outcome != last.outcome {
                last.outcome = outcome;
                self.write(&records);
            }
        }
        let past = |record: Record| PastUpdate {
            version: record.version,
            from_version: record.from_version,
            at: record.at,
            outcome: record.outcome,
        };
        records.into_iter().map(past).collect()
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

/// What became of an update, after a restart.
fn verdict(from_slot: Option<&str>, now: &Slot) -> Outcome {
    match (from_slot == Some(now.name.as_str()), now.is_proved) {
        (false, true) => Outcome::Proved,
        (false, false) => Outcome::OnTrial,
        // The slot from before says that it runs only when no trial is left to be begun again.
        (true, _) => Outcome::FellBack,
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
        for (now, expected) in [
            (slot("B", false), Outcome::OnTrial),
            (slot("B", true), Outcome::Proved),
            (slot("A", true), Outcome::FellBack),
        ] {
            assert_eq!(verdict(Some("A"), &now), expected);
        }
    }

    #[test]
    fn before_a_restart_it_waits_and_the_oldest_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path());
        for number in 0..KEPT + 2 {
            let version = number.to_string();
            history.add(&version, ("0", Some(&slot("A", true))), Timestamp::UNIX_EPOCH, Outcome::Installed);
        }
        let settled = history.settle(Some(&slot("B", true)));
        assert_eq!((settled.len(), settled[0].version.as_str()), (KEPT, "21"));
        assert_eq!(settled[0].outcome, Outcome::Installed, "the same start of the kernel");
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(history.settle(None).is_empty(), "a damaged one begins anew");
    }
}
