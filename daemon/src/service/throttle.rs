//! Spaces out guesses at one secret. The count survives a restart; nobody is locked out for good.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use log::warn;
use serde::{Deserialize, Serialize};

use crate::model::clock::SharedClock;
use crate::storage::durable;

/// Failures that cost no more than the shortest pause.
const FREE_FAILURES: u32 = 3;
/// The pause after any failure.
const MIN_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause: an attacker must not be able to shut the owner out.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// Largest record file that is read.
const MAX_RECORD_BYTES: u64 = 1024;

/// How long to wait after so many failures in a row.
pub(crate) fn pause_after(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => {
            let doublings = n.saturating_sub(FREE_FAILURES).min(16);
            MIN_PAUSE.saturating_mul(1 << doublings).min(MAX_PAUSE)
        }
    }
}

/// The guesses at one secret.
pub(crate) struct Throttle {
    path: PathBuf,
    clock: SharedClock,
    state: Mutex<State>,
}

struct State {
    failures: u32,
    not_before: Instant,
}

/// What is kept on disk.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    failures: u32,
    last_attempt: Timestamp,
}

impl Throttle {
    /// Continues the count that is kept at `path`. A missing or damaged record counts as none.
    pub(crate) fn load(path: PathBuf, clock: SharedClock) -> Self {
        let bytes = durable::read_small_file(&path, MAX_RECORD_BYTES).ok();
        let record: Record = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let pause = pause_after(record.failures);
        // The board's clock may stand anywhere at boot; whatever it says, the wait is no longer than the pause.
        let elapsed = clock.now().duration_since(record.last_attempt).max(SignedDuration::ZERO).unsigned_abs();
        let not_before = clock.monotonic() + pause.saturating_sub(elapsed);
        Self { path, clock, state: Mutex::new(State { failures: record.failures, not_before }) }
    }

    /// Counts an attempt as failed, on disk, before it is made; or says how long to wait. Blocks.
    pub(crate) fn begin(&self) -> Result<(), Duration> {
        let mut state = self.lock();
        let now = self.clock.monotonic();
        let wait = state.not_before.saturating_duration_since(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        state.failures = state.failures.saturating_add(1);
        state.not_before = now + pause_after(state.failures);
        self.save(state.failures);
        Ok(())
    }

    /// The attempt was wrong: the pause begins now, when the guesser knows it.
    pub(crate) fn failed(&self) {
        let mut state = self.lock();
        state.not_before = self.clock.monotonic() + pause_after(state.failures);
    }

    /// The attempt was right: the count starts again. Returns how many had failed before it. Blocks.
    pub(crate) fn succeeded(&self) -> u32 {
        let mut state = self.lock();
        let failed = state.failures.saturating_sub(1);
        *state = State { failures: 0, not_before: self.clock.monotonic() };
        self.save(0);
        failed
    }

    fn save(&self, failures: u32) {
        let record = Record { failures, last_attempt: self.clock.now() };
        let saved = serde_json::to_vec(&record).map_err(std::io::Error::from);
        // A read-only or full card must not keep the owner out; the count in memory still holds.
        if let Err(error) = saved.and_then(|bytes| durable::replace_file(&self.path, &bytes)) {
            warn!(error:% = error; "the count of failed attempts was not saved");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::clock::Clock;

    struct HandClock(Mutex<(Timestamp, Instant)>);

    impl HandClock {
        fn new() -> Arc<Self> {
            let start = "2026-11-21T00:00:00Z".parse().unwrap();
            Arc::new(Self(Mutex::new((start, Instant::now()))))
        }

        fn advance(&self, by: Duration) {
            let mut times = self.0.lock().unwrap();
            times.0 += by;
            times.1 += by;
        }

        fn turn_wall_clock_back(&self, by: Duration) {
            self.0.lock().unwrap().0 -= by;
        }
    }

    impl Clock for HandClock {
        fn now(&self) -> Timestamp {
            self.0.lock().unwrap().0
        }

        fn monotonic(&self) -> Instant {
            self.0.lock().unwrap().1
        }
    }

    fn fixture() -> (tempfile::TempDir, Arc<HandClock>) {
        (tempfile::tempdir().unwrap(), HandClock::new())
    }

    fn throttle(dir: &tempfile::TempDir, clock: &Arc<HandClock>) -> Throttle {
        Throttle::load(dir.path().join("attempts.json"), Arc::<HandClock>::clone(clock))
    }

    #[test]
    fn the_pause_grows_and_has_an_end() {
        let pauses = [0, 1, 2, 3, 4, 5, 8, 9, 10, 1000].map(|failures| pause_after(failures).as_secs());
        assert_eq!(pauses, [0, 2, 2, 2, 4, 8, 60, 60, 60, 60]);
    }

    #[test]
    fn the_next_attempt_waits_for_the_pause() {
        let (dir, clock) = fixture();
        let throttle = throttle(&dir, &clock);
        throttle.begin().unwrap();
        assert_eq!(throttle.begin(), Err(Duration::from_secs(2)), "even before the first has failed");
        clock.advance(Duration::from_millis(500));
        throttle.failed();
        clock.advance(Duration::from_millis(1999));
        assert_eq!(throttle.begin(), Err(Duration::from_millis(1)), "asking does not prolong the pause");
        clock.advance(Duration::from_millis(1));
        throttle.begin().unwrap();
    }

    #[test]
    fn a_restart_does_not_forget() {
        let (dir, clock) = fixture();
        for _ in 0..6 {
            throttle(&dir, &clock).begin().unwrap();
            clock.advance(Duration::from_mins(1));
        }
        throttle(&dir, &clock).begin().unwrap();
        clock.advance(Duration::from_secs(6));
        assert_eq!(throttle(&dir, &clock).begin(), Err(Duration::from_secs(26)), "32 s after the seventh, less 6");
    }

    #[test]
    fn a_clock_that_was_turned_back_does_not_lengthen_the_pause() {
        let (dir, clock) = fixture();
        throttle(&dir, &clock).begin().unwrap();
        clock.turn_wall_clock_back(Duration::from_secs(1_000_000));
        let after = throttle(&dir, &clock);
        assert_eq!(after.begin(), Err(Duration::from_secs(2)));
        clock.advance(Duration::from_secs(2));
        after.begin().unwrap();
    }

    #[test]
    fn a_success_starts_the_count_again() {
        let (dir, clock) = fixture();
        let throttle = throttle(&dir, &clock);
        throttle.begin().unwrap();
        clock.advance(Duration::from_secs(2));
        throttle.begin().unwrap();
        assert_eq!(throttle.succeeded(), 1);
        throttle.begin().unwrap();
        assert_eq!(throttle.succeeded(), 0);
    }
}
