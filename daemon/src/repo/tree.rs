//! The tree as a whole: ways up, what lies below, what stands in the way of a change.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::folders::text;
use super::row;
use crate::model::folder::Retention;
use crate::storage::database::DatabaseError;

/// From the root to a folder, itself included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// How many folders.
    pub(crate) depth: u32,
    /// Their names, with a slash before each.
    pub(crate) path_bytes: u32,
}

/// From a folder down, itself not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// How many folders deep.
    pub(crate) depth: u32,
    /// The longest path of anything, with a slash before each name.
    pub(crate) path_bytes: u32,
    /// How many files and folders.
    pub(crate) items: u32,
}

/// The way to a folder; that to the root is nothing.
pub(crate) fn way(connection: &Connection, id: Option<Uuid>) -> Result<Way, DatabaseError> {
    let sql = "WITH RECURSIVE up (id, parent_id, bytes) AS (
                   SELECT id, parent_id, 1 + octet_length(name) FROM folders WHERE id = ?1
                   UNION ALL
                   SELECT folders.id, folders.parent_id, 1 + octet_length(folders.name)
                   FROM folders JOIN up ON folders.id = up.parent_id
               ) SELECT count(*), ifnull(sum(bytes), 0) FROM up";
    let way = |row: &rusqlite::Row<'_>| Ok(Way { depth: row.get(0)?, path_bytes: row.get(1)? });
    Ok(connection.prepare_cached(sql)?.query_row([text(id)], way)?)
}

/// What lies below a folder, in the trash or not: it may come back. Cost grows with it.
pub(crate) fn extent(connection: &Connection, id: Uuid) -> Result<Extent, DatabaseError> {
    let sql = "WITH RECURSIVE below (id, depth, bytes) AS (
                   SELECT ?1, 0, 0
                   UNION ALL
                   SELECT folders.id, below.depth + 1, below.bytes + 1 + octet_length(folders.name)
                   FROM folders JOIN below ON folders.parent_id = below.id
               ),
               inside (bytes) AS (
                   SELECT below.bytes + 1 + octet_length(files.name)
                   FROM files JOIN below ON files.folder_id = below.id
               )
               SELECT (SELECT max(depth) FROM below),
                      max((SELECT max(bytes) FROM below), ifnull((SELECT max(bytes) FROM inside), 0)),
                      (SELECT count(*) - 1 FROM below) + (SELECT count(*) FROM inside)";
    let extent =
        |row: &rusqlite::Row<'_>| Ok(Extent { depth: row.get(0)?, path_bytes: row.get(1)?, items: row.get(2)? });
    Ok(connection.prepare_cached(sql)?.query_row([id.to_string()], extent)?)
}

/// Whether a folder is `top`, or lies below it.
pub(crate) fn is_within(connection: &Connection, id: Option<Uuid>, top: Uuid) -> Result<bool, DatabaseError> {
    let sql = "WITH RECURSIVE up (id, parent_id) AS (
                   SELECT id, parent_id FROM folders WHERE id = ?1
                   UNION ALL SELECT folders.id, folders.parent_id FROM folders JOIN up ON folders.id = up.parent_id
               ) SELECT EXISTS (SELECT 1 FROM up WHERE id = ?2)";
    Ok(connection.prepare_cached(sql)?.query_row([text(id), top.to_string()], |row| row.get(0))?)
}

/// Whether a folder, or one above it, is write-protected.
pub(crate) fn is_protected(connection: &Connection, id: Option<Uuid>) -> Result<bool, DatabaseError> {
    let sql = "WITH RECURSIVE up (parent_id, protected) AS (
                   SELECT parent_id, protected FROM folders WHERE id = ?1
                   UNION ALL
                   SELECT folders.parent_id, folders.protected FROM folders JOIN up ON folders.id = up.parent_id
               ) SELECT EXISTS (SELECT 1 FROM up WHERE protected)";
    Ok(connection.prepare_cached(sql)?.query_row([text(id)], |row| row.get(0))?)
}

/// The write-protected folders below one, itself included, and the private ones. Cost grows with how many of these there
/// are in the vault.
pub(crate) fn special_below(connection: &Connection, top: Uuid) -> Result<Vec<(Uuid, bool)>, DatabaseError> {
    let sql = "WITH RECURSIVE up (special, id, parent_id) AS (
                   SELECT id, id, parent_id FROM folders WHERE private = 1 OR protected = 1
                   UNION ALL
                   SELECT up.special, folders.id, folders.parent_id FROM folders JOIN up ON folders.id = up.parent_id
               )
               SELECT folders.id, folders.protected FROM up JOIN folders ON folders.id = up.special WHERE up.id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query([top.to_string()])?, |row| Ok((row::id(row, "id")?, row.get("protected")?)))
}

/// Whether somebody else made a file or a folder that lies below one. Cost grows with what lies below.
pub(crate) fn others_have_items_below(
    connection: &Connection,
    top: Uuid,
    user_id: Uuid,
) -> Result<bool, DatabaseError> {
    let sql = "WITH RECURSIVE below (id, created_by) AS (
                   SELECT id, created_by FROM folders WHERE id = ?1
                   UNION ALL
                   SELECT folders.id, folders.created_by
                   FROM folders JOIN below ON folders.parent_id = below.id
               )
               SELECT EXISTS (SELECT 1 FROM below WHERE created_by <> ?2)
                   OR EXISTS (SELECT 1 FROM files JOIN below ON files.folder_id = below.id
                              WHERE files.created_by <> ?2)";
    Ok(connection.prepare_cached(sql)?.query_row([top.to_string(), user_id.to_string()], |row| row.get(0))?)
}

/// The folder of that name directly inside.
pub(crate) fn folder_named(
    connection: &Connection,
    parent_id: Option<Uuid>,
    name: &str,
) -> Result<Option<Uuid>, DatabaseError> {
    let sql = "SELECT id FROM folders WHERE ifnull(parent_id, '') = ?1 AND name = ?2 AND trashed_at IS NULL";
    row::first(connection.prepare_cached(sql)?.query(params![text(parent_id), name])?, |row| row::id(row, "id"))
}

/// Whether a folder or a file of that name lies directly inside.
pub(crate) fn name_is_taken(
    connection: &Connection,
    parent_id: Option<Uuid>,
    name: &str,
) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM folders
                              WHERE ifnull(parent_id, '') = ?1 AND name = ?2 AND trashed_at IS NULL)
                   OR EXISTS (SELECT 1 FROM files
                              WHERE ifnull(folder_id, '') = ?1 AND name = ?2 AND trashed_at IS NULL)";
    Ok(connection.prepare_cached(sql)?.query_row(params![text(parent_id), name], |row| row.get(0))?)
}

/// What the nearest folders on the way up say about old revisions.
pub(crate) fn retention(connection: &Connection, folder_id: Option<Uuid>) -> Result<Retention, DatabaseError> {
    let sql = "WITH RECURSIVE up (level, parent_id, keep_revisions, keep_days) AS (
                   SELECT 0, parent_id, keep_revisions, keep_days FROM folders WHERE id = ?1
                   UNION ALL
                   SELECT up.level + 1, folders.parent_id, folders.keep_revisions, folders.keep_days
                   FROM folders JOIN up ON folders.id = up.parent_id
               )
               SELECT (SELECT keep_revisions FROM up WHERE keep_revisions IS NOT NULL ORDER BY level LIMIT 1),
                      (SELECT keep_days FROM up WHERE keep_days IS NOT NULL ORDER BY level LIMIT 1)";
    let retention = |row: &rusqlite::Row<'_>| Ok(Retention { keep_revisions: row.get(0)?, keep_days: row.get(1)? });
    Ok(connection.prepare_cached(sql)?.query_row([text(folder_id)], retention)?)
}
