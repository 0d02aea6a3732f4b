//! Who sees a folder.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What somebody may do in a folder, as far as their role allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Look and download.
    Read,
    /// Change what is in it, too.
    Write,
}

/// Who sees a folder and all that is below it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "private": true, "grants": [
    { "user_id": "01a1fd16-afea-707b-afb4-166dd8225dae", "access": "write" },
    { "group_id": "01a1fd16-afea-707b-afb4-2f8d31c9a201", "access": "read" },
] }))]
pub struct FolderAccess {
    /// Whether only those below see the folder, and administrators.
    pub private: bool,
    /// Whom a private folder is open to, at most 200; none otherwise.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub grants: Vec<FolderGrant>,
}

/// One line of a private folder's list: a person or a group, not both.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FolderGrant {
    /// The person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Uuid>,
    /// The group, with whoever is in it at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    /// What they may do.
    pub access: Access,
}
