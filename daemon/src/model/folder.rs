//! Folders exist in the database only; nothing on disk knows of them.

use jiff::Timestamp;
use uuid::Uuid;

use super::file::Trashed;

/// A folder, as stored. The root has no row: it is `None` wherever a parent is named.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) id: Uuid,
    pub(crate) parent_id: Option<Uuid>,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
    /// When the name, the place or a setting came to be.
    pub(crate) modified_at: Timestamp,
    pub(crate) modified_by: Uuid,
    /// Open to those only whom its grants name. What is above it may hide it further.
    pub(crate) private: bool,
    /// Nothing in it and below may be changed, by anybody.
    pub(crate) protected: bool,
    /// Which old revisions of the files in it and below stay.
    pub(crate) retention: Retention,
    /// Set while it is in the trash by itself.
    pub(crate) trashed: Option<Trashed>,
    pub(crate) counts: Counts,
}

impl Folder {
    /// An empty one, open to all.
    pub(crate) fn new(id: Uuid, parent_id: Option<Uuid>, name: String, at: Timestamp, by: Uuid) -> Self {
        Self {
            id,
            parent_id,
            name,
            created_at: at,
            created_by: by,
            modified_at: at,
            modified_by: by,
            private: false,
            protected: false,
            retention: Retention::default(),
            trashed: None,
            counts: Counts::default(),
        }
    }
}

/// How much is in a folder. What is in the trash or behind a private folder is not in it, and of files only the current
/// revision is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Files directly inside.
    pub(crate) files: i64,
    /// Folders directly inside that are not private.
    pub(crate) folders: i64,
    /// Files inside and below.
    pub(crate) total_files: i64,
    /// Their bytes.
    pub(crate) total_bytes: i64,
}

impl Counts {
    /// What one more file of that size adds to its folder.
    pub(crate) fn of_file(size_bytes: u64) -> Self {
        Self { files: 1, folders: 0, total_files: 1, total_bytes: i64::try_from(size_bytes).unwrap_or(i64::MAX) }
    }

    /// What a folder that holds `self` adds to the folder that it lies in.
    pub(crate) fn of_folder(self) -> Self {
        Self { files: 0, folders: 1, ..self }
    }

    /// To take away what was added.
    pub(crate) fn negated(self) -> Self {
        Self {
            files: -self.files,
            folders: -self.folders,
            total_files: -self.total_files,
            total_bytes: -self.total_bytes,
        }
    }
}

/// Which old revisions stay: those that satisfy both. The current one always stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// So many besides the current one; unset, what the folder above says.
    pub(crate) keep_revisions: Option<u32>,
    /// For so many days after they were replaced; unset, what the folder above says.
    pub(crate) keep_days: Option<u32>,
}

/// What a list of folders is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FolderOrder {
    Name,
    CreatedAt,
}

/// What is asked of a folder's settings and place. Absent fields stay as they are.
#[derive(Clone, Debug, Default)]
#[expect(clippy::option_option, reason = "absent, null and a value are three things in a merge patch (RFC 7396)")]
pub(crate) struct FolderChange {
    pub(crate) placement: Placement,
    pub(crate) protected: Option<bool>,
    /// `Some(None)`: what the folder above says.
    pub(crate) keep_revisions: Option<Option<u32>>,
    /// As above.
    pub(crate) keep_days: Option<Option<u32>>,
}

/// A new name, a new place, both or neither.
#[derive(Clone, Debug, Default)]
#[expect(clippy::option_option, reason = "absent, null and a value are three things in a merge patch (RFC 7396)")]
pub(crate) struct Placement {
    pub(crate) name: Option<super::name::FileName>,
    /// `Some(None)`: into the root.
    pub(crate) folder_id: Option<Option<Uuid>>,
}

/// How deep folders may nest; the root is depth 0.
pub(crate) const MAX_DEPTH: u32 = 64;

/// Most bytes of a path: the names on the way from the root, and a slash before each.
pub(crate) const MAX_PATH_BYTES: u32 = 4096;
