//! Logins that wait for their next step. Kept in memory, for a short time, each for one session.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use lru::LruCache;
use rand_core::Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::model::clock::{SharedClock, system_rng};

/// How long a person has to find their second factor.
pub(super) const LIFETIME: Duration = Duration::from_mins(2);
/// Slips of the finger that a challenge survives; then the password is asked for again.
const TRIES: u32 = 5;
/// Challenges that may be open; the oldest is forgotten first.
const OPEN: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// The open challenges, each with what its login was about.
pub(super) struct Challenges<T> {
    clock: SharedClock,
    lifetime: Duration,
    open: Mutex<LruCache<[u8; 32], Open<T>>>,
}

/// A challenge that was taken up.
pub(super) struct Open<T> {
    pub(super) login: T,
    ends: Instant,
    tries_left: u32,
}

impl<T> Challenges<T> {
    /// None yet. Each ends after so long.
    pub(super) fn new(clock: SharedClock, lifetime: Duration) -> Self {
        Self { clock, lifetime, open: Mutex::new(LruCache::new(OPEN)) }
    }

    /// Opens one, and gives the text that names it to whoever knew the password.
    pub(super) fn open(&self, login: T) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32]);
        system_rng().fill_bytes(bytes.as_mut_slice());
        let text = Zeroizing::new(BASE64URL_NOPAD.encode(bytes.as_slice()));
        let ends = self.clock.monotonic() + self.lifetime;
        self.lock().put(name(&text), Open { login, ends, tries_left: TRIES });
        text
    }

    /// Takes one up: whoever comes at the same time finds none. `None` when there is none such, or it has ended.
    pub(super) fn take(&self, text: &str) -> Option<Open<T>> {
        let open = self.lock().pop(&name(text))?;
        (self.clock.monotonic() < open.ends).then_some(open)
    }

    /// Gives one back after a wrong answer, unless that was the last try.
    pub(super) fn slipped(&self, text: &str, mut open: Open<T>) {
        open.tries_left = open.tries_left.saturating_sub(1);
        if open.tries_left > 0 {
            self.put_back(text, open);
        }
    }

    /// Gives one back whose answer was not looked at.
    pub(super) fn put_back(&self, text: &str, open: Open<T>) {
        self.lock().put(name(text), open);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<[u8; 32], Open<T>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looked up by its hash, so that the time of a look says nothing of the texts that exist.
fn name(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::clock::SystemClock;

    #[test]
    fn a_challenge_is_taken_up_once_and_survives_four_slips() {
        let challenges = Challenges::new(Arc::new(SystemClock), LIFETIME);
        let text = challenges.open("ada");
        assert!(challenges.take("another").is_none());
        for _ in 0..4 {
            let open = challenges.take(&text).unwrap();
            assert!(challenges.take(&text).is_none(), "at the same time");
            challenges.slipped(&text, open);
        }
        let last = challenges.take(&text).unwrap();
        challenges.slipped(&text, last);
        assert!(challenges.take(&text).is_none());
    }
}
