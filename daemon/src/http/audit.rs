//! The audit log.

use axum::extract::State;
use coffer_api::{AuditEntry, Page, Problem};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::extract::{Authenticated, Parameters};
use super::folders::PAGE;
use super::problem::Refusal;
use crate::service::audit::Auditor;

/// Which part of the log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListAudit {
    /// 1 to 500; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// Read the audit log, newest first. Administrators only.
#[utoipa::path(get, path = "/audit", tag = "audit", security(("token" = [])), params(ListAudit), responses(
    (status = 200, body = Page<AuditEntry>),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(auditor): State<Auditor>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListAudit>,
) -> Result<axum::Json<Page<AuditEntry>>, Refusal> {
    let (entries, next) = auditor.list(&caller, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = entries.into_iter().map(|entry| AuditEntry {
        id: entry.id,
        at: entry.at,
        actor_id: entry.actor_id,
        action: entry.action,
        outcome: entry.outcome.name().to_owned(),
        subject_id: entry.subject_id,
        request_id: entry.request_id,
    });
    Ok(axum::Json(Page { items: items.collect(), next_cursor: next.map(|id| id.to_string()) }))
}
