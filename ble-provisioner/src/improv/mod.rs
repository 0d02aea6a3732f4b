//! Improv Wi-Fi (its public contract for Bluetooth, version 2), for apps that speak nothing else; docs/ble.md, section 12.
//! One task beside the sessions. It can do nothing but join a network, and only while the owner has switched it on and in
//! the minute after a press of the button: whoever listens nearby learns the Wi-Fi's password.

mod machine;
mod packet;
mod table;

use std::time::Instant;

use coffer_crypto::channel::Peer;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{self, sleep_until},
};
use uuid::Uuid;
use zeroize::Zeroizing;

use self::machine::{Machine, Shown};
pub(crate) use self::{
    machine::State,
    packet::Wifi,
    table::{advertisement, application},
};
use crate::notify::Notifiers;

/// What is named wherever it is switched on.
pub(crate) const RISK: &str = "While Improv is on, whoever listens nearby can read the Wi-Fi password that an app sends; and \
    for a minute after each press of the button anybody nearby can bring the box into another network.";

/// Pieces that wait. The longest command has 13 of them at the smallest MTU.
const MAX_WAITING: usize = 64;

/// Something that happened.
pub(crate) enum Event {
    /// An app wrote bytes.
    Wrote { from: Peer, bytes: Zeroizing<Vec<u8>> },
    /// A phone's connection is gone.
    Left(Peer),
    /// Somebody pressed the button.
    Pressed,
}

/// What the task is reached by.
#[derive(Clone)]
pub(crate) struct Bridge {
    events: mpsc::Sender<Event>,
    shown: watch::Receiver<Shown>,
    notifiers: Notifiers<Uuid>,
}

impl Bridge {
    /// Something happened. Without the task the program is about to end.
    pub(crate) async fn tell(&self, event: Event) {
        drop(self.events.send(event).await);
    }

    /// How far it is; marked as seen.
    pub(crate) fn state(&mut self) -> State {
        self.shown.borrow_and_update().state
    }

    /// Returns when an app is shown something else. Dropping the future loses nothing.
    pub(crate) async fn changed(&mut self) {
        if self.shown.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The task's own end.
pub(crate) struct Improv {
    machine: Machine,
    events: mpsc::Receiver<Event>,
    shown: watch::Sender<Shown>,
    notifiers: Notifiers<Uuid>,
}

/// Both ends.
pub(crate) fn improv() -> (Improv, Bridge) {
    let (to_task, events) = mpsc::channel(MAX_WAITING);
    let machine = Machine::default();
    let shown = watch::Sender::new(machine.shown(now()));
    let notifiers = Notifiers::default();
    let bridge = Bridge { events: to_task, shown: shown.subscribe(), notifiers: notifiers.clone() };
    (Improv { machine, events, shown, notifiers }, bridge)
}

impl Improv {
    /// Serves apps while it is `on`, until the program ends. `is_taken` tells that a phone sets the box up; `join` joins a
    /// network, and tells the box's address if it has one.
    pub(crate) async fn run<Joining>(
        mut self,
        mut on: watch::Receiver<bool>,
        is_taken: watch::Receiver<bool>,
        join: impl Fn(Wifi) -> Joining,
    ) where
        Joining: Future<Output = Result<Option<String>, ()>> + Send + 'static,
    {
        let mut joining = JoinSet::new();
        loop {
            let deadline = self.machine.deadline();
            tokio::select! {
                // What comes after a switch is heard after it.
                biased;
                changed = on.changed() => match changed {
                    Err(_) => return,
                    // What was under way goes on, and nobody hears of its end.
                    Ok(()) => self.machine = Machine::default(),
                },
                Some(ended) = joining.join_next() => self.machine.ended(ended.unwrap_or(Err(()))),
                () = wait_until(deadline) => self.machine.tick(now()),
                event = self.events.recv() => match event {
                    None => return,
                    Some(_) if !*on.borrow() => {}
                    Some(Event::Pressed) => self.machine.pressed(now()),
                    Some(Event::Left(peer)) => self.machine.left(peer),
                    Some(Event::Wrote { from, bytes }) => {
                        let is_free = !*is_taken.borrow();
                        if let Some(wifi) = self.machine.wrote(from, &bytes, is_free, now()) {
                            log::info!("an app joins the box to a network by Improv");
                            joining.spawn(join(wifi));
                        }
                    }
                },
            }
            self.tell().await;
        }
    }

    /// Tells apps what is news. The result comes before the state that makes apps look at it.
    async fn tell(&self) {
        let shown = self.machine.shown(now());
        let before = self.shown.send_replace(shown.clone());
        for (uuid, value, is_news) in [
            (table::ERROR, table::error(&shown), (before.fault, before.faults) != (shown.fault, shown.faults)),
            (table::RESULT, table::result(&shown), before.result != shown.result && !shown.result.is_empty()),
            (table::STATE, table::state(&shown), before.state != shown.state),
        ] {
            if is_news {
                self.notifiers.notify(uuid, vec![value]).await;
            }
        }
    }
}

/// By the runtime's clock, which tests can stop.
fn now() -> Instant {
    time::Instant::now().into_std()
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{packet::tests::send_wifi, *};

    const APP: Peer = Peer(1);

    /// The task, with every network there is.
    struct World {
        bridge: Bridge,
        on: watch::Sender<bool>,
        taken: watch::Sender<bool>,
        joined: mpsc::UnboundedReceiver<Wifi>,
        _task: JoinSet<()>,
    }

    impl World {
        fn new(on: bool) -> Self {
            let (improv, bridge) = improv();
            let (on, taken) = (watch::Sender::new(on), watch::Sender::new(false));
            let (wanted, joined) = mpsc::unbounded_channel();
            let mut task = JoinSet::new();
            task.spawn(improv.run(on.subscribe(), taken.subscribe(), move |wifi| {
                wanted.send(wifi).unwrap();
                async { Ok(None) }
            }));
            Self { bridge, on, taken, joined, _task: task }
        }

        async fn write(&self) {
            let bytes = Zeroizing::new(send_wifi(b"Home", b"password"));
            self.bridge.tell(Event::Wrote { from: APP, bytes }).await;
        }

        /// Waits until it has heard what it was told.
        async fn has_heard(&self) {
            while self.bridge.events.capacity() < MAX_WAITING {
                tokio::task::yield_now().await;
            }
        }

        async fn shows(&mut self, state: State) -> Shown {
            self.bridge.shown.wait_for(|shown| shown.state == state).await.unwrap().clone()
        }

        async fn refuses(&mut self) -> u8 {
            let faults = self.bridge.shown.borrow().faults;
            self.write().await;
            self.bridge.shown.wait_for(|shown| shown.faults != faults).await.unwrap().fault as u8
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_closes_by_itself_a_minute_after_the_button() {
        let mut world = World::new(true);
        assert_eq!(world.refuses().await, 4);
        let pressed = time::Instant::now();
        world.bridge.tell(Event::Pressed).await;
        world.shows(State::Authorised).await;
        world.shows(State::AuthorisationRequired).await;
        let open = pressed.elapsed();
        assert!((Duration::from_mins(1)..Duration::from_secs(61)).contains(&open), "{open:?}");
        assert_eq!(world.refuses().await, 4);
        assert!(world.joined.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn within_the_minute_an_app_joins_the_box_to_its_network() {
        let mut world = World::new(true);
        world.bridge.tell(Event::Pressed).await;
        world.write().await;
        assert_eq!(world.joined.recv().await.unwrap().ssid.as_bytes(), b"Home");
        assert_eq!(world.shows(State::Provisioned).await.result, [1, 0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn switched_off_it_hears_nothing_and_a_press_of_before_does_not_count() {
        let mut world = World::new(false);
        world.bridge.tell(Event::Pressed).await;
        world.write().await;
        world.has_heard().await;
        world.on.send_replace(true);
        assert_eq!(world.refuses().await, 4);

        world.bridge.tell(Event::Pressed).await;
        world.shows(State::Authorised).await;
        world.on.send_replace(false);
        world.shows(State::AuthorisationRequired).await;
        world.on.send_replace(true);
        assert_eq!(world.refuses().await, 4);
        assert!(world.joined.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_phone_that_sets_the_box_up_goes_before() {
        let mut world = World::new(true);
        world.taken.send_replace(true);
        world.bridge.tell(Event::Pressed).await;
        world.shows(State::Authorised).await;
        assert_eq!(world.refuses().await, 3);
        world.taken.send_replace(false);
        world.write().await;
        assert!(world.joined.recv().await.is_some());
    }
}
