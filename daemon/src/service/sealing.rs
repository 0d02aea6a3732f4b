//! What new contents are sealed with: the mode, whose key it is, and what is reported when one does not open.

use tokio::sync::mpsc;
use uuid::Uuid;

use super::Error;
use super::audit::{Context, going_on};
use super::common::Common;
use super::unlocked::Lease;
use crate::model::clock::SharedClock;
use crate::model::file::BlobId;
use crate::model::sealing::{EncryptionMode, KeyOwner, Seal, SealMethod};
use crate::repo::audit::{self, Outcome};
use crate::repo::content_io::Protection;
use crate::repo::keyring::SealWith;
use crate::repo::store::Store;
use crate::repo::{policy, scrubs, seals};
use crate::storage::database::DatabaseError;

/// Whose key a new content is to be sealed with, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan(pub(super) Option<(KeyOwner, SealMethod)>);

/// For use inside of a transaction: what becomes of a content of that owner in that folder.
pub(super) fn plan(
    connection: &rusqlite::Connection,
    owner_id: Uuid,
    folder_id: Option<Uuid>,
) -> Result<Plan, DatabaseError> {
    Ok(Plan(match policy::encryption(connection)? {
        EncryptionMode::Off => None,
        EncryptionMode::Server => Some((KeyOwner::Shared, SealMethod::Server)),
        EncryptionMode::ServerUser if seals::is_shared_by_list(connection, folder_id, owner_id)? => {
            Some((KeyOwner::Shared, SealMethod::ServerUser))
        }
        EncryptionMode::ServerUser => Some((KeyOwner::User(owner_id), SealMethod::ServerUser)),
    }))
}

/// What a new content is stored with. Makes the key when it is the first of its owner.
pub(super) async fn protection(lease: &Lease, clock: &SharedClock, plan: Plan) -> Result<Protection, Error> {
    let Some((owner, method)) = plan.0 else { return Ok(Protection::None) };
    Ok(Protection::Seal(SealWith { key: active_key(lease, clock, owner).await?, method }))
}

/// The key that new contents of an owner are sealed with.
pub(super) async fn active_key(
    lease: &Lease,
    clock: &SharedClock,
    owner: KeyOwner,
) -> Result<std::sync::Arc<coffer_crypto::envelope::keys::KeyEncryptionKey>, Error> {
    let known = lease.store().database.read(move |connection| seals::active_key(connection, owner)).await?;
    let record = if let Some(record) = known {
        record
    } else {
        let (maker, now) = (lease.clone(), clock.now());
        let make =
            move |transaction: &rusqlite::Transaction<'_>| maker.store().sealed.keyring.active(transaction, owner, now);
        lease.store().database.write(make).await?
    };
    lease.store().sealed.keyring.add(&record).map_err(|error| Error::internal("opening a sealing key", error))
}

/// What something that is made of a content is stored with: the same as the content.
pub(super) fn like(store: &Store, seal: Option<&Seal>) -> Protection {
    let Some(seal) = seal else { return Protection::None };
    if seal.is_clients() {
        return Protection::Client;
    }
    match seal.key_id.as_deref().and_then(|id| store.sealed.keyring.newest(id)) {
        Some(key) => Protection::Seal(SealWith { key, method: seal.method }),
        None => Protection::None,
    }
}

/// Writes down which contents do not open, as they are found, until the vault is locked. A chore.
pub(crate) async fn report_faults(lease: Lease, common: Common) {
    let Some(faults) = lease.store().sealed.faults() else { return };
    if let Err(error) = report(&lease, &common, faults).await
        && !matches!(error, Error::Locked)
    {
        log::error!(error:% = error; "a content that does not open was not written down");
    }
}

async fn report(lease: &Lease, common: &Common, mut faults: mpsc::Receiver<BlobId>) -> Result<(), Error> {
    let mut locking = std::pin::pin!(lease.locking());
    loop {
        let blob = tokio::select! {
            biased;
            () = &mut locking => return Ok(()),
            blob = faults.recv() => blob,
        };
        let (Some(blob), lease) = (blob, going_on(lease)?) else { return Ok(()) };
        let entry =
            |subject| common.auditor.entry(&Context::default(), "content.decryption_failed", Outcome::Failed, subject);
        let (named, unnamed) = (blob.clone(), entry(None));
        let revisions = lease.store().database.read(move |connection| scrubs::revisions_of(connection, &named)).await?;
        let mut entries: Vec<_> = revisions
            .into_iter()
            .map(|(file, number)| entry(Some(file)).with_detail(format!("revision: {number}")))
            .collect();
        if entries.is_empty() {
            entries.push(unnamed.with_detail(format!("blob: {}", blob.as_str())));
        }
        let written = lease.store().database.write(move |transaction| -> Result<(), DatabaseError> {
            entries.iter().try_for_each(|entry| audit::insert(transaction, entry))
        });
        written.await?;
    }
}
