//! The unlocked vault, as a type: only a [`Lease`] on it reaches data, and locking ends every lease.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coffer_crypto::vault_keys::OpenKeys;
use log::{error, warn};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use crate::repo::store::Store;
use crate::storage::gocryptfs::Mount;

/// How long running operations may take to notice that the vault is being locked.
const DRAIN_LIMIT: Duration = Duration::from_millis(800);
/// How long the database may take to close, which includes its last checkpoint.
const CLOSE_LIMIT: Duration = Duration::from_millis(600);
/// How long the mount may stay busy after everything was closed.
const UNMOUNT_LIMIT: Duration = Duration::from_millis(300);

/// What exists only while the vault is unlocked.
pub(crate) struct Unlocked {
    pub(crate) vault_id: Uuid,
    /// Tells this unlocking from the ones before it.
    pub(crate) number: u64,
    /// How often the key file had been rewritten.
    pub(crate) key_generation: u64,
    pub(crate) store: Store,
    pub(crate) token_key: Zeroizing<[u8; 32]>,
    mount: Mutex<Option<Mount>>,
    operations: TaskTracker,
    locking: CancellationToken,
}

impl Unlocked {
    /// Takes a mounted vault and its open store together.
    pub(crate) fn new(keys: &OpenKeys, number: u64, store: Store, mount: Mount) -> Self {
        Self {
            vault_id: keys.file().vault_id(),
            number,
            key_generation: keys.generation(),
            store,
            token_key: Zeroizing::new(keys.payload().token_key),
            mount: Mutex::new(Some(mount)),
            operations: TaskTracker::new(),
            locking: CancellationToken::new(),
        }
    }

    /// The process that serves the files.
    pub(super) fn gocryptfs_pid(&self) -> Option<u32> {
        self.mount.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Mount::pid)
    }

    /// The right to use the vault until it is locked.
    pub(crate) fn lease(self: &Arc<Self>) -> Result<Lease, Error> {
        let token = self.operations.token();
        if self.locking.is_cancelled() {
            return Err(Error::Locked);
        }
        Ok(Lease { unlocked: Arc::clone(self), _token: token })
    }

    /// Ends every operation, closes every handle, unmounts, and waits until gocryptfs and its key are gone.
    ///
    /// Whatever does not end in time loses its files: gocryptfs is killed under it. The plaintext is unreachable when
    /// this returns, in the worst case after about two seconds.
    pub(crate) async fn close(self: Arc<Self>) -> Result<(), Error> {
        self.locking.cancel();
        self.operations.close();
        let drained = tokio::time::timeout(DRAIN_LIMIT, self.operations.wait()).await;
        if drained.is_err() {
            warn!(operations = self.operations.len(); "operations did not end in time; their files are taken away");
        }
        let store = Arc::clone(&self);
        let mut closing = tokio::task::spawn_blocking(move || store.store.close());
        let mount = self.mount.lock().unwrap_or_else(PoisonError::into_inner).take();
        if tokio::time::timeout(CLOSE_LIMIT, &mut closing).await.is_err() {
            warn!("the database does not close; gocryptfs is killed");
            if let Some(mount) = &mount {
                mount.kill();
            }
            drop(closing.await);
        }
        let Some(mount) = mount else { return Ok(()) };
        let unmounted = tokio::task::spawn_blocking(move || mount.unmount(UNMOUNT_LIMIT)).await;
        match unmounted {
            Ok(result) => result.map_err(|error| Error::internal("unmount", error)),
            Err(panic) => {
                error!("unmounting failed unexpectedly");
                Err(Error::internal("unmount", panic))
            }
        }
    }
}

/// The right to use the unlocked vault. Locking waits for its end, so do not hold it over a wait that
/// [`Lease::locking`] does not cut short.
#[derive(Clone)]
pub(crate) struct Lease {
    unlocked: Arc<Unlocked>,
    _token: TaskTrackerToken,
}

impl Lease {
    /// The data.
    pub(crate) fn store(&self) -> &Store {
        &self.unlocked.store
    }

    /// Signs access tokens.
    pub(crate) fn token_key(&self) -> &[u8; 32] {
        &self.unlocked.token_key
    }

    /// Tells this unlocking from all others, for what is kept in memory and must not outlive it.
    pub(crate) fn unlocking(&self) -> u64 {
        self.unlocked.number
    }

    /// Whether the vault is being locked.
    pub(crate) fn is_ending(&self) -> bool {
        self.unlocked.locking.is_cancelled()
    }

    /// Ready when the vault is being locked: stop, and drop the lease.
    pub(crate) fn locking(&self) -> WaitForCancellationFutureOwned {
        self.unlocked.locking.clone().cancelled_owned()
    }
}
