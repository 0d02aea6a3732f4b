//! How the network is, as the set-up service says that manages it. Kept in memory: after a restart it says it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coffer_api::{Connectivity, KnownNetwork, KnownNetworks, NetworkReport, NetworkStatus, SavedNetworks};
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;

use super::Error;
use super::registration::Registrations;
use crate::model::clock::SharedClock;

/// Most addresses, name servers and saved networks, and longest text of each, of a report. It is shown, not used.
const MAX_ENTRIES: usize = 64;
const MAX_TEXT: usize = 200;

/// The last report.
pub(crate) struct Network {
    clock: SharedClock,
    registrations: Arc<Registrations>,
    last: Mutex<Option<(Timestamp, NetworkStatus)>>,
    saved: Mutex<Option<(Timestamp, SavedNetworks)>>,
}

impl Network {
    /// Without a report yet.
    pub(crate) fn new(clock: SharedClock, registrations: Arc<Registrations>) -> Self {
        Self { clock, registrations, last: Mutex::default(), saved: Mutex::default() }
    }

    /// Takes a report. When the Internet has come within reach, what waits for it goes on.
    pub(crate) fn report(&self, status: NetworkStatus) -> Result<(), Error> {
        let texts = [&status.ssid, &status.ssid_text, &status.gateway].into_iter().flatten();
        let texts = texts.chain(&status.addresses).chain(&status.dns);
        if status.addresses.len() > MAX_ENTRIES || status.dns.len() > MAX_ENTRIES {
            return Err(Error::field("addresses", format!("at most {MAX_ENTRIES}")));
        }
        if texts.into_iter().any(|text| text.len() > MAX_TEXT) {
            return Err(Error::field("ssid_text", format!("texts of at most {MAX_TEXT} bytes")));
        }
        if status.signal_percent.is_some_and(|percent| percent > 100) {
            return Err(Error::field("signal_percent", "at most 100"));
        }
        let is_full = status.connectivity == Connectivity::Full;
        let before = lock(&self.last).replace((self.clock.now(), status));
        let was_full = before.is_some_and(|(_, status)| status.connectivity == Connectivity::Full);
        if is_full && !was_full {
            self.registrations.hurry();
        }
        Ok(())
    }

    /// The last report.
    pub(crate) fn look(&self) -> NetworkReport {
        let last = lock(&self.last).clone();
        let (reported_at, status) = last.map_or((None, None), |(at, status)| (Some(at), Some(status)));
        NetworkReport { reported_at, status }
    }

    /// Takes a report on the networks that the box can join by itself.
    pub(crate) fn report_saved(&self, saved: SavedNetworks) -> Result<(), Error> {
        if saved.networks.len() > MAX_ENTRIES {
            return Err(Error::field("networks", format!("at most {MAX_ENTRIES}")));
        }
        *lock(&self.saved) = Some((self.clock.now(), saved));
        Ok(())
    }

    /// The networks that the box can join by itself, and which of them it is in.
    pub(crate) fn known(&self) -> KnownNetworks {
        let current = lock(&self.last).as_ref().and_then(|(_, status)| status.ssid.clone());
        let Some((reported_at, saved)) = lock(&self.saved).clone() else {
            return KnownNetworks { reported_at: None, networks: Vec::new() };
        };
        let networks = saved.networks.into_iter().map(|network| KnownNetwork {
            ssid_text: network.ssid.to_text(),
            security: network.security,
            current: current.as_deref() == Some(&*BASE64URL_NOPAD.encode(network.ssid.as_bytes())),
            ssid: network.ssid,
        });
        KnownNetworks { reported_at: Some(reported_at), networks: networks.collect() }
    }
}

/// Whoever panicked while holding it left a whole value: each is replaced in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
