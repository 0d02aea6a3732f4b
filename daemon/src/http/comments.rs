//! Comments on files and folders.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{Comment, CommentHistory, CommentVersion, Page, Problem, WriteComment};

use super::extract::{Authenticated, Id, Json, PageParameters, Parameters};
use super::folders::PAGE;
use super::problem::{Refusal, RequestProblem};
use crate::model::comment::{self, CommentText, CommentTextError};
use crate::service::Error;
use crate::service::comments::Comments;

/// List the comments on a file or a folder, first to last.
#[utoipa::path(get, path = "/items/{id}/comments", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path), PageParameters), responses(
    (status = 200, body = Page<Comment>),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(comments): State<Arc<Comments>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Parameters(wanted): Parameters<PageParameters>,
) -> Result<axum::Json<Page<Comment>>, Refusal> {
    let (items, next) = comments.list(&caller, id, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
}

/// Say something about a file or a folder that you see, be it yours or not.
#[utoipa::path(post, path = "/items/{id}/comments", tag = "organisation", extensions(("x-action" = json!("comment"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = WriteComment, responses(
    (status = 201, body = Comment),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: there are 1000 already", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "the text is larger than 8 KiB", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "the text is empty", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn add(
    State(comments): State<Arc<Comments>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<WriteComment>,
) -> Result<(StatusCode, axum::Json<Comment>), Refusal> {
    let comment = comments.add(&caller, id, text(body)?).await?;
    Ok((StatusCode::CREATED, axum::Json(wire(comment))))
}

/// Edit a comment of yours. What it said before can still be read, by everybody who sees it.
#[utoipa::path(patch, path = "/comments/{id}", tag = "organisation", extensions(("x-action" = json!("comment"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = WriteComment, responses(
    (status = 200, body = Comment),
    (status = 403, description = "not yours", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such comment", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: it was edited 100 times", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "the text is larger than 8 KiB", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "the text is empty", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn edit(
    State(comments): State<Arc<Comments>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<WriteComment>,
) -> Result<axum::Json<Comment>, Refusal> {
    Ok(axum::Json(wire(comments.edit(&caller, id, text(body)?).await?)))
}

/// Delete a comment with its history: your own, or anybody's when you may change everything.
#[utoipa::path(delete, path = "/comments/{id}", tag = "organisation", extensions(("x-action" = json!("comment"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 204, description = "deleted"),
    (status = 403, description = "not yours", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such comment", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(comments): State<Arc<Comments>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    comments.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read everything that a comment ever said.
#[utoipa::path(get, path = "/comments/{id}/history", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 200, body = CommentHistory),
    (status = 404, description = "no such comment", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn history(
    State(comments): State<Arc<Comments>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<axum::Json<CommentHistory>, Refusal> {
    let versions = comments.history(&caller, id).await?.into_iter();
    let wire = |comment::CommentVersion { number, text, written_at }| CommentVersion { number, text, written_at };
    Ok(axum::Json(CommentHistory { versions: versions.map(wire).collect() }))
}

fn text(body: WriteComment) -> Result<CommentText, Refusal> {
    CommentText::parse(body.text).map_err(|error| match error {
        CommentTextError::TooLong => Refusal::Request(RequestProblem::TooLarge { limit_bytes: CommentText::MAX_BYTES }),
        CommentTextError::Empty => Error::field("text", error.to_string()).into(),
    })
}

/// A comment as clients see it.
pub(super) fn wire(comment: comment::Comment) -> Comment {
    let comment::Comment { id, item_id, text, created_at, created_by, edited_at, edits } = comment;
    Comment { id, item_id, text, created_at, created_by, edited_at, edits }
}
