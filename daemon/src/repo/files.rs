//! Files.

use data_encoding::HEXLOWER;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::folders::text;
use super::row;
use crate::model::file::{BlobId, File, Sha256};
use crate::storage::database::DatabaseError;

/// Adds a file. A name that a file there has already is [`DatabaseError::Conflict`].
pub(crate) fn insert(connection: &Connection, file: &File) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO files (id, folder_id, name, blob_id, size_bytes, sha256, created_at, created_by)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        file.id.to_string(),
        file.folder_id.map(|id| id.to_string()),
        file.name,
        file.blob.as_str(),
        i64::try_from(file.size_bytes).map_err(|_| DatabaseError::Value("size"))?,
        file.sha256.to_string(),
        file.created_at.as_millisecond(),
        file.created_by.to_string(),
    ])?;
    Ok(())
}

/// Finds a file.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<File>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM files WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, file)
}

/// Up to `limit` files directly inside a folder, by id, after `after`.
pub(crate) fn list(
    connection: &Connection,
    folder_id: Option<Uuid>,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<File>, DatabaseError> {
    let sql = "SELECT * FROM files WHERE ifnull(folder_id, '') = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![text(folder_id), text(after), limit])?, file)
}

/// Deletes a file's row. False when it is gone already.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    Ok(connection.prepare_cached("DELETE FROM files WHERE id = ?1")?.execute([id.to_string()])? > 0)
}

/// Whether a row names this blob.
pub(crate) fn refers_to(connection: &Connection, blob: &BlobId) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM files WHERE blob_id = ?1)";
    Ok(connection.prepare_cached(sql)?.query_row([blob.as_str()], |row| row.get(0))?)
}

fn file(row: &Row<'_>) -> Result<File, DatabaseError> {
    let blob: String = row.get("blob_id")?;
    let sha256: String = row.get("sha256")?;
    let digest = HEXLOWER.decode(sha256.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    Ok(File {
        id: row::id(row, "id")?,
        folder_id: row::optional_id(row, "folder_id")?,
        name: row.get("name")?,
        blob: BlobId::parse(&blob).ok_or(DatabaseError::Value("blob id"))?,
        size_bytes: u64::try_from(row.get::<_, i64>("size_bytes")?).map_err(|_| DatabaseError::Value("size"))?,
        sha256: digest.map(Sha256).ok_or(DatabaseError::Value("SHA-256"))?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
    })
}
