//! The boxes that are registered: their owner's list, tokens for them, their removal.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use log::{info, warn};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::identity::Person;
use super::sealing::Sealer;
use super::tokens::{self, DeviceClaims};
use super::{Error, host, tunnel_name};
use crate::clock::SharedClock;
use crate::outside::cloudflare::Cloudflare;
use crate::store::database::{Database, Transaction};
use crate::store::devices::{self, Device, State};
use crate::store::tickets;

/// How long a token for a box is good.
const TOKEN_LIFE: Duration = Duration::from_hours(1);
/// What is kept of tickets that nobody used, so that a late box hears why; and of those that were used, and of removed
/// boxes, so that asking again is no error.
const UNUSED_TICKETS_KEPT: Duration = Duration::from_hours(24);
const REST_KEPT: Duration = Duration::from_hours(30 * 24);
/// Removals that one sweep goes on with.
const SWEPT_AT_ONCE: i64 = 50;
/// Locks, each for some of the boxes.
const TURNS: usize = 64;

/// A token for a box.
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) host: String,
}

/// A box as its owner sees it.
pub(crate) struct OwnDevice {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) state: State,
    pub(crate) registered_at: Timestamp,
}

/// The registered boxes.
pub(crate) struct Devices {
    database: Database,
    cloudflare: Arc<Cloudflare>,
    sealer: Arc<Sealer>,
    clock: SharedClock,
    domain: String,
    turns: Vec<Mutex<()>>,
}

impl Devices {
    /// Below that domain.
    pub(crate) fn new(
        database: Database,
        cloudflare: Arc<Cloudflare>,
        sealer: Arc<Sealer>,
        clock: SharedClock,
        domain: String,
    ) -> Self {
        let turns = (0..TURNS).map(|_| Mutex::default()).collect();
        Self { database, cloudflare, sealer, clock, domain, turns }
    }

    /// Waits for one's turn with a box.
    pub(super) async fn turn(&self, id: Uuid) -> Option<MutexGuard<'_, ()>> {
        let place = usize::from(id.as_bytes()[15]) % TURNS;
        Some(self.turns.get(place)?.lock().await)
    }

    /// The boxes of a person.
    pub(crate) async fn list(&self, person: &Person) -> Result<Vec<OwnDevice>, Error> {
        let owner = person.0.clone();
        let found = self.database.run(move |transaction| devices::list(transaction, &owner)).await;
        found.map_err(Error::Database)?.into_iter().map(|device| self.own(device)).collect()
    }

    fn own(&self, device: Device) -> Result<OwnDevice, Error> {
        Ok(OwnDevice {
            id: device.id,
            name: device.name,
            host: host(device.id, &self.domain),
            state: device.state,
            registered_at: Timestamp::from_millisecond(device.registered_at)
                .map_err(|_| Error::Internal("reading a time"))?,
        })
    }

    /// A token with which a box of a person knows them.
    pub(crate) async fn issue_token(&self, person: &Person, id: Uuid) -> Result<IssuedToken, Error> {
        let owner = person.0.clone();
        let find = move |transaction: &mut Transaction<'_>| owned(transaction, &owner, id);
        let device = self.database.run(find).await?;
        match device.state {
            State::Registering => return Err(Error::NotReady),
            State::Removing | State::Removed => return Err(Error::NotFound("box")),
            State::Ready => {}
        }
        let sealed = device.sealed_secret.ok_or(Error::NotFound("box"))?;
        let secret = self.sealer.open_secret(id, &sealed)?;
        let iat = self.clock.now().as_second();
        let exp = iat.saturating_add(i64::try_from(TOKEN_LIFE.as_secs()).unwrap_or(0));
        let token = tokens::issue(&DeviceClaims { sub: &person.0, device_id: id, iat, exp }, &secret)?;
        let expires_at = Timestamp::from_second(exp).map_err(|_| Error::Internal("making a time"))?;
        Ok(IssuedToken { token, expires_at, host: host(id, &self.domain) })
    }

    /// Removes a box of a person: its secret at once, then its name and its tunnel. Again is no error.
    pub(crate) async fn remove(&self, person: &Person, id: Uuid) -> Result<(), Error> {
        let owner = person.0.clone();
        let begin = move |transaction: &mut Transaction<'_>| -> Result<State, Error> {
            let device = owned(transaction, &owner, id)?;
            devices::set_removing(transaction, id)?;
            Ok(device.state)
        };
        match self.database.run(begin).await? {
            State::Removed => Ok(()),
            State::Registering | State::Ready | State::Removing => self.go_on_removing(id).await,
        }
    }

    async fn go_on_removing(&self, id: Uuid) -> Result<(), Error> {
        let _turn = self.turn(id).await;
        self.cloudflare.disconnect(&tunnel_name(id), &host(id, &self.domain)).await?;
        let now = self.clock.now().as_millisecond();
        let end = move |transaction: &mut Transaction<'_>| -> Result<(), Error> {
            tickets::delete_of_device(transaction, id)?;
            Ok(devices::set_removed(transaction, id, now)?)
        };
        self.database.run(end).await?;
        info!(device_id:% = id; "removed");
        Ok(())
    }

    /// Goes on with removals that were cut off.
    pub(crate) async fn go_on(&self) {
        let going = self.database.run(|transaction| devices::being_removed(transaction, SWEPT_AT_ONCE)).await;
        match going {
            Ok(ids) => {
                for id in ids {
                    if let Err(error) = self.go_on_removing(id).await {
                        warn!(device_id:% = id, error:% = error; "a box is still not removed");
                    }
                }
            }
            Err(error) => warn!(error:% = error; "cannot look for boxes to remove"),
        }
    }

    /// Forgets tickets and removed boxes that are old.
    pub(crate) async fn forget(&self) {
        let now = self.clock.now();
        let prune = move |transaction: &mut Transaction<'_>| {
            let (unused, rest) = ((now - UNUSED_TICKETS_KEPT).as_millisecond(), (now - REST_KEPT).as_millisecond());
            tickets::prune(transaction, unused, rest)?;
            devices::prune(transaction, rest)
        };
        if let Err(error) = self.database.run(prune).await {
            warn!(error:% = error; "cannot forget what is old");
        }
    }

    /// Whether the database answers.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let look = |transaction: &mut Transaction<'_>| devices::being_removed(transaction, 1);
        self.database.run(look).await.map(drop).map_err(Error::Database)
    }
}

/// A box of a person. What is somebody else's looks like what is not there.
fn owned(transaction: &mut Transaction<'_>, owner: &str, id: Uuid) -> Result<Device, Error> {
    devices::find(transaction, id)?.filter(|device| device.owner == owner).ok_or(Error::NotFound("box"))
}
