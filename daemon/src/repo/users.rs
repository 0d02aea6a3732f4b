//! Accounts.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use uuid::Uuid;

use super::row;
use crate::model::cursor::{Cursor, Key};
use crate::model::role::{self, Role};
use crate::model::user::{About, DisplayName, User, UserFilter, UserOrder, Username};
use crate::storage::database::DatabaseError;

/// Adds an account. A taken name is [`DatabaseError::Conflict`].
pub(crate) fn insert(connection: &Connection, user: &User, password_hash: &str) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO users (id, username, display_name, about, password_hash, role, active, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        user.id.to_string(),
        user.username,
        user.display_name,
        user.about,
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

/// Finds an account that was not deleted.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<User>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM users WHERE id = ?1 AND deleted_at IS NULL")?;
    row::first(statement.query([id.to_string()])?, user)
}

/// The password hash of an account.
pub(crate) fn password_hash(connection: &Connection, id: Uuid) -> Result<Option<String>, DatabaseError> {
    let sql = "SELECT password_hash FROM users WHERE id = ?1 AND deleted_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    row::first(statement.query([id.to_string()])?, |row| Ok(row.get(0)?))
}

/// Up to `limit` accounts that were not deleted, in that order, behind `after`.
pub(crate) fn list(
    connection: &Connection,
    filter: &UserFilter,
    order: UserOrder,
    descending: bool,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Vec<User>, DatabaseError> {
    let column = match order {
        UserOrder::Username => "username",
        UserOrder::CreatedAt => "created_at",
        UserOrder::LastLoginAt => "ifnull(last_login_at, 0)",
    };
    let (than, direction) = if descending { ("<", "DESC") } else { (">", "ASC") };
    let behind = if after.is_some() { format!("({column}, id) {than} (?5, ?6)") } else { "TRUE".to_owned() };
    let sql = format!(
        "SELECT * FROM users WHERE deleted_at IS NULL
             AND (?2 IS NULL OR role = ?2) AND (?3 IS NULL OR active = ?3)
             AND (?4 IS NULL OR instr(username, lower(?4)) OR instr(lower(display_name), lower(?4)))
             AND {behind} ORDER BY {column} {direction}, id {direction} LIMIT ?1"
    );
    let text = |text: Option<&str>| text.map_or(Value::Null, |text| Value::Text(text.to_owned()));
    let mut values = vec![
        Value::Integer(limit.into()),
        text(filter.role.map(role::name)),
        filter.active.map_or(Value::Null, |active| Value::Integer(active.into())),
        text(filter.contains.as_deref()),
    ];
    if let Some(Cursor { key, id }) = after {
        values.push(match key {
            Key::Text(key) => Value::Text(key.clone()),
            Key::Number(key) => Value::Integer(*key),
        });
        values.push(Value::Text(id.to_string()));
    }
    let mut statement = connection.prepare_cached(&sql)?;
    row::all(statement.query(params_from_iter(values))?, user)
}

/// The place behind an account in that order.
pub(crate) fn cursor(user: &User, order: UserOrder) -> Cursor {
    let key = match order {
        UserOrder::Username => Key::Text(user.username.clone()),
        UserOrder::CreatedAt => Key::Number(user.created_at.as_millisecond()),
        UserOrder::LastLoginAt => Key::Number(user.last_login_at.map_or(0, Timestamp::as_millisecond)),
    };
    Cursor { key, id: user.id }
}

/// The administrator who has been here longest.
pub(crate) fn first_admin(connection: &Connection) -> Result<Option<Uuid>, DatabaseError> {
    let sql = "SELECT id FROM users WHERE role = 'admin' AND active = 1 ORDER BY created_at, id LIMIT 1";
    row::first(connection.prepare_cached(sql)?.raw_query(), |row| row::id(row, "id"))
}

/// Active administrators other than that one.
pub(crate) fn has_other_active_admin(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND active AND id <> ?1)";
    Ok(connection.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0))?)
}

/// Accounts that registered, were never logged in to, and wait to be activated.
pub(crate) fn count_waiting(connection: &Connection) -> Result<u32, DatabaseError> {
    let sql = "SELECT count(*) FROM users WHERE NOT active AND deleted_at IS NULL AND last_login_at IS NULL";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Changes what others see.
pub(crate) fn set_profile(
    connection: &Connection,
    id: Uuid,
    display_name: &DisplayName,
    about: &About,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE users SET display_name = ?2, about = ?3 WHERE id = ?1";
    let values = params![id.to_string(), display_name.as_str(), about.as_str()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Changes what the account may do.
pub(crate) fn set_rights(connection: &Connection, id: Uuid, role: Role, active: bool) -> Result<(), DatabaseError> {
    let sql = "UPDATE users SET role = ?2, active = ?3 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), role::name(role), active])?;
    Ok(())
}

/// Changes the password.
pub(crate) fn set_password_hash(connection: &Connection, id: Uuid, hash: &str) -> Result<(), DatabaseError> {
    let sql = "UPDATE users SET password_hash = ?2 WHERE id = ?1 AND deleted_at IS NULL";
    connection.prepare_cached(sql)?.execute([id.to_string().as_str(), hash])?;
    Ok(())
}

/// Puts another hash of the same password in place of one, unless the password was changed meanwhile.
pub(crate) fn replace_password_hash(
    connection: &Connection,
    id: Uuid,
    from: &str,
    to: &str,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
    connection.prepare_cached(sql)?.execute([id.to_string().as_str(), from, to])?;
    Ok(())
}

/// Notes a login.
pub(crate) fn set_last_login(connection: &Connection, id: Uuid, at: Timestamp) -> Result<(), DatabaseError> {
    let sql = "UPDATE users SET last_login_at = ?2 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), at.as_millisecond()])?;
    Ok(())
}

/// Leaves of an account only what its files refer to. No name that somebody could choose has a colon.
pub(crate) fn delete(connection: &Connection, id: Uuid, at: Timestamp) -> Result<(), DatabaseError> {
    let sql = "UPDATE users SET username = 'deleted:' || id, display_name = 'deleted user', about = '',
                   password_hash = '', role = 'reader', active = 0, last_login_at = NULL, deleted_at = ?2
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), at.as_millisecond()])?;
    Ok(())
}

pub(super) fn user(row: &Row<'_>) -> Result<User, DatabaseError> {
    Ok(User {
        id: row::id(row, "id")?,
        username: row.get("username")?,
        display_name: row.get("display_name")?,
        about: row.get("about")?,
        role: row::role(row, "role")?,
        active: row.get("active")?,
        created_at: row::time(row, "created_at")?,
        last_login_at: row::optional_time(row, "last_login_at")?,
    })
}
