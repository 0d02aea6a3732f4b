//! Time and identifiers as parameters, so that a test can hold the clock in its hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use rand_core::{CryptoRng, Rng, UnwrapErr};
use uuid::{ContextV7, Uuid};
use zeroize::Zeroizing;

/// Reads both clocks.
pub(crate) trait Clock: Send + Sync {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;
    /// Time that only grows, for measuring.
    fn monotonic(&self) -> Instant;
}

/// A clock shared by all who need one.
pub(crate) type SharedClock = Arc<dyn Clock>;

/// The system's clocks.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        // What is stored has milliseconds; what is answered must not differ from what is read back later.
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that a test moves forward, by writing seconds to a file. Not part of a release build.
#[cfg(debug_assertions)]
pub(crate) struct OffsetClock(pub(crate) std::path::PathBuf);

#[cfg(debug_assertions)]
impl OffsetClock {
    fn offset(&self) -> std::time::Duration {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        std::time::Duration::from_secs(text.trim().parse().unwrap_or(0))
    }
}

#[cfg(debug_assertions)]
impl Clock for OffsetClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.offset()
    }

    fn monotonic(&self) -> Instant {
        SystemClock.monotonic() + self.offset()
    }
}

/// The operating system's random numbers. Where it has none there is nothing sane to go on with, so failing aborts.
pub(crate) fn system_rng() -> impl CryptoRng {
    UnwrapErr(getrandom::SysRng)
}

/// 32 random bytes, wiped when dropped.
pub(crate) fn random_key() -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    system_rng().fill_bytes(key.as_mut_slice());
    key
}

/// Makes `UUIDv7` identifiers (RFC 9562, section 5.7).
pub(crate) struct Ids {
    clock: SharedClock,
    context: Mutex<ContextV7>,
}

impl Ids {
    /// Identifiers that carry this clock's time.
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, context: Mutex::new(ContextV7::new()) }
    }

    /// The next identifier.
    pub(crate) fn next(&self) -> Uuid {
        let now = self.clock.now();
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanoseconds))
    }
}
