//! Puts the parts together, runs them, and takes them down in the right order. The only place that names them all.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{Mode, umask};
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::addon::activity::Activity;
use crate::addon::doorbell::Doorbell;
use crate::addon::event_counts::EventCounts;
use crate::addon::storage_reserve::StorageReserve;
use crate::cli::Serve;
use crate::exit::Failure;
use crate::http::{self, RequestStats, Services};
use crate::model::clock::{SharedClock, SystemClock};
use crate::service::access::Privacy;
use crate::service::accounts::Accounts;
use crate::service::api_keys::ApiKeys;
use crate::service::archives::Archives;
use crate::service::attempts;
use crate::service::audit::Context;
use crate::service::audit_retention;
use crate::service::bell::Bell;
use crate::service::bulk::Bulk;
use crate::service::chores::{Chore, chore};
use crate::service::comments::Comments;
use crate::service::common::Common;
use crate::service::device::{self, Device};
use crate::service::device_links::DeviceLinks;
use crate::service::device_settings::DeviceSettings;
use crate::service::event_stream::EventStreams;
use crate::service::events::{EventBus, Observer};
use crate::service::factory_reset::{self, FactoryReset};
use crate::service::feed::Feed;
use crate::service::files::Files;
use crate::service::folders::Folders;
use crate::service::given_key::{self, GivenKey};
use crate::service::groups::Groups;
use crate::service::handouts::{self, Handouts};
use crate::service::health::HealthCheck;
use crate::service::hook_programs::HookPrograms;
use crate::service::items::Items;
use crate::service::marks::Marks;
use crate::service::metrics::Observatory;
use crate::service::network::Network;
use crate::service::network_orders::NetworkOrders;
use crate::service::notes::Notes;
use crate::service::password_check::PasswordCheck;
use crate::service::passwords::Hasher;
use crate::service::pictures::Pictures;
use crate::service::problems::Problems;
use crate::service::registration::Registrations;
use crate::service::retention;
use crate::service::rotation_runs::RotationRuns;
use crate::service::rotations::Rotations;
use crate::service::scrub::{self, Scrubs};
use crate::service::sealing;
use crate::service::sealing_jobs::{self, SealingJobs};
use crate::service::sealing_settings::SealingSettings;
use crate::service::search::Search;
use crate::service::search_index;
use crate::service::second_factors::SecondFactors;
use crate::service::secret_attachments::SecretAttachments;
use crate::service::secrets::Secrets;
use crate::service::sessions::Sessions;
use crate::service::share_visits::ShareVisits;
use crate::service::shares::Shares;
use crate::service::srp::SrpVerifiers;
use crate::service::stats::Stats;
use crate::service::storage_policy::StorageRules;
use crate::service::sweep;
use crate::service::tags::Tags;
use crate::service::tally::Tally;
use crate::service::thumbnails::{self, Thumbnails};
use crate::service::tokens;
use crate::service::trash::{self, Trash};
use crate::service::tunnel::Tunnel;
use crate::service::updates::{self, Updates};
use crate::service::uploads::{self, Uploads};
use crate::service::users::Users;
use crate::service::variables::Variables;
use crate::service::vault::{LockReason, Vault, VaultPaths};
use crate::service::watchdog::Watchdog;
use crate::service::webhook_delivery::Deliveries;
use crate::service::webhooks::Webhooks;
use crate::storage::hardware::Hardware;
use crate::storage::registrar_link::RegistrarLink;
use crate::storage::update_channel::UpdateChannel;
use crate::storage::{durable, gocryptfs, hooks, hygiene, namespace};

/// Runs the daemon until it is told to stop. Call it first: it changes the process, which must be single-threaded.
pub(crate) fn serve(options: &Serve) -> Result<(), Failure> {
    umask(Mode::from_bits_truncate(0o077));
    let paths = absolute(options.vault_paths())?;
    prepare_directories(&paths, &options.control_socket(), options.state.is_some())?;
    let _running = keep_others_out(&paths.device)?;
    finish_reset(&paths)?;
    let device = identity(&paths)?;
    gocryptfs::clear_stale_mount(&paths.mount_point).map_err(|_| Failure::MountPoint(paths.mount_point.clone()))?;
    let given_key = given_key(&paths)?;
    // Before the namespace: in there, no process can become another user.
    let (hooks_socket, _lifeline) = start_hooks(options)?;
    namespace::enter()?;
    hygiene::harden_process();
    tokens::install_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Mostly waiting for the disk; each upload and download needs one for a moment at a time.
        .max_blocking_threads(64)
        .build()
        .map_err(Failure::Runtime)?;
    runtime.block_on(run(options, paths, device, given_key, hooks_socket))
}

/// A key for sealed files that came from outside. The first time, whoever sits at the terminal is told to save it; that is
/// for no log.
fn given_key(paths: &VaultPaths) -> Result<Option<GivenKey>, Failure> {
    let found = GivenKey::find(&paths.device, given_key::from_outside)?;
    if found.is_first && io::stdout().is_terminal() {
        // They may be gone already.
        let _ = writeln!(
            io::stdout(),
            "\nServer-side encryption is enabled with the configured key.\nSave this key now, in a place that is not this \
             box: STORMCLOUD_ENCRYPTION_KEY. Files that are sealed with it are lost without it and without the key file.\n"
        );
    }
    Ok(found.key)
}

/// Where hook programs are run, if there are some.
/// And what keeps whoever runs them alive, when we started it.
fn start_hooks(options: &Serve) -> Result<(Option<PathBuf>, Option<UnixStream>), Failure> {
    let (Some(directory), Some(user)) = (&options.hooks_directory, &options.hooks_user) else {
        return Ok((options.hooks_socket.clone(), None));
    };
    let socket = options.control_socket().with_file_name("hooks.sock");
    let lifeline = hooks::start_listener(directory, user, &socket)?;
    Ok((Some(socket), Some(lifeline)))
}

async fn run(
    options: &Serve,
    paths: VaultPaths,
    device: Device,
    given_key: Option<GivenKey>,
    hooks_socket: Option<PathBuf>,
) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let network = listen(options).await?;
    let control = listen_locally(&options.control_socket())?;

    let clock = clock(options);
    let (common, reactions) = react(options, &clock, hooks_socket);
    let files = Arc::new(Files::new(common.clone()));
    let uploads = Arc::new(Uploads::new(common.clone(), Arc::clone(&files)));
    let link = registrar_link(options)?;
    let vault = Vault::start(
        paths,
        common.clone(),
        Arc::new(device),
        given_key,
        chores(options, &common, &uploads, &reactions),
    );
    let watchdog = Watchdog::start(Arc::clone(&vault), Arc::clone(&clock));
    let reset = CancellationToken::new();
    let parts = DeviceParts::start(options, &vault, &watchdog, link, &clock, reset.clone());
    let updates = Updates::start(Arc::clone(&vault), common.clone(), options.update_paths(), update_channel(options));
    let services = serve_with(options, &common, &vault, parts, updates, (files, uploads), reactions);
    let stop = CancellationToken::new();
    let orders = Arc::clone(&services.network_orders);
    let addresses: Vec<SocketAddr> = network.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let server = tokio::spawn(http::server::serve(
        network,
        control,
        http::router(services),
        options.trusted_proxy.clone(),
        stop.clone(),
    ));
    info!(version = env!("CARGO_PKG_VERSION"), addresses:? = addresses; "cofferd is ready");
    tell_where_to_go(options, addresses.first());
    notify(&[NotifyState::Ready, NotifyState::Status("ready")]);
    let pulse = tokio::spawn(pulse(Arc::clone(&watchdog)));

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = reset.cancelled() => {}
    }
    info!("cofferd stops");
    pulse.abort();
    stop.cancel();
    orders.close();
    take_down(&vault, server).await;
    if reset.is_cancelled() { Err(Failure::Reset) } else { Ok(()) }
}

/// Every service that handlers ask for.
fn serve_with(
    options: &Serve,
    common: &Common,
    vault: &Arc<Vault>,
    device: DeviceParts,
    updates: Arc<Updates>,
    (files, uploads): (Arc<Files>, Arc<Uploads>),
    reactions: Reactions,
) -> Services {
    let hasher = Arc::new(Hasher::new());
    let password_check = Arc::new(PasswordCheck::new(common, Arc::clone(&hasher)));
    let second_factors =
        Arc::new(SecondFactors::new(common.clone(), Arc::clone(&password_check), options.public_url.clone()));
    let srp_verifiers = Arc::new(SrpVerifiers::new(common.clone(), Arc::clone(&password_check)));
    let folders = Arc::new(Folders::new(common.clone()));
    let trash = Arc::new(Trash::new(common.clone()));
    let tags = Arc::new(Tags::new(common.clone()));
    let sessions = Sessions::new(Arc::clone(vault), common.clone(), Arc::clone(&hasher), Arc::clone(&second_factors));
    let sessions = Arc::new(sessions);
    let secrets = Arc::new(Secrets::new(common.clone()));
    let event_streams = Arc::new(EventStreams::new(common.clone(), reactions.feed, Arc::clone(&sessions)));
    let observatory =
        Observatory::new(common.clone(), Arc::clone(vault), Arc::clone(&event_streams), reactions.event_tally);
    Services {
        second_factors,
        srp_verifiers,
        handouts: Arc::new(Handouts::new(Arc::clone(vault), common.clone(), Arc::clone(&secrets))),
        secret_attachments: Arc::new(SecretAttachments::new(common.clone(), Arc::clone(&files), Arc::clone(&secrets))),
        rotations: Arc::new(Rotations::new(common.clone(), Arc::clone(&secrets), reactions.rotation_runs)),
        secrets,
        sessions,
        observatory: Arc::new(observatory),
        request_stats: RequestStats::default(),
        event_streams,
        accounts: Arc::new(Accounts::new(Arc::clone(vault), common.clone(), Arc::clone(&hasher))),
        shares: Arc::new(Shares::new(common.clone(), Arc::clone(&hasher))),
        share_visits: Arc::new(ShareVisits::new(Arc::clone(vault), common.clone(), Arc::clone(&hasher))),
        users: Arc::new(Users::new(common.clone(), hasher, password_check)),
        api_keys: Arc::new(ApiKeys::new(common.clone())),
        device_links: Arc::new(DeviceLinks::new(Arc::clone(vault), common.clone())),
        pictures: Arc::new(Pictures::new(Arc::clone(&files))),
        bulk: Arc::new(Bulk::new(Arc::clone(&files), Arc::clone(&folders), Arc::clone(&trash), Arc::clone(&tags))),
        items: Arc::new(Items),
        tags,
        marks: Arc::new(Marks::new(common.clone())),
        notes: Arc::new(Notes::new(common.clone())),
        comments: Arc::new(Comments::new(common.clone())),
        search: Arc::new(Search),
        folders,
        files,
        trash,
        storage: Arc::new(StorageRules::new(common.clone())),
        scrubs: Arc::new(Scrubs::new(common.clone(), reactions.scrub_bell)),
        sealing: Arc::new(SealingSettings::new(common.clone())),
        sealing_jobs: Arc::new(SealingJobs::new(common.clone(), reactions.sealing_bell)),
        archives: Arc::new(Archives::new(common.clone())),
        uploads,
        thumbnails: Arc::new(Thumbnails),
        privacy: Arc::new(Privacy::new(common.clone())),
        groups: Arc::new(Groups::new(common.clone())),
        variables: Arc::new(Variables::new(common.clone())),
        webhooks: Arc::new(Webhooks::new(common.clone(), reactions.deliveries)),
        health: device.health,
        device_settings: device.settings,
        registrations: device.registrations,
        factory_reset: device.factory_reset,
        tunnel: device.tunnel,
        problems: device.problems,
        network: device.network,
        network_orders: device.network_orders,
        stats: device.stats,
        updates,
        auditor: common.auditor(),
        vault: Arc::clone(vault),
    }
}

/// What there is of the box itself, vault or not.
struct DeviceParts {
    health: Arc<HealthCheck>,
    settings: Arc<DeviceSettings>,
    registrations: Arc<Registrations>,
    factory_reset: Arc<FactoryReset>,
    tunnel: Arc<Tunnel>,
    problems: Arc<Problems>,
    network: Arc<Network>,
    network_orders: Arc<NetworkOrders>,
    stats: Arc<Stats>,
}

impl DeviceParts {
    /// Goes on with whatever a power cut interrupted. `reset` ends the daemon after a factory reset.
    fn start(
        options: &Serve,
        vault: &Arc<Vault>,
        watchdog: &Arc<Watchdog>,
        link: RegistrarLink,
        clock: &SharedClock,
        reset: CancellationToken,
    ) -> Self {
        let vault = || Arc::clone(vault);
        let tunnel = Tunnel::start(Arc::clone(vault().device()), options.tunnel_metrics, Arc::clone(clock));
        let registrations = Registrations::start(vault(), Arc::clone(&tunnel), link, Arc::clone(clock));
        let network = Arc::new(Network::new(Arc::clone(clock), Arc::clone(&registrations)));
        let hardware = Arc::new(Hardware::find(Path::new("/sys"), options.drive_reports.clone()));
        let problems = Arc::new(Problems::new(
            vault(),
            Arc::clone(watchdog),
            Arc::clone(&tunnel),
            Arc::clone(&registrations),
            Arc::clone(&hardware),
            Arc::clone(clock),
            options.storage_report.clone(),
        ));
        Self {
            health: Arc::new(HealthCheck::new(
                vault(),
                Arc::clone(watchdog),
                Arc::clone(&tunnel),
                Arc::clone(&problems),
            )),
            settings: Arc::new(DeviceSettings::new(vault())),
            factory_reset: Arc::new(FactoryReset::new(vault(), reset)),
            network_orders: Arc::new(NetworkOrders::new(vault(), Arc::clone(clock))),
            stats: Arc::new(Stats::new(vault(), Arc::clone(&network), hardware, Arc::clone(clock))),
            registrations,
            tunnel,
            problems,
            network,
        }
    }
}

/// Where updates come from. A file that is wrong must not keep the box from its owner.
fn update_channel(options: &Serve) -> Option<UpdateChannel> {
    let file = options.update_channel.as_deref()?;
    UpdateChannel::find(file, options.registrar_ca.as_deref()).unwrap_or_else(|error| {
        warn!(error:% = error; "the file that names the channel of updates is of no use");
        None
    })
}

fn registrar_link(options: &Serve) -> Result<RegistrarLink, Failure> {
    let file = options.registrar_ca.as_deref();
    let link = RegistrarLink::new(file);
    link.map_err(|cause| Failure::Certificates { file: file.map(Path::to_owned).unwrap_or_default(), cause })
}

async fn take_down(vault: &Arc<Vault>, server: JoinHandle<()>) {
    notify(&[NotifyState::Stopping, NotifyState::Status("locking the vault")]);
    // Locking ends the running transfers, which lets the server end.
    if let Err(error) = vault.lock(LockReason::Stopping, Context::default()).await {
        error!(error:% = error; "the vault was not locked cleanly");
    }
    if server.await.is_err() {
        error!("the server failed unexpectedly");
    }
}

/// What reacts to events, besides the add-ons.
struct Reactions {
    feed: Arc<Feed>,
    event_tally: Tally,
    deliveries: Arc<Deliveries>,
    hook_programs: Arc<HookPrograms>,
    rotation_runs: Arc<RotationRuns>,
    thumbnails_bell: Bell,
    search_bell: Bell,
    scrub_bell: Bell,
    sealing_bell: Bell,
}

/// Puts together whatever hears of events, and with it what every service needs.
fn react(options: &Serve, clock: &SharedClock, hooks_socket: Option<PathBuf>) -> (Common, Reactions) {
    let feed = Arc::new(Feed::new(Arc::clone(clock)));
    let [webhooks_bell, hooks_bell, thumbnails_bell, search_bell] = std::array::from_fn(|_| Bell::default());
    let bells = [&webhooks_bell, &hooks_bell, &thumbnails_bell, &search_bell];
    let event_tally = Tally::default();
    let observers: Vec<Arc<dyn Observer>> = vec![
        Arc::new(Activity),
        Arc::new(Doorbell(bells.map(Bell::clone).to_vec())),
        Arc::new(EventCounts(event_tally.clone())),
    ];
    let events = EventBus::start(vec![Box::new(StorageReserve)], observers, Arc::clone(&feed));
    let common = Common::new(Arc::clone(clock), events);
    let deliveries = Arc::new(Deliveries::new(common.clone(), webhooks_bell, options.allow_local_webhooks));
    let rotation_runs = RotationRuns::new(common.clone(), hooks_socket.clone(), options.allow_local_rotations);
    let hook_programs = Arc::new(HookPrograms::new(hooks_socket, hooks_bell));
    let [scrub_bell, sealing_bell] = std::array::from_fn(|_| Bell::default());
    let reactions = Reactions {
        feed,
        event_tally,
        deliveries,
        hook_programs,
        rotation_runs: Arc::new(rotation_runs),
        thumbnails_bell,
        search_bell,
        scrub_bell,
        sealing_bell,
    };
    (common, reactions)
}

/// What goes on by itself while the vault is unlocked.
fn chores(options: &Serve, common: &Common, uploads: &Arc<Uploads>, reactions: &Reactions) -> Vec<Chore> {
    let uploads = Arc::clone(uploads);
    let (thumbnails_bell, search_bell) = (reactions.thumbnails_bell.clone(), reactions.search_bell.clone());
    let (auditor, guards) = (common.auditor(), common.guards());
    let (deliveries, feed) = (Arc::clone(&reactions.deliveries), Arc::clone(&reactions.feed));
    let hook_programs = Arc::clone(&reactions.hook_programs);
    let rotation_runs = Arc::clone(&reactions.rotation_runs);
    let (trash, revisions, scrubs, handouts) = (common.clone(), common.clone(), common.clone(), common.clone());
    let (scrub_bell, sealing_bell) = (reactions.scrub_bell.clone(), reactions.sealing_bell.clone());
    let update_paths = options.update_paths();
    let (sweeps, faults, sealing_jobs) = (common.clone(), common.clone(), common.clone());
    vec![
        chore(move |lease| sweep::sweep(lease, sweeps.clone())),
        chore(move |lease| sealing::report_faults(lease, faults.clone())),
        chore(move |lease| sealing_jobs::keep(lease, sealing_jobs.clone(), sealing_bell.clone())),
        chore(move |lease| attempts::keep(lease, Arc::clone(&guards))),
        chore(move |lease| audit_retention::keep(lease, auditor.clone())),
        chore(move |lease| trash::keep(lease, trash.clone())),
        chore(move |lease| handouts::keep(lease, handouts.clone())),
        chore(move |lease| retention::keep(lease, revisions.clone())),
        chore(move |lease| scrub::keep(lease, scrubs.clone(), scrub_bell.clone())),
        chore(move |lease| uploads::keep(lease, Arc::clone(&uploads))),
        chore(move |lease| thumbnails::make(lease, thumbnails_bell.clone())),
        chore(move |lease| search_index::keep(lease, search_bell.clone())),
        chore(move |lease| Arc::clone(&deliveries).run(lease)),
        chore(move |lease| Arc::clone(&hook_programs).run(lease)),
        chore(move |lease| Arc::clone(&rotation_runs).run(lease)),
        chore(move |lease| Arc::clone(&feed).forget_at_lock(lease)),
        chore(move |lease| updates::forget_copies(lease, update_paths.clone())),
    ]
}

#[cfg(debug_assertions)]
fn clock(options: &Serve) -> SharedClock {
    match &options.clock_offset {
        Some(path) => Arc::new(crate::offset_clock::OffsetClock::new(path.clone())),
        None => Arc::new(SystemClock),
    }
}

#[cfg(not(debug_assertions))]
fn clock(_: &Serve) -> SharedClock {
    Arc::new(SystemClock)
}

/// Tells systemd that we live, at half of the time it allows; but only while the watch over the key file lives.
async fn pulse(watchdog: Arc<Watchdog>) {
    let Some(allowed) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval((allowed / 2).max(Duration::from_millis(10)));
    loop {
        ticks.tick().await;
        if watchdog.is_alive() {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(error:% = error; "cannot talk to systemd");
    }
}

async fn listen(options: &Serve) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    for address in &options.listen {
        let bound = TcpListener::bind(address).await;
        listeners.push(bound.map_err(|cause| Failure::Listen { address: address.to_string(), cause })?);
    }
    Ok(listeners)
}

/// A socket left behind by a killed daemon is replaced: [`keep_others_out`] made sure that none lives.
fn listen_locally(path: &Path) -> Result<UnixListener, Failure> {
    let bound = durable::remove_file(path).and_then(|()| UnixListener::bind(path)).and_then(|listener| {
        // The group may use it as well; on the appliance the directory decides who gets this far.
        std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
        Ok(listener)
    });
    bound.map_err(|cause| Failure::Listen { address: path.display().to_string(), cause })
}

fn prepare_directories(paths: &VaultPaths, control_socket: &Path, make: bool) -> Result<(), Failure> {
    let parent = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
    let run = parent(control_socket);
    for directory in [paths.device.clone(), parent(&paths.mount_point), run] {
        let usable = if make { durable::make_directory(&directory) } else { probe(&directory) };
        usable.map_err(|cause| Failure::Directory { directory, cause })?;
    }
    if make {
        // On the appliance these two may come later: a stick and a drive. Here they are ours to make.
        for directory in [paths.secrets.clone(), parent(&paths.cipher)] {
            durable::make_directory(&directory).map_err(|cause| Failure::Directory { directory, cause })?;
        }
    }
    Ok(())
}

/// Whether a directory is there and can be written to.
fn probe(directory: &Path) -> io::Result<()> {
    if !std::fs::metadata(directory)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    Ok(nix::unistd::access(directory, nix::unistd::AccessFlags::W_OK)?)
}

/// Keeps others away from the identity of a box for as long as the lock lives.
pub(crate) fn keep_others_out(directory: &Path) -> Result<Flock<File>, Failure> {
    let path = directory.join(device::LOCK_FILE);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|cause| Failure::Directory { directory: directory.to_owned(), cause })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| Failure::AlreadyRunning(directory.to_owned()))
}

fn identity(paths: &VaultPaths) -> Result<Device, Failure> {
    match &paths.setup_code_file {
        Some(file) => Ok(Device::prepare(&paths.device, file, &SystemClock)?),
        None => Device::load(&paths.device)?.ok_or_else(|| Failure::NoIdentity(paths.device.clone())),
    }
}

/// Ends what a factory reset began. Where another program makes identities, that one has its turn now.
fn finish_reset(paths: &VaultPaths) -> Result<(), Failure> {
    let failed = |cause| Failure::Directory { directory: paths.device.clone(), cause };
    if let Some(file) = &paths.setup_code_file {
        factory_reset::take_request(&paths.device, file).map_err(failed)?;
    }
    let reset = factory_reset::finish(paths).map_err(failed)?;
    if reset && paths.setup_code_file.is_none() { Err(Failure::Reset) } else { Ok(()) }
}

fn absolute(paths: VaultPaths) -> Result<VaultPaths, Failure> {
    let absolute =
        |path: PathBuf| std::path::absolute(&path).map_err(|cause| Failure::Directory { directory: path, cause });
    Ok(VaultPaths {
        secrets: absolute(paths.secrets)?,
        device: absolute(paths.device)?,
        cipher: absolute(paths.cipher)?,
        mount_point: absolute(paths.mount_point)?,
        key_stick: paths.key_stick.map(absolute).transpose()?,
        setup_code_file: paths.setup_code_file.map(absolute).transpose()?,
    })
}

/// For a person who started this by hand, who may be gone already: then the text is of no use to anybody.
fn tell_where_to_go(options: &Serve, address: Option<&SocketAddr>) {
    let (Some(file), Some(address)) = (options.vault_paths().setup_code_file, address) else { return };
    let file = file.display();
    let _ = writeln!(
        io::stdout(),
        "\nCoffer is ready.\n\n  \
           API and its description    http://{address}/docs\n  \
           setup code, until claimed  {file}\n  \
           stop (locks the vault)     Ctrl-C\n"
    );
}
