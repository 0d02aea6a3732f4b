//! Accounts.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::role;
use crate::model::user::{User, Username};
use crate::storage::database::DatabaseError;

/// Adds an account. A taken name is [`DatabaseError::Conflict`].
pub(crate) fn insert(connection: &Connection, user: &User, password_hash: &str) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO users (id, username, display_name, password_hash, role, active, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        user.id.to_string(),
        user.username,
        user.display_name,
        password_hash,
        role::name(user.role),
        user.active,
        user.created_at.as_millisecond(),
    ])?;
    Ok(())
}

/// Finds an account with its password hash, to log in.
pub(crate) fn find_by_name(
    connection: &Connection,
    username: &Username,
) -> Result<Option<(User, String)>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM users WHERE username = ?1")?;
    row::first(statement.query([username.as_str()])?, |row| Ok((user(row)?, row.get("password_hash")?)))
}

/// Finds an account.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<User>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM users WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, user)
}

fn user(row: &Row<'_>) -> Result<User, DatabaseError> {
    Ok(User {
        id: row::id(row, "id")?,
        username: row.get("username")?,
        display_name: row.get("display_name")?,
        role: role::parse(&row.get::<_, String>("role")?).ok_or(DatabaseError::Value("role"))?,
        active: row.get("active")?,
        created_at: row::time(row, "created_at")?,
    })
}
