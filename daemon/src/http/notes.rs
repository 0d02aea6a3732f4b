//! Notes on files and folders.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{Note, Problem, SetNote};

use super::conditional::precondition;
use super::extract::{Authenticated, Id, Json};
use super::problem::{Refusal, RequestProblem};
use crate::model::note::{self, NoteText, NoteTextError};
use crate::service::Error;
use crate::service::notes::{Notes, Written};

/// Largest body: every byte of the text may be written as `\\u001f`.
const MAX_BODY_BYTES: usize = 6 * NoteText::MAX_BYTES + 64;

/// Read the note on a file or a folder.
#[utoipa::path(get, path = "/items/{id}/note", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 200, body = Note, headers(("ETag" = String, description = "its version, in quotes"))),
    (status = 404, description = "no such file or folder, or no note on it", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(notes): State<Arc<Notes>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<Response, Refusal> {
    Ok(reply(StatusCode::OK, notes.get(&caller, id).await?))
}

/// Write the note on a file or a folder, in Markdown.
///
/// With `If-Match` and an `ETag` only when it is still what you have seen, with `If-None-Match: *` only when there is none.
#[utoipa::path(put, path = "/items/{id}/note", tag = "organisation", extensions(("x-action" = json!("edit_own"))), security(("token" = [])),
    params(("id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "only when its `ETag` is one of these"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only when there is none")),
    request_body = SetNote, responses(
    (status = 200, description = "replaced", body = Note, headers(("ETag" = String, description = "its version, in quotes"))),
    (status = 201, description = "new", body = Note, headers(("ETag" = String, description = "its version, in quotes"))),
    (status = 403, description = "not yours", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "it is not what you have seen", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "the text is larger than 64 KiB", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "the text is empty", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set(
    State(notes): State<Arc<Notes>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    headers: HeaderMap,
    Json(body): Json<SetNote, MAX_BODY_BYTES>,
) -> Result<Response, Refusal> {
    let precondition = precondition(&headers).map_err(Refusal::Request)?;
    let text = NoteText::parse(body.text).map_err(|error| match error {
        NoteTextError::TooLong => Refusal::Request(RequestProblem::TooLarge { limit_bytes: NoteText::MAX_BYTES }),
        NoteTextError::Empty => Error::field("text", error.to_string()).into(),
    })?;
    let Written { note, created } = notes.set(&caller, id, text, precondition).await?;
    Ok(reply(if created { StatusCode::CREATED } else { StatusCode::OK }, note))
}

/// Delete the note on a file or a folder.
#[utoipa::path(delete, path = "/items/{id}/note", tag = "organisation", extensions(("x-action" = json!("edit_own"))), security(("token" = [])),
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "only when its `ETag` is one of these")), responses(
    (status = 204, description = "deleted"),
    (status = 403, description = "not yours", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or folder, or no note on it", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "it is not what you have seen", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(notes): State<Arc<Notes>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let precondition = precondition(&headers).map_err(Refusal::Request)?;
    notes.delete(&caller, id, precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn reply(status: StatusCode, note: note::Note) -> Response {
    let etag = [(header::ETAG, format!("\"{}\"", note.version))];
    (status, etag, axum::Json(wire(note))).into_response()
}

/// A note as clients see it.
pub(super) fn wire(note: note::Note) -> Note {
    let note::Note { item_id: _, text, version, updated_at, updated_by } = note;
    Note { text, version, updated_at, updated_by }
}
