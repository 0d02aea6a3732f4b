//! Second factors: what one has, the authenticator app, recovery codes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{
    ConfirmTotp, NewRecoveryCodes, NewTotp, PasswordAgain, Problem, SecondFactorAdded, SecondFactors, SecretString,
    Totp,
};

use super::extract::{Authenticated, Json};
use super::passkeys::wire;
use super::problem::Refusal;
use crate::service;

type Service = State<Arc<service::second_factors::SecondFactors>>;

/// Look at your second factors.
#[utoipa::path(get, path = "/users/me/second-factors", tag = "second factors", security(("token" = [])),
    extensions(("x-action" = json!("enrol"))), responses(
    (status = 200, body = SecondFactors),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(factors): Service,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<SecondFactors>, Refusal> {
    let list = factors.list(&caller).await?;
    Ok(axum::Json(SecondFactors {
        totp: list.totp_since.map(|created_at| Totp { created_at }),
        recovery_codes_left: list.recovery_codes_left,
        passkeys: list.passkeys.into_iter().map(wire).collect(),
    }))
}

/// Make a secret for an authenticator app.
///
/// Nothing changes before its first code is confirmed, within ten minutes; an app that is in use stays so until then.
#[utoipa::path(post, path = "/users/me/second-factors/totp", tag = "second factors", security(("token" = [])),
    extensions(("x-action" = json!("enrol"))), request_body = PasswordAgain, responses(
    (status = 201, body = NewTotp),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`: wrong password", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn begin_totp(
    State(factors): Service,
    Authenticated(caller): Authenticated,
    Json(body): Json<PasswordAgain>,
) -> Result<(StatusCode, axum::Json<NewTotp>), Refusal> {
    let new = factors.begin_totp(&caller, body.password.expose()).await?;
    let reply = NewTotp {
        secret: SecretString::new(new.secret),
        otpauth_uri: SecretString::new(new.otpauth_uri),
        qr_svg: SecretString::new(new.qr_svg),
        qr_png: SecretString::new(new.qr_png),
        expires_at: new.expires_at,
    };
    Ok((StatusCode::CREATED, axum::Json(reply)))
}

/// Confirm the authenticator app.
///
/// From now on its codes are accepted, and those of an earlier app are not.
#[utoipa::path(post, path = "/users/me/second-factors/totp/confirm", tag = "second factors", security(("token" = [])),
    extensions(("x-action" = json!("enrol"))), request_body = ConfirmTotp, responses(
    (status = 200, body = SecondFactorAdded),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "nothing to confirm", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not the code", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn confirm_totp(
    State(factors): Service,
    Authenticated(caller): Authenticated,
    Json(body): Json<ConfirmTotp>,
) -> Result<axum::Json<SecondFactorAdded>, Refusal> {
    let codes = factors.confirm_totp(&caller, body.code.expose()).await?;
    Ok(axum::Json(SecondFactorAdded { recovery_codes: codes.map(shown) }))
}

/// Remove the authenticator app.
///
/// The recovery codes go with the last second factor. Where everybody must have one, the last one stays.
#[utoipa::path(post, path = "/users/me/second-factors/totp/removal", tag = "second factors", security(("token" = [])),
    extensions(("x-action" = json!("account"))), request_body = PasswordAgain, responses(
    (status = 204, description = "removed"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`: wrong password", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`last_second_factor`: it is the last", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove_totp(
    State(factors): Service,
    Authenticated(caller): Authenticated,
    Json(body): Json<PasswordAgain>,
) -> Result<StatusCode, Refusal> {
    factors.remove_totp(&caller, body.password.expose()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make new recovery codes.
///
/// Those of before are worth nothing from now on.
#[utoipa::path(post, path = "/users/me/second-factors/recovery-codes", tag = "second factors",
    security(("token" = [])), extensions(("x-action" = json!("account"))), request_body = PasswordAgain, responses(
    (status = 201, body = NewRecoveryCodes),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`: wrong password", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no second factor", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn replace_recovery_codes(
    State(factors): Service,
    Authenticated(caller): Authenticated,
    Json(body): Json<PasswordAgain>,
) -> Result<(StatusCode, axum::Json<NewRecoveryCodes>), Refusal> {
    let codes = factors.replace_recovery_codes(&caller, body.password.expose()).await?;
    Ok((StatusCode::CREATED, axum::Json(NewRecoveryCodes { recovery_codes: shown(codes) })))
}

/// Recovery codes on their way to the person.
pub(super) fn shown(codes: service::recovery_codes::ShownCodes) -> Vec<SecretString> {
    codes.into_iter().map(SecretString::new).collect()
}
