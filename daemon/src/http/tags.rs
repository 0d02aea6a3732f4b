//! Tags on files and folders.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use coffer_api::{Page, Problem, Tag};
use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use super::extract::{Authenticated, Parameters};
use super::folders::PAGE;
use super::items::ListLast;
use super::problem::{Refusal, RequestProblem};
use crate::model::tag::TagName;
use crate::service::Error;
use crate::service::tags::Tags;

/// The item and the tag that the path names.
pub(super) struct ItemAndTag(Uuid, TagName);

impl<S: Send + Sync> FromRequestParts<S> for ItemAndTag {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<(Uuid, String)>::from_request_parts(parts, state).await;
        let Path((id, tag)) = path.map_err(|_| Refusal::Request(RequestProblem::NoSuchAddress))?;
        Ok(Self(id, TagName::parse(&tag)?))
    }
}

/// Give a file or a folder a tag. Twice is once.
///
/// Tags are compared without their capitals, and shown as they were first written.
#[utoipa::path(put, path = "/items/{id}/tags/{tag}", tag = "organisation", extensions(("x-action" = json!("edit_own"))), security(("token" = [])),
    params(("id" = Uuid, Path), ("tag" = String, Path, description = "1 to 50 characters of any script, percent-encoded")), responses(
    (status = 204, description = "it has the tag"),
    (status = 403, description = "not yours", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: it has 50 tags already", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a tag", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn add(
    State(tags): State<Arc<Tags>>,
    Authenticated(caller): Authenticated,
    ItemAndTag(id, tag): ItemAndTag,
) -> Result<StatusCode, Refusal> {
    tags.add(&caller, id, tag).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a tag from a file or a folder. Twice is once.
#[utoipa::path(delete, path = "/items/{id}/tags/{tag}", tag = "organisation", extensions(("x-action" = json!("edit_own"))), security(("token" = [])),
    params(("id" = Uuid, Path), ("tag" = String, Path)), responses(
    (status = 204, description = "it does not have the tag"),
    (status = 403, description = "not yours", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such file or folder", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a tag", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`write_protected`: the folder is write-protected", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(tags): State<Arc<Tags>>,
    Authenticated(caller): Authenticated,
    ItemAndTag(id, tag): ItemAndTag,
) -> Result<StatusCode, Refusal> {
    tags.remove(&caller, id, tag).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the tags of what you see, by name, with how much has each.
#[utoipa::path(get, path = "/tags", tag = "organisation", extensions(("x-action" = json!("read"))), security(("token" = [])), params(ListLast), responses(
    (status = 200, description = "may be short, or empty, and go on all the same", body = Page<Tag>),
    (status = 422, description = "not a cursor", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(tags): State<Arc<Tags>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListLast>,
) -> Result<axum::Json<Page<Tag>>, Refusal> {
    let after = wanted.cursor.as_deref().map(after).transpose()?;
    let (items, next) = tags.list(&caller, after, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.into_iter().map(|tag| Tag { name: tag.name, items: tag.items }).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|key| BASE64URL_NOPAD.encode(key.as_bytes())) }))
}

/// The key behind which a page starts.
fn after(cursor: &str) -> Result<String, Error> {
    let decoded = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let key = decoded.filter(|key| TagName::parse(key).is_ok());
    key.ok_or_else(|| Error::field("cursor", "it is not one that a list like this gave"))
}
