//! Share links, for who makes them. What visitors see is in `share_visits.rs` and `share_pages.rs`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{ChangeShare, CreateShare, NewShare, Page, Problem, SecretString, Share};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::extract::{Authenticated, Id, Json, Parameters};
use super::folders::PAGE;
use super::problem::Refusal;
use crate::model::share::{self, ShareFilter, SharedId};
use crate::model::user::DisplayName;
use crate::service::Error;
use crate::service::shares::{self, ShareChange, Shares};

/// Which links.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListShares {
    /// Those of this person; for administrators, who see everybody's.
    created_by: Option<Uuid>,
    /// Those that lead to this file or folder.
    item_id: Option<Uuid>,
    /// 1 to 500; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// Make a share link: people without an account reach a file or a folder by it, as far as you do.
///
/// Its token is shown this once. It ends when its time comes, with the last download that it is good for, when it is
/// taken back, and with your account, your right to share or your access to the item; while that is in the trash it is
/// not there.
#[utoipa::path(post, path = "/shares", tag = "shares", extensions(("x-action" = json!("share"))), security(("token" = [])), request_body = CreateShare, responses(
    (status = 201, body = NewShare),
    (status = 403, description = "you may only look into the folder that a drop is for", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: you have too many", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder that a drop is for is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(shares): State<Arc<Shares>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<CreateShare>,
) -> Result<(StatusCode, axum::Json<NewShare>), Refusal> {
    let item = match (body.file_id, body.folder_id) {
        (Some(id), None) => SharedId::File(id),
        (None, Some(id)) => SharedId::Folder(id),
        (_, _) => return Err(Error::field("file_id", "name a file or a folder, and not both").into()),
    };
    let new = shares::NewShare {
        kind: body.kind,
        item,
        name: body.name.as_deref().map(title).transpose()?,
        expires_at: body.expires_at,
        password: body.password.as_ref().map(secret),
        max_downloads: body.max_downloads,
        max_upload_bytes: body.max_upload_bytes,
    };
    let (share, token) = shares.create(&caller, new).await?;
    let text = token.text();
    let path = Zeroizing::new(format!("/share/{}", *text));
    let created = NewShare { share: wire(share), token: SecretString::new(text), path: SecretString::new(path) };
    Ok((StatusCode::CREATED, axum::Json(created)))
}

/// List your share links, newest first; administrators see everybody's. Those that have ended stay until taken back.
#[utoipa::path(get, path = "/shares", tag = "shares", extensions(("x-action" = json!("share"))), security(("token" = [])), params(ListShares), responses(
    (status = 200, body = Page<Share>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(shares): State<Arc<Shares>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListShares>,
) -> Result<axum::Json<Page<Share>>, Refusal> {
    let filter = ShareFilter { created_by: wanted.created_by, item_id: wanted.item_id };
    let (items, next) = shares.list(&caller, filter, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
}

/// Look at a share link.
#[utoipa::path(get, path = "/shares/{id}", tag = "shares", extensions(("x-action" = json!("share"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 200, body = Share),
    (status = 404, description = "no such link of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(shares): State<Arc<Shares>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<axum::Json<Share>, Refusal> {
    Ok(axum::Json(wire(shares.get(&caller, id).await?)))
}

/// Change a share link: its title, its end, its password, its limits. What it leads to stays.
#[utoipa::path(patch, path = "/shares/{id}", tag = "shares", extensions(("x-action" = json!("share"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = ChangeShare, responses(
    (status = 200, body = Share),
    (status = 404, description = "no such link of yours", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn change(
    State(shares): State<Arc<Shares>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<ChangeShare>,
) -> Result<axum::Json<Share>, Refusal> {
    let change = ShareChange {
        name: body.name.map(|name| name.as_deref().map(title).transpose()).transpose()?,
        expires_at: body.expires_at,
        password: body.password.map(|password| password.as_ref().map(secret)),
        max_downloads: body.max_downloads,
        max_upload_bytes: body.max_upload_bytes,
    };
    Ok(axum::Json(wire(shares.change(&caller, id, change).await?)))
}

/// Take a share link back.
#[utoipa::path(delete, path = "/shares/{id}", tag = "shares", extensions(("x-action" = json!("share"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 204, description = "it is not there any more"),
    (status = 404, description = "no such link of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn revoke(
    State(shares): State<Arc<Shares>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    shares.revoke(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn title(text: &str) -> Result<DisplayName, Error> {
    DisplayName::parse(text).map_err(|error| Error::field("name", error.to_string()))
}

fn secret(password: &SecretString) -> Zeroizing<String> {
    Zeroizing::new(password.expose().to_owned())
}

fn wire(share: share::Share) -> Share {
    let (file_id, folder_id) = match share.item {
        SharedId::File(id) => (Some(id), None),
        SharedId::Folder(id) => (None, Some(id)),
    };
    Share {
        id: share.id,
        kind: share.kind,
        file_id,
        folder_id,
        name: share.name,
        created_at: share.created_at,
        created_by: share.created_by,
        expires_at: share.expires_at,
        has_password: share.password_hash.is_some(),
        max_downloads: share.max_downloads,
        max_upload_bytes: share.max_upload_bytes,
        views: share.used.views,
        downloads: share.used.downloads,
        uploads: share.used.uploads,
        uploaded_bytes: share.used.uploaded_bytes,
        last_used_at: share.used.last_at,
    }
}
