//! Files from anywhere in the tree, in the order in which they were changed.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::files::file;
use super::{marks, row};
use crate::model::cursor::Cursor;
use crate::model::file::File;
use crate::storage::database::DatabaseError;

/// Up to `limit` files, the last changed first, behind `after`.
pub(crate) fn recent(connection: &Connection, after: Option<&Cursor>, limit: u32) -> Result<Vec<File>, DatabaseError> {
    let (at, id) = marks::start(after);
    row::all(connection.prepare_cached(RECENT)?.query(params![at, id, limit])?, file)
}

/// As [`recent`], those that this person changed last.
pub(crate) fn recent_of(
    connection: &Connection,
    user_id: Uuid,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Vec<File>, DatabaseError> {
    let (at, id) = marks::start(after);
    row::all(connection.prepare_cached(RECENT_OF)?.query(params![at, id, limit, user_id.to_string()])?, file)
}

const RECENT: &str = "SELECT * FROM described_files WHERE trashed_at IS NULL AND (modified_at, id) < (?1, ?2)
    ORDER BY modified_at DESC, id DESC LIMIT ?3";

const RECENT_OF: &str = "SELECT * FROM described_files
    WHERE modified_by = ?4 AND trashed_at IS NULL AND (modified_at, id) < (?1, ?2)
    ORDER BY modified_at DESC, id DESC LIMIT ?3";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::migrate;

    #[test]
    fn both_lists_have_an_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        for (sql, index) in [(RECENT, "files_modified"), (RECENT_OF, "files_modified_by")] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps: Vec<String> = row::all(statement.raw_query(), |row| Ok(row.get("detail")?)).unwrap();
            // Each file in its order, and beside it what became of its small pictures and how it is sealed: nothing is
            // sorted.
            assert_eq!(steps.len(), 3, "{steps:?}");
            assert!(steps[1].starts_with("SEARCH thumbnails USING INDEX"), "{steps:?}");
            assert!(steps[2].starts_with("SEARCH sealed_blobs USING PRIMARY KEY"), "{steps:?}");
            assert!(steps[0].starts_with(&format!("SEARCH files USING INDEX {index} (")), "{steps:?}");
        }
    }
}
