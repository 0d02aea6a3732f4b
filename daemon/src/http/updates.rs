//! Updates of the image, and restarts.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use coffer_api::{DeviceUpdate, Problem};
use futures_util::StreamExt;

use super::device::Visitor;
use super::problem::Refusal;
use crate::model::role::Action;
use crate::service::transfer::BodyError;
use crate::service::updates::Updates;

/// See which image runs, and how far an update is.
///
/// Changes are told as `device.update_changed` to those who may manage the box.
#[utoipa::path(get, path = "/device/update", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("inspect_device"))), responses(
    (status = 200, body = DeviceUpdate),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "neither an editor nor an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "this is no image", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn look(
    State(updates): State<Arc<Updates>>,
    visitor: Visitor,
) -> Result<axum::Json<DeviceUpdate>, Refusal> {
    visitor.require(Action::InspectDevice).await?;
    Ok(axum::Json(updates.look().await?))
}

/// Install an update: a signed bundle (`.raucb`), of at most 512 MiB.
///
/// The reply comes when it is here and being verified. It is written to the half of the card that does not run, and tried
/// at the next restart. Not while an update is on its way or on trial, somebody uploads, or sealed files are worked on.
#[utoipa::path(post, path = "/device/update", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("manage_device"))),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses(
    (status = 202, description = "it is being installed, or has ended already: see `state`", body = DeviceUpdate),
    (status = 400, description = "the upload ended early", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "this is no image", body = Problem, content_type = "application/problem+json"),
    (status = 408, description = "the client fell silent", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`update_running`, `uploads_running`, `job_running`: an update is on its way or on trial, somebody uploads, or sealed files are worked on", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "too large", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a bundle", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`updater_unavailable`: the system does not install it", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "no room on the card", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn install(
    State(updates): State<Arc<Updates>>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, axum::Json<DeviceUpdate>), Refusal> {
    let context = visitor.require(Action::ManageDevice).await?;
    let size_bytes = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let frames = body.into_data_stream().map(|frame| frame.map_err(|_| BodyError));
    let update = updates.install(size_bytes, frames, context).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(update)))
}

/// Install what the channel offers. Nothing is done when that is not newer than what runs.
#[utoipa::path(post, path = "/device/update/channel", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("manage_device"))), responses(
    (status = 202, description = "it is being fetched, or there is nothing newer: see `state`", body = DeviceUpdate),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "this is no image, or the box was told no channel", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`update_running`, `uploads_running`, `job_running`: an update is on its way or on trial, somebody uploads, or sealed files are worked on", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`channel_unavailable`: nothing came from the channel", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "no room on the card", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn install_from_channel(
    State(updates): State<Arc<Updates>>,
    visitor: Visitor,
) -> Result<(StatusCode, axum::Json<DeviceUpdate>), Refusal> {
    let context = visitor.require(Action::ManageDevice).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(updates.install_from_channel(context).await?)))
}

/// Restart the box. An update that waits is tried with it. Not while one is on its way, somebody uploads, or sealed files are
/// worked on.
#[utoipa::path(post, path = "/device/restart", tag = "device", security(("token" = [])),
    extensions(("x-action" = json!("manage_device"))), responses(
    (status = 202, description = "it is about to restart"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "this is no image", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`update_running`, `uploads_running`, `job_running`: an update is on its way, somebody uploads, or sealed files are worked on", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn restart(State(updates): State<Arc<Updates>>, visitor: Visitor) -> Result<StatusCode, Refusal> {
    let context = visitor.require(Action::ManageDevice).await?;
    updates.restart(context).await?;
    Ok(StatusCode::ACCEPTED)
}
