//! `/health`: what anybody may know.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use coffer_api::Health;

use crate::service::health::HealthCheck;

/// The state of the box. Needs no token, and answers whether the vault is locked or not.
#[utoipa::path(get, path = "/health", tag = "health", extensions(("x-action" = json!("public"))), responses((status = 200, body = Health)))]
pub(super) async fn look(State(health): State<Arc<HealthCheck>>) -> Json<Health> {
    Json(health.look())
}
