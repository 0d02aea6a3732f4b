//! Whether the registrar works.

use std::sync::Arc;

use axum::extract::State;
use coffer_api::{RegistrarHealth, RegistrarProblem};

use super::problem::Refusal;
use crate::service::devices::Devices;

/// Ask whether the registrar works and reaches its database.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, body = RegistrarHealth),
    (status = 503, description = "the database is away", body = RegistrarProblem, content_type = "application/problem+json"),
))]
pub(super) async fn health(State(devices): State<Arc<Devices>>) -> Result<axum::Json<RegistrarHealth>, Refusal> {
    devices.check().await?;
    Ok(axum::Json(RegistrarHealth { status: "ok".to_owned() }))
}
