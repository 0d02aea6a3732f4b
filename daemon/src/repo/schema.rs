//! The schema: its migrations, and which programs can use a database that they have changed.
//!
//! An image that does not prove itself is left for the one from before, whose program then meets a database that a newer
//! one has changed. It uses it as it is, when the newer one has written down that it can. So a migration only adds as
//! long as the release before it may come back: docs/decisions/0018-databases-of-newer-releases.md.

use std::sync::LazyLock;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::{audit, settings, webhooks};
use crate::storage::database::{self, DatabaseError};

static MIGRATIONS: LazyLock<Migrations<'static>> = LazyLock::new(|| {
    Migrations::new(vec![
        M::up(include_str!("migrations/0001_foundation.sql")),
        M::up(include_str!("migrations/0002_accounts.sql")),
        M::up_with_hook(include_str!("migrations/0003_audit.sql"), audit::chain_what_was_there),
        M::up(include_str!("migrations/0004_second_factors.sql")),
        M::up(include_str!("migrations/0005_access.sql")),
        M::up(include_str!("migrations/0006_variables.sql")),
        M::up(include_str!("migrations/0007_tree.sql")),
        M::up(include_str!("migrations/0008_thumbnails.sql")),
        M::up(include_str!("migrations/0009_uploads.sql")),
        M::up(include_str!("migrations/0010_webhooks.sql")),
        M::up(include_str!("migrations/0011_organisation.sql")),
        M::up(include_str!("migrations/0012_shares.sql")),
        M::up(include_str!("migrations/0013_integrity.sql")),
        M::up(include_str!("migrations/0014_sealed.sql")),
        M::up(include_str!("migrations/0015_srp.sql")),
        M::up(include_str!("migrations/0016_secrets.sql")),
        M::up(include_str!("migrations/0017_quarantine.sql")),
        M::up(include_str!("migrations/0018_attempts.sql")),
        M::up(include_str!("migrations/0019_handouts.sql")),
        M::up(include_str!("migrations/0020_attachments.sql")),
        M::up(include_str!("migrations/0021_rotations.sql")),
    ])
});

/// The oldest schema whose program can use a database of this one. A migration that only adds (tables, columns with a
/// default, indexes) leaves it as it is; whoever takes something away, gives it another meaning, or demands a value that
/// older programs do not write, sets it to the number of that migration.
const READABLE_SINCE: usize = 17;

/// Brings the schema up to date. One that a newer program has changed stays as it is when this one can use it.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), DatabaseError> {
    migrate_after(connection, |_, _| ())
}

/// The same; `first` sees a database that is going to be changed, and the number of its schema.
pub(crate) fn migrate_after(
    connection: &mut Connection,
    first: impl FnOnce(&Connection, usize),
) -> Result<(), DatabaseError> {
    let (version, latest) = versions(connection)?;
    if version > latest {
        let readable_since = settings::get(connection, settings::SCHEMA_READABLE_SINCE)?;
        let readable_since = readable_since.and_then(|number| number.parse::<usize>().ok());
        return if readable_since.is_some_and(|since| since <= latest) { Ok(()) } else { Err(DatabaseError::Newer) };
    }
    if (1..latest).contains(&version) {
        first(connection, version);
    }
    MIGRATIONS.to_latest(connection).map_err(of_migration)?;
    let readable_since = READABLE_SINCE.to_string();
    if settings::get(connection, settings::SCHEMA_READABLE_SINCE)?.as_ref() != Some(&readable_since) {
        settings::set(connection, settings::SCHEMA_READABLE_SINCE, &readable_since)?;
    }
    webhooks::keep_event_names(connection)
}

/// Whether the schema is the one that this version writes.
pub(crate) fn is_current(connection: &Connection) -> Result<bool, DatabaseError> {
    versions(connection).map(|(version, latest)| version == latest)
}

/// The number of the schema that a database has, and of the one that this program writes.
fn versions(connection: &Connection) -> Result<(usize, usize), DatabaseError> {
    let number = database::user_version(connection)?;
    let pending = i64::from(MIGRATIONS.pending_migrations(connection).map_err(of_migration)?);
    let unknown = |_| DatabaseError::Value("schema version");
    Ok((usize::try_from(number).map_err(unknown)?, usize::try_from(number + pending).map_err(unknown)?))
}

fn of_migration(error: rusqlite_migration::Error) -> DatabaseError {
    match error {
        rusqlite_migration::Error::RusqliteError { query: _, err } => DatabaseError::from(err),
        _ => DatabaseError::Value("schema version"),
    }
}

/// The schema as an older program left it.
#[cfg(test)]
pub(super) fn migrate_to(connection: &mut Connection, version: usize) {
    MIGRATIONS.to_version(connection, version).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
    }

    #[test]
    fn the_migrations_are_valid() {
        MIGRATIONS.validate().unwrap();
        let connection = migrated();
        assert!(is_current(&connection).unwrap());
        let (_, latest) = versions(&connection).unwrap();
        assert!((1..=latest).contains(&READABLE_SINCE), "{READABLE_SINCE} is no migration");
    }

    #[test]
    fn a_database_of_a_newer_version_is_used_as_it_is_when_that_says_so_and_refused_otherwise() {
        let mut connection = migrated();
        migrate(&mut connection).unwrap();
        let (_, latest) = versions(&connection).unwrap();
        connection.execute_batch("CREATE TABLE newer (x TEXT) STRICT; DELETE FROM event_names").unwrap();
        connection.pragma_update(None, "user_version", i64::try_from(latest).unwrap() + 3).unwrap();
        for (since, is_used) in [
            (Some((latest - 1).to_string()), true),
            (Some(latest.to_string()), true),
            (Some((latest + 1).to_string()), false),
            (Some("all".to_owned()), false),
            (None, false),
        ] {
            let sql = "INSERT OR REPLACE INTO settings SELECT 'schema_readable_since', ?1 WHERE ?1 IS NOT NULL";
            connection.execute("DELETE FROM settings WHERE key = 'schema_readable_since'", []).unwrap();
            connection.execute(sql, [&since]).unwrap();
            let used = migrate_after(&mut connection, |_, _| panic!("nothing is going to be changed"));
            assert_eq!(used.is_ok(), is_used, "{since:?}");
            assert!(is_used || matches!(used, Err(DatabaseError::Newer)), "{since:?}");
            assert_eq!(settings::get(&connection, settings::SCHEMA_READABLE_SINCE).unwrap(), since);
        }
        let names: i64 = connection.query_row("SELECT count(*) FROM event_names", [], |row| row.get(0)).unwrap();
        assert_eq!(names, 0, "it is left as it is");
        assert!(!is_current(&connection).unwrap());
    }

    #[test]
    fn whoever_wants_to_see_a_database_before_it_changes_sees_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate_to(&mut connection, 16);
        let mut seen = None;
        migrate_after(&mut connection, |connection, version| {
            let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'doomed_blobs'";
            seen = Some((version, connection.query_row(tables, [], |row| row.get::<_, i64>(0)).unwrap()));
        })
        .unwrap();
        assert_eq!(seen, Some((16, 0)));
        assert_eq!(settings::get(&connection, settings::SCHEMA_READABLE_SINCE).unwrap(), Some("17".to_owned()));
        migrate_after(&mut Connection::open_in_memory().unwrap(), |_, _| panic!("there is nothing to see yet"))
            .unwrap();
    }
}
