//! Groups of people.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{Group, GroupMember, NameGroup, Page, Problem};

use super::extract::{Authenticated, Id, Json, PageParameters, Parameters, TwoIds};
use super::folders::PAGE;
use super::problem::Refusal;
use crate::model::group::{self, GroupName};
use crate::service::groups::Groups;

/// Make a group. Administrators only.
#[utoipa::path(post, path = "/groups", tag = "groups", security(("token" = [])),
    extensions(("x-action" = json!("manage_groups"))), request_body = NameGroup, responses(
    (status = 201, body = Group),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`, `limit_reached`: the name is taken, or there are 1000 groups already", body = Problem,
        content_type = "application/problem+json"),
    (status = 422, description = "not a name", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(groups): State<Arc<Groups>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<NameGroup>,
) -> Result<(StatusCode, axum::Json<Group>), Refusal> {
    let group = groups.create(&caller, GroupName::parse(&body.name)?).await?;
    Ok((StatusCode::CREATED, axum::Json(wire(group))))
}

/// List the groups. Administrators only.
#[utoipa::path(get, path = "/groups", tag = "groups", security(("token" = [])),
    extensions(("x-action" = json!("manage_groups"))), params(PageParameters), responses(
    (status = 200, body = Page<Group>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(groups): State<Arc<Groups>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<PageParameters>,
) -> Result<axum::Json<Page<Group>>, Refusal> {
    let (items, next) = groups.list(&caller, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
}

/// Look at a group. Administrators only.
#[utoipa::path(get, path = "/groups/{id}", tag = "groups", security(("token" = [])),
    extensions(("x-action" = json!("manage_groups"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, body = Group),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such group", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(groups): State<Arc<Groups>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<axum::Json<Group>, Refusal> {
    Ok(axum::Json(wire(groups.get(&caller, id).await?)))
}

/// Rename a group. Administrators only.
#[utoipa::path(patch, path = "/groups/{id}", tag = "groups", security(("token" = [])),
    extensions(("x-action" = json!("manage_groups"))), params(("id" = uuid::Uuid, Path)), request_body = NameGroup, responses(
    (status = 200, body = Group),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such group", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`: the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn rename(
    State(groups): State<Arc<Groups>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<NameGroup>,
) -> Result<axum::Json<Group>, Refusal> {
    let group = groups.rename(&caller, id, GroupName::parse(&body.name)?).await?;
    Ok(axum::Json(wire(group)))
}

/// Delete a group. Administrators only.
///
/// It goes from the lists of private folders; these stay private.
#[utoipa::path(delete, path = "/groups/{id}", tag = "groups", security(("token" = [])),
    extensions(("x-action" = json!("manage_groups"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "deleted"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such group", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(groups): State<Arc<Groups>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    groups.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List who is in a group. Administrators only.
#[utoipa::path(get, path = "/groups/{id}/members", tag = "groups", security(("token" = [])),
    extensions(("x-action" = json!("manage_groups"))), params(("id" = uuid::Uuid, Path), PageParameters), responses(
    (status = 200, body = Page<GroupMember>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such group", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn members(
    State(groups): State<Arc<Groups>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Parameters(wanted): Parameters<PageParameters>,
) -> Result<axum::Json<Page<GroupMember>>, Refusal> {
    let (items, next) = groups.members(&caller, id, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.into_iter().map(wire_member).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
}

/// Put somebody into a group. Administrators only.
#[utoipa::path(put, path = "/groups/{id}/members/{user_id}", tag = "groups", security(("token" = [])),
    extensions(("x-action" = json!("manage_groups"))), params(("id" = uuid::Uuid, Path), ("user_id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "they are in the group"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such group or user", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn add_member(
    State(groups): State<Arc<Groups>>,
    Authenticated(caller): Authenticated,
    TwoIds(id, user_id): TwoIds,
) -> Result<StatusCode, Refusal> {
    groups.add_member(&caller, id, user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take somebody out of a group. Administrators only.
#[utoipa::path(delete, path = "/groups/{id}/members/{user_id}", tag = "groups", security(("token" = [])),
    extensions(("x-action" = json!("manage_groups"))), params(("id" = uuid::Uuid, Path), ("user_id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "they are not in the group"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such group or user", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove_member(
    State(groups): State<Arc<Groups>>,
    Authenticated(caller): Authenticated,
    TwoIds(id, user_id): TwoIds,
) -> Result<StatusCode, Refusal> {
    groups.remove_member(&caller, id, user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wire(group: group::Group) -> Group {
    Group { id: group.id, name: group.name, created_at: group.created_at }
}

fn wire_member(member: group::Member) -> GroupMember {
    GroupMember {
        user_id: member.user_id,
        username: member.username,
        display_name: member.display_name,
        added_at: member.added_at,
    }
}
