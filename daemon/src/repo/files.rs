//! Files.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use uuid::Uuid;

use super::contents::{blob, sha256};
use super::folders::text;
use super::{revisions, row, seals, thumbnails};
use crate::model::cursor::{Cursor, Key};
use crate::model::file::{BlobId, File, FileOrder, Trashed};
use crate::storage::database::DatabaseError;

/// Adds a file. A name that a file there has already is [`DatabaseError::Conflict`].
pub(crate) fn insert(connection: &Connection, file: &File) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO files (id, folder_id, name, created_at, created_by, revision, blob_id, size_bytes, sha256,
                                  media_type, modified_at, modified_by)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    connection.prepare_cached(sql)?.execute(params![
        file.id.to_string(),
        file.folder_id.map(|id| id.to_string()),
        file.name,
        file.created_at.as_millisecond(),
        file.created_by.to_string(),
        file.revision,
        file.blob.as_str(),
        row::from_size(file.size_bytes)?,
        file.sha256.to_string(),
        file.media_type,
        file.modified_at.as_millisecond(),
        file.modified_by.to_string(),
    ])?;
    Ok(())
}

/// Writes everything of a file that can change. A name that another file there has is [`DatabaseError::Conflict`].
pub(crate) fn update(connection: &Connection, file: &File) -> Result<(), DatabaseError> {
    let sql = "UPDATE files SET folder_id = ?2, name = ?3, revision = ?4, blob_id = ?5, size_bytes = ?6, sha256 = ?7,
                                media_type = ?8, modified_at = ?9, modified_by = ?10, trashed_at = ?11, trashed_by = ?12
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        file.id.to_string(),
        file.folder_id.map(|id| id.to_string()),
        file.name,
        file.revision,
        file.blob.as_str(),
        row::from_size(file.size_bytes)?,
        file.sha256.to_string(),
        file.media_type,
        file.modified_at.as_millisecond(),
        file.modified_by.to_string(),
        file.trashed.map(|trashed| trashed.at.as_millisecond()),
        file.trashed.map(|trashed| trashed.by.to_string()),
    ])?;
    Ok(())
}

/// Finds a file, in the trash or not.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<File>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM described_files WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, file)
}

/// Finds the file of that name in a folder.
pub(crate) fn find_by_name(
    connection: &Connection,
    folder_id: Option<Uuid>,
    name: &str,
) -> Result<Option<File>, DatabaseError> {
    let sql = "SELECT * FROM described_files WHERE ifnull(folder_id, '') = ?1 AND name = ?2 AND trashed_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    row::first(statement.query([text(folder_id).as_str(), name])?, file)
}

/// Up to `limit` files directly inside a folder, in that order, behind `after`.
pub(crate) fn list(
    connection: &Connection,
    folder_id: Option<Uuid>,
    order: FileOrder,
    descending: bool,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Vec<File>, DatabaseError> {
    let sql = list_sql(order, descending, after.is_some());
    let mut values = vec![Value::Text(text(folder_id)), Value::Integer(limit.into())];
    if let Some(cursor) = after {
        values.push(match &cursor.key {
            Key::Text(text) => Value::Text(text.clone()),
            Key::Number(number) => Value::Integer(*number),
        });
        values.push(Value::Text(cursor.id.to_string()));
    }
    let mut statement = connection.prepare_cached(&sql)?;
    row::all(statement.query(params_from_iter(values))?, file)
}

fn list_sql(order: FileOrder, descending: bool, from_the_middle: bool) -> String {
    let column = match order {
        FileOrder::Name => "name",
        FileOrder::CreatedAt => "created_at",
        FileOrder::ModifiedAt => "modified_at",
        FileOrder::SizeBytes => "size_bytes",
    };
    let (than, direction) = if descending { ("<", "DESC") } else { (">", "ASC") };
    let behind = if from_the_middle { format!("AND ({column}, id) {than} (?3, ?4)") } else { String::new() };
    format!(
        "SELECT * FROM described_files WHERE ifnull(folder_id, '') = ?1 AND trashed_at IS NULL {behind}
         ORDER BY {column} {direction}, id {direction} LIMIT ?2"
    )
}

/// Up to `limit` files that lie directly inside a folder, in the trash or not.
pub(crate) fn inside(connection: &Connection, folder_id: Uuid, limit: u32) -> Result<Vec<File>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM described_files WHERE folder_id = ?1 LIMIT ?2")?;
    row::all(statement.query(params![folder_id.to_string(), limit])?, file)
}

/// Up to `limit` files that have been in the trash since before `cutoff`.
pub(crate) fn trashed_before(
    connection: &Connection,
    cutoff: Timestamp,
    limit: u32,
) -> Result<Vec<File>, DatabaseError> {
    let sql = "SELECT * FROM described_files WHERE trashed_at < ?1 ORDER BY trashed_at, id LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![cutoff.as_millisecond(), limit])?, file)
}

/// Deletes a file with its revisions; tells what their blobs were.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<Vec<BlobId>, DatabaseError> {
    let blobs = revisions::blobs(connection, id)?;
    connection.prepare_cached("DELETE FROM files WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(blobs)
}

/// A row of `described_files`.
pub(super) fn file(row: &Row<'_>) -> Result<File, DatabaseError> {
    Ok(File {
        id: row::id(row, "id")?,
        folder_id: row::optional_id(row, "folder_id")?,
        name: row.get("name")?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
        revision: row.get("revision")?,
        blob: blob(row)?,
        seal: seals::seal(row)?,
        size_bytes: row::size(row, "size_bytes")?,
        sha256: sha256(row)?,
        media_type: row.get("media_type")?,
        thumbnail: thumbnails::of_file(row)?,
        modified_at: row::time(row, "modified_at")?,
        modified_by: row::id(row, "modified_by")?,
        trashed: trashed(row)?,
    })
}

/// When a row was put into the trash, and by whom.
pub(super) fn trashed(row: &Row<'_>) -> Result<Option<Trashed>, DatabaseError> {
    let (at, by) = (row::optional_time(row, "trashed_at")?, row::optional_id(row, "trashed_by")?);
    Ok(at.zip(by).map(|(at, by)| Trashed { at, by }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::migrate;

    #[test]
    fn every_order_has_an_index_from_either_end() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        for order in [FileOrder::Name, FileOrder::CreatedAt, FileOrder::ModifiedAt, FileOrder::SizeBytes] {
            for (descending, from_the_middle) in [(false, false), (false, true), (true, false), (true, true)] {
                let sql = list_sql(order, descending, from_the_middle);
                let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let steps: Vec<String> = row::all(statement.raw_query(), |row| Ok(row.get("detail")?)).unwrap();
                let sorts = steps.iter().any(|step| step.contains("B-TREE") && !step.contains("LAST TERM"));
                assert!(!sorts && steps[0].contains("SEARCH files USING INDEX"), "{order:?}: {steps:?}");
            }
        }
    }
}
