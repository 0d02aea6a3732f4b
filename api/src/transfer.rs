//! Contents on their way in and out: archives, forms, resumable uploads.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{File, Problem};

/// Asks for some files and folders as one ZIP archive.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "items": ["01a1fd16-afe9-7000-b0f0-5a5fd0c3a1de", "01a1fd16-afea-707b-afb4-166dd8225dae"] }))]
pub struct CreateArchive {
    /// 1 to 1000 files and folders, each with all that is in it. One that is named twice is packed once.
    pub items: Vec<Uuid>,
}

/// What became of the parts of a form, in their order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FormUploaded {
    /// One for each part.
    pub items: Vec<FormPart>,
}

/// What became of one part of a form: a file, or a problem.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FormPart {
    /// The `filename` of the part, as it came; null when it has none.
    pub filename: Option<String>,
    /// The file it has become.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    /// Why it was not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// A resumable upload.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    /// Names the upload.
    pub id: Uuid,
    /// The folder it goes to; null for the root, and for a part of another upload.
    pub folder_id: Option<Uuid>,
    /// The name that the file gets; null for a part of another upload.
    pub name: Option<String>,
    /// How many bytes are on disk.
    pub offset_bytes: u64,
    /// How many bytes it will have.
    pub length_bytes: u64,
    /// The file it has become; null until all of it is there, and for a part of another upload.
    pub file_id: Option<Uuid>,
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it is forgotten, unless more of it comes.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}
