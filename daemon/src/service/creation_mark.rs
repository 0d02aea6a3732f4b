//! The mark of a vault in the making, in the device directory: which vault it is going to be.
//!
//! The staged key file alone does not tell an unfinished creation from a finished vault, because it may lie on a stick:
//! one on which some creation was once interrupted would then condemn the vault of today. The device directory does not
//! come and go. Only both together, naming one vault, say that what lies in the cipher directory was never a vault.

use std::path::{Path, PathBuf};

use log::warn;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::storage::durable;

/// The file's name in the device directory.
const NAME: &str = "creating.json";
const MAX_BYTES: u64 = 1024;

/// The mark, set or not.
pub(crate) struct CreationMark {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Content {
    vault_id: Uuid,
}

impl CreationMark {
    /// The mark in that device directory.
    pub(crate) fn new(device: &Path) -> Self {
        Self { path: device.join(NAME) }
    }

    /// Which vault is being made, or was when the power went. One that cannot be read says nothing: whatever there is
    /// then passes for a vault and is left alone.
    pub(crate) fn vault_id(&self) -> Option<Uuid> {
        let bytes = durable::read_small_file(&self.path, MAX_BYTES).ok()?;
        serde_json::from_slice::<Content>(&bytes).ok().map(|content| content.vault_id)
    }

    /// Says durably that this vault is being made, in place of any that was.
    pub(crate) fn set(&self, vault_id: Uuid) -> std::io::Result<()> {
        durable::replace_file(&self.path, &serde_json::to_vec(&Content { vault_id })?)
    }

    /// Says durably that nothing is being made. Called when a vault was opened, which must not fail on this: a mark
    /// that stays matches no key file but the one that has become `vault.keys`.
    pub(crate) fn clear(&self) {
        if let Err(error) = durable::remove_file(&self.path) {
            warn!(error:% = error; "the mark of the creation was not removed; the next unlock tries again");
        }
    }
}
