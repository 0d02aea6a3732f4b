//! When the box may be found. Pure: knows the rule, not the radio.

use std::time::{Duration, Instant};

/// How long the box stays findable after somebody touched it.
pub(crate) const AFTER_TOUCH: Duration = Duration::from_mins(10);
/// How long it has to be offline before it lets itself be found. Short breaks of a network are nobody's concern.
const OFFLINE_FOR: Duration = Duration::from_mins(2);

/// What the rule looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    /// Whether somebody owns the box; `None` while nobody could tell.
    pub(crate) claimed: Option<bool>,
    /// Since when there has been no way to the internet; `None` while there is one.
    pub(crate) offline_since: Option<Instant>,
    /// Up to when a press of the button counts.
    pub(crate) touched_until: Option<Instant>,
    /// Whether a code or an invitation is waiting to be used: it was made to be used over the air.
    pub(crate) invited: bool,
}

impl Window {
    /// Whether the box advertises now.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.claimed == Some(false)
            || self.invited
            || self.touched_until.is_some_and(|until| now < until)
            || self.offline_since.is_some_and(|since| now.saturating_duration_since(since) >= OFFLINE_FOR)
    }

    /// When the answer may change by itself.
    pub(crate) fn next_change(&self, now: Instant) -> Option<Instant> {
        let offline = self.offline_since.map(|since| since + OFFLINE_FOR);
        [self.touched_until, offline].into_iter().flatten().filter(|moment| *moment > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_may_be_found_while_nobody_owns_it_while_it_is_offline_and_after_a_touch() {
        let now = Instant::now();
        let owned = Window { claimed: Some(true), ..Window::default() };
        let later = |seconds| now + Duration::from_secs(seconds);
        for (window, at, open) in [
            (owned, now, false),
            (Window { claimed: Some(false), ..owned }, now, true),
            (Window { claimed: None, ..owned }, now, false),
            (Window { invited: true, ..owned }, now, true),
            (Window { offline_since: Some(now), ..owned }, later(119), false),
            (Window { offline_since: Some(now), ..owned }, later(120), true),
            (Window { touched_until: Some(now + AFTER_TOUCH), ..owned }, later(599), true),
            (Window { touched_until: Some(now + AFTER_TOUCH), ..owned }, later(600), false),
        ] {
            assert_eq!(window.is_open(at), open, "{window:?} after {:?}", at.saturating_duration_since(now));
        }
    }

    #[test]
    fn the_next_change_is_the_nearest_that_is_still_to_come() {
        let now = Instant::now();
        let window = Window { offline_since: Some(now), touched_until: Some(now + AFTER_TOUCH), ..Window::default() };
        assert_eq!(window.next_change(now), Some(now + OFFLINE_FOR));
        assert_eq!(window.next_change(now + OFFLINE_FOR), Some(now + AFTER_TOUCH));
        assert_eq!(window.next_change(now + AFTER_TOUCH), None);
    }
}
