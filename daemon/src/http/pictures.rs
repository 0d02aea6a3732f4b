//! Turning pictures.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use coffer_api::{File, Flip, Problem, TurnPicture};

use super::conditional::precondition;
use super::extract::{Authenticated, Id, Json};
use super::files::saved;
use super::problem::Refusal;
use crate::service::Error;
use crate::service::pictures::{Pictures, Turn};

/// Turn a picture, without loss: the file's next revision.
///
/// A JPEG keeps its pixels: how to show them is written into its EXIF data, which is what `rotate` and `flip` go by and
/// all programs that show photographs. Others are written anew, upright, in their own format; WebP without loss. A
/// picture that moves is refused.
#[utoipa::path(post, path = "/files/{id}/image", tag = "files", extensions(("x-action" = json!("add"))), security(("token" = [])),
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "only when the content's `ETag` is one of these")),
    request_body = TurnPicture, responses(
    (status = 200, body = File),
    (status = 403, description = "not your file", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "the file is not what If-Match says", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "`invalid_field`, `picture_not_turned`: not exactly one wish, or not a picture that can be turned", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "too many are being turned", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`storage_full`, `quota_exceeded`: the drive is full, or the quota is", body = Problem, content_type = "application/problem+json"),
    (status = 500, description = "`damaged`, `decryption_failed`: the stored bytes do not read back, or do not open", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn turn(
    State(pictures): State<Arc<Pictures>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    headers: HeaderMap,
    Json(wish): Json<TurnPicture>,
) -> Result<Response, Refusal> {
    let precondition = precondition(&headers).map_err(Refusal::Request)?;
    Ok(saved(pictures.turn(&caller, id, parse(&wish)?, precondition).await?))
}

fn parse(wish: &TurnPicture) -> Result<Turn, Error> {
    match (wish.rotate, wish.flip) {
        (Some(90), None) => Ok(Turn::Rotate90),
        (Some(180), None) => Ok(Turn::Rotate180),
        (Some(270), None) => Ok(Turn::Rotate270),
        (None, Some(Flip::Horizontal)) => Ok(Turn::FlipHorizontal),
        (None, Some(Flip::Vertical)) => Ok(Turn::FlipVertical),
        (Some(_), None) => Err(Error::field("rotate", "90, 180 and 270 degrees are the turns there are")),
        (None, None) => Err(Error::field("rotate", "say how to rotate or how to flip")),
        (Some(_), Some(_)) => Err(Error::field("flip", "rotate or flip, not both at once")),
    }
}
