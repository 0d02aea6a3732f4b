//! Logging in and out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use coffer_api::{CreateSession, NewSession, Problem, SecretString, Session};

use super::extract::{Anonymous, Authenticated, Id, Json};
use super::problem::Refusal;
use super::users::wire;
use crate::service::sessions::Sessions;

/// Log in.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = CreateSession, responses(
    (status = 201, body = NewSession),
    (status = 401, description = "wrong credentials", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn open(
    State(sessions): State<Arc<Sessions>>,
    call: Anonymous,
    headers: HeaderMap,
    Json(body): Json<CreateSession>,
) -> Result<(StatusCode, axum::Json<NewSession>), Refusal> {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let opened = sessions.open(&body.username, body.password.expose(), agent, call.context).await?;
    let reply = NewSession {
        access_token: SecretString::new(opened.token),
        token_type: "Bearer".to_owned(),
        session_id: opened.session.id,
        expires_at: opened.session.expires_at,
        user: wire(&opened.user),
    };
    Ok((StatusCode::CREATED, axum::Json(reply)))
}

/// List your sessions.
#[utoipa::path(get, path = "/sessions", tag = "sessions", security(("token" = [])), responses(
    (status = 200, body = Vec<Session>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(sessions): State<Arc<Sessions>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<Vec<Session>>, Refusal> {
    let listed = sessions.list(&caller).await?;
    let session = |session: crate::model::session::Session| Session {
        id: session.id,
        created_at: session.created_at,
        expires_at: session.expires_at,
        user_agent: session.user_agent,
        current: Some(session.id) == caller.session_id(),
    };
    Ok(axum::Json(listed.into_iter().map(session).collect()))
}

/// Log out.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions", security(("token" = [])), responses(
    (status = 204, description = "the token is refused from now on"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn close_current(
    State(sessions): State<Arc<Sessions>>,
    Authenticated(caller): Authenticated,
) -> Result<StatusCode, Refusal> {
    sessions.revoke_current(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End one of your sessions.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", security(("token" = [])),
    params(("id" = uuid::Uuid, Path)), responses((status = 204, description = "ended"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such session of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn close(
    State(sessions): State<Arc<Sessions>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    sessions.revoke(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
