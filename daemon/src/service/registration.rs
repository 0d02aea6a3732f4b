//! From a request to a registered box: durable steps, each of which a power cut may interrupt.
//!
//! | Step | On disk (`device.json`) | When the power goes behind it |
//! |---|---|---|
//! | stored | the request | the registrar is asked |
//! | asking | the same | it is asked again: it knows the ticket and the box's key, and answers the same |
//! | received | id, secret and address are the registrar's; the tunnel's token waits; the ticket is gone | the token is handed over |
//! | done | the token is in its own file, and in no other | |
//!
//! The owner's own tunnel begins at the third step, "no tunnel" at the fourth. The tunnel's token file follows from what
//! is kept: it is written while a token waits, and removed when there is to be no tunnel. So nothing has to be known
//! of where the power went.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coffer_api::{DeviceFailure, DeviceRegistration, DeviceRegistrationState as State, RegistrationStep};
use log::{info, warn};
use rand_core::Rng;
use tokio::sync::Notify;

use super::Error;
use super::audit::Context;
use super::device::{Device, Identity};
use super::registrar::{Answer, Cause, Registered, ask};
use super::registration_record::{Connection, Record, Request};
use super::tunnel::Tunnel;
use super::vault::{Vault, blocking};
use crate::model::clock::{SharedClock, system_rng};
use crate::model::device::{Credential, RegistrarUrl, ServerUrl, TunnelToken};
use crate::storage::clock_state;
use crate::storage::registrar_link::RegistrarLink;

/// The first pause after a failed attempt; doubled each time.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that is not the registrar's wish.
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// So many failed attempts in a row are worth a person's attention.
const STUMBLES: u32 = 3;

/// How the box is to be reached.
pub(crate) enum Way {
    Registrar { url: RegistrarUrl, credential: Credential },
    OwnTunnel { token: TunnelToken, url: ServerUrl },
    LocalOnly,
}

/// Registers the box.
pub(crate) struct Registrations {
    vault: Arc<Vault>,
    device: Arc<Device>,
    tunnel: Arc<Tunnel>,
    link: Arc<RegistrarLink>,
    clock: SharedClock,
    progress: Mutex<Progress>,
    /// Rung when there is something to do.
    bell: Notify,
}

/// What is known of the request under way; a restart forgets it.
#[derive(Default)]
struct Progress {
    attempts: u32,
    last: Option<Cause>,
    next_at: Option<Instant>,
}

impl Registrations {
    /// For that box. Goes on with what a power cut interrupted.
    pub(crate) fn start(vault: Arc<Vault>, tunnel: Arc<Tunnel>, link: RegistrarLink, clock: SharedClock) -> Arc<Self> {
        let registrations = Arc::new(Self {
            device: Arc::clone(vault.device()),
            vault,
            tunnel,
            link: Arc::new(link),
            clock,
            progress: Mutex::default(),
            bell: Notify::new(),
        });
        tokio::spawn(Arc::clone(&registrations).run());
        registrations
    }

    /// Takes a request; it is on disk when this returns, and goes on by itself. The same one again changes nothing.
    pub(crate) async fn request(self: &Arc<Self>, way: Way, context: Context) -> Result<(), Error> {
        let this = Arc::clone(self);
        let changed = blocking("registration", move || this.device.update(|identity| Ok(begin(identity, way)))).await?;
        if changed {
            *self.progress() = Progress::default();
            self.vault.note(&context, "device.registration_asked").await;
        }
        // Whoever asks again has changed something, and waits; but the registrar's wish counts for more.
        if self.progress().last != Some(Cause::Throttled) {
            self.bell.notify_one();
        }
        Ok(())
    }

    /// Gives the registration up, here: the registrar is not told. Tokens that it issued end at once.
    pub(crate) async fn forget(self: &Arc<Self>, context: Context) -> Result<(), Error> {
        let this = Arc::clone(self);
        blocking("registration", move || {
            this.device.update(|identity| {
                part_from_registrar(identity);
                identity.registration = Record::default();
                Ok(())
            })
        })
        .await?;
        info!("the registration was given up");
        *self.progress() = Progress::default();
        self.bell.notify_one();
        self.vault.note(&context, "device.registration_ended").await;
        Ok(())
    }

    /// Tries again at once what waits for its next attempt: the network has come, or the clock was set.
    pub(crate) fn hurry(&self) {
        self.bell.notify_one();
    }

    /// How far it is.
    pub(crate) fn status(&self) -> DeviceRegistration {
        let identity = self.device.read();
        let record = &identity.registration;
        let progress = self.progress();
        let (state, step) = match (record, &record.connection) {
            (Record { request: Some(_), .. }, _) if progress.attempts == 0 => {
                (State::Registering, Some(RegistrationStep::Stored))
            }
            (Record { request: Some(_), .. }, _) => (State::Registering, Some(RegistrationStep::Asking)),
            (Record { tunnel_token: Some(_), .. }, _) => (State::Registering, Some(RegistrationStep::Received)),
            (Record { failure: Some(_), .. }, _) => (State::Failed, None),
            (_, Connection::None) => (State::None, None),
            (_, Connection::Registered { .. }) => (State::Registered, None),
            (_, Connection::OwnTunnel { .. }) => (State::OwnTunnel, None),
            (_, Connection::LocalOnly) => (State::LocalOnly, None),
        };
        let now = self.clock.monotonic();
        let wait = progress.next_at.map(|at| at.saturating_duration_since(now).as_secs());
        DeviceRegistration {
            state,
            step,
            attempt: progress.attempts,
            retry_after_s: wait.filter(|_| state == State::Registering),
            error: progress.last.or(record.failure).map(Cause::failure),
            server_url: record.connection.server_url().map(str::to_owned),
            registered_id: match record.connection {
                Connection::Registered { device_id, .. } => Some(device_id),
                Connection::None | Connection::OwnTunnel { .. } | Connection::LocalOnly => None,
            },
        }
    }

    /// What is wrong with it, when that is more than a stumble.
    pub(super) fn lasting_failure(&self) -> Option<DeviceFailure> {
        let progress = self.progress();
        let lasting = progress.last.filter(|_| progress.attempts >= STUMBLES);
        lasting.or(self.device.read().registration.failure).map(Cause::failure)
    }

    async fn run(self: Arc<Self>) {
        loop {
            let pause = match self.step().await {
                Ok(Next::Done) => {
                    *self.progress() = Progress::default();
                    None
                }
                Ok(Next::Again(cause, wait)) => Some(self.note(cause, wait)),
                Err(error) => {
                    warn!(error:% = error; "the registration is not kept");
                    let mut progress = self.progress();
                    progress.attempts = progress.attempts.saturating_add(1);
                    drop(progress);
                    Some(self.note(Cause::NotStored, None))
                }
            };
            let Some(pause) = pause else {
                self.bell.notified().await;
                continue;
            };
            let _due_or_rung = tokio::time::timeout(pause, self.bell.notified()).await;
        }
    }

    /// Makes the token file what it has to be, and asks the registrar when it is to be asked.
    async fn step(self: &Arc<Self>) -> Result<Next, Error> {
        self.settle().await?;
        let identity = self.device.read();
        let Some(request) = identity.registration.request.clone() else { return Ok(Next::Done) };
        {
            let mut progress = self.progress();
            progress.attempts = progress.attempts.saturating_add(1);
            progress.next_at = None;
        }
        let (link, asked) = (Arc::clone(&self.link), request.clone());
        let answer = blocking("registrar", move || ask(&link, &identity, &asked, clock_state::is_set())).await?;
        match answer {
            Answer::Later(cause, wait) => return Ok(Next::Again(cause, wait)),
            Answer::Registered(registered) => self.receive(request, registered).await?,
            Answer::Refused(cause) => self.give_up(request, cause).await?,
        }
        self.settle().await?;
        Ok(Next::Done)
    }

    /// The registrar's answer becomes who the box is, in one step, and the ticket goes.
    async fn receive(self: &Arc<Self>, request: Request, registered: Registered) -> Result<(), Error> {
        let this = Arc::clone(self);
        let device_id = registered.device_id;
        let taken = blocking("registration", move || {
            let now = this.clock.now();
            this.device.update(|identity| {
                let record = &mut identity.registration;
                // Another request has come meanwhile: this answer is not for it.
                if !record.request.as_ref().is_some_and(|current| current.is(&request)) {
                    return Ok(false);
                }
                *record = Record {
                    connection: Connection::Registered {
                        credential_hash: request.credential.hash(),
                        registrar: request.registrar,
                        device_id: registered.device_id,
                        server_url: registered.server_url.as_str().to_owned(),
                        registered_at: now,
                    },
                    request: None,
                    failure: None,
                    tunnel_token: Some(registered.tunnel_token.expose().clone()),
                };
                identity.shared_secret = registered.shared_secret;
                Ok(true)
            })
        })
        .await?;
        if taken {
            info!(registered_id:% = device_id; "the box is registered");
            self.vault.note(&Context::default(), "device.registered").await;
        }
        Ok(())
    }

    /// The ticket is good for nothing: it goes, and what there was before stays.
    async fn give_up(self: &Arc<Self>, request: Request, cause: Cause) -> Result<(), Error> {
        let this = Arc::clone(self);
        blocking("registration", move || {
            this.device.update(|identity| {
                let record = &mut identity.registration;
                if record.request.as_ref().is_some_and(|current| current.is(&request)) {
                    record.request = None;
                    record.failure = Some(cause);
                }
                Ok(())
            })
        })
        .await?;
        warn!(cause:? = cause; "the registrar refused the box for good");
        Ok(())
    }

    /// Makes the tunnel's token file what it has to be.
    async fn settle(self: &Arc<Self>) -> Result<(), Error> {
        let this = Arc::clone(self);
        blocking("tunnel token", move || {
            let identity = this.device.read();
            let record = &identity.registration;
            if let Some(token) = &record.tunnel_token {
                this.tunnel.hand_over(token)?;
                this.device.update(|identity| {
                    // A token that came meanwhile is another one, and its turn comes.
                    if identity.registration.tunnel_token.as_ref() == Some(token) {
                        identity.registration.tunnel_token = None;
                    }
                    Ok(())
                })
            } else if record.connection.has_tunnel() {
                Ok(())
            } else {
                this.tunnel.take_away()
            }
        })
        .await
    }

    /// Notes a failed attempt; gives how long to wait.
    fn note(&self, cause: Cause, wait: Option<Duration>) -> Duration {
        let mut progress = self.progress();
        let pause = with_jitter(pause_after(progress.attempts)).max(wait.unwrap_or_default());
        info!(cause:? = cause, attempt = progress.attempts, pause_s = pause.as_secs(); "the box is not registered yet");
        progress.last = Some(cause);
        progress.next_at = Some(self.clock.monotonic() + pause);
        pause
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comes after a step.
enum Next {
    Done,
    Again(Cause, Option<Duration>),
}

/// Writes a request down; gives whether it is a new one.
fn begin(identity: &mut Identity, way: Way) -> bool {
    match way {
        Way::Registrar { url, credential } => {
            let request = Request { registrar: url.as_str().to_owned(), credential: credential.into() };
            let record = &mut identity.registration;
            let known = record.connection.came_from(&request)
                || record.request.as_ref().is_some_and(|current| current.is(&request));
            if known {
                return false;
            }
            record.request = Some(request);
            record.failure = None;
        }
        Way::OwnTunnel { token, url } => {
            part_from_registrar(identity);
            identity.registration = Record {
                connection: Connection::OwnTunnel { server_url: url.as_str().to_owned() },
                tunnel_token: Some(token.expose().clone()),
                ..Record::default()
            };
        }
        Way::LocalOnly => {
            part_from_registrar(identity);
            identity.registration = Record { connection: Connection::LocalOnly, ..Record::default() };
        }
    }
    true
}

/// A registrar that was left must not sign tokens any more.
fn part_from_registrar(identity: &mut Identity) {
    if let Connection::Registered { .. } = identity.registration.connection {
        identity.renew_shared_secret();
    }
}

fn pause_after(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    MIN_PAUSE.saturating_mul(1 << doublings).min(MAX_PAUSE)
}

/// A quarter less to a quarter more: boxes that lost the same registrar do not come back in step.
fn with_jitter(pause: Duration) -> Duration {
    let mut bytes = [0; 2];
    system_rng().fill_bytes(&mut bytes);
    pause.mul_f64(0.75 + f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_and_has_an_end() {
        let pauses = [0, 1, 2, 3, 9, 10, 1000].map(|attempts| pause_after(attempts).as_secs());
        assert_eq!(pauses, [1, 1, 2, 4, 256, 300, 300]);
        for _ in 0..100 {
            let jittered = with_jitter(Duration::from_secs(100));
            assert!((75.0..=125.0).contains(&jittered.as_secs_f64()), "{jittered:?}");
        }
    }
}
