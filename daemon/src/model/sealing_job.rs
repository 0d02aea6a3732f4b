//! Work on all that is stored: sealing it, sealing it anew, looking whether it opens.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

pub(crate) use coffer_api::{
    SealingFinding as Finding, SealingJobKind as JobKind, SealingJobState as JobState, SealingJobWait as JobWait,
};

/// One job, and how far it has come.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: Uuid,
    pub(crate) kind: JobKind,
    /// Nothing is changed.
    pub(crate) dry_run: bool,
    /// How much it may read in a second; half of what the drive gives when absent.
    pub(crate) bytes_per_s: Option<u64>,
    /// Where files are taken over from.
    pub(crate) directory: Option<String>,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) state: JobState,
    pub(crate) waits_for: Option<JobWait>,
    /// The last blob, or file, that was done; the empty text before the first.
    pub(crate) after: String,
    pub(crate) total: u64,
    pub(crate) done: u64,
    pub(crate) done_bytes: u64,
    /// How many of which kind; they add up to `done`.
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Job {
    /// One more was done.
    pub(crate) fn count(&mut self, kind: &str, bytes: u64) {
        *self.counts.entry(kind.to_owned()).or_default() += 1;
        self.done += 1;
        self.done_bytes += bytes;
    }
}

/// What a blob is counted as that a job has sealed.
pub(crate) const SEALED: &str = "sealed";

const KINDS: [(JobKind, &str); 7] = [
    (JobKind::Audit, "audit"),
    (JobKind::Files, "files"),
    (JobKind::Upgrade, "upgrade"),
    (JobKind::Rewrap, "rewrap"),
    (JobKind::Reencrypt, "reencrypt"),
    (JobKind::Verify, "verify"),
    (JobKind::ImportStormcloud, "import"),
];

/// The name under which a kind is stored.
pub(crate) fn kind_name(kind: JobKind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, name)| name)
}

/// Reads a stored kind.
pub(crate) fn kind_named(text: &str) -> Option<JobKind> {
    KINDS.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind)
}

/// The name under which a state is stored.
pub(crate) fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Running => "running",
        JobState::Finished => "finished",
        JobState::Cancelled => "cancelled",
    }
}

/// Reads a stored state.
pub(crate) fn state_named(text: &str) -> Option<JobState> {
    [JobState::Running, JobState::Finished, JobState::Cancelled].into_iter().find(|state| state_name(*state) == text)
}

/// The name under which what a job waits for is stored.
pub(crate) fn wait_name(wait: JobWait) -> &'static str {
    match wait {
        JobWait::StorageFull => "storage_full",
        JobWait::Fault => "fault",
    }
}

/// Reads a stored name.
pub(crate) fn wait_named(text: &str) -> Option<JobWait> {
    [JobWait::StorageFull, JobWait::Fault].into_iter().find(|wait| wait_name(*wait) == text)
}
