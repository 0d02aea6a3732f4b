//! Folders.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{CreateFolder, Folder, Page, Problem};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::extract::{Authenticated, Id, Json, Parameters};
use super::problem::Refusal;
use crate::model::access::Access;
use crate::model::folder;
use crate::model::name::FileName;
use crate::service::folders::Folders;

/// Items of a page when the client does not say.
pub(super) const PAGE: u32 = 50;

/// Which folders.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListFolders {
    /// The folder to look into; the root when absent.
    parent_id: Option<Uuid>,
    /// 1 to 500; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// Create a folder.
#[utoipa::path(post, path = "/folders", tag = "folders", extensions(("x-action" = json!("add"))), security(("token" = [])), request_body = CreateFolder, responses(
    (status = 201, body = Folder),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such parent", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name", body = Problem, content_type = "application/problem+json"),
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
    let limit = wanted.limit.unwrap_or(PAGE);
    let (items, next) = folders.list(&caller, wanted.parent_id, wanted.cursor, limit).await?;
    let items = items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
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

/// Delete an empty folder.
#[utoipa::path(delete, path = "/folders/{id}", tag = "folders", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), params(("id" = Uuid, Path)),
    responses((status = 204, description = "deleted"),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "not empty", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(folders): State<Arc<Folders>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    folders.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wire((folder, access): (folder::Folder, Access)) -> Folder {
    Folder {
        id: folder.id,
        parent_id: folder.parent_id,
        name: folder.name,
        created_at: folder.created_at,
        created_by: folder.created_by,
        private: folder.private,
        access,
    }
}
