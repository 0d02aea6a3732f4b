//! Folders.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::{access, files, row};
use crate::model::access::{Access, Viewer};
use crate::model::cursor::{Cursor, Key};
use crate::model::folder::{Counts, Folder, FolderOrder, Retention};
use crate::storage::database::DatabaseError;

/// Adds an empty folder. A name that a folder there has already is [`DatabaseError::Conflict`].
pub(crate) fn insert(connection: &Connection, folder: &Folder) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO folders (id, parent_id, name, created_at, created_by, modified_at, modified_by, private)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        folder.id.to_string(),
        folder.parent_id.map(|id| id.to_string()),
        folder.name,
        folder.created_at.as_millisecond(),
        folder.created_by.to_string(),
        folder.modified_at.as_millisecond(),
        folder.modified_by.to_string(),
        folder.private,
    ])?;
    Ok(())
}

/// Writes everything of a folder that can change, less its list and its counts. A name that another folder there has is
/// [`DatabaseError::Conflict`].
pub(crate) fn update(connection: &Connection, folder: &Folder) -> Result<(), DatabaseError> {
    let sql = "UPDATE folders SET parent_id = ?2, name = ?3, modified_at = ?4, modified_by = ?5, protected = ?6,
                                  keep_revisions = ?7, keep_days = ?8, trashed_at = ?9, trashed_by = ?10
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        folder.id.to_string(),
        folder.parent_id.map(|id| id.to_string()),
        folder.name,
        folder.modified_at.as_millisecond(),
        folder.modified_by.to_string(),
        folder.protected,
        folder.retention.keep_revisions,
        folder.retention.keep_days,
        folder.trashed.map(|trashed| trashed.at.as_millisecond()),
        folder.trashed.map(|trashed| trashed.by.to_string()),
    ])?;
    Ok(())
}

/// Adds to what a folder and those above it count; what a private folder holds ends there.
pub(crate) fn count(connection: &Connection, id: Option<Uuid>, more: Counts) -> Result<(), DatabaseError> {
    let Some(id) = id else { return Ok(()) };
    let sql = "UPDATE folders SET file_count = file_count + ?2, folder_count = folder_count + ?3 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), more.files, more.folders])?;
    let sql = "WITH RECURSIVE up (id, parent_id, ends) AS (
                   SELECT id, parent_id, private OR trashed_at IS NOT NULL FROM folders WHERE id = ?1
                   UNION ALL
                   SELECT folders.id, folders.parent_id, folders.private OR folders.trashed_at IS NOT NULL
                   FROM folders JOIN up ON folders.id = up.parent_id WHERE NOT up.ends
               )
               UPDATE folders SET total_files = total_files + ?2, total_bytes = total_bytes + ?3
               WHERE id IN (SELECT id FROM up)";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), more.total_files, more.total_bytes])?;
    Ok(())
}

/// Finds a folder, in the trash or not.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Folder>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM folders WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, folder)
}

/// Up to `limit` folders directly inside one in which the viewer has `inside`, by id, after `after`; each with what the
/// viewer may do in it. Those that are not there for them are left out.
pub(crate) fn list_by_creation(
    connection: &Connection,
    viewer: &Viewer,
    parent_id: Option<Uuid>,
    inside: Access,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<(Folder, Access)>, DatabaseError> {
    let (parent, after) = (text(parent_id), text(after));
    if viewer.sees_all {
        let mut statement = connection.prepare_cached(LIST_ALL)?;
        let rows = statement.query(params![parent, after, limit])?;
        return row::all(rows, |row| Ok((folder(row)?, inside)));
    }
    let mut statement = connection.prepare_cached(LIST_SEEN)?;
    let rows = statement.query(params![parent, after, limit, viewer.user_id.to_string()])?;
    row::all(rows, |row| {
        let access = access::capped(viewer, row.get("level")?).ok_or(DatabaseError::Value("grant"))?;
        Ok((folder(row)?, access.min(inside)))
    })
}

const LIST_ALL: &str = "SELECT * FROM folders
    WHERE ifnull(parent_id, '') = ?1 AND trashed_at IS NULL AND id > ?2 ORDER BY id LIMIT ?3";

/// What everybody sees, merged with what the viewer or one of their groups is let into. `granted` leaps from one such
/// folder to the next, so that the cost grows neither with the folders that are hidden nor with those behind the page.
const LIST_SEEN: &str = "
    WITH RECURSIVE
        mine (id) AS (SELECT ?4 UNION ALL SELECT group_id FROM group_members WHERE user_id = ?4),
        granted (id) AS (
            SELECT (SELECT min((SELECT min(folder_id) FROM folder_grants
                                WHERE grantee_id = mine.id AND parent_id = ?1 AND folder_id > ?2)) FROM mine)
            UNION ALL
            SELECT (SELECT min((SELECT min(folder_id) FROM folder_grants
                                WHERE grantee_id = mine.id AND parent_id = ?1 AND folder_id > granted.id)) FROM mine)
            FROM granted WHERE granted.id IS NOT NULL
            LIMIT ?3
        )
    SELECT * FROM (
        SELECT *, 2 AS level FROM folders
        WHERE ifnull(parent_id, '') = ?1 AND private = 0 AND trashed_at IS NULL AND id > ?2 ORDER BY id LIMIT ?3
    )
    UNION ALL
    SELECT folders.*, (SELECT max(1 + (access = 'write')) FROM folder_grants
                       WHERE folder_id = folders.id AND grantee_id IN mine) AS level
    FROM granted JOIN folders ON folders.id = granted.id WHERE private = 1
    ORDER BY id LIMIT ?3";

/// As [`list_by_creation`], in an order of choice. Steps over every private folder here that the viewer does not see.
pub(crate) fn list(
    connection: &Connection,
    viewer: &Viewer,
    place: (Option<Uuid>, Access),
    (order, descending): (FolderOrder, bool),
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Vec<(Folder, Access)>, DatabaseError> {
    let (parent_id, inside) = place;
    if (order, descending) == (FolderOrder::CreatedAt, false) {
        return list_by_creation(connection, viewer, parent_id, inside, after.map(|cursor| cursor.id), limit);
    }
    let key = match order {
        FolderOrder::Name => "name",
        FolderOrder::CreatedAt => "''",
    };
    let (than, direction) = if descending { ("<", "DESC") } else { (">", "ASC") };
    let behind = if after.is_some() { format!("AND ({key}, id) {than} (?5, ?6)") } else { String::new() };
    let sql = format!(
        "WITH mine (id) AS (SELECT ?3 UNION ALL SELECT group_id FROM group_members WHERE user_id = ?3)
         SELECT *, CASE WHEN ?4 OR private = 0 THEN 2 ELSE
                       (SELECT max(1 + (access = 'write')) FROM folder_grants
                        WHERE folder_id = folders.id AND grantee_id IN mine) END AS level
         FROM folders
         WHERE ifnull(parent_id, '') = ?1 AND trashed_at IS NULL {behind}
           AND (?4 OR private = 0 OR EXISTS (SELECT 1 FROM folder_grants
                                             WHERE folder_id = folders.id AND grantee_id IN mine))
         ORDER BY {key} {direction}, id {direction} LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let (parent, user) = (text(parent_id), viewer.user_id.to_string());
    let rows = if let Some(cursor) = after {
        let key = match &cursor.key {
            Key::Text(text) => text.clone(),
            Key::Number(number) => number.to_string(),
        };
        statement.query(params![parent, limit, user, viewer.sees_all, key, cursor.id.to_string()])?
    } else {
        statement.query(params![parent, limit, user, viewer.sees_all])?
    };
    row::all(rows, |row| {
        let access = access::capped(viewer, row.get("level")?).ok_or(DatabaseError::Value("grant"))?;
        Ok((folder(row)?, access.min(inside)))
    })
}

/// Up to `limit` folders that lie directly inside one, in the trash or not.
pub(crate) fn inside(connection: &Connection, id: Uuid, limit: u32) -> Result<Vec<Folder>, DatabaseError> {
    let sql = "SELECT * FROM folders WHERE parent_id = ?1 LIMIT ?2";
    row::all(connection.prepare_cached(sql)?.query(params![id.to_string(), limit])?, folder)
}

/// Up to `limit` folders that have been in the trash since before `cutoff`.
pub(crate) fn trashed_before(
    connection: &Connection,
    cutoff: Timestamp,
    limit: u32,
) -> Result<Vec<Folder>, DatabaseError> {
    let sql = "SELECT * FROM folders WHERE trashed_at < ?1 ORDER BY trashed_at, id LIMIT ?2";
    row::all(connection.prepare_cached(sql)?.query(params![cutoff.as_millisecond(), limit])?, folder)
}

/// Deletes an empty folder.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM folders WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

/// An absent id is the empty text, which sorts before all others and stands for the root.
pub(super) fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

pub(super) fn folder(row: &Row<'_>) -> Result<Folder, DatabaseError> {
    let created_by = row::id(row, "created_by")?;
    Ok(Folder {
        id: row::id(row, "id")?,
        parent_id: row::optional_id(row, "parent_id")?,
        name: row.get("name")?,
        created_at: row::time(row, "created_at")?,
        created_by,
        modified_at: row::time(row, "modified_at")?,
        modified_by: row::optional_id(row, "modified_by")?.unwrap_or(created_by),
        private: row.get("private")?,
        protected: row.get("protected")?,
        retention: Retention { keep_revisions: row.get("keep_revisions")?, keep_days: row.get("keep_days")? },
        trashed: files::trashed(row)?,
        counts: Counts {
            files: row.get("file_count")?,
            folders: row.get("folder_count")?,
            total_files: row.get("total_files")?,
            total_bytes: row.get("total_bytes")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::migrate;

    #[test]
    fn no_list_walks_over_what_it_does_not_show() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        for sql in [LIST_ALL, LIST_SEEN] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps: Vec<String> = row::all(statement.raw_query(), |row| Ok(row.get("detail")?)).unwrap();
            for step in &steps {
                let walks =
                    ["folders", "folder_grants", "group_members"].iter().any(|t| step.contains(&format!("SCAN {t}")));
                assert!(!walks, "{steps:#?}");
            }
            let index = if sql == LIST_ALL { "folders_by_parent" } else { "folders_open_by_parent" };
            let wanted = format!("INDEX {index} (<expr>=? AND id>?)");
            assert!(steps.iter().any(|step| step.contains(&wanted)), "{steps:#?}");
        }
    }
}
