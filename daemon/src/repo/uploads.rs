//! Resumable uploads.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::file::BlobId;
use crate::model::upload::{Upload, UploadKind};
use crate::storage::database::DatabaseError;

/// Adds an upload.
pub(crate) fn insert(connection: &Connection, upload: &Upload) -> Result<(), DatabaseError> {
    let (kind, parts) = match &upload.kind {
        UploadKind::Whole => ("whole", None),
        UploadKind::Partial => ("partial", None),
        UploadKind::Final(parts) => ("final", Some(parts)),
    };
    let sql = "INSERT INTO uploads (id, owner_id, kind, folder_id, name, metadata, parts, length_bytes, blob_id,
                                    stored_bytes, tail, file_id, created_at, expires_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    connection.prepare_cached(sql)?.execute(params![
        upload.id.to_string(),
        upload.owner_id.to_string(),
        kind,
        upload.folder_id.map(|id| id.to_string()),
        upload.name,
        upload.metadata,
        parts,
        size(upload.length_bytes)?,
        upload.blob.as_ref().map(BlobId::as_str),
        size(upload.stored_bytes)?,
        upload.tail,
        upload.file_id.map(|id| id.to_string()),
        upload.created_at.as_millisecond(),
        upload.expires_at.as_millisecond(),
    ])?;
    Ok(())
}

/// Finds an upload.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Upload>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM uploads WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, upload)
}

/// How many uploads of a person have not become files.
pub(crate) fn count_unfinished(connection: &Connection, owner_id: Uuid) -> Result<u32, DatabaseError> {
    let sql = "SELECT count(*) FROM uploads WHERE owner_id = ?1 AND file_id IS NULL";
    Ok(connection.prepare_cached(sql)?.query_row([owner_id.to_string()], |row| row.get(0))?)
}

/// Notes how much is on disk.
pub(crate) fn set_progress(
    connection: &Connection,
    id: Uuid,
    stored_bytes: u64,
    tail: &[u8],
    expires_at: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE uploads SET stored_bytes = ?2, tail = ?3, expires_at = ?4 WHERE id = ?1";
    let values = params![id.to_string(), size(stored_bytes)?, tail, expires_at.as_millisecond()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Notes which file an upload has become. Its blob is the file's from now on.
pub(crate) fn set_finished(
    connection: &Connection,
    id: Uuid,
    file_id: Uuid,
    expires_at: Timestamp,
) -> Result<(), DatabaseError> {
    let sql =
        "UPDATE uploads SET file_id = ?2, blob_id = NULL, stored_bytes = length_bytes, tail = x'', expires_at = ?3
               WHERE id = ?1";
    let values = params![id.to_string(), file_id.to_string(), expires_at.as_millisecond()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Forgets an upload. False when it is gone already.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    Ok(connection.prepare_cached("DELETE FROM uploads WHERE id = ?1")?.execute([id.to_string()])? > 0)
}

/// Up to `limit` uploads that nobody has gone on with in time, the oldest first.
pub(crate) fn expired(connection: &Connection, now: Timestamp, limit: u32) -> Result<Vec<Upload>, DatabaseError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM uploads WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2")?;
    row::all(statement.query(params![now.as_millisecond(), limit])?, upload)
}

fn upload(row: &Row<'_>) -> Result<Upload, DatabaseError> {
    let kind = match row.get::<_, String>("kind")?.as_str() {
        "whole" => UploadKind::Whole,
        "partial" => UploadKind::Partial,
        "final" => UploadKind::Final(row.get::<_, Option<String>>("parts")?.unwrap_or_default()),
        _unknown => return Err(DatabaseError::Value("kind of upload")),
    };
    let blob = row.get::<_, Option<String>>("blob_id")?;
    let blob = blob.map(|blob| BlobId::parse(&blob).ok_or(DatabaseError::Value("blob id"))).transpose()?;
    let bytes = |column| u64::try_from(row.get::<_, i64>(column)?).map_err(|_| DatabaseError::Value("size"));
    Ok(Upload {
        id: row::id(row, "id")?,
        owner_id: row::id(row, "owner_id")?,
        kind,
        folder_id: row::optional_id(row, "folder_id")?,
        name: row.get("name")?,
        metadata: row.get("metadata")?,
        length_bytes: bytes("length_bytes")?,
        blob,
        stored_bytes: bytes("stored_bytes")?,
        tail: row.get("tail")?,
        file_id: row::optional_id(row, "file_id")?,
        created_at: row::time(row, "created_at")?,
        expires_at: row::time(row, "expires_at")?,
    })
}

fn size(bytes: u64) -> Result<i64, DatabaseError> {
    i64::try_from(bytes).map_err(|_| DatabaseError::Value("size"))
}
