//! Rotations, drop boxes and what lies in them, for the members of a vault. Carrying rotations out is `rotation_runs.rs`.
//!
//! Who sets one up makes this box reach out with a credential of theirs: that takes a manager of the vault who is an editor on the
//! box. Everybody in the vault sees how far it is; who may write items takes values over.

use std::sync::Arc;

use coffer_crypto::secrets::drop_box::{DROP_BOX_SIGNATURE_BYTES, DropBox};
use coffer_crypto::secrets::identity::PublicIdentity;
use jiff::Timestamp;
use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::common::Common;
use super::rotation_runs::RotationRuns;
use super::secrets::Secrets;
use crate::model::role::Action;
use crate::model::rotation::{DropState, NewRotation, Rotation, StoredDrop, StoredDropBox};
use crate::repo::{rotations as repo, secrets};
use crate::storage::database::DatabaseError;
use crate::storage::scope::Scope;

/// Rotations that one vault may have.
const MAX_ROTATIONS: u32 = 50;
/// Shortest time between two of one, in seconds.
const SHORTEST_S: u64 = 3600;
/// Longest: ten years.
const LONGEST_S: u64 = 10 * 366 * 24 * 3600;
/// Longest admin credential: a private key of RSA fits.
const MAX_ADMIN_BYTES: usize = 16 * 1024;
/// Longest handle.
const MAX_HANDLE_BYTES: usize = 2048;

const VAULT: Error = Error::NotFound("secrets vault");
const ROTATION: Error = Error::NotFound("rotation");

/// Keeps rotations, and hands out what they made.
pub(crate) struct Rotations {
    common: Common,
    secrets: Arc<Secrets>,
    runs: Arc<RotationRuns>,
}

/// What lies in a vault's drop boxes, and the newest of these.
pub(crate) type Dropped = (Option<StoredDropBox>, Vec<StoredDrop>);

impl Rotations {
    /// A service.
    pub(crate) fn new(common: Common, secrets: Arc<Secrets>, runs: Arc<RotationRuns>) -> Self {
        Self { common, secrets, runs }
    }

    /// Sets the drop box of a vault's newest key, which the caller has signed.
    pub(crate) async fn put_drop_box(
        &self,
        caller: &Caller,
        vault_id: Uuid,
        generation: u32,
        public: Vec<u8>,
        signature: Vec<u8>,
    ) -> Result<(), Error> {
        let public: [u8; 32] = public.try_into().map_err(|_| Error::field("public", "it should have 32 bytes"))?;
        if signature.len() != DROP_BOX_SIGNATURE_BYTES {
            return Err(Error::field("signature", format!("it should have {DROP_BOX_SIGNATURE_BYTES} bytes")));
        }
        let user_id = caller.user.id;
        let entry = self.secrets.entry(caller, "secret_vault.drop_box_set", vault_id);
        let entry = entry.with_detail(format!("generation: {generation}"));
        let work = move |scope: &Scope<'_>| {
            let vault = secrets::find_vault(scope, vault_id)?.ok_or(VAULT)?;
            if vault.generation != generation {
                return Err(Error::field("generation", "the vault has another key"));
            }
            let found = repo::drop_box(scope, vault_id)?.filter(|found| found.generation == generation);
            if found.is_some_and(|found| found.public == public && found.set_by == user_id) {
                return Ok(false);
            }
            let signer = secrets::public(scope, user_id)?.and_then(|bytes| PublicIdentity::parse(user_id, &bytes).ok());
            let signer = signer.ok_or_else(|| Error::field("signature", "you have no keys yet"))?;
            let drop_box = DropBox { vault: vault_id, generation, public };
            drop_box.verify(&signer, &signature).map_err(|error| Error::field("signature", error.to_string()))?;
            repo::put_drop_box(scope, vault_id, generation, &public, &signature)?;
            Ok(true)
        };
        self.secrets.write_if(caller, entry, work, |is_new| *is_new).await?;
        self.runs.bell().ring();
        Ok(())
    }

    /// What the box has left for the members of a vault.
    pub(crate) async fn drops(&self, caller: &Caller, vault_id: Uuid) -> Result<Dropped, Error> {
        let read = move |scope: &Scope<'_>| {
            secrets::find_vault(scope, vault_id)?.ok_or(VAULT)?;
            Ok((repo::drop_box(scope, vault_id)?, repo::drops(scope, vault_id)?))
        };
        self.secrets.read(caller, read).await
    }

    /// A value is in its item: it need not lie here any more, and the credential of before may end.
    pub(crate) async fn take_drop(&self, caller: &Caller, vault_id: Uuid, id: Uuid) -> Result<(), Error> {
        let entry = self.secrets.entry(caller, "secret_rotation.value_taken", id);
        let work = move |scope: &Scope<'_>| {
            let found = repo::find_drop(scope, vault_id, id)?.ok_or(Error::NotFound("value"))?;
            let item = secrets::find_item(scope, vault_id, found.item_id)?;
            // Who may not is told that before anything else; what is refused below is as if it was not done.
            repo::delete_drop(scope, id)?;
            // A mistake must not lose the one copy that there is of a credential in force.
            let is_newer = item.is_none_or(|item| item.revision > found.base_revision);
            if found.state == DropState::Open && !is_newer { Err(Error::PreconditionFailed) } else { Ok(()) }
        };
        self.secrets.write_if(caller, entry, work, |()| true).await?;
        self.runs.bell().ring();
        Ok(())
    }

    /// Sets a rotation up. The same wish a second time is answered as the first.
    pub(crate) async fn create(&self, caller: &Caller, new: NewRotation) -> Result<Rotation, Error> {
        caller.require(Action::RotateSecrets).await?;
        check(&new)?;
        let now = self.common.clock.now();
        let (vault_id, id) = (new.vault_id, new.id);
        let entry = self.secrets.entry(caller, "secret_rotation.created", id);
        let entry = entry.with_detail(format!("vault: {vault_id}, item: {}", new.item_id));
        let next_at = new.every_s.map(|every_s| later(now, every_s));
        let checked = self.runs.providers().check(&new.provider, new.admin.is_some(), new.handle.is_some());
        let work = move |scope: &Scope<'_>| {
            secrets::find_vault(scope, vault_id)?.ok_or(VAULT)?;
            if let Some(found) = repo::find(scope, vault_id, id)? {
                let same =
                    (found.item_id, found.field_id, &found.provider) == (new.item_id, new.field_id, &new.provider);
                return if same { Ok((found, false)) } else { Err(taken()) };
            }
            if repo::list(scope, vault_id)?.len() >= MAX_ROTATIONS as usize {
                return Err(Error::LimitReached { what: "rotations", limit: MAX_ROTATIONS });
            }
            let item = secrets::find_item(scope, vault_id, new.item_id)?;
            if item.is_none_or(|item| item.content.is_none()) {
                return Err(Error::NotFound("item"));
            }
            checked.map_err(|(field, detail)| Error::InvalidField { field, detail })?;
            repo::insert(scope, &new, next_at, now).map_err(|error| match error {
                DatabaseError::Conflict => taken(),
                other => other.into(),
            })?;
            Ok((repo::find(scope, vault_id, id)?.ok_or(ROTATION)?, true))
        };
        let (rotation, _) = self.secrets.write_if(caller, entry, work, |(_, is_new)| *is_new).await?;
        Ok(rotation)
    }

    /// The rotations of a vault, oldest first.
    pub(crate) async fn list(&self, caller: &Caller, vault_id: Uuid) -> Result<Vec<Rotation>, Error> {
        let read = move |scope: &Scope<'_>| {
            secrets::find_vault(scope, vault_id)?.ok_or(VAULT)?;
            Ok(repo::list(scope, vault_id)?)
        };
        self.secrets.read(caller, read).await
    }

    /// One of them.
    pub(crate) async fn get(&self, caller: &Caller, vault_id: Uuid, id: Uuid) -> Result<Rotation, Error> {
        self.secrets.read(caller, move |scope| repo::find(scope, vault_id, id)?.ok_or(ROTATION)).await
    }

    /// Has one carried out now, or go on.
    pub(crate) async fn run(&self, caller: &Caller, vault_id: Uuid, id: Uuid) -> Result<Rotation, Error> {
        caller.require(Action::RotateSecrets).await?;
        let now = self.common.clock.now();
        let entry = self.secrets.entry(caller, "secret_rotation.asked_for", id);
        let work = move |scope: &Scope<'_>| {
            repo::find(scope, vault_id, id)?.ok_or(ROTATION)?;
            repo::hurry(scope, id, now)?;
            repo::find(scope, vault_id, id)?.ok_or(ROTATION)
        };
        let rotation = self.secrets.write_if(caller, entry, work, |_| true).await?;
        self.runs.bell().ring();
        Ok(rotation)
    }

    /// Ends one. The credential stays as it is; what the box knew to change it is gone.
    pub(crate) async fn delete(&self, caller: &Caller, vault_id: Uuid, id: Uuid) -> Result<(), Error> {
        caller.require(Action::RotateSecrets).await?;
        let entry = self.secrets.entry(caller, "secret_rotation.deleted", id);
        let work = move |scope: &Scope<'_>| {
            repo::find(scope, vault_id, id)?.ok_or(ROTATION)?;
            Ok(repo::delete(scope, id)?)
        };
        self.secrets.write_if(caller, entry, work, |()| true).await
    }
}

fn taken() -> Error {
    Error::field("id", "it is taken: draw another one")
}

/// So many seconds later; never, in practice, when that is no time any more.
pub(super) fn later(now: Timestamp, by_s: u64) -> Timestamp {
    let by = jiff::SignedDuration::from_secs(i64::try_from(by_s).unwrap_or(i64::MAX));
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn check(new: &NewRotation) -> Result<(), Error> {
    if new.every_s.is_some_and(|every_s| !(SHORTEST_S..=LONGEST_S).contains(&every_s)) {
        return Err(Error::field("every_s", format!("{SHORTEST_S} to {LONGEST_S}")));
    }
    if new.grace_s.is_some_and(|grace_s| grace_s > LONGEST_S) {
        return Err(Error::field("grace_s", format!("at most {LONGEST_S}")));
    }
    if new.admin.as_ref().is_some_and(|admin| admin.is_empty() || admin.len() > MAX_ADMIN_BYTES) {
        return Err(Error::field("admin", format!("it should have 1 to {MAX_ADMIN_BYTES} bytes")));
    }
    if new.handle.as_ref().is_some_and(|handle| handle.is_empty() || handle.len() > MAX_HANDLE_BYTES) {
        return Err(Error::field("handle", format!("it should have 1 to {MAX_HANDLE_BYTES} bytes")));
    }
    if new.handle_field_id == Some(new.field_id) {
        return Err(Error::field("handle_field_id", "it is the field of the value"));
    }
    Ok(())
}
