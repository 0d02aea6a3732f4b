//! The REST API: routes, extractors, and the one table from errors to problems.

mod devices;
mod docs;
mod extract;
mod health;
mod middleware;
mod problem;
mod registrations;
pub(crate) mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::devices::Devices;
use crate::service::identity::Identity;
use crate::service::limits::Limits;
use crate::service::registrations::Registrations;
use crate::service::tickets::Tickets;

/// The services, of which each handler asks for the one it needs.
#[derive(Clone, FromRef)]
pub(crate) struct Services {
    pub(crate) identity: Arc<Identity>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) registrations: Arc<Registrations>,
    pub(crate) devices: Arc<Devices>,
}

/// The whole API.
pub(crate) fn router(services: Services) -> Router {
    let (router, _) = routes().split_for_parts();
    let router = router.fallback(problem::no_such_address).method_not_allowed_fallback(problem::no_such_method);
    middleware::wrap(router.with_state(services))
}

/// Its description: OpenAPI 3.1, as docs/registrar.openapi.json has it.
pub(crate) fn description() -> Result<String, serde_json::Error> {
    let (_, document) = routes().split_for_parts();
    document.to_pretty_json().map(|json| json + "\n")
}

fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::with_openapi(docs::Document::openapi())
        .routes(routes!(registrations::issue_ticket))
        .routes(routes!(registrations::register))
        .routes(routes!(devices::issue_token))
        .routes(routes!(devices::list))
        .routes(routes!(devices::remove))
        .routes(routes!(health::health))
}
