//! Small pictures of contents: which are to be made, which are there, and why some are not.

use data_encoding::HEXLOWER;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{row, seals};
use crate::model::file::{BlobId, Sha256};
use crate::model::sealing::Blob;
use crate::model::thumbnail::{Side, SmallPicture, Thumbnail, ThumbnailState};
use crate::storage::database::DatabaseError;

/// A content of which small pictures are to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) source: Blob,
    pub(crate) media_type: String,
}

/// The one that has waited longest.
pub(crate) fn next(connection: &Connection) -> Result<Option<Pending>, DatabaseError> {
    let sql = format!(
        "SELECT source_id AS blob_id, media_type, {} FROM thumbnails
         JOIN contents ON contents.blob_id = source_id LEFT JOIN sealed_blobs ON sealed_blobs.blob_id = source_id
         WHERE state = 'pending' ORDER BY number LIMIT 1",
        seals::COLUMNS
    );
    row::first(connection.prepare_cached(&sql)?.query([])?, |row| {
        Ok(Pending { source: Blob { id: blob(row)?, seal: seals::seal(row)? }, media_type: row.get("media_type")? })
    })
}

/// Writes down what became of a pending one. False when its content is gone meanwhile, or somebody else did it.
pub(crate) fn settle(
    connection: &Connection,
    source: &BlobId,
    result: &Thumbnail,
    missing_tool: Option<&str>,
    pictures: &[SmallPicture],
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE thumbnails SET state = ?2, reason = ?3, missing_tool = ?4
               WHERE source_id = ?1 AND state = 'pending'";
    let values = params![source.as_str(), result.state.name(), result.reason, missing_tool];
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Ok(false);
    }
    let sql =
        "INSERT INTO small_pictures (source_id, side_px, blob_id, size_bytes, sha256) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut statement = connection.prepare_cached(sql)?;
    for picture in pictures {
        statement.execute(params![
            source.as_str(),
            picture.side.px(),
            picture.blob.id.as_str(),
            i64::try_from(picture.size_bytes).map_err(|_| DatabaseError::Value("size"))?,
            picture.sha256.to_string(),
        ])?;
        if let Some(seal) = &picture.blob.seal {
            seals::insert(connection, &picture.blob.id, seal)?;
        }
    }
    Ok(true)
}

/// The programs for want of which some were not made.
pub(crate) fn missing_tools(connection: &Connection) -> Result<Vec<String>, DatabaseError> {
    let sql = "SELECT DISTINCT missing_tool FROM thumbnails WHERE missing_tool IS NOT NULL";
    row::all(connection.prepare_cached(sql)?.query([])?, |row| Ok(row.get(0)?))
}

/// Queues again what was not made for want of a program.
pub(crate) fn retry(connection: &Connection, tool: &str) -> Result<usize, DatabaseError> {
    let sql = "UPDATE thumbnails SET state = 'pending', reason = NULL, missing_tool = NULL WHERE missing_tool = ?1";
    Ok(connection.prepare_cached(sql)?.execute([tool])?)
}

/// What became of the small pictures of a content. None when its kind has none.
pub(crate) fn find(connection: &Connection, source: &BlobId) -> Result<Option<Thumbnail>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT state, reason FROM thumbnails WHERE source_id = ?1")?;
    row::first(statement.query([source.as_str()])?, |row| {
        thumbnail(&row.get::<_, String>("state")?, row.get("reason")?)
    })
}

/// The files of which some revision has that content.
pub(crate) fn files_of(connection: &Connection, source: &BlobId) -> Result<Vec<Uuid>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT file_id FROM revisions WHERE blob_id = ?1")?;
    row::all(statement.query([source.as_str()])?, |row| row::id(row, "file_id"))
}

/// A small picture of a content.
pub(crate) fn picture(
    connection: &Connection,
    source: &BlobId,
    side: Side,
) -> Result<Option<SmallPicture>, DatabaseError> {
    let sql = format!(
        "SELECT small_pictures.blob_id, size_bytes, sha256, {} FROM small_pictures
         LEFT JOIN sealed_blobs ON sealed_blobs.blob_id = small_pictures.blob_id
         WHERE source_id = ?1 AND side_px = ?2",
        seals::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    row::first(statement.query(params![source.as_str(), side.px()])?, |row| {
        let sha256: String = row.get("sha256")?;
        let digest = HEXLOWER.decode(sha256.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        Ok(SmallPicture {
            side,
            blob: Blob { id: blob(row)?, seal: seals::seal(row)? },
            size_bytes: u64::try_from(row.get::<_, i64>("size_bytes")?).map_err(|_| DatabaseError::Value("size"))?,
            sha256: digest.map(Sha256).ok_or(DatabaseError::Value("SHA-256"))?,
        })
    })
}

/// The blobs of the small pictures of a content. Ask before it is deleted: their rows go with its own.
pub(crate) fn blobs(connection: &Connection, source: &BlobId) -> Result<Vec<BlobId>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT blob_id FROM small_pictures WHERE source_id = ?1")?;
    row::all(statement.query([source.as_str()])?, blob)
}

/// Whether a blob is a small picture.
pub(crate) fn refers_to(connection: &Connection, blob: &BlobId) -> Result<bool, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM small_pictures WHERE blob_id = ?1")?;
    Ok(statement.query_row([blob.as_str()], |_| Ok(())).optional()?.is_some())
}

/// What a row of `described_files` says.
pub(super) fn of_file(row: &Row<'_>) -> Result<Option<Thumbnail>, DatabaseError> {
    let state: Option<String> = row.get("thumbnail_state")?;
    let reason = row.get("thumbnail_reason")?;
    state.map(|state| thumbnail(&state, reason)).transpose()
}

fn thumbnail(state: &str, reason: Option<String>) -> Result<Thumbnail, DatabaseError> {
    let state = ThumbnailState::named(state).ok_or(DatabaseError::Value("thumbnail state"))?;
    Ok(Thumbnail { state, reason })
}

fn blob(row: &Row<'_>) -> Result<BlobId, DatabaseError> {
    BlobId::parse(&row.get::<_, String>("blob_id")?).ok_or(DatabaseError::Value("blob id"))
}
