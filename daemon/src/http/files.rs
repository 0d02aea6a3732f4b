//! Files and their contents.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{File, Page, Problem};
use futures_util::StreamExt;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::content::{self, ContentParameters, Described};
use super::extract::{Authenticated, Id, Parameters};
use super::folders::PAGE;
use super::problem::Refusal;
use crate::model::file;
use crate::model::name::FileName;
use crate::service::files::Files;
use crate::service::transfer::BodyError;

/// Where an upload goes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Upload {
    /// The folder; the root when absent.
    folder_id: Option<Uuid>,
    /// 1 to 255 bytes of UTF-8, one path segment; brought to NFC.
    name: String,
}

/// Which files.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListFiles {
    /// The folder to look into; the root when absent.
    folder_id: Option<Uuid>,
    /// 1 to 500; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// Upload a file: its bytes are the body, of any length.
///
/// Everything that can be refused is refused before the body is read. The reply means that the file is on disk.
#[utoipa::path(post, path = "/files", tag = "files", extensions(("x-action" = json!("add"))), security(("token" = [])), params(Upload),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 201, body = File),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 408, description = "the client fell silent", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "the drive is full", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn upload(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Parameters(place): Parameters<Upload>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let name = FileName::parse(&place.name)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let frames = body.into_data_stream().map(|frame| frame.map_err(|_| BodyError));
    let file = files.store(&caller, place.folder_id, &name, length, frames).await?;
    let location = format!("/api/v1/files/{}", file.id);
    let headers = [(header::LOCATION, location), (header::ETAG, content::etag(&file.sha256))];
    Ok((StatusCode::CREATED, headers, axum::Json(wire(file))).into_response())
}

/// List the files directly inside a folder.
#[utoipa::path(get, path = "/files", tag = "files", extensions(("x-action" = json!("read"))), security(("token" = [])), params(ListFiles), responses(
    (status = 200, body = Page<File>),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListFiles>,
) -> Result<axum::Json<Page<File>>, Refusal> {
    let limit = wanted.limit.unwrap_or(PAGE);
    let (items, next) = files.list(&caller, wanted.folder_id, wanted.cursor, limit).await?;
    let items = items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
}

/// Look at a file.
#[utoipa::path(get, path = "/files/{id}", tag = "files", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)),
    responses((status = 200, body = File),
    (status = 404, description = "no such file", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<axum::Json<File>, Refusal> {
    Ok(axum::Json(wire(files.get(&caller, id).await?)))
}

/// Delete a file for good.
#[utoipa::path(delete, path = "/files/{id}", tag = "files", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), params(("id" = Uuid, Path)),
    responses((status = 204, description = "deleted"),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    files.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Download a file, or look at it. Knows `Range` (one part or several), `If-Range`, `If-None-Match` and HEAD.
#[utoipa::path(get, path = "/files/{id}/content", tag = "files", extensions(("x-action" = json!("read"))), security(("token" = [])),
    params(("id" = Uuid, Path), ContentParameters),
    responses((status = 200, description = "all of it", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 206, description = "the part asked for, or several as multipart/byteranges", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 304, description = "the client has it"),
    (status = 404, description = "no such file", body = Problem, content_type = "application/problem+json"),
    (status = 416, description = "outside of the content", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn content(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Parameters(wanted): Parameters<ContentParameters>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let file = files.get(&caller, id).await?;
    let media_type = mime_guess::from_path(&file.name).first_raw().unwrap_or("application/octet-stream");
    let described =
        Described { file_name: &file.name, media_type, size_bytes: file.size_bytes, sha256: &file.sha256 };
    content::serve(described, wanted.disposition, &method, &headers, |pieces| files.read(&caller, &file, pieces)).await
}

fn wire(file: file::File) -> File {
    File {
        id: file.id,
        folder_id: file.folder_id,
        name: file.name,
        size_bytes: file.size_bytes,
        sha256: file.sha256.to_string(),
        created_at: file.created_at,
        created_by: file.created_by,
    }
}
