//! Share links: how people without an account reach a file or a folder.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::patch::present;
use crate::{ItemKind, SecretString};

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShareKind {
    /// Download a file, or what is in a folder.
    Download,
    /// Look at what a browser shows without running anything; nothing to save.
    View,
    /// Send files into a folder, and see nothing of it.
    Drop,
}

/// Makes a link. Names a file or a folder, not both.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "download", "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae", "name": "Photos of the wedding" }))]
pub struct CreateShare {
    /// What it is for.
    pub kind: ShareKind,
    /// The file that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<Uuid>,
    /// The folder that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder_id: Option<Uuid>,
    /// What its visitors see as its title, 1 to 100 characters; the item's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Photos of the wedding")]
    pub name: Option<String>,
    /// From then on it is not there; never when absent. At most ten years ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// What visitors have to know, 8 to 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretString>,
    /// After so many downloads it is not there any more. Not for drops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max_downloads: Option<u32>,
    /// Of a drop: how much it takes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_upload_bytes: Option<u64>,
}

/// Changes a link. Absent fields stay as they are; null takes the title, the end, the password or the limit away.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Photos of the wedding", "max_downloads": 20 }))]
pub struct ChangeShare {
    /// What its visitors see as its title, 1 to 100 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub name: Option<Option<String>>,
    /// From then on it is not there.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Option<Timestamp>>,
    /// What visitors have to know. Who gave the old one has to give the new one.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<Option<SecretString>>,
    /// After so many downloads, those before included, it is not there any more.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    pub max_downloads: Option<Option<u32>>,
    /// Of a drop: how much it takes in all, what it took before included.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    pub max_upload_bytes: Option<Option<u64>>,
}

/// A link, as its maker and administrators see it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-5a5a-7e20-9b3c-4d5e6f708192",
    "kind": "download",
    "file_id": null,
    "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae",
    "name": "Photos of the wedding",
    "created_at": "2026-11-21T09:30:00Z",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "expires_at": null,
    "has_password": false,
    "max_downloads": 20,
    "max_upload_bytes": null,
    "views": 3,
    "downloads": 1,
    "uploads": 0,
    "uploaded_bytes": 0,
    "last_used_at": "2026-11-21T11:05:00Z",
}))]
pub struct Share {
    /// Names the link among links; it opens nothing.
    pub id: Uuid,
    /// What it is for.
    pub kind: ShareKind,
    /// The file that it leads to.
    pub file_id: Option<Uuid>,
    /// The folder that it leads to.
    pub folder_id: Option<Uuid>,
    /// What its visitors see as its title.
    pub name: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it; it leads no further than they see.
    pub created_by: Uuid,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Whether its visitors have to know a password.
    pub has_password: bool,
    /// How many downloads it is good for.
    pub max_downloads: Option<u32>,
    /// How much it takes in all.
    pub max_upload_bytes: Option<u64>,
    /// How often its page was opened.
    pub views: u64,
    /// How many downloads began; the parts of one count once.
    pub downloads: u64,
    /// How many files were sent.
    pub uploads: u64,
    /// How long they are together.
    pub uploaded_bytes: u64,
    /// When it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
}

/// A new link, shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-5a5a-7e20-9b3c-4d5e6f708192",
    "kind": "download",
    "file_id": null,
    "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae",
    "name": "Photos of the wedding",
    "created_at": "2026-11-21T09:30:00Z",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "expires_at": null,
    "has_password": false,
    "max_downloads": 20,
    "max_upload_bytes": null,
    "views": 3,
    "downloads": 1,
    "uploads": 0,
    "uploaded_bytes": 0,
    "last_used_at": "2026-11-21T11:05:00Z",
    "token": "q2Zl0c8VnB7mX5kJ3hG1fD",
    "path": "/share/q2Zl0c8VnB7mX5kJ3hG1fD",
}))]
pub struct NewShare {
    /// The link's data.
    #[serde(flatten)]
    pub share: Share,
    /// Opens the link, together with its password if it has one.
    pub token: SecretString,
    /// Where on this box its page is: `/share/` and the token.
    pub path: SecretString,
}

/// A link, as its visitors see it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShareInfo {
    /// What it is for.
    pub kind: ShareKind,
    /// Whether it leads to a file or to a folder.
    pub item: ItemKind,
    /// Its title, or the item's name; null for a drop without a title.
    pub name: Option<String>,
    /// Of a file: the length of its content.
    pub size_bytes: Option<u64>,
    /// Of a file: its kind, told by its content.
    pub media_type: Option<String>,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// How many downloads are left; null when that is not limited.
    pub downloads_left: Option<u64>,
    /// How much may still be sent; null when that is not limited.
    pub upload_bytes_left: Option<u64>,
}

/// A file or a folder inside of a shared folder.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-afe9-7000-b0f0-5a5fd0c3a1de",
    "kind": "file",
    "name": "wedding.jpg",
    "size_bytes": 2_481_152,
    "media_type": "image/jpeg",
    "modified_at": "2026-11-21T09:30:00Z",
}))]
pub struct SharedItem {
    /// Names the item: `item` of a download, `folder` of a list.
    pub id: Uuid,
    /// File or folder.
    pub kind: ItemKind,
    /// Its name.
    pub name: String,
    /// Of a file: the length of its content.
    pub size_bytes: Option<u64>,
    /// Of a file: its kind, told by its content.
    pub media_type: Option<String>,
    /// When it changed last.
    #[schema(value_type = String, format = DateTime)]
    pub modified_at: Timestamp,
}

/// What became of something that was sent through a link.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "wedding (2).jpg", "size_bytes": 2_481_152, "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }))]
pub struct SharedUpload {
    /// The name under which it was stored: a name that is taken gets a number.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}
