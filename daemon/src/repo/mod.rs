//! What is stored: SQL, the caches in front of it, and the blobs. Finds or does not find; decides nothing.

pub(crate) mod access;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod audit_chain;
pub(crate) mod blobs;
pub(crate) mod byte_cache;
pub(crate) mod comments;
pub(crate) mod content_io;
pub(crate) mod contents;
pub(crate) mod device_links;
pub(crate) mod files;
pub(crate) mod folders;
pub(crate) mod groups;
pub(crate) mod hooks;
pub(crate) mod invitations;
pub(crate) mod items;
pub(crate) mod keyring;
pub(crate) mod marks;
pub(crate) mod notes;
pub(crate) mod policy;
pub(crate) mod revisions;
mod row;
pub(crate) mod scrubs;
pub(crate) mod sealed;
pub(crate) mod sealing_jobs;
pub(crate) mod seals;
pub(crate) mod search;
pub(crate) mod search_index;
pub(crate) mod second_factors;
pub(crate) mod secrets;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod shares;
pub(crate) mod srp;
pub(crate) mod store;
pub(crate) mod tags;
pub(crate) mod thumbnails;
pub(crate) mod trash;
pub(crate) mod tree;
pub(crate) mod uploads;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod variables;
pub(crate) mod webhooks;

use std::sync::LazyLock;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::storage::database::DatabaseError;

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
    ])
});

/// Brings the schema up to date. Refuses a database that a newer version has already changed.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), DatabaseError> {
    MIGRATIONS.to_latest(connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { query: _, err } => DatabaseError::from(err),
        _ => DatabaseError::Value("schema version"),
    })?;
    webhooks::keep_event_names(connection)
}

/// Whether the schema is the one that this version writes.
pub(crate) fn is_current(connection: &Connection) -> Result<bool, DatabaseError> {
    MIGRATIONS.pending_migrations(connection).map(|pending| pending == 0).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { query: _, err } => DatabaseError::from(err),
        _ => DatabaseError::Value("schema version"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_valid() {
        MIGRATIONS.validate().unwrap();
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 1000).unwrap();
        assert!(matches!(migrate(&mut connection), Err(DatabaseError::Value("schema version"))));
    }
}
