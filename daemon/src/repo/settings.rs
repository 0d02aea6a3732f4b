//! Single values of the vault.

use rusqlite::{Connection, OptionalExtension};

use crate::storage::database::DatabaseError;

/// Which vault this database belongs to.
pub(crate) const VAULT_ID: &str = "vault_id";
/// The generation of the key file that was last seen.
pub(crate) const KEY_GENERATION: &str = "key_generation";

/// The oldest schema whose program can use this database.
pub(crate) const SCHEMA_READABLE_SINCE: &str = "schema_readable_since";

/// For how many days the audit log is kept; absent for ever.
pub(crate) const AUDIT_RETENTION_DAYS: &str = "audit_retention_days";

/// Reads a value.
pub(crate) fn get(connection: &Connection, key: &str) -> Result<Option<String>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// Writes a value.
pub(crate) fn set(connection: &Connection, key: &str, value: &str) -> Result<(), DatabaseError> {
    let sql =
        "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute([key, value])?;
    Ok(())
}
