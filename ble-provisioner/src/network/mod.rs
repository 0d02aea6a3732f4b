//! The box's Wi-Fi, through NetworkManager: what is in reach, joining, the address, forgetting, and how it stands.
//!
//! Knows neither phones nor their protocol. Every change is made under a checkpoint of NetworkManager's, so that the
//! network of before comes back by itself when the change fails, when nobody confirms it, or when this program dies.

mod access_point;
mod address;
mod bus;
mod checkpoint;
mod clock;
mod connect;
mod country;
mod device;
mod error;
mod failure;
mod profile;
mod reach;
mod saved;
mod scan;
mod signals;
mod status;

use std::{path::PathBuf, sync::Arc, time::Duration};

use coffer_api::{
    JoinWifi, PendingAddress, SavedNetwork, ScanWifi, SetAddress, SetupFailure, Ssid, WifiScan, WifiStatus,
};
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    task::JoinSet,
};
use zbus::Address;

use self::{
    address::Pending,
    bus::Bus,
    country::Country,
    scan::Scanner,
    signals::{Listener, Signal},
};
pub use self::{
    clock::Clock,
    error::{NetworkError, subscribed},
    profile::is_wpa2_password,
};

/// What the module is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the country is kept; exists, and is this program's own.
    pub state_directory: PathBuf,
    /// How long a look around may take. Radios take up to 10 s with every channel of 5 GHz.
    pub scan_limit: Duration,
    /// How long one attempt to join may take. NetworkManager gives the radio 25 s and DHCP 45 s.
    pub join_limit: Duration,
    /// How long a new address waits to be confirmed.
    pub confirm_within: Duration,
    /// Time.
    pub clock: Clock,
}

impl Settings {
    /// As the appliance has them.
    pub fn new(state_directory: PathBuf) -> Self {
        Self {
            state_directory,
            scan_limit: Duration::from_secs(15),
            join_limit: Duration::from_secs(90),
            confirm_within: Duration::from_mins(1),
            clock: Clock::system(),
        }
    }
}

/// The box's Wi-Fi.
pub struct Network {
    bus: Bus,
    settings: Settings,
    country: Country,
    scanner: Scanner,
    /// One change at a time.
    change: Mutex<Option<Pending>>,
    known: Arc<Known>,
    /// Ends with this.
    _watcher: JoinSet<()>,
}

/// What is told to whoever listens.
struct Known {
    status: watch::Sender<WifiStatus>,
    last_failure: watch::Sender<Option<SetupFailure>>,
    country: watch::Sender<Option<String>>,
}

impl Network {
    /// Over the system bus. Takes back whatever a process that died has left unfinished.
    pub async fn open(address: &Address, settings: Settings) -> Result<Self, NetworkError> {
        const DOING: &str = "connecting to the system bus";
        let bus = Bus::open(address).await.map_err(NetworkError::doing(DOING))?;
        signals::subscribe(&bus.signals).await.map_err(NetworkError::doing(DOING))?;
        if let Err(error) = checkpoint::take_back_all(&bus).await {
            // NetworkManager may come later, and then has nothing to take back.
            log::warn!("{error}");
        }
        let country = Country::new(settings.state_directory.clone());
        let known = Arc::new(Known {
            status: watch::Sender::new(status::unknown()),
            last_failure: watch::Sender::new(None),
            country: watch::Sender::new(country.get().await),
        });
        let listener = Listener::new(&bus).await.map_err(NetworkError::doing(DOING))?;
        known.refresh(&bus).await;
        let mut watcher = JoinSet::new();
        watcher.spawn(Arc::clone(&known).watch(bus.clone(), listener));
        Ok(Self {
            scanner: Scanner::new(bus.clone(), settings.clock, settings.scan_limit),
            bus,
            settings,
            country,
            change: Mutex::new(None),
            known,
            _watcher: watcher,
        })
    }

    /// How it stands, now and whenever that changes.
    pub fn status(&self) -> watch::Receiver<WifiStatus> {
        self.known.status.subscribe()
    }

    /// How it stands at this moment, whatever signal of it is still on its way.
    pub async fn look(&self) -> WifiStatus {
        self.known.refresh(&self.bus).await;
        self.known.status.borrow().clone()
    }

    /// The networks in reach.
    pub async fn scan(&self, request: &ScanWifi) -> Result<WifiScan, NetworkError> {
        const DOING: &str = "scanning for networks";
        self.country.require().await?;
        let found = device::find(&self.bus).await.map_err(NetworkError::doing(DOING))?;
        let device = found.usable().map_err(NetworkError::refused)?;
        self.scanner.scan(&device, &request.hidden).await
    }

    /// The networks that the box can join by itself.
    pub async fn saved(&self) -> Result<Vec<SavedNetwork>, NetworkError> {
        saved::networks(&self.bus).await
    }

    /// Joins a network, and returns when it works or has failed. Dropping the future leaves it to NetworkManager to
    /// bring back the network of before.
    pub async fn connect(&self, request: &JoinWifi) -> Result<(), NetworkError> {
        // Joining takes back an address that nobody has confirmed.
        let _change = self.begin()?;
        self.country.require().await?;
        let outcome = connect::join(&self.bus, &self.scanner, &self.settings, request).await;
        match &outcome {
            Ok(()) => self.known.set_last_failure(None),
            Err(NetworkError::Failed(report)) => self.known.set_last_failure(Some(report.failure)),
            Err(_) => {}
        }
        outcome
    }

    /// Deletes what the box knows of a network, and leaves it.
    pub async fn forget(&self, ssid: &Ssid) -> Result<(), NetworkError> {
        let _change = self.begin()?;
        match saved::delete(&self.bus, ssid, None).await? {
            0 => Err(NetworkError::NotFound("the box knows no such network")),
            _ => Ok(()),
        }
    }

    /// Deletes everything that the box knows of any network, and leaves them. None to forget is fine.
    pub async fn forget_all(&self) -> Result<(), NetworkError> {
        let _change = self.begin()?;
        saved::delete_all(&self.bus).await
    }

    /// Changes the IPv4 address until it is confirmed or the time is over.
    pub async fn set_address(&self, request: &SetAddress) -> Result<PendingAddress, NetworkError> {
        let mut pending = self.begin()?;
        *pending = Some(address::set(&self.bus, request, self.settings.confirm_within).await?);
        Ok(PendingAddress { confirm_within_s: self.settings.confirm_within.as_secs() })
    }

    /// Keeps the new address.
    pub async fn confirm_address(&self) -> Result<(), NetworkError> {
        self.begin()?.take().ok_or(NOTHING_TO_CONFIRM)?.confirm().await
    }

    /// Goes back to the address of before, without waiting for the time to be over.
    pub async fn revert_address(&self) -> Result<(), NetworkError> {
        self.begin()?.take().ok_or(NOTHING_TO_CONFIRM)?.revert().await
    }

    /// Whether the clock is right enough to check certificates by, which [`Network::connect`] insists on unless it is told
    /// to stay local.
    pub fn knows_the_time(&self) -> bool {
        self.settings.clock.is_plausible()
    }

    /// The country whose radio rules the box follows.
    pub async fn country(&self) -> Option<String> {
        self.country.get().await
    }

    /// Says which country it is: two capital letters. Returns when the kernel knows.
    pub async fn set_country(&self, code: &str) -> Result<(), NetworkError> {
        let _change = self.begin()?;
        let outcome = self.country.set(&self.bus, code).await;
        self.known.set_country(self.country.get().await);
        outcome
    }

    fn begin(&self) -> Result<MutexGuard<'_, Option<Pending>>, NetworkError> {
        self.change.try_lock().map_err(|_| NetworkError::Busy)
    }
}

const NOTHING_TO_CONFIRM: NetworkError = NetworkError::NotFound("there is no new address to confirm");

impl Known {
    /// As long as the bus is there.
    async fn watch(self: Arc<Self>, bus: Bus, mut listener: Listener) {
        let mut failures = self.last_failure.subscribe();
        let mut countries = self.country.subscribe();
        loop {
            tokio::select! {
                signal = listener.next() => match signal {
                    None => {
                        self.status.send_replace(status::unknown());
                        return;
                    }
                    Some(
                        Signal::DeviceState { .. }
                        | Signal::ActiveState { .. }
                        | Signal::Changed { .. }
                        | Signal::NetworkManagerReplaced,
                    ) => {}
                    Some(
                        Signal::SupplicantChanged(_)
                        | Signal::Eap { .. }
                        | Signal::PskMismatch
                        | Signal::JobRemoved { .. },
                    ) => continue,
                },
                Ok(()) = failures.changed() => {}
                Ok(()) = countries.changed() => {}
            }
            self.refresh(&bus).await;
        }
    }

    async fn refresh(&self, bus: &Bus) {
        // Without NetworkManager nothing is known, and it says so when it is back.
        let mut status = status::read(bus).await.unwrap_or_else(|_| status::unknown());
        status.country.clone_from(&self.country.borrow());
        status.last_failure = *self.last_failure.borrow();
        self.status.send_if_modified(|known| std::mem::replace(known, status.clone()) != status);
    }

    fn set_last_failure(&self, failure: Option<SetupFailure>) {
        self.last_failure.send_replace(failure);
    }

    fn set_country(&self, country: Option<String>) {
        self.country.send_replace(country);
    }
}
