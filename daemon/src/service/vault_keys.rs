//! The ways to open the vault: list them, change the master password, print a new recovery key, remove one.
//!
//! Each change is proved by a master secret, works on the locked vault as well, and rewrites the key file only.

use std::sync::Arc;

use coffer_crypto::code::RecoveryKey;
use coffer_crypto::vault_keys::{OpenKeys, ScryptCost, SlotError, SlotInfo, SlotSecret};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::audit::Context;
use super::error::password_field;
use super::vault::{MasterSecret, Origin, Vault, blocking, note_generation, to_its_end};
use crate::model::clock::system_rng;
use crate::model::password::{Purpose, StrongPassword};
use crate::repo::audit::{self, Outcome};
use crate::storage::database::DatabaseError;

impl Vault {
    /// The key slots, as the file says; they are authenticated when it is opened next.
    pub(crate) async fn key_slots(
        self: &Arc<Self>,
        secret: MasterSecret,
        origin: Origin,
        context: Context,
    ) -> Result<Vec<SlotInfo>, Error> {
        let vault = Arc::clone(self);
        to_its_end(async move {
            let _turn = vault.turn()?;
            let verified = vault.verify(secret, origin).await;
            vault.note_failure(&context, "vault.key_slots_listed", verified.as_ref().err()).await;
            let slots = verified?.slots();
            vault.note(&context, "vault.key_slots_listed").await;
            Ok(slots)
        })
        .await
    }

    /// Sets another master password.
    pub(crate) async fn change_master_password(
        self: &Arc<Self>,
        secret: MasterSecret,
        new: &str,
        origin: Origin,
        context: Context,
    ) -> Result<(), Error> {
        let field = password_field("new_master_password");
        let new = StrongPassword::parse(new, Purpose::Master, &["coffer"]).map_err(field)?;
        let vault = Arc::clone(self);
        self.change_keys(secret, origin, context, "vault.master_password_changed", move |keys| {
            let secret = SlotSecret::MasterPassword(new.expose());
            keys.replace_slots(&secret, vault.common.clock.now(), cost_of(keys), &mut system_rng());
            Ok(())
        })
        .await
    }

    /// Makes a new recovery key; earlier ones no longer work.
    pub(crate) async fn replace_recovery_key(
        self: &Arc<Self>,
        secret: MasterSecret,
        origin: Origin,
        context: Context,
    ) -> Result<Zeroizing<String>, Error> {
        let vault = Arc::clone(self);
        self.change_keys(secret, origin, context, "vault.recovery_key_replaced", move |keys| {
            let recovery_key = RecoveryKey::generate(&mut system_rng());
            let secret = SlotSecret::RecoveryKey(&recovery_key);
            keys.replace_slots(&secret, vault.common.clock.now(), cost_of(keys), &mut system_rng());
            Ok(recovery_key.to_text())
        })
        .await
    }

    /// Removes one way to open the vault.
    pub(crate) async fn remove_key_slot(
        self: &Arc<Self>,
        secret: MasterSecret,
        slot: Uuid,
        origin: Origin,
        context: Context,
    ) -> Result<(), Error> {
        self.change_keys(secret, origin, context, "vault.key_slot_removed", move |keys| {
            keys.remove_slot(slot).map_err(|error| match error {
                SlotError::Unknown => Error::NotFound("key slot"),
                SlotError::LastMasterPassword => Error::KeySlotNeeded,
            })
        })
        .await
    }

    async fn change_keys<T: Send + 'static>(
        self: &Arc<Self>,
        secret: MasterSecret,
        origin: Origin,
        context: Context,
        action: &'static str,
        change: impl FnOnce(&mut OpenKeys) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let vault = Arc::clone(self);
        to_its_end(async move {
            let _turn = vault.turn()?;
            let changed = vault.verify_and_change(secret, origin, action, change).await;
            vault.note_failure(&context, action, changed.as_ref().err()).await;
            let (result, generation, vault_id) = changed?;
            log::info!(action, generation; "the ways to open the vault were changed");
            let Some(unlocked) = vault.unlocked() else {
                vault.note(&context, action).await;
                return Ok(result);
            };
            let entry = vault.common.auditor.entry(&context, action, Outcome::Success, Some(vault_id));
            let noted = unlocked.store.database.write(move |transaction| -> Result<(), DatabaseError> {
                note_generation(transaction, generation)?;
                audit::insert(transaction, &entry)
            });
            noted.await?;
            Ok(result)
        })
        .await
    }

    /// Rewrites the key file. Gives its generation and the vault's id besides what the change gives.
    async fn verify_and_change<T: Send + 'static>(
        self: &Arc<Self>,
        secret: MasterSecret,
        origin: Origin,
        action: &'static str,
        change: impl FnOnce(&mut OpenKeys) -> Result<T, Error> + Send + 'static,
    ) -> Result<(T, u64, Uuid), Error> {
        let mut keys = self.verify(secret, origin).await?;
        let writer = Arc::clone(self);
        blocking(action, move || {
            let result = change(&mut keys)?;
            writer.key_file.replace(keys.file())?;
            Ok((result, keys.generation(), keys.file().vault_id()))
        })
        .await
    }
}

/// The cost that was found right for this machine when the vault was made.
fn cost_of(keys: &OpenKeys) -> ScryptCost {
    keys.slots().first().map_or(ScryptCost::new(0), |slot| slot.cost)
}
