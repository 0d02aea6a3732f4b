//! Watches over the detachable key: looks every two seconds, and locks the vault when the key is not as it was.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use log::warn;

use super::audit::Context;
use super::error::KeyFileProblem;
use super::vault::{LockReason, Vault};
use crate::model::clock::SharedClock;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a look may take: a medium that hangs is a medium that is gone.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// Without a look for so long, the watchdog counts as dead.
const ALIVE_LIMIT: Duration = Duration::from_secs(10);

/// The watch, and what it last saw.
pub(crate) struct Watchdog {
    clock: SharedClock,
    last: Mutex<(Instant, Option<KeyFileProblem>)>,
}

impl Watchdog {
    /// Starts to watch.
    pub(crate) fn start(vault: Arc<Vault>, clock: SharedClock) -> Arc<Self> {
        let watchdog = Arc::new(Self { last: Mutex::new((clock.monotonic(), None)), clock });
        tokio::spawn(Arc::clone(&watchdog).watch(vault));
        watchdog
    }

    /// Whether it still looks.
    pub(crate) fn is_alive(&self) -> bool {
        self.clock.monotonic().saturating_duration_since(self.lock().0) < ALIVE_LIMIT
    }

    /// What was wrong with the key file at the last look.
    pub(crate) fn problem(&self) -> Option<KeyFileProblem> {
        self.lock().1
    }

    async fn watch(self: Arc<Self>, vault: Arc<Vault>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let eyes = Arc::clone(&vault);
            // A box without a vault has no key to miss.
            let look =
                tokio::task::spawn_blocking(move || if eyes.exists() { eyes.inspect_key_file() } else { Ok(()) });
            let seen = match tokio::time::timeout(LOOK_LIMIT, look).await {
                Ok(Ok(seen)) => seen,
                Ok(Err(_)) | Err(_) => Err(KeyFileProblem::Unreadable),
            };
            *self.lock() = (self.clock.monotonic(), seen.err());
            if let Err(problem) = seen
                && vault.unlocked().is_some()
            {
                warn!(problem:? = problem; "the key file is not as it was");
                // Already logged there; the next look tries again if need be.
                drop(vault.lock(LockReason::KeyFile(problem), Context::default()).await);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Instant, Option<KeyFileProblem>)> {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
