//! Who did what.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// One row of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "seq": 4711,
    "id": "01a1fd16-afea-707b-afb4-166dd8225dae",
    "at": "2026-11-21T09:30:00.125Z",
    "actor_id": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "session_id": "01a1fd16-9a41-7c02-8a3e-2b8f6d4417aa",
    "address": "192.0.2.7",
    "request_id": "0f8fad5bd9cb469fa16570867728950e",
    "action": "file.stored",
    "outcome": "success",
    "subject_id": "01a1fd16-afe9-7000-b0f0-5a5fd0c3a1de",
    "detail": null,
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}))]
pub struct AuditEntry {
    /// The place in the log: 1, 2, 3 and so on, without a gap.
    pub seq: i64,
    /// Names the row.
    pub id: Uuid,
    /// When it happened, by the clock of the box.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who; null when nobody was logged in.
    pub actor_id: Option<Uuid>,
    /// In which session, or with which API key; null without one.
    pub session_id: Option<Uuid>,
    /// From where; null on the control socket, and for what happened while the vault was locked.
    pub address: Option<String>,
    /// The `X-Request-ID` of the call; empty when the box acted by itself.
    pub request_id: String,
    /// What, for example `file.stored`.
    pub action: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// On which object, when there is one.
    pub subject_id: Option<Uuid>,
    /// More, in a few words, for example `days: 0 -> 90`.
    pub detail: Option<String>,
    /// SHA-256 over the row and the hash of the row before, in hexadecimal.
    pub hash: String,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Success,
    /// It was not allowed.
    Refused,
    /// It was tried with the wrong secret, or went wrong.
    Failed,
}

impl AuditOutcome {
    /// The name in documents, in exports and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// In which form the log is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditFormat {
    /// Comma-separated values (RFC 4180), with a line of names.
    Csv,
    /// One JSON document a line.
    Jsonl,
}

/// What became of the chain of hashes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "ok": true,
    "rows": 4711,
    "head": { "seq": 4711, "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" },
    "broken": null,
}))]
pub struct AuditVerification {
    /// Whether every row is there and as it was written.
    pub ok: bool,
    /// Rows that were found good, from the oldest one on.
    pub rows: u64,
    /// The last good row. Note it down: as long as the row of that number has that hash, everything up to it stands.
    pub head: AuditHead,
    /// The first row that is not good.
    pub broken: Option<BrokenAuditRow>,
}

/// A place in the log, and the hash that stands for all of it up to there.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// The row's number; 0 before the first.
    pub seq: i64,
    /// In hexadecimal.
    pub hash: String,
}

/// The first row at which the log is not as it was written.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BrokenAuditRow {
    /// The row's number.
    pub seq: i64,
    /// The row's id; null when the row is missing, or its id is none any more.
    pub id: Option<Uuid>,
    /// What is wrong with it.
    pub why: AuditFault,
}

/// What can be wrong with a row of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditFault {
    /// The hash does not fit: this row was changed, or the one before was changed and given a new hash.
    Changed,
    /// The row was removed.
    Missing,
}

/// How long the log is kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "days": 365 }))]
pub struct AuditRetention {
    /// Rows older than this are removed: 30 to 36500, or 0 to keep them for ever.
    pub days: u32,
}
