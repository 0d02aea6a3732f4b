//! What happens to the vault while its audit log is out of reach: lines of JSON in a file beside it, until the next
//! unlock moves them into the log.
//!
//! The file holds no user data: not who, and not from where. Nothing authenticates it either: whoever holds the card
//! may remove lines or invent some. It is bounded; of what does not fit, the number is kept, as empty lines. A file
//! that cannot be written costs a line of the program's log, and keeps nobody out.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use log::warn;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::audit::{Entry, Outcome};
use crate::model::clock::SharedClock;
use crate::storage::durable;

/// Most lines.
const MAX_LINES: usize = 1000;

/// Lines that only successes may take: somebody who guesses for days must not crowd out what the owner did.
const RESERVED_LINES: usize = 100;

/// Largest file; lines of the greatest length fit twice.
const MAX_BYTES: u64 = 1024 * 1024;

/// How often the same refusal is written down. It takes no secret to be refused, so nothing else slows it.
const REFUSAL_PAUSE: Duration = Duration::from_mins(1);

/// Longest name of an action, id of a request, and detail.
const MAX_TEXT: [usize; 3] = [64, 64, 200];

/// The journal of the locked vault.
pub(crate) struct VaultJournal {
    path: PathBuf,
    clock: SharedClock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: usize,
    bytes: u64,
    /// The file may end in the middle of a line.
    torn: bool,
    /// When each refusal was last written down.
    refusals: HashMap<(String, Option<String>), Instant>,
}

/// What is kept of an entry.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Uuid,
    at: Timestamp,
    action: String,
    outcome: Outcome,
    request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// What waits for the audit log.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) entries: Vec<Entry>,
    /// Events for which there was no room.
    pub(crate) dropped: usize,
    /// Lines that a power cut, or somebody, damaged.
    pub(crate) unreadable: usize,
    bytes: u64,
}

impl VaultJournal {
    /// Continues the file at `path`, if there is one.
    pub(crate) fn load(path: PathBuf, clock: SharedClock) -> Self {
        let state = match durable::read_small_file(&path, MAX_BYTES) {
            Ok(bytes) => State {
                lines: bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(),
                bytes: bytes.len() as u64,
                torn: bytes.last().is_some_and(|byte| *byte != b'\n'),
                refusals: HashMap::new(),
            },
            Err(error) if error.kind() == ErrorKind::FileTooLarge => State { bytes: MAX_BYTES, ..State::default() },
            Err(_) => State::default(),
        };
        Self { path, clock, state: Mutex::new(state) }
    }

    /// Writes an entry down, without who and from where; on disk when this returns. Blocks.
    pub(crate) fn append(&self, entry: &Entry) {
        let mut state = self.lock();
        if entry.outcome == Outcome::Refused && self.was_just_refused(&mut state, entry) {
            return;
        }
        let mut bytes = if state.torn { b"\n".to_vec() } else { Vec::new() };
        let room = if entry.outcome == Outcome::Success { MAX_LINES } else { MAX_LINES - RESERVED_LINES };
        let fits = state.lines < room;
        if fits {
            // Plain values become JSON always.
            bytes.extend(serde_json::to_vec(&line(entry)).unwrap_or_default());
        }
        bytes.push(b'\n');
        if state.bytes + bytes.len() as u64 > MAX_BYTES {
            return;
        }
        match durable::append(&self.path, &bytes) {
            Ok(()) => {
                state.torn = false;
                state.lines += usize::from(fits);
                state.bytes += bytes.len() as u64;
            }
            Err(error) => {
                state.torn = true;
                warn!(error:% = error, action = entry.action.as_str(); "the journal of the locked vault cannot be written");
            }
        }
    }

    /// What is to be moved into the audit log, in order. Blocks.
    pub(crate) fn read(&self) -> Pending {
        let _state = self.lock();
        let bytes = match durable::read_small_file(&self.path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Pending::default(),
            Err(error) => {
                warn!(error:% = error; "the journal of the locked vault cannot be read");
                return Pending { unreadable: 1, bytes: u64::MAX, ..Pending::default() };
            }
        };
        let mut pending = Pending { bytes: bytes.len() as u64, ..Pending::default() };
        let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        for line in whole.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line).ok().and_then(Line::entry) {
                Some(entry) => pending.entries.push(entry),
                None if line.is_empty() => pending.dropped += 1,
                None => pending.unreadable += 1,
            }
        }
        pending
    }

    /// Forgets what was read, unless something came after it: then all of it stays, and is told apart by its ids. Blocks.
    pub(crate) fn forget(&self, pending: &Pending) {
        let mut state = self.lock();
        let grown = std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > pending.bytes);
        if grown {
            return;
        }
        match durable::remove_file(&self.path) {
            Ok(()) => *state = State::default(),
            Err(error) => warn!(error:% = error; "the journal of the locked vault was not removed; it is read again"),
        }
    }

    fn was_just_refused(&self, state: &mut State, entry: &Entry) -> bool {
        let now = self.clock.monotonic();
        let last = state.refusals.insert((entry.action.clone(), entry.detail.clone()), now);
        match last {
            Some(last) if now.saturating_duration_since(last) < REFUSAL_PAUSE => {
                state.refusals.insert((entry.action.clone(), entry.detail.clone()), last);
                true
            }
            Some(_) | None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Pending {
    /// Whether there is nothing to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.dropped == 0 && self.unreadable == 0
    }
}

fn line(entry: &Entry) -> Line {
    Line {
        id: entry.id,
        at: entry.at,
        action: entry.action.clone(),
        outcome: entry.outcome,
        request_id: entry.request_id.clone(),
        detail: entry.detail.clone(),
    }
}

impl Line {
    /// The entry, if it is one that this program could have written.
    fn entry(self) -> Option<Entry> {
        let [action, request_id, detail] = MAX_TEXT;
        let sane = (self.action.starts_with("vault.") || self.action.starts_with("device."))
            && self.action.len() <= action
            && self.request_id.len() <= request_id
            && self.detail.as_ref().is_none_or(|text| text.len() <= detail);
        sane.then_some(Entry {
            id: self.id,
            at: self.at,
            actor_id: None,
            session_id: None,
            address: None,
            request_id: self.request_id,
            action: self.action,
            outcome: self.outcome,
            subject_id: None,
            detail: self.detail,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::model::clock::SystemClock;

    fn journal(dir: &tempfile::TempDir) -> VaultJournal {
        VaultJournal::load(dir.path().join("journal"), Arc::new(SystemClock))
    }

    fn entry(number: u128, outcome: Outcome) -> Entry {
        Entry {
            id: Uuid::from_u128(number),
            at: Timestamp::UNIX_EPOCH,
            actor_id: Some(Uuid::from_u128(99)),
            session_id: Some(Uuid::from_u128(98)),
            address: "192.0.2.7".parse().ok(),
            request_id: "request".to_owned(),
            action: "vault.unlocked".to_owned(),
            outcome,
            subject_id: None,
            detail: None,
        }
    }

    fn told(journal: &VaultJournal) -> (Vec<u128>, usize, usize) {
        let pending = journal.read();
        (pending.entries.iter().map(|entry| entry.id.as_u128()).collect(), pending.dropped, pending.unreadable)
    }

    #[test]
    fn it_survives_a_restart_and_holds_no_user_data() {
        let dir = tempfile::tempdir().unwrap();
        journal(&dir).append(&entry(1, Outcome::Failed));
        journal(&dir).append(&entry(2, Outcome::Success));
        let again = journal(&dir);
        assert_eq!(told(&again), (vec![1, 2], 0, 0));
        let kept = &again.read().entries[0];
        assert_eq!((kept.actor_id, kept.session_id, kept.address), (None, None, None));
        assert_eq!((kept.request_id.as_str(), kept.outcome), ("request", Outcome::Failed));
        let text = fs::read_to_string(dir.path().join("journal")).unwrap();
        assert!(!text.contains("192.0.2.7") && !text.contains(&Uuid::from_u128(99).to_string()), "{text}");
    }

    #[test]
    fn a_torn_line_costs_itself_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        journal(&dir).append(&entry(1, Outcome::Failed));
        journal(&dir).append(&entry(2, Outcome::Failed));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 10]).unwrap();
        let after = journal(&dir);
        assert_eq!(told(&after), (vec![1], 0, 1));
        after.append(&entry(3, Outcome::Failed));
        assert_eq!(told(&after), (vec![1, 3], 0, 1));
    }

    #[test]
    fn guesses_do_not_crowd_out_what_the_owner_did_and_the_rest_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let line = |number| serde_json::to_string(&line(&entry(number, Outcome::Failed))).unwrap() + "\n";
        fs::write(&path, (1..=899).map(line).collect::<String>()).unwrap();
        let journal = journal(&dir);
        for number in 900..903 {
            journal.append(&entry(number, Outcome::Failed));
        }
        journal.append(&entry(1000, Outcome::Success));
        let (ids, dropped, unreadable) = told(&journal);
        assert_eq!((ids.len(), ids[899], ids[900], dropped, unreadable), (901, 900, 1000, 2, 0));
    }

    #[test]
    fn the_file_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let full = "\n".repeat(usize::try_from(MAX_BYTES).unwrap());
        fs::write(&path, &full).unwrap();
        let journal = journal(&dir);
        journal.append(&entry(1, Outcome::Success));
        assert_eq!(fs::metadata(&path).unwrap().len(), MAX_BYTES);
        fs::write(&path, full + "x").unwrap();
        assert_eq!(told(&journal), (Vec::new(), 0, 1));
        journal.forget(&journal.read());
        assert!(!path.exists(), "one that is not ours does not stay for ever");
    }

    #[test]
    fn the_same_refusal_is_written_once_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(&dir);
        journal.append(&entry(1, Outcome::Refused).with_detail("lockdown"));
        journal.append(&entry(2, Outcome::Refused).with_detail("lockdown"));
        journal.append(&entry(3, Outcome::Refused).with_detail("key file missing"));
        journal.append(&entry(4, Outcome::Failed).with_detail("wrong master secret"));
        journal.append(&entry(5, Outcome::Failed).with_detail("wrong master secret"));
        assert_eq!(told(&journal), (vec![1, 3, 4, 5], 0, 0));
    }

    #[test]
    fn what_came_after_the_reading_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal(&dir);
        journal.append(&entry(1, Outcome::Failed));
        let pending = journal.read();
        journal.append(&entry(2, Outcome::Failed));
        journal.forget(&pending);
        assert_eq!(told(&journal).0, [1, 2]);
        journal.forget(&journal.read());
        assert_eq!(told(&journal).0, [0_u128; 0]);
        journal.append(&entry(3, Outcome::Failed));
        assert_eq!(told(&journal).0, [3]);
    }

    #[test]
    fn a_line_that_this_program_would_not_write_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let forged = |action: &str, detail: &str| {
            let mut forged = entry(1, Outcome::Success).with_detail(detail);
            forged.action = action.to_owned();
            serde_json::to_string(&line(&forged)).unwrap() + "\n"
        };
        let text = forged("file.deleted", "x") + &forged("vault.locked", "x") + "{\"id\":1}\n" + "nonsense\n";
        fs::write(dir.path().join("journal"), text).unwrap();
        assert_eq!(told(&journal(&dir)), (vec![1], 0, 3));
    }

    #[test]
    fn a_directory_that_cannot_be_written_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let journal = VaultJournal::load(dir.path().join("nowhere/journal"), Arc::new(SystemClock));
        journal.append(&entry(1, Outcome::Failed));
        assert!(journal.read().is_empty());
    }
}
