//! What the registrar remembers. All of its SQL is here, and nothing else.

pub(crate) mod database;
pub(crate) mod devices;
pub(crate) mod settings;
pub(crate) mod source;
pub(crate) mod tickets;

use database::{DatabaseError, Transaction, Value};
use source::Connection;

/// Each is run once, in this order, and never changed.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_foundation.sql")];

/// Any number, as long as everybody takes the same: registrars that start together wait for each other here.
const LOCK: &str = "SELECT pg_advisory_lock(7301965042)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7301965042)";

/// Brings the tables up to date.
fn migrate(connection: &mut Connection) -> Result<(), DatabaseError> {
    lock(connection, LOCK)?;
    let migrated = run_missing(connection);
    lock(connection, UNLOCK)?;
    migrated
}

fn lock(connection: &mut Connection, statement: &str) -> Result<(), DatabaseError> {
    match connection {
        // Its transactions wait for each other anyway.
        Connection::Sqlite(_) => Ok(()),
        Connection::Postgres(client) => {
            client.batch_execute(statement).map_err(|error| DatabaseError::Away(error.into()))
        }
    }
}

fn run_missing(connection: &mut Connection) -> Result<(), DatabaseError> {
    let mut transaction = Transaction::begin(connection)?;
    transaction.batch("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")?;
    let rows = transaction.query("SELECT version FROM schema_version", &[])?;
    let version = rows.first().map_or(Ok(0), |row| row.number(0))?;
    let done = usize::try_from(version).map_err(|_| DatabaseError::Value("schema version"))?;
    for migration in MIGRATIONS.get(done..).ok_or(DatabaseError::Newer)? {
        transaction.batch(migration)?;
    }
    let newest = i64::try_from(MIGRATIONS.len()).map_err(|_| DatabaseError::Value("schema version"))?;
    transaction.execute("DELETE FROM schema_version", &[])?;
    transaction.execute("INSERT INTO schema_version (version) VALUES ($1)", &[Value::Number(newest)])?;
    transaction.finish()
}
