//! How the vault seals, as the administrators set it: the mode, the keys, and the end of mixed mode.

use coffer_crypto::envelope::keys::KeyRecord;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use uuid::Uuid;

use super::Error;
use super::audit::Context;
use super::caller::Caller;
use super::common::Common;
use super::sealing_jobs;
use super::unlocked::Lease;
use crate::model::role::Action;
use crate::model::sealing::{EncryptionMode, mode_name};
use crate::repo::audit::{self, Outcome};
use crate::repo::sealed::ONLY_SEALED;
use crate::repo::seals::{self, Census};
use crate::repo::{policy, settings};
use crate::storage::database::DatabaseError;

/// How the vault seals.
pub(crate) struct SealingSettings {
    common: Common,
}

/// The mode, and how much is stored in which way.
pub(crate) struct State {
    pub(crate) mode: EncryptionMode,
    pub(crate) only_sealed: bool,
    pub(crate) census: Census,
}

/// A key, and how many blobs need it.
pub(crate) struct KeyInUse {
    pub(crate) record: KeyRecord,
    pub(crate) owner_id: Option<Uuid>,
    pub(crate) is_active: bool,
    pub(crate) check_value: String,
    pub(crate) created_at: Timestamp,
    pub(crate) blobs: u64,
}

impl SealingSettings {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// The mode, and how much is stored in which way.
    pub(crate) async fn state(&self, lease: &Lease) -> Result<State, Error> {
        let only_sealed = lease.store().sealed.refuses_plain();
        let read = lease.store().database.read(move |connection| -> Result<State, DatabaseError> {
            Ok(State { mode: policy::encryption(connection)?, only_sealed, census: seals::census(connection)? })
        });
        Ok(read.await?)
    }

    /// Sets what happens to new contents.
    pub(crate) async fn set_mode(&self, caller: &Caller, mode: EncryptionMode) -> Result<(), Error> {
        caller.require(Action::ManageSettings).await?;
        if mode == EncryptionMode::Off && caller.store().sealed.refuses_plain() {
            return Err(Error::OnlySealed);
        }
        let entry = self.common.auditor.entry(&caller.context, "encryption.mode_changed", Outcome::Success, None);
        let set = caller.store().database.write(move |transaction| -> Result<(), DatabaseError> {
            policy::set_encryption(transaction, mode)?;
            audit::insert(transaction, &entry.with_detail(mode_name(mode)))
        });
        Ok(set.await?)
    }

    /// From now on contents that are not sealed are refused, for good. There must be none.
    pub(crate) async fn close_mixed_mode(&self, lease: &Lease, context: &Context) -> Result<(), Error> {
        let entry = self.common.auditor.entry(context, "encryption.sealed", Outcome::Success, None);
        let store = lease.clone();
        let closed = lease.store().database.write(move |transaction| -> Result<(), Error> {
            if policy::encryption(transaction)? == EncryptionMode::Off {
                return Err(Error::NotAllSealed { plain: None });
            }
            let plain = seals::census(transaction)?.plain;
            if plain > 0 {
                return Err(Error::NotAllSealed { plain: Some(plain) });
            }
            settings::set(transaction, ONLY_SEALED, "true")?;
            audit::insert(transaction, &entry)?;
            // Before anybody else gets at the database, or stores something that is not sealed.
            store.store().sealed.refuse_plain();
            Ok(())
        });
        closed.await
    }

    /// The keys.
    pub(crate) async fn keys(&self, caller: &Caller) -> Result<Vec<KeyInUse>, Error> {
        caller.require(Action::ManageSettings).await?;
        let read = caller.store().database.read(|connection| -> Result<_, DatabaseError> {
            let kept = seals::keys(connection)?.into_iter();
            kept.map(|kept| {
                let record = kept.record;
                Ok(KeyInUse {
                    owner_id: seals::owner(&record).user(),
                    is_active: seals::is_active(&record),
                    check_value: HEXLOWER.encode(&record.check.0),
                    created_at: kept.created_at,
                    blobs: seals::blobs_of_key(connection, record.id, record.generation)?,
                    record,
                })
            })
            .collect()
        });
        Ok(read.await?)
    }

    /// Destroys the keys of a person.
    pub(crate) async fn destroy_keys(&self, caller: &Caller, owner_id: Uuid) -> Result<(), Error> {
        sealing_jobs::destroy_keys(caller, &self.common, owner_id).await
    }
}
