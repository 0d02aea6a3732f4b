//! Events that hook programs have not seen yet. Triggers fill the queue (migration 0010).

use rusqlite::{Connection, params};

use super::row;
use super::webhooks::told;
use crate::model::told::Told;
use crate::storage::database::DatabaseError;

/// Says whether there are hook programs. Without them nothing is queued, and what was is forgotten.
pub(crate) fn enable(connection: &Connection, enabled: bool) -> Result<(), DatabaseError> {
    connection.prepare_cached("UPDATE hook_programs SET enabled = ?1 WHERE enabled <> ?1")?.execute([enabled])?;
    if !enabled {
        connection.prepare_cached("DELETE FROM hook_queue")?.execute([])?;
    }
    Ok(())
}

/// The oldest event, and its number in the queue.
pub(crate) fn first(connection: &Connection) -> Result<Option<(i64, Told)>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM hook_queue ORDER BY seq LIMIT 1")?;
    row::first(statement.query([])?, |row| Ok((row.get("seq")?, told(row)?)))
}

/// Takes an event out of the queue.
pub(crate) fn remove(connection: &Connection, seq: i64) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM hook_queue WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Takes out all but the newest `keep`. Returns how many.
pub(crate) fn shorten(connection: &Connection, keep: u32) -> Result<usize, DatabaseError> {
    let sql = "DELETE FROM hook_queue WHERE seq <= (SELECT max(seq) FROM hook_queue) - ?1";
    Ok(connection.prepare_cached(sql)?.execute(params![keep])?)
}

/// How many events wait.
pub(crate) fn waiting(connection: &Connection) -> Result<u32, DatabaseError> {
    Ok(connection.prepare_cached("SELECT count(*) FROM hook_queue")?.query_row([], |row| row.get(0))?)
}
