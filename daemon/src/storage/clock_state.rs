//! Whether somebody has set the machine's clock: it has no battery, and starts where it stopped.

use std::path::Path;

/// Made by systemd-timesyncd when a time server was reached, or told it by systemd-timedated (systemd-timesyncd(8)).
const MARK: &str = "/run/systemd/timesync/synchronized";

/// Whether a time server has set the clock since the start.
pub(crate) fn is_set() -> bool {
    Path::new(MARK).exists()
}
