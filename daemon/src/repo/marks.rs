//! Favourites, stars and labels.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::cursor::{Cursor, Key};
use crate::model::mark::{self as colours, Colour, Star};
use crate::storage::database::DatabaseError;

/// That something is marked, and since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) item_id: Uuid,
    pub(crate) added_at: Timestamp,
}

/// Makes an item a favourite of somebody; tells whether it was none.
pub(crate) fn add_favourite(
    connection: &Connection,
    user_id: Uuid,
    item_id: Uuid,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO favourites (user_id, item_id, added_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let values = params![user_id.to_string(), item_id.to_string(), now.as_millisecond()];
    Ok(connection.prepare_cached(sql)?.execute(values)? > 0)
}

/// Makes it none; tells whether it was one.
pub(crate) fn remove_favourite(connection: &Connection, user_id: Uuid, item_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM favourites WHERE user_id = ?1 AND item_id = ?2";
    Ok(connection.prepare_cached(sql)?.execute([user_id.to_string(), item_id.to_string()])? > 0)
}

/// Whether an item is a favourite of somebody.
pub(crate) fn is_favourite(connection: &Connection, user_id: Uuid, item_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM favourites WHERE user_id = ?1 AND item_id = ?2)";
    Ok(connection.prepare_cached(sql)?.query_row([user_id.to_string(), item_id.to_string()], |row| row.get(0))?)
}

/// How many favourites somebody has.
pub(crate) fn count_favourites(connection: &Connection, user_id: Uuid) -> Result<u32, DatabaseError> {
    let sql = "SELECT count(*) FROM favourites WHERE user_id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([user_id.to_string()], |row| row.get(0))?)
}

/// Up to `limit` favourites of somebody, the last first, behind `after`.
pub(crate) fn favourites(
    connection: &Connection,
    user_id: Uuid,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Vec<Mark>, DatabaseError> {
    let (at, id) = start(after);
    let sql = "SELECT item_id, added_at FROM favourites WHERE user_id = ?1 AND (added_at, item_id) < (?2, ?3)
               ORDER BY added_at DESC, item_id DESC LIMIT ?4";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![user_id.to_string(), at, id, limit])?, mark)
}

/// Gives an item its star; tells whether it had none.
pub(crate) fn add_star(
    connection: &Connection,
    user_id: Uuid,
    item_id: Uuid,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO stars (item_id, added_at, added_by) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let values = params![item_id.to_string(), now.as_millisecond(), user_id.to_string()];
    Ok(connection.prepare_cached(sql)?.execute(values)? > 0)
}

/// Takes its star; tells whether it had one.
pub(crate) fn remove_star(connection: &Connection, item_id: Uuid) -> Result<bool, DatabaseError> {
    Ok(connection.prepare_cached("DELETE FROM stars WHERE item_id = ?1")?.execute([item_id.to_string()])? > 0)
}

/// The star of an item.
pub(crate) fn star(connection: &Connection, item_id: Uuid) -> Result<Option<Star>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT added_at, added_by FROM stars WHERE item_id = ?1")?;
    row::first(statement.query([item_id.to_string()])?, |row| {
        Ok(Star { added_at: row::time(row, "added_at")?, added_by: row::id(row, "added_by")? })
    })
}

/// Up to `limit` stars, the last first, behind `after`.
pub(crate) fn stars(connection: &Connection, after: Option<&Cursor>, limit: u32) -> Result<Vec<Mark>, DatabaseError> {
    let (at, id) = start(after);
    let sql = "SELECT item_id, added_at FROM stars WHERE (added_at, item_id) < (?1, ?2)
               ORDER BY added_at DESC, item_id DESC LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![at, id, limit])?, mark)
}

/// Gives an item a colour, for one person; tells whether it had another or none.
pub(crate) fn set_label(
    connection: &Connection,
    user_id: Uuid,
    item_id: Uuid,
    colour: Colour,
) -> Result<bool, DatabaseError> {
    let sql = "INSERT INTO labels (user_id, item_id, colour) VALUES (?1, ?2, ?3)
               ON CONFLICT (user_id, item_id) DO UPDATE SET colour = excluded.colour WHERE colour <> excluded.colour";
    let values = params![user_id.to_string(), item_id.to_string(), colours::name(colour)];
    Ok(connection.prepare_cached(sql)?.execute(values)? > 0)
}

/// Takes the colour away that one person gave it; tells whether there was one.
pub(crate) fn remove_label(connection: &Connection, user_id: Uuid, item_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM labels WHERE user_id = ?1 AND item_id = ?2";
    Ok(connection.prepare_cached(sql)?.execute([user_id.to_string(), item_id.to_string()])? > 0)
}

/// The colour that one person gave an item.
pub(crate) fn label(connection: &Connection, user_id: Uuid, item_id: Uuid) -> Result<Option<Colour>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT colour FROM labels WHERE user_id = ?1 AND item_id = ?2")?;
    let ids = [user_id.to_string(), item_id.to_string()];
    let name: Option<String> = statement.query_row(ids, |row| row.get(0)).optional()?;
    name.map(|name| colours::parse(&name).ok_or(DatabaseError::Value("colour"))).transpose()
}

fn mark(row: &Row<'_>) -> Result<Mark, DatabaseError> {
    Ok(Mark { item_id: row::id(row, "item_id")?, added_at: row::time(row, "added_at")? })
}

/// Where a list begins that has the last first.
pub(super) fn start(after: Option<&Cursor>) -> (i64, String) {
    match after {
        Some(Cursor { key: Key::Number(at), id }) => (*at, id.to_string()),
        Some(Cursor { key: Key::Text(_), .. }) | None => (i64::MAX, String::new()),
    }
}
