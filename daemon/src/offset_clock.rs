//! A clock that a test moves forward, by writing seconds to a file. Not part of a release build.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::model::clock::{Clock, SystemClock};

/// The system's clocks, moved by the number in a file. No file, or none with a number, moves nothing.
pub(crate) struct OffsetClock {
    path: PathBuf,
}

impl OffsetClock {
    /// Moved by what is in that file.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn offset(&self) -> Duration {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        Duration::from_secs(text.trim().parse().unwrap_or(0))
    }
}

impl Clock for OffsetClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.offset()
    }

    fn monotonic(&self) -> Instant {
        SystemClock.monotonic() + self.offset()
    }
}
