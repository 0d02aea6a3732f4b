//! What was put into the trash: the tops of it, files and folders in one list.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::{files, folders, row};
use crate::model::cursor::{Cursor, Key};
use crate::model::item::Item;
use crate::storage::database::DatabaseError;

/// Finds a file or a folder, in the trash or not.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Item>, DatabaseError> {
    if let Some(file) = files::find(connection, id)? {
        return Ok(Some(Item::File(file)));
    }
    Ok(folders::find(connection, id)?.map(Item::Folder))
}

/// Up to `limit` tops, last trashed first, behind `after`, less those that are being deleted.
pub(crate) fn list(connection: &Connection, after: Option<&Cursor>, limit: u32) -> Result<Vec<Item>, DatabaseError> {
    let (at, id) = match after {
        Some(Cursor { key: Key::Number(at), id }) => (*at, id.to_string()),
        Some(Cursor { key: Key::Text(_), .. }) | None => (i64::MAX, String::new()),
    };
    let sql = "SELECT id FROM (
                   SELECT * FROM (SELECT id, trashed_at FROM files
                                  WHERE trashed_at IS NOT NULL AND (trashed_at, id) < (?1, ?2)
                                  ORDER BY trashed_at DESC, id DESC LIMIT ?3)
                   UNION ALL
                   SELECT * FROM (SELECT id, trashed_at FROM folders
                                  WHERE trashed_at IS NOT NULL AND (trashed_at, id) < (?1, ?2)
                                    AND id NOT IN (SELECT folder_id FROM deletions)
                                  ORDER BY trashed_at DESC, id DESC LIMIT ?3)
               ) ORDER BY trashed_at DESC, id DESC LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let ids = row::all(statement.query(params![at, id, limit])?, |row| row::id(row, "id"))?;
    ids.into_iter().filter_map(|id| find(connection, id).transpose()).collect()
}

/// Notes that a folder in the trash is being deleted for good. It is in the trash no more, and will be gone.
pub(crate) fn begin_deletion(connection: &Connection, folder_id: Uuid) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO deletions (folder_id) VALUES (?1) ON CONFLICT DO NOTHING";
    connection.prepare_cached(sql)?.execute([folder_id.to_string()])?;
    Ok(())
}

/// Whether a folder is being deleted.
pub(crate) fn is_being_deleted(connection: &Connection, folder_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM deletions WHERE folder_id = ?1)";
    Ok(connection.prepare_cached(sql)?.query_row([folder_id.to_string()], |row| row.get(0))?)
}

/// The folders that are being deleted.
pub(crate) fn deletions(connection: &Connection) -> Result<Vec<Uuid>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT folder_id FROM deletions")?;
    row::all(statement.raw_query(), |row| row::id(row, "folder_id"))
}
