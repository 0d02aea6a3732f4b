//! Webhooks.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{
    ChangeWebhook, CreateWebhook, NewWebhook, Page, Problem, SecretString, ToldEvent, Webhook, WebhookDelivery,
};

use super::extract::{Authenticated, Id, Json, PageParameters, Parameters};
use super::folders::PAGE;
use super::problem::Refusal;
use crate::model::webhook::{self, EventFilter, WebhookChange, WebhookUrl};
use crate::service::webhooks::Webhooks;

/// Make a webhook. Administrators only.
///
/// The secret that signs what is sent is shown this once.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", security(("token" = [])),
    extensions(("x-action" = json!("manage_webhooks"))), request_body = CreateWebhook, responses(
    (status = 201, body = NewWebhook),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: there are 50 webhooks already", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a URL that is allowed, or not an event", body = Problem,
        content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(webhooks): State<Arc<Webhooks>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<CreateWebhook>,
) -> Result<(StatusCode, axum::Json<NewWebhook>), Refusal> {
    let (url, events) = (WebhookUrl::parse(&body.url)?, EventFilter::parse(body.events)?);
    let (webhook, secret) = webhooks.create(&caller, url, events).await?;
    let new = NewWebhook { webhook: wire(webhook), secret: SecretString::new(secret) };
    Ok((StatusCode::CREATED, axum::Json(new)))
}

/// List the webhooks. Administrators only.
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", security(("token" = [])),
    extensions(("x-action" = json!("manage_webhooks"))), params(PageParameters), responses(
    (status = 200, body = Page<Webhook>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(webhooks): State<Arc<Webhooks>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<PageParameters>,
) -> Result<axum::Json<Page<Webhook>>, Refusal> {
    let (items, next) = webhooks.list(&caller, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
}

/// Look at a webhook. Administrators only.
#[utoipa::path(get, path = "/webhooks/{id}", tag = "webhooks", security(("token" = [])),
    extensions(("x-action" = json!("manage_webhooks"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, body = Webhook),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such webhook", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(webhooks): State<Arc<Webhooks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<axum::Json<Webhook>, Refusal> {
    Ok(axum::Json(wire(webhooks.get(&caller, id).await?)))
}

/// Change a webhook: its URL, its events, or switch it off and on. Administrators only.
#[utoipa::path(patch, path = "/webhooks/{id}", tag = "webhooks", security(("token" = [])),
    extensions(("x-action" = json!("manage_webhooks"))), params(("id" = uuid::Uuid, Path)), request_body = ChangeWebhook, responses(
    (status = 200, body = Webhook),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such webhook", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a URL that is allowed, or not an event", body = Problem,
        content_type = "application/problem+json"),
))]
pub(super) async fn change(
    State(webhooks): State<Arc<Webhooks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<ChangeWebhook>,
) -> Result<axum::Json<Webhook>, Refusal> {
    let change = WebhookChange {
        url: body.url.as_deref().map(WebhookUrl::parse).transpose()?,
        events: body.events.map(EventFilter::parse).transpose()?,
        active: body.active,
    };
    Ok(axum::Json(wire(webhooks.change(&caller, id, change).await?)))
}

/// Delete a webhook and its log. Administrators only.
///
/// What waits for it is not sent any more.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks", security(("token" = [])),
    extensions(("x-action" = json!("manage_webhooks"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "deleted"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such webhook", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(webhooks): State<Arc<Webhooks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    webhooks.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a webhook `webhook.test`, also when it is switched off. Administrators only.
///
/// It is queued like an event; the webhook's deliveries say what became of it.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "webhooks", security(("token" = [])),
    extensions(("x-action" = json!("manage_webhooks"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 202, description = "queued", body = WebhookDelivery),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such webhook", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn test(
    State(webhooks): State<Arc<Webhooks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<(StatusCode, axum::Json<WebhookDelivery>), Refusal> {
    let delivery = webhooks.test(&caller, id).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(wire_delivery(delivery))))
}

/// List what was sent to a webhook and what waits, newest first. Administrators only.
///
/// Kept for 14 days.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "webhooks", security(("token" = [])),
    extensions(("x-action" = json!("manage_webhooks"))), params(("id" = uuid::Uuid, Path), PageParameters), responses(
    (status = 200, body = Page<WebhookDelivery>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such webhook", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn deliveries(
    State(webhooks): State<Arc<Webhooks>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Parameters(wanted): Parameters<PageParameters>,
) -> Result<axum::Json<Page<WebhookDelivery>>, Refusal> {
    let (items, next) = webhooks.deliveries(&caller, id, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.into_iter().map(wire_delivery).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
}

#[expect(clippy::needless_pass_by_value, reason = "each is on its way out")]
fn wire(webhook: webhook::Webhook) -> Webhook {
    Webhook {
        id: webhook.id,
        url: webhook.url.as_str().to_owned(),
        events: webhook.events.names().to_vec(),
        active: webhook.active,
        created_at: webhook.created_at,
        created_by: webhook.created_by,
    }
}

fn wire_delivery(delivery: webhook::Delivery) -> WebhookDelivery {
    let event: ToldEvent = delivery.told.into();
    WebhookDelivery {
        event,
        state: delivery.state,
        attempts: delivery.attempts,
        next_attempt_at: delivery.next_attempt_at,
        last_attempt_at: delivery.last_attempt_at,
        status: delivery.status,
        problem: delivery.problem,
    }
}
