//! Resumable uploads, for every client that speaks tus 1.0.0.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use coffer_api::{Problem, Upload};
use futures_util::{Stream, StreamExt};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Services;
use super::conditional::precondition;
use super::content::insert;
use super::extract::{Authenticated, Id};
use super::problem::{Refusal, RequestProblem};
use super::tus::{self, Creation};
use crate::model::role::Action;
use crate::model::upload;
use crate::service::caller::Caller;
use crate::service::transfer::BodyError;
use crate::service::uploads::{NextBytes, Uploads};

const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// The routes of uploads.
pub(super) fn router() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(abilities, create))
        .routes(routes!(get, append, terminate, overridden))
        .route_layer(from_fn(tus::around))
}

/// Somebody who may upload; found out before anything else is looked at.
pub(super) struct Uploader(Caller);

impl FromRequestParts<Services> for Uploader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Refusal> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, services).await?;
        caller.require(Action::Add).await?;
        Ok(Self(caller))
    }
}

/// What the server can of the tus protocol.
#[utoipa::path(options, path = "/uploads", tag = "uploads", extensions(("x-action" = json!("public"))),
    responses((status = 204, description = "Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm")))]
pub(super) async fn abilities() -> Response {
    tus::abilities()
}

/// Begin a resumable upload (tus 1.0.0), or put one together from parts.
///
/// `Upload-Length` says how long it is, `Upload-Metadata` what the file is called (`filename`) and where it goes
/// (`folder_id`; the root when absent). Bytes may come along, as `application/offset+octet-stream`. `If-Match` and
/// `If-None-Match` are about the file of that name, and hold for this request; parts know none.
#[utoipa::path(post, path = "/uploads", tag = "uploads", extensions(("x-action" = json!("add"))), security(("token" = [])),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"), responses(
    (status = 201, description = "begun, at Location; Coffer-File names the file when all of it is there"),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder, or part", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`, `part_incomplete`: the name is taken, or a part is not complete", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "another version of tus, or the file is not what If-Match or If-None-Match says", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "too long", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name", body = Problem, content_type = "application/problem+json"),
    (status = 460, description = "the check sum does not match", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`storage_full`, `quota_exceeded`: the drive is full, or the quota is", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(uploads): State<Arc<Uploads>>,
    Uploader(caller): Uploader,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let upload = match tus::creation(&headers).map_err(Refusal::Request)? {
        Creation::FromParts { ids, named, new } => uploads.concatenate(&caller, &ids, named, new).await?,
        Creation::FromBytes(new) => {
            let checksum = tus::checksum(&headers).map_err(Refusal::Request)?;
            let precondition = new.precondition.clone();
            let begun = uploads.create(&caller, new).await?;
            let brings_bytes = tus::brings_bytes(&headers);
            if brings_bytes || begun.is_complete() {
                let announced_bytes = announced(&headers).filter(|_| brings_bytes);
                let next = NextBytes { offset: 0, announced_bytes, checksum, precondition };
                uploads.append(caller, begun.id, next, frames(body)).await?
            } else {
                begun
            }
        }
    };
    let mut described = tus::described(&upload);
    insert(&mut described, header::LOCATION, &format!("/api/v1/uploads/{}", upload.id));
    Ok((StatusCode::CREATED, described).into_response())
}

/// See how far an upload is: by HEAD, as tus wants it, or with a document.
#[utoipa::path(get, path = "/uploads/{id}", tag = "uploads", extensions(("x-action" = json!("add"))), security(("token" = [])), params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = Upload),
    (status = 404, description = "no such upload", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "another version of tus", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(uploads): State<Arc<Uploads>>,
    Uploader(caller): Uploader,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    tus::check_version(&headers).map_err(Refusal::Request)?;
    let upload = uploads.get(&caller, id).await?;
    Ok((tus::described(&upload), axum::Json(wire(upload))).into_response())
}

/// Send bytes of an upload, from `Upload-Offset` on. The reply says how many are on disk.
///
/// `If-Match` and `If-None-Match` are about the file that the upload becomes, before the bytes are read and once more when
/// all are there: send them with each request.
#[utoipa::path(patch, path = "/uploads/{id}", tag = "uploads", extensions(("x-action" = json!("add"))), security(("token" = [])), params(("id" = uuid::Uuid, Path)),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"), responses(
    (status = 204, description = "on disk; Coffer-File names the file when all of it is there"),
    (status = 403, description = "you may only look, or it was put together from parts", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such upload", body = Problem, content_type = "application/problem+json"),
    (status = 408, description = "the client fell silent", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`wrong_offset`, `name_taken`: another offset, or the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "another version of tus, or the file is not what If-Match or If-None-Match says", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "more than announced", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "not application/offset+octet-stream", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`upload_busy`, `write_protected`: another request is writing to it", body = Problem, content_type = "application/problem+json"),
    (status = 460, description = "the check sum does not match", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`storage_full`, `quota_exceeded`: the drive is full, or the quota is", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn append(
    State(uploads): State<Arc<Uploads>>,
    Uploader(caller): Uploader,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let offset = tus::offset(&headers).map_err(Refusal::Request)?;
    let checksum = tus::checksum(&headers).map_err(Refusal::Request)?;
    let precondition = precondition(&headers).map_err(Refusal::Request)?;
    let next = NextBytes { offset, announced_bytes: announced(&headers), checksum, precondition };
    let upload = uploads.append(caller, id, next, frames(body)).await?;
    Ok((StatusCode::NO_CONTENT, tus::described(&upload)).into_response())
}

/// Forget an upload and what came of it. A file that it has become stays.
#[utoipa::path(delete, path = "/uploads/{id}", tag = "uploads", extensions(("x-action" = json!("add"))), security(("token" = [])), params(("id" = uuid::Uuid, Path)),
    responses((status = 204, description = "forgotten"),
    (status = 404, description = "no such upload", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "another version of tus", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`upload_busy`: a request is writing to it", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn terminate(
    State(uploads): State<Arc<Uploads>>,
    Uploader(caller): Uploader,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    tus::check_version(&headers).map_err(Refusal::Request)?;
    uploads.terminate(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send or forget, for clients that can do neither PATCH nor DELETE: `X-HTTP-Method-Override` says which is meant.
#[utoipa::path(post, path = "/uploads/{id}", tag = "uploads", extensions(("x-action" = json!("add"))), security(("token" = [])), params(("id" = uuid::Uuid, Path)),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"), responses(
    (status = 204, description = "done"),
    (status = 404, description = "no such upload", body = Problem, content_type = "application/problem+json"),
    (status = 405, description = "the header names neither PATCH nor DELETE", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn overridden(
    uploads: State<Arc<Uploads>>,
    uploader: Uploader,
    id: Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    match headers.get(METHOD_OVERRIDE).map(HeaderValue::as_bytes) {
        Some(b"PATCH") => append(uploads, uploader, id, headers, body).await,
        Some(b"DELETE") => Ok(terminate(uploads, uploader, id, headers).await?.into_response()),
        Some(_) | None => Err(Refusal::Request(RequestProblem::NoSuchMethod)),
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn frames(body: Body) -> impl Stream<Item = Result<bytes::Bytes, BodyError>> + Send + 'static {
    body.into_data_stream().map(|frame| frame.map_err(|_| BodyError))
}

fn wire(upload: upload::Upload) -> Upload {
    Upload {
        id: upload.id,
        offset_bytes: upload.offset(),
        folder_id: upload.folder_id,
        name: upload.name,
        length_bytes: upload.length_bytes,
        file_id: upload.file_id,
        created_at: upload.created_at,
        expires_at: upload.expires_at,
    }
}
