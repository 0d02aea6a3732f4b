//! Attempts that are remembered across a restart.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::row;
use crate::storage::database::DatabaseError;

/// SHA-256 of what attempts are counted by.
pub(crate) type KeyDigest = [u8; 32];

/// What was attempted under one key.
pub(crate) struct KeptAttempts {
    pub(crate) key: KeyDigest,
    /// In a row.
    pub(crate) count: u32,
    /// The next one waits for this.
    pub(crate) not_before: Timestamp,
    pub(crate) last: Timestamp,
}

/// Keeps them in place of what was kept under their key.
pub(crate) fn keep(connection: &Connection, guard: &str, attempts: &KeptAttempts) -> Result<(), DatabaseError> {
    let sql = "INSERT OR REPLACE INTO attempts (guard, key, count, not_before, last) VALUES (?1, ?2, ?3, ?4, ?5)";
    let KeptAttempts { key, count, not_before, last } = attempts;
    let times = (not_before.as_millisecond(), last.as_millisecond());
    connection.prepare_cached(sql)?.execute(params![guard, key, count, times.0, times.1])?;
    Ok(())
}

/// Forgets a key.
pub(crate) fn forget(connection: &Connection, guard: &str, key: KeyDigest) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM attempts WHERE guard = ?1 AND key = ?2")?.execute(params![guard, key])?;
    Ok(())
}

/// What a guard has kept, the oldest first.
pub(crate) fn of_guard(connection: &Connection, guard: &str) -> Result<Vec<KeptAttempts>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM attempts WHERE guard = ?1 ORDER BY last")?;
    row::all(statement.query([guard])?, |row| {
        Ok(KeptAttempts {
            key: row.get("key")?,
            count: row.get("count")?,
            not_before: row::time(row, "not_before")?,
            last: row::time(row, "last")?,
        })
    })
}
