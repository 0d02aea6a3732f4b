//! `cofferd check`: reads everything in a mounted vault back, without the daemon.

use std::io;
use std::path::Path;

use coffer_crypto::envelope::SecretKey;
use coffer_crypto::envelope::keys::RootKey;
use uuid::Uuid;

use crate::exit::Failure;
use crate::model::scrub::{self, ContentFault, Expected};
use crate::model::sealing::Seal;
use crate::passphrase;
use crate::repo::blobs::Blobs;
use crate::repo::content_io::ContentReader;
use crate::repo::sealed::Sealed;
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
pub(crate) fn run(vault: &Path, secrets: Option<&Path>) -> Result<(), Failure> {
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
    let root = secrets.map(root_key).transpose()?;
    let sealed = root.map(|root| Sealed::load(&connection, root)).transpose().map_err(|error| unusable(&error))?;
    let open = |expected: &Expected| open(&blobs, sealed.as_ref(), expected);
    let (mut after, mut checked, mut bytes, mut faults, mut unopened) = (String::new(), 0_u64, 0, 0, 0_u64);
    loop {
        let batch = scrubs::contents_after(&connection, &after, STEP).map_err(|error| unusable(&error))?;
        let Some(last) = batch.last() else { break };
        last.blob.id.as_str().clone_into(&mut after);
        for expected in &batch {
            checked += 1;
            bytes += expected.size_bytes;
            let verdict = if let Some(content) = open(expected) {
                verdict(content, expected, &|| false)
            } else {
                unopened += 1;
                look_at_length(&blobs, expected)
            };
            if let Verdict::Fault(fault) = verdict {
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
    for blob in blobs.quarantined().map_err(|error| unusable(&error))? {
        println!("in quarantine {}", blob.as_str());
    }
    if unopened > 0 {
        println!("{unopened} contents are sealed and were not opened: --secrets tells where the key file lies");
    }
    println!("checked {checked} contents of {bytes} bytes: {faults} faults, {orphans} orphans");
    if faults > 0 { Err(Failure::Lost { faults }) } else { Ok(()) }
}

/// Opens a content as its row says. `None` when it is sealed, and there are no keys.
fn open(blobs: &Blobs, sealed: Option<&Sealed>, expected: &Expected) -> Option<io::Result<ContentReader>> {
    match (sealed, &expected.blob.seal) {
        (Some(sealed), _) => Some(sealed.open(blobs, &expected.blob)),
        (None, seal) if seal.as_ref().is_none_or(Seal::is_clients) => {
            Some(blobs.open(&expected.blob.id).and_then(ContentReader::of_plain))
        }
        (None, _) => None,
    }
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

/// The root key, from the key file and the master password or recovery key that is asked for.
fn root_key(secrets: &Path) -> Result<RootKey, Failure> {
    let keys = passphrase::open(secrets)?;
    let key = SecretKey::from_slice(&keys.payload().envelope_root_key);
    key.map(RootKey::new).map_err(|error| Failure::KeyFile(error.to_string()))
}

/// Which revisions of which files have that content.
fn names(connection: &rusqlite::Connection, expected: &Expected) -> Result<String, DatabaseError> {
    let revisions: Vec<(Uuid, u32)> = scrubs::revisions_of(connection, &expected.blob.id)?;
    let names = revisions.iter().map(|(file_id, number)| format!("file {file_id} revision {number}"));
    Ok(names.collect::<Vec<_>>().join(", "))
}
