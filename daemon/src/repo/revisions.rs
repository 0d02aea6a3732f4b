//! Revisions of files.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::contents::{blob, sha256};
use super::{row, seals};
use crate::model::file::{BlobId, Revision};
use crate::storage::database::DatabaseError;

const SELECT: &str = "SELECT number, revisions.blob_id, contents.size_bytes, sha256, media_type, revisions.created_at,
                             created_by, method, version, key_id, key_generation, encrypted_bytes
                      FROM revisions JOIN contents ON contents.blob_id = revisions.blob_id
                                     LEFT JOIN sealed_blobs ON sealed_blobs.blob_id = revisions.blob_id";

/// Adds a revision to a file of that owner. Its content must be there.
pub(crate) fn insert(
    connection: &Connection,
    file_id: Uuid,
    owner_id: Uuid,
    revision: &Revision,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO revisions (file_id, number, blob_id, size_bytes, owner_id, created_at, created_by)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        file_id.to_string(),
        revision.number,
        revision.blob.as_str(),
        row::from_size(revision.size_bytes)?,
        owner_id.to_string(),
        revision.created_at.as_millisecond(),
        revision.created_by.to_string(),
    ])?;
    Ok(())
}

/// Finds a revision.
pub(crate) fn find(connection: &Connection, file_id: Uuid, number: u32) -> Result<Option<Revision>, DatabaseError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE file_id = ?1 AND number = ?2"))?;
    row::first(statement.query(params![file_id.to_string(), number])?, revision)
}

/// Up to `limit` revisions of a file, newest first, before number `before`.
pub(crate) fn list(
    connection: &Connection,
    file_id: Uuid,
    before: Option<u32>,
    limit: u32,
) -> Result<Vec<Revision>, DatabaseError> {
    let sql = format!("{SELECT} WHERE file_id = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    row::all(statement.query(params![file_id.to_string(), before.map_or(i64::MAX, i64::from), limit])?, revision)
}

/// Deletes a revision; tells what its blob was.
pub(crate) fn delete(connection: &Connection, file_id: Uuid, number: u32) -> Result<Vec<BlobId>, DatabaseError> {
    let sql = "DELETE FROM revisions WHERE file_id = ?1 AND number = ?2 RETURNING blob_id";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![file_id.to_string(), number])?, blob)
}

/// Deletes up to `limit` revisions of a file that are neither the current one nor among the `keep` before it, and those
/// that were replaced before `cutoff`. Tells what their blobs were.
pub(crate) fn prune(
    connection: &Connection,
    file_id: Uuid,
    keep: u32,
    cutoff: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<BlobId>, DatabaseError> {
    // A revision is replaced when the next one is made.
    let sql = "DELETE FROM revisions WHERE (file_id, number) IN (
                   SELECT file_id, number FROM (
                       SELECT file_id, number, row_number() OVER newest - 1 AS newer,
                              lag(created_at) OVER newest AS replaced_at
                       FROM revisions WHERE file_id = ?1 WINDOW newest AS (ORDER BY number DESC)
                   )
                   WHERE newer > 0 AND (newer > ?2 OR replaced_at < ?3) LIMIT ?4
               ) RETURNING blob_id";
    let mut statement = connection.prepare_cached(sql)?;
    let cutoff = cutoff.map(Timestamp::as_millisecond);
    row::all(statement.query(params![file_id.to_string(), keep, cutoff, limit])?, blob)
}

/// Up to `limit` files behind `after` that have old revisions.
pub(crate) fn files_with_history(connection: &Connection, after: Uuid, limit: u32) -> Result<Vec<Uuid>, DatabaseError> {
    let sql = "SELECT id FROM files WHERE revision > 1 AND id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![after.to_string(), limit])?, |row| row::id(row, "id"))
}

/// The blobs of all revisions of a file.
pub(crate) fn blobs(connection: &Connection, file_id: Uuid) -> Result<Vec<BlobId>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT DISTINCT blob_id FROM revisions WHERE file_id = ?1")?;
    row::all(statement.query([file_id.to_string()])?, blob)
}

fn revision(row: &Row<'_>) -> Result<Revision, DatabaseError> {
    Ok(Revision {
        number: row.get("number")?,
        blob: blob(row)?,
        seal: seals::seal(row)?,
        size_bytes: row::size(row, "size_bytes")?,
        sha256: sha256(row)?,
        media_type: row.get("media_type")?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
    })
}
