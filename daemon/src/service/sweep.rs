//! Removing blobs that nobody needs any more: at once after a change, and after a power cut at the next unlock.

use log::{info, warn};

use super::Error;
use super::audit::going_on;
use super::unlocked::Lease;
use crate::model::file::BlobId;
use crate::repo::contents;

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

/// Removes the blobs that no row names: what interrupted uploads left behind. Runs once after each unlock.
pub(crate) async fn sweep(lease: Lease) {
    // Being locked, or busy: the next unlock sweeps again.
    if let Ok(removed @ 1..) = remove_orphans(&lease).await {
        info!(removed; "contents of interrupted uploads were removed");
    }
}

/// Removes the blobs that no row names; tells how many.
pub(super) async fn remove_orphans(lease: &Lease) -> Result<u32, Error> {
    let mut removed = 0_u32;
    for directory in 0..=u8::MAX {
        let reader = lease.clone();
        let listed = tokio::task::spawn_blocking(move || reader.store().blobs.settled(directory)).await;
        let Ok(Ok(blobs)) = listed else {
            warn!(directory; "a directory of contents cannot be read");
            continue;
        };
        for blob in blobs {
            let lease = going_on(lease)?;
            let wanted = blob.clone();
            if lease.store().database.read(move |connection| contents::exists(connection, &wanted)).await? {
                continue;
            }
            let owner = lease.clone();
            let done = tokio::task::spawn_blocking(move || owner.store().blobs.remove(&blob)).await;
            removed += u32::from(matches!(done, Ok(Ok(()))));
        }
    }
    Ok(removed)
}
