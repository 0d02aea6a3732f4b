//! How far something has come, for whoever waits at a terminal. Programs are shown nothing.

use std::io::{self, IsTerminal, Write};

use crate::terminal::clean;

/// Takes the line away again when it ends.
pub(super) struct Progress {
    is_shown: bool,
    shown: String,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), shown: String::new() }
    }

    /// So many bytes of so many are done.
    pub(super) fn show(&mut self, name: &str, done: u64, all: u64) {
        if !self.is_shown {
            return;
        }
        let percent = (done.saturating_mul(100)).checked_div(all).unwrap_or(100);
        let text = format!("{percent:3} %  {}", clean(name));
        if text != self.shown {
            // Nobody misses a line of progress that does not come.
            drop(write!(io::stderr(), "\r\x1b[K{text}"));
            self.shown = text;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.shown.is_empty() {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}
