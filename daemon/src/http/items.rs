//! Files and folders alike: all that people put on one, and what changed last.

use std::sync::Arc;

use axum::extract::State;
use coffer_api::{Item, ItemDetails, ItemKind, Page, Problem, Star};
use serde::Deserialize;
use utoipa::IntoParams;

use super::comments;
use super::extract::{Authenticated, Id, Parameters};
use super::files::cursor;
use super::folders::PAGE;
use super::notes;
use super::problem::Refusal;
use crate::model::{item, mark};
use crate::service::items::{Details, Items};

/// Which part of what changed last.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRecent {
    /// `me`: only what you changed last.
    #[param(inline)]
    modified_by: Option<ModifiedBy>,
    /// 1 to 500; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Whose changes.
#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum ModifiedBy {
    Me,
}

/// Which part of a list that has the last first.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListLast {
    /// 1 to 500; 50 when absent.
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// All that people put on a file or a folder: tags, star, note, last comments, and your own label and favourite.
#[utoipa::path(get, path = "/items/{id}/details", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 200, body = ItemDetails),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn details(
    State(items): State<Arc<Items>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<axum::Json<ItemDetails>, Refusal> {
    let Details { item, tags, favourite, label, star, note, comment_count, last_comments } =
        items.details(&caller, id).await?;
    Ok(axum::Json(ItemDetails {
        item: wire(&item),
        tags,
        favourite,
        label,
        star: star.map(|mark::Star { added_at, added_by }| Star { added_at, added_by }),
        note: note.map(notes::wire),
        comment_count,
        last_comments: last_comments.into_iter().map(comments::wire).collect(),
    }))
}

/// List the files that changed last, from all folders that you see.
#[utoipa::path(get, path = "/recent", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(ListRecent), responses(
    (status = 200, description = "may be short, or empty, and go on all the same", body = Page<Item>),
    (status = 422, description = "not a cursor", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn recent(
    State(items): State<Arc<Items>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListRecent>,
) -> Result<axum::Json<Page<Item>>, Refusal> {
    let own = match wanted.modified_by {
        Some(ModifiedBy::Me) => true,
        None => false,
    };
    let after = cursor(wanted.cursor.as_deref())?;
    let (found, next) = items.recent(&caller, own, after, wanted.limit.unwrap_or(PAGE)).await?;
    Ok(axum::Json(Page { items: found.iter().map(wire).collect(), next_cursor: next.map(|cursor| cursor.to_text()) }))
}

/// A file or a folder as clients see it in lists of both.
pub(super) fn wire(item: &item::Item) -> Item {
    match item {
        item::Item::File(file) => Item {
            id: file.id,
            kind: ItemKind::File,
            name: file.name.clone(),
            folder_id: file.folder_id,
            size_bytes: Some(file.size_bytes),
            media_type: Some(file.media_type.clone()),
            created_by: file.created_by,
            modified_at: file.modified_at,
            modified_by: file.modified_by,
        },
        item::Item::Folder(folder) => Item {
            id: folder.id,
            kind: ItemKind::Folder,
            name: folder.name.clone(),
            folder_id: folder.parent_id,
            size_bytes: None,
            media_type: None,
            created_by: folder.created_by,
            modified_at: folder.modified_at,
            modified_by: folder.modified_by,
        },
    }
}
