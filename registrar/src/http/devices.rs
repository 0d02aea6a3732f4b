//! What people do with their boxes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{
    DeviceToken, IssueDeviceToken, RegisteredDevice, RegisteredDevices, RegistrarProblem, RegistrationState,
    SecretString,
};

use super::extract::{Id, Json, Known};
use super::problem::Refusal;
use crate::service::Error;
use crate::service::devices::{Devices, OwnDevice};
use crate::store::devices::State as Stored;

/// Get a token for one of your boxes.
///
/// The box accepts it for an hour, once an account there is linked to you.
#[utoipa::path(post, path = "/device-tokens", tag = "phone", security(("user_token" = [])), request_body = IssueDeviceToken, responses(
    (status = 201, body = DeviceToken),
    (status = 400, description = "not JSON", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 401, description = "no valid token", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 404, description = "no such box, or not yours", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 409, description = "the box is not registered to its end", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 429, description = "too many requests", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 503, description = "the identity provider or the database is away", body = RegistrarProblem, content_type = "application/problem+json"),
))]
pub(super) async fn issue_token(
    State(devices): State<Arc<Devices>>,
    Known(person): Known,
    Json(body): Json<IssueDeviceToken>,
) -> Result<(StatusCode, axum::Json<DeviceToken>), Refusal> {
    let issued = devices.issue_token(&person, body.device_id).await?;
    let token = DeviceToken {
        token: SecretString::new(issued.token),
        expires_at: issued.expires_at,
        server_url: url(&issued.host),
    };
    Ok((StatusCode::CREATED, axum::Json(token)))
}

/// List your boxes.
#[utoipa::path(get, path = "/devices", tag = "phone", security(("user_token" = [])), responses(
    (status = 200, body = RegisteredDevices),
    (status = 401, description = "no valid token", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 429, description = "too many requests", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 503, description = "the identity provider or the database is away", body = RegistrarProblem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(devices): State<Arc<Devices>>,
    Known(person): Known,
) -> Result<axum::Json<RegisteredDevices>, Refusal> {
    let listed = devices.list(&person).await?;
    Ok(axum::Json(RegisteredDevices { items: listed.into_iter().filter_map(wire).collect() }))
}

/// Remove one of your boxes.
///
/// Its name and its tunnel are deleted, and no more tokens are issued for it. What is on the box stays as it is. Removing it
/// again is no error; when Cloudflare is away, the registrar goes on by itself.
#[utoipa::path(delete, path = "/devices/{id}", tag = "phone", security(("user_token" = [])),
    params(("id" = uuid::Uuid, Path, description = "the box")), responses(
    (status = 204, description = "removed"),
    (status = 401, description = "no valid token", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 404, description = "no such box, or not yours", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 429, description = "too many requests", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 502, description = "Cloudflare refuses", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 503, description = "Cloudflare, the identity provider or the database is away", body = RegistrarProblem, content_type = "application/problem+json"),
))]
pub(super) async fn remove(
    State(devices): State<Arc<Devices>>,
    Known(person): Known,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    // As with registering: it goes on when the phone hangs up.
    let removing = tokio::spawn(async move { devices.remove(&person, id).await });
    removing.await.map_err(|_| Error::Internal("removing"))??;
    Ok(StatusCode::NO_CONTENT)
}

/// Where the box at that host is reached.
pub(super) fn url(host: &str) -> String {
    format!("https://{host}")
}

fn wire(device: OwnDevice) -> Option<RegisteredDevice> {
    let state = match device.state {
        Stored::Registering => RegistrationState::Registering,
        Stored::Ready => RegistrationState::Ready,
        Stored::Removing => RegistrationState::Removing,
        Stored::Removed => return None,
    };
    Some(RegisteredDevice {
        device_id: device.id,
        name: device.name,
        server_url: url(&device.host),
        state,
        registered_at: device.registered_at,
    })
}
