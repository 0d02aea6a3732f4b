//! Keeps the last bit of the drive free, so that the database can always commit and people can always delete.

use crate::model::event::Intent;
use crate::service::Error;
use crate::service::events::Guard;

/// The guard.
pub(crate) struct StorageReserve;

impl Guard for StorageReserve {
    fn check(&self, intent: &Intent) -> Result<(), Error> {
        let Intent::StoreFile { size_bytes, free_bytes, reserve_bytes } = *intent;
        let fits = free_bytes.checked_sub(reserve_bytes).is_some_and(|free_bytes| size_bytes <= free_bytes);
        if fits { Ok(()) } else { Err(Error::StorageFull) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_never_handed_out() {
        let check = |size_bytes, free_bytes| {
            StorageReserve.check(&Intent::StoreFile { size_bytes, free_bytes, reserve_bytes: 500 }).is_ok()
        };
        assert!(check(1000, 1500));
        assert!(!check(1001, 1500));
        assert!(check(0, 500));
        assert!(!check(0, 499));
        assert!(!check(u64::MAX, u64::MAX));
    }
}
