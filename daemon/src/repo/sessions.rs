//! Sessions.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::session::Session;
use crate::storage::database::DatabaseError;

/// Adds a session.
pub(crate) fn insert(connection: &Connection, session: &Session) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO sessions (id, user_id, created_at, expires_at, user_agent) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        session.id.to_string(),
        session.user_id.to_string(),
        session.created_at.as_millisecond(),
        session.expires_at.as_millisecond(),
        session.user_agent,
    ])?;
    Ok(())
}

/// Finds a session, valid or not.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Session>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM sessions WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, session)
}

/// A person's sessions that are valid at that time, newest first.
pub(crate) fn list_valid(
    connection: &Connection,
    user_id: Uuid,
    now: Timestamp,
) -> Result<Vec<Session>, DatabaseError> {
    let sql = "SELECT * FROM sessions WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2 ORDER BY id DESC";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![user_id.to_string(), now.as_millisecond()])?, session)
}

/// Ends a session of that person. False when there is none such that still runs.
pub(crate) fn revoke(connection: &Connection, id: Uuid, user_id: Uuid, now: Timestamp) -> Result<bool, DatabaseError> {
    let sql = "UPDATE sessions SET revoked_at = ?3 WHERE id = ?1 AND user_id = ?2 AND revoked_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.execute(params![id.to_string(), user_id.to_string(), now.as_millisecond()])? > 0)
}

/// Ends every session.
pub(crate) fn revoke_all(connection: &Connection, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "UPDATE sessions SET revoked_at = ?1 WHERE revoked_at IS NULL";
    connection.prepare_cached(sql)?.execute([now.as_millisecond()])?;
    Ok(())
}

/// Forgets sessions that ended by themselves before that time.
pub(crate) fn delete_expired(connection: &Connection, before: Timestamp) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM sessions WHERE expires_at < ?1")?.execute([before.as_millisecond()])?;
    Ok(())
}

fn session(row: &Row<'_>) -> Result<Session, DatabaseError> {
    Ok(Session {
        id: row::id(row, "id")?,
        user_id: row::id(row, "user_id")?,
        created_at: row::time(row, "created_at")?,
        expires_at: row::time(row, "expires_at")?,
        revoked_at: row::optional_time(row, "revoked_at")?,
        user_agent: row.get("user_agent")?,
    })
}
