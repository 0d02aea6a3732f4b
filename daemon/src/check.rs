//! `cofferd check`: reads everything in a mounted vault back, without the daemon.

use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::exit::Failure;
use crate::model::scrub::{self, ContentFault, Expected};
use crate::offline::Offline;
use crate::repo::blobs::Blobs;
use crate::repo::{contents, scrubs};
use crate::service::scrub::{Verdict, verdict};
use crate::storage::database::DatabaseError;

/// Contents that are asked for at once.
const STEP: u32 = 256;

/// Prints a line for each content that does not read back, one for each blob that belongs to nothing, and a summary.
#[expect(clippy::print_stdout, reason = "its result is what this command is for")]
pub(crate) fn run(vault: &Path, secrets: Option<&Path>) -> Result<(), Failure> {
    let vault = Offline::open(vault, secrets)?;
    let Offline { connection, blobs, .. } = &vault;
    let unusable = |error: &dyn std::error::Error| Failure::Check(format!("the vault cannot be read: {error}"));
    let (mut after, mut checked, mut bytes, mut faults, mut unopened) = (String::new(), 0_u64, 0, 0, 0_u64);
    loop {
        let batch = scrubs::contents_after(connection, &after, STEP).map_err(|error| unusable(&error))?;
        let Some(last) = batch.last() else { break };
        last.blob.id.as_str().clone_into(&mut after);
        for expected in &batch {
            checked += 1;
            bytes += expected.size_bytes;
            let verdict = if let Some(content) = vault.content(&expected.blob) {
                verdict(content, expected, &|| false)
            } else {
                unopened += 1;
                look_at_length(blobs, expected)
            };
            if let Verdict::Fault(fault) = verdict {
                faults += 1;
                println!("{} {}", scrub::name(fault), names(connection, expected).map_err(|error| unusable(&error))?);
            }
        }
    }
    let mut orphans = 0_u64;
    for directory in 0..=u8::MAX {
        for blob in blobs.settled(directory).map_err(|error| unusable(&error))? {
            if !contents::exists(connection, &blob).map_err(|error| unusable(&error))? {
                orphans += 1;
                println!("orphan blob {}", blob.as_str());
            }
        }
    }
    for blob in blobs.quarantined().map_err(|error| unusable(&error))? {
        println!("in quarantine {}", blob.as_str());
    }
    if unopened > 0 {
        println!("{unopened} contents are sealed and were not opened: --secrets tells where the key file lies");
    }
    println!("checked {checked} contents of {bytes} bytes: {faults} faults, {orphans} orphans");
    if faults > 0 { Err(Failure::Lost { faults }) } else { Ok(()) }
}

/// What can be told of a sealed content without its key.
fn look_at_length(blobs: &Blobs, expected: &Expected) -> Verdict {
    let length = blobs.open(&expected.blob.id).and_then(|file| Ok(file.metadata()?.len()));
    match length {
        Ok(length) if expected.blob.seal.as_ref().is_some_and(|seal| seal.encrypted_bytes == length) => Verdict::Whole,
        Ok(_) => Verdict::Fault(ContentFault::Changed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Verdict::Fault(ContentFault::Missing),
        Err(_) => Verdict::Fault(ContentFault::Unreadable),
    }
}

/// Which revisions of which files have that content.
fn names(connection: &rusqlite::Connection, expected: &Expected) -> Result<String, DatabaseError> {
    let revisions: Vec<(Uuid, u32)> = scrubs::revisions_of(connection, &expected.blob.id)?;
    let names = revisions.iter().map(|(file_id, number)| format!("file {file_id} revision {number}"));
    Ok(names.collect::<Vec<_>>().join(", "))
}
