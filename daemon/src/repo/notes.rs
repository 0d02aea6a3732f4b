//! Notes on files and folders.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::row;
use crate::model::note::Note;
use crate::storage::database::DatabaseError;

/// Writes the note of an item, new or not.
pub(crate) fn set(connection: &Connection, note: &Note) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO notes (item_id, text, version, updated_at, updated_by) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (item_id) DO UPDATE SET text = excluded.text, version = excluded.version,
                   updated_at = excluded.updated_at, updated_by = excluded.updated_by";
    connection.prepare_cached(sql)?.execute(params![
        note.item_id.to_string(),
        note.text,
        note.version.to_string(),
        note.updated_at.as_millisecond(),
        note.updated_by.to_string(),
    ])?;
    Ok(())
}

/// Finds the note of an item.
pub(crate) fn find(connection: &Connection, item_id: Uuid) -> Result<Option<Note>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM notes WHERE item_id = ?1")?;
    row::first(statement.query([item_id.to_string()])?, |row| {
        Ok(Note {
            item_id,
            text: row.get("text")?,
            version: row::id(row, "version")?,
            updated_at: row::time(row, "updated_at")?,
            updated_by: row::id(row, "updated_by")?,
        })
    })
}

/// Deletes the note of an item.
pub(crate) fn delete(connection: &Connection, item_id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM notes WHERE item_id = ?1")?.execute([item_id.to_string()])?;
    Ok(())
}
