//! Removing blobs that nobody needs any more: at once after a change, and after a power cut at the next unlock.

use log::{info, warn};

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
    let mut removed = 0_u32;
    for directory in 0..=u8::MAX {
        let reader = lease.clone();
        let listed = tokio::task::spawn_blocking(move || reader.store().blobs.settled(directory)).await;
        let Ok(Ok(blobs)) = listed else {
            warn!(directory; "a directory of contents cannot be read");
            continue;
        };
        for blob in blobs {
            if lease.is_ending() {
                return;
            }
            let wanted = blob.clone();
            let known = lease.store().database.read(move |connection| contents::exists(connection, &wanted)).await;
            let owner = lease.clone();
            match known {
                Ok(true) => {}
                Ok(false) => {
                    let done = tokio::task::spawn_blocking(move || owner.store().blobs.remove(&blob)).await;
                    removed += u32::from(matches!(done, Ok(Ok(()))));
                }
                // Being locked, or busy: the next unlock sweeps again.
                Err(_) => return,
            }
        }
    }
    if removed > 0 {
        info!(removed; "contents of interrupted uploads were removed");
    }
}
