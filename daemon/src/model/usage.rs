//! How much is stored, and how much may be.

use uuid::Uuid;

/// What a person stores. Every revision counts in full, also when several share their bytes on the drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsageOfUser {
    pub(crate) user_id: Uuid,
    /// Files that are not in the trash.
    pub(crate) files: u64,
    /// Their current revisions.
    pub(crate) current_bytes: u64,
    /// Their old revisions.
    pub(crate) revision_bytes: u64,
    /// All revisions of what is in the trash.
    pub(crate) trash_bytes: u64,
    /// What they attached to items of secrets vaults, sealed.
    pub(crate) attached_bytes: u64,
}

/// What lies in a folder and below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsageOfFolder {
    pub(crate) folder_id: Uuid,
    pub(crate) files: u64,
    pub(crate) size_bytes: u64,
}

/// What the administrators decided about storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoragePolicy {
    /// After so many days in the trash an item is deleted for good; 0: never.
    pub(crate) trash_days: u32,
    /// Old revisions of a file that stay, where no folder says otherwise.
    pub(crate) keep_revisions: u32,
    /// For so many days old revisions stay, where no folder says otherwise; 0: for ever.
    pub(crate) keep_days: u32,
    /// What a person may store who has no limit of their own; 0: as much as fits.
    pub(crate) quota_bytes: u64,
    /// Room on the drive that uploads leave free.
    pub(crate) reserve_bytes: u64,
}

impl StoragePolicy {
    /// The least reserve: the database's log (4 MiB between checkpoints), its growth and gocryptfs' overhead.
    pub(crate) const MIN_RESERVE_BYTES: u64 = 32 * 1024 * 1024;
}

impl Default for StoragePolicy {
    fn default() -> Self {
        Self {
            trash_days: 30,
            keep_revisions: 100,
            keep_days: 0,
            quota_bytes: 0,
            reserve_bytes: Self::MIN_RESERVE_BYTES,
        }
    }
}
