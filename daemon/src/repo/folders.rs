//! Folders.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::folder::Folder;
use crate::storage::database::DatabaseError;

/// Adds a folder. A name that a folder there has already is [`DatabaseError::Conflict`].
pub(crate) fn insert(connection: &Connection, folder: &Folder) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO folders (id, parent_id, name, created_at, created_by) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        folder.id.to_string(),
        folder.parent_id.map(|id| id.to_string()),
        folder.name,
        folder.created_at.as_millisecond(),
        folder.created_by.to_string(),
    ])?;
    Ok(())
}

/// Finds a folder.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Folder>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM folders WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, folder)
}

/// Up to `limit` folders directly inside one, by id, after `after`.
pub(crate) fn list(
    connection: &Connection,
    parent_id: Option<Uuid>,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Folder>, DatabaseError> {
    let sql = "SELECT * FROM folders WHERE ifnull(parent_id, '') = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![text(parent_id), text(after), limit])?, folder)
}

/// How many folders lie on the way from the root to this one, itself included.
pub(crate) fn depth(connection: &Connection, id: Uuid) -> Result<u32, DatabaseError> {
    let sql = "WITH RECURSIVE up (id, parent_id) AS (
                   SELECT id, parent_id FROM folders WHERE id = ?1
                   UNION ALL SELECT folders.id, folders.parent_id FROM folders JOIN up ON folders.id = up.parent_id
               ) SELECT count(*) FROM up";
    Ok(connection.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0))?)
}

/// Whether a folder or a file of that name lies directly inside.
pub(crate) fn name_is_taken(
    connection: &Connection,
    parent_id: Option<Uuid>,
    name: &str,
) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM folders WHERE ifnull(parent_id, '') = ?1 AND name = ?2)
                   OR EXISTS (SELECT 1 FROM files WHERE ifnull(folder_id, '') = ?1 AND name = ?2)";
    Ok(connection.prepare_cached(sql)?.query_row(params![text(parent_id), name], |row| row.get(0))?)
}

/// Whether nothing lies inside.
pub(crate) fn is_empty(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM folders WHERE ifnull(parent_id, '') = ?1)
                  AND NOT EXISTS (SELECT 1 FROM files WHERE ifnull(folder_id, '') = ?1)";
    Ok(connection.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0))?)
}

/// Deletes an empty folder.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM folders WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

/// An absent id is the empty text, which sorts before all others and stands for the root.
pub(super) fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn folder(row: &Row<'_>) -> Result<Folder, DatabaseError> {
    Ok(Folder {
        id: row::id(row, "id")?,
        parent_id: row::optional_id(row, "parent_id")?,
        name: row.get("name")?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
    })
}
