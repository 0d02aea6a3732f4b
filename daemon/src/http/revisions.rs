//! Revisions of a file.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use coffer_api::{File, Page, Problem, Revision};
use serde::Deserialize;
use utoipa::IntoParams;

use super::conditional::precondition;
use super::content::ContentParameters;
use super::extract::{Authenticated, Id, IdAndNumber, Parameters};
use super::files::{saved, serve};
use super::folders::PAGE;
use super::problem::Refusal;
use crate::model::file;
use crate::model::sealing;
use crate::service::files::Files;

/// Which part of a list that is ordered by number.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRevisions {
    /// 1 to 500; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<u32>,
}

/// List the revisions of a file, newest first.
#[utoipa::path(get, path = "/files/{id}/revisions", tag = "revisions", extensions(("x-action" = json!("read"))), security(("token" = [])),
    params(("id" = Uuid, Path), ListRevisions), responses(
    (status = 200, body = Page<Revision>),
    (status = 404, description = "no such file", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Parameters(wanted): Parameters<ListRevisions>,
) -> Result<axum::Json<Page<Revision>>, Refusal> {
    let (items, next) = files.revisions(&caller, id, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|number| number.to_string()) }))
}

/// Look at a revision.
#[utoipa::path(get, path = "/files/{id}/revisions/{number}", tag = "revisions", extensions(("x-action" = json!("read"))), security(("token" = [])),
    params(("id" = Uuid, Path), ("number" = u32, Path)), responses(
    (status = 200, body = Revision),
    (status = 404, description = "no such file or revision", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    IdAndNumber(id, number): IdAndNumber,
) -> Result<axum::Json<Revision>, Refusal> {
    Ok(axum::Json(wire(files.revision(&caller, id, number).await?.0)))
}

/// Download a revision, as one downloads the file.
#[utoipa::path(get, path = "/files/{id}/revisions/{number}/content", tag = "revisions", extensions(("x-action" = json!("read"))), security(("token" = [])),
    params(("id" = Uuid, Path), ("number" = u32, Path), ContentParameters),
    responses((status = 200, description = "all of it", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 206, description = "the part asked for, or several as multipart/byteranges", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 304, description = "the client has it"),
    (status = 404, description = "no such file or revision", body = Problem, content_type = "application/problem+json"),
    (status = 416, description = "outside of the content", body = Problem, content_type = "application/problem+json"),
    (status = 500, description = "`damaged`, `decryption_failed`: the stored bytes do not read back, or do not open", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn content(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    IdAndNumber(id, number): IdAndNumber,
    Parameters(wanted): Parameters<ContentParameters>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (_, file) = files.revision(&caller, id, number).await?;
    serve(&files, &caller, &file, wanted.disposition, &method, &headers).await
}

/// Make an old revision the content again: as the next revision, which shares its bytes. Knows `If-Match`.
#[utoipa::path(post, path = "/files/{id}/revisions/{number}/restore", tag = "revisions", extensions(("x-action" = json!("edit_own"))), security(("token" = [])),
    params(("id" = Uuid, Path), ("number" = u32, Path)), responses(
    (status = 200, body = File),
    (status = 403, description = "not your file", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or revision", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "the file is not what If-Match says", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn restore(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    IdAndNumber(id, number): IdAndNumber,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let precondition = precondition(&headers).map_err(Refusal::Request)?;
    Ok(saved(files.restore_revision(&caller, id, number, precondition).await?))
}

/// Delete an old revision for good.
#[utoipa::path(delete, path = "/files/{id}/revisions/{number}", tag = "revisions", extensions(("x-action" = json!("edit_own"))), security(("token" = [])),
    params(("id" = Uuid, Path), ("number" = u32, Path)), responses(
    (status = 204, description = "deleted"),
    (status = 403, description = "not your file", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or revision", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`current_revision`: it is the current one", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    IdAndNumber(id, number): IdAndNumber,
) -> Result<StatusCode, Refusal> {
    files.delete_revision(&caller, id, number).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wire(revision: file::Revision) -> Revision {
    Revision {
        number: revision.number,
        size_bytes: revision.size_bytes,
        sha256: revision.sha256.to_string(),
        media_type: revision.media_type,
        encryption_method: sealing::method(revision.seal.as_ref()),
        encryption_version: revision.seal.as_ref().map(|seal| seal.version),
        encrypted_size_bytes: revision.seal.as_ref().map(|seal| seal.encrypted_bytes),
        key_generation: revision.seal.as_ref().map(|seal| seal.key_generation),
        key_id: revision.seal.and_then(|seal| seal.key_id),
        created_at: revision.created_at,
        created_by: revision.created_by,
    }
}
