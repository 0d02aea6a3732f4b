//! How often codes may be guessed: the rule, and not where the count is kept.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Wrong proofs that cost nothing but themselves.
const FREE: u32 = 5;
/// After so many, no code is accepted until a person touches the box.
const MAX: u32 = 20;
const FIRST_DELAY: Duration = Duration::from_mins(1);
const MAX_DELAY: Duration = Duration::from_mins(15);

/// The proofs that were not right since the last one that was. Kept on disk: a box that is started again remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guesses {
    count: u32,
    /// The start of the box during which the last one was counted.
    boot_id: Uuid,
    /// When that was, on the clock of that start.
    at_s: u64,
}

/// A moment: the time since this start of the box, which nobody can set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Names this start (`/proc/sys/kernel/random/boot_id`).
    pub(crate) boot_id: Uuid,
    /// Since then, with the time that the box slept (`CLOCK_BOOTTIME`).
    pub(crate) since_boot: Duration,
}

impl Moment {
    /// This one.
    pub(crate) fn now(boot_id: Uuid) -> Self {
        // The clock exists on every Linux; without it delays begin anew.
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
        Self { boot_id, since_boot }
    }
}

/// Why a code is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too soon.
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Too many: a person has to touch the box.
    WindowClosed,
}

impl Guesses {
    /// Whether a code may be tried now.
    pub(crate) fn allow(&self, now: Moment) -> Result<(), Refusal> {
        let here = self.after_start(now);
        if here.count >= MAX {
            return Err(Refusal::WindowClosed);
        }
        let passed = now.since_boot.saturating_sub(Duration::from_secs(here.at_s));
        match here.delay().saturating_sub(passed) {
            Duration::ZERO => Ok(()),
            retry_after => Err(Refusal::Throttled { retry_after }),
        }
    }

    /// One more, about to be looked at.
    pub(crate) fn counted(&self, now: Moment) -> Self {
        let count = self.after_start(now).count.saturating_add(1);
        // Rounded up: a delay is never shorter for it.
        let at_s = now.since_boot.as_secs() + u64::from(now.since_boot.subsec_nanos() > 0);
        Self { count, boot_id: now.boot_id, at_s }
    }

    /// A person pressed the button: codes are accepted again, though none is free.
    pub(crate) fn reopened(&self) -> Self {
        Self { count: self.count.min(FREE), at_s: 0, ..self.clone() }
    }

    /// Starting the box opens the window again, and whatever delay was left begins anew.
    fn after_start(&self, now: Moment) -> Self {
        if self.boot_id == now.boot_id || self.count == 0 {
            return self.clone();
        }
        Self { count: if self.count >= MAX { FREE } else { self.count }, boot_id: now.boot_id, at_s: 0 }
    }

    /// How long the next attempt waits after the last.
    fn delay(&self) -> Duration {
        match self.count.saturating_sub(FREE) {
            0 => Duration::ZERO,
            paid => FIRST_DELAY.saturating_mul(2_u32.saturating_pow(paid - 1)).min(MAX_DELAY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: u128, seconds: u64) -> Moment {
        Moment { boot_id: Uuid::from_u128(boot), since_boot: Duration::from_secs(seconds) }
    }

    fn after(wrong: u32, boot: u128, seconds: u64) -> Guesses {
        (0..wrong).fold(Guesses::default(), |guesses, _| guesses.counted(at(boot, seconds)))
    }

    #[test]
    fn five_are_free_then_each_waits_twice_as_long_up_to_a_quarter_of_an_hour() {
        for (wrong, wait_s) in [(0, 0), (4, 0), (5, 0), (6, 60), (7, 120), (8, 240), (9, 480), (10, 900), (19, 900)] {
            let guesses = after(wrong, 1, 100);
            if wait_s == 0 {
                assert_eq!(guesses.allow(at(1, 100)), Ok(()), "after {wrong}");
                continue;
            }
            let retry_after = |seconds| Refusal::Throttled { retry_after: Duration::from_secs(seconds) };
            assert_eq!(guesses.allow(at(1, 100)), Err(retry_after(wait_s)), "after {wrong}");
            assert_eq!(guesses.allow(at(1, 100 + wait_s - 1)), Err(retry_after(1)), "after {wrong}");
            assert_eq!(guesses.allow(at(1, 100 + wait_s)), Ok(()), "after {wrong}");
        }
    }

    #[test]
    fn the_window_closes_at_twenty_until_the_button_or_a_start() {
        let closed = after(20, 1, 100);
        assert_eq!(closed.allow(at(1, 1_000_000)), Err(Refusal::WindowClosed));
        for (guesses, now) in [(closed.reopened(), at(1, 101)), (closed, at(2, 5))] {
            assert_eq!(guesses.allow(now), Ok(()));
            let again = guesses.counted(now);
            assert_eq!(again.allow(now), Err(Refusal::Throttled { retry_after: FIRST_DELAY }), "none is free");
        }
    }

    #[test]
    fn a_start_does_not_shorten_the_wait() {
        let guesses = after(7, 1, 100_000);
        assert_eq!(guesses.allow(at(2, 0)), Err(Refusal::Throttled { retry_after: Duration::from_mins(2) }));
        assert_eq!(guesses.allow(at(2, 120)), Ok(()));
    }

    #[test]
    fn a_part_of_a_second_never_shortens_the_wait() {
        let counted = Moment { boot_id: Uuid::nil(), since_boot: Duration::from_millis(100_900) };
        let guesses = (0..6).fold(Guesses::default(), |guesses, _| guesses.counted(counted));
        let early = Moment { boot_id: Uuid::nil(), since_boot: Duration::from_millis(160_899) };
        assert!(guesses.allow(early).is_err());
    }
}
