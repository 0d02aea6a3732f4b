//! Logging in and out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use coffer_api::{
    AnswerChallenge, CreateSession, LoginReply, NewSession, Problem, RefreshSession, SecondFactorChallenge,
    SecondFactorMethod, SecretString, Session,
};
use zeroize::Zeroizing;

use super::extract::{Anonymous, Authenticated, Id, Json};
use super::problem::Refusal;
use super::users::wire;
use crate::model::session;
use crate::model::user::DisplayName;
use crate::service::Error;
use crate::service::passkeys::parse_answer;
use crate::service::second_step::{Answer, Challenge};
use crate::service::sessions::{LoggedIn, Login, Opened, Sessions};

/// Log in.
///
/// An account with a second factor gets a challenge, which `/sessions/second-factor` answers.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = CreateSession, 
    extensions(("x-action" = json!("public"))), responses(
    (status = 200, description = "the password is right, the second factor is asked for", body = SecondFactorChallenge),
    (status = 201, body = NewSession),
    (status = 401, description = "`wrong_credentials`: wrong credentials", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "too many log in at once", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn open(
    State(sessions): State<Arc<Sessions>>,
    call: Anonymous,
    headers: HeaderMap,
    Json(body): Json<CreateSession>,
) -> Result<(StatusCode, axum::Json<LoginReply>), Refusal> {
    let session_name = body.name.as_deref().map(session_name).transpose()?;
    let password = Zeroizing::new(body.password.expose().to_owned());
    let login = Login { username: body.username, password, session_name, user_agent: user_agent(&headers) };
    let (status, reply) = login_reply(sessions.open(login, call.context).await?);
    Ok((status, axum::Json(reply)))
}

/// Answer the challenge of a login: with the code of the authenticator app, a recovery code, or a passkey.
#[utoipa::path(post, path = "/sessions/second-factor", tag = "sessions", request_body = AnswerChallenge,
    extensions(("x-action" = json!("public"))), responses(
    (status = 201, body = NewSession),
    (status = 401, description = "`wrong_second_factor`, `wrong_credentials`: wrong, used before, or too late", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn answer(
    State(sessions): State<Arc<Sessions>>,
    call: Anonymous,
    Json(body): Json<AnswerChallenge>,
) -> Result<(StatusCode, axum::Json<NewSession>), Refusal> {
    let own = |secret: SecretString| Zeroizing::new(secret.expose().to_owned());
    let answer = match (body.totp, body.recovery_code, body.passkey) {
        (Some(code), None, None) => Answer::Totp(own(code)),
        (None, Some(code), None) => Answer::RecoveryCode(own(code)),
        (None, None, Some(answer)) => Answer::Passkey(parse_answer(answer)?),
        (_, _, _) => return Err(Error::field("totp", "give exactly one of totp, recovery_code and passkey").into()),
    };
    let opened = sessions.answer(body.challenge.expose(), answer, call.context).await?;
    Ok((StatusCode::CREATED, axum::Json(new_session(opened))))
}

/// Get the next pair of tokens.
///
/// A refresh token works once. When one comes a second time, somebody else has it: the session ends.
#[utoipa::path(post, path = "/sessions/refresh", tag = "sessions", request_body = RefreshSession, 
    extensions(("x-action" = json!("public"))), responses(
    (status = 200, body = NewSession),
    (status = 401, description = "`unauthenticated`: not a valid refresh token, or one that was used", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn refresh(
    State(sessions): State<Arc<Sessions>>,
    call: Anonymous,
    Json(body): Json<RefreshSession>,
) -> Result<axum::Json<NewSession>, Refusal> {
    let opened = sessions.refresh(body.refresh_token.expose(), call.context).await?;
    Ok(axum::Json(new_session(opened)))
}

/// List your sessions.
#[utoipa::path(get, path = "/sessions", tag = "sessions", security(("token" = [])), 
    extensions(("x-action" = json!("account"))), responses(
    (status = 200, body = Vec<Session>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(sessions): State<Arc<Sessions>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<Vec<Session>>, Refusal> {
    let current = caller.session_id();
    let listed = sessions.list(&caller).await?;
    Ok(axum::Json(listed.into_iter().map(|session| wire_session(session, current)).collect()))
}

/// End all your sessions but this one.
#[utoipa::path(delete, path = "/sessions", tag = "sessions", security(("token" = [])), 
    extensions(("x-action" = json!("account"))), responses(
    (status = 204, description = "ended"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn close_others(
    State(sessions): State<Arc<Sessions>>,
    Authenticated(caller): Authenticated,
) -> Result<StatusCode, Refusal> {
    sessions.revoke_others(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Log out.
#[utoipa::path(delete, path = "/sessions/current", tag = "sessions", security(("token" = [])), 
    extensions(("x-action" = json!("profile"))), responses(
    (status = 204, description = "the tokens are refused from now on"),
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
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", security(("token" = [])), params(("id" = uuid::Uuid, Path)), 
    extensions(("x-action" = json!("account"))), responses(
    (status = 204, description = "ended"),
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

/// What a login led to.
pub(super) fn login_reply(logged_in: LoggedIn) -> (StatusCode, LoginReply) {
    match logged_in {
        LoggedIn::Session(opened) => (StatusCode::CREATED, LoginReply::Session(Box::new(new_session(*opened)))),
        LoggedIn::Challenge(challenge) => (StatusCode::OK, LoginReply::Challenge(wire_challenge(challenge))),
    }
}

/// What the client calls itself.
pub(super) fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
}

pub(super) fn session_name(text: &str) -> Result<DisplayName, Error> {
    DisplayName::parse(text).map_err(|error| Error::field("name", error.to_string()))
}

fn new_session(opened: Opened) -> NewSession {
    NewSession {
        access_token: SecretString::new(opened.access_token),
        token_type: "Bearer".to_owned(),
        expires_at: opened.access_expires_at,
        refresh_token: SecretString::new(opened.refresh_token),
        session_expires_at: opened.session.expires_at,
        session_id: opened.session.id,
        user: wire(opened.user),
    }
}

fn wire_challenge(challenge: Challenge) -> SecondFactorChallenge {
    let kinds = [
        (challenge.available.passkeys, SecondFactorMethod::Passkey),
        (challenge.available.totp, SecondFactorMethod::Totp),
        (challenge.available.recovery_codes, SecondFactorMethod::RecoveryCode),
    ];
    SecondFactorChallenge {
        challenge: SecretString::new(challenge.token),
        expires_at: challenge.expires_at,
        methods: kinds.into_iter().filter(|(has, _)| *has).map(|(_, method)| method).collect(),
        public_key: challenge.passkey,
    }
}

fn wire_session(session: session::Session, current: Option<uuid::Uuid>) -> Session {
    Session {
        current: Some(session.id) == current,
        id: session.id,
        name: session.name,
        user_agent: session.user_agent,
        address: session.address,
        created_at: session.created_at,
        last_used_at: session.last_used_at,
        expires_at: session.expires_at,
    }
}
