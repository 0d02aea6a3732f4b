//! Keeps the last bit of the drive free, so that the database can always commit and people can always delete.

use crate::model::event::Intent;
use crate::service::Error;
use crate::service::events::Guard;

/// Room for the database's log (4 MiB between checkpoints), its growth and gocryptfs' overhead.
const RESERVE_BYTES: u64 = 32 * 1024 * 1024;

/// The guard.
pub(crate) struct StorageReserve;

impl Guard for StorageReserve {
    fn check(&self, intent: &Intent) -> Result<(), Error> {
        let Intent::StoreFile { size_bytes, free_bytes } = *intent;
        let fits = free_bytes.checked_sub(RESERVE_BYTES).is_some_and(|free_bytes| size_bytes <= free_bytes);
        if fits { Ok(()) } else { Err(Error::StorageFull) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_never_handed_out() {
        let check =
            |size_bytes, free_bytes| StorageReserve.check(&Intent::StoreFile { size_bytes, free_bytes }).is_ok();
        assert!(check(1000, RESERVE_BYTES + 1000));
        assert!(!check(1001, RESERVE_BYTES + 1000));
        assert!(check(0, RESERVE_BYTES));
        assert!(!check(u64::MAX, u64::MAX));
    }
}
