//! Tags, and what has them.

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::row;
use crate::model::tag::TagName;
use crate::storage::database::DatabaseError;

/// A tag, as stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredTag {
    pub(crate) id: i64,
    pub(crate) key: String,
    pub(crate) name: String,
}

/// How many items with a tag lie in one place.
#[derive(Clone, Debug)]
pub(crate) struct TagPlace {
    /// As it is stored: what a page goes on behind.
    pub(crate) key: String,
    /// The folder that decides who sees them; the root when absent.
    pub(crate) folder_id: Option<Uuid>,
    pub(crate) items: u64,
}

/// The place of items in the trash, which nobody sees.
const TRASH: &str = "trash";

/// Gives an item a tag; tells whether it had it not. What the tag is called is what whoever used it first wrote.
pub(crate) fn add(connection: &Connection, item_id: Uuid, tag: &TagName) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO tags (key, name) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING";
    connection.prepare_cached(sql)?.execute([tag.key().as_str(), tag.as_str()])?;
    let sql = "INSERT INTO item_tags (item_id, tag_id, place)
               SELECT ?1, id,
                      ifnull((SELECT CASE WHEN trashed_at IS NULL THEN ifnull(folder_id, '') ELSE 'trash' END
                              FROM files WHERE id = ?1), ?1)
               FROM tags WHERE key = ?2
               ON CONFLICT (item_id, tag_id) DO NOTHING";
    Ok(connection.prepare_cached(sql)?.execute([item_id.to_string(), tag.key()])? > 0)
}

/// Takes a tag from an item; tells whether it had it.
pub(crate) fn remove(connection: &Connection, item_id: Uuid, tag: &TagName) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM item_tags WHERE item_id = ?1 AND tag_id = (SELECT id FROM tags WHERE key = ?2)";
    Ok(connection.prepare_cached(sql)?.execute([item_id.to_string(), tag.key()])? > 0)
}

/// The tags of an item, by name.
pub(crate) fn of_item(connection: &Connection, item_id: Uuid) -> Result<Vec<String>, DatabaseError> {
    let sql = "SELECT name FROM item_tags JOIN tags ON tags.id = tag_id WHERE item_id = ?1 ORDER BY key";
    row::all(connection.prepare_cached(sql)?.query([item_id.to_string()])?, |row| Ok(row.get("name")?))
}

/// How many tags an item has.
pub(crate) fn count(connection: &Connection, item_id: Uuid) -> Result<u32, DatabaseError> {
    let sql = "SELECT count(*) FROM item_tags WHERE item_id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([item_id.to_string()], |row| row.get(0))?)
}

/// The number of a tag that something has.
pub(crate) fn id(connection: &Connection, tag: &TagName) -> Result<Option<i64>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT id FROM tags WHERE key = ?1")?;
    Ok(statement.query_row([tag.key()], |row| row.get(0)).optional()?)
}

/// Up to `limit` tags by name, behind the one of that key.
pub(crate) fn list(connection: &Connection, after: &str, limit: u32) -> Result<Vec<StoredTag>, DatabaseError> {
    let sql = "SELECT id, key, name FROM tags WHERE key > ?1 ORDER BY key LIMIT ?2";
    let tag =
        |row: &rusqlite::Row<'_>| Ok(StoredTag { id: row.get("id")?, key: row.get("key")?, name: row.get("name")? });
    row::all(connection.prepare_cached(sql)?.query(params![after, limit])?, tag)
}

/// Up to `limit` places of items with a tag, behind `after`.
pub(crate) fn places(
    connection: &Connection,
    tag_id: i64,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<TagPlace>, DatabaseError> {
    // The place of the root is the empty text, in front of which nothing sorts.
    let sql = "SELECT place, items FROM tag_places
               WHERE tag_id = ?1 AND (?2 IS NULL OR place > ?2) AND place <> ?4 ORDER BY place LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![tag_id, after, limit, TRASH])?, |row| {
        let key: String = row.get("place")?;
        let folder_id = if key.is_empty() { None } else { Some(row::id(row, "place")?) };
        Ok(TagPlace { key, folder_id, items: row::size(row, "items")? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::migrate;

    const USER: Uuid = Uuid::from_u128(1);
    const FOLDER: Uuid = Uuid::from_u128(2);
    const FILE: Uuid = Uuid::from_u128(3);

    fn tag(name: &str) -> TagName {
        TagName::parse(name).unwrap()
    }

    fn world() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let sql = format!(
            "INSERT INTO users (id, username, display_name, password_hash, role, active, created_at)
                 VALUES ('{USER}', 'bob_', 'bob', '', 'writer', 1, 0);
             INSERT INTO folders (id, name, created_at, created_by) VALUES ('{FOLDER}', 'f', 0, '{USER}');
             INSERT INTO contents (blob_id, size_bytes, sha256, media_type, created_at)
                 VALUES ('b', 0, '', '', 0);
             INSERT INTO files VALUES ('{FILE}', NULL, 'f', 0, '{USER}', 1, 'b', 0, '', '', 0, '{USER}', NULL, NULL);"
        );
        connection.execute_batch(&sql).unwrap();
        connection
    }

    fn counted(connection: &Connection) -> Vec<(String, u64)> {
        let tags = list(connection, "", 10).unwrap();
        let places = tags.iter().flat_map(|tag| places(connection, tag.id, None, 10).unwrap());
        places.map(|place| (place.key, place.items)).collect()
    }

    #[test]
    fn the_counts_follow_the_items() {
        let connection = world();
        let run = |sql: &str| connection.execute_batch(sql).unwrap();
        assert!(add(&connection, FILE, &tag("Trip")).unwrap());
        assert!(!add(&connection, FILE, &tag("TRIP")).unwrap());
        assert!(add(&connection, FOLDER, &tag("trip")).unwrap());
        assert_eq!(of_item(&connection, FOLDER).unwrap(), ["Trip"]);
        assert_eq!(counted(&connection), [(String::new(), 1), (FOLDER.to_string(), 1)]);
        run(&format!("UPDATE files SET folder_id = '{FOLDER}'"));
        assert_eq!(counted(&connection), [(FOLDER.to_string(), 2)]);
        run(&format!("UPDATE files SET trashed_at = 1, trashed_by = '{USER}'"));
        assert_eq!(counted(&connection), [(FOLDER.to_string(), 1)]);
        run("UPDATE files SET trashed_at = NULL, trashed_by = NULL, folder_id = NULL");
        assert_eq!(counted(&connection), [(String::new(), 1), (FOLDER.to_string(), 1)]);
        assert!(remove(&connection, FOLDER, &tag("tRip")).unwrap());
        assert!(!remove(&connection, FOLDER, &tag("trip")).unwrap());
        assert_eq!(counted(&connection), [(String::new(), 1)]);
        run("DELETE FROM files");
        assert_eq!(counted(&connection), []);
        assert_eq!(id(&connection, &tag("trip")).unwrap(), None, "a tag goes with the last that has it");
    }

    #[test]
    fn what_was_put_on_an_item_goes_with_it() {
        let connection = world();
        let run = |sql: &str| connection.execute_batch(sql).unwrap();
        for item in [FILE, FOLDER] {
            add(&connection, item, &tag("x")).unwrap();
            run(&format!(
                "INSERT INTO favourites VALUES ('{USER}', '{item}', 0);
                 INSERT INTO labels VALUES ('{USER}', '{item}', 'red');
                 INSERT INTO stars VALUES ('{item}', 0, '{USER}');
                 INSERT INTO notes VALUES ('{item}', 'x', '', 0, '{USER}');
                 INSERT INTO comments VALUES ('{item}', '{item}', 'x', 0, '{USER}', 1, 1);
                 INSERT INTO comment_history VALUES ('{item}', 1, 'y', 0);"
            ));
        }
        let left = |table: &str| -> u32 {
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        let tables = ["item_tags", "favourites", "labels", "stars", "notes", "comments", "comment_history"];
        run("DELETE FROM files");
        assert_eq!(tables.map(left), [1; 7]);
        run("UPDATE users SET deleted_at = 1");
        assert_eq!([left("favourites"), left("labels"), left("notes")], [0, 0, 1], "with their account, the own ones");
        run("DELETE FROM folders");
        assert_eq!(tables.map(left), [0; 7]);
        assert_eq!([left("tags"), left("tag_places"), left("search_queue")], [0, 0, 2]);
    }
}
