//! What only the system may do, asked of systemd: set the clock, blink, take another name. Each is a unit or a call that
//! polkit lets this service use, and nothing besides (systemd/polkit).

use std::path::Path;

use jiff::Timestamp;
use zbus::{Connection, OwnedObjectPath, proxy};

/// A file that systemd-timesyncd makes once it has heard from a time server.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Before this program was written, and when nobody will use it any more: no phone's clock says that.
const PLAUSIBLE_YEARS: std::ops::RangeInclusive<i16> = 2026..=2099;

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(
    interface = "org.freedesktop.hostname1",
    default_service = "org.freedesktop.hostname1",
    default_path = "/org/freedesktop/hostname1"
)]
trait Hostname {
    fn set_hostname(&self, hostname: &str, interactive: bool) -> zbus::Result<()>;
}

/// Why the system did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// systemd refused or does not answer.
    #[error("asking systemd to {doing}: {source}")]
    Bus {
        /// What was asked.
        doing: &'static str,
        /// Why not.
        source: zbus::Error,
    },
    /// The phone's clock cannot be right.
    #[error("the clock of the phone says {0}, which cannot be")]
    ImplausibleTime(Timestamp),
}

/// The system, by way of its bus.
#[derive(Clone)]
pub(crate) struct Host {
    connection: Connection,
}

impl Host {
    /// Over a connection to the system bus.
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Takes over a phone's clock, unless a time server has set ours.
    pub(crate) async fn set_clock(&self, time: Timestamp) -> Result<(), HostError> {
        let year = time.to_zoned(jiff::tz::TimeZone::UTC).year();
        if !PLAUSIBLE_YEARS.contains(&year) {
            return Err(HostError::ImplausibleTime(time));
        }
        self.start(&format!("coffer-clock@{}.service", time.as_second()), "set the clock").await
    }

    /// Whether a time server has set the clock since this start.
    pub(crate) fn clock_is_set() -> bool {
        Path::new(SYNCHRONISED).exists()
    }

    /// Makes the box show itself.
    pub(crate) async fn identify(&self) -> Result<(), HostError> {
        self.start("coffer-identify.service", "blink").await
    }

    /// Takes another name, until the next start.
    pub(crate) async fn set_name(&self, name: &str) -> Result<(), HostError> {
        let doing = "take another name";
        let call = async { HostnameProxy::new(&self.connection).await?.set_hostname(name, false).await };
        call.await.map_err(|source| HostError::Bus { doing, source })
    }

    async fn start(&self, unit: &str, doing: &'static str) -> Result<(), HostError> {
        let call = async { ManagerProxy::new(&self.connection).await?.start_unit(unit, "replace").await };
        call.await.map(drop).map_err(|source| HostError::Bus { doing, source })
    }
}
