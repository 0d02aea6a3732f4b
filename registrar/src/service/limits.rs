//! How often somebody may ask: so many requests a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Error;
use super::identity::Person;
use crate::clock::SharedClock;

const WINDOW: Duration = Duration::from_mins(1);
/// People counted at once; more than that in a minute are told to wait.
const MAX_PEOPLE: usize = 100_000;

/// Counts requests.
pub(crate) struct Limits {
    per_minute: u32,
    clock: SharedClock,
    counted: Mutex<HashMap<String, (Instant, u32)>>,
}

impl Limits {
    /// For so many a minute, each.
    pub(crate) fn new(per_minute: u32, clock: SharedClock) -> Self {
        Self { per_minute, clock, counted: Mutex::default() }
    }

    /// Counts one.
    pub(crate) fn count(&self, person: &Person) -> Result<(), Error> {
        let now = self.clock.monotonic();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= MAX_PEOPLE {
            counted.retain(|_, (since, _)| now.saturating_duration_since(*since) < WINDOW);
        }
        if counted.len() >= MAX_PEOPLE && !counted.contains_key(&person.0) {
            return Err(Error::TooManyRequests { retry_after: WINDOW });
        }
        let (since, count) = counted.entry(person.0.clone()).or_insert((now, 0));
        let passed = now.saturating_duration_since(*since);
        if passed >= WINDOW {
            (*since, *count) = (now, 0);
        } else if *count >= self.per_minute {
            return Err(Error::TooManyRequests { retry_after: WINDOW.saturating_sub(passed) });
        }
        *count += 1;
        Ok(())
    }
}
