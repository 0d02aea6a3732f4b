//! Copies of the database from before a migration. They lie beside it, in the vault, and are named after their schema.
//!
//! A copy is a net and no gate: when there is no room for it, the vault opens all the same.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use log::{error, info};
use rusqlite::Connection;

use super::store::StoreError;
use crate::storage::database::{self, DatabaseError};
use crate::storage::{capacity, durable};

/// Copies a database that is going to be migrated from that schema. Blocks.
pub(super) fn keep(connection: &Connection, mount_point: &Path, version: usize) {
    match make(connection, mount_point, version) {
        Ok(()) => info!(version; "the database was copied before it is migrated"),
        Err(error) => error!(error:% = error, version; "the database is migrated without a copy"),
    }
}

/// Removes all copies but the newest. Blocks.
pub(super) fn keep_newest(mount_point: &Path) -> io::Result<()> {
    let mut found = find(mount_point)?;
    found.sort_unstable_by_key(|(version, _)| *version);
    found.pop();
    found.iter().try_for_each(|(_, path)| durable::remove_file(path))
}

/// Removes all copies. Blocks.
pub(super) fn remove(mount_point: &Path) -> io::Result<()> {
    find(mount_point)?.iter().try_for_each(|(_, path)| durable::remove_file(path))
}

fn make(connection: &Connection, mount_point: &Path, version: usize) -> Result<(), StoreError> {
    let (size_bytes, _) = database::size(connection)?;
    // The migration needs room, too.
    if capacity::free_bytes(mount_point)? < size_bytes * 2 {
        return Err(DatabaseError::Full.into());
    }
    let path = mount_point.join(format!("coffer-{version}.db"));
    let staged = path.with_added_extension("new");
    durable::remove_file(&staged)?;
    let copied = database::copy(connection, &staged).map_err(StoreError::from);
    let kept = copied.and_then(|()| {
        File::open(&staged)?.sync_all()?;
        Ok(durable::rename(&staged, &path)?)
    });
    if kept.is_err() {
        durable::remove_file(&staged)?;
    }
    kept
}

/// Each with the number of its schema. Of one that a power cut ended nothing is left after the next.
fn find(mount_point: &Path) -> io::Result<Vec<(usize, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(mount_point)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("coffer-")?.strip_suffix(".db"));
        if let Some(version) = number.and_then(|number| number.parse().ok()) {
            found.push((version, entry.path()));
        }
    }
    Ok(found)
}
