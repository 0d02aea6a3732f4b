//! Which account a subject of device tokens stands for.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::row;
use super::users;
use crate::model::user::User;
use crate::storage::database::DatabaseError;

/// Links a subject to an account, in place of what either was linked to.
pub(crate) fn set(connection: &Connection, subject: &str, user_id: Uuid, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "INSERT OR REPLACE INTO device_links (subject, user_id, created_at) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![subject, user_id.to_string(), now.as_millisecond()])?;
    Ok(())
}

/// Whose tokens those of a subject are.
pub(crate) fn user(connection: &Connection, subject: &str) -> Result<Option<User>, DatabaseError> {
    let sql = "SELECT users.* FROM device_links JOIN users ON users.id = user_id WHERE subject = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    row::first(statement.query([subject])?, users::user)
}

/// The subject that an account is linked to, and since when.
pub(crate) fn find(connection: &Connection, user_id: Uuid) -> Result<Option<(String, Timestamp)>, DatabaseError> {
    let sql = "SELECT * FROM device_links WHERE user_id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    row::first(statement.query([user_id.to_string()])?, |row| Ok((row.get("subject")?, row::time(row, "created_at")?)))
}

/// Unlinks an account. False when it was not linked.
pub(crate) fn delete_of_user(connection: &Connection, user_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM device_links WHERE user_id = ?1";
    Ok(connection.prepare_cached(sql)?.execute([user_id.to_string()])? > 0)
}
