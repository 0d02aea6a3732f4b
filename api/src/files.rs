//! Files.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A stored file. Its bytes are at `content` below it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct File {
    /// Names the file; it stays when the file is renamed or moved.
    pub id: Uuid,
    /// The folder it is in; null for the root.
    pub folder_id: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// Length of the content.
    pub size_bytes: u64,
    /// SHA-256 of the content, 64 hexadecimal digits; also the strong `ETag` of the content.
    pub sha256: String,
    /// When it was stored.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who stored it.
    pub created_by: Uuid,
}
