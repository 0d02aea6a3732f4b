//! Attachments of the items of secrets vaults: sealed streams in and out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{Problem, SecretAttachment};
use futures_util::StreamExt;

use super::content::{self, Described, Disposition, etag};
use super::digest;
use super::extract::{AccountHolder, ThreeIds, TwoIds};
use super::problem::Refusal;
use crate::model::media_type;
use crate::model::secret::{self, AttachmentPlace};
use crate::service::Error;
use crate::service::secret_attachments::{Announced, SecretAttachments};
use crate::service::transfer::BodyError;

/// List what is attached to an item, whether it is named in the item or not.
#[utoipa::path(get, path = "/secrets/vaults/{id}/items/{item_id}/attachments", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path), ("item_id" = uuid::Uuid, Path)), responses(
    (status = 200, body = Vec<SecretAttachment>),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such item of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(attachments): State<Arc<SecretAttachments>>,
    AccountHolder(caller): AccountHolder,
    TwoIds(vault_id, item_id): TwoIds,
) -> Result<axum::Json<Vec<SecretAttachment>>, Refusal> {
    let attached = attachments.list(&caller, vault_id, item_id).await?;
    Ok(axum::Json(attached.iter().map(wire).collect()))
}

/// Get an attachment, as it was sealed. Knows `Range` (one part or several), `If-Range`, `If-None-Match` and HEAD.
#[utoipa::path(get, path = "/secrets/vaults/{id}/items/{item_id}/attachments/{attachment_id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))),
    params(("id" = uuid::Uuid, Path), ("item_id" = uuid::Uuid, Path), ("attachment_id" = uuid::Uuid, Path)), responses(
    (status = 200, description = "all of it", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 206, description = "the part asked for, or several as multipart/byteranges", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 304, description = "the client has it"),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such attachment of yours", body = Problem, content_type = "application/problem+json"),
    (status = 416, description = "outside of the attachment", body = Problem, content_type = "application/problem+json"),
    (status = 500, description = "`damaged`: the stored bytes do not read back", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(attachments): State<Arc<SecretAttachments>>,
    AccountHolder(caller): AccountHolder,
    ThreeIds(vault_id, item_id, id): ThreeIds,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let attachment = attachments.get(&caller, AttachmentPlace { vault_id, item_id, id }).await?;
    let described = Described {
        file_name: &id.to_string(),
        media_type: media_type::UNKNOWN,
        size_bytes: attachment.size_bytes,
        sha256: &attachment.sha256,
    };
    let read = |pieces| attachments.read(&caller, &attachment, pieces);
    content::serve(described, Disposition::Attachment, &method, &headers, read).await
}

/// Attach something to an item: its sealed bytes are the body, whose length has to be announced. Editors, managers and owners
/// only.
///
/// It is there for members at once; that the item has it, says a revision of the item that names it. The same bytes under
/// the same id a second time are answered as the first time. `Content-Digest` (sha-256) or `X-Checksum-SHA256` is verified.
/// The reply means that it is on disk.
#[utoipa::path(put, path = "/secrets/vaults/{id}/items/{item_id}/attachments/{attachment_id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))),
    params(("id" = uuid::Uuid, Path), ("item_id" = uuid::Uuid, Path), ("attachment_id" = uuid::Uuid, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 200, description = "on disk", body = SecretAttachment),
    (status = 403, description = "`forbidden`, `session_needed`: not an editor", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault or item of yours, or it was deleted", body = Problem, content_type = "application/problem+json"),
    (status = 408, description = "the client fell silent", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: the item has 200 already", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "over 4 GiB", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "`invalid_field`, `digest_mismatch`: the id is taken by other bytes, no length, or not what the digest says", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`storage_full`, `quota_exceeded`: the drive is full, your quota is, or 16 GiB are attached in the vault", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn put(
    State(attachments): State<Arc<SecretAttachments>>,
    AccountHolder(caller): AccountHolder,
    ThreeIds(vault_id, item_id, id): ThreeIds,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let announced = announced(&headers)?;
    let frames = body.into_data_stream().map(|frame| frame.map_err(|_| BodyError));
    let place = AttachmentPlace { vault_id, item_id, id };
    let attachment = attachments.put(&caller, place, announced, frames).await?;
    Ok(([(header::ETAG, etag(&attachment.sha256))], axum::Json(wire(&attachment))).into_response())
}

/// Remove an attachment, for good. Editors, managers and owners only.
///
/// First write a revision of the item that does not name it; earlier ones may.
#[utoipa::path(delete, path = "/secrets/vaults/{id}/items/{item_id}/attachments/{attachment_id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))),
    params(("id" = uuid::Uuid, Path), ("item_id" = uuid::Uuid, Path), ("attachment_id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "gone"),
    (status = 403, description = "`forbidden`, `session_needed`: not an editor", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such attachment of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(attachments): State<Arc<SecretAttachments>>,
    AccountHolder(caller): AccountHolder,
    ThreeIds(vault_id, item_id, id): ThreeIds,
) -> Result<StatusCode, Refusal> {
    attachments.delete(&caller, AttachmentPlace { vault_id, item_id, id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn announced(headers: &HeaderMap) -> Result<Announced, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let size_bytes = length.ok_or_else(|| Error::field("content-length", "say how long it is"))?;
    Ok(Announced { size_bytes, sha256: digest::expected(headers).map_err(Refusal::Request)? })
}

fn wire(attachment: &secret::SecretAttachment) -> SecretAttachment {
    SecretAttachment {
        id: attachment.id,
        size_bytes: attachment.size_bytes,
        sha256: attachment.sha256.to_string(),
        created_at: attachment.created_at,
        created_by: attachment.created_by,
    }
}
