//! What searches find.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Item;

/// A page of what a search found, best first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchResults {
    /// The items of this page.
    pub items: Vec<SearchResult>,
    /// Ask again with `?cursor=` this to get the next page; null on the last.
    pub next_cursor: Option<String>,
    /// Very much has these words: only what was indexed last was looked at. Another word, or a longer one, finds the rest.
    pub limited: bool,
}

/// Something that was found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchResult {
    /// The file or folder.
    pub item: Item,
    /// Where the words are; null when they are in the name or the tags alone.
    pub snippet: Option<Snippet>,
}

/// A piece of a text around words that were found. Put the parts one behind the other; they are plain text.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Snippet {
    /// Which text it is a piece of.
    pub source: SnippetSource,
    /// In their order.
    pub parts: Vec<SnippetPart>,
}

/// Where a piece of text was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnippetSource {
    /// The note.
    Note,
    /// A comment.
    Comments,
    /// The content.
    Content,
}

/// A part of a snippet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "text": "wedding", "found": true }))]
pub struct SnippetPart {
    /// Plain text.
    pub text: String,
    /// Whether it is a word that was asked for.
    pub found: bool,
}
