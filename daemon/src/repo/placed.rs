//! The tree of files that are not in the trash, by their paths: for whoever writes all of it out.

use rusqlite::Connection;

use super::contents::{blob, sha256};
use super::seals;
use crate::model::file::PlacedFile;
use crate::model::sealing::Blob;
use crate::storage::database::DatabaseError;

/// Where each folder is that neither is in the trash itself nor below one that is.
const TREE: &str = "WITH RECURSIVE tree (id, path) AS (
        SELECT id, name || '/' FROM folders WHERE parent_id IS NULL AND trashed_at IS NULL
        UNION ALL
        SELECT folders.id, tree.path || folders.name || '/'
        FROM folders JOIN tree ON folders.parent_id = tree.id WHERE folders.trashed_at IS NULL
    )";

const PLACED: &str = "FROM files LEFT JOIN tree ON tree.id = files.folder_id
    LEFT JOIN sealed_blobs ON sealed_blobs.blob_id = files.blob_id
    WHERE files.trashed_at IS NULL AND (files.folder_id IS NULL OR tree.id IS NOT NULL)";

/// How many there are.
pub(crate) fn count(connection: &Connection) -> Result<u64, DatabaseError> {
    let count: i64 = connection.query_row(&format!("{TREE} SELECT count(*) {PLACED}"), [], |row| row.get(0))?;
    u64::try_from(count).map_err(|_| DatabaseError::Value("count"))
}

/// Shows each of them, one after the other.
pub(crate) fn each(connection: &Connection, mut show: impl FnMut(&PlacedFile)) -> Result<(), DatabaseError> {
    let columns = seals::COLUMNS;
    let sql =
        format!("{TREE} SELECT ifnull(path, '') || files.name AS path, files.blob_id, sha256, {columns} {PLACED}");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let blob = Blob { id: blob(row)?, seal: seals::seal(row)? };
        show(&PlacedFile { path: row.get("path")?, blob, sha256: sha256(row)? });
    }
    Ok(())
}
