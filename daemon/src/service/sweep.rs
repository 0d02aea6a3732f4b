//! Removing blobs that nobody needs any more: at once after a change, and after a power cut at the next unlock.
//!
//! A blob without a row goes when its row was deleted, or when it never had one. Any other lost its row to something that we do not
//! know, and may be all that is left of somebody's file: it is put into quarantine, and told.

use log::{info, warn};

use super::Error;
use super::audit::{Context, going_on};
use super::common::Common;
use super::unlocked::Lease;
use crate::model::file::BlobId;
use crate::repo::audit::{self, Outcome};
use crate::repo::blobs::{Blobs, Stored};
use crate::repo::contents::{self, Claim};
use crate::repo::secret_attachments;
use crate::storage::database::DatabaseError;

/// Notes of removed blobs that are looked at together.
const NOTES: u32 = 256;

/// Removes blobs whose last row was just deleted. What is not removed now is swept at the next unlock.
pub(super) async fn remove(lease: &Lease, blobs: Vec<BlobId>) {
    if blobs.is_empty() {
        return;
    }
    let lease = lease.clone();
    let removing = tokio::task::spawn_blocking(move || {
        for blob in &blobs {
            if let Err(error) = lease.store().blobs.remove(blob) {
                warn!(error:% = error; "the bytes of a deleted content were not removed; the next unlock will do it");
            }
        }
    });
    if removing.await.is_err() {
        warn!("removing contents failed unexpectedly; the next unlock will do it");
    }
}

/// Keeps a content whose row was committed.
pub(super) fn keep(lease: &Lease, stored: Stored) {
    let (named, lease) = (stored.keep(), lease.clone());
    drop(tokio::task::spawn_blocking(move || {
        if let Err(error) = named.note() {
            warn!(error:% = error; "a content was not marked as stored; the next unlock will do it");
        }
        drop(lease);
    }));
}

/// Looks at all that lies on the drive, once after each unlock.
pub(crate) async fn sweep(lease: Lease, common: Common) {
    match sweep_all(&lease, &common).await {
        Ok(0) | Err(Error::Locked) => {}
        Ok(removed) => info!(removed; "contents of interrupted uploads were removed"),
        Err(error) => {
            warn!(error:% = error; "what lies on the drive was not looked through; the next unlock will do it");
        }
    }
}

/// What became of a blob.
enum Fate {
    Stays,
    Removed,
    Quarantined,
}

/// Removes the blobs that nobody needs, and puts those into quarantine of which that is not known; tells how many were removed.
pub(super) async fn sweep_all(lease: &Lease, common: &Common) -> Result<u64, Error> {
    let strays = lease.store().database.write(|transaction| -> Result<_, DatabaseError> {
        let strays = secret_attachments::delete_stray(transaction)?;
        contents::forget_unused(transaction, strays)
    });
    remove(lease, strays.await?).await;
    let mut removed = 0;
    for directory in 0..=u8::MAX {
        let reader = lease.clone();
        let listed = tokio::task::spawn_blocking(move || {
            let blobs = &reader.store().blobs;
            blobs.remove_replacements(directory).and_then(|()| blobs.settled(directory))
        });
        let Ok(Ok(blobs)) = listed.await else {
            warn!(directory; "a directory of contents cannot be read");
            continue;
        };
        for blob in blobs {
            let lease = going_on(lease)?;
            let (owner, wanted) = (lease.clone(), blob.clone());
            let claim = lease.store().database.read(move |connection| contents::claim(connection, &wanted)).await?;
            let of = blob.clone();
            let settled = tokio::task::spawn_blocking(move || settle(&owner.store().blobs, &of, claim)).await;
            match settled.map_err(|error| Error::internal("looking at a content", error))? {
                Ok(Fate::Stays) => {}
                Ok(Fate::Removed) => removed += 1,
                Ok(Fate::Quarantined) => report(lease, common, &blob).await?,
                Err(error) => {
                    warn!(error:% = error, blob = blob.as_str(); "what is left of a content cannot be dealt with");
                }
            }
        }
    }
    forget_removed(lease).await?;
    Ok(removed)
}

fn settle(blobs: &Blobs, blob: &BlobId, claim: Claim) -> std::io::Result<Fate> {
    match claim {
        Claim::Named => blobs.note_named(blob).map(|()| Fate::Stays),
        Claim::Unknown if !blobs.is_new(blob)? => blobs.quarantine(blob).map(|()| Fate::Quarantined),
        Claim::Unknown | Claim::Doomed => blobs.remove(blob).map(|()| Fate::Removed),
    }
}

async fn report(lease: &Lease, common: &Common, blob: &BlobId) -> Result<(), Error> {
    warn!(blob = blob.as_str(); "a content belongs to nothing, and nobody deleted it: it was put into quarantine");
    let entry = common.auditor.entry(&Context::default(), "content.quarantined", Outcome::Success, None);
    let entry = entry.with_detail(format!("blob: {}", blob.as_str()));
    Ok(lease.store().database.write(move |transaction| audit::insert(transaction, &entry)).await?)
}

/// Forgets which blobs were to be removed, when they are.
async fn forget_removed(lease: &Lease) -> Result<(), Error> {
    let mut after = String::new();
    loop {
        let lease = going_on(lease)?;
        let from = after.clone();
        let read = lease.store().database.read(move |connection| contents::doomed_after(connection, &from, NOTES));
        let doomed = read.await?;
        let Some(last) = doomed.last() else { return Ok(()) };
        last.as_str().clone_into(&mut after);
        let looker = lease.clone();
        let gone = tokio::task::spawn_blocking(move || looker.store().blobs.gone(doomed)).await;
        let gone = gone.map_err(|error| Error::internal("looking for removed contents", error))?;
        let gone = gone.map_err(|error| Error::storage("looking for removed contents", error))?;
        let forgotten = lease.store().database.write(move |transaction| -> Result<(), DatabaseError> {
            gone.iter().try_for_each(|blob| contents::forget_doomed(transaction, blob))
        });
        forgotten.await?;
    }
}
