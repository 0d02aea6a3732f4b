//! Folders.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Access;

/// Creates a folder.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateFolder {
    /// The folder it goes into; the root when absent or null.
    #[serde(default)]
    pub parent_id: Option<Uuid>,
    /// 1 to 255 bytes of UTF-8, one path segment; brought to NFC.
    pub name: String,
}

/// A folder. The root has no row: it is the absence of a parent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
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
    /// Whether it is open to those only whom its list names. A folder below a private one is as hidden as that.
    pub private: bool,
    /// What the caller may do in it.
    pub access: Access,
}
