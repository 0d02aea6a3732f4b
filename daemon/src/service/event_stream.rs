//! Events as they happen, for whoever follows them: each sees what they may see, for as long as they may.
//!
//! A stream ends when the credential that opened it does, when the vault is locked, and when its client does not keep
//! up. It can be taken up again where it ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coffer_api::ToldEvent;
use log::{debug, warn};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::WaitForCancellationFutureOwned;
use uuid::Uuid;

use super::Error;
use super::access::viewer;
use super::caller::Caller;
use super::common::Common;
use super::feed::{Feed, Followed, Happened, Place};
use super::sessions::Sessions;
use crate::model::access::Viewer;
use crate::model::role::{self, Action};
use crate::model::told::{self, Audience};
use crate::repo::{access, secrets};

/// Streams of one account.
const PER_ACCOUNT: u32 = 10;
/// Streams in all: a quarter of the connections.
const IN_ALL: u32 = 128;
/// Parts that wait for a client to take them.
const AHEAD: usize = 32;
/// For how long they may wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often something is sent at least, so that nobody on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How often a stream looks at the clock: for its heartbeat, and for the end of its session.
const TICK: Duration = Duration::from_secs(1);
/// Events that are looked at together.
const BATCH: usize = 256;

/// A part of a stream.
#[derive(Debug)]
pub(crate) enum Part {
    /// Where the stream begins. After a reset the client must look at everything anew.
    Begin { place: Place, reset: bool },
    /// Something happened.
    Event { place: Place, told: ToldEvent },
    /// Nothing did, up to here.
    Heartbeat { place: Place },
}

/// The streams that are open.
pub(crate) struct EventStreams {
    common: Common,
    feed: Arc<Feed>,
    sessions: Arc<Sessions>,
    open: Arc<Mutex<HashMap<Uuid, u32>>>,
}

impl EventStreams {
    /// A service.
    pub(crate) fn new(common: Common, feed: Arc<Feed>, sessions: Arc<Sessions>) -> Self {
        Self { common, feed, sessions, open: Arc::default() }
    }

    /// Follows the events from a place on, as a client names it, or from now.
    pub(crate) async fn open(&self, caller: Caller, after: Option<&str>) -> Result<mpsc::Receiver<Part>, Error> {
        caller.require(Action::Read).await?;
        let seat = Seat::take(&self.open, caller.user.id)?;
        let (sender, parts) = mpsc::channel(AHEAD);
        let follower = Follower {
            viewer: viewer(&caller),
            manages_people: caller.scope().is_none() && role::allowed(caller.role(), Action::ManagePeople),
            manages_device: caller.scope().is_none() && role::allowed(caller.role(), Action::ManageDevice),
            // Before the credential is looked at again: no change in between is missed.
            people: caller.store().people_changed(),
            locking: Box::pin(caller.lease().locking()),
            common: self.common.clone(),
            sessions: Arc::clone(&self.sessions),
            caller,
            sender,
            _seat: seat,
        };
        tokio::spawn(follower.run(self.feed.follow(after)));
        Ok(parts)
    }

    /// How many are open.
    pub(crate) fn count(&self) -> u32 {
        lock(&self.open).values().sum()
    }
}

/// One of the streams that there may be.
struct Seat {
    open: Arc<Mutex<HashMap<Uuid, u32>>>,
    user_id: Uuid,
}

impl Seat {
    fn take(open: &Arc<Mutex<HashMap<Uuid, u32>>>, user_id: Uuid) -> Result<Self, Error> {
        let mut taken = lock(open);
        if taken.values().sum::<u32>() >= IN_ALL {
            return Err(Error::Busy);
        }
        let own = taken.entry(user_id).or_default();
        if *own >= PER_ACCOUNT {
            return Err(Error::LimitReached { what: "streams of events of this account", limit: PER_ACCOUNT });
        }
        *own += 1;
        Ok(Self { open: Arc::clone(open), user_id })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.open);
        if let Some(own) = taken.get_mut(&self.user_id) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.user_id);
            }
        }
    }
}

/// The stream has ended.
struct Over;

/// Whoever follows.
struct Follower {
    common: Common,
    sessions: Arc<Sessions>,
    caller: Caller,
    viewer: Viewer,
    manages_people: bool,
    manages_device: bool,
    people: watch::Receiver<()>,
    locking: std::pin::Pin<Box<WaitForCancellationFutureOwned>>,
    sender: mpsc::Sender<Part>,
    _seat: Seat,
}

impl Follower {
    async fn run(mut self, followed: Followed) {
        // Says why it ends by ending: the client asks again, and is told then.
        let Over = self.follow(followed).await.err().unwrap_or(Over);
        debug!(user:% = self.caller.user.id; "a stream of events ends");
    }

    async fn follow(&mut self, followed: Followed) -> Result<(), Over> {
        let Followed { mut place, reset, missed, mut news } = followed;
        self.check().await?;
        self.send(Part::Begin { place, reset }).await?;
        for batch in missed.chunks(BATCH) {
            place = self.tell(batch).await?.unwrap_or(place);
        }
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last_sent = self.common.clock.monotonic();
        loop {
            tokio::select! {
                biased;
                () = &mut self.locking => return Err(Over),
                () = self.sender.closed() => return Err(Over),
                _ = self.people.changed() => self.check().await?,
                heard = news.recv() => {
                    let batch = batch(heard, &mut news)?;
                    place = self.tell(&batch).await?.unwrap_or(place);
                    last_sent = self.common.clock.monotonic();
                }
                _ = ticks.tick() => {
                    self.check().await?;
                    let now = self.common.clock.monotonic();
                    if now.saturating_duration_since(last_sent) >= HEARTBEAT {
                        self.send(Part::Heartbeat { place }).await?;
                        last_sent = now;
                    }
                }
            }
        }
    }

    /// Sends what the viewer may see. Gives the place behind all of it.
    async fn tell(&mut self, batch: &[Arc<Happened>]) -> Result<Option<Place>, Over> {
        let (viewer, manages_people, manages_device) = (self.viewer, self.manages_people, self.manages_device);
        // Keys and device tokens have no secrets vaults.
        let has_secrets = self.caller.session_id().is_some();
        let events: Vec<Arc<Happened>> = batch.to_vec();
        let seen = self.caller.store().database.read(move |connection| -> Result<Vec<bool>, Error> {
            let may_see = |happened: &Arc<Happened>| match told::audience(&happened.event) {
                Audience::Everybody => Ok(viewer.scope.is_none()),
                Audience::PeopleManagers => Ok(manages_people),
                Audience::DeviceManagers => Ok(manages_device),
                Audience::SecretVault(id) => {
                    let vault = secrets::find_vault(&secrets::scope(connection, viewer.user_id)?, id)?;
                    Ok(has_secrets && vault.is_some())
                }
                Audience::Folder(folder_id) => {
                    Ok(access::access_before_trash(connection, &viewer, folder_id)?.is_some())
                }
            };
            events.iter().map(may_see).collect()
        });
        let seen = seen.await.map_err(|error| {
            warn!(error:% = error; "a stream of events cannot go on");
            Over
        })?;
        for (happened, _) in batch.iter().zip(seen).filter(|(_, seen)| *seen) {
            let told = told::of(&happened.event, happened.at);
            self.send(Part::Event { place: happened.place, told }).await?;
        }
        Ok(batch.last().map(|happened| happened.place))
    }

    /// Sends a part when the client takes it in time, and the right to it has not ended by then.
    async fn send(&mut self, part: Part) -> Result<(), Over> {
        let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
        loop {
            tokio::select! {
                biased;
                () = &mut self.locking => return Err(Over),
                _ = self.people.changed() => {}
                permit = self.sender.reserve() => {
                    permit.map_err(|_| Over)?.send(part);
                    return Ok(());
                }
                () = &mut patience => return Err(Over),
            }
            self.check().await?;
        }
    }

    /// Ends the stream when its credential has.
    async fn check(&self) -> Result<(), Over> {
        match self.sessions.still_holds(&self.caller).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Over),
        }
    }
}

/// What was heard, and what can be heard without waiting. A client that fell too far behind starts again.
fn batch(
    first: Result<Arc<Happened>, broadcast::error::RecvError>,
    news: &mut broadcast::Receiver<Arc<Happened>>,
) -> Result<Vec<Arc<Happened>>, Over> {
    let mut batch = vec![first.map_err(|_| Over)?];
    while batch.len() < BATCH
        && let Ok(next) = news.try_recv()
    {
        batch.push(next);
    }
    Ok(batch)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
