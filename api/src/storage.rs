//! Trash, operations on many items, quotas and figures.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Problem;
use crate::patch::present;

/// File or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A file.
    File,
    /// A folder, with all that is in it.
    Folder,
}

/// Something in the trash.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-afe9-7000-b0f0-5a5fd0c3a1de",
    "kind": "file",
    "name": "wedding.jpg",
    "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae",
    "size_bytes": 2_481_152,
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "trashed_at": "2026-11-21T09:30:00Z",
    "trashed_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
}))]
pub struct TrashItem {
    /// Names the item; it keeps it when it is taken back.
    pub id: Uuid,
    /// File or folder.
    pub kind: ItemKind,
    /// Its name.
    pub name: String,
    /// The folder that it was in; null for the root.
    pub folder_id: Option<Uuid>,
    /// Of a file: the length of its content. Of a folder: of all current contents in it.
    pub size_bytes: u64,
    /// Who made it.
    pub created_by: Uuid,
    /// When it was put into the trash.
    #[schema(value_type = String, format = DateTime)]
    pub trashed_at: Timestamp,
    /// Who put it there.
    pub trashed_by: Uuid,
}

/// Something that was taken back from the trash.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-afe9-7000-b0f0-5a5fd0c3a1de",
    "kind": "file",
    "name": "wedding (2).jpg",
    "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae",
}))]
pub struct RestoredItem {
    /// The item, as before.
    pub id: Uuid,
    /// File or folder.
    pub kind: ItemKind,
    /// The name that it has now.
    pub name: String,
    /// The folder that it is in now; null for the root.
    pub folder_id: Option<Uuid>,
}

/// What emptying the trash did.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TrashEmptied {
    /// Items that were deleted for good. Those of others stay, unless you may change everything.
    pub deleted: u32,
}

/// What is done to each of many items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    /// Into the folder `folder_id`.
    Move,
    /// Into the folder `folder_id`.
    Copy,
    /// Into the trash.
    Trash,
    /// Back from the trash, to where each was.
    Restore,
    /// Out of the trash, for good.
    Delete,
    /// Gives each the tag `tag`.
    Tag,
    /// Takes the tag `tag` from each.
    Untag,
}

/// One thing to do to many items.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "action": "move", "items": ["01a1fd16-afe9-7000-b0f0-5a5fd0c3a1de"], "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae" }))]
pub struct Bulk {
    /// What to do.
    pub action: BulkAction,
    /// Files and folders, 1 to 500.
    pub items: Vec<Uuid>,
    /// For `move` and `copy`: where to; the root when absent or null.
    #[serde(default)]
    pub folder_id: Option<Uuid>,
    /// For `tag` and `untag`: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// What became of each item, in their order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BulkResults {
    /// One for each item.
    pub results: Vec<BulkResult>,
}

/// What became of one item.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BulkResult {
    /// The item that was named.
    pub id: Uuid,
    /// The item as it is now: the same, or its copy. Absent when it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_id: Option<Uuid>,
    /// Why it was refused. Absent when it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// The rules of storage.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "trash_days": 30,
    "keep_revisions": 100,
    "keep_days": 0,
    "quota_bytes": 0,
    "reserve_bytes": 33_554_432,
}))]
pub struct StoragePolicy {
    /// After so many days in the trash an item is deleted for good; 0: never.
    pub trash_days: u32,
    /// Old revisions of a file that stay, where no folder says otherwise.
    pub keep_revisions: u32,
    /// For so many days after they were replaced old revisions stay, where no folder says otherwise; 0: for ever.
    pub keep_days: u32,
    /// What a person may store who has no quota of their own; 0: as much as fits.
    pub quota_bytes: u64,
    /// Room on the drive that uploads leave free; at least 32 MiB.
    pub reserve_bytes: u64,
}

/// A person's quota.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "quota_bytes": 107_374_182_400_u64 }))]
pub struct SetQuota {
    /// What they may store; null for what the rules say.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<u64>)]
    pub quota_bytes: Option<Option<u64>>,
}

/// What a person stores. Every revision counts in full, also where copies share their bytes on the drive.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserUsage {
    /// Who.
    pub user_id: Uuid,
    /// Files that are not in the trash.
    pub files: u64,
    /// Their current revisions.
    pub current_bytes: u64,
    /// Their old revisions.
    pub revision_bytes: u64,
    /// All revisions of what is in the trash.
    pub trash_bytes: u64,
    /// What they attached to items of secrets vaults, sealed.
    pub attached_bytes: u64,
    /// All of these together: what counts against the quota.
    pub total_bytes: u64,
    /// What they may store; absent for as much as fits, and in the list of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
}

/// What lies in a folder of the root.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FolderUsage {
    /// Which.
    pub folder_id: Uuid,
    /// Files in it and below, less what is in private folders below it.
    pub files: u64,
    /// The bytes of their current revisions.
    pub size_bytes: u64,
}

/// What everybody stores.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StorageUsage {
    /// By owner.
    pub users: Vec<UserUsage>,
    /// By folder of the root.
    pub folders: Vec<FolderUsage>,
    /// The bytes of all contents; what copies share counts once.
    pub stored_bytes: u64,
    /// Room that is left on the drive, the reserve included.
    pub free_bytes: u64,
}

/// What is wrong with a stored content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentFault {
    /// Its bytes are gone.
    Missing,
    /// Its bytes are not those that were stored.
    Changed,
    /// The drive does not give its bytes, or gocryptfs finds that the ciphertext was changed.
    Unreadable,
}

/// One round of reading everything back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Scrub {
    /// Names the round.
    pub id: Uuid,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it came to its end; null while it goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Contents that there were when it began. Copies share one.
    pub total: u64,
    /// Contents that were read back so far.
    pub checked: u64,
    /// Their bytes.
    pub checked_bytes: u64,
    /// Contents that did not read back, the repaired ones included.
    pub faults: u64,
    /// Of these, how many were replaced by an identical content.
    pub repaired: u64,
    /// Bytes on the drive that belonged to nothing, and were removed.
    pub orphans: u64,
    /// Contents that lie in quarantine: they belong to nothing, and nobody deleted them. The job `audit` lists them.
    pub quarantined: u64,
}

/// A revision of a file that did not read back when it was looked at last.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FaultyRevision {
    /// The file; it may be in the trash.
    pub file_id: Uuid,
    /// Which of its revisions.
    pub number: u32,
    /// What is wrong with it.
    pub fault: ContentFault,
}
