//! Passkeys: add, rename, remove. Logging in with one is a matter of sessions.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{
    AddedPasskey, FinishPasskey, Passkey, PasskeyCeremony, PasswordAgain, Problem, RenamePasskey, StartPasskey,
};

use super::extract::{Authenticated, Id, Json};
use super::problem::Refusal;
use super::second_factors::shown;
use crate::model::second_factor::{self, PasskeyName};
use crate::service::second_factors::SecondFactors;

/// Begin to add a passkey.
///
/// The reply is for the browser, at this box's own address; its answer is waited for five minutes.
#[utoipa::path(post, path = "/users/me/second-factors/passkeys", tag = "second factors", security(("token" = [])),
    extensions(("x-action" = json!("enrol"))), request_body = StartPasskey, responses(
    (status = 200, body = PasskeyCeremony),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`: wrong password", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: there are 20", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn begin(
    State(factors): State<Arc<SecondFactors>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<StartPasskey>,
) -> Result<axum::Json<PasskeyCeremony>, Refusal> {
    let name = PasskeyName::parse(&body.name)?;
    let (ceremony_id, public_key) = factors.begin_registration(&caller, body.password.expose(), name).await?;
    Ok(axum::Json(PasskeyCeremony { ceremony_id, public_key }))
}

/// Add a passkey.
///
/// One answer for one beginning: when it is refused, begin again.
#[utoipa::path(post, path = "/users/me/second-factors/passkeys/{id}", tag = "second factors",
    security(("token" = [])), extensions(("x-action" = json!("enrol"))), request_body = FinishPasskey,
    params(("id" = uuid::Uuid, Path, description = "The `ceremony_id`; it becomes the id of the passkey.")), responses(
    (status = 201, body = AddedPasskey),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "not begun, or expired", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: there are 20", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not the answer", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn finish(
    State(factors): State<Arc<SecondFactors>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<FinishPasskey>,
) -> Result<(StatusCode, axum::Json<AddedPasskey>), Refusal> {
    let (passkey, codes) = factors.finish_registration(&caller, id, body.credential).await?;
    let reply = AddedPasskey { passkey: wire(passkey), recovery_codes: codes.map(shown) };
    Ok((StatusCode::CREATED, axum::Json(reply)))
}

/// Rename a passkey.
#[utoipa::path(patch, path = "/users/me/second-factors/passkeys/{id}", tag = "second factors",
    security(("token" = [])), extensions(("x-action" = json!("account"))), request_body = RenamePasskey,
    params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, body = Passkey),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such passkey of yours", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a name", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn rename(
    State(factors): State<Arc<SecondFactors>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<RenamePasskey>,
) -> Result<axum::Json<Passkey>, Refusal> {
    let name = PasskeyName::parse(&body.name)?;
    Ok(axum::Json(wire(factors.rename_passkey(&caller, id, name).await?)))
}

/// Remove a passkey.
///
/// The recovery codes go with the last second factor. Where everybody must have one, the last one stays.
#[utoipa::path(post, path = "/users/me/second-factors/passkeys/{id}/removal", tag = "second factors",
    security(("token" = [])), extensions(("x-action" = json!("account"))), request_body = PasswordAgain,
    params(("id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "removed"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`: wrong password", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such passkey of yours", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`last_second_factor`: it is the last", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(factors): State<Arc<SecondFactors>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<PasswordAgain>,
) -> Result<StatusCode, Refusal> {
    factors.remove_passkey(&caller, id, body.password.expose()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A passkey as the API shows it.
pub(super) fn wire(passkey: second_factor::Passkey) -> Passkey {
    Passkey { id: passkey.id, name: passkey.name, created_at: passkey.created_at, last_used_at: passkey.last_used_at }
}
