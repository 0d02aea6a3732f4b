//! Folders.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{ChangeFolder, CreateFolder, Folder, Page, PlaceFolder, Problem};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::extract::{Authenticated, Id, Json, Parameters};
use super::files::{cursor, placement};
use super::problem::Refusal;
use super::users::Order;
use crate::model::access::Access;
use crate::model::folder::{self, FolderChange, FolderOrder};
use crate::model::name::FileName;
use crate::service::folders::{FolderList, Folders};

/// Items of a page when the client does not say.
pub(super) const PAGE: u32 = 50;

/// Which folders, in which order.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListFolders {
    /// The folder to look into; the root when absent.
    parent_id: Option<Uuid>,
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

/// What folders are ordered by.
#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum OrderBy {
    Name,
    CreatedAt,
}

/// Create a folder.
#[utoipa::path(post, path = "/folders", tag = "folders", extensions(("x-action" = json!("add"))), security(("token" = [])), request_body = CreateFolder, responses(
    (status = 201, body = Folder),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such parent", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`: the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(folders): State<Arc<Folders>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<CreateFolder>,
) -> Result<(StatusCode, axum::Json<Folder>), Refusal> {
    let name = FileName::parse(&body.name)?;
    let created = folders.create(&caller, body.parent_id, &name).await?;
    Ok((StatusCode::CREATED, axum::Json(wire(created))))
}

/// List the folders directly inside one.
#[utoipa::path(get, path = "/folders", tag = "folders", extensions(("x-action" = json!("read"))), security(("token" = [])), params(ListFolders), responses(
    (status = 200, body = Page<Folder>),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(folders): State<Arc<Folders>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListFolders>,
) -> Result<axum::Json<Page<Folder>>, Refusal> {
    let list = FolderList {
        parent_id: wanted.parent_id,
        order: match wanted.order_by {
            Some(OrderBy::Name) => FolderOrder::Name,
            Some(OrderBy::CreatedAt) | None => FolderOrder::CreatedAt,
        },
        descending: wanted.order == Some(Order::Desc),
        after: cursor(wanted.cursor.as_deref())?,
        limit: wanted.limit.unwrap_or(PAGE),
    };
    let (items, next) = folders.list(&caller, list).await?;
    let items = items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|cursor| cursor.to_text()) }))
}

/// Look at a folder.
#[utoipa::path(get, path = "/folders/{id}", tag = "folders", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)),
    responses((status = 200, body = Folder),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(folders): State<Arc<Folders>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<axum::Json<Folder>, Refusal> {
    Ok(axum::Json(wire(folders.get(&caller, id).await?)))
}

/// Give a folder another name, place or setting.
///
/// What is write-protected cannot be changed; to take the protection away, send `{"protected": false}` alone.
#[utoipa::path(patch, path = "/folders/{id}", tag = "folders", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = ChangeFolder,
    responses((status = 200, body = Folder),
    (status = 403, description = "not your folder, you may only look, or it holds what you may not move", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`, `into_itself`: the name is taken, or the new place is inside of the folder", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name, too deep, or the path gets too long", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn change(
    State(folders): State<Arc<Folders>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<ChangeFolder>,
) -> Result<axum::Json<Folder>, Refusal> {
    let change = FolderChange {
        placement: placement(body.name.as_deref(), body.parent_id)?,
        protected: body.protected,
        keep_revisions: body.keep_revisions,
        keep_days: body.keep_days,
    };
    Ok(axum::Json(wire(folders.change(&caller, id, change).await?)))
}

/// Copy a folder with all that you see in it, up to 10000 items. Files share their bytes with the originals.
#[utoipa::path(post, path = "/folders/{id}/copy", tag = "folders", extensions(("x-action" = json!("add"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = PlaceFolder,
    responses((status = 201, body = Folder),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`, `into_itself`: the name is taken, or the new place is inside of the folder", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name, too deep, the path gets too long, or too many items", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`quota_exceeded`: your quota is used up", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn copy(
    State(folders): State<Arc<Folders>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<PlaceFolder>,
) -> Result<(StatusCode, axum::Json<Folder>), Refusal> {
    let placement = placement(body.name.as_deref(), body.parent_id)?;
    Ok((StatusCode::CREATED, axum::Json(wire(folders.copy(&caller, id, placement).await?))))
}

/// Put a folder into the trash, with all that is in it.
#[utoipa::path(delete, path = "/folders/{id}", tag = "folders", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), params(("id" = Uuid, Path)),
    responses((status = 204, description = "in the trash"),
    (status = 403, description = "not your folder, you may only look, or it holds what you may not change", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: it, a folder above it or one in it is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn trash(
    State(folders): State<Arc<Folders>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    folders.trash(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wire((folder, access): (folder::Folder, Access)) -> Folder {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Folder {
        id: folder.id,
        parent_id: folder.parent_id,
        name: folder.name,
        created_at: folder.created_at,
        created_by: folder.created_by,
        modified_at: folder.modified_at,
        modified_by: folder.modified_by,
        protected: folder.protected,
        keep_revisions: folder.retention.keep_revisions,
        keep_days: folder.retention.keep_days,
        file_count: count(folder.counts.files),
        folder_count: count(folder.counts.folders),
        total_files: count(folder.counts.total_files),
        total_bytes: count(folder.counts.total_bytes),
        private: folder.private,
        access,
    }
}
