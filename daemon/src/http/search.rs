//! Search.

use std::sync::Arc;

use axum::extract::State;
use coffer_api::{ItemKind, Problem, SearchResult, SearchResults, Snippet};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::extract::{Authenticated, Parameters};
use super::folders::PAGE;
use super::items;
use super::problem::Refusal;
use crate::model::cursor::{Cursor, Key};
use crate::model::search::{Filter, Position, TypePattern, Words};
use crate::model::snippet;
use crate::model::tag::TagName;
use crate::service::Error;
use crate::service::search::{Found, Results, Search, Wanted};

/// What to look for. Everything that is given must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchParameters {
    /// Words, each of which must be there; of the last one the beginning is enough, unless a space follows it. Without any,
    /// everything that passes the filters is found, last changed first.
    q: Option<String>,
    /// File or folder.
    #[param(inline)]
    kind: Option<ItemKind>,
    /// A media type, or the part of one before the slash: `image/png`, `image`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    media_type: Option<String>,
    /// It has this tag.
    tag: Option<String>,
    /// It lies in this folder or below.
    folder_id: Option<Uuid>,
    /// This person made it.
    owner_id: Option<Uuid>,
    /// A file that is at least so large.
    #[serde(rename = "size__ge")]
    #[param(rename = "size__ge")]
    size_ge: Option<u64>,
    /// A file that is at most so large.
    #[serde(rename = "size__le")]
    #[param(rename = "size__le")]
    size_le: Option<u64>,
    /// It changed at this time or later.
    #[serde(rename = "modified__ge")]
    #[param(rename = "modified__ge", value_type = Option<String>, format = DateTime)]
    modified_ge: Option<Timestamp>,
    /// It changed at this time or earlier.
    #[serde(rename = "modified__le")]
    #[param(rename = "modified__le", value_type = Option<String>, format = DateTime)]
    modified_le: Option<Timestamp>,
    /// 1 to 100; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before, with the same conditions.
    cursor: Option<String>,
}

/// Search in names, tags, notes, comments, texts and what cameras wrote, for files and folders that you see.
///
/// A word in the name counts most, then in the tags, then in the note. What was changed a moment ago may be missing yet.
#[utoipa::path(get, path = "/search", tag = "search", extensions(("x-action" = json!("read"))), security(("token" = [])), params(SearchParameters), responses(
    (status = 200, description = "may be short, or empty, and go on all the same", body = SearchResults),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "no word among the words, not a type, not a tag, or not a cursor", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn run(
    State(search): State<Arc<Search>>,
    Authenticated(caller): Authenticated,
    Parameters(given): Parameters<SearchParameters>,
) -> Result<axum::Json<SearchResults>, Refusal> {
    let Results { found, next, limited } = search.run(&caller, wanted(&given)?).await?;
    let next_cursor = next.map(|position| cursor(position).to_text());
    Ok(axum::Json(SearchResults { items: found.into_iter().map(wire).collect(), next_cursor, limited }))
}

fn wanted(given: &SearchParameters) -> Result<Wanted, Error> {
    let words = given.q.as_deref().map(Words::parse).transpose();
    let media_type = given.media_type.as_deref().map(TypePattern::parse).transpose();
    Ok(Wanted {
        words: words.map_err(|error| Error::field("q", error.to_string()))?.flatten(),
        filter: Filter {
            kind: given.kind,
            media_type: media_type.map_err(|error| Error::field("type", error.to_string()))?,
            tag: given.tag.as_deref().map(TagName::parse).transpose()?,
            folder_id: given.folder_id,
            owner_id: given.owner_id,
            size_from: given.size_ge,
            size_to: given.size_le,
            modified_from: given.modified_ge,
            modified_to: given.modified_le,
        },
        after: given.cursor.as_deref().map_or(Ok(Position::START), position)?,
        limit: given.limit.unwrap_or(PAGE),
    })
}

/// A cursor has room for an identifier; the number of a document is the end of one.
fn cursor(position: Position) -> Cursor {
    let id = Uuid::from_u64_pair(0, position.document.unsigned_abs());
    Cursor { key: Key::Number(position.rank), id }
}

fn position(text: &str) -> Result<Position, Error> {
    let parsed = Cursor::parse(text).and_then(|cursor| {
        let Key::Number(rank) = cursor.key else { return None };
        let (0, document) = cursor.id.as_u64_pair() else { return None };
        Some(Position { rank, document: i64::try_from(document).ok()? })
    });
    parsed.ok_or_else(|| Error::field("cursor", "it is not one that a search gave"))
}

fn wire(found: Found) -> SearchResult {
    let snippet = found.snippet.map(|snippet::Snippet { source, parts }| Snippet { source, parts });
    SearchResult { item: items::wire(&found.item), snippet }
}
