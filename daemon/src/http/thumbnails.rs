//! Small pictures of files.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{Problem, Thumbnail, ThumbnailState};
use serde::Deserialize;
use utoipa::IntoParams;

use super::conditional::{Wanted, wanted};
use super::extract::{Authenticated, Id, Parameters};
use super::problem::Refusal;
use crate::model::thumbnail::{self, Side};
use crate::service::Error;
use crate::service::thumbnails::Thumbnails;

/// How large.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Size {
    /// The longer side in pixels, at most: 300 or 1200; 300 when absent.
    size: Option<u32>,
}

/// A small picture of a file: a JPEG, upright, on white, without the metadata of the original.
///
/// It is made after the upload; `thumbnail` of the file says how far it is, and the problem's `code` why there is none.
#[utoipa::path(get, path = "/files/{id}/thumbnail", tag = "files", extensions(("x-action" = json!("read"))), security(("token" = [])),
    params(("id" = Uuid, Path), Size),
    responses((status = 200, body = Vec<u8>, content_type = "image/jpeg", headers(("ETag" = String, description = "its SHA-256, in quotes"))),
    (status = 304, description = "the client has it"),
    (status = 404, description = "`not_found`, `thumbnail_pending`, `thumbnail_failed`, `thumbnail_unsupported`: no such file, or no small picture of it (yet)", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not one of the sizes", body = Problem, content_type = "application/problem+json"),
    (status = 500, description = "`damaged`, `decryption_failed`: the stored bytes do not read back, or do not open", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(thumbnails): State<Arc<Thumbnails>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Parameters(Size { size }): Parameters<Size>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let side = size.map_or(Some(Side::Px300), Side::of_px);
    let side = side.ok_or_else(|| Error::field("size", "300 and 1200 are the sizes there are"))?;
    let picture = thumbnails.get(&caller, id, side).await?;
    let etag = format!("\"{}\"", picture.sha256);
    // Kept by the client, but asked about each time: rights may have ended.
    let described = [(header::CACHE_CONTROL, "private, no-cache".to_owned()), (header::ETAG, etag.clone())];
    if matches!(wanted(&headers, picture.size_bytes, &etag), Wanted::NotModified) {
        return Ok((StatusCode::NOT_MODIFIED, described).into_response());
    }
    let bytes = thumbnails.read(&caller, &picture).await?;
    Ok((described, [(header::CONTENT_TYPE, "image/jpeg")], bytes).into_response())
}

/// What became of the small pictures, as clients see it.
pub(super) fn wire(thumbnail: thumbnail::Thumbnail) -> Thumbnail {
    use thumbnail::ThumbnailState as State;
    let state = match thumbnail.state {
        State::Pending => ThumbnailState::Pending,
        State::Ready => ThumbnailState::Ready,
        State::Failed => ThumbnailState::Failed,
        State::Unsupported => ThumbnailState::Unsupported,
    };
    Thumbnail { state, reason: thumbnail.reason }
}
