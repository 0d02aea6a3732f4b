//! Folders and choices of items as ZIP archives.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{CreateArchive, Problem};

use super::content::{Disposition, body, content_disposition, insert};
use super::extract::{Authenticated, Id, Json};
use super::problem::Refusal;
use crate::service::Error;
use crate::service::archives::{Archive, Archives};
use crate::service::transfer::Content;

/// Download a folder, with all in it that you may see, as a ZIP archive.
///
/// It is made while it is sent: it cannot be asked for in parts. An archive that was cut off is shorter than its
/// `Content-Length` says.
#[utoipa::path(get, path = "/folders/{id}/archive", tag = "folders", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)),
    responses((status = 200, description = "the archive", body = Vec<u8>, content_type = "application/zip"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "too much for one archive", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "many archives are being made", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn folder(
    State(archives): State<Arc<Archives>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    method: Method,
) -> Result<Response, Refusal> {
    let archive = archives.of_folder(&caller, id).await?;
    reply(archive, &method, |archive| archives.send(&caller, archive)).await
}

/// Download files and folders as one ZIP archive. Items of the same name get a number: `name (2).ext`.
#[utoipa::path(post, path = "/archives", tag = "files", extensions(("x-action" = json!("read"))), security(("token" = [])), request_body = CreateArchive,
    responses((status = 200, description = "the archive", body = Vec<u8>, content_type = "application/zip"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "too much for one archive", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "no items, or too many", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "many archives are being made", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(archives): State<Arc<Archives>>,
    Authenticated(caller): Authenticated,
    method: Method,
    Json(wanted): Json<CreateArchive>,
) -> Result<Response, Refusal> {
    let archive = archives.of_items(&caller, &wanted.items).await?;
    reply(archive, &method, |archive| archives.send(&caller, archive)).await
}

/// The reply that carries an archive. `send` is called when it is to be made.
pub(super) async fn reply<F>(
    archive: Archive,
    method: &Method,
    send: impl FnOnce(Archive) -> F,
) -> Result<Response, Refusal>
where
    F: Future<Output = Result<Content, Error>>,
{
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(archive.length_bytes));
    let disposition = content_disposition(Disposition::Attachment, &archive.file_name);
    insert(&mut headers, header::CONTENT_DISPOSITION, &disposition);
    let body = if method == Method::HEAD { Body::empty() } else { body(send(archive).await?) };
    Ok((headers, body).into_response())
}
