//! Spaces out attempts, by what they are made on and by where they come from. Kept in memory: nobody is locked out for
//! good, and whoever can restart the box needs no guesses.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use super::Error;
use super::throttle::pause_after;
use crate::model::clock::SharedClock;

/// Keys that are remembered; the least recent is forgotten first.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Without an attempt for so long, a key is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// Attempts by key. The first few in a row are free, then each has to wait longer than the one before.
pub(crate) struct Attempts {
    clock: SharedClock,
    free: u32,
    by_key: Mutex<LruCache<String, Record>>,
}

struct Record {
    count: u32,
    not_before: Instant,
    last: Instant,
    /// Somebody was told to wait since the last attempt.
    refused: bool,
}

impl Attempts {
    /// With so many free attempts a key.
    pub(crate) fn new(clock: SharedClock, free: u32) -> Self {
        Self { clock, free, by_key: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// Counts an attempt before it is made, so that attempts at the same time count as well; or says how long to wait.
    pub(crate) fn begin(&self, key: &str) -> Result<(), Error> {
        let now = self.clock.monotonic();
        let mut by_key = self.lock();
        let record = by_key.get_or_insert_mut(key.to_owned(), || Record {
            count: 0,
            not_before: now,
            last: now,
            refused: false,
        });
        if now.saturating_duration_since(record.last) >= FORGOTTEN_AFTER {
            record.count = 0;
        }
        let wait = record.not_before.saturating_duration_since(now);
        if !wait.is_zero() {
            return Err(Error::TooManyAttempts { retry_after: wait });
        }
        record.count = record.count.saturating_add(1);
        record.last = now;
        record.refused = false;
        record.not_before = now + self.pause(record.count);
        Ok(())
    }

    /// Whether that refusal was the first since the last attempt. Only this one is worth a row in the audit log:
    /// refusals cost the guesser nothing, and must not fill the drive.
    pub(crate) fn is_first_refusal(&self, key: &str) -> bool {
        self.lock().peek_mut(key).is_some_and(|record| !std::mem::replace(&mut record.refused, true))
    }

    /// The attempt was wrong: the pause begins now, when the guesser knows it.
    pub(crate) fn failed(&self, key: &str) {
        if let Some(record) = self.lock().peek_mut(key) {
            record.not_before = self.clock.monotonic() + self.pause(record.count);
        }
    }

    /// The attempt was right: all is forgiven.
    pub(crate) fn forget(&self, key: &str) {
        self.lock().pop(key);
    }

    /// The attempt was right, but says nothing of the others under this key.
    pub(crate) fn take_back(&self, key: &str) {
        if let Some(record) = self.lock().peek_mut(key) {
            record.count = record.count.saturating_sub(1);
            record.not_before = self.clock.monotonic();
        }
    }

    fn pause(&self, count: u32) -> Duration {
        match count.checked_sub(self.free) {
            None | Some(0) => Duration::ZERO,
            Some(beyond) => pause_after(beyond.saturating_add(2)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<String, Record>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a source: its address, or for IPv6 the network that one household has to itself.
pub(crate) fn source(address: Option<IpAddr>) -> String {
    match address {
        None => "local".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::clock::{Clock, SystemClock};

    struct HandClock(Mutex<Duration>, Instant);

    impl Clock for HandClock {
        fn now(&self) -> jiff::Timestamp {
            SystemClock.now()
        }

        fn monotonic(&self) -> Instant {
            self.1 + *self.0.lock().unwrap()
        }
    }

    fn wait(attempts: &Attempts, key: &str) -> u64 {
        match attempts.begin(key) {
            Ok(()) => 0,
            Err(Error::TooManyAttempts { retry_after }) => retry_after.as_secs(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn the_first_are_free_then_the_pause_grows_and_ends() {
        let clock = Arc::new(HandClock(Mutex::default(), SystemClock.monotonic()));
        let attempts = Attempts::new(Arc::<HandClock>::clone(&clock), 2);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(wait(&attempts, "a"), 0);
            let pause = wait(&attempts, "a");
            pauses.push(pause);
            *clock.0.lock().unwrap() += Duration::from_secs(pause);
            if pause == 0 {
                // The look counted.
                attempts.take_back("a");
            }
        }
        assert_eq!(pauses, [0, 0, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait(&attempts, "b"), 0, "another key");
        *clock.0.lock().unwrap() += FORGOTTEN_AFTER;
        assert_eq!([wait(&attempts, "a"), wait(&attempts, "a")], [0, 0]);
    }

    #[test]
    fn the_pause_begins_when_the_guesser_knows() {
        let clock = Arc::new(HandClock(Mutex::default(), SystemClock.monotonic()));
        let attempts = Attempts::new(Arc::<HandClock>::clone(&clock), 0);
        assert_eq!(wait(&attempts, "a"), 0);
        *clock.0.lock().unwrap() += Duration::from_secs(2);
        attempts.failed("a");
        assert_eq!(wait(&attempts, "a"), 2);
    }

    #[test]
    fn a_right_one_takes_back_itself_alone() {
        let clock = Arc::new(HandClock(Mutex::default(), SystemClock.monotonic()));
        let attempts = Attempts::new(clock, 1);
        assert_eq!(wait(&attempts, "a"), 0);
        assert_eq!(wait(&attempts, "a"), 0);
        attempts.take_back("a");
        assert_eq!(wait(&attempts, "a"), 0);
        assert_ne!(wait(&attempts, "a"), 0, "the first still counts");
        attempts.forget("a");
        assert_eq!(wait(&attempts, "a"), 0);
    }

    #[test]
    fn a_household_is_one_source() {
        let key = |text: &str| source(Some(text.parse().unwrap()));
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
