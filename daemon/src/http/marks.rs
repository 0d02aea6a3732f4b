//! Favourites, stars and labels of files and folders.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{MarkedItem, Page, Problem, SetLabel};

use super::extract::{Authenticated, Id, Json, Parameters};
use super::files::cursor;
use super::folders::PAGE;
use super::items::{self, ListLast};
use super::problem::Refusal;
use crate::model::cursor::Cursor;
use crate::model::mark;
use crate::service::marks::Marks;

/// Make a file or a folder a favourite of yours. Twice is once.
#[utoipa::path(put, path = "/items/{id}/favourite", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 204, description = "it is one"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: you have 10000 already", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn add_favourite(
    State(marks): State<Arc<Marks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    marks.set_favourite(&caller, id, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make it none. Twice is once.
#[utoipa::path(delete, path = "/items/{id}/favourite", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 204, description = "it is none"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove_favourite(
    State(marks): State<Arc<Marks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    marks.set_favourite(&caller, id, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List your favourites, the last first.
#[utoipa::path(get, path = "/favourites", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(ListLast), responses(
    (status = 200, description = "may be short, or empty, and go on all the same", body = Page<MarkedItem>),
    (status = 422, description = "not a cursor", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn favourites(
    State(marks): State<Arc<Marks>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListLast>,
) -> Result<axum::Json<Page<MarkedItem>>, Refusal> {
    let after = cursor(wanted.cursor.as_deref())?;
    Ok(page(marks.favourites(&caller, after, wanted.limit.unwrap_or(PAGE)).await?))
}

/// Give a file or a folder a star, which everybody sees. Twice is once.
#[utoipa::path(put, path = "/items/{id}/star", tag = "organisation", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 204, description = "it has one"),
    (status = 403, description = "not yours", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn add_star(
    State(marks): State<Arc<Marks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    marks.set_star(&caller, id, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take the star from a file or a folder. Twice is once.
#[utoipa::path(delete, path = "/items/{id}/star", tag = "organisation", extensions(("x-action" = json!("edit_own"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 204, description = "it has none"),
    (status = 403, description = "not yours", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove_star(
    State(marks): State<Arc<Marks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    marks.set_star(&caller, id, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List what has a star and you see, the last first.
#[utoipa::path(get, path = "/stars", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(ListLast), responses(
    (status = 200, description = "may be short, or empty, and go on all the same", body = Page<MarkedItem>),
    (status = 422, description = "not a cursor", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn stars(
    State(marks): State<Arc<Marks>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListLast>,
) -> Result<axum::Json<Page<MarkedItem>>, Refusal> {
    let after = cursor(wanted.cursor.as_deref())?;
    Ok(page(marks.stars(&caller, after, wanted.limit.unwrap_or(PAGE)).await?))
}

/// Give a file or a folder a colour that only you see.
#[utoipa::path(put, path = "/items/{id}/label", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = SetLabel, responses(
    (status = 204, description = "it has the colour"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not one of the colours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set_label(
    State(marks): State<Arc<Marks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<SetLabel>,
) -> Result<StatusCode, Refusal> {
    marks.set_label(&caller, id, Some(body.colour)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take your colour from a file or a folder. Twice is once.
#[utoipa::path(delete, path = "/items/{id}/label", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 204, description = "it has none"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove_label(
    State(marks): State<Arc<Marks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    marks.set_label(&caller, id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn page((found, next): (Vec<mark::MarkedItem>, Option<Cursor>)) -> axum::Json<Page<MarkedItem>> {
    let wire = |marked: &mark::MarkedItem| MarkedItem { item: items::wire(&marked.item), marked_at: marked.added_at };
    axum::Json(Page { items: found.iter().map(wire).collect(), next_cursor: next.map(|cursor| cursor.to_text()) })
}
