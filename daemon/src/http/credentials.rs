//! Credentials besides sessions: API keys, and the link to a person of the cloud.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{ApiKey, CreateApiKey, CreateDeviceLink, DeviceLink, NewApiKey, Problem, SecretString};

use super::extract::{Authenticated, Id, Json};
use super::problem::Refusal;
use crate::model::api_key;
use crate::model::user::DisplayName;
use crate::service::Error;
use crate::service::api_keys::{self, ApiKeys};
use crate::service::device_links::DeviceLinks;

/// Make an API key for a program. It is shown this once.
#[utoipa::path(post, path = "/api-keys", tag = "credentials", security(("token" = [])), request_body = CreateApiKey, 
    extensions(("x-action" = json!("account"))), responses(
    (status = 201, body = NewApiKey),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: you have too many", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create_key(
    State(keys): State<Arc<ApiKeys>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<CreateApiKey>,
) -> Result<(StatusCode, axum::Json<NewApiKey>), Refusal> {
    let name = DisplayName::parse(&body.name).map_err(|error| Error::field("name", error.to_string()))?;
    let new = api_keys::NewApiKey { name, role: body.role, folder_id: body.folder_id, expires_at: body.expires_at };
    let (key, text) = keys.create(&caller, new).await?;
    Ok((StatusCode::CREATED, axum::Json(NewApiKey { api_key: wire(key), key: SecretString::new(text) })))
}

/// List your API keys.
#[utoipa::path(get, path = "/api-keys", tag = "credentials", security(("token" = [])), 
    extensions(("x-action" = json!("account"))), responses(
    (status = 200, body = Vec<ApiKey>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list_keys(
    State(keys): State<Arc<ApiKeys>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<Vec<ApiKey>>, Refusal> {
    Ok(axum::Json(keys.list(&caller).await?.into_iter().map(wire).collect()))
}

/// Delete one of your API keys.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "credentials", security(("token" = [])), params(("id" = uuid::Uuid, Path)), 
    extensions(("x-action" = json!("account"))), responses(
    (status = 204, description = "refused from now on"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such key of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete_key(
    State(keys): State<Arc<ApiKeys>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    keys.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// See which person of the cloud you are linked to.
#[utoipa::path(get, path = "/users/me/device-link", tag = "credentials", security(("token" = [])), 
    extensions(("x-action" = json!("account"))), responses(
    (status = 200, body = DeviceLink),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "not linked", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn device_link(
    State(links): State<Arc<DeviceLinks>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<DeviceLink>, Refusal> {
    let (subject, created_at) = links.get(&caller).await?;
    Ok(axum::Json(DeviceLink { subject, created_at }))
}

/// Link your account to a person of the cloud, by a token that the cloud issued for this device and that person.
///
/// From then on such tokens are accepted as yours.
#[utoipa::path(put, path = "/users/me/device-link", tag = "credentials", security(("token" = [])), request_body = CreateDeviceLink, 
    extensions(("x-action" = json!("account"))), responses(
    (status = 200, body = DeviceLink),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_device_token`: not a valid token for this device", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`link_taken`: linked to another account", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn link_device(
    State(links): State<Arc<DeviceLinks>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<CreateDeviceLink>,
) -> Result<axum::Json<DeviceLink>, Refusal> {
    let (subject, created_at) = links.link(&caller, body.device_token.expose()).await?;
    Ok(axum::Json(DeviceLink { subject, created_at }))
}

/// Unlink your account. Tokens of the cloud are refused from then on.
#[utoipa::path(delete, path = "/users/me/device-link", tag = "credentials", security(("token" = [])), 
    extensions(("x-action" = json!("account"))), responses(
    (status = 204, description = "unlinked"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "not linked", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn unlink_device(
    State(links): State<Arc<DeviceLinks>>,
    Authenticated(caller): Authenticated,
) -> Result<StatusCode, Refusal> {
    links.unlink(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wire(key: api_key::ApiKey) -> ApiKey {
    ApiKey {
        id: key.id,
        name: key.name,
        role: key.role,
        folder_id: key.folder_id,
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
    }
}
