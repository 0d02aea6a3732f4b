//! Groups and who is in them.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::folders::text;
use super::row;
use crate::model::group::{Group, GroupName, Member};
use crate::storage::database::DatabaseError;

/// Adds a group. A taken name is [`DatabaseError::Conflict`].
pub(crate) fn insert(
    connection: &Connection,
    id: Uuid,
    name: &GroupName,
    created_at: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO groups (id, name, name_key, created_at) VALUES (?1, ?2, ?3, ?4)";
    let values = params![id.to_string(), name.as_str(), name.key(), created_at.as_millisecond()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Finds a group.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Group>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM groups WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, group)
}

/// Up to `limit` groups, by id, after `after`.
pub(crate) fn list(connection: &Connection, after: Option<Uuid>, limit: u32) -> Result<Vec<Group>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM groups WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    row::all(statement.query(params![text(after), limit])?, group)
}

/// How many groups there are.
pub(crate) fn count(connection: &Connection) -> Result<u32, DatabaseError> {
    Ok(connection.prepare_cached("SELECT count(*) FROM groups")?.query_row([], |row| row.get(0))?)
}

/// Gives a group another name. A taken one is [`DatabaseError::Conflict`].
pub(crate) fn rename(connection: &Connection, id: Uuid, name: &GroupName) -> Result<(), DatabaseError> {
    let sql = "UPDATE groups SET name = ?2, name_key = ?3 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), name.as_str(), name.key()])?;
    Ok(())
}

/// Deletes a group, and with it its lines on the lists of folders. These stay private. False when it is gone already.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    Ok(connection.prepare_cached("DELETE FROM groups WHERE id = ?1")?.execute([id.to_string()])? > 0)
}

/// Up to `limit` members of a group, by id, after `after`.
pub(crate) fn members(
    connection: &Connection,
    id: Uuid,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Member>, DatabaseError> {
    let sql = "SELECT user_id, username, display_name, added_at
               FROM group_members JOIN users ON users.id = user_id
               WHERE group_id = ?1 AND user_id > ?2 ORDER BY user_id LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![id.to_string(), text(after), limit])?, member)
}

/// Who is in the group of that name and may log in, by id, with their names. Nobody, for whoever is not in it.
pub(crate) fn fellows(
    connection: &Connection,
    name: &GroupName,
    user_id: Uuid,
) -> Result<Vec<(Uuid, String)>, DatabaseError> {
    let sql = "SELECT users.id, username
               FROM groups JOIN group_members ON group_id = groups.id JOIN users ON users.id = user_id AND active
               WHERE name_key = ?1 AND EXISTS
                   (SELECT 1 FROM group_members me WHERE me.group_id = groups.id AND me.user_id = ?2)
               ORDER BY users.id";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query([name.key(), user_id.to_string()])?, |row| Ok((row::id(row, "id")?, row.get("username")?)))
}

/// Puts a user into a group. False when they are in it already.
pub(crate) fn add_member(
    connection: &Connection,
    id: Uuid,
    user_id: Uuid,
    added_at: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO group_members (group_id, user_id, added_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let values = params![id.to_string(), user_id.to_string(), added_at.as_millisecond()];
    Ok(connection.prepare_cached(sql)?.execute(values)? > 0)
}

/// Takes a user out of a group. False when they are not in it.
pub(crate) fn remove_member(connection: &Connection, id: Uuid, user_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM group_members WHERE group_id = ?1 AND user_id = ?2";
    Ok(connection.prepare_cached(sql)?.execute([id.to_string(), user_id.to_string()])? > 0)
}

/// Takes a deleted account out of all groups.
pub(crate) fn delete_of_user(connection: &Connection, user_id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM group_members WHERE user_id = ?1")?.execute([user_id.to_string()])?;
    Ok(())
}

fn group(row: &Row<'_>) -> Result<Group, DatabaseError> {
    Ok(Group { id: row::id(row, "id")?, name: row.get("name")?, created_at: row::time(row, "created_at")? })
}

fn member(row: &Row<'_>) -> Result<Member, DatabaseError> {
    Ok(Member {
        user_id: row::id(row, "user_id")?,
        username: row.get("username")?,
        display_name: row.get("display_name")?,
        added_at: row::time(row, "added_at")?,
    })
}
