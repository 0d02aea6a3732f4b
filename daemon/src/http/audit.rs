//! The audit log: read, export, verify, and how long it is kept.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use coffer_api::{
    AuditEntry, AuditFormat, AuditHead, AuditOutcome, AuditRetention, AuditVerification, BrokenAuditRow, Page, Problem,
};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::audit_export;
use super::extract::{Authenticated, Json, Parameters};
use super::folders::PAGE;
use super::problem::Refusal;
use crate::model::audit::{Filter, Record};
use crate::service::Error;
use crate::service::audit::Auditor;

/// Longest name of an action, and longest id of a request.
const MAX_TEXT: usize = 64;

/// A query string with the filters of the log besides its own fields: they cannot be shared by nesting, because then
/// unknown parameters would no longer be refused.
macro_rules! with_filters {
    ($(#[$attribute:meta])* $name:ident { $($(#[$field_attribute:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$attribute])*
        #[derive(Deserialize, IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub(super) struct $name {
            $($(#[$field_attribute])* $field: $type,)*
            /// What this account did.
            #[serde(alias = "actor_id__eq")]
            actor_id: Option<Uuid>,
            /// This action, for example `file.stored`; 1 to 64 characters.
            #[serde(alias = "action__eq")]
            action: Option<String>,
            /// What ended so.
            #[serde(alias = "outcome__eq")]
            #[param(inline)]
            outcome: Option<AuditOutcome>,
            /// What was done to this object.
            #[serde(alias = "subject_id__eq")]
            subject_id: Option<Uuid>,
            /// What one call did: its `X-Request-ID`; 1 to 64 characters.
            #[serde(alias = "request_id__eq")]
            request_id: Option<String>,
            /// At this time or later.
            #[serde(rename = "at__gte")]
            #[param(value_type = Option<String>, format = DateTime)]
            from: Option<Timestamp>,
            /// Before this time.
            #[serde(rename = "at__lt")]
            #[param(value_type = Option<String>, format = DateTime)]
            until: Option<Timestamp>,
        }

        impl $name {
            fn filter(&self) -> Result<Filter, Error> {
                Ok(Filter {
                    actor_id: self.actor_id,
                    action: short("action", self.action.as_deref())?,
                    outcome: self.outcome,
                    subject_id: self.subject_id,
                    request_id: short("request_id", self.request_id.as_deref())?,
                    from: self.from,
                    until: self.until,
                })
            }
        }
    };
}

with_filters! {
    /// Which part of the log.
    ListAudit {
        /// 1 to 500; 50 when absent.
        limit: Option<u32>,
        /// `next_cursor` of the page before.
        cursor: Option<i64>,
    }
}

with_filters! {
    /// Which part of the log, and how it is written.
    ExportAudit {
        /// `csv` or `jsonl`.
        #[param(inline)]
        format: AuditFormat,
    }
}

/// Read the audit log, newest first.
///
/// Each condition that is given must hold. With a rare one a page may hold fewer rows than asked for, or none, and
/// still have a `next_cursor`: go on until there is none.
#[utoipa::path(get, path = "/audit", tag = "audit", security(("token" = [])), params(ListAudit),
    extensions(("x-action" = json!("read_audit"))), responses(
    (status = 200, body = Page<AuditEntry>),
    (status = 400, description = "not a condition", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a text is too long", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(auditor): State<Auditor>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ListAudit>,
) -> Result<axum::Json<Page<AuditEntry>>, Refusal> {
    let limit = wanted.limit.unwrap_or(PAGE);
    let (records, next) = auditor.list(&caller, wanted.filter()?, wanted.cursor, limit).await?;
    let items = records.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|seq| seq.to_string()) }))
}

/// Export the audit log as CSV or JSON Lines, oldest first, up to the row that reports the export.
///
/// In CSV a text that a spreadsheet would take for a formula (it begins with `=`, `+`, `-` or `@`) gets a `'` in front.
/// JSON Lines has every value as it is. An export that was cut short ends with a broken connection.
#[utoipa::path(get, path = "/audit/export", tag = "audit", security(("token" = [])), params(ExportAudit),
    extensions(("x-action" = json!("read_audit"))), responses(
    (status = 200, description = "the rows", content((String = "text/csv"), (AuditEntry = "application/jsonl"))),
    (status = 400, description = "not a condition", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a text is too long", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn export(
    State(auditor): State<Auditor>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<ExportAudit>,
) -> Result<Response, Refusal> {
    let (format, content_type, disposition) = match wanted.format {
        AuditFormat::Csv => ("csv", "text/csv; charset=utf-8; header=present", "attachment; filename=\"audit.csv\""),
        AuditFormat::Jsonl => ("jsonl", "application/jsonl", "attachment; filename=\"audit.jsonl\""),
    };
    let parts = auditor.export(&caller, wanted.filter()?, format).await?;
    let headers = [(header::CONTENT_TYPE, content_type), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, Body::from_stream(audit_export::text(wanted.format, parts))).into_response())
}

/// Verify the audit log: compute its chain of hashes anew and name the first row that is not as it was written.
///
/// Note the `head` down elsewhere: only a remembered hash shows that somebody with the open database wrote the whole
/// log anew.
#[utoipa::path(post, path = "/audit/verify", tag = "audit", security(("token" = [])),
    extensions(("x-action" = json!("read_audit"))), responses(
    (status = 200, description = "looked at, good or not", body = AuditVerification),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn verify(
    State(auditor): State<Auditor>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<AuditVerification>, Refusal> {
    let verification = auditor.verify(&caller).await?;
    let broken = verification.broken.map(|broken| BrokenAuditRow { seq: broken.seq, id: broken.id, why: broken.why });
    Ok(axum::Json(AuditVerification {
        ok: broken.is_none(),
        rows: verification.rows,
        head: AuditHead { seq: verification.head.seq, hash: verification.head.hash.to_string() },
        broken,
    }))
}

/// See how long the audit log is kept.
#[utoipa::path(get, path = "/audit/retention", tag = "audit", security(("token" = [])),
    extensions(("x-action" = json!("read_audit"))), responses(
    (status = 200, body = AuditRetention),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn retention(
    State(auditor): State<Auditor>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<AuditRetention>, Refusal> {
    Ok(axum::Json(AuditRetention { days: auditor.retention_days(&caller).await? }))
}

/// Say how long the audit log is kept. What is older is removed now, at each unlock and daily.
#[utoipa::path(put, path = "/audit/retention", tag = "audit", security(("token" = [])), request_body = AuditRetention,
    extensions(("x-action" = json!("manage_audit"))), responses(
    (status = 200, body = AuditRetention),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "1 to 29 days, or too many", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set_retention(
    State(auditor): State<Auditor>,
    Authenticated(caller): Authenticated,
    Json(body): Json<AuditRetention>,
) -> Result<axum::Json<AuditRetention>, Refusal> {
    auditor.set_retention_days(&caller, body.days).await?;
    Ok(axum::Json(body))
}

fn short(field: &'static str, text: Option<&str>) -> Result<Option<String>, Error> {
    match text {
        Some(text) if text.is_empty() || text.len() > MAX_TEXT => Err(Error::field(field, "it has 1 to 64 characters")),
        text => Ok(text.map(ToOwned::to_owned)),
    }
}

pub(super) fn wire(record: Record) -> AuditEntry {
    let Record { seq, entry, hash } = record;
    AuditEntry {
        seq,
        id: entry.id,
        at: entry.at,
        actor_id: entry.actor_id,
        session_id: entry.session_id,
        address: entry.address.map(|address| address.to_string()),
        request_id: entry.request_id,
        action: entry.action,
        outcome: entry.outcome,
        subject_id: entry.subject_id,
        detail: entry.detail,
        hash: hash.to_string(),
    }
}
