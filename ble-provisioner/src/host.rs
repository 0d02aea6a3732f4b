//! What only the system may do, asked of systemd: set the clock, blink, take another name. Each is a unit or a call that
//! polkit lets this service use, and nothing besides (systemd/polkit).

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use coffer_ble::network::subscribed;
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::time::timeout;
use zbus::{Connection, OwnedObjectPath, proxy};

/// A file that systemd-timesyncd makes once it has heard from a time server.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// A unit that sets the clock takes a moment, also on a busy box.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// Before this program was written, and when nobody will use it any more: no phone's clock says that.
const PLAUSIBLE_YEARS: std::ops::RangeInclusive<i16> = 2026..=2099;

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String) -> zbus::Result<()>;
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
    /// systemd tried, and it did not work.
    #[error("asking systemd to {doing}: the unit ended with {result}")]
    Unit {
        /// What was asked.
        doing: &'static str,
        /// systemd's word for it.
        result: String,
    },
    /// The phone's clock cannot be right.
    #[error("the clock of the phone says {0}, which cannot be")]
    ImplausibleTime(Timestamp),
}

/// What the clock says.
#[expect(clippy::disallowed_methods, reason = "phones are told the time of the box, whatever it is")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The system, by way of its bus.
#[derive(Clone)]
pub(crate) struct Host {
    connection: Connection,
    /// A phone has told the time since this program started.
    was_told: Arc<AtomicBool>,
}

impl Host {
    /// Over a connection to the system bus.
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, was_told: Arc::default() }
    }

    /// Takes over a phone's clock, unless a time server has set ours.
    pub(crate) async fn set_clock(&self, time: Timestamp) -> Result<(), HostError> {
        let year = time.to_zoned(jiff::tz::TimeZone::UTC).year();
        if !PLAUSIBLE_YEARS.contains(&year) {
            return Err(HostError::ImplausibleTime(time));
        }
        let unit = format!("coffer-clock@{}.service", time.as_second());
        timeout(ENDS_WITHIN, self.run(&unit, "set the clock"))
            .await
            .unwrap_or_else(|_| Err(HostError::Unit { doing: "set the clock", result: "no answer".to_owned() }))?;
        self.was_told.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a time server or a phone has set the clock.
    pub(crate) fn clock_is_set(&self) -> bool {
        self.was_told.load(Ordering::Relaxed) || Path::new(SYNCHRONISED).exists()
    }

    /// Makes the box show itself, for as long as that takes.
    pub(crate) async fn identify(&self) -> Result<(), HostError> {
        let doing = "blink";
        let call =
            async { ManagerProxy::new(&self.connection).await?.start_unit("coffer-identify.service", "replace").await };
        call.await.map(drop).map_err(|source| HostError::Bus { doing, source })
    }

    /// Takes another name, until the next start.
    pub(crate) async fn set_name(&self, name: &str) -> Result<(), HostError> {
        let doing = "take another name";
        let call = async { HostnameProxy::new(&self.connection).await?.set_hostname(name, false).await };
        call.await.map_err(|source| HostError::Bus { doing, source })
    }

    /// Starts a unit that ends by itself, and waits for that.
    async fn run(&self, unit: &str, doing: &'static str) -> Result<(), HostError> {
        let failed = |source| HostError::Bus { doing, source };
        let manager = ManagerProxy::new(&self.connection).await.map_err(failed)?;
        let mut ended = manager.receive_job_removed().await.map_err(failed)?;
        // Without it systemd tells nobody about jobs.
        subscribed(manager.subscribe().await).map_err(failed)?;
        let job = manager.start_unit(unit, "replace").await.map_err(failed)?;
        while let Some(signal) = ended.next().await {
            let signal = signal.args().map_err(failed)?;
            if signal.job == job && signal.result == "done" {
                return Ok(());
            }
            if signal.job == job {
                return Err(HostError::Unit { doing, result: signal.result.clone() });
            }
        }
        Err(HostError::Unit { doing, result: "a bus that closed".to_owned() })
    }
}
