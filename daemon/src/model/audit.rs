//! Rows of the audit log, and what to look for in it.

use std::net::IpAddr;

use jiff::Timestamp;
use uuid::Uuid;

use super::file::Sha256;
pub(crate) use coffer_api::{AuditFault as Fault, AuditOutcome as Outcome};

/// Longest detail, in characters; the rest of a longer one is cut off.
const MAX_DETAIL: usize = 200;

/// What is written down of one act.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) at: Timestamp,
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) session_id: Option<Uuid>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) request_id: String,
    pub(crate) action: String,
    pub(crate) outcome: Outcome,
    pub(crate) subject_id: Option<Uuid>,
    pub(crate) detail: Option<String>,
}

impl Entry {
    /// Says more in a few words, such as `role: reader -> editor`. Never a secret.
    pub(crate) fn with_detail(mut self, detail: impl AsRef<str>) -> Self {
        self.detail = Some(detail.as_ref().chars().take(MAX_DETAIL).collect());
        self
    }
}

/// An entry in its place in the log.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) seq: i64,
    pub(crate) entry: Entry,
    /// Covers the entry and the hash of the record before.
    pub(crate) hash: Sha256,
}

/// Which entries are wanted; absent means any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) action: Option<String>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) subject_id: Option<Uuid>,
    pub(crate) request_id: Option<String>,
    /// At this time or later.
    pub(crate) from: Option<Timestamp>,
    /// Before this time.
    pub(crate) until: Option<Timestamp>,
}

/// A place in the log: this record, and by its hash everything before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Zero before the first record.
    pub(crate) seq: i64,
    pub(crate) hash: Sha256,
}

/// What became of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verification {
    /// Records that were found good.
    pub(crate) rows: u64,
    /// The last of them.
    pub(crate) head: Place,
    /// The first record that is not.
    pub(crate) broken: Option<Broken>,
}

/// The first record at which the log is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) seq: i64,
    /// Absent when the record is missing, or its id was made into something else.
    pub(crate) id: Option<Uuid>,
    pub(crate) why: Fault,
}
