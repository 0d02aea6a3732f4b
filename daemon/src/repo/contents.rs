//! Contents: what is known of each blob. Revisions share it; it goes with the last of them.

use data_encoding::HEXLOWER;
use rusqlite::{Connection, Row, params};

use super::{row, seals, thumbnails};
use crate::model::file::{BlobId, Revision, Sha256};
use crate::storage::database::DatabaseError;

/// Adds the content of a revision that shares it with no other yet.
pub(crate) fn insert(connection: &Connection, revision: &Revision) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO contents (blob_id, size_bytes, sha256, media_type, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        revision.blob.as_str(),
        row::from_size(revision.size_bytes)?,
        revision.sha256.to_string(),
        revision.media_type,
        revision.created_at.as_millisecond(),
    ])?;
    match &revision.seal {
        Some(seal) => seals::insert(connection, &revision.blob, seal),
        None => Ok(()),
    }
}

/// When the oldest content was stored, in milliseconds since 1970.
pub(crate) fn oldest(connection: &Connection) -> Result<Option<i64>, DatabaseError> {
    let sql = "SELECT min(created_at) FROM contents";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Whether a row names this blob.
pub(crate) fn exists(connection: &Connection, blob: &BlobId) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM contents WHERE blob_id = ?1)
                   OR EXISTS (SELECT 1 FROM uploads WHERE blob_id = ?1)";
    let is_content: bool = connection.prepare_cached(sql)?.query_row([blob.as_str()], |row| row.get(0))?;
    Ok(is_content || thumbnails::refers_to(connection, blob)?)
}

/// What is known of a blob that lies on the drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A row names it.
    Named,
    /// Its last row was deleted.
    Doomed,
    Unknown,
}

/// What is known of a blob.
pub(crate) fn claim(connection: &Connection, blob: &BlobId) -> Result<Claim, DatabaseError> {
    if exists(connection, blob)? {
        return Ok(Claim::Named);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM doomed_blobs WHERE blob_id = ?1)";
    let is_doomed = connection.prepare_cached(sql)?.query_row([blob.as_str()], |row| row.get(0))?;
    Ok(if is_doomed { Claim::Doomed } else { Claim::Unknown })
}

/// Up to `limit` blobs behind that one whose last row was deleted.
pub(crate) fn doomed_after(connection: &Connection, after: &str, limit: u32) -> Result<Vec<BlobId>, DatabaseError> {
    let sql = "SELECT blob_id FROM doomed_blobs WHERE blob_id > ?1 ORDER BY blob_id LIMIT ?2";
    row::all(connection.prepare_cached(sql)?.query(params![after, limit])?, blob)
}

/// Forgets that a blob was to be removed: it is.
pub(crate) fn forget_doomed(connection: &Connection, blob: &BlobId) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM doomed_blobs WHERE blob_id = ?1")?.execute([blob.as_str()])?;
    Ok(())
}

/// Forgets those of the contents that no revision and no attachment has any more, and tells which: their blobs are to be
/// removed once this is committed.
pub(crate) fn forget_unused(connection: &Connection, blobs: Vec<BlobId>) -> Result<Vec<BlobId>, DatabaseError> {
    let sql = "DELETE FROM contents
               WHERE blob_id = ?1 AND NOT EXISTS (SELECT 1 FROM revisions WHERE blob_id = ?1)
                 AND NOT EXISTS (SELECT 1 FROM secret_attachments WHERE blob_id = ?1)";
    let mut statement = connection.prepare_cached(sql)?;
    let mut unused = Vec::new();
    for blob in blobs {
        let pictures = thumbnails::blobs(connection, &blob)?;
        if statement.execute([blob.as_str()])? > 0 {
            unused.push(blob);
            unused.extend(pictures);
        }
    }
    Ok(unused)
}

/// The blob that a column names.
pub(super) fn blob(row: &Row<'_>) -> Result<BlobId, DatabaseError> {
    BlobId::parse(&row.get::<_, String>("blob_id")?).ok_or(DatabaseError::Value("blob id"))
}

/// The digest that a column holds.
pub(super) fn sha256(row: &Row<'_>) -> Result<Sha256, DatabaseError> {
    let text: String = row.get("sha256")?;
    let digest = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    digest.map(Sha256).ok_or(DatabaseError::Value("SHA-256"))
}
