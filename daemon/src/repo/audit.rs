//! The audit log: rows are added, in the transaction of what they report, and read.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::folders::text;
use super::row;
use crate::storage::database::DatabaseError;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done.
    Success,
    /// It was not allowed.
    Refused,
    /// It was tried with the wrong secret, or went wrong.
    Failed,
}

impl Outcome {
    /// The stored name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// One line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) at: Timestamp,
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) action: String,
    pub(crate) outcome: Outcome,
    pub(crate) subject_id: Option<Uuid>,
    pub(crate) request_id: String,
}

/// Adds a line.
pub(crate) fn insert(connection: &Connection, entry: &Entry) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO audit (id, at, actor_id, action, outcome, subject_id, request_id)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        entry.id.to_string(),
        entry.at.as_millisecond(),
        entry.actor_id.map(|id| id.to_string()),
        entry.action,
        entry.outcome.name(),
        entry.subject_id.map(|id| id.to_string()),
        entry.request_id,
    ])?;
    Ok(())
}

/// Up to `limit` lines, newest first, before `before`.
pub(crate) fn list(connection: &Connection, before: Option<Uuid>, limit: u32) -> Result<Vec<Entry>, DatabaseError> {
    let sql = "SELECT * FROM audit WHERE ?1 = '' OR id < ?1 ORDER BY id DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![text(before), limit])?, entry)
}

fn entry(row: &Row<'_>) -> Result<Entry, DatabaseError> {
    let outcome: String = row.get("outcome")?;
    let outcomes = [Outcome::Success, Outcome::Refused, Outcome::Failed];
    Ok(Entry {
        id: row::id(row, "id")?,
        at: row::time(row, "at")?,
        actor_id: row::optional_id(row, "actor_id")?,
        action: row.get("action")?,
        outcome: outcomes.into_iter().find(|o| o.name() == outcome).ok_or(DatabaseError::Value("outcome"))?,
        subject_id: row::optional_id(row, "subject_id")?,
        request_id: row.get("request_id")?,
    })
}
