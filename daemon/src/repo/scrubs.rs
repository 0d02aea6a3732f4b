//! Rounds of reading everything back, and what they found.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::contents::{blob, sha256};
use super::{row, seals};
use crate::model::file::{BlobId, Sha256};
use crate::model::scrub::{self, ContentFault, Expected, Scrub};
use crate::model::sealing::Blob;
use crate::storage::database::DatabaseError;

/// Begins a round. One that goes on is [`DatabaseError::Conflict`].
pub(crate) fn begin(connection: &Connection, id: Uuid, now: Timestamp) -> Result<(), DatabaseError> {
    let sql =
        "INSERT INTO scrubs (id, started_at, after_blob_id, total, checked, checked_bytes, faults, repaired, orphans)
               VALUES (?1, ?2, '', (SELECT count(*) FROM contents), 0, 0, 0, 0, 0)";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), now.as_millisecond()])?;
    Ok(())
}

/// The round that goes on, else the last one.
pub(crate) fn last(connection: &Connection) -> Result<Option<Scrub>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM scrubs ORDER BY started_at DESC, id DESC LIMIT 1")?;
    row::first(statement.raw_query(), scrub)
}

/// Writes how far a round has come.
pub(crate) fn update(connection: &Connection, scrub: &Scrub) -> Result<(), DatabaseError> {
    let sql = "UPDATE scrubs SET finished_at = ?2, after_blob_id = ?3, checked = ?4, checked_bytes = ?5, faults = ?6,
                                 repaired = ?7, orphans = ?8, quarantined = ?9
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        scrub.id.to_string(),
        scrub.finished_at.map(Timestamp::as_millisecond),
        scrub.after_blob_id,
        row::from_size(scrub.checked)?,
        row::from_size(scrub.checked_bytes)?,
        row::from_size(scrub.faults)?,
        row::from_size(scrub.repaired)?,
        row::from_size(scrub.orphans)?,
        row::from_size(scrub.quarantined)?,
    ])?;
    Ok(())
}

/// Up to `limit` contents behind that one, by the names of their blobs.
pub(crate) fn contents_after(
    connection: &Connection,
    after_blob_id: &str,
    limit: u32,
) -> Result<Vec<Expected>, DatabaseError> {
    let sql = format!(
        "SELECT contents.blob_id, size_bytes, sha256, {} FROM contents
         LEFT JOIN sealed_blobs ON sealed_blobs.blob_id = contents.blob_id
         WHERE contents.blob_id > ?1 ORDER BY contents.blob_id LIMIT ?2",
        seals::COLUMNS
    );
    row::all(connection.prepare_cached(&sql)?.query(params![after_blob_id, limit])?, expected)
}

/// Notes what reading a content back gave. A content that is gone meanwhile is fine.
pub(crate) fn set_verdict(
    connection: &Connection,
    blob: &BlobId,
    fault: Option<ContentFault>,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE contents SET checked_at = ?2, fault = ?3 WHERE blob_id = ?1";
    let fault = fault.map(scrub::name);
    connection.prepare_cached(sql)?.execute(params![blob.as_str(), now.as_millisecond(), fault])?;
    Ok(())
}

/// Other contents that should be the same bytes as this one, and are not known to be at fault.
pub(crate) fn twins(connection: &Connection, of: &Expected) -> Result<Vec<Blob>, DatabaseError> {
    let sql = format!(
        "SELECT contents.blob_id, {} FROM contents LEFT JOIN sealed_blobs ON sealed_blobs.blob_id = contents.blob_id
         WHERE sha256 = ?1 AND contents.blob_id <> ?2 AND fault IS NULL LIMIT 8",
        seals::COLUMNS
    );
    let Expected { blob: own, sha256, .. } = of;
    let sha256: &Sha256 = sha256;
    row::all(connection.prepare_cached(&sql)?.query(params![sha256.to_string(), own.id.as_str()])?, |row| {
        Ok(Blob { id: blob(row)?, seal: seals::seal(row)? })
    })
}

/// The files that have a revision which did not read back, with its number and what was wrong. Up to `limit`, behind that
/// place.
pub(crate) fn faulty_revisions(
    connection: &Connection,
    after: (Uuid, u32),
    limit: u32,
) -> Result<Vec<(Uuid, u32, ContentFault)>, DatabaseError> {
    let sql = "SELECT revisions.file_id, revisions.number, contents.fault
               FROM contents JOIN revisions ON revisions.blob_id = contents.blob_id
               WHERE contents.fault IS NOT NULL AND (revisions.file_id, revisions.number) > (?1, ?2)
               ORDER BY revisions.file_id, revisions.number LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![after.0.to_string(), after.1, limit])?, |row| {
        let fault = scrub::parse(&row.get::<_, String>("fault")?).ok_or(DatabaseError::Value("fault"))?;
        Ok((row::id(row, "file_id")?, row.get("number")?, fault))
    })
}

/// The revisions that have a content: the file and the number of each.
pub(crate) fn revisions_of(connection: &Connection, blob: &BlobId) -> Result<Vec<(Uuid, u32)>, DatabaseError> {
    let sql = "SELECT file_id, number FROM revisions WHERE blob_id = ?1 ORDER BY file_id, number";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query([blob.as_str()])?, |row| Ok((row::id(row, "file_id")?, row.get("number")?)))
}

/// When the last round that came to its end did so.
pub(crate) fn last_finished(connection: &Connection) -> Result<Option<i64>, DatabaseError> {
    let sql = "SELECT max(finished_at) FROM scrubs";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?.flatten())
}

fn expected(row: &Row<'_>) -> Result<Expected, DatabaseError> {
    Ok(Expected {
        blob: Blob { id: blob(row)?, seal: seals::seal(row)? },
        size_bytes: row::size(row, "size_bytes")?,
        sha256: sha256(row)?,
    })
}

fn scrub(row: &Row<'_>) -> Result<Scrub, DatabaseError> {
    Ok(Scrub {
        id: row::id(row, "id")?,
        started_at: row::time(row, "started_at")?,
        finished_at: row::optional_time(row, "finished_at")?,
        after_blob_id: row.get("after_blob_id")?,
        total: row::size(row, "total")?,
        checked: row::size(row, "checked")?,
        checked_bytes: row::size(row, "checked_bytes")?,
        faults: row::size(row, "faults")?,
        repaired: row::size(row, "repaired")?,
        orphans: row::size(row, "orphans")?,
        quarantined: row::size(row, "quarantined")?,
    })
}
