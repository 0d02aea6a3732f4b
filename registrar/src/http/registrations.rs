//! Tickets for phones, and what boxes do with them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{ClaimTicket, RegisterDevice, RegistrarProblem, Registration, SecretString};
use zeroize::Zeroizing;

use super::extract::{Json, Known};
use super::problem::Refusal;
use crate::service::Error;
use crate::service::registrations::{Credential, Registrations, Request};
use crate::service::tickets::Tickets;

/// Get a claim ticket.
///
/// It registers one box for you, within 15 minutes. Give it to the box over the sealed channel of the set-up.
#[utoipa::path(post, path = "/claim-tickets", tag = "phone", security(("user_token" = [])), responses(
    (status = 201, body = ClaimTicket),
    (status = 401, description = "no valid token", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 409, description = "ten tickets are open", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 429, description = "too many requests", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 503, description = "the identity provider or the database is away", body = RegistrarProblem, content_type = "application/problem+json"),
))]
pub(super) async fn issue_ticket(
    State(tickets): State<Arc<Tickets>>,
    Known(person): Known,
) -> Result<(StatusCode, axum::Json<ClaimTicket>), Refusal> {
    let (ticket, expires_at) = tickets.issue(&person).await?;
    Ok((StatusCode::CREATED, axum::Json(ClaimTicket { ticket: SecretString::new(ticket), expires_at })))
}

/// Register a box.
///
/// A box that did not get the answer asks again with the same ticket and the same key, any number of times and also after the
/// ticket has expired: it gets the same answer, and there is one tunnel.
#[utoipa::path(post, path = "/register-device", tag = "box", request_body = RegisterDevice, responses(
    (status = 200, body = Registration),
    (status = 400, description = "not JSON", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 401, description = "the user token is not valid", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 403, description = "no such ticket, or a wrong proof", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 409, description = "claimed already, or as many boxes as there may be", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 410, description = "the ticket has expired", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 429, description = "too many requests", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 502, description = "Cloudflare refuses", body = RegistrarProblem, content_type = "application/problem+json"),
    (status = 503, description = "Cloudflare, the identity provider or the database is away: ask again", body = RegistrarProblem, content_type = "application/problem+json"),
))]
pub(super) async fn register(
    State(registrations): State<Arc<Registrations>>,
    Json(body): Json<RegisterDevice>,
) -> Result<axum::Json<Registration>, Refusal> {
    let own = |secret: SecretString| Zeroizing::new(secret.expose().to_owned());
    let credential = match (body.ticket, body.user_token) {
        (Some(ticket), None) => Credential::Ticket(own(ticket)),
        (None, Some(token)) => Credential::UserToken(own(token)),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Error::Field { field: "ticket", detail: "give exactly one of ticket and user_token" }.into());
        }
    };
    let request = Request { credential, public_key: body.public_key, proof: body.proof, name: body.name };
    // A task of its own: it goes on when the box hangs up, and the next request finds more done.
    let registering = tokio::spawn(async move { registrations.register(request).await });
    let registered = registering.await.map_err(|_| Error::Internal("registering"))??;
    Ok(axum::Json(Registration {
        device_id: registered.device_id,
        shared_secret: SecretString::new(registered.shared_secret),
        tunnel_token: SecretString::new(registered.tunnel_token),
        server_url: super::devices::url(&registered.host),
    }))
}
