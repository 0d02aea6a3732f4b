//! Updates of the image: a bundle is taken in here, and installed by a program of the system, which alone may write to the
//! card.
//!
//! | File | Made by | |
//! |---|---|---|
//! | `FOLDER/bundle.raucb` | this | the bundle, whole; goes when it is installed or refused |
//! | `REQUESTS/install` | this | a wish: `ID`, or `ID VERSION` when nothing but that version may be installed |
//! | `REQUESTS/restart` | this | another |
//! | `REPORTS/install`, `REPORTS/slot` | the system | see [`super::update_reports`] |
//!
//! systemd starts coffer-update and coffer-restart for wishes. Who fulfils one takes it away after the first report.
//! Wishes lie in memory: what a power cut interrupts is not begun again by itself.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use coffer_api::{DeviceUpdate, DeviceUpdateState as State, PastUpdate, UpdateFailureCode as Code, UpdateOutcome};
use futures_util::Stream;
use log::{info, warn};
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use super::Error;
use super::audit::Context;
use super::common::Common;
use super::transfer::BodyError;
use super::unlocked::Lease;
use super::update_history::{End, History};
use super::update_intake::{self as intake, MAX_BUNDLE_BYTES, Room};
use super::update_reports::{self as reports, Report};
use super::vault::{Vault, blocking, to_its_end};
use crate::model::event::Event;
use crate::repo::audit::Outcome;
use crate::repo::sealing_jobs;
use crate::repo::store::Copies;
use crate::storage::durable;
use crate::storage::update_channel::{ChannelError, Offer, UpdateChannel, release};

/// How long the system may take to begin.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to install one; coffer-update.service gives it less.
const INSTALLED_WITHIN: Duration = Duration::from_mins(70);
/// How often reports are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

const INSTALL: &str = "install";
const RESTART: &str = "restart";

/// Where the parts of an update lie.
#[derive(Clone)]
pub(crate) struct UpdatePaths {
    /// Ours, on the data partition.
    pub(crate) folder: PathBuf,
    /// Ours, in memory; the system watches it.
    pub(crate) requests: PathBuf,
    /// The system's, in memory.
    pub(crate) reports: PathBuf,
    /// os-release(5) of the image.
    pub(crate) release: PathBuf,
}

/// Takes updates in.
pub(crate) struct Updates {
    vault: Arc<Vault>,
    common: Common,
    /// Absent where there is no image to update.
    paths: Option<UpdatePaths>,
    channel: Option<Arc<UpdateChannel>>,
    /// What is on its way. One at a time.
    arriving: Mutex<Option<Arriving>>,
    /// Held by whoever reads the history and writes it again.
    turn: Mutex<()>,
}

/// An update on its way, from the first byte to the last report.
#[derive(Clone, Copy)]
struct Arriving {
    received_bytes: u64,
    size_bytes: Option<u64>,
    /// Set once all of it is here: what the system's reports name.
    id: Option<Uuid>,
}

/// Whoever holds it is the only one. Dropped, it makes room again.
struct Turn(Arc<Updates>);

impl Updates {
    /// Of the box of that vault. Follows an installation that goes on already, after the daemon was restarted. Blocks for a
    /// moment.
    pub(crate) fn start(
        vault: Arc<Vault>,
        common: Common,
        paths: Option<UpdatePaths>,
        channel: Option<UpdateChannel>,
    ) -> Arc<Self> {
        let channel = channel.map(Arc::new);
        let updates =
            Arc::new(Self { vault, common, paths, channel, arriving: Mutex::default(), turn: Mutex::default() });
        if let Some(paths) = updates.paths.clone()
            && let Some(turn) = updates.take_turn()
        {
            turn.go_on(paths);
        }
        updates
    }

    /// How things stand.
    pub(crate) async fn look(self: &Arc<Self>) -> Result<DeviceUpdate, Error> {
        let (this, paths) = (Arc::clone(self), self.paths()?.clone());
        blocking("looking at updates", move || Ok(this.describe(&paths))).await
    }

    /// Takes a bundle in, and has it installed; gives how things stand when the system has begun.
    pub(crate) async fn install(
        self: &Arc<Self>,
        size_bytes: Option<u64>,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
        context: Context,
    ) -> Result<DeviceUpdate, Error> {
        let this = Arc::clone(self);
        // Who hangs up must not leave a bundle behind of which nobody knows whether it is being installed.
        to_its_end(async move {
            let paths = this.paths()?;
            let (turn, room) = this.begin(paths, &context).await?;
            if let Some(size_bytes) = size_bytes {
                room.check(size_bytes)?;
                this.expect(size_bytes);
            }
            intake::receive(&paths.folder, room, body, |bytes| this.count(bytes)).await?;
            turn.hand_over(paths.clone(), None, context).await
        })
        .await
    }

    /// Fetches what the channel offers, and has it installed, when that is newer than what runs.
    pub(crate) async fn install_from_channel(self: &Arc<Self>, context: Context) -> Result<DeviceUpdate, Error> {
        let this = Arc::clone(self);
        to_its_end(async move {
            let paths = this.paths()?;
            let channel = this.channel.as_ref().ok_or(Error::NotFound("channel of updates"))?;
            let (turn, room) = this.begin(paths, &context).await?;
            let asked = Arc::clone(channel);
            let offer = aside(move || asked.offer().map_err(Error::Channel)).await?;
            // An old bundle is signed as well as a new one, and whoever runs the channel need not be who signs.
            if release(&offer.version) > reports::version(&paths.release).and_then(|version| release(&version)) {
                if offer.size_bytes > MAX_BUNDLE_BYTES {
                    return Err(Error::Channel(ChannelError::Document));
                }
                room.check(offer.size_bytes)?;
                this.expect(offer.size_bytes);
                // The reply need not wait for a hundred megabytes.
                tokio::spawn(turn.fetch(paths.clone(), Arc::clone(channel), offer, context));
            } else {
                drop(turn);
            }
            this.look().await
        })
        .await
    }

    /// Restarts the box: on the slot that was written last, when there is one to be tried.
    pub(crate) async fn restart(&self, context: Context) -> Result<(), Error> {
        let paths = self.paths()?;
        if self.arriving().is_some() {
            return Err(Error::UpdateRunning);
        }
        self.refuse_while_busy().await?;
        self.vault.note(&context, "device.restart_asked").await;
        ask(paths, RESTART, String::new()).await
    }

    async fn begin(self: &Arc<Self>, paths: &UpdatePaths, context: &Context) -> Result<(Turn, Room), Error> {
        self.refuse_while_busy().await?;
        let turn = self.take_turn().ok_or(Error::UpdateRunning)?;
        let paths = paths.clone();
        let room = blocking("making room for an update", move || {
            // The other slot is the only one yet that is known to start.
            if reports::slot(&paths.reports).is_some_and(|slot| !slot.is_proved) {
                return Err(Error::UpdateRunning);
            }
            intake::clear(&paths.folder)?;
            Room::look(&paths.folder)
        });
        let room = room.await?;
        self.vault.note(context, "device.update_asked").await;
        self.tell();
        Ok((turn, room))
    }

    /// A restart in the middle of it would be the end of uploads that cannot be resumed, and of a pass over sealed files.
    async fn refuse_while_busy(&self) -> Result<(), Error> {
        let Some(lease) = self.vault.unlocked().and_then(|unlocked| unlocked.lease().ok()) else { return Ok(()) };
        if lease.store().database.read(sealing_jobs::running).await?.is_some() {
            return Err(Error::JobRunning);
        }
        if lease.store().blobs.is_writing() { Err(Error::UploadsRunning) } else { Ok(()) }
    }

    fn take_turn(self: &Arc<Self>) -> Option<Turn> {
        let mut arriving = self.arriving();
        if arriving.is_some() {
            return None;
        }
        *arriving = Some(Arriving { received_bytes: 0, size_bytes: None, id: None });
        Some(Turn(Arc::clone(self)))
    }

    /// So much is to come.
    fn expect(&self, size_bytes: u64) {
        if let Some(arriving) = self.arriving().as_mut() {
            arriving.size_bytes = Some(size_bytes);
        }
    }

    /// So much more has come.
    fn count(&self, bytes: usize) {
        let mut is_news = false;
        if let Some(arriving) = self.arriving().as_mut() {
            let before = arriving.percent();
            arriving.received_bytes += bytes as u64;
            is_news = arriving.percent() != before;
        }
        if is_news {
            self.tell();
        }
    }

    /// All of it is here; the system knows it by that id.
    fn set_id(&self, id: Uuid) {
        if let Some(arriving) = self.arriving().as_mut() {
            arriving.id = Some(id);
        }
    }

    /// Tells of every report, until one says how it ended; gives that, and the version.
    async fn last_report(&self, paths: &UpdatePaths, id: Uuid) -> (Option<String>, End) {
        let (mut seen, mut known) = (None, None);
        loop {
            let folder = paths.reports.clone();
            let looked = blocking("looking at reports", move || Ok(reports::install(&folder, id))).await;
            let report = looked.ok().flatten();
            if report != seen {
                self.tell();
                seen.clone_from(&report);
            }
            match report {
                Some(Report::Installed { version }) => return (Some(version), End::Installed),
                Some(Report::Refused(why)) => return (known, End::Failed { code: Code::BundleRefused, why }),
                Some(Report::Failed(why)) => return (known, End::Failed { code: Code::InstallFailed, why }),
                Some(Report::Installing { version, .. }) => known = version.or(known),
                None => {}
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn describe(&self, paths: &UpdatePaths) -> DeviceUpdate {
        let slot = reports::slot(&paths.reports);
        let history = self.history(paths, |history| history.settle(slot.as_ref()));
        let arriving = *self.arriving();
        let (state, percent, offered_version) = match arriving {
            None => (how_it_went(history.first()), None, None),
            Some(Arriving { id: Some(id), .. }) => match reports::install(&paths.reports, id) {
                Some(Report::Installing { percent, version }) => (State::Installing, Some(percent), version),
                _ended_or_not_begun => (State::Installing, None, None),
            },
            Some(arriving) => (State::Receiving, arriving.percent(), None),
        };
        DeviceUpdate {
            version: reports::version(&paths.release).unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            slot: slot.as_ref().map(|slot| slot.name.clone()),
            proved: slot.as_ref().map(|slot| slot.is_proved),
            channel: self.channel.as_ref().map(|channel| channel.url().to_owned()),
            state,
            percent,
            offered_version,
            history,
        }
    }

    fn history<T>(&self, paths: &UpdatePaths, work: impl FnOnce(&History) -> T) -> T {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        work(&History::new(&paths.folder))
    }

    fn tell(&self) {
        self.common.events.publish(&Event::UpdateChanged { device_id: self.vault.device().id() });
    }

    fn paths(&self) -> Result<&UpdatePaths, Error> {
        self.paths.as_ref().ok_or(Error::NotFound("image of this box: update its programs where they come from"))
    }

    fn arriving(&self) -> MutexGuard<'_, Option<Arriving>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// After a start of the daemon: what the system installs is followed, and what nobody installs any more has ended.
    fn go_on(self, paths: UpdatePaths) {
        // In this order: whoever takes a wish away has reported before.
        let was_waiting = take_back(&paths);
        let Some(id) = self.0.history(&paths, History::open) else {
            if let Err(error) = intake::clear(&paths.folder) {
                warn!(error:% = error; "half an update was not removed");
            }
            return;
        };
        if !was_waiting && reports::install(&paths.reports, id).is_some() {
            self.0.set_id(id);
            tokio::spawn(self.follow(paths, id, Context::default()));
        } else {
            let end = End::Failed { code: Code::Interrupted, why: String::new() };
            tokio::spawn(self.end(paths, None, end, Context::default()));
        }
    }

    async fn fetch(self, paths: UpdatePaths, channel: Arc<UpdateChannel>, offer: Offer, context: Context) {
        let version = offer.version.clone();
        let (updates, folder) = (Arc::clone(&self.0), paths.folder.clone());
        let fetched = aside(move || intake::fetch(&folder, &channel, &offer, |bytes| updates.count(bytes))).await;
        match fetched {
            Ok(()) => {
                if let Err(error) = self.hand_over(paths, Some(version), context).await {
                    warn!(error:% = error; "the channel's update was not installed");
                }
            }
            Err(error) => {
                let why = match error {
                    Error::Channel(cause) => cause.to_string(),
                    Error::StorageFull => "there is no room on the card".to_owned(),
                    other => other.to_string(),
                };
                let end = End::Failed { code: Code::NotReceived, why };
                match self.begin(&paths).await {
                    Ok(_id) => self.end(paths, Some(version), end, context).await,
                    Err(error) => warn!(error:% = error; "the channel's update did not arrive"),
                }
            }
        }
    }

    /// Has the system install the bundle; gives how things stand when it has begun.
    async fn hand_over(
        self,
        paths: UpdatePaths,
        version: Option<String>,
        context: Context,
    ) -> Result<DeviceUpdate, Error> {
        let updates = Arc::clone(&self.0);
        let id = self.begin(&paths).await?;
        let wish = version.map_or_else(|| id.to_string(), |version| format!("{id} {version}"));
        let begun = match ask(&paths, INSTALL, wish).await {
            Ok(()) => wait_for_the_system(&paths).await,
            Err(error) => Err(error),
        };
        if let Err(error) = begun {
            let undone = blocking("taking an update back", move || {
                updates.history(&paths, History::take_back);
                intake::clear(&paths.folder)
            });
            undone.await?;
            return Err(error);
        }
        tokio::spawn(self.follow(paths, id, context));
        updates.look().await
    }

    /// Writes down that an update is about to be installed.
    async fn begin(&self, paths: &UpdatePaths) -> Result<Uuid, Error> {
        let (id, now, paths) = (self.0.common.ids.next(), self.0.common.clock.now(), paths.clone());
        let updates = Arc::clone(&self.0);
        let begun = blocking("writing the history of updates", move || {
            let from_version = reports::version(&paths.release).unwrap_or_default();
            let slot = reports::slot(&paths.reports);
            updates.history(&paths, |history| history.begin(id, &from_version, slot.as_ref(), now));
            Ok(())
        });
        begun.await?;
        self.0.set_id(id);
        self.0.tell();
        Ok(id)
    }

    /// Waits for the last report.
    async fn follow(self, paths: UpdatePaths, id: Uuid, context: Context) {
        let reported = timeout(INSTALLED_WITHIN, self.0.last_report(&paths, id)).await;
        let (version, end) = reported.unwrap_or_else(|_| {
            let why = "the system did not say how it went".to_owned();
            (None, End::Failed { code: Code::InstallFailed, why })
        });
        self.end(paths, version, end, context).await;
    }

    /// Writes down how it went, and makes room for the next one.
    async fn end(self, paths: UpdatePaths, version: Option<String>, end: End, context: Context) {
        let updates = &self.0;
        let (outcome, detail) = match &end {
            End::Failed { code, why } => {
                warn!(code:? = code, why; "the update was not installed");
                (Outcome::Failed, why.clone())
            }
            End::Installed | End::OnTrial | End::Proved | End::FellBack => {
                info!(version:? = version; "an update was installed, and waits for a restart");
                (Outcome::Success, version.clone().unwrap_or_default())
            }
        };
        let keeper = Arc::clone(updates);
        let written = blocking("writing the history of updates", move || {
            keeper.history(&paths, |history| history.end(version.as_deref(), end));
            intake::clear(&paths.folder)
        });
        if let Err(error) = written.await {
            warn!(error:% = error; "the bundle was not removed");
        }
        let box_id = updates.vault.device().id();
        let entry = updates.common.auditor.entry(&context, "device.update_changed", outcome, Some(box_id));
        updates.vault.write_down(updates.vault.unlocked().as_deref(), entry.with_detail(detail)).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.arriving() = None;
        self.0.tell();
    }
}

impl Arriving {
    fn percent(&self) -> Option<u8> {
        let size_bytes = self.size_bytes.filter(|size| *size > 0)?;
        u8::try_from(self.received_bytes.min(size_bytes) * 100 / size_bytes).ok()
    }
}

/// The database from before a migration is kept until the next one. Copies from before that one go when the image that
/// runs has proved itself: until then, the one from before could come back. A chore.
pub(crate) async fn forget_copies(lease: Lease, paths: Option<UpdatePaths>) {
    let forgotten = blocking("removing copies of the database", move || {
        if paths.is_none_or(|paths| reports::slot(&paths.reports).is_some_and(|slot| slot.is_proved)) {
            let removed = lease.store().remove_copies(Copies::AllButTheNewest);
            removed.map_err(|error| Error::storage("removing copies of the database", error))?;
        }
        Ok(())
    });
    if let Err(error) = forgotten.await {
        warn!(error:% = error; "old copies of the database were not removed");
    }
}

/// What the last update tells, while none is on its way.
fn how_it_went(last: Option<&PastUpdate>) -> State {
    match last.map(|last| last.outcome) {
        Some(UpdateOutcome::Installed) => State::Installed,
        Some(UpdateOutcome::Failed) => State::Failed,
        Some(UpdateOutcome::OnTrial | UpdateOutcome::Proved | UpdateOutcome::FellBack) | None => State::Idle,
    }
}

/// Lays a wish down, whole.
async fn ask(paths: &UpdatePaths, wish: &'static str, words: String) -> Result<(), Error> {
    let path = paths.requests.join(wish);
    blocking("asking the system", move || {
        durable::replace_file(&path, words.as_bytes()).map_err(|error| Error::storage("asking the system", error))
    })
    .await
}

/// Until the wish was taken away. When nobody does, it is taken back.
async fn wait_for_the_system(paths: &UpdatePaths) -> Result<(), Error> {
    let wish = paths.requests.join(INSTALL);
    let taken = timeout(BEGUN_WITHIN, async {
        while wish.exists() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    });
    // It may be taken away at the last moment.
    if taken.await.is_ok() || !take_back(paths) { Ok(()) } else { Err(Error::UpdaterUnavailable) }
}

/// Whether the wish was there still. It lies in memory.
fn take_back(paths: &UpdatePaths) -> bool {
    match fs::remove_file(paths.requests.join(INSTALL)) {
        Ok(()) => true,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                warn!(error:% = error; "what the system was asked for was not taken back");
            }
            false
        }
    }
}

/// Runs on a thread of its own, for which a daemon that ends does not wait: a server may be silent for long.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let failed = |error| Error::internal("fetching an update", error);
    let (reply, answer) = oneshot::channel();
    // Nobody waits any more when the daemon ends.
    let run = move || drop(reply.send(work()));
    thread::Builder::new().name("updates".to_owned()).spawn(run).map_err(|error| Error::internal("a thread", error))?;
    answer.await.map_err(failed)?
}
