//! How far a transfer is, on a terminal that somebody looks at.

use std::{
    cell::{Cell, RefCell},
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use coffer_client::files::path::shown;
use rustix::termios::tcgetwinsize;

/// Oftener than this nobody sees it.
const BETWEEN: Duration = Duration::from_millis(100);
const BAR_COLUMNS: u64 = 20;
/// Where a terminal does not say.
const USUAL_COLUMNS: usize = 80;

/// One line that is drawn again and again, and gone at the end. Programs are shown nothing.
pub(super) struct Progress {
    is_shown: bool,
    /// What is moved at the moment.
    name: RefCell<String>,
    /// When the first bytes of it were told, and how many that were.
    begun: Cell<Option<(Instant, u64)>>,
    drawn: Cell<Option<Instant>>,
}

impl Progress {
    pub(super) fn new(is_wanted: bool) -> Self {
        Self {
            is_shown: is_wanted && io::stderr().is_terminal(),
            name: RefCell::default(),
            begun: Cell::new(None),
            drawn: Cell::new(None),
        }
    }

    /// So many bytes of so many are moved.
    pub(super) fn tell(&self, name: &str, done_bytes: u64, total_bytes: u64) {
        if !self.is_shown || self.drawn.get().is_some_and(|drawn| drawn.elapsed() < BETWEEN) {
            return;
        }
        if *self.name.borrow() != name {
            name.clone_into(&mut self.name.borrow_mut());
            self.begun.set(None);
        }
        let (begun, first_bytes) = self.begun.get().unwrap_or_else(|| (Instant::now(), done_bytes));
        self.begun.set(Some((begun, first_bytes)));
        self.drawn.set(Some(Instant::now()));
        let moved_bytes = done_bytes.saturating_sub(first_bytes);
        let line = line(&shown(name), done_bytes, total_bytes, moved_bytes, begun.elapsed());
        let columns = tcgetwinsize(io::stderr()).map_or(USUAL_COLUMNS, |size| size.ws_col.into());
        let line: String = line.chars().take(columns.saturating_sub(1)).collect();
        draw(&format!("\r{line}\x1b[K"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.get().is_some() {
            draw("\r\x1b[K");
        }
    }
}

/// A line that cannot be drawn is no reason to end a transfer.
fn draw(text: &str) {
    let mut stderr = io::stderr();
    drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
}

fn line(name: &str, done_bytes: u64, total_bytes: u64, moved_bytes: u64, within: Duration) -> String {
    let share = |of: u64| u64::try_from(u128::from(done_bytes) * u128::from(of) / u128::from(total_bytes.max(1)));
    let full = share(BAR_COLUMNS).unwrap_or(0).min(BAR_COLUMNS);
    let bar: String = (0..BAR_COLUMNS).map(|column| if column < full { '#' } else { '.' }).collect();
    let per_s = u128::from(moved_bytes) * 1000 / within.as_millis().max(1);
    let rate = size(u64::try_from(per_s).unwrap_or(u64::MAX));
    let percent = share(100).unwrap_or(0);
    format!("{percent:>3} % [{bar}] {} of {}, {rate}/s  {name}", size(done_bytes), size(total_bytes))
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    let mut unit = ("B", 1);
    for larger in [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)] {
        if bytes >= larger.1 {
            unit = larger;
        }
    }
    let (name, unit) = unit;
    if unit == 1 { format!("{bytes} {name}") } else { format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_bytes() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_835_008, "1.7 MiB"), (u64::MAX, "16777215.9 TiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_line_says_how_far_it_is() {
        let half = line("a", 1 << 20, 2 << 20, 1 << 19, Duration::from_secs(1));
        assert_eq!(half, " 50 % [##########..........] 1.0 MiB of 2.0 MiB, 512.0 KiB/s  a");
        assert!(line("a", 0, 0, 0, Duration::ZERO).starts_with("  0 % [....................] 0 B of 0 B"));
        assert!(line("a", u64::MAX, u64::MAX, u64::MAX, Duration::ZERO).starts_with("100 % [####################]"));
    }
}
