//! Folders.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Access;
use crate::patch::present;

/// Creates a folder.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "parent_id": null, "name": "Photos" }))]
pub struct CreateFolder {
    /// The folder it goes into; the root when absent or null.
    #[serde(default)]
    pub parent_id: Option<Uuid>,
    /// 1 to 255 bytes of UTF-8, one path segment; brought to NFC.
    pub name: String,
}

/// A folder. The root has no row: it is the absence of a parent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-afea-707b-afb4-166dd8225dae",
    "parent_id": null,
    "name": "Photos",
    "created_at": "2026-11-21T09:30:00Z",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "modified_at": "2026-11-21T09:30:00Z",
    "modified_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "protected": false,
    "keep_revisions": null,
    "keep_days": null,
    "file_count": 12,
    "folder_count": 1,
    "total_files": 40,
    "total_bytes": 99_246_080,
    "private": false,
    "access": "write",
}))]
pub struct Folder {
    /// Names the folder.
    pub id: Uuid,
    /// The folder it is in; null for the root.
    pub parent_id: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Uuid,
    /// When its name, place or settings changed last.
    #[schema(value_type = String, format = DateTime)]
    pub modified_at: Timestamp,
    /// Who changed them last.
    pub modified_by: Uuid,
    /// Whether nothing in it and below may be changed, by anybody. A folder above may be protected all the same.
    pub protected: bool,
    /// Old revisions that stay of the files in it and below; null: as the folder above says.
    pub keep_revisions: Option<u32>,
    /// For so many days old revisions stay, 0 for ever; null: as the folder above says.
    pub keep_days: Option<u32>,
    /// Files directly inside.
    pub file_count: u64,
    /// Folders directly inside that are not private.
    pub folder_count: u64,
    /// Files inside and below, less what is in private folders below it.
    pub total_files: u64,
    /// The bytes of their current revisions.
    pub total_bytes: u64,
    /// Whether it is open to those only whom its list names. A folder below a private one is as hidden as that.
    pub private: bool,
    /// What the caller may do in it.
    pub access: Access,
}

/// A new name, place or setting. What is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Photos of 2026" }))]
pub struct ChangeFolder {
    /// 1 to 255 bytes of UTF-8, one path segment; brought to NFC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The folder it goes into; null for the root.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub parent_id: Option<Option<Uuid>>,
    /// Whether nothing in it and below may be changed, by anybody. To take a protection away, send this alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// Old revisions that stay of the files in it and below, at most 36500; null: as the folder above says.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub keep_revisions: Option<Option<u32>>,
    /// For so many days old revisions stay, at most 36500, 0 for ever; null: as the folder above says.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub keep_days: Option<Option<u32>>,
}

/// A new name, a new place, or both.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Photos of 2026" }))]
pub struct PlaceFolder {
    /// 1 to 255 bytes of UTF-8, one path segment; brought to NFC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The folder it goes into; null for the root.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub parent_id: Option<Option<Uuid>>,
}
