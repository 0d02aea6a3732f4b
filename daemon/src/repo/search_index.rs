//! The index of words, as it is written: the queue of what is out of date, and a document for each item.
//!
//! Nothing but this module writes to the index; the triggers of the tree fill the queue.

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::folders::text;
use super::{comments, notes, row, tags};
use crate::model::file::BlobId;
use crate::model::item::Item;
use crate::storage::database::DatabaseError;

/// Most that is indexed of the comments on one item, the last first.
const MAX_COMMENT_BYTES: usize = 64 * 1024;

/// Comments that are read at once.
const COMMENTS: u32 = 1000;

/// An item whose document is out of date.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    /// Another one when it changed again.
    pub(crate) number: i64,
    pub(crate) item_id: Uuid,
    /// How often looking at its content was begun.
    pub(crate) attempts: u32,
}

/// Up to `limit` items whose documents are out of date, the oldest change first. One whose content was begun before and
/// not finished comes alone: if it ends the daemon again, it is not held against others.
pub(crate) fn due(connection: &Connection, limit: u32) -> Result<Vec<Due>, DatabaseError> {
    let mut statement =
        connection.prepare_cached("SELECT number, item_id, attempts FROM search_queue ORDER BY number LIMIT ?1")?;
    let mut all = row::all(statement.query([limit])?, |row| {
        Ok(Due { number: row.get("number")?, item_id: row::id(row, "item_id")?, attempts: row.get("attempts")? })
    })?;
    if let Some(begun) = all.iter().position(|due| due.attempts > 0) {
        all.truncate(begun.max(1));
    }
    Ok(all)
}

/// Notes that looking at a content begins.
pub(crate) fn begin(connection: &Connection, due: &Due) -> Result<(), DatabaseError> {
    let sql = "UPDATE search_queue SET attempts = attempts + 1 WHERE number = ?1";
    connection.prepare_cached(sql)?.execute([due.number])?;
    Ok(())
}

/// Takes that back: something else than the content put an end to it.
pub(crate) fn give_back(connection: &Connection, due: &Due) -> Result<(), DatabaseError> {
    let sql = "UPDATE search_queue SET attempts = attempts - 1 WHERE number = ?1 AND attempts > 0";
    connection.prepare_cached(sql)?.execute([due.number])?;
    Ok(())
}

/// Takes an item from the queue, unless it changed again.
pub(crate) fn done(connection: &Connection, due: &Due) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM search_queue WHERE number = ?1")?.execute([due.number])?;
    Ok(())
}

/// Whether the text in an item's document was taken from this blob.
pub(crate) fn has_text_of(connection: &Connection, item_id: Uuid, blob: &BlobId) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM search_items WHERE item_id = ?1 AND text_of = ?2)";
    let ids = [item_id.to_string(), blob.as_str().to_owned()];
    Ok(connection.prepare_cached(sql)?.query_row(ids, |row| row.get(0))?)
}

/// A content cannot be read any more: its words go, with the item's whole document, until the queue writes it anew.
pub(crate) fn forget_content(connection: &Connection, blob: &BlobId) -> Result<(), DatabaseError> {
    for sql in [
        "INSERT INTO search_queue (item_id) SELECT item_id FROM search_items WHERE text_of = ?1",
        "DELETE FROM search_index WHERE rowid IN (SELECT id FROM search_items WHERE text_of = ?1)",
        "DELETE FROM search_items WHERE text_of = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([blob.as_str()])?;
    }
    Ok(())
}

/// A content is stored under another name: the words stay the same.
pub(crate) fn rename_content(connection: &Connection, old: &BlobId, new: &BlobId) -> Result<(), DatabaseError> {
    let sql = "UPDATE search_items SET text_of = ?2 WHERE text_of = ?1";
    connection.prepare_cached(sql)?.execute([old.as_str(), new.as_str()])?;
    Ok(())
}

/// Writes an item's document, with the text of its content when that is another one than before.
pub(crate) fn put(connection: &Connection, item: &Item, content: Option<(&BlobId, &str)>) -> Result<(), DatabaseError> {
    let words = [
        name(item).to_owned(),
        tags::of_item(connection, item.id())?.join("\n"),
        notes::find(connection, item.id())?.map(|note| note.text).unwrap_or_default(),
        said(connection, item.id())?,
    ];
    let [name, tags, note, comments] = &words;
    let known = number(connection, item.id())?;
    let number = put_item(connection, item)?;
    match (known, content) {
        (None, content) => {
            let sql =
                "INSERT INTO search_index (rowid, name, tags, note, comments, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let text = content.map_or("", |(_, text)| text);
            connection.prepare_cached(sql)?.execute(params![number, name, tags, note, comments, text])?;
        }
        (Some(_), Some((_, text))) => {
            let sql =
                "UPDATE search_index SET name = ?2, tags = ?3, note = ?4, comments = ?5, text = ?6 WHERE rowid = ?1";
            connection.prepare_cached(sql)?.execute(params![number, name, tags, note, comments, text])?;
        }
        (Some(_), None) => {
            let sql = "UPDATE search_index SET name = ?2, tags = ?3, note = ?4, comments = ?5 WHERE rowid = ?1";
            connection.prepare_cached(sql)?.execute(params![number, name, tags, note, comments])?;
        }
    }
    if let Some((blob, _)) = content {
        let sql = "UPDATE search_items SET text_of = ?2 WHERE id = ?1";
        connection.prepare_cached(sql)?.execute(params![number, blob.as_str()])?;
    }
    Ok(())
}

/// Takes an item's document out of the index.
pub(crate) fn remove(connection: &Connection, item_id: Uuid) -> Result<(), DatabaseError> {
    if let Some(number) = number(connection, item_id)? {
        connection.prepare_cached("DELETE FROM search_index WHERE rowid = ?1")?.execute([number])?;
        connection.prepare_cached("DELETE FROM search_items WHERE id = ?1")?.execute([number])?;
    }
    Ok(())
}

/// The number of an item's document.
fn number(connection: &Connection, item_id: Uuid) -> Result<Option<i64>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT id FROM search_items WHERE item_id = ?1")?;
    Ok(statement.query_row([item_id.to_string()], |row| row.get(0)).optional()?)
}

/// Writes what searches filter by; gives the number of the document.
fn put_item(connection: &Connection, item: &Item) -> Result<i64, DatabaseError> {
    let (is_folder, media_type, size_bytes, modified_at) = match item {
        Item::File(file) => (false, file.media_type.as_str(), row::from_size(file.size_bytes)?, file.modified_at),
        Item::Folder(folder) => (true, "", 0, folder.modified_at),
    };
    let sql = "INSERT INTO search_items (item_id, is_folder, folder_id, owner_id, media_type, size_bytes, modified_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (item_id) DO UPDATE SET folder_id = excluded.folder_id, owner_id = excluded.owner_id,
                   media_type = excluded.media_type, size_bytes = excluded.size_bytes,
                   modified_at = excluded.modified_at
               RETURNING id";
    let values = params![
        item.id().to_string(),
        is_folder,
        text(item.folder_id()),
        item.created_by().to_string(),
        media_type,
        size_bytes,
        modified_at.as_millisecond(),
    ];
    Ok(connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
}

fn name(item: &Item) -> &str {
    match item {
        Item::File(file) => &file.name,
        Item::Folder(folder) => &folder.name,
    }
}

/// What was said last about an item, as much of it as is indexed.
fn said(connection: &Connection, item_id: Uuid) -> Result<String, DatabaseError> {
    let mut all = String::new();
    for comment in comments::last(connection, item_id, COMMENTS)? {
        if all.len() + comment.text.len() > MAX_COMMENT_BYTES {
            break;
        }
        all.push_str(&comment.text);
        all.push('\n');
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tag::TagName;
    use crate::repo::migrate;

    const USER: Uuid = Uuid::from_u128(1);
    const FOLDER: Uuid = Uuid::from_u128(2);
    const FILE: Uuid = Uuid::from_u128(3);

    fn world() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let sql = format!(
            "INSERT INTO users (id, username, display_name, password_hash, role, active, created_at)
                 VALUES ('{USER}', 'bob_', 'bob', '', 'writer', 1, 0);
             INSERT INTO folders (id, name, created_at, created_by) VALUES ('{FOLDER}', 'f', 0, '{USER}');
             INSERT INTO contents (blob_id, size_bytes, sha256, media_type, created_at)
                 VALUES ('b', 0, '', '', 0), ('c', 0, '', '', 0);
             INSERT INTO files VALUES ('{FILE}', NULL, 'f', 0, '{USER}', 1, 'b', 0, '', '', 0, '{USER}', NULL, NULL);"
        );
        connection.execute_batch(&sql).unwrap();
        connection
    }

    #[test]
    fn every_change_puts_its_item_into_the_queue_with_a_new_number() {
        let connection = world();
        let queued = |id: Uuid| due(&connection, 10).unwrap().into_iter().find(|due| due.item_id == id).unwrap().number;
        let tag = |name: &str| TagName::parse(name).unwrap();
        let sql = |sql: &str| connection.execute_batch(sql).unwrap();
        let changes: [(&str, &dyn Fn()); 15] = [
            ("renamed", &|| sql("UPDATE files SET name = 'g'")),
            ("moved", &|| sql(&format!("UPDATE files SET folder_id = '{FOLDER}'"))),
            ("revised", &|| sql("UPDATE files SET blob_id = 'c'")),
            ("touched", &|| sql("UPDATE files SET modified_at = 1")),
            ("trashed", &|| sql(&format!("UPDATE files SET trashed_at = 1, trashed_by = '{USER}'"))),
            ("restored", &|| sql("UPDATE files SET trashed_at = NULL, trashed_by = NULL")),
            ("tagged", &|| assert!(tags::add(&connection, FILE, &tag("x")).unwrap())),
            ("tagged again", &|| assert!(tags::add(&connection, FILE, &tag("y")).unwrap())),
            ("untagged", &|| assert!(tags::remove(&connection, FILE, &tag("x")).unwrap())),
            ("noted", &|| sql(&format!("INSERT INTO notes VALUES ('{FILE}', 'x', '', 0, '{USER}')"))),
            ("noted again", &|| sql("UPDATE notes SET text = 'y'")),
            ("no longer noted", &|| sql("DELETE FROM notes")),
            ("discussed", &|| sql(&format!("INSERT INTO comments VALUES ('c', '{FILE}', 'x', 0, '{USER}', 1, 1)"))),
            ("corrected", &|| sql("UPDATE comments SET text = 'y'")),
            ("deleted", &|| sql("DELETE FROM files")),
        ];
        for (what, change) in changes {
            let before = queued(FILE);
            change();
            assert!(queued(FILE) > before, "{what}");
        }
        for change in ["UPDATE folders SET name = 'g'", "UPDATE folders SET modified_at = 1", "DELETE FROM folders"] {
            let before = queued(FOLDER);
            sql(change);
            assert!(queued(FOLDER) > before, "{change}");
        }
        let before = queued(FILE);
        sql("UPDATE folders SET total_files = 7");
        assert_eq!(queued(FILE), before);
    }

    #[test]
    fn what_was_begun_before_comes_alone() {
        let connection = world();
        let numbers = || due(&connection, 10).unwrap().iter().map(|due| due.number).collect::<Vec<i64>>();
        let all = due(&connection, 10).unwrap();
        let [first, second] = &all[..] else { panic!("{all:?}") };
        begin(&connection, second).unwrap();
        assert_eq!(numbers(), [first.number], "the one before it first");
        begin(&connection, first).unwrap();
        assert_eq!(numbers(), [first.number]);
        done(&connection, first).unwrap();
        assert_eq!(numbers(), [second.number]);
        give_back(&connection, second).unwrap();
        give_back(&connection, second).unwrap();
        assert_eq!(due(&connection, 10).unwrap()[0].attempts, 0);
    }

    #[test]
    fn what_changed_again_meanwhile_stays_in_the_queue() {
        let connection = world();
        let first = due(&connection, 1).unwrap()[0];
        begin(&connection, &first).unwrap();
        assert_eq!(due(&connection, 1).unwrap()[0].attempts, 1);
        let sql = format!("UPDATE folders SET name = 'g' WHERE id = '{}'", first.item_id);
        connection.execute_batch(&sql).unwrap();
        done(&connection, &first).unwrap();
        let left = due(&connection, 10).unwrap().into_iter().find(|due| due.item_id == first.item_id).unwrap();
        assert_eq!(left.attempts, 0);
        done(&connection, &left).unwrap();
        assert!(due(&connection, 10).unwrap().iter().all(|due| due.item_id != first.item_id));
    }
}
