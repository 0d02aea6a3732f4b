//! The last events, in order, for those who follow them live: kept in memory, for as long as the vault is unlocked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rand_core::Rng;
use tokio::sync::broadcast;

use super::unlocked::Lease;
use crate::model::clock::{SharedClock, system_rng};
use crate::model::event::Event;

/// Events that are kept for whoever comes back; also how far a follower may fall behind.
const KEPT: usize = 1024;

/// An event in its place.
#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) place: Place,
    pub(crate) at: Timestamp,
    pub(crate) event: Event,
}

/// A place in the order of events: behind that many since the epoch began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    epoch: u64,
    number: u64,
}

impl Place {
    /// As it goes to the client.
    pub(crate) fn to_text(self) -> String {
        format!("{:016x}-{}", self.epoch, self.number)
    }

    /// As it comes back. `None` when it is not one of ours.
    fn parse(text: &str) -> Option<Self> {
        let (epoch, number) = text.split_once('-')?;
        Some(Self { epoch: u64::from_str_radix(epoch, 16).ok()?, number: number.parse().ok()? })
    }
}

/// Takes events in and hands them on.
pub(crate) struct Feed {
    clock: SharedClock,
    kept: Mutex<Kept>,
    news: broadcast::Sender<Arc<Happened>>,
}

struct Kept {
    /// Another one after each lock and start, so that no place of an earlier life is taken for one of this.
    epoch: u64,
    last: u64,
    events: VecDeque<Arc<Happened>>,
}

/// What follows a place.
pub(super) struct Followed {
    /// The place that is followed, or the present one when that cannot be done.
    pub(super) place: Place,
    /// What came after the wanted place is not known: the client has missed something.
    pub(super) reset: bool,
    /// What happened since.
    pub(super) missed: Vec<Arc<Happened>>,
    /// What happens from now on.
    pub(super) news: broadcast::Receiver<Arc<Happened>>,
}

impl Feed {
    /// An empty feed.
    pub(crate) fn new(clock: SharedClock) -> Self {
        let (news, _) = broadcast::channel(KEPT);
        let kept = Kept { epoch: system_rng().next_u64(), last: 0, events: VecDeque::new() };
        Self { clock, kept: Mutex::new(kept), news }
    }

    /// Takes an event in.
    pub(super) fn publish(&self, event: &Event) {
        let mut kept = self.lock();
        kept.last += 1;
        let place = Place { epoch: kept.epoch, number: kept.last };
        let happened = Arc::new(Happened { place, at: self.clock.now(), event: event.clone() });
        if kept.events.len() == KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(Arc::clone(&happened));
        // Nobody may be listening. Sent under the lock, so that what is kept and what is heard are in one order.
        drop(self.news.send(happened));
    }

    /// Follows the events from a place on, or from now.
    pub(super) fn follow(&self, after: Option<&str>) -> Followed {
        let kept = self.lock();
        let present = Place { epoch: kept.epoch, number: kept.last };
        let known = |place: &Place| {
            let oldest = kept.last - u64::try_from(kept.events.len()).unwrap_or(kept.last);
            place.epoch == kept.epoch && (oldest..=kept.last).contains(&place.number)
        };
        let wanted = after.map(|text| Place::parse(text).filter(known));
        let place = wanted.flatten().unwrap_or(present);
        let missed = kept.events.iter().filter(|happened| happened.place.number > place.number).cloned().collect();
        Followed { place, reset: wanted == Some(None), missed, news: self.news.subscribe() }
    }

    /// Forgets everything when the vault is locked.
    pub(crate) async fn forget_at_lock(self: Arc<Self>, lease: Lease) {
        let locking = lease.locking();
        drop(lease);
        locking.await;
        let mut kept = self.lock();
        *kept = Kept { epoch: system_rng().next_u64(), last: 0, events: VecDeque::new() };
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::clock::SystemClock;

    fn feed(events: u128) -> Feed {
        let feed = Feed::new(Arc::new(SystemClock));
        for number in 1..=events {
            feed.publish(&Event::UserChanged { user_id: Uuid::from_u128(number) });
        }
        feed
    }

    fn missed(followed: &Followed) -> Vec<u128> {
        followed.missed.iter().map(|happened| happened.event.subject().as_u128()).collect()
    }

    #[test]
    fn whoever_comes_back_in_time_misses_nothing() {
        let feed = feed(5);
        let epoch = feed.lock().epoch;
        for (number, expected) in [(0, vec![1, 2, 3, 4, 5]), (3, vec![4, 5]), (5, vec![])] {
            let followed = feed.follow(Some(&Place { epoch, number }.to_text()));
            assert_eq!((missed(&followed), followed.reset), (expected, false));
        }
        let anew = feed.follow(None);
        assert_eq!((missed(&anew), anew.reset, anew.place.number), (vec![], false, 5));
    }

    #[test]
    fn whoever_was_away_for_too_long_is_told_so() {
        let events = KEPT as u64 + 10;
        let feed = feed(events.into());
        let epoch = feed.lock().epoch;
        let place = |epoch, number| Place { epoch, number }.to_text();
        assert!(!feed.follow(Some(&place(epoch, 10))).reset);
        let unknown =
            [place(epoch, 9), place(epoch, events + 1), place(epoch ^ 1, events), String::new(), "x-1".to_owned()];
        for unknown in unknown {
            let followed = feed.follow(Some(&unknown));
            assert!(followed.reset && followed.missed.is_empty(), "{unknown}");
            assert_eq!(followed.place, Place { epoch, number: events });
        }
    }
}
