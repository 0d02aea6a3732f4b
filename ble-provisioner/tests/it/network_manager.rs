//! A NetworkManager with one Wi-Fi device, as far as the network module uses it. What the radio finds and how joining
//! goes is scripted; what was asked of it is written down.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::watch;
use zbus::{Connection, ObjectPath, OwnedObjectPath, OwnedVariant, Variant, connection, fdo};

use crate::{
    eventually,
    network_manager_objects::{
        AccessPoint, Active, Connected, Device, Ethernet, Ip4Config, Manager, Settings, Wireless,
    },
};

pub(crate) const ROOT: &str = "/org/freedesktop/NetworkManager";
pub(crate) const DEVICE: &str = "/org/freedesktop/NetworkManager/Devices/1";
pub(crate) const FIRST_PROFILE: &str = "/org/freedesktop/NetworkManager/Settings/1";
const FIRST_ACTIVE: &str = "/org/freedesktop/NetworkManager/ActiveConnection/1";
pub(crate) const ETHERNET: &str = "/org/freedesktop/NetworkManager/Devices/0";
pub(crate) const IP4: &str = "/org/freedesktop/NetworkManager/IP4Config/1";
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
    /// `wpa_supplicant` tells a code.
    Code(&'static str, i32),
    /// `wpa_supplicant` tells a step of an enterprise login.
    Eap(&'static str, &'static str),
    /// `wpa_supplicant` takes the password for wrong.
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
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub(crate) struct State {
    pub(crate) wireless_enabled: bool,
    pub(crate) hardware_enabled: bool,
    pub(crate) has_wifi: bool,
    pub(crate) firmware_missing: bool,
    pub(crate) checks_connectivity: bool,
    pub(crate) connectivity: u32,
    pub(crate) stage: u32,
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
            stage: 30,
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
            stage: 100,
            active: FIRST_ACTIVE.to_owned(),
            points: vec![open_point(ssid, 70)],
            profiles: BTreeMap::from([(FIRST_PROFILE.to_owned(), profile(ssid))]),
            ..Self::default()
        }
    }

    pub(crate) fn next_number(&mut self) -> u32 {
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

/// It, and `wpa_supplicant` beside it.
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
        let before = self.state.borrow().stage;
        self.set(|state| state.stage = device_state);
        let body = (device_state, before, reason);
        self.connection.emit_signal(None::<&str>, DEVICE, DEVICE_INTERFACE, "StateChanged", &body).await.unwrap();
    }

    async fn emit_changed(&self, path: &str, interface: &str, changed: HashMap<&str, Variant<'_>>) {
        emit_changed(&self.connection, path, interface, changed).await;
    }

    pub(crate) async fn play(&self, active: &str, steps: Vec<Step>) {
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

    pub(crate) async fn add_profile(&self, settings: Profile) -> String {
        let mut path = String::new();
        self.set(|state| {
            path = format!("{ROOT}/Settings/{}", state.next_number());
            state.profiles.insert(path.clone(), settings);
        });
        self.connection.object_server().at(path.as_str(), Connected(self.clone(), path.clone())).await.unwrap();
        path
    }
}

pub(crate) fn point_path(number: usize) -> String {
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

pub(crate) fn object(path: &str) -> OwnedObjectPath {
    ObjectPath::try_from(path.to_owned()).unwrap().into()
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
