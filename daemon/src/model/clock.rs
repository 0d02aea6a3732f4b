//! Time and identifiers as parameters, so that a test can hold the clock in its hand.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use rand_core::{CryptoRng, UnwrapErr};
use uuid::{ContextV7, Uuid};

/// Reads both clocks.
pub(crate) trait Clock: Send + Sync {
    /// Wall-clock time. May jump: the board has no battery behind its clock.
    fn now(&self) -> Timestamp;
    /// Time that only grows, for measuring.
    fn monotonic(&self) -> Instant;
}

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

/// A clock shared by all who need one.
pub(crate) type SharedClock = Arc<dyn Clock>;

/// The operating system's random numbers. Where it has none there is nothing sane to go on with, so failing aborts.
pub(crate) fn system_rng() -> impl CryptoRng {
    UnwrapErr(getrandom::SysRng)
}

/// Makes `UUIDv7` identifiers (RFC 9562, section 5.7): they sort by the time they were made, also within a millisecond.
pub(crate) struct Ids {
    clock: SharedClock,
    context: std::sync::Mutex<ContextV7>,
}

impl Ids {
    /// Identifiers that carry this clock's time.
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self { clock, context: std::sync::Mutex::new(ContextV7::new()) }
    }

    /// The next identifier.
    pub(crate) fn next(&self) -> Uuid {
        let now = self.clock.now();
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        let context = self.context.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanoseconds))
    }
}
