//! How the network is, as the set-up service says that manages it. Kept in memory: after a restart it says it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coffer_api::{Connectivity, NetworkReport, NetworkStatus};
use jiff::Timestamp;

use super::Error;
use super::registration::Registrations;
use crate::model::clock::SharedClock;

/// Most addresses and name servers, and longest text of each, of a report. It is shown, not used.
const MAX_ENTRIES: usize = 64;
const MAX_TEXT: usize = 200;

/// The last report.
pub(crate) struct Network {
    clock: SharedClock,
    registrations: Arc<Registrations>,
    last: Mutex<Option<(Timestamp, NetworkStatus)>>,
}

impl Network {
    /// Without a report yet.
    pub(crate) fn new(clock: SharedClock, registrations: Arc<Registrations>) -> Self {
        Self { clock, registrations, last: Mutex::default() }
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
        let before = self.lock().replace((self.clock.now(), status));
        let was_full = before.is_some_and(|(_, status)| status.connectivity == Connectivity::Full);
        if is_full && !was_full {
            self.registrations.hurry();
        }
        Ok(())
    }

    /// The last report.
    pub(crate) fn look(&self) -> NetworkReport {
        let last = self.lock().clone();
        let (reported_at, status) = last.map_or((None, None), |(at, status)| (Some(at), Some(status)));
        NetworkReport { reported_at, status }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Timestamp, NetworkStatus)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
