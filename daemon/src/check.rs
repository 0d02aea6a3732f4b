//! `cofferd check`: reads everything in a mounted vault back, without the daemon.

use std::path::Path;

use uuid::Uuid;

use crate::exit::Failure;
use crate::model::scrub::{self, Expected};
use crate::repo::blobs::Blobs;
use crate::repo::{self, contents, scrubs};
use crate::service::scrub::{Verdict, verdict};
use crate::storage::database::{self, DatabaseError};
use crate::storage::journal;

/// Contents that are asked for at once.
const STEP: u32 = 256;

/// The database inside of a vault.
const DATABASE: &str = "coffer.db";

/// Prints a line for each content that does not read back, one for each blob that belongs to nothing, and a summary.
#[expect(clippy::print_stdout, reason = "its result is what this command is for")]
pub(crate) fn run(vault: &Path) -> Result<(), Failure> {
    let path = vault.join(DATABASE);
    if !path.is_file() {
        let vault = vault.display();
        return Err(Failure::Check(format!("{vault} holds no coffer.db. Mount the vault there: docs/recovery.md.")));
    }
    let unusable = |error: &dyn std::error::Error| {
        let advice = "Is a daemon using it, or is it mounted read-only?";
        Failure::Check(format!("{} cannot be read: {error}. {advice}", path.display()))
    };
    journal::repair(&path).map_err(|error| unusable(&error))?;
    let connection = database::connect(&path).map_err(|error| unusable(&error))?;
    database::check_integrity(&connection).map_err(|error| unusable(&error))?;
    if !repo::is_current(&connection).map_err(|error| unusable(&error))? {
        return Err(Failure::Check("the vault was written by another version; check it with that one.".to_owned()));
    }
    let blobs = Blobs::new(vault);
    let (mut after, mut checked, mut bytes, mut faults) = (String::new(), 0_u64, 0, 0);
    loop {
        let batch = scrubs::contents_after(&connection, &after, STEP).map_err(|error| unusable(&error))?;
        let Some(last) = batch.last() else { break };
        last.blob.as_str().clone_into(&mut after);
        for expected in &batch {
            checked += 1;
            bytes += expected.size_bytes;
            if let Verdict::Fault(fault) = verdict(&blobs, expected, &|| false) {
                faults += 1;
                println!("{} {}", scrub::name(fault), names(&connection, expected).map_err(|error| unusable(&error))?);
            }
        }
    }
    let mut orphans = 0_u64;
    for directory in 0..=u8::MAX {
        for blob in blobs.settled(directory).map_err(|error| unusable(&error))? {
            if !contents::exists(&connection, &blob).map_err(|error| unusable(&error))? {
                orphans += 1;
                println!("orphan blob {}", blob.as_str());
            }
        }
    }
    println!("checked {checked} contents of {bytes} bytes: {faults} faults, {orphans} orphans");
    if faults > 0 { Err(Failure::Lost { faults }) } else { Ok(()) }
}

/// Which revisions of which files have that content.
fn names(connection: &rusqlite::Connection, expected: &Expected) -> Result<String, DatabaseError> {
    let revisions: Vec<(Uuid, u32)> = scrubs::revisions_of(connection, &expected.blob)?;
    let names = revisions.iter().map(|(file_id, number)| format!("file {file_id} revision {number}"));
    Ok(names.collect::<Vec<_>>().join(", "))
}
