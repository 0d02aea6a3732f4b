//! One-time links: sealed secrets for people without an account, and the page that opens them in a browser.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use coffer_api::{CreateSecretHandout, OpenSecretHandout, OpenedSecretHandout, Page, Problem, SecretHandout};

use super::extract::{AccountHolder, Anonymous, Id, Json, PageParameters, Parameters};
use super::folders::PAGE;
use super::handout_page;
use super::problem::Refusal;
use super::secrets::{MAX_ITEM_JSON, decode, encode};
use crate::model::secret::{Handout, NewHandout};
use crate::service::Error;
use crate::service::handouts::Handouts;

/// Make a one-time link for a secret.
#[utoipa::path(post, path = "/secrets/handouts", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), request_body = CreateSecretHandout, responses(
    (status = 201, body = SecretHandout),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: you have 200 already", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`quota_exceeded`: yours take 16 MiB already", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(handouts): State<Arc<Handouts>>,
    AccountHolder(caller): AccountHolder,
    Json(body): Json<CreateSecretHandout, MAX_ITEM_JSON>,
) -> Result<(StatusCode, axum::Json<SecretHandout>), Refusal> {
    let access_hash = decode("access_hash", &body.access_hash)?;
    let access_hash = access_hash.try_into().map_err(|_| Error::field("access_hash", "it should have 32 bytes"))?;
    let content = decode("content", &body.content)?;
    let new = NewHandout { id: body.id, access_hash, content, views: body.views, expires_at: body.expires_at };
    Ok((StatusCode::CREATED, axum::Json(wire(&handouts.create(&caller, new).await?))))
}

/// List your one-time links.
#[utoipa::path(get, path = "/secrets/handouts", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(PageParameters), responses(
    (status = 200, body = Page<SecretHandout>),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(handouts): State<Arc<Handouts>>,
    AccountHolder(caller): AccountHolder,
    Parameters(wanted): Parameters<PageParameters>,
) -> Result<axum::Json<Page<SecretHandout>>, Refusal> {
    let (items, next) = handouts.list(&caller, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
}

/// Take a one-time link back.
#[utoipa::path(delete, path = "/secrets/handouts/{id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "nobody can open it any more"),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such link of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(handouts): State<Arc<Handouts>>,
    AccountHolder(caller): AccountHolder,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    handouts.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Open a one-time link: uses up a view.
///
/// What is wrong, used up, over or was never there is answered in the same way.
#[utoipa::path(post, path = "/secrets/handouts/{id}/open", tag = "secrets",
    extensions(("x-action" = json!("public"))), params(("id" = uuid::Uuid, Path)), request_body = OpenSecretHandout, responses(
    (status = 200, body = OpenedSecretHandout),
    (status = 404, description = "the link is good for nothing", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn open(
    State(handouts): State<Arc<Handouts>>,
    Id(id): Id,
    call: Anonymous,
    Json(body): Json<OpenSecretHandout>,
) -> Result<axum::Json<OpenedSecretHandout>, Refusal> {
    let token = decode("access_token", body.access_token.expose())?;
    let opened = handouts.open(id, &token, &call.context).await?;
    Ok(axum::Json(OpenedSecretHandout { content: encode(&opened.content), views_left: opened.views_left }))
}

/// The page that opens a one-time link in a browser. Looking at it uses nothing up.
#[utoipa::path(get, path = "/secret/{id}", tag = "secrets", extensions(("x-action" = json!("public"))),
    params(("id" = uuid::Uuid, Path)), responses((status = 200, description = "the page", content_type = "text/html")))]
pub(super) async fn page(_id: Id) -> Response {
    handout_page::reply()
}

fn wire(handout: &Handout) -> SecretHandout {
    SecretHandout {
        id: handout.id,
        views: handout.views,
        views_left: handout.views_left,
        created_at: handout.created_at,
        expires_at: handout.expires_at,
    }
}
