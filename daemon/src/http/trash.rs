//! The trash, and operations on many items.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{
    Bulk, BulkAction, BulkResult, BulkResults, ItemKind, Page, PlaceFile, Problem, RestoredItem, TrashEmptied,
    TrashItem,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Authenticated, Id, Json, Parameters};
use super::files::{cursor, placement};
use super::folders::PAGE;
use super::problem::{Refusal, of_service};
use crate::model::item::Item;
use crate::model::tag::TagName;
use crate::service::bulk;
use crate::service::trash::Trash;

/// Which part of the trash.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListTrash {
    /// 1 to 500; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List what is in the trash, last first. What lies in a folder that is there is not listed by itself.
#[utoipa::path(get, path = "/trash", tag = "trash", extensions(("x-action" = json!("read"))), security(("token" = [])), params(ListTrash), responses(
    (status = 200, body = Page<TrashItem>),
    (status = 422, description = "not a cursor", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(trash): State<Arc<Trash>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListTrash>,
) -> Result<axum::Json<Page<TrashItem>>, Refusal> {
    let after = cursor(wanted.cursor.as_deref())?;
    let (items, next) = trash.list(&caller, after, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.iter().filter_map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|cursor| cursor.to_text()) }))
}

/// Delete everything in the trash for good that you may delete.
#[utoipa::path(delete, path = "/trash", tag = "trash", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), responses(
    (status = 200, body = TrashEmptied),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn empty(
    State(trash): State<Arc<Trash>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<TrashEmptied>, Refusal> {
    Ok(axum::Json(TrashEmptied { deleted: trash.empty(&caller).await? }))
}

/// Take an item back from the trash: to where it was or, when the body says so, elsewhere or under another name.
///
/// When its name is taken meanwhile, and the body names no other, it gets a number; the reply has the name.
#[utoipa::path(post, path = "/trash/{id}/restore", tag = "trash", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = PlaceFile, responses(
    (status = 200, description = "where it is now, and under which name", body = RestoredItem),
    (status = 403, description = "neither yours nor put there by you", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such item in the trash", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`, `origin_gone`, `into_itself`: the name is taken, or where it was is gone", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn restore(
    State(trash): State<Arc<Trash>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<PlaceFile>,
) -> Result<axum::Json<RestoredItem>, Refusal> {
    let item = trash.restore(&caller, id, placement(body.name.as_deref(), body.folder_id)?).await?;
    Ok(axum::Json(restored(&item)))
}

/// Delete an item of the trash for good, a folder with all that is in it.
#[utoipa::path(delete, path = "/trash/{id}", tag = "trash", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 204, description = "deleted"),
    (status = 403, description = "neither yours nor put there by you", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such item in the trash", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: something is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(trash): State<Arc<Trash>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    trash.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Do one thing to many items, each by itself: what is refused for one does not keep the others from it.
#[utoipa::path(post, path = "/bulk", tag = "trash", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), request_body = Bulk, responses(
    (status = 200, description = "what became of each, in their order", body = BulkResults),
    (status = 403, description = "you may only look", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "no items, too many, or no tag for each", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn bulk(
    State(bulk): State<Arc<bulk::Bulk>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<Bulk>,
) -> Result<axum::Json<BulkResults>, Refusal> {
    let tag = || TagName::parse(body.tag.as_deref().unwrap_or_default());
    let action = match body.action {
        BulkAction::Move => bulk::BulkAction::Move(body.folder_id),
        BulkAction::Copy => bulk::BulkAction::Copy(body.folder_id),
        BulkAction::Trash => bulk::BulkAction::Trash,
        BulkAction::Restore => bulk::BulkAction::Restore,
        BulkAction::Delete => bulk::BulkAction::Delete,
        BulkAction::Tag => bulk::BulkAction::Tag(tag()?),
        BulkAction::Untag => bulk::BulkAction::Untag(tag()?),
    };
    let results = bulk.run(&caller, action, &body.items).await?;
    let results = results.into_iter().map(|bulk::BulkResult { id, result }| match result {
        Ok(result_id) => BulkResult { id, result_id: Some(result_id), problem: None },
        Err(error) => BulkResult { id, result_id: None, problem: Some(of_service(error)) },
    });
    Ok(axum::Json(BulkResults { results: results.collect() }))
}

fn wire(item: &Item) -> Option<TrashItem> {
    let trashed = item.trashed()?;
    let RestoredItem { id, kind, name, folder_id } = restored(item);
    let size_bytes = match item {
        Item::File(file) => file.size_bytes,
        Item::Folder(folder) => u64::try_from(folder.counts.total_bytes).unwrap_or(0),
    };
    Some(TrashItem {
        id,
        kind,
        name,
        folder_id,
        size_bytes,
        created_by: item.created_by(),
        trashed_at: trashed.at,
        trashed_by: trashed.by,
    })
}

fn restored(item: &Item) -> RestoredItem {
    let (kind, name) = match item {
        Item::File(file) => (ItemKind::File, file.name.clone()),
        Item::Folder(folder) => (ItemKind::Folder, folder.name.clone()),
    };
    RestoredItem { id: item.id(), kind, name, folder_id: item.folder_id() }
}
