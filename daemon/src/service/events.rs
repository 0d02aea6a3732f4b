//! Guards and observers: how behaviour is added without changing a service.
//!
//! A guard runs before a commit and may refuse it. An observer hears of it afterwards, on a bounded queue of its own;
//! when it panics or takes too long, only this one observation is lost.

use std::sync::Arc;
use std::time::Duration;

use log::{error, warn};
use tokio::sync::mpsc;

use super::Error;
use super::feed::Feed;
use crate::model::event::{Event, Intent};

/// Events that may wait for one observer; more are dropped, and logged.
const QUEUE: usize = 1024;

/// How long one observation is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs before a commit.
pub(crate) trait Guard: Send + Sync {
    /// Refuses by an error.
    fn check(&self, intent: &Intent) -> Result<(), Error>;
}

/// Runs after a commit. May block.
pub(crate) trait Observer: Send + Sync + 'static {
    /// For the log.
    fn name(&self) -> &'static str;
    /// Reacts to an event.
    fn observe(&self, event: &Event);
}

/// Who reacts to what happens in the vault.
pub(crate) struct EventBus {
    guards: Vec<Box<dyn Guard>>,
    observers: Vec<(&'static str, mpsc::Sender<Event>)>,
    feed: Arc<Feed>,
}

impl EventBus {
    /// Starts one task for each observer. Call it inside the runtime.
    pub(crate) fn start(guards: Vec<Box<dyn Guard>>, observers: Vec<Arc<dyn Observer>>, feed: Arc<Feed>) -> Self {
        let observers = observers
            .into_iter()
            .map(|observer| {
                let (sender, receiver) = mpsc::channel(QUEUE);
                let name = observer.name();
                tokio::spawn(observe_all(observer, receiver));
                (name, sender)
            })
            .collect();
        Self { guards, observers, feed }
    }

    /// Asks every guard; the first refusal counts.
    pub(crate) fn check(&self, intent: &Intent) -> Result<(), Error> {
        self.guards.iter().try_for_each(|guard| guard.check(intent))
    }

    /// Tells every observer, and those who follow the events live.
    pub(crate) fn publish(&self, event: &Event) {
        self.feed.publish(event);
        for (observer, sender) in &self.observers {
            if sender.try_send(event.clone()).is_err() {
                warn!(observer, event = event.name(); "an observer cannot keep up; an event is dropped");
            }
        }
    }

    /// How many events wait for each observer.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.observers.iter().map(|(name, sender)| (*name, sender.max_capacity() - sender.capacity()))
    }
}

async fn observe_all(observer: Arc<dyn Observer>, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        let (name, event_name) = (observer.name(), event.name());
        let observer = Arc::clone(&observer);
        let observation = tokio::task::spawn_blocking(move || observer.observe(&event));
        match tokio::time::timeout(LIMIT, observation).await {
            Ok(Ok(())) => {}
            Ok(Err(_panic)) => error!(observer = name, event = event_name; "an observer failed"),
            Err(_elapsed) => error!(observer = name, event = event_name; "an observer takes too long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as sync;

    use uuid::Uuid;

    use super::*;
    use crate::model::clock::SystemClock;

    struct Recorder(sync::Sender<Event>);

    impl Observer for Recorder {
        fn name(&self) -> &'static str {
            "recorder"
        }

        fn observe(&self, event: &Event) {
            assert!(!matches!(event, Event::FolderDeleted { .. }), "the observer dislikes this one");
            self.0.send(event.clone()).unwrap();
        }
    }

    fn bus(guards: Vec<Box<dyn Guard>>, observers: Vec<Arc<dyn Observer>>) -> EventBus {
        EventBus::start(guards, observers, Arc::new(Feed::new(Arc::new(SystemClock))))
    }

    struct Full;

    impl Guard for Full {
        fn check(&self, _: &Intent) -> Result<(), Error> {
            Err(Error::StorageFull)
        }
    }

    #[tokio::test]
    async fn an_observer_that_panics_hears_the_next_event_all_the_same() {
        let (sender, receiver) = sync::channel();
        let bus = bus(Vec::new(), vec![Arc::new(Recorder(sender))]);
        let next = Event::FileDeleted { file_id: Uuid::nil(), folder_id: None };
        bus.publish(&Event::FolderDeleted { folder_id: Uuid::nil(), parent_id: None });
        bus.publish(&next);
        let heard = tokio::task::spawn_blocking(move || receiver.recv()).await.unwrap().unwrap();
        assert_eq!(heard, next);
    }

    #[tokio::test]
    async fn a_guard_refuses() {
        let intent = Intent::StoreFile { size_bytes: 1, free_bytes: 2, reserve_bytes: 0 };
        assert!(bus(Vec::new(), Vec::new()).check(&intent).is_ok());
        let refusal = bus(vec![Box::new(Full)], Vec::new()).check(&intent);
        assert!(matches!(refusal, Err(Error::StorageFull)));
    }
}
