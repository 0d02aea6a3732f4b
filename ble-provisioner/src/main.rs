//! `coffer-ble`: the set-up service over Bluetooth Low Energy, through BlueZ. This file starts it, keeps it going and
//! stops it; it knows neither what is served nor how BlueZ is handled.
//!
//! Exit codes: 0 after SIGTERM or SIGINT, 1 when the system bus or BlueZ failed for good (see the log), 2 for a wrong
//! command line.

mod about;
mod advert;
mod bluez;
mod card;
mod daemon;
mod desk;
mod errors;
mod gatt;
mod guesses;
mod health;
mod host;
mod improv;
mod info;
mod notify;
mod orders;
mod outlook;
mod phones;
mod sessions;
mod station;
mod store;
mod touch;
mod window;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use coffer_api::WifiStatus;
use coffer_ble::network::{self, Network};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval, sleep_until, timeout},
};
use uuid::Uuid;

use crate::{
    about::About,
    bluez::{Change, Watch},
    daemon::Daemon,
    desk::Desk,
    errors::SetupErrorFrom,
    health::Health,
    host::Host,
    improv::Event,
    info::Model,
    sessions::{Identity, News, Sessions},
    station::{OnAir, Station},
    store::Store,
    touch::{Heard, Touches, Word},
    window::{AFTER_TOUCH, Window},
};

/// How often things are looked at that no signal tells of: the daemon coming up, a controller that would not power on.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// BlueZ answers within milliseconds. A call that hangs must not outlast the service manager's patience (`WatchdogSec`,
/// 30 s or more).
const SETTLE_WITHIN: Duration = Duration::from_secs(8);
/// `bluer` keeps the objects of a refused registration for ever; a fresh process now and then bounds them, and cures
/// whatever else is wrong in this one.
const MAX_FAILURES_IN_A_ROW: u32 = 30;
/// News for the sessions come one by one, from people and phones.
const MAX_NEWS: usize = 64;

#[derive(Parser)]
#[command(version, about = "Coffer's set-up service over Bluetooth Low Energy")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until told to stop
    Serve(Serve),
    /// Let the box be found for ten minutes, as a press of its power button does
    Window {
        #[command(flatten)]
        touch: TouchSocket,
    },
    /// Let apps that speak Improv bring the box into a Wi-Fi network in the minute after a press of its power button, or do
    /// not; for boxes that nobody owns yet: an owner's phone can do it, too
    Improv {
        switch: Switch,
        #[command(flatten)]
        touch: TouchSocket,
    },
    /// Do what a file `coffer.toml` on the boot partition asks for, while nobody owns the box, and wipe it
    Card {
        /// Where the boot partition is mounted
        #[arg(long, value_name = "DIR", default_value = "/boot/firmware")]
        boot: PathBuf,
        #[command(flatten)]
        touch: TouchSocket,
    },
    /// Tell the service of each press of the power button
    Button {
        #[command(flatten)]
        touch: TouchSocket,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(clap::Args)]
struct Serve {
    /// Control socket of cofferd
    #[arg(long, value_name = "PATH", default_value = "/run/coffer/control.sock")]
    control_socket: PathBuf,
    /// Where keys, phones and the count of guesses are kept
    #[arg(long, value_name = "DIR", default_value = "/data/coffer/ble")]
    state: PathBuf,
    /// Names this start of the machine: what `/proc/sys/kernel/random/boot_id` says, which the unit hides from here
    #[arg(long, value_name = "UUID")]
    boot_id: Uuid,
    #[command(flatten)]
    touch: TouchSocket,
}

#[derive(clap::Args)]
struct TouchSocket {
    /// Where touches are told
    #[arg(long = "touch-socket", value_name = "PATH", default_value = "/run/coffer-ble/touch.sock")]
    path: PathBuf,
}

/// What ends the program before anybody asked.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    #[error("connecting to the system bus: {0}. Is dbus-daemon or dbus-broker running?")]
    Bus(#[from] zbus::Error),
    #[error("connecting to the system bus for BlueZ: {0}. Is dbus-daemon or dbus-broker running?")]
    Bluez(#[from] bluer::Error),
    #[error("connecting to the system bus for the network: {0}. Is dbus-daemon or dbus-broker running?")]
    Network(#[from] network::NetworkError),
    #[error(transparent)]
    Store(#[from] store::StoreError),
    #[error(transparent)]
    Touch(#[from] touch::TouchError),
    #[error(transparent)]
    Card(#[from] card::CardError),
    #[error("listening for SIGTERM: {0}")]
    Signal(#[from] std::io::Error),
    #[error("the system bus has closed the connection")]
    BusClosed,
    #[error("BlueZ refused {MAX_FAILURES_IN_A_ROW} times in a row; starting afresh")]
    Hopeless,
    #[error("the sessions ended")]
    SessionsEnded,
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    start_logging();
    let outcome =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fatal::from).and_then(|runtime| {
            match command {
                Command::Serve(options) => runtime.block_on(serve(options)),
                Command::Window { touch } => touch::tell(&touch.path).map_err(Fatal::from),
                Command::Card { boot, touch } => card::take(&boot, &touch.path).map_err(Fatal::from),
                Command::Improv { switch, touch } => switch_improv(switch, &touch.path).map_err(Fatal::from),
                Command::Button { touch } => runtime.block_on(touch::watch_button(&touch.path)).map_err(Fatal::from),
            }
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            log::error!("{fatal}");
            ExitCode::FAILURE
        }
    }
}

fn switch_improv(switch: Switch, touch: &Path) -> Result<(), touch::TouchError> {
    let is_on = matches!(switch, Switch::On);
    touch::ask(touch, &Word::Improv(is_on))?;
    let text = if is_on { improv::RISK } else { "Improv is off." };
    // It is done, whether or not somebody reads along.
    drop(writeln!(std::io::stdout(), "{text}"));
    Ok(())
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

async fn serve(options: Serve) -> Result<(), Fatal> {
    let stop = Stop::listen()?;
    let store = Arc::new(Mutex::new(Store::open(&options.state, &mut UnwrapErr(SysRng))?));
    let touches = Touches::listen(&options.touch.path)?;
    let watch = Watch::open().await?;
    let network = Arc::new(open_network(&options.state).await?);
    let daemon = Daemon::new(options.control_socket);
    let health = Arc::new(Health::new(daemon.clone()));
    let host = Host::new(zbus::Connection::system().await?);
    let desk = Arc::new(Desk::new(daemon.clone(), network, host, Arc::clone(&store)));
    let identity = Identity { model: model().await, boot_id: options.boot_id };
    let about = Arc::new(About::new(Arc::clone(&health), Arc::clone(&desk), identity.clone()));

    let (air, bridge) = gatt::air();
    let (news, heard) = mpsc::channel(MAX_NEWS);
    let sessions = Sessions::new(air, identity, store, Arc::clone(&desk));
    let (improv, improv_bridge) = improv::improv();
    let mut tasks = JoinSet::new();
    let joining = Arc::clone(&desk);
    tasks.spawn(improv.run(desk.improv(), sessions.is_taken(), move |wifi| {
        let desk = Arc::clone(&joining);
        async move { desk.join(wifi).await }
    }));
    tasks.spawn(sessions.run(heard));
    tasks.spawn(orders::carry_out(daemon, Arc::clone(&desk)));
    let station = Station::new(bluer::Session::new().await?, Arc::clone(&about), bridge, improv_bridge.clone());
    Service {
        device_id: health.device_id_changes(),
        network: desk.wifi_status(),
        has_improv: desk.improv(),
        improv: improv_bridge,
        window: Window::default(),
        progress: Progress::default(),
        stop,
        watch,
        touches,
        desk,
        about,
        news,
        tasks,
        station,
    }
    .run()
    .await
}

async fn open_network(state: &Path) -> Result<Network, Fatal> {
    let address = zbus::Address::system()?;
    Ok(Network::open(&address, network::Settings::new(state.to_owned())).await?)
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Everything that runs.
struct Service {
    stop: Stop,
    watch: Watch,
    touches: Touches,
    device_id: watch::Receiver<Uuid>,
    network: watch::Receiver<WifiStatus>,
    has_improv: watch::Receiver<bool>,
    improv: improv::Bridge,
    desk: Arc<Desk>,
    about: Arc<About>,
    news: mpsc::Sender<News>,
    /// The sessions, and Improv.
    tasks: JoinSet<()>,
    station: Station,
    window: Window,
    progress: Progress,
}

impl Service {
    async fn run(mut self) -> Result<(), Fatal> {
        let mut look = look_interval();
        // Ready without an adapter: a box whose radio is broken still boots, and still says so.
        tell_systemd(&[NotifyState::Ready]);
        loop {
            let window_changes = self.window.next_change(Instant::now());
            tokio::select! {
                () = self.stop.asked() => break,
                change = self.watch.next() => self.note(change.ok_or(Fatal::BusClosed)?).await,
                // The other halves of these channels live as long as the desk.
                Ok(()) = self.device_id.changed() => self.tell(News::DeviceId(self.about.device_id())).await,
                Ok(()) = self.network.changed() => self.report_network().await,
                // The same.
                Ok(()) = self.has_improv.changed() => {}
                () = self.improv.changed() => {}
                heard = self.touches.next() => self.hear(heard?).await?,
                _ = look.tick() => {
                    self.look().await;
                    // Not with every event: phones make as many as they like.
                    tell_systemd(&[NotifyState::Watchdog]);
                }
                () = sleep_until(window_changes.unwrap_or_else(|| Instant::now() + LOOK_EVERY).into()) => {}
                _ = self.tasks.join_next() => return Err(Fatal::SessionsEnded),
            }
            self.settle().await?;
        }
        tell_systemd(&[NotifyState::Stopping]);
        log::info!("stopping");
        Ok(())
    }

    async fn note(&mut self, change: Change) {
        self.station.note(change);
        if let Change::PhoneLeft(address) = change {
            self.tell(News::PhoneLeft(gatt::peer(address))).await;
            self.improv.tell(Event::Left(gatt::peer(address))).await;
        }
    }

    /// Answers when all is as it was asked for.
    async fn hear(&mut self, Heard { word, asker }: Heard) -> Result<(), Fatal> {
        match word {
            Word::Touch => {
                self.window.touched_until = Some(Instant::now() + AFTER_TOUCH);
                self.tell(News::Touched).await;
                self.improv.tell(Event::Pressed).await;
                self.settle().await?;
                drop(asker);
            }
            Word::Improv(enabled) => {
                let outcome = self.desk.set_improv(enabled).await;
                self.settle().await?;
                asker.answer(outcome.map_err(|SetupErrorFrom(error)| error.happened)).await;
            }
            Word::Card(card) => {
                let desk = Arc::clone(&self.desk);
                // It takes minutes, in which phones are served and the service manager wants to hear from us.
                tokio::spawn(async move { asker.tell(&desk.apply(*card).await).await });
            }
        }
        Ok(())
    }

    async fn tell(&self, news: News) {
        // Without sessions the program is about to end.
        drop(self.news.send(news).await);
    }

    /// Tells the daemon how the network is. What does not arrive is told again at the next look.
    async fn report_network(&mut self) {
        let status = outlook::of(&self.network.borrow_and_update());
        self.desk.report_network(&status).await;
    }

    async fn look(&mut self) {
        self.report_network().await;
        if self.desk.is_resetting()
            && let Err(SetupErrorFrom(error)) = self.desk.finish_reset().await
        {
            log::warn!("the factory reset is not finished yet: {}", error.happened);
        }
        let claimed = self.about.refresh().await;
        // What it was last stays true while the daemon does not answer.
        self.window.claimed = claimed.or(self.window.claimed);
        if self.device_id.has_changed().unwrap_or(false) {
            // Before anything is registered: a handshake is bound to the id.
            self.device_id.mark_unchanged();
            self.tell(News::DeviceId(self.about.device_id())).await;
        }
    }

    async fn settle(&mut self) -> Result<(), Fatal> {
        self.window.invited = self.about.is_invited();
        self.window.offline_since = match (outlook::is_online(&self.network.borrow()), self.window.offline_since) {
            (true, _) => None,
            (false, since) => Some(since.unwrap_or_else(Instant::now)),
        };
        let findable = self.window.is_open(Instant::now());
        let has_improv = *self.has_improv.borrow_and_update();
        let improv = has_improv.then(|| self.improv.state());
        self.progress.note(timeout(SETTLE_WITHIN, self.station.settle(&self.watch, findable, improv)).await)
    }
}

fn look_interval() -> Interval {
    let mut look = interval(LOOK_EVERY.min(sd_notify::watchdog_enabled().map_or(LOOK_EVERY, |limit| limit / 2)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
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
