//! Where log lines go: to journald with their fields when standard error is the journal, else to standard error.

use std::io::Write;

use log::LevelFilter;
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// Sets the logger up. `COFFER_LOG` (`error`, `warn`, `info`, `debug`) chooses the level; `info` when absent.
pub(crate) fn start() {
    let level = std::env::var("COFFER_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::Info);
    if connected_to_journal()
        && let Ok(journal) = JournalLog::new()
        && journal.with_syslog_identifier("cofferd".to_owned()).install().is_ok()
    {
        log::set_max_level(level);
        return;
    }
    env_logger::Builder::new().filter_level(LevelFilter::Warn).filter_module("cofferd", level).init();
    // A panic's message may hold a value; the place is enough to find the bug.
    drop(std::io::stderr().flush());
}

/// Reports panics by their place only.
pub(crate) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log::error!(place:% = place; "a bug was hit");
    }));
}
