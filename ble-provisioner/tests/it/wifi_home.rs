//! A box with Wi-Fi: a bus, a NetworkManager on it, a folder for the country, and the network module.

use std::{path::Path, time::Duration};

use coffer_api::{BoxDid, FailureReport, JoinWifi, SecretString, SetupFailure, Ssid, WifiCredentials};
use coffer_ble::network::{Clock, Network, NetworkError, Settings};
use tempfile::TempDir;

use crate::{
    LIMIT,
    bus::Bus,
    network_manager::{NetworkManager, State},
};

/// WPA2 and WPA3 in an access point's flags.
pub(crate) const PSK: u32 = 0x100;
pub(crate) const SAE: u32 = 0x400;
pub(crate) const ENTERPRISE: u32 = 0x200;

pub(crate) struct Home {
    pub(crate) nm: NetworkManager,
    pub(crate) network: Network,
    pub(crate) settings: Settings,
    pub(crate) bus: Bus,
    directory: TempDir,
}

impl Home {
    pub(crate) async fn new(state: State) -> Self {
        Self::with(state, |_| {}).await
    }

    pub(crate) async fn with(state: State, adjust: impl FnOnce(&mut Settings)) -> Self {
        let (bus, directory) = (Bus::start().await, tempfile::tempdir().unwrap());
        std::fs::write(directory.path().join("country"), "CH\n").unwrap();
        let nm = NetworkManager::start(&bus.address, state).await;
        let mut settings = Settings::new(directory.path().to_owned());
        (settings.scan_limit, settings.join_limit) = (LIMIT, LIMIT);
        settings.clock = Clock { since_epoch: || NOW, since_boot: || UP };
        adjust(&mut settings);
        let network = Self::open(&bus, &settings).await;
        Self { nm, network, settings, bus, directory }
    }

    pub(crate) async fn open(bus: &Bus, settings: &Settings) -> Network {
        Network::open(&bus.address.parse().unwrap(), settings.clone()).await.unwrap()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// 2027, when it is.
const NOW: Duration = Duration::from_hours(500_000);
/// How long the machine is up.
pub(crate) const UP: Duration = Duration::from_secs(100);

pub(crate) fn ssid(name: &[u8]) -> Ssid {
    Ssid::new(name).unwrap()
}

pub(crate) fn open_network(name: &[u8]) -> JoinWifi {
    JoinWifi { ssid: ssid(name), hidden: false, credentials: WifiCredentials::None, local_only: false }
}

pub(crate) fn with_password(name: &[u8], password: &str) -> JoinWifi {
    let credentials = WifiCredentials::Password { password: SecretString::new(password.to_owned()) };
    JoinWifi { credentials, ..open_network(name) }
}

pub(crate) fn failure(outcome: Result<(), NetworkError>) -> (SetupFailure, BoxDid) {
    match outcome {
        Err(NetworkError::Failed(FailureReport { failure, box_did, .. })) => (failure, box_did),
        outcome => panic!("no failure of the list: {outcome:?}"),
    }
}
