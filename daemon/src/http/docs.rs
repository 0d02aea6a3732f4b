//! The description of the API: OpenAPI 3.1 at `/api/openapi.json`, and a page to browse it at `/docs`.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Redirect, Response};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as DeriveOpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The page's own scripts and styles; nothing from any other place.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

/// What the document says besides the routes.
#[derive(DeriveOpenApi)]
#[openapi(
    info(title = "Coffer", description = "Encrypted files and secrets on your own box.", license(name = "Apache-2.0")),
    modifiers(&BearerToken),
    components(schemas(coffer_api::Problem)),
    tags(
        (name = "vault", description = "The life of the vault: create, unlock, lock, and the ways in."),
        (name = "sessions", description = "Log in, log out."),
        (name = "people", description = "Accounts: register, invite, change, delete; the rules for all of them."),
        (name = "credentials", description = "API keys for programs, and the link to a person of the cloud."),
        (name = "second factors", description = "What you have besides your password."),
        (name = "folders", description = "Folders."),
        (name = "groups", description = "Groups of people, for the lists of private folders."),
        (name = "files", description = "Files and their contents."),
        (name = "shares", description = "Share links: made, listed, taken back."),
        (name = "shared", description = "Share links, for who has one: no account is needed."),
        (name = "secrets", description = "Secrets vaults: sealed on your devices, and never opened here."),
        (name = "settings", description = "Variables of add-ons and clients."),
        (name = "events", description = "What happens, as it happens."),
        (name = "webhooks", description = "Who is told of events outside of the box."),
        (name = "encryption", description = "Sealed files: the mode, the keys, the work on what is stored."),
        (name = "audit", description = "Who did what."),
        (name = "device", description = "The box itself: its name, how it is reached, how it is doing."),
        (name = "health", description = "The state of the box."),
    )
)]
pub(super) struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The document and the page. Its assets are part of this program.
pub(super) fn router(document: OpenApi) -> Router {
    let config = Config::default().try_it_out_enabled(true).persist_authorization(false);
    let page = SwaggerUi::new("/docs").url("/api/openapi.json", document).config(config);
    Router::from(page).route("/", get(|| async { Redirect::temporary("/docs/") })).layer(from_fn(with_policy))
}

async fn with_policy(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    response
}
