//! What the description of the API says besides the routes.

use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as DeriveOpenApi};

#[derive(DeriveOpenApi)]
#[openapi(
    info(
        title = "Coffer registrar",
        description = "Registers boxes, makes their tunnels, and issues device tokens.",
        license(name = "Apache-2.0")
    ),
    modifiers(&UserToken),
    components(schemas(coffer_api::RegistrarProblem)),
    tags(
        (name = "phone", description = "For the phone or browser of a person, with the token of the identity provider."),
        (name = "box", description = "For a box, with a ticket."),
        (name = "health", description = "For whoever runs the registrar."),
    )
)]
pub(super) struct Document;

struct UserToken;

impl Modify for UserToken {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("user_token", SecurityScheme::Http(scheme));
    }
}
