//! Files.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::patch::present;
use crate::sealing::EncryptionMethod;

/// A stored file. Its bytes are at `content` below it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-afe9-7000-b0f0-5a5fd0c3a1de",
    "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae",
    "name": "wedding.jpg",
    "revision": 1,
    "size_bytes": 2_481_152,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "media_type": "image/jpeg",
    "encryption_method": "server-user",
    "encryption_version": 2,
    "encrypted_size_bytes": 2_487_800,
    "key_id": "5f0c1d9ab2e34478",
    "key_generation": 1,
    "thumbnail": { "state": "ready", "reason": null },
    "created_at": "2026-11-21T09:30:00Z",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "modified_at": "2026-11-21T09:30:00Z",
    "modified_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
}))]
pub struct File {
    /// Names the file; it stays when the file is renamed or moved.
    pub id: Uuid,
    /// The folder it is in; null for the root.
    pub folder_id: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// The number of its current revision, from 1.
    pub revision: u32,
    /// Length of the content.
    pub size_bytes: u64,
    /// SHA-256 of the content, 64 hexadecimal digits; also the strong `ETag` of the content.
    pub sha256: String,
    /// What the content is, by its first bytes and else by the name.
    pub media_type: String,
    /// Who can open the content where it is stored.
    pub encryption_method: EncryptionMethod,
    /// The format: 1 is Storm Cloud's, 2 is ours, 0 the client's own; null when it is not sealed.
    pub encryption_version: Option<u8>,
    /// The length of what is stored; null when it is not sealed.
    pub encrypted_size_bytes: Option<u64>,
    /// The name of the key it is sealed with, when the box knows it.
    pub key_id: Option<String>,
    /// Which key of that name.
    pub key_generation: Option<u32>,
    /// What became of the small pictures of its content; null when files of its kind have none.
    pub thumbnail: Option<Thumbnail>,
    /// When it was stored first.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who stored it first. It counts against their quota.
    pub created_by: Uuid,
    /// When its content, name or place changed last.
    #[schema(value_type = String, format = DateTime)]
    pub modified_at: Timestamp,
    /// Who changed it last.
    pub modified_by: Uuid,
}

/// What became of the small pictures of a file, which are at `thumbnail` below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Thumbnail {
    /// How far they are.
    pub state: ThumbnailState,
    /// Why there are none; null unless `failed` or `unsupported`.
    pub reason: Option<String>,
}

/// How far the small pictures of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThumbnailState {
    /// They are going to be made.
    Pending,
    /// They are there.
    Ready,
    /// They cannot be made: the content is damaged, too large, or takes too long.
    Failed,
    /// They are not made here: nothing that is installed knows the format.
    Unsupported,
}

/// How to turn a picture: exactly one of the two.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "rotate": 90 }))]
pub struct TurnPicture {
    /// Clockwise, in degrees: 90, 180 or 270.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<u32>,
    /// To its mirror image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip: Option<Flip>,
}

/// What a mirror image swaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Flip {
    /// Left and right.
    Horizontal,
    /// Top and bottom.
    Vertical,
}

/// A new name, a new place, or both. What is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "wedding.jpg", "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae" }))]
pub struct PlaceFile {
    /// 1 to 255 bytes of UTF-8, one path segment; brought to NFC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The folder it goes into; null for the root.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    pub folder_id: Option<Option<Uuid>>,
}

/// One state of a file's content.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "number": 1,
    "size_bytes": 2_481_152,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "media_type": "image/jpeg",
    "encryption_method": "server-user",
    "encryption_version": 2,
    "encrypted_size_bytes": 2_487_800,
    "key_id": "5f0c1d9ab2e34478",
    "key_generation": 1,
    "created_at": "2026-11-21T09:30:00Z",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
}))]
pub struct Revision {
    /// From 1. A number is never used again.
    pub number: u32,
    /// Length of the content.
    pub size_bytes: u64,
    /// SHA-256 of the content; also its strong `ETag`.
    pub sha256: String,
    /// What the content is.
    pub media_type: String,
    /// Who can open the content where it is stored.
    pub encryption_method: EncryptionMethod,
    /// The format: 1 is Storm Cloud's, 2 is ours, 0 the client's own; null when it is not sealed.
    pub encryption_version: Option<u8>,
    /// The length of what is stored; null when it is not sealed.
    pub encrypted_size_bytes: Option<u64>,
    /// The name of the key it is sealed with, when the box knows it.
    pub key_id: Option<String>,
    /// Which key of that name.
    pub key_generation: Option<u32>,
    /// When it was stored.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who stored it.
    pub created_by: Uuid,
}

/// A new file that is a text.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae", "name": "shopping.md", "text": "- bread\n" }))]
pub struct CreateText {
    /// The folder it goes into; the root when absent or null.
    #[serde(default)]
    pub folder_id: Option<Uuid>,
    /// 1 to 255 bytes of UTF-8, one path segment; brought to NFC.
    pub name: String,
    /// At most 1 MiB of UTF-8, stored as it is.
    pub text: String,
}

/// The text of a file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "text": "- bread\n- tea\n" }))]
pub struct FileText {
    /// At most 1 MiB of UTF-8.
    pub text: String,
}
