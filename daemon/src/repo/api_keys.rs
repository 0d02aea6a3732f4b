//! API keys.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::api_key::ApiKey;
use crate::model::role;
use crate::storage::database::DatabaseError;

/// Adds a key.
pub(crate) fn insert(connection: &Connection, key: &ApiKey, secret_hash: &str) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO api_keys (id, user_id, name, role, folder_id, secret_hash, created_at, expires_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        key.id.to_string(),
        key.user_id.to_string(),
        key.name,
        role::name(key.role),
        key.folder_id.map(|id| id.to_string()),
        secret_hash,
        key.created_at.as_millisecond(),
        key.expires_at.map(Timestamp::as_millisecond),
    ])?;
    Ok(())
}

/// Finds a key with the hash of its secret, expired or not.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<(ApiKey, String)>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM api_keys WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, |row| Ok((api_key(row)?, row.get("secret_hash")?)))
}

/// A person's keys, newest first, the expired ones as well.
pub(crate) fn list(connection: &Connection, user_id: Uuid) -> Result<Vec<ApiKey>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM api_keys WHERE user_id = ?1 ORDER BY id DESC")?;
    row::all(statement.query([user_id.to_string()])?, api_key)
}

/// Notes that a key is in use.
pub(crate) fn touch(connection: &Connection, id: Uuid, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), now.as_millisecond()])?;
    Ok(())
}

/// Deletes a key of that person. False when there is none such.
pub(crate) fn delete(connection: &Connection, id: Uuid, user_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM api_keys WHERE id = ?1 AND user_id = ?2";
    Ok(connection.prepare_cached(sql)?.execute([id.to_string(), user_id.to_string()])? > 0)
}

/// Deletes all keys of a person.
pub(crate) fn delete_of_user(connection: &Connection, user_id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM api_keys WHERE user_id = ?1")?.execute([user_id.to_string()])?;
    Ok(())
}

fn api_key(row: &Row<'_>) -> Result<ApiKey, DatabaseError> {
    Ok(ApiKey {
        id: row::id(row, "id")?,
        user_id: row::id(row, "user_id")?,
        name: row.get("name")?,
        role: row::role(row, "role")?,
        folder_id: row::optional_id(row, "folder_id")?,
        created_at: row::time(row, "created_at")?,
        expires_at: row::optional_time(row, "expires_at")?,
        last_used_at: row::optional_time(row, "last_used_at")?,
    })
}
