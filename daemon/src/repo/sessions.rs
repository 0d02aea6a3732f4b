//! Sessions.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::session::Session;
use crate::storage::database::DatabaseError;

/// Adds a session.
pub(crate) fn insert(connection: &Connection, session: &Session) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO sessions (id, user_id, name, user_agent, address, created_at, last_used_at, expires_at,
                   refresh_generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        session.id.to_string(),
        session.user_id.to_string(),
        session.name,
        session.user_agent,
        session.address,
        session.created_at.as_millisecond(),
        session.last_used_at.as_millisecond(),
        session.expires_at.as_millisecond(),
        session.refresh_generation,
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

/// How many sessions of a person are valid at that time.
pub(crate) fn count_valid(connection: &Connection, user_id: Uuid, now: Timestamp) -> Result<u32, DatabaseError> {
    let sql = "SELECT count(*) FROM sessions WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2";
    let values = params![user_id.to_string(), now.as_millisecond()];
    Ok(connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
}

/// Notes that a session is in use.
pub(crate) fn touch(
    connection: &Connection,
    id: Uuid,
    address: Option<&str>,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE sessions SET last_used_at = ?2, address = ifnull(?3, address) WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), now.as_millisecond(), address])?;
    Ok(())
}

/// Makes the next refresh token the current one.
pub(crate) fn advance(
    connection: &Connection,
    id: Uuid,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE sessions SET refresh_generation = refresh_generation + 1, last_used_at = ?2, expires_at = ?3
               WHERE id = ?1";
    let values = params![id.to_string(), now.as_millisecond(), expires_at.as_millisecond()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Ends a session of that person. False when there is none such that still runs.
pub(crate) fn revoke(connection: &Connection, id: Uuid, user_id: Uuid, now: Timestamp) -> Result<bool, DatabaseError> {
    let sql = "UPDATE sessions SET revoked_at = ?3
               WHERE id = ?1 AND user_id = ?2 AND revoked_at IS NULL AND expires_at > ?3";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.execute(params![id.to_string(), user_id.to_string(), now.as_millisecond()])? > 0)
}

/// Ends the sessions of a person, but that one. Returns which.
pub(crate) fn revoke_of_user(
    connection: &Connection,
    user_id: Uuid,
    except: Option<Uuid>,
    now: Timestamp,
) -> Result<Vec<Uuid>, DatabaseError> {
    let sql = "UPDATE sessions SET revoked_at = ?3
               WHERE user_id = ?1 AND id <> ?2 AND revoked_at IS NULL AND expires_at > ?3 RETURNING id";
    let except = except.map(|id| id.to_string()).unwrap_or_default();
    let values = params![user_id.to_string(), except, now.as_millisecond()];
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(values)?, |row| row::id(row, "id"))
}

/// Ends the session of a person that was not used for the longest time. Returns which.
pub(crate) fn revoke_least_used(
    connection: &Connection,
    user_id: Uuid,
    now: Timestamp,
) -> Result<Option<Uuid>, DatabaseError> {
    let sql = "UPDATE sessions SET revoked_at = ?2 WHERE id =
                   (SELECT id FROM sessions WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2
                    ORDER BY last_used_at, id LIMIT 1) RETURNING id";
    let mut statement = connection.prepare_cached(sql)?;
    row::first(statement.query(params![user_id.to_string(), now.as_millisecond()])?, |row| row::id(row, "id"))
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
        name: row.get("name")?,
        user_agent: row.get("user_agent")?,
        address: row.get("address")?,
        created_at: row::time(row, "created_at")?,
        last_used_at: row::time(row, "last_used_at")?,
        expires_at: row::time(row, "expires_at")?,
        revoked_at: row::optional_time(row, "revoked_at")?,
        refresh_generation: row.get("refresh_generation")?,
    })
}
