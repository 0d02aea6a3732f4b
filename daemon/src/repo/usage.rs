//! What is stored, by whom, and how much of it they may.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::usage::{UsageOfFolder, UsageOfUser};
use crate::storage::database::DatabaseError;

/// The bytes of all revisions of all files of a person, and of what they attached to secrets.
pub(crate) fn of_user(connection: &Connection, user_id: Uuid) -> Result<u64, DatabaseError> {
    let sql = "SELECT ifnull((SELECT size_bytes FROM usage WHERE user_id = ?1), 0)
                      + (SELECT ifnull(sum(size_bytes), 0) FROM secret_attachments WHERE created_by = ?1) AS size_bytes";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(row::first(statement.query([user_id.to_string()])?, |row| row::size(row, "size_bytes"))?.unwrap_or(0))
}

/// The limit that was set for a person, if one was.
pub(crate) fn quota(connection: &Connection, user_id: Uuid) -> Result<Option<u64>, DatabaseError> {
    let sql = "SELECT quota_bytes FROM users WHERE id = ?1 AND quota_bytes IS NOT NULL";
    let mut statement = connection.prepare_cached(sql)?;
    row::first(statement.query([user_id.to_string()])?, |row| row::size(row, "quota_bytes"))
}

/// Sets or removes a person's limit.
pub(crate) fn set_quota(connection: &Connection, user_id: Uuid, quota_bytes: Option<u64>) -> Result<(), DatabaseError> {
    let quota_bytes = quota_bytes.map(row::from_size).transpose()?;
    let sql = "UPDATE users SET quota_bytes = ?2 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![user_id.to_string(), quota_bytes])?;
    Ok(())
}

/// Usage of a person, or of all who store something. Reads every revision.
pub(crate) fn by_user(connection: &Connection, user_id: Option<Uuid>) -> Result<Vec<UsageOfUser>, DatabaseError> {
    let sql = "WITH RECURSIVE gone (id) AS (
                   SELECT id FROM folders WHERE trashed_at IS NOT NULL
                   UNION SELECT folders.id FROM folders JOIN gone ON folders.parent_id = gone.id
               ),
               counted AS (
                   SELECT revisions.owner_id, revisions.size_bytes, revisions.number = files.revision AS is_current,
                          files.trashed_at IS NOT NULL OR ifnull(files.folder_id IN gone, 0) AS is_gone, 0 AS attached_bytes
                   FROM revisions JOIN files ON files.id = revisions.file_id
                   WHERE ?1 IS NULL OR revisions.owner_id = ?1
                   UNION ALL
                   SELECT created_by, 0, 0, 0, size_bytes FROM secret_attachments WHERE ?1 IS NULL OR created_by = ?1
               )
               SELECT owner_id, sum(is_current AND NOT is_gone) AS files,
                      sum(size_bytes * (is_current AND NOT is_gone)) AS current_bytes,
                      sum(size_bytes * (NOT is_current AND NOT is_gone)) AS revision_bytes,
                      sum(size_bytes * is_gone) AS trash_bytes, sum(attached_bytes) AS attached_bytes
               FROM counted GROUP BY owner_id ORDER BY owner_id";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query([user_id.map(|id| id.to_string())])?, |row| {
        Ok(UsageOfUser {
            user_id: row::id(row, "owner_id")?,
            files: row::size(row, "files")?,
            current_bytes: row::size(row, "current_bytes")?,
            revision_bytes: row::size(row, "revision_bytes")?,
            trash_bytes: row::size(row, "trash_bytes")?,
            attached_bytes: row::size(row, "attached_bytes")?,
        })
    })
}

/// What lies in the folders of the root, each with all below that is not private.
pub(crate) fn by_folder(connection: &Connection) -> Result<Vec<UsageOfFolder>, DatabaseError> {
    let sql = "SELECT id, total_files, total_bytes FROM folders
               WHERE ifnull(parent_id, '') = '' AND trashed_at IS NULL ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.raw_query(), |row| {
        Ok(UsageOfFolder {
            folder_id: row::id(row, "id")?,
            files: row::size(row, "total_files")?,
            size_bytes: row::size(row, "total_bytes")?,
        })
    })
}

/// The bytes of all blobs: what the drive really holds, less what gocryptfs adds.
pub(crate) fn stored(connection: &Connection) -> Result<u64, DatabaseError> {
    let sql = "SELECT ifnull(sum(size_bytes), 0) AS size_bytes FROM contents";
    let size = |row: &Row<'_>| row.get::<_, i64>(0);
    let found = connection.prepare_cached(sql)?.query_row([], size).optional()?;
    Ok(u64::try_from(found.unwrap_or(0)).unwrap_or(0))
}
