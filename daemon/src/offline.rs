//! A vault that somebody mounted with gocryptfs, without a daemon: what `check` and `export` read.

use std::io;
use std::path::Path;

use coffer_crypto::envelope::SecretKey;
use coffer_crypto::envelope::keys::RootKey;
use rusqlite::Connection;

use crate::exit::Failure;
use crate::model::sealing::{Blob, Seal};
use crate::passphrase;
use crate::repo;
use crate::repo::blobs::Blobs;
use crate::repo::content_io::ContentReader;
use crate::repo::sealed::Sealed;
use crate::storage::database;
use crate::storage::journal;

/// The database inside of a vault.
const DATABASE: &str = "coffer.db";

/// A vault, as this command alone has it.
pub(crate) struct Offline {
    pub(crate) connection: Connection,
    pub(crate) blobs: Blobs,
    sealed: Option<Sealed>,
}

impl Offline {
    /// Opens the database of a mounted vault; with the directory of the key file its sealed contents too, for which it asks for
    /// the master password or the recovery key.
    pub(crate) fn open(vault: &Path, secrets: Option<&Path>) -> Result<Self, Failure> {
        let path = vault.join(DATABASE);
        if !path.is_file() {
            let vault = vault.display();
            return Err(Failure::Check(format!(
                "{vault} holds no coffer.db. Mount the vault there: docs/recovery.md."
            )));
        }
        let unusable = |error: &dyn std::error::Error| {
            let advice = "Is a daemon using it, or is it mounted read-only?";
            Failure::Check(format!("{} cannot be read: {error}. {advice}", path.display()))
        };
        journal::repair(&path).map_err(|error| unusable(&error))?;
        let connection = database::connect(&path).map_err(|error| unusable(&error))?;
        database::check_integrity(&connection).map_err(|error| unusable(&error))?;
        if !repo::schema::is_current(&connection).map_err(|error| unusable(&error))? {
            let text = "the vault was written by another version; use the program of that one.";
            return Err(Failure::Check(text.to_owned()));
        }
        let root = secrets.map(root_key).transpose()?;
        let sealed = root.map(|root| Sealed::load(&connection, root)).transpose().map_err(|error| unusable(&error))?;
        Ok(Self { connection, blobs: Blobs::new(vault), sealed })
    }

    /// Opens a content as its row says. `None` when it is sealed, and there are no keys.
    pub(crate) fn content(&self, blob: &Blob) -> Option<io::Result<ContentReader>> {
        match (&self.sealed, &blob.seal) {
            (Some(sealed), _) => Some(sealed.open(&self.blobs, blob)),
            (None, seal) if seal.as_ref().is_none_or(Seal::is_clients) => {
                Some(self.blobs.open(&blob.id).and_then(ContentReader::of_plain))
            }
            (None, _) => None,
        }
    }
}

/// The root key, from the key file and the master password or recovery key that is asked for.
fn root_key(secrets: &Path) -> Result<RootKey, Failure> {
    let keys = passphrase::open(secrets)?;
    let key = SecretKey::from_slice(&keys.payload().envelope_root_key);
    key.map(RootKey::new).map_err(|error| Failure::KeyFile(error.to_string()))
}
