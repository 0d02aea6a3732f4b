//! The root key of sealed files, which is in the key file, and keys that are given from outside.
//!
//! A new root key and the key table are on two media. So the key file has the old one beside the new one while the table is
//! written, and an unlock that finds both finishes what was begun.

use std::sync::Arc;

use coffer_crypto::envelope::SecretKey;
use coffer_crypto::envelope::keys::{Holder, KeyEncryptionKey, RootKey};
use coffer_crypto::vault_keys::OpenKeys;

use super::Error;
use super::audit::Context;
use super::unlocked::Unlocked;
use super::vault::{MasterSecret, Origin, Vault, blocking, note_generation, to_its_end};
use crate::model::clock::system_rng;
use crate::model::sealing::{EncryptionMode, KeyOwner};
use crate::repo::audit::{self, Outcome};
use crate::repo::keyring;
use crate::repo::store::Roots;
use crate::repo::{policy, seals};
use crate::storage::database::DatabaseError;

const ROTATED: &str = "encryption.root_key_rotated";

impl Vault {
    /// Draws another root key, and wraps every key under it.
    pub(crate) async fn rotate_root_key(
        self: &Arc<Self>,
        secret: MasterSecret,
        origin: Origin,
        context: Context,
    ) -> Result<(), Error> {
        let vault = Arc::clone(self);
        to_its_end(async move {
            let _turn = vault.turn()?;
            let rotated = vault.verify_and_rotate(secret, origin, &context).await;
            vault.note_failure(&context, ROTATED, rotated.as_ref().err()).await;
            rotated
        })
        .await
    }

    async fn verify_and_rotate(
        self: &Arc<Self>,
        secret: MasterSecret,
        origin: Origin,
        context: &Context,
    ) -> Result<(), Error> {
        let keys = self.verify(secret, origin).await?;
        if keys.payload().previous_envelope_root_key.is_some() {
            // Another exchange would forget what some keys are wrapped under.
            return Err(Error::VaultState("an exchange was interrupted: lock and unlock the vault first"));
        }
        let unlocked = self.unlocked().ok_or(Error::Locked)?;
        let lease = unlocked.lease()?;
        let writer = Arc::clone(self);
        let (keys, roots) = blocking(ROTATED, move || {
            let mut keys = keys;
            keys.rotate_root_key(&mut system_rng());
            writer.key_file.replace(keys.file())?;
            let roots = roots(&keys)?;
            Ok((keys, roots))
        })
        .await?;
        let entry = self.common.auditor.entry(context, ROTATED, Outcome::Success, Some(unlocked.vault_id));
        let rewrapped = lease.store().database.write(move |transaction| -> Result<(RootKey, u64), DatabaseError> {
            let from: Vec<&RootKey> = roots.previous.iter().collect();
            let count = keyring::rewrap(transaction, &from, &roots.current)?;
            audit::insert(transaction, &entry.with_detail(format!("keys: {count}")))?;
            Ok((roots.current, count))
        });
        let (root, count) = rewrapped.await?;
        lease.store().sealed.keyring.set_root(root);
        let generation = self.forget_previous_root_key(keys).await?;
        let noted = lease.store().database.write(move |transaction| note_generation(transaction, generation));
        noted.await.map_err(Error::from)?;
        log::info!(count, generation; "sealing keys are wrapped under another root key");
        Ok(())
    }

    async fn forget_previous_root_key(self: &Arc<Self>, mut keys: OpenKeys) -> Result<u64, Error> {
        let writer = Arc::clone(self);
        blocking(ROTATED, move || {
            keys.forget_previous_root_key(&mut system_rng());
            writer.key_file.replace(keys.file())?;
            Ok(keys.generation())
        })
        .await
    }

    /// Takes a key that was given from outside into an unlocked vault, once, and from then on uses it for new contents.
    pub(super) async fn take_given_key(self: &Arc<Self>, unlocked: &Arc<Unlocked>) -> Result<(), Error> {
        let Some(given) = self.given_key.clone() else { return Ok(()) };
        if given.is_stored() {
            return Ok(());
        }
        let (lease, now) = (unlocked.lease()?, self.common.clock.now());
        let entry = self.common.auditor.entry(&Context::default(), "encryption.key_taken", Outcome::Success, None);
        let (vault, key) = (lease.clone(), Arc::clone(&given));
        let kept = lease.store().database.write(move |transaction| -> Result<_, Error> {
            let known = seals::keys(transaction)?.into_iter().find(|kept| kept.record.id == key.id);
            if let Some(known) = known {
                // An earlier start got this far.
                return if known.record.check == key.check_value() {
                    Ok(known.record)
                } else {
                    Err(Error::Internal("another key of that name", None))
                };
            }
            let sealing_key = KeyEncryptionKey::new(key.id, 1, Holder::Box, key.secret()?);
            let record = vault.store().sealed.keyring.keep(transaction, KeyOwner::Shared, &sealing_key, now)?;
            if policy::encryption(transaction)? == EncryptionMode::Off {
                policy::set_encryption(transaction, key.mode)?;
            }
            audit::insert(transaction, &entry.with_detail(format!("key: {}", key.id.as_str())))?;
            Ok(record)
        });
        let record = kept.await?;
        let opened = lease.store().sealed.keyring.add(&record);
        opened.map_err(|error| Error::internal("opening a given key", error))?;
        blocking("given key", move || {
            given.note_stored().map_err(|error| Error::storage("noting the given key", error))
        })
        .await
    }
}

/// The root keys in an opened key file.
pub(super) fn roots(keys: &OpenKeys) -> Result<Roots, Error> {
    let root = |bytes: &[u8; 32]| SecretKey::from_slice(bytes).map(RootKey::new);
    let payload = keys.payload();
    let current = root(&payload.envelope_root_key);
    let previous = payload.previous_envelope_root_key.as_ref().map(root).transpose();
    let failed = |error| Error::internal("root key", error);
    Ok(Roots { current: current.map_err(failed)?, previous: previous.map_err(failed)? })
}
