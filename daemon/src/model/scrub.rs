//! Reading everything back, to find what a drive lost before somebody needs it.

use jiff::Timestamp;
use uuid::Uuid;

use super::file::Sha256;
use super::sealing::Blob;

pub(crate) use coffer_api::ContentFault;

/// One round over all contents.
#[derive(Clone, Debug)]
pub(crate) struct Scrub {
    pub(crate) id: Uuid,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    /// The last content that was read; the empty text before the first.
    pub(crate) after_blob_id: String,
    /// How many contents there were when it began.
    pub(crate) total: u64,
    pub(crate) checked: u64,
    pub(crate) checked_bytes: u64,
    /// Contents that did not read back, the repaired ones included.
    pub(crate) faults: u64,
    /// Of these, how many were replaced by an identical content.
    pub(crate) repaired: u64,
    /// Blobs without a row, which were removed.
    pub(crate) orphans: u64,
    /// Blobs without a row, which are kept.
    pub(crate) quarantined: u64,
}

/// A content as it should read back.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) blob: Blob,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Sha256,
}

/// The name under which a fault is stored.
pub(crate) fn name(fault: ContentFault) -> &'static str {
    match fault {
        ContentFault::Missing => "missing",
        ContentFault::Changed => "changed",
        ContentFault::Unreadable => "unreadable",
    }
}

/// Reads a stored name.
pub(crate) fn parse(text: &str) -> Option<ContentFault> {
    let all = [ContentFault::Missing, ContentFault::Changed, ContentFault::Unreadable];
    all.into_iter().find(|fault| name(*fault) == text)
}
