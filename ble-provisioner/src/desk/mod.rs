//! Does what a phone asks for, once its session allows it. Knows the daemon, the network and the system, and nothing of
//! how a request arrived or a reply leaves.

mod card;
mod control;
mod improv;
mod orders;
mod register;
mod wifi;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use coffer_api::{
    Device, DeviceRegistration, DeviceSetup, DeviceTunnel, Health, NetworkStatus, SetupAccess, SetupWelcome, WifiStatus,
};
use coffer_ble::network::Network;
use coffer_crypto::channel::{CodeVerifier, PublicKey};
use hyper::Method;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    daemon::{Daemon, DaemonError, SOON},
    errors::SetupErrorFrom,
    host::Host,
    sessions::Identity,
    store::Store,
};

/// How long a code for another phone is good for.
const INVITATION: Duration = Duration::from_mins(10);

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// What the session reaches.
    pub(crate) access: SetupAccess,
    /// The phone's key.
    pub(crate) key: PublicKey,
    /// The box at the time of the handshake.
    pub(crate) device_id: Uuid,
}

/// A code that the owner made for another phone. The code itself is on the owner's screen only.
struct Invitation {
    verifier: CodeVerifier,
    until: Instant,
}

/// What was seen of the box at one moment; absent is what nobody could tell.
pub(crate) struct Seen {
    pub(crate) welcome: SetupWelcome,
    pub(crate) tunnel: Option<DeviceTunnel>,
    pub(crate) registration: Option<DeviceRegistration>,
}

/// Everything that a request may need. One for all sessions.
pub(crate) struct Desk {
    daemon: Daemon,
    network: Arc<Network>,
    host: Host,
    store: Arc<Mutex<Store>>,
    invitation: Mutex<Option<Invitation>>,
    reset: Mutex<Option<control::PendingReset>>,
    improv: watch::Sender<bool>,
}

type Outcome = Result<serde_json::Value, SetupErrorFrom>;

impl Desk {
    pub(crate) fn new(daemon: Daemon, network: Arc<Network>, host: Host, store: Arc<Mutex<Store>>) -> Self {
        let improv = watch::Sender::new(lock(&store).has_improv());
        Self { daemon, network, host, store, invitation: Mutex::new(None), reset: Mutex::new(None), improv }
    }

    /// What is remembered.
    pub(crate) fn store(&self) -> &Mutex<Store> {
        &self.store
    }

    /// The invitation that is open now.
    pub(crate) fn invitation(&self, now: Instant) -> Option<CodeVerifier> {
        let mut invitation = lock(&self.invitation);
        invitation.take_if(|invitation| invitation.until <= now);
        let Invitation { verifier, .. } = invitation.as_ref()?;
        // What was made from a code reads back.
        CodeVerifier::from_parts(verifier.salt(), verifier.value()).ok()
    }

    /// What the daemon knows of the code that is open. `None` when it gives no answer.
    pub(crate) async fn setup(&self) -> Option<DeviceSetup> {
        self.daemon.get("/api/v1/device/setup", SOON).await.inspect_err(|error| log::warn!("{error}")).ok()
    }

    /// Whether a factory reset was begun and not finished.
    pub(crate) fn is_resetting(&self) -> bool {
        lock(&self.store).is_resetting()
    }

    /// Tells the daemon how the network is.
    pub(crate) async fn report_network(&self, status: &NetworkStatus) {
        let told = self.daemon.send::<serde_json::Value>(Method::PUT, "/api/v1/device/network", status, SOON);
        // Its health is asked for elsewhere, and tells when it does not answer.
        drop(told.await);
    }

    /// How the Wi-Fi is, now and whenever that changes.
    pub(crate) fn wifi_status(&self) -> watch::Receiver<WifiStatus> {
        self.network.status()
    }

    /// Looks at everything that a phone is told without asking.
    pub(crate) async fn look(&self, asker: &Asker, identity: &Identity) -> Seen {
        let (health, device, tunnel, registration) = tokio::join!(
            self.daemon.get::<Health>("/health", SOON),
            self.daemon.get::<Device>("/api/v1/device", SOON),
            self.daemon.get::<DeviceTunnel>("/api/v1/device/tunnel", SOON),
            self.daemon.get::<DeviceRegistration>("/api/v1/device/registration", SOON),
        );
        let welcome = self.welcome(asker, identity, health, device);
        Seen { welcome, tunnel: tunnel.ok(), registration: registration.ok() }
    }

    fn welcome(
        &self,
        asker: &Asker,
        identity: &Identity,
        health: Result<Health, DaemonError>,
        device: Result<Device, DaemonError>,
    ) -> SetupWelcome {
        let vault = health.ok().map(|health| health.vault);
        SetupWelcome {
            access: asker.access,
            device_id: asker.device_id,
            device_name: device.map(|device| device.name).unwrap_or_default(),
            claimed: vault.is_some_and(|vault| vault != coffer_api::VaultState::Absent),
            vault,
            model: identity.model as u8,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            enrolled: lock(&self.store).phones().by_key(&asker.key).is_some(),
            clock_is_set: self.host.clock_is_set(),
            country: self.network.status().borrow().country.clone(),
            improv: *self.improv.borrow(),
        }
    }

    /// The invitation was used: it is good for one session.
    pub(crate) fn use_invitation(&self) {
        *lock(&self.invitation) = None;
    }

    /// Changes what is remembered, off the async threads: it is on disk when this returns.
    async fn remember<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Store) -> Result<T, SetupErrorFrom> + Send + 'static,
    ) -> Result<T, SetupErrorFrom> {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || change(&mut lock(&store))).await {
            Ok(done) => done,
            Err(_) => Err(crate::errors::unavailable().into()),
        }
    }
}

/// Whoever panicked while holding it left a whole value: each is replaced in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
