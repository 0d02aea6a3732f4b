//! Invitations that were not used yet.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::folders::text;
use super::row;
use crate::model::invitation::Invitation;
use crate::model::role;
use crate::storage::database::DatabaseError;

/// Adds an invitation.
pub(crate) fn insert(connection: &Connection, invitation: &Invitation, token_hash: &str) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO invitations (id, token_hash, role, created_at, created_by, expires_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        invitation.id.to_string(),
        token_hash,
        role::name(invitation.role),
        invitation.created_at.as_millisecond(),
        invitation.created_by.to_string(),
        invitation.expires_at.as_millisecond(),
    ])?;
    Ok(())
}

/// Finds an invitation by the hash of its token, expired or not.
pub(crate) fn find(connection: &Connection, token_hash: &str) -> Result<Option<Invitation>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM invitations WHERE token_hash = ?1")?;
    row::first(statement.query([token_hash])?, invitation)
}

/// Up to `limit` invitations, oldest first, after `after`.
pub(crate) fn list(connection: &Connection, after: Option<Uuid>, limit: u32) -> Result<Vec<Invitation>, DatabaseError> {
    let sql = "SELECT * FROM invitations WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![text(after), limit])?, invitation)
}

/// How many there are.
pub(crate) fn count(connection: &Connection) -> Result<u32, DatabaseError> {
    Ok(connection.prepare_cached("SELECT count(*) FROM invitations")?.query_row([], |row| row.get(0))?)
}

/// Takes an invitation back, or notes that it was used. False when it is gone already.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    Ok(connection.prepare_cached("DELETE FROM invitations WHERE id = ?1")?.execute([id.to_string()])? > 0)
}

/// Takes back what a person gave out.
pub(crate) fn delete_of_user(connection: &Connection, user_id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM invitations WHERE created_by = ?1")?.execute([user_id.to_string()])?;
    Ok(())
}

/// Forgets what nobody used in time.
pub(crate) fn delete_expired(connection: &Connection, before: Timestamp) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM invitations WHERE expires_at <= ?1")?.execute([before.as_millisecond()])?;
    Ok(())
}

fn invitation(row: &Row<'_>) -> Result<Invitation, DatabaseError> {
    Ok(Invitation {
        id: row::id(row, "id")?,
        role: row::role(row, "role")?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
        expires_at: row::time(row, "expires_at")?,
    })
}
