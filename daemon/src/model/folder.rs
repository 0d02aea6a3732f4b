//! Folders exist in the database only; nothing on disk knows of them.

use jiff::Timestamp;
use uuid::Uuid;

/// A folder, as stored. The root has no row: it is `None` wherever a parent is named.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) id: Uuid,
    pub(crate) parent_id: Option<Uuid>,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
    /// Open to those only whom its grants name. What is above it may hide it further.
    pub(crate) private: bool,
}

/// How deep folders may nest; the root is depth 0.
pub(crate) const MAX_DEPTH: u32 = 64;
