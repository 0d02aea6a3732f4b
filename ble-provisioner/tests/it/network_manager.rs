//! A NetworkManager with one Wi-Fi device, as far as the network module uses it. What the radio finds and how joining
//! goes is scripted; what was asked of it is written down.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::watch;
use zbus::{
    Connection, ObjectPath, OwnedObjectPath, OwnedVariant, Variant, connection, fdo, interface,
    object_server::SignalEmitter,
};

use crate::eventually;

const ROOT: &str = "/org/freedesktop/NetworkManager";
pub(crate) const DEVICE: &str = "/org/freedesktop/NetworkManager/Devices/1";
pub(crate) const FIRST_PROFILE: &str = "/org/freedesktop/NetworkManager/Settings/1";
const FIRST_ACTIVE: &str = "/org/freedesktop/NetworkManager/ActiveConnection/1";
const ETHERNET: &str = "/org/freedesktop/NetworkManager/Devices/0";
const IP4: &str = "/org/freedesktop/NetworkManager/IP4Config/1";
const DEVICE_INTERFACE: &str = "org.freedesktop.NetworkManager.Device";
const WIRELESS_INTERFACE: &str = "org.freedesktop.NetworkManager.Device.Wireless";
const SUPPLICANT_OBJECT: &str = "/fi/w1/wpa_supplicant1/Interfaces/0";
const SUPPLICANT_INTERFACE: &str = "fi.w1.wpa_supplicant1.Interface";

pub(crate) type Profile = HashMap<String, HashMap<String, OwnedVariant>>;

/// What happens after NetworkManager was told to join.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The device goes on to a state, for a reason.
    Device(u32, u32),
    /// So does the activation.
    Active(u32),
    /// wpa_supplicant tells a code.
    Code(&'static str, i32),
    /// wpa_supplicant tells a step of an enterprise login.
    Eap(&'static str, &'static str),
    /// wpa_supplicant takes the password for wrong.
    PskMismatch,
    /// Somebody who is not NetworkManager tells that all is well.
    Impostor,
}

/// What happens after NetworkManager was told to scan.
#[derive(Clone, Debug)]
pub(crate) enum Look {
    /// `LastScan` takes these values, one after the other.
    Ends(Vec<i64>),
    /// Nothing.
    Never,
    /// It refuses.
    TooSoon,
}

/// An access point.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) ssid: Vec<u8>,
    pub(crate) flags: u32,
    pub(crate) rsn: u32,
    pub(crate) frequency_mhz: u32,
    pub(crate) strength: u8,
}

/// All there is to know about this NetworkManager.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) wireless_enabled: bool,
    pub(crate) hardware_enabled: bool,
    pub(crate) has_wifi: bool,
    pub(crate) firmware_missing: bool,
    pub(crate) checks_connectivity: bool,
    pub(crate) connectivity: u32,
    pub(crate) device_state: u32,
    pub(crate) active: String,
    pub(crate) points: Vec<Point>,
    pub(crate) last_scan: i64,
    pub(crate) looks: VecDeque<Look>,
    /// The names that were called in each scan.
    pub(crate) scans: Vec<Vec<Vec<u8>>>,
    pub(crate) attempts: VecDeque<Vec<Step>>,
    /// What was to be joined, and the options.
    pub(crate) joined: Vec<(Profile, HashMap<String, OwnedVariant>)>,
    pub(crate) profiles: BTreeMap<String, Profile>,
    /// What was numbered so far.
    pub(crate) numbers: u32,
    /// Those that are open.
    pub(crate) checkpoints: Vec<String>,
    /// Everything that was done, in order.
    pub(crate) done: Vec<Done>,
    pub(crate) disk_full: bool,
}

/// Something that NetworkManager was told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    CheckpointCreated { timeout_s: u32, flags: u32 },
    CheckpointDestroyed,
    RolledBack,
    Joined,
    Deleted(String),
    Updated { profile: String, flags: u32 },
    Reapplied,
}

impl Default for State {
    /// Just started, on no network.
    fn default() -> Self {
        Self {
            wireless_enabled: true,
            hardware_enabled: true,
            has_wifi: true,
            firmware_missing: false,
            checks_connectivity: false,
            connectivity: 4,
            device_state: 30,
            active: "/".to_owned(),
            points: Vec::new(),
            last_scan: -1,
            looks: VecDeque::new(),
            scans: Vec::new(),
            attempts: VecDeque::new(),
            joined: Vec::new(),
            profiles: BTreeMap::new(),
            numbers: 1,
            checkpoints: Vec::new(),
            done: Vec::new(),
            disk_full: false,
        }
    }
}

impl State {
    /// On a network with a profile of its own.
    pub(crate) fn on_network(ssid: &[u8]) -> Self {
        Self {
            device_state: 100,
            active: FIRST_ACTIVE.to_owned(),
            points: vec![open_point(ssid, 70)],
            profiles: BTreeMap::from([(FIRST_PROFILE.to_owned(), profile(ssid))]),
            ..Self::default()
        }
    }

    fn next_number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }
}

pub(crate) fn open_point(ssid: &[u8], strength: u8) -> Point {
    Point { ssid: ssid.to_vec(), flags: 0, rsn: 0, frequency_mhz: 2412, strength }
}

/// A profile as NetworkManager tells it.
pub(crate) fn profile(ssid: &[u8]) -> Profile {
    let value = |value: Variant<'_>| OwnedVariant::try_from(value).unwrap();
    HashMap::from([
        ("802-11-wireless".to_owned(), HashMap::from([("ssid".to_owned(), value(Variant::from(ssid)))])),
        (
            "ipv4".to_owned(),
            HashMap::from([
                ("method".to_owned(), value(Variant::from("auto"))),
                ("addresses".to_owned(), value(Variant::from(Vec::<Vec<u32>>::new()))),
                ("may-fail".to_owned(), value(Variant::from(true))),
            ]),
        ),
    ])
}

/// It, and wpa_supplicant beside it.
#[derive(Clone)]
pub(crate) struct NetworkManager {
    pub(crate) connection: Connection,
    supplicant: Connection,
    impostor: Connection,
    pub(crate) state: watch::Sender<State>,
}

impl NetworkManager {
    pub(crate) async fn start(bus_address: &str, state: State) -> Self {
        let state = watch::Sender::new(state);
        let connect = |name: Option<&'static str>| {
            let builder = connection::Builder::address(bus_address);
            match name {
                Some(name) => builder.name(name),
                None => builder,
            }
        };
        let supplicant = connect(Some("fi.w1.wpa_supplicant1")).build().await.unwrap();
        let impostor = connect(None).build().await.unwrap();
        let connection = connect(None).build().await.unwrap();
        let this = Self { connection, supplicant, impostor, state };
        this.serve().await;
        this
    }

    async fn serve(&self) {
        let server = self.connection.object_server();
        server.at(ROOT, Manager(self.clone())).await.unwrap();
        server.at(ETHERNET, Ethernet).await.unwrap();
        server.at(DEVICE, Device(self.clone())).await.unwrap();
        server.at(DEVICE, Wireless(self.clone())).await.unwrap();
        server.at(IP4, Ip4Config).await.unwrap();
        server.at(FIRST_ACTIVE, Active { profile: FIRST_PROFILE.to_owned() }).await.unwrap();
        server.at(format!("{ROOT}/Settings"), Settings(self.clone())).await.unwrap();
        let paths: Vec<String> = self.state.borrow().profiles.keys().cloned().collect();
        for path in paths {
            server.at(path.as_str(), Connected(self.clone(), path.clone())).await.unwrap();
        }
        for number in 0..self.state.borrow().points.len() {
            server.at(point_path(number), AccessPoint(self.clone(), number)).await.unwrap();
        }
        self.connection.request_name("org.freedesktop.NetworkManager").await.unwrap();
    }

    /// Waits until so much was asked of it.
    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&State) -> bool) {
        let mut states = self.state.subscribe();
        eventually(what, async { states.wait_for(|state| reached(state)).await.map(|_| ()).unwrap() }).await;
    }

    pub(crate) fn done(&self) -> Vec<Done> {
        self.state.borrow().done.clone()
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// As when the time of every checkpoint is over.
    pub(crate) fn time_is_over(&self) {
        self.set(|state| state.checkpoints.clear());
    }

    pub(crate) async fn scan_ends(&self, last_scan: i64) {
        self.set(|state| state.last_scan = last_scan);
        let changed = HashMap::from([("LastScan", Variant::from(last_scan))]);
        self.emit_changed(DEVICE, WIRELESS_INTERFACE, changed).await;
    }

    pub(crate) async fn device_goes_to(&self, device_state: u32, reason: u32) {
        let before = self.state.borrow().device_state;
        self.set(|state| state.device_state = device_state);
        let body = (device_state, before, reason);
        self.connection.emit_signal(None::<&str>, DEVICE, DEVICE_INTERFACE, "StateChanged", &body).await.unwrap();
    }

    async fn emit_changed(&self, path: &str, interface: &str, changed: HashMap<&str, Variant<'_>>) {
        emit_changed(&self.connection, path, interface, changed).await;
    }

    async fn play(&self, active: &str, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Device(state, reason) => self.device_goes_to(state, reason).await,
                Step::Active(state) => active_goes_to(&self.connection, active, state).await,
                Step::Impostor => self.impostor_says_that_all_is_well(active).await,
                Step::Code(name, code) => {
                    let changed = HashMap::from([(name, Variant::from(code))]);
                    emit_changed(&self.supplicant, SUPPLICANT_OBJECT, SUPPLICANT_INTERFACE, changed).await;
                }
                Step::Eap(status, parameter) => self.supplicant_says("EAP", &(status, parameter)).await,
                Step::PskMismatch => self.supplicant_says("PskMismatch", &()).await,
            }
            // The bus keeps order for one sender only: what another one says next must not overtake it.
            for connection in [&self.connection, &self.supplicant, &self.impostor] {
                fdo::DBusProxy::new(connection).await.unwrap().get_id().await.unwrap();
            }
        }
    }

    /// A broadcast would reach nobody who asked for NetworkManager's signals; so he writes to everybody by name.
    async fn impostor_says_that_all_is_well(&self, active: &str) {
        let interface = "org.freedesktop.NetworkManager.Connection.Active";
        let names = fdo::DBusProxy::new(&self.impostor).await.unwrap().list_names().await.unwrap();
        for name in names.into_iter().filter(|name| name.starts_with(':')) {
            let body = (2_u32, 0_u32);
            self.impostor.emit_signal(Some(name), active, interface, "StateChanged", &body).await.unwrap();
        }
    }

    async fn supplicant_says<T: serde::Serialize + zbus::Type>(&self, member: &str, body: &T) {
        let signal = self.supplicant.emit_signal(None::<&str>, SUPPLICANT_OBJECT, SUPPLICANT_INTERFACE, member, body);
        signal.await.unwrap();
    }

    async fn add_profile(&self, settings: Profile) -> String {
        let mut path = String::new();
        self.set(|state| {
            path = format!("{ROOT}/Settings/{}", state.next_number());
            state.profiles.insert(path.clone(), settings);
        });
        self.connection.object_server().at(path.as_str(), Connected(self.clone(), path.clone())).await.unwrap();
        path
    }
}

fn point_path(number: usize) -> String {
    format!("{ROOT}/AccessPoint/{number}")
}

async fn emit_changed(connection: &Connection, path: &str, interface: &str, changed: HashMap<&str, Variant<'_>>) {
    let body = (interface, changed, Vec::<&str>::new());
    let properties = "org.freedesktop.DBus.Properties";
    connection.emit_signal(None::<&str>, path, properties, "PropertiesChanged", &body).await.unwrap();
}

async fn active_goes_to(connection: &Connection, path: &str, state: u32) {
    let interface = "org.freedesktop.NetworkManager.Connection.Active";
    connection.emit_signal(None::<&str>, path, interface, "StateChanged", &(state, 0_u32)).await.unwrap();
}

fn object(path: &str) -> OwnedObjectPath {
    ObjectPath::try_from(path.to_owned()).unwrap().into()
}

struct Manager(NetworkManager);

#[interface(name = "org.freedesktop.NetworkManager")]
impl Manager {
    fn get_devices(&self) -> Vec<OwnedObjectPath> {
        let mut devices = vec![object(ETHERNET)];
        devices.extend(self.0.state.borrow().has_wifi.then(|| object(DEVICE)));
        devices
    }

    #[zbus(name = "AddAndActivateConnection2")]
    async fn add_and_activate(
        &self,
        settings: Profile,
        device: OwnedObjectPath,
        specific_object: OwnedObjectPath,
        options: HashMap<String, OwnedVariant>,
    ) -> (OwnedObjectPath, OwnedObjectPath, HashMap<String, OwnedVariant>) {
        assert_eq!((device.as_str(), specific_object.as_str()), (DEVICE, "/"));
        let nm = &self.0;
        let path = nm.add_profile(settings.try_clone()).await;
        let active = format!("{ROOT}/ActiveConnection/{}", path.rsplit('/').next().unwrap());
        nm.connection.object_server().at(active.as_str(), Active { profile: path.clone() }).await.unwrap();
        let mut steps = Vec::new();
        nm.set(|state| {
            state.joined.push((settings, options));
            state.done.push(Done::Joined);
            state.active.clone_from(&active);
            steps = state.attempts.pop_front().unwrap_or_default();
        });
        tokio::spawn({
            let (nm, active) = (nm.clone(), active.clone());
            async move { nm.play(&active, steps).await }
        });
        (object(&path), object(&active), HashMap::new())
    }

    fn check_connectivity(&self) -> u32 {
        self.0.state.borrow().connectivity
    }

    fn checkpoint_create(
        &self,
        devices: Vec<OwnedObjectPath>,
        timeout_s: u32,
        flags: u32,
    ) -> fdo::Result<OwnedObjectPath> {
        assert_eq!(devices, [object(DEVICE)]);
        let mut path = None;
        self.0.set(|state| {
            if state.checkpoints.is_empty() {
                let new = format!("{ROOT}/Checkpoint/{}", state.next_number());
                state.checkpoints.push(new.clone());
                state.done.push(Done::CheckpointCreated { timeout_s, flags });
                path = Some(object(&new));
            }
        });
        path.ok_or_else(|| fdo::Error::Failed("device is already included in a checkpoint".to_owned()))
    }

    fn checkpoint_destroy(&self, checkpoint: OwnedObjectPath) -> fdo::Result<()> {
        self.close(&checkpoint, Done::CheckpointDestroyed)
    }

    fn checkpoint_rollback(&self, checkpoint: OwnedObjectPath) -> fdo::Result<HashMap<String, u32>> {
        self.close(&checkpoint, Done::RolledBack).map(|()| HashMap::new())
    }

    #[zbus(property)]
    fn checkpoints(&self) -> Vec<OwnedObjectPath> {
        self.0.state.borrow().checkpoints.iter().map(|path| object(path)).collect()
    }

    #[zbus(property)]
    fn wireless_enabled(&self) -> bool {
        self.0.state.borrow().wireless_enabled
    }

    #[zbus(property)]
    fn wireless_hardware_enabled(&self) -> bool {
        self.0.state.borrow().hardware_enabled
    }

    #[zbus(property)]
    fn connectivity(&self) -> u32 {
        self.0.state.borrow().connectivity
    }

    #[zbus(property)]
    fn connectivity_check_available(&self) -> bool {
        self.0.state.borrow().checks_connectivity
    }

    #[zbus(property)]
    fn connectivity_check_enabled(&self) -> bool {
        self.0.state.borrow().checks_connectivity
    }
}

impl Manager {
    fn close(&self, checkpoint: &OwnedObjectPath, done: Done) -> fdo::Result<()> {
        let mut known = false;
        self.0.set(|state| {
            let before = state.checkpoints.len();
            state.checkpoints.retain(|open| open != checkpoint.as_str());
            known = state.checkpoints.len() < before;
            state.done.extend(known.then_some(done));
        });
        if known { Ok(()) } else { Err(fdo::Error::Failed("no such checkpoint".to_owned())) }
    }
}

struct Ethernet;

#[interface(name = "org.freedesktop.NetworkManager.Device")]
impl Ethernet {
    #[zbus(property)]
    fn device_type(&self) -> u32 {
        1
    }
}

struct Device(NetworkManager);

#[interface(name = "org.freedesktop.NetworkManager.Device")]
impl Device {
    fn reapply(&self, connection: Profile, version_id: u64, flags: u32) {
        assert!(connection.is_empty() && version_id == 0 && flags == 0);
        self.0.set(|state| state.done.push(Done::Reapplied));
    }

    #[zbus(property)]
    fn device_type(&self) -> u32 {
        2
    }

    #[zbus(property)]
    fn state(&self) -> u32 {
        self.0.state.borrow().device_state
    }

    #[zbus(property)]
    fn firmware_missing(&self) -> bool {
        self.0.state.borrow().firmware_missing
    }

    #[zbus(property)]
    fn active_connection(&self) -> OwnedObjectPath {
        object(&self.0.state.borrow().active)
    }

    #[zbus(property)]
    fn ip4_config(&self) -> OwnedObjectPath {
        object(if self.0.state.borrow().device_state == 100 { IP4 } else { "/" })
    }
}

struct Wireless(NetworkManager);

#[interface(name = "org.freedesktop.NetworkManager.Device.Wireless")]
impl Wireless {
    fn get_all_access_points(&self) -> Vec<OwnedObjectPath> {
        (0..self.0.state.borrow().points.len()).map(|number| object(&point_path(number))).collect()
    }

    fn request_scan(&self, mut options: HashMap<String, OwnedVariant>) -> Result<(), ScanError> {
        let names = options.remove("ssids").map_or_else(Vec::new, |names| Vec::<Vec<u8>>::try_from(names).unwrap());
        assert!(options.is_empty());
        let mut look = Look::Never;
        self.0.set(|state| {
            state.scans.push(names);
            look = state.looks.pop_front().unwrap_or(Look::Never);
        });
        match look {
            Look::Never => {}
            Look::TooSoon => return Err(ScanError::NotAllowed("Scanning not allowed".to_owned())),
            Look::Ends(times) => {
                let nm = self.0.clone();
                tokio::spawn(async move {
                    for time in times {
                        nm.scan_ends(time).await;
                    }
                });
            }
        }
        Ok(())
    }

    #[zbus(property)]
    fn last_scan(&self) -> i64 {
        self.0.state.borrow().last_scan
    }

    #[zbus(property)]
    fn active_access_point(&self) -> OwnedObjectPath {
        let connected = self.0.state.borrow().device_state == 100;
        object(&if connected { point_path(0) } else { "/".to_owned() })
    }
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.NetworkManager.Device")]
enum ScanError {
    #[zbus(error)]
    ZBus(zbus::Error),
    NotAllowed(String),
}

struct AccessPoint(NetworkManager, usize);

#[interface(name = "org.freedesktop.NetworkManager.AccessPoint")]
impl AccessPoint {
    #[zbus(property)]
    fn ssid(&self) -> Vec<u8> {
        self.point().ssid
    }

    #[zbus(property)]
    fn flags(&self) -> u32 {
        self.point().flags
    }

    #[zbus(property)]
    fn wpa_flags(&self) -> u32 {
        0
    }

    #[zbus(property)]
    fn rsn_flags(&self) -> u32 {
        self.point().rsn
    }

    #[zbus(property)]
    fn frequency(&self) -> u32 {
        self.point().frequency_mhz
    }

    #[zbus(property)]
    fn strength(&self) -> u8 {
        self.point().strength
    }
}

impl AccessPoint {
    fn point(&self) -> Point {
        self.0.state.borrow().points[self.1].clone()
    }
}

struct Active {
    profile: String,
}

#[interface(name = "org.freedesktop.NetworkManager.Connection.Active")]
impl Active {
    #[zbus(property)]
    fn connection(&self) -> OwnedObjectPath {
        object(&self.profile)
    }
}

struct Ip4Config;

#[interface(name = "org.freedesktop.NetworkManager.IP4Config")]
impl Ip4Config {
    #[zbus(property)]
    fn address_data(&self) -> Vec<HashMap<String, OwnedVariant>> {
        vec![HashMap::from([
            ("address".to_owned(), OwnedVariant::try_from(Variant::from("192.168.1.20")).unwrap()),
            ("prefix".to_owned(), OwnedVariant::from(24_u32)),
        ])]
    }

    #[zbus(property)]
    fn gateway(&self) -> String {
        "192.168.1.1".to_owned()
    }

    #[zbus(property)]
    fn nameserver_data(&self) -> Vec<HashMap<String, OwnedVariant>> {
        let address = OwnedVariant::try_from(Variant::from("192.168.1.53")).unwrap();
        vec![HashMap::from([("address".to_owned(), address)])]
    }
}

struct Settings(NetworkManager);

#[interface(name = "org.freedesktop.NetworkManager.Settings")]
impl Settings {
    fn list_connections(&self) -> Vec<OwnedObjectPath> {
        self.0.state.borrow().profiles.keys().map(|path| object(path)).collect()
    }
}

struct Connected(NetworkManager, String);

#[interface(name = "org.freedesktop.NetworkManager.Settings.Connection")]
impl Connected {
    fn get_settings(&self) -> Profile {
        self.0.state.borrow().profiles[&self.1].try_clone()
    }

    #[zbus(name = "Update2")]
    fn update(
        &self,
        settings: Profile,
        flags: u32,
        args: HashMap<String, OwnedVariant>,
    ) -> fdo::Result<HashMap<String, OwnedVariant>> {
        assert!(args.is_empty());
        if self.0.state.borrow().disk_full && flags == 1 {
            return Err(fdo::Error::Failed("No space left on device; psk=hunter22".to_owned()));
        }
        self.0.set(|state| {
            state.done.push(Done::Updated { profile: self.1.clone(), flags });
            if !settings.is_empty() {
                state.profiles.insert(self.1.clone(), settings);
            }
        });
        Ok(HashMap::new())
    }

    async fn delete(&self, #[zbus(signal_emitter)] _emitter: SignalEmitter<'_>) {
        self.0.set(|state| {
            state.profiles.remove(&self.1);
            state.done.push(Done::Deleted(self.1.clone()));
        });
    }
}

/// `OwnedVariant` can hold a file descriptor, so it does not copy itself; these do not.
pub(crate) trait TryClone {
    fn try_clone(&self) -> Self;
}

impl TryClone for Profile {
    fn try_clone(&self) -> Self {
        let words = |(word, value): (&String, &OwnedVariant)| (word.clone(), value.try_clone().unwrap());
        self.iter().map(|(name, setting)| (name.clone(), setting.iter().map(words).collect())).collect()
    }
}
