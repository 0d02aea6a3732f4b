//! How the box becomes reachable from afar.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{DeviceRegistration, OwnTunnel, Problem, SecretString, StartRegistration};

use super::device::{OnTheBox, Visitor};
use super::extract::Json;
use super::problem::Refusal;
use crate::model::device::{Credential, RegistrarUrl, ServerUrl, TunnelToken};
use crate::model::role::Action;
use crate::service::Error;
use crate::service::registration::{Registrations, Way};

/// Say how the box is reached from afar. Control socket only.
///
/// The request is on disk when the reply comes, and goes on by itself from there, also through power cuts. The same one
/// again changes nothing; another one takes its place.
#[utoipa::path(post, path = "/device/registration", tag = "device", extensions(("x-action" = json!("control_socket"))), request_body = StartRegistration, responses(
    (status = 202, body = DeviceRegistration),
    (status = 403, description = "not on the control socket", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "none of the three ways, or a value is not acceptable", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "storage unusable", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn start(
    State(registrations): State<Arc<Registrations>>,
    OnTheBox(context): OnTheBox,
    Json(body): Json<StartRegistration>,
) -> Result<(StatusCode, axum::Json<DeviceRegistration>), Refusal> {
    registrations.request(way(&body)?, context).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(registrations.status())))
}

/// See how far the registration is.
#[utoipa::path(get, path = "/device/registration", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("manage_device"))), responses(
    (status = 200, body = DeviceRegistration),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn look(
    State(registrations): State<Arc<Registrations>>,
    visitor: Visitor,
) -> Result<axum::Json<DeviceRegistration>, Refusal> {
    visitor.require(Action::ManageDevice).await?;
    Ok(axum::Json(registrations.status()))
}

/// Give the registration up, whichever it is.
///
/// The tunnel ends, and so do tokens that the registrar issued. The registrar is not told: give the box up there too.
#[utoipa::path(delete, path = "/device/registration", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("manage_device"))), responses(
    (status = 204, description = "there is none any more"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn forget(
    State(registrations): State<Arc<Registrations>>,
    visitor: Visitor,
) -> Result<StatusCode, Refusal> {
    let context = visitor.require(Action::ManageDevice).await?;
    registrations.forget(context).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Exactly one of the three ways.
fn way(body: &StartRegistration) -> Result<Way, Error> {
    let credential = (body.ticket.as_ref(), body.user_token.as_ref());
    match (&body.registrar, credential, &body.own_tunnel, body.local_only) {
        (Some(url), credential, None, None) => by_registrar(url, credential),
        (None, (None, None), Some(tunnel), None) => by_own_tunnel(tunnel),
        (None, (None, None), None, Some(true)) => Ok(Way::LocalOnly),
        _ => {
            let detail = "give either this with a ticket or a user_token, or own_tunnel, or local_only: true";
            Err(Error::field("registrar", detail))
        }
    }
}

fn by_registrar(url: &str, credential: (Option<&SecretString>, Option<&SecretString>)) -> Result<Way, Error> {
    let wrong =
        |field: &'static str| move |error: crate::model::device::Unacceptable| Error::field(field, error.to_string());
    let url = RegistrarUrl::parse(url).map_err(wrong("registrar"))?;
    let credential = match credential {
        (Some(ticket), None) => Credential::Ticket(Credential::check(ticket.expose()).map_err(wrong("ticket"))?),
        (None, Some(token)) => Credential::UserToken(Credential::check(token.expose()).map_err(wrong("user_token"))?),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Error::field("ticket", "give either this or user_token"));
        }
    };
    Ok(Way::Registrar { url, credential })
}

fn by_own_tunnel(tunnel: &OwnTunnel) -> Result<Way, Error> {
    let token = TunnelToken::parse(tunnel.tunnel_token.expose());
    let token = token.map_err(|error| Error::field("own_tunnel.tunnel_token", error.to_string()))?;
    let url = ServerUrl::of_hostname(&tunnel.hostname);
    let url = url.map_err(|error| Error::field("own_tunnel.hostname", error.to_string()))?;
    Ok(Way::OwnTunnel { token, url })
}
