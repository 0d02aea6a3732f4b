//! People.

use axum::Json;
use coffer_api::{Problem, User};

use super::extract::Authenticated;
use crate::model::user;

/// Who the token belongs to.
#[utoipa::path(get, path = "/users/me", tag = "sessions", security(("token" = [])), responses(
    (status = 200, body = User),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn me(Authenticated(caller): Authenticated) -> Json<User> {
    Json(wire(&caller.user))
}

/// A person as the API shows them.
pub(super) fn wire(user: &user::User) -> User {
    User { id: user.id, username: user.username.clone(), display_name: user.display_name.clone(), role: user.role }
}
