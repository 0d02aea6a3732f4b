//! Reading everything back.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{FaultyRevision, Page, Problem, Scrub};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::extract::{Authenticated, Parameters};
use super::folders::PAGE;
use super::problem::Refusal;
use crate::model::scrub;
use crate::service::Error;
use crate::service::scrub::{FaultCursor, Scrubs};

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListFaults {
    /// 1 to 500; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Read everything back now, slowly. Administrators only. The vault does so by itself every thirty days.
///
/// A content that does not read back is replaced by an identical one, where there is one. A round that goes on already
/// goes on.
#[utoipa::path(post, path = "/storage/scrub", tag = "storage", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), responses(
    (status = 202, description = "it goes on", body = Scrub),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn begin(
    State(scrubs): State<Arc<Scrubs>>,
    Authenticated(caller): Authenticated,
) -> Result<(StatusCode, axum::Json<Scrub>), Refusal> {
    Ok((StatusCode::ACCEPTED, axum::Json(wire(&scrubs.begin(&caller).await?))))
}

/// How far the round has come that goes on, or what the last one found. Administrators only.
#[utoipa::path(get, path = "/storage/scrub", tag = "storage", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), responses(
    (status = 200, body = Scrub),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "there was none yet", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn last(
    State(scrubs): State<Arc<Scrubs>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<Scrub>, Refusal> {
    let last = scrubs.last(&caller).await?.ok_or(Error::NotFound("scrub"))?;
    Ok(axum::Json(wire(&last)))
}

/// List the revisions that did not read back. Administrators only.
#[utoipa::path(get, path = "/storage/faults", tag = "storage", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), params(ListFaults), responses(
    (status = 200, body = Page<FaultyRevision>),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not a cursor", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn faults(
    State(scrubs): State<Arc<Scrubs>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListFaults>,
) -> Result<axum::Json<Page<FaultyRevision>>, Refusal> {
    let after = wanted.cursor.as_deref().map(cursor).transpose()?;
    let (items, next) = scrubs.faults(&caller, after, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.into_iter().map(|(file_id, number, fault)| FaultyRevision { file_id, number, fault }).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|(file_id, number)| format!("{file_id}.{number}")) }))
}

fn cursor(text: &str) -> Result<FaultCursor, Error> {
    let parts = text.split_once('.').and_then(|(id, number)| Some((Uuid::parse_str(id).ok()?, number.parse().ok()?)));
    parts.ok_or_else(|| Error::field("cursor", "it is not one that this list gave"))
}

fn wire(scrub: &scrub::Scrub) -> Scrub {
    Scrub {
        id: scrub.id,
        started_at: scrub.started_at,
        finished_at: scrub.finished_at,
        total: scrub.total,
        checked: scrub.checked,
        checked_bytes: scrub.checked_bytes,
        faults: scrub.faults,
        repaired: scrub.repaired,
        orphans: scrub.orphans,
        quarantined: scrub.quarantined,
    }
}
