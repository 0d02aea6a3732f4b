//! People with an account.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{
    ChangePassword, ChangeProfile, ChangeUser, CreateUser, Page, Policy, Problem, ResetPassword, Role, User,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Authenticated, Id, Json, Parameters};
use super::folders::PAGE;
use super::problem::Refusal;
use crate::model::cursor::Cursor;
use crate::model::policy;
use crate::model::user::{self, About, DisplayName, UserFilter, UserOrder};
use crate::service::Error;
use crate::service::accounts::{Accounts, NewAccount};
use crate::service::users::{UserChange, UserPage, Users};

/// Longest text that names are searched for.
const MAX_CONTAINS: usize = 100;

/// Which people, in which order.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListUsers {
    /// People of this role.
    #[serde(rename = "role__eq")]
    #[param(rename = "role__eq", inline)]
    role: Option<Role>,
    /// People who may log in, or who may not.
    #[serde(rename = "active__eq")]
    #[param(rename = "active__eq")]
    active: Option<bool>,
    /// A part of the user name or the display name, in any case.
    #[serde(rename = "name__contains")]
    #[param(rename = "name__contains")]
    contains: Option<String>,
    /// `username` when absent.
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

/// What people are ordered by.
#[derive(Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum OrderBy {
    Username,
    CreatedAt,
    LastLoginAt,
}

/// The direction of a list.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    Asc,
    Desc,
}

/// Who the token belongs to.
#[utoipa::path(get, path = "/users/me", tag = "people", security(("token" = [])), 
    extensions(("x-action" = json!("profile"))), responses(
    (status = 200, body = User),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn me(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<User>, Refusal> {
    Ok(axum::Json(wire(users.me(&caller).await?)))
}

/// Change your own profile.
#[utoipa::path(patch, path = "/users/me", tag = "people", security(("token" = [])), request_body = ChangeProfile, 
    extensions(("x-action" = json!("account"))), responses(
    (status = 200, body = User),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn change_me(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<ChangeProfile>,
) -> Result<axum::Json<User>, Refusal> {
    let (display_name, about) = profile(body.display_name.as_deref(), body.about.as_deref())?;
    Ok(axum::Json(wire(users.change_profile(&caller, display_name, about).await?)))
}

/// Change your own password. Ends your other sessions.
#[utoipa::path(put, path = "/users/me/password", tag = "people", security(("token" = [])), request_body = ChangePassword, 
    extensions(("x-action" = json!("account"))), responses(
    (status = 204, description = "changed"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`: the current password is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn change_my_password(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<ChangePassword>,
) -> Result<StatusCode, Refusal> {
    users.change_password(&caller, body.current_password.expose(), body.new_password.expose()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the accounts. Administrators only.
#[utoipa::path(get, path = "/users", tag = "people", security(("token" = [])), params(ListUsers),
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 200, body = Page<User>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListUsers>,
) -> Result<axum::Json<Page<User>>, Refusal> {
    let (items, next) = users.list(&caller, page(wanted)?).await?;
    let items = items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|cursor| cursor.to_text()) }))
}

/// Create an account for somebody. Administrators only.
#[utoipa::path(post, path = "/users", tag = "people", security(("token" = [])), request_body = CreateUser, 
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 201, body = User),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`: the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(accounts): State<Arc<Accounts>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<CreateUser>,
) -> Result<(StatusCode, axum::Json<User>), Refusal> {
    let new = NewAccount::parse(&body.username, body.display_name.as_deref(), body.password.expose())?;
    let (role, active) = (body.role.unwrap_or(Role::Reader), body.active.unwrap_or(true));
    Ok((StatusCode::CREATED, axum::Json(wire(accounts.create(&caller, new, role, active).await?))))
}

/// Look at an account: your own, or any for administrators.
#[utoipa::path(get, path = "/users/{id}", tag = "people", security(("token" = [])), params(("id" = uuid::Uuid, Path)), 
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 200, body = User),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such user", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<axum::Json<User>, Refusal> {
    Ok(axum::Json(wire(users.get(&caller, id).await?)))
}

/// Change an account: profile, role, whether it may log in. Administrators only.
#[utoipa::path(patch, path = "/users/{id}", tag = "people", security(("token" = [])), params(("id" = uuid::Uuid, Path)), request_body = ChangeUser, 
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 200, body = User),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such user", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`last_admin`: the last administrator must stay", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn change(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<ChangeUser>,
) -> Result<axum::Json<User>, Refusal> {
    let (display_name, about) = profile(body.display_name.as_deref(), body.about.as_deref())?;
    let change = UserChange { display_name, about, role: body.role, active: body.active };
    Ok(axum::Json(wire(users.change(&caller, id, change).await?)))
}

/// Delete somebody's account. Administrators only. Their files stay, as a deleted user's.
#[utoipa::path(delete, path = "/users/{id}", tag = "people", security(("token" = [])), params(("id" = uuid::Uuid, Path)), 
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 204, description = "deleted"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such user", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`own_account`, `last_admin`: your own account, or the last administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    users.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give somebody a new password. Administrators only. Ends their sessions and deletes their API keys.
#[utoipa::path(put, path = "/users/{id}/password", tag = "people", security(("token" = [])), params(("id" = uuid::Uuid, Path)), request_body = ResetPassword, 
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 204, description = "changed"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such user", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`own_account`: your own account", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn reset_password(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<ResetPassword>,
) -> Result<StatusCode, Refusal> {
    users.reset_password(&caller, id, body.new_password.expose()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take somebody's second factors away, who has lost them. Administrators only. Ends their sessions.
#[utoipa::path(delete, path = "/users/{id}/second-factors", tag = "people", security(("token" = [])),
    params(("id" = uuid::Uuid, Path)), extensions(("x-action" = json!("manage_people"))), responses(
    (status = 204, description = "taken away"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such user", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`own_account`: your own account", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn reset_second_factors(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    users.reset_second_factors(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read the rules for all accounts. Administrators only.
#[utoipa::path(get, path = "/policy", tag = "people", security(("token" = [])), 
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 200, body = Policy),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn policy(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<Policy>, Refusal> {
    let policy::Policy { registration_open, second_factor_required } = users.policy(&caller).await?;
    Ok(axum::Json(Policy { registration_open, second_factor_required }))
}

/// Change the rules for all accounts. Administrators only.
#[utoipa::path(put, path = "/policy", tag = "people", security(("token" = [])), request_body = Policy, 
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 200, body = Policy),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set_policy(
    State(users): State<Arc<Users>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<Policy>,
) -> Result<axum::Json<Policy>, Refusal> {
    let Policy { registration_open, second_factor_required } = body;
    users.set_policy(&caller, policy::Policy { registration_open, second_factor_required }).await?;
    Ok(axum::Json(body))
}

/// A person as the API shows them.
pub(super) fn wire(user: user::User) -> User {
    User {
        id: user.id,
        username: user.username,
        display_name: user.display_name,
        about: user.about,
        role: user.role,
        active: user.active,
        created_at: user.created_at,
        last_login_at: user.last_login_at,
    }
}

fn profile(display_name: Option<&str>, about: Option<&str>) -> Result<(Option<DisplayName>, Option<About>), Error> {
    Ok((display_name.map(DisplayName::parse).transpose()?, about.map(About::parse).transpose()?))
}

fn page(wanted: ListUsers) -> Result<UserPage, Error> {
    if wanted.contains.as_ref().is_some_and(|text| text.len() > MAX_CONTAINS) {
        return Err(Error::field("name__contains", format!("it may have at most {MAX_CONTAINS} bytes")));
    }
    let after = wanted.cursor.as_deref().map(|text| Cursor::parse(text).ok_or_else(not_a_cursor)).transpose()?;
    Ok(UserPage {
        filter: UserFilter { role: wanted.role, active: wanted.active, contains: wanted.contains },
        order: match wanted.order_by.unwrap_or(OrderBy::Username) {
            OrderBy::Username => UserOrder::Username,
            OrderBy::CreatedAt => UserOrder::CreatedAt,
            OrderBy::LastLoginAt => UserOrder::LastLoginAt,
        },
        descending: wanted.order == Some(Order::Desc),
        after,
        limit: wanted.limit.unwrap_or(PAGE),
    })
}

fn not_a_cursor() -> Error {
    Error::field("cursor", "it is not a next_cursor of a page before")
}
