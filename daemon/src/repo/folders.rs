//! Folders.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::{access, row};
use crate::model::access::{Access, Viewer};
use crate::model::folder::Folder;
use crate::storage::database::DatabaseError;

/// Adds a folder. A name that a folder there has already is [`DatabaseError::Conflict`].
pub(crate) fn insert(connection: &Connection, folder: &Folder) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO folders (id, parent_id, name, created_at, created_by, private)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        folder.id.to_string(),
        folder.parent_id.map(|id| id.to_string()),
        folder.name,
        folder.created_at.as_millisecond(),
        folder.created_by.to_string(),
        folder.private,
    ])?;
    Ok(())
}

/// Finds a folder.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Folder>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM folders WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, folder)
}

/// Up to `limit` folders directly inside one in which the viewer has `inside`, by id, after `after`; each with what the
/// viewer may do in it. Those that are not there for them are left out.
pub(crate) fn list(
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

const LIST_ALL: &str = "SELECT * FROM folders WHERE ifnull(parent_id, '') = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

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
        WHERE ifnull(parent_id, '') = ?1 AND private = 0 AND id > ?2 ORDER BY id LIMIT ?3
    )
    UNION ALL
    SELECT folders.*, (SELECT max(1 + (access = 'write')) FROM folder_grants
                       WHERE folder_id = folders.id AND grantee_id IN mine) AS level
    FROM granted JOIN folders ON folders.id = granted.id WHERE private = 1
    ORDER BY id LIMIT ?3";

/// How many folders lie on the way from the root to this one, itself included.
pub(crate) fn depth(connection: &Connection, id: Uuid) -> Result<u32, DatabaseError> {
    let sql = "WITH RECURSIVE up (id, parent_id) AS (
                   SELECT id, parent_id FROM folders WHERE id = ?1
                   UNION ALL SELECT folders.id, folders.parent_id FROM folders JOIN up ON folders.id = up.parent_id
               ) SELECT count(*) FROM up";
    Ok(connection.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0))?)
}

/// Whether a folder or a file of that name lies directly inside.
pub(crate) fn name_is_taken(
    connection: &Connection,
    parent_id: Option<Uuid>,
    name: &str,
) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM folders WHERE ifnull(parent_id, '') = ?1 AND name = ?2)
                   OR EXISTS (SELECT 1 FROM files WHERE ifnull(folder_id, '') = ?1 AND name = ?2)";
    Ok(connection.prepare_cached(sql)?.query_row(params![text(parent_id), name], |row| row.get(0))?)
}

/// Whether nothing lies inside.
pub(crate) fn is_empty(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM folders WHERE ifnull(parent_id, '') = ?1)
                  AND NOT EXISTS (SELECT 1 FROM files WHERE ifnull(folder_id, '') = ?1)";
    Ok(connection.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0))?)
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

fn folder(row: &Row<'_>) -> Result<Folder, DatabaseError> {
    Ok(Folder {
        id: row::id(row, "id")?,
        parent_id: row::optional_id(row, "parent_id")?,
        name: row.get("name")?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
        private: row.get("private")?,
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
