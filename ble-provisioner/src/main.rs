//! `coffer-ble`: the set-up service over Bluetooth Low Energy, through BlueZ. This file starts it, keeps it going and
//! stops it; it knows neither what is served nor how BlueZ is handled.
//!
//! Exit codes: 0 after SIGTERM or SIGINT, 1 when the system bus or BlueZ failed for good (see the log), 2 for a wrong
//! command line.

mod advert;
mod bluez;
mod gatt;
mod health;
mod info;
mod station;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Parser, Subcommand};
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    bluez::Watch,
    health::Health,
    info::Model,
    station::{OnAir, Station},
};

/// How often things are looked at that no signal tells of: the daemon coming up, a controller that would not power on.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// BlueZ answers within milliseconds. A call that hangs must not outlast the service manager's patience (`WatchdogSec`,
/// 30 s or more).
const SETTLE_WITHIN: Duration = Duration::from_secs(8);
/// `bluer` keeps the objects of a refused registration for ever; a fresh process now and then bounds them, and cures
/// whatever else is wrong in this one.
const MAX_FAILURES_IN_A_ROW: u32 = 30;

#[derive(Parser)]
#[command(version, about = "Coffer's set-up service over Bluetooth Low Energy")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until told to stop
    Serve {
        /// Control socket of cofferd
        #[arg(long, value_name = "PATH", default_value = "/run/coffer/control.sock")]
        control_socket: PathBuf,
    },
}

/// What ends the program before anybody asked.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    #[error("connecting to the system bus: {0}. Is dbus-daemon or dbus-broker running?")]
    Bus(#[from] zbus::Error),
    #[error("connecting to the system bus for BlueZ: {0}. Is dbus-daemon or dbus-broker running?")]
    Bluez(#[from] bluer::Error),
    #[error("listening for SIGTERM: {0}")]
    Signal(#[from] std::io::Error),
    #[error("the system bus has closed the connection")]
    BusClosed,
    #[error("BlueZ refused {MAX_FAILURES_IN_A_ROW} times in a row; starting afresh")]
    Hopeless,
}

fn main() -> ExitCode {
    let Cli { command: Command::Serve { control_socket } } = Cli::parse();
    start_logging();
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Fatal::from)
        .and_then(|runtime| runtime.block_on(serve(control_socket)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            log::error!("{fatal}");
            ExitCode::FAILURE
        }
    }
}

/// To the journal, with fields, when standard error is the journal; else to standard error.
fn start_logging() {
    if systemd_journal_logger::connected_to_journal()
        && systemd_journal_logger::JournalLog::new().is_ok_and(|journal| journal.install().is_ok())
    {
        log::set_max_level(log::LevelFilter::Info);
    } else {
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    }
}

async fn serve(control_socket: PathBuf) -> Result<(), Fatal> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut watch = Watch::open().await?;
    let health = Arc::new(Health::new(control_socket));
    let mut device_id = health.device_id_changes();
    let mut station = Station::new(bluer::Session::new().await?, Arc::clone(&health), model().await);
    let mut look = interval(LOOK_EVERY.min(sd_notify::watchdog_enabled().map_or(LOOK_EVERY, |limit| limit / 2)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut progress = Progress::default();

    // Ready without an adapter: a box whose radio is broken still boots, and still says so.
    tell_systemd(&[NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            change = watch.next() => station.note(change.ok_or(Fatal::BusClosed)?),
            // The other half of the channel lives as long as `health`.
            Ok(()) = device_id.changed() => {}
            _ = look.tick() => {
                health.ask().await;
            }
        }
        progress.note(timeout(SETTLE_WITHIN, station.settle(&watch)).await)?;
        tell_systemd(&[NotifyState::Watchdog]);
    }
    tell_systemd(&[NotifyState::Stopping]);
    log::info!("stopping");
    Ok(())
}

/// Tells log and service manager what changed, and counts failures.
#[derive(Default)]
struct Progress {
    said: String,
    failures: u32,
}

impl Progress {
    fn note<Slow>(&mut self, settled: Result<Result<OnAir, station::StationError>, Slow>) -> Result<(), Fatal> {
        let (level, say) = match settled {
            Ok(Ok(on_air)) => {
                self.failures = 0;
                (log::Level::Info, on_air.to_string())
            }
            Ok(Err(error)) => (log::Level::Warn, error.to_string()),
            Err(_) => (log::Level::Warn, format!("BlueZ gave no answer within {} s", SETTLE_WITHIN.as_secs())),
        };
        if level == log::Level::Warn {
            self.failures += 1;
        }
        if say != self.said {
            log::log!(level, "{say}");
            tell_systemd(&[NotifyState::Status(&say)]);
            self.said = say;
        }
        if self.failures < MAX_FAILURES_IN_A_ROW { Ok(()) } else { Err(Fatal::Hopeless) }
    }
}

/// Not being heard is no reason to stop serving phones.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("notifying the service manager: {error}");
    }
}

async fn model() -> Model {
    // Absent on machines without a device tree, which are none of the models.
    let text = tokio::fs::read_to_string("/sys/firmware/devicetree/base/model").await.unwrap_or_default();
    Model::from_device_tree(&text)
}
