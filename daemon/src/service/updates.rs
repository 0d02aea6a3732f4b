//! Updates of the image: a bundle is taken in here, and installed by a program of the system, which alone may write to the
//! card.
//!
//! | File | Made by | |
//! |---|---|---|
//! | `FOLDER/bundle.raucb` | this | the bundle, whole; goes when it is installed or refused |
//! | `REQUESTS/install`, `REQUESTS/restart` | this | wishes; systemd starts coffer-update and coffer-restart for them |
//! | `REPORTS/install`, `REPORTS/slot` | the system | see [`super::update_reports`] |
//!
//! Requests lie in memory: what a power cut interrupts is not begun again by itself.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use coffer_api::{
    DeviceUpdate, DeviceUpdateState as State, UpdateFailure, UpdateFailureCode as Code, UpdateOutcome as Outcome,
};
use futures_util::{Stream, StreamExt};
use log::{info, warn};
use tokio::time::timeout;

use super::Error;
use super::audit::Context;
use super::common::Common;
use super::transfer::{BodyError, SILENCE_LIMIT};
use super::update_history::History;
use super::update_reports::{self as reports, Report};
use super::vault::{Vault, blocking};
use crate::model::event::Event;
use crate::storage::update_channel::{Offer, UpdateChannel};
use crate::storage::{capacity, durable};

/// The largest bundle: the image has at most 140 MB, packed.
pub(crate) const MAX_BUNDLE_BYTES: u64 = 512 * 1024 * 1024;
/// What stays free beside a bundle, where keys and connections are kept, too.
const RESERVE_BYTES: u64 = 32 * 1024 * 1024;
/// What every bundle begins with: it is a squashfs (RAUC's manual, "Bundle Formats").
const MAGIC: &[u8] = b"hsqs";
/// How long the system may take to begin.
const BEGUN_WITHIN: Duration = Duration::from_secs(30);
/// How often a report is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

const BUNDLE: &str = "bundle.raucb";
const INCOMING: &str = "incoming";
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
}

/// An update on its way, from the first byte to the last report.
#[derive(Clone, Copy)]
struct Arriving {
    received_bytes: u64,
    size_bytes: Option<u64>,
    /// All of it is here, and the system was asked to install it.
    is_handed_over: bool,
}

/// Whoever holds it is the only one. Dropped, it makes room again.
struct Turn(Arc<Updates>);

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.arriving() = None;
    }
}

impl Updates {
    /// Of the box of that vault. Follows an installation that goes on already, after the daemon was restarted.
    pub(crate) fn start(
        vault: Arc<Vault>,
        common: Common,
        paths: Option<UpdatePaths>,
        channel: Option<UpdateChannel>,
    ) -> Arc<Self> {
        let channel = channel.map(Arc::new);
        let updates = Arc::new(Self { vault, common, paths, channel, arriving: Mutex::default() });
        if let Some(paths) = updates.paths.clone()
            && reports::install(&paths.reports).is_some_and(|report| !report.is_final())
            && let Some(turn) = updates.take_turn(None)
        {
            turn.0.hand_over(&turn);
            tokio::spawn(async move { turn.0.follow(&paths).await });
        }
        updates
    }

    /// How things stand. Looks at files.
    pub(crate) async fn look(self: &Arc<Self>) -> Result<DeviceUpdate, Error> {
        let (this, paths) = (Arc::clone(self), self.paths()?.clone());
        blocking("updates", move || Ok(this.describe(&paths))).await
    }

    /// Takes a bundle in, and has it installed; gives how things stand when the system has begun.
    pub(crate) async fn install(
        self: &Arc<Self>,
        size_bytes: Option<u64>,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
        context: Context,
    ) -> Result<DeviceUpdate, Error> {
        let paths = self.paths()?.clone();
        let turn = self.begin(&paths, size_bytes)?;
        let received = receive(&paths, &turn, body).await;
        self.settle_arrival(&paths, received).await?;
        self.vault.note(&context, "device.update_asked").await;
        self.request_install(paths, turn).await
    }

    /// Fetches what the channel offers, and has it installed. Nothing is done when that runs already.
    pub(crate) async fn install_from_channel(self: &Arc<Self>, context: Context) -> Result<DeviceUpdate, Error> {
        let paths = self.paths()?.clone();
        let channel = Arc::clone(self.channel.as_ref().ok_or(Error::NotFound("channel of updates"))?);
        let turn = self.begin(&paths, None)?;
        let asked = Arc::clone(&channel);
        let offer = blocking("asking the channel", move || asked.offer().map_err(Error::Channel)).await?;
        if Some(&offer.version) == reports::version(&paths.release).as_ref() {
            drop(turn);
            return self.look().await;
        }
        self.check_room(&paths, Some(offer.size_bytes))?;
        self.vault.note(&context, "device.update_asked").await;
        let (this, place) = (Arc::clone(self), paths.clone());
        // The reply need not wait for a hundred megabytes.
        tokio::spawn(async move {
            let (fetcher, target) = (Arc::clone(&turn.0), place.clone());
            let fetched = blocking("fetching an update", move || fetcher.fetch(&channel, &offer, &target)).await;
            let installed = match this.settle_arrival(&place, fetched).await {
                Ok(()) => this.request_install(place, turn).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = installed {
                warn!(error:% = error; "the channel's update was not installed");
            }
        });
        blocking("updates", { let this = Arc::clone(self); move || Ok(this.describe(&paths)) }).await
    }

    /// Restarts the box: on the slot that was written last, when there is one to be tried.
    pub(crate) async fn restart(self: &Arc<Self>, context: Context) -> Result<(), Error> {
        let paths = self.paths()?;
        if self.arriving().is_some() {
            return Err(Error::UpdateRunning);
        }
        self.refuse_while_writing()?;
        self.vault.note(&context, "device.restart_asked").await;
        self.ask(paths, RESTART).await
    }

    fn begin(self: &Arc<Self>, paths: &UpdatePaths, size_bytes: Option<u64>) -> Result<Turn, Error> {
        self.refuse_while_writing()?;
        self.check_room(paths, size_bytes)?;
        self.take_turn(size_bytes).ok_or(Error::UpdateRunning)
    }

    /// A restart in the middle of them would be the end of uploads that cannot be resumed.
    fn refuse_while_writing(&self) -> Result<(), Error> {
        match self.vault.unlocked() {
            Some(unlocked) if unlocked.store.blobs.is_writing() => Err(Error::UploadsRunning),
            _ => Ok(()),
        }
    }

    fn check_room(&self, paths: &UpdatePaths, size_bytes: Option<u64>) -> Result<(), Error> {
        let Some(size_bytes) = size_bytes else { return Ok(()) };
        if size_bytes > MAX_BUNDLE_BYTES {
            return Err(Error::UploadTooLong { limit_bytes: MAX_BUNDLE_BYTES });
        }
        let free = capacity::free_bytes(&paths.folder).map_err(|error| Error::storage("looking for room", error))?;
        // What is there of an earlier one is replaced.
        let freed = std::fs::metadata(paths.folder.join(BUNDLE)).map_or(0, |metadata| metadata.len());
        if size_bytes + RESERVE_BYTES > free + freed { Err(Error::StorageFull) } else { Ok(()) }
    }

    fn take_turn(self: &Arc<Self>, size_bytes: Option<u64>) -> Option<Turn> {
        let mut arriving = self.arriving();
        if arriving.is_some() {
            return None;
        }
        *arriving = Some(Arriving { received_bytes: 0, size_bytes, is_handed_over: false });
        Some(Turn(Arc::clone(self)))
    }

    /// Whatever did not arrive whole is removed.
    async fn settle_arrival(&self, paths: &UpdatePaths, received: Result<(), Error>) -> Result<(), Error> {
        let (incoming, bundle) = (paths.folder.join(INCOMING), paths.folder.join(BUNDLE));
        blocking("keeping an update", move || {
            let kept = received.and_then(|()| {
                durable::rename(&incoming, &bundle).map_err(|error| Error::storage("keeping an update", error))
            });
            if kept.is_err() {
                durable::remove_file(&incoming).map_err(|error| Error::storage("removing half an update", error))?;
            }
            kept
        })
        .await
    }

    fn fetch(&self, channel: &UpdateChannel, offer: &Offer, paths: &UpdatePaths) -> Result<(), Error> {
        let mut file = create(&paths.folder.join(INCOMING))?;
        let fetched = channel.fetch(offer, &mut |bytes| {
            file.write_all(bytes)?;
            self.count(bytes.len());
            Ok(())
        });
        fetched.map_err(Error::Channel)?;
        file.sync_all().map_err(|error| Error::storage("writing an update", error))
    }

    async fn request_install(self: &Arc<Self>, paths: UpdatePaths, turn: Turn) -> Result<DeviceUpdate, Error> {
        self.hand_over(&turn);
        self.tell();
        // An older report must not be taken for this one's: the system writes another when it begins.
        let before = reports::install(&paths.reports);
        self.ask(&paths, INSTALL).await?;
        let begun = timeout(BEGUN_WITHIN, async {
            while reports::install(&paths.reports) == before && self.is_asked(&paths) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        if begun.await.is_err() {
            self.take_back(&paths).await?;
            return Err(Error::UpdaterUnavailable);
        }
        let (this, place) = (Arc::clone(self), paths.clone());
        tokio::spawn(async move {
            this.follow(&place).await;
            drop(turn);
            this.tell();
        });
        let this = Arc::clone(self);
        blocking("updates", move || Ok(this.describe(&paths))).await
    }

    /// Waits for the last report, and writes down how it went.
    async fn follow(self: &Arc<Self>, paths: &UpdatePaths) {
        let mut seen = None;
        loop {
            let report = reports::install(&paths.reports);
            if report != seen {
                self.tell();
                seen.clone_from(&report);
            }
            if let Some(last) = report.filter(Report::is_final) {
                let (this, paths) = (Arc::clone(self), paths.clone());
                drop(tokio::task::spawn_blocking(move || this.write_down(&paths, &last)).await);
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn write_down(&self, paths: &UpdatePaths, last: &Report) {
        let (version, outcome) = match last {
            Report::Installed { version } => (version.as_str(), Outcome::Installed),
            Report::Refused(why) | Report::Failed(why) => {
                warn!(why; "the update was not installed");
                ("unknown", Outcome::Failed)
            }
            Report::Installing { .. } => return,
        };
        let slot = reports::slot(&paths.reports);
        let from = reports::version(&paths.release).unwrap_or_default();
        History::new(&paths.folder).add(version, (&from, slot.as_ref()), self.common.clock.now(), outcome);
        info!(outcome:? = outcome, version; "an update has ended");
        if let Err(error) = durable::remove_file(&paths.folder.join(BUNDLE)) {
            warn!(error:% = error; "the bundle was not removed");
        }
    }

    fn describe(&self, paths: &UpdatePaths) -> DeviceUpdate {
        let slot = reports::slot(&paths.reports);
        let report = reports::install(&paths.reports);
        let arriving = *self.arriving();
        let (state, percent, failure) = match (arriving, &report) {
            (Some(arriving), _) if !arriving.is_handed_over => (State::Receiving, arriving.percent(), None),
            (_, Some(Report::Installing { percent, .. })) => (State::Installing, Some(*percent), None),
            (Some(_), _) => (State::Installing, Some(0), None),
            (None, Some(Report::Installed { .. })) => (State::Installed, None, None),
            (None, Some(Report::Refused(why))) => (State::Failed, None, Some(refused(why))),
            (None, Some(Report::Failed(why))) => (State::Failed, None, Some(failed(why))),
            (None, None) if paths.folder.join(BUNDLE).exists() => (State::Failed, None, Some(interrupted())),
            (None, None) => (State::Idle, None, None),
        };
        let offered_version = match report {
            Some(Report::Installing { version, .. }) => version,
            Some(Report::Installed { version }) => Some(version),
            Some(Report::Refused(_) | Report::Failed(_)) | None => None,
        };
        DeviceUpdate {
            version: reports::version(&paths.release).unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            slot: slot.as_ref().map(|slot| slot.name.clone()),
            proved: slot.as_ref().map(|slot| slot.is_proved),
            channel: self.channel.as_ref().map(|channel| channel.url().to_owned()),
            state,
            percent,
            offered_version,
            failure,
            history: History::new(&paths.folder).settle(slot.as_ref()),
        }
    }

    async fn ask(&self, paths: &UpdatePaths, wish: &'static str) -> Result<(), Error> {
        let path = paths.requests.join(wish);
        blocking("asking the system", move || {
            durable::write_file(&path, b"").map_err(|error| Error::storage("asking the system", error))
        })
        .await
    }

    /// Whether the wish still lies there: who fulfils it removes it when he is done.
    fn is_asked(&self, paths: &UpdatePaths) -> bool {
        paths.requests.join(INSTALL).exists()
    }

    async fn take_back(&self, paths: &UpdatePaths) -> Result<(), Error> {
        let files = [paths.requests.join(INSTALL), paths.folder.join(BUNDLE)];
        blocking("taking a wish back", move || {
            files.iter().try_for_each(|file| {
                durable::remove_file(file).map_err(|error| Error::storage("taking a wish back", error))
            })
        })
        .await
    }

    fn hand_over(&self, _: &Turn) {
        if let Some(arriving) = self.arriving().as_mut() {
            arriving.is_handed_over = true;
        }
    }

    fn count(&self, bytes: usize) {
        if let Some(arriving) = self.arriving().as_mut() {
            arriving.received_bytes += bytes as u64;
        }
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

impl Arriving {
    fn percent(&self) -> Option<u8> {
        let size_bytes = self.size_bytes.filter(|size| *size > 0)?;
        u8::try_from(self.received_bytes.min(size_bytes) * 100 / size_bytes).ok()
    }
}

/// Writes a body to the file of what is not whole yet, and looks whether it may be a bundle.
async fn receive(
    paths: &UpdatePaths,
    turn: &Turn,
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
) -> Result<(), Error> {
    let incoming = paths.folder.join(INCOMING);
    let mut file = blocking("writing an update", { let incoming = incoming.clone(); move || create(&incoming) }).await?;
    let mut body = std::pin::pin!(body);
    let mut received_bytes = 0;
    while let Some(frame) = timeout(SILENCE_LIMIT, body.next()).await.map_err(|_| Error::RequestTimeout)? {
        let frame = frame.map_err(|BodyError| Error::UploadCutShort)?;
        received_bytes += frame.len() as u64;
        if received_bytes > MAX_BUNDLE_BYTES {
            return Err(Error::UploadTooLong { limit_bytes: MAX_BUNDLE_BYTES });
        }
        turn.0.count(frame.len());
        file = blocking("writing an update", move || {
            file.write_all(&frame).map_err(|error| Error::storage("writing an update", error))?;
            Ok(file)
        })
        .await?;
    }
    blocking("writing an update", move || {
        file.sync_all().map_err(|error| Error::storage("writing an update", error))?;
        if is_bundle(&incoming).map_err(|error| Error::storage("reading an update", error))? {
            Ok(())
        } else {
            Err(Error::field("body", "this is not an update bundle (.raucb)"))
        }
    })
    .await
}

fn create(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    opened.map_err(|error| Error::storage("writing an update", error))
}

fn is_bundle(path: &Path) -> io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    match File::open(path)?.read_exact(&mut magic) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| magic == *MAGIC),
    }
}

fn refused(why: &str) -> UpdateFailure {
    failure(Code::BundleRefused, format!("The bundle was refused: {why}."), "Fetch it again. It has to be one for this kind of box, signed by whoever made its image.")
}

fn failed(why: &str) -> UpdateFailure {
    failure(Code::InstallFailed, format!("The other half of the card was not written: {why}."), "Try again. If it happens again, the card may be failing.")
}

fn interrupted() -> UpdateFailure {
    failure(Code::Interrupted, "The box was restarted while the update was being installed.".to_owned(), "Install it again.")
}

fn failure(code: Code, happened: String, try_next: &str) -> UpdateFailure {
    UpdateFailure { code, happened, try_next: try_next.to_owned() }
}
