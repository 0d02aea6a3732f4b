//! Time, as a parameter.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// 2026-11-01. No earlier time can be right: this program is younger.
#[expect(clippy::duration_suboptimal_units, reason = "the times of this clock are in seconds")]
const WRITTEN: Duration = Duration::from_secs(1_793_491_200);

/// The two clocks that matter here.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Time of day, since 1970.
    pub since_epoch: fn() -> Duration,
    /// Time since the machine started, sleep included.
    pub since_boot: fn() -> Duration,
}

impl Clock {
    /// The machine's own.
    pub const fn system() -> Self {
        Self { since_epoch: || read(ClockId::CLOCK_REALTIME), since_boot: || read(ClockId::CLOCK_BOOTTIME) }
    }

    /// Whether certificates can be checked against it.
    pub(crate) fn is_plausible(self) -> bool {
        (self.since_epoch)() >= WRITTEN
    }
}

/// These clocks exist on every Linux; a time that could not be read is no plausible one.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}
