//! Files and their contents.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{CreateText, File, FileText, Page, PlaceFile, Problem};
use futures_util::StreamExt;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::conditional::precondition;
use super::content::{self, ContentParameters, Described, Disposition, etag};
use super::digest;
use super::extract::{Authenticated, Id, Json, Parameters};
use super::folders::PAGE;
use super::problem::Refusal;
use super::thumbnails;
use super::users::Order;
use crate::model::cursor::Cursor;
use crate::model::file::{self, FileOrder};
use crate::model::folder::Placement;
use crate::model::name::FileName;
use crate::model::sealing;
use crate::service::Error;
use crate::service::caller::Caller;
use crate::service::files::{FileList, Files, Saved, Target, Upload};
use crate::service::texts::MAX_TEXT_BYTES;
use crate::service::transfer::BodyError;

/// Largest JSON body that carries a text: every byte of it may be written as `\\u001f`.
const MAX_TEXT_JSON: usize = 6 * MAX_TEXT_BYTES + 4096;

/// By which a client says that it has sealed what it sends: then it is stored and served as it is, and nothing looks into it.
const ENCRYPTION: &str = "coffer-encryption";

/// Where an upload goes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UploadParameters {
    /// The folder; the root when absent.
    folder_id: Option<Uuid>,
    /// 1 to 255 bytes of UTF-8, one path segment; brought to NFC.
    name: String,
}

/// Which files, in which order.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListFiles {
    /// The folder to look into; the root when absent.
    folder_id: Option<Uuid>,
    /// `created_at` when absent.
    #[param(inline)]
    order_by: Option<OrderBy>,
    /// `asc` when absent.
    #[param(inline)]
    order: Option<Order>,
    /// 1 to 500; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before, with the same order.
    cursor: Option<String>,
}

/// What files are ordered by.
#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum OrderBy {
    Name,
    CreatedAt,
    ModifiedAt,
    SizeBytes,
}

/// Upload a file: its bytes are the body, of any length.
///
/// A file of that name gets its next revision, when you may change it; `If-None-Match: *` refuses that, and `If-Match`
/// refuses everything else. `Content-Digest` (sha-256) or `X-Checksum-SHA256` is verified. Everything that can be refused
/// is refused before the body is read. The reply means that the file is on disk.
#[utoipa::path(post, path = "/files", tag = "files", extensions(("x-action" = json!("add"))), security(("token" = [])), params(UploadParameters),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 201, body = File),
    (status = 200, description = "the next revision of a file that was there", body = File),
    (status = 403, description = "you may only look, or the file there is somebody else's", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 408, description = "the client fell silent", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`: a folder has that name", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "the file is not what If-Match or If-None-Match says", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "`invalid_field`, `digest_mismatch`: not a name, or not what the digest says", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`storage_full`, `quota_exceeded`: the drive is full, or the quota is", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn upload(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Parameters(place): Parameters<UploadParameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let name = FileName::parse(&place.name)?;
    let wanted = wanted(Target::Name { folder_id: place.folder_id, name }, &headers)?;
    let frames = body.into_data_stream().map(|frame| frame.map_err(|_| BodyError));
    Ok(saved(files.store(&caller, wanted, frames).await?))
}

/// Replace the content of a file: its next revision. Knows the same headers as an upload.
#[utoipa::path(put, path = "/files/{id}/content", tag = "files", extensions(("x-action" = json!("add"))), security(("token" = [])), params(("id" = Uuid, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 200, body = File),
    (status = 403, description = "not your file", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "the file is not what If-Match says", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "`digest_mismatch`: not what the digest says", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`storage_full`, `quota_exceeded`: the drive is full, or the quota is", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn replace(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let wanted = wanted(Target::File(id), &headers)?;
    let frames = body.into_data_stream().map(|frame| frame.map_err(|_| BodyError));
    Ok(saved(files.store(&caller, wanted, frames).await?))
}

/// Store a text as a file. A file of that name gets its next revision, as with an upload.
#[utoipa::path(post, path = "/texts", tag = "files", extensions(("x-action" = json!("add"))), security(("token" = [])), request_body = CreateText, responses(
    (status = 201, body = File),
    (status = 200, description = "the next revision of a file that was there", body = File),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`: a folder has that name", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "the file is not what If-Match or If-None-Match says", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name, or too long", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create_text(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    Json(body): Json<CreateText, MAX_TEXT_JSON>,
) -> Result<Response, Refusal> {
    let target = Target::Name { folder_id: body.folder_id, name: FileName::parse(&body.name)? };
    let precondition = precondition(&headers).map_err(Refusal::Request)?;
    Ok(saved(files.store_text(&caller, target, precondition, body.text).await?))
}

/// Read a file as a text.
#[utoipa::path(get, path = "/files/{id}/text", tag = "files", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 200, body = FileText),
    (status = 404, description = "no such file", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "not UTF-8, or over 1 MiB", body = Problem, content_type = "application/problem+json"),
    (status = 500, description = "`damaged`, `decryption_failed`: the stored bytes do not read back, or do not open", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn text(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<Response, Refusal> {
    let (file, text) = files.text(&caller, id).await?;
    Ok(([(header::ETAG, etag(&file.sha256))], axum::Json(FileText { text })).into_response())
}

/// Edit a text: the file's next revision. `If-Match` with the `ETag` that was read is a must, so that two people who edit
/// at once do not overwrite each other.
#[utoipa::path(put, path = "/files/{id}/text", tag = "files", extensions(("x-action" = json!("add"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = FileText, responses(
    (status = 200, body = File),
    (status = 404, description = "no such file", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "somebody changed it meanwhile", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "no If-Match", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn edit_text(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    headers: HeaderMap,
    Json(body): Json<FileText, MAX_TEXT_JSON>,
) -> Result<Response, Refusal> {
    let precondition = precondition(&headers).map_err(Refusal::Request)?;
    Ok(saved(files.edit_text(&caller, id, precondition, body.text).await?))
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
    let list = FileList {
        folder_id: wanted.folder_id,
        order: match wanted.order_by {
            Some(OrderBy::Name) => FileOrder::Name,
            Some(OrderBy::CreatedAt) | None => FileOrder::CreatedAt,
            Some(OrderBy::ModifiedAt) => FileOrder::ModifiedAt,
            Some(OrderBy::SizeBytes) => FileOrder::SizeBytes,
        },
        descending: wanted.order == Some(Order::Desc),
        after: cursor(wanted.cursor.as_deref())?,
        limit: wanted.limit.unwrap_or(PAGE),
    };
    let (items, next) = files.list(&caller, list).await?;
    let items = items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|cursor| cursor.to_text()) }))
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

/// Give a file another name, another place, or both. Its revisions stay.
#[utoipa::path(patch, path = "/files/{id}", tag = "files", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = PlaceFile,
    responses((status = 200, body = File),
    (status = 403, description = "not your file, or you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`: the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name, or the path gets too long", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: one of the folders is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn change(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<PlaceFile>,
) -> Result<axum::Json<File>, Refusal> {
    Ok(axum::Json(wire(files.change(&caller, id, placement(body.name.as_deref(), body.folder_id)?).await?)))
}

/// Copy a file: at once, whatever its size, because both share their bytes. Old revisions are not copied.
#[utoipa::path(post, path = "/files/{id}/copy", tag = "files", extensions(("x-action" = json!("add"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = PlaceFile,
    responses((status = 201, body = File),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`: the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`quota_exceeded`: your quota is used up", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn copy(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<PlaceFile>,
) -> Result<Response, Refusal> {
    let placement = placement(body.name.as_deref(), body.folder_id)?;
    Ok(saved(Saved { file: files.copy(&caller, id, placement).await?, created: true }))
}

/// Put a file into the trash.
#[utoipa::path(delete, path = "/files/{id}", tag = "files", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), params(("id" = Uuid, Path)),
    responses((status = 204, description = "in the trash"),
    (status = 403, description = "not your file, or you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn trash(
    State(files): State<Arc<Files>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    files.trash(&caller, id).await?;
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
    (status = 500, description = "`damaged`, `decryption_failed`: the stored bytes do not read back, or do not open", body = Problem, content_type = "application/problem+json"),
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
    serve(&files, &caller, &file, wanted.disposition, &method, &headers).await
}

/// The content of a file, of whichever revision it says.
pub(super) async fn serve(
    files: &Files,
    caller: &Caller,
    file: &file::File,
    disposition: Disposition,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let described = Described {
        file_name: &file.name,
        media_type: &file.media_type,
        size_bytes: file.size_bytes,
        sha256: &file.sha256,
    };
    content::serve(described, disposition, method, headers, |pieces| files.read(caller, file, pieces)).await
}

/// The reply after a content was stored.
pub(super) fn saved(saved: Saved) -> Response {
    let status = if saved.created { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/api/v1/files/{}", saved.file.id);
    let headers = [(header::LOCATION, location), (header::ETAG, etag(&saved.file.sha256))];
    (status, headers, axum::Json(wire(saved.file))).into_response()
}

/// A place that is asked for.
#[expect(clippy::option_option, reason = "absent, null and a value are three things in a merge patch (RFC 7396)")]
pub(super) fn placement(name: Option<&str>, folder_id: Option<Option<Uuid>>) -> Result<Placement, Refusal> {
    Ok(Placement { name: name.map(FileName::parse).transpose()?, folder_id })
}

/// Where a page starts.
pub(super) fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Refusal> {
    let not_one = || Error::field("cursor", "it is not one that a list like this gave");
    Ok(text.map(|text| Cursor::parse(text).ok_or_else(not_one)).transpose()?)
}

fn wanted(target: Target, headers: &HeaderMap) -> Result<Upload, Refusal> {
    Ok(Upload {
        target,
        announced_bytes: headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()),
        sha256: digest::expected(headers).map_err(Refusal::Request)?,
        precondition: precondition(headers).map_err(Refusal::Request)?,
        client_sealed: client_sealed(headers)?,
    })
}

/// Whether the client says that it has sealed what it sends.
pub(super) fn client_sealed(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(ENCRYPTION).map(HeaderValue::as_bytes) {
        None => Ok(false),
        Some(b"client") => Ok(true),
        Some(_) => Err(Error::field("coffer-encryption", "`client`, or no such header").into()),
    }
}

/// A file as clients see it.
pub(super) fn wire(file: file::File) -> File {
    File {
        id: file.id,
        folder_id: file.folder_id,
        name: file.name,
        revision: file.revision,
        size_bytes: file.size_bytes,
        sha256: file.sha256.to_string(),
        media_type: file.media_type,
        encryption_method: sealing::method(file.seal.as_ref()),
        encryption_version: file.seal.as_ref().map(|seal| seal.version),
        encrypted_size_bytes: file.seal.as_ref().map(|seal| seal.encrypted_bytes),
        key_generation: file.seal.as_ref().map(|seal| seal.key_generation),
        key_id: file.seal.and_then(|seal| seal.key_id),
        thumbnail: file.thumbnail.map(thumbnails::wire),
        created_at: file.created_at,
        created_by: file.created_by,
        modified_at: file.modified_at,
        modified_by: file.modified_by,
    }
}
