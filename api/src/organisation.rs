//! What people put on files and folders: tags, favourites, stars, labels, notes, comments.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::ItemKind;

/// A file or a folder, in lists that hold both, from anywhere in the tree.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-afe9-7000-b0f0-5a5fd0c3a1de",
    "kind": "file",
    "name": "wedding.jpg",
    "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae",
    "size_bytes": 2_481_152,
    "media_type": "image/jpeg",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "modified_at": "2026-11-21T09:30:00Z",
    "modified_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
}))]
pub struct Item {
    /// Names the item.
    pub id: Uuid,
    /// File or folder.
    pub kind: ItemKind,
    /// Its name.
    pub name: String,
    /// The folder that it is in; null for the root.
    pub folder_id: Option<Uuid>,
    /// Of a file: the length of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Of a file: what the content is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Who made it.
    pub created_by: Uuid,
    /// When it changed last.
    #[schema(value_type = String, format = DateTime)]
    pub modified_at: Timestamp,
    /// Who changed it last.
    pub modified_by: Uuid,
}

/// A tag, and how much has it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "Family", "items": 12 }))]
pub struct Tag {
    /// As it was first written.
    pub name: String,
    /// Files and folders that have it and that you see.
    pub items: u64,
}

/// A favourite of yours, or something that has a star.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MarkedItem {
    /// What is marked.
    pub item: Item,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub marked_at: Timestamp,
}

/// The colours of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is its name")]
pub enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Teal,
    Blue,
    Purple,
    Grey,
}

/// The colour of a label.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLabel {
    /// One of eight.
    pub colour: Colour,
}

/// A star, which everybody sees.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Star {
    /// When it was given.
    #[schema(value_type = String, format = DateTime)]
    pub added_at: Timestamp,
    /// Who gave it.
    pub added_by: Uuid,
}

/// The note on an item.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "text": "Taken by *Grace*.",
    "version": "01a1fd16-f00d-7e20-9b3c-4d5e6f708192",
    "updated_at": "2026-11-21T09:30:00Z",
    "updated_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
}))]
pub struct Note {
    /// Markdown.
    pub text: String,
    /// Another one after each change; the `ETag` without its quotes.
    pub version: Uuid,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Who wrote it.
    pub updated_by: Uuid,
}

/// The text of a note.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "text": "Taken by *Grace*." }))]
pub struct SetNote {
    /// Markdown, at most 64 KiB of UTF-8, kept as it is.
    pub text: String,
}

/// The text of a comment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "text": "What a day!" }))]
pub struct WriteComment {
    /// Markdown, at most 8 KiB of UTF-8, kept as it is; not only spaces.
    pub text: String,
}

/// What somebody said about an item.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-cccc-7e20-9b3c-4d5e6f708192",
    "item_id": "01a1fd16-afe9-7000-b0f0-5a5fd0c3a1de",
    "text": "What a day!",
    "created_at": "2026-11-21T09:30:00Z",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "edited_at": null,
    "edits": 0,
}))]
pub struct Comment {
    /// Names the comment.
    pub id: Uuid,
    /// What it is about.
    pub item_id: Uuid,
    /// Markdown.
    pub text: String,
    /// When it was first written.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who wrote it.
    pub created_by: Uuid,
    /// When it was last edited; null when it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub edited_at: Option<Timestamp>,
    /// How often it was edited.
    pub edits: u32,
}

/// What a comment said for some time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "number": 1, "text": "What a day!", "written_at": "2026-11-21T09:30:00Z" }))]
pub struct CommentVersion {
    /// From 1; the last is what it says now.
    pub number: u32,
    /// Markdown.
    pub text: String,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub written_at: Timestamp,
}

/// Everything that a comment ever said.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CommentHistory {
    /// First to last.
    pub versions: Vec<CommentVersion>,
}

/// All that people put on an item, and you yourself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ItemDetails {
    /// The item.
    pub item: Item,
    /// Its tags, by name.
    #[schema(example = json!(["Family"]))]
    pub tags: Vec<String>,
    /// Whether it is a favourite of yours.
    pub favourite: bool,
    /// The colour that you gave it.
    pub label: Option<Colour>,
    /// Its star.
    pub star: Option<Star>,
    /// Its note.
    pub note: Option<Note>,
    /// How many comments it has.
    pub comment_count: u32,
    /// The last of them, at most 20, first to last.
    pub last_comments: Vec<Comment>,
}
