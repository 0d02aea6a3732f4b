//! Logging in without sending the password.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use coffer_api::{
    EnrolSrp, FinishSrp, PasswordAgain, Problem, SecretString, SrpFinished, SrpStarted, SrpVerifier, StartSrp,
};
use coffer_crypto::secrets::password::Parameters;
use coffer_crypto::srp::{Group, PROOF_BYTES, Verifier};
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::extract::{AccountHolder, Anonymous, Json};
use super::problem::Refusal;
use super::secrets;
use super::sessions::{login_reply, session_name, user_agent};
use crate::service::Error;
use crate::service::sessions::Sessions;
use crate::service::srp::{Enrolled, NewVerifier, SrpVerifiers};
use crate::service::srp_login::Finish;

/// Begin a login by SRP-6a.
///
/// `docs/srp.md` says what the values are. A name that nobody has is answered as every other.
#[utoipa::path(post, path = "/auth/srp/start", tag = "sessions", request_body = StartSrp,
    extensions(("x-action" = json!("public"))), responses(
    (status = 200, body = SrpStarted),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "too many log in at once", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn start(
    State(sessions): State<Arc<Sessions>>,
    call: Anonymous,
    Json(body): Json<StartSrp>,
) -> Result<axum::Json<SrpStarted>, Refusal> {
    let client_public = bytes("client_public", &body.client_public)?;
    let started = sessions.start_srp(&body.username, client_public.to_vec(), call.context).await?;
    Ok(axum::Json(SrpStarted {
        handshake: SecretString::new(started.handshake),
        account_id: started.account_id,
        salt: BASE64URL_NOPAD.encode(&started.salt),
        server_public: BASE64URL_NOPAD.encode(&started.server_public),
        parameters: BASE64URL_NOPAD.encode(&started.parameters.to_bytes()),
    }))
}

/// End a login by SRP-6a with the client's proof.
///
/// A handshake takes one proof, right or wrong, within 60 seconds.
#[utoipa::path(post, path = "/auth/srp/finish", tag = "sessions", request_body = FinishSrp,
    extensions(("x-action" = json!("public"))), responses(
    (status = 200, description = "the proof is right; a session, or the second factor is asked for", body = SrpFinished),
    (status = 401, description = "`wrong_credentials`: the proof is wrong, or the handshake was used or has ended", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "too many log in at once", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn finish(
    State(sessions): State<Arc<Sessions>>,
    call: Anonymous,
    headers: HeaderMap,
    Json(body): Json<FinishSrp>,
) -> Result<axum::Json<SrpFinished>, Refusal> {
    let client_proof = bytes("client_proof", &body.client_proof)?;
    if client_proof.len() != PROOF_BYTES {
        return Err(Error::field("client_proof", "it should have 32 bytes").into());
    }
    let finish = Finish {
        handshake: Zeroizing::new(body.handshake.expose().to_owned()),
        client_proof: client_proof.to_vec(),
        session_name: body.name.as_deref().map(session_name).transpose()?,
        user_agent: user_agent(&headers),
    };
    let (server_proof, logged_in) = sessions.finish_srp(finish, call.context).await?;
    let (_, login) = login_reply(logged_in);
    Ok(axum::Json(SrpFinished { server_proof: BASE64URL_NOPAD.encode(&server_proof), login }))
}

/// Look at how you log in by SRP-6a.
#[utoipa::path(get, path = "/auth/srp/verifier", tag = "sessions", security(("token" = [])),
    extensions(("x-action" = json!("account"))), responses(
    (status = 200, body = SrpVerifier),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "you do not", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(verifiers): State<Arc<SrpVerifiers>>,
    AccountHolder(caller): AccountHolder,
) -> Result<axum::Json<SrpVerifier>, Refusal> {
    Ok(axum::Json(wire(&verifiers.get(&caller).await?)))
}

/// Log in by SRP-6a from now on, with this verifier. Your other sessions end.
///
/// The verifier must be of another secret than the account's password, which this box has seen. The keys that the secret
/// opens can be sent along.
#[utoipa::path(put, path = "/auth/srp/verifier", tag = "sessions", security(("token" = [])),
    extensions(("x-action" = json!("account"))), request_body = EnrolSrp, responses(
    (status = 200, body = SrpVerifier),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`, `session_needed`: wrong password", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set(
    State(verifiers): State<Arc<SrpVerifiers>>,
    AccountHolder(caller): AccountHolder,
    Json(body): Json<EnrolSrp>,
) -> Result<axum::Json<SrpVerifier>, Refusal> {
    let group = match body.group_bits {
        4096 => Group::Bits4096,
        3072 => Group::Bits3072,
        _ => return Err(Error::field("group_bits", "it should be 4096, or 3072").into()),
    };
    let (salt, value) = (bytes("salt", &body.salt)?, bytes("verifier", body.verifier.expose())?);
    let parameters = Parameters::parse(&bytes("parameters", &body.parameters)?);
    let new = NewVerifier {
        verifier: Verifier::from_parts(group, &salt, &value)
            .map_err(|error| Error::field("verifier", error.to_string()))?,
        parameters: parameters.map_err(|error| Error::field("parameters", error.to_string()))?,
        is_only: body.only,
        keys: body.keys.as_ref().map(secrets::account_of).transpose()?,
    };
    Ok(axum::Json(wire(&verifiers.set(&caller, body.password.expose(), new).await?)))
}

/// Log in by password again. Your other sessions end.
#[utoipa::path(post, path = "/auth/srp/verifier/removal", tag = "sessions", security(("token" = [])),
    extensions(("x-action" = json!("account"))), request_body = PasswordAgain, responses(
    (status = 204, description = "the verifier is gone"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`, `session_needed`: wrong password", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(verifiers): State<Arc<SrpVerifiers>>,
    AccountHolder(caller): AccountHolder,
    Json(body): Json<PasswordAgain>,
) -> Result<StatusCode, Refusal> {
    verifiers.remove(&caller, body.password.expose()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn bytes(field: &'static str, text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let decoded = BASE64URL_NOPAD.decode(text.as_bytes());
    decoded.map(Zeroizing::new).map_err(|_| Error::field(field, "it should be base64url without padding"))
}

fn wire(enrolled: &Enrolled) -> SrpVerifier {
    SrpVerifier { group_bits: enrolled.group_bits, only: enrolled.is_only, created_at: enrolled.created_at }
}
