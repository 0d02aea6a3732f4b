//! A BlueZ on a bus of its own, as far as a central uses it, and a box at the other end of the air.

#![expect(clippy::unused_self, clippy::used_underscore_binding, reason = "zbus wants methods, and uses each argument")]

use std::{
    collections::{HashMap, VecDeque},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard},
};

use coffer_client::link::{Incoming, Outgoing, Radio};
use coffer_crypto::channel::Channel;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::{mpsc, oneshot},
};
use zbus::{Connection, ObjectPath, OwnedObjectPath, OwnedVariant, connection, fdo, interface};

use crate::fake_box::{Air, FakeBox};

const ADAPTER: &str = "/org/bluez/hci0";
const DEVICE: &str = "/org/bluez/hci0/dev_01_01_01_01_01_01";
const SERVICE: &str = "/org/bluez/hci0/dev_01_01_01_01_01_01/service0010";

/// `info`, by its number.
const INFO: u8 = 0x01;

fn uuid(number: u8) -> String {
    format!("c0ffe7{number:02x}-5a1e-4b8e-9c3d-6f2b1d8a4e01")
}

fn characteristic(number: u8) -> String {
    format!("{SERVICE}/char00{:02x}", 0x20 + number)
}

/// What the program did.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) uuids: Vec<String>,
    pub(crate) transport: String,
    pub(crate) write_types: Vec<String>,
    pub(crate) connects: u32,
    pub(crate) disconnects: u32,
    pub(crate) failing_connects: u32,
}

/// The connection, while there is one.
#[derive(Default)]
struct Carried {
    outgoing: Option<mpsc::Sender<Outgoing>>,
    sockets: HashMap<Channel, UnixDatagram>,
    reads: VecDeque<oneshot::Sender<Vec<u8>>>,
}

#[derive(Clone)]
struct Shared {
    fake_box: FakeBox,
    seen: Arc<Mutex<Seen>>,
    carried: Arc<Mutex<Carried>>,
}

pub(crate) struct Bluez {
    pub(crate) address: String,
    shared: Shared,
    _connection: Connection,
    _daemon: Child,
    _directory: TempDir,
}

impl Bluez {
    pub(crate) async fn beside(fake_box: &FakeBox) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (daemon, address) = start_bus(&directory).await;
        let shared = Shared { fake_box: fake_box.clone(), seen: Arc::default(), carried: Arc::default() };
        let mut builder = connection::Builder::address(address.as_str())
            .serve_at("/", ObjectManager)
            .serve_at(ADAPTER, Adapter { shared: shared.clone() })
            .serve_at(DEVICE, Device { shared: shared.clone() })
            .serve_at(SERVICE, Service);
        for number in numbers() {
            let object = Characteristic { number, shared: shared.clone() };
            builder = builder.serve_at(characteristic(number), object);
        }
        let connection = builder.name("org.bluez").build().await.unwrap();
        Self { address, shared, _connection: connection, _daemon: daemon, _directory: directory }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap()
    }
}

fn numbers() -> impl Iterator<Item = u8> {
    std::iter::once(INFO).chain(Channel::ALL.map(Channel::number))
}

async fn start_bus(directory: &TempDir) -> (Child, String) {
    let (socket, config) = (directory.path().join("bus"), directory.path().join("bus.conf"));
    let text = format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
             "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
           <busconfig>
             <type>system</type>
             <listen>unix:path={}</listen>
             <policy context="default">
               <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
             </policy>
           </busconfig>"#,
        socket.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut daemon = Command::new("dbus-daemon")
        .args(["--nofork", "--print-address", "--config-file"])
        .arg(&config)
        .stdout(Stdio::piped())
        // It complains about limits that a container does not let it raise.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // It prints its address once it listens.
    let address = BufReader::new(daemon.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    (daemon, address)
}

impl Shared {
    fn carried(&self) -> MutexGuard<'_, Carried> {
        self.carried.lock().unwrap()
    }

    /// Moves what the box says, until the connection is gone.
    async fn carry(self, mut incoming: mpsc::Receiver<Incoming>) {
        while let Some(incoming) = incoming.recv().await {
            let mut carried = self.carried();
            match incoming {
                // Whoever does not listen, does not hear.
                Incoming::Notified(channel, frame) => {
                    carried.sockets.get(&channel).map(|socket| socket.send(&frame));
                }
                Incoming::Read(_, frame) => carried.reads.pop_front().unwrap().send(frame).unwrap(),
            }
        }
        *self.carried() = Carried::default();
    }
}

type Objects = HashMap<OwnedObjectPath, HashMap<String, HashMap<String, OwnedVariant>>>;

struct ObjectManager;

#[interface(name = "org.freedesktop.DBus.ObjectManager")]
impl ObjectManager {
    /// The properties are left out: the program asks for each when it wants it.
    fn get_managed_objects(&self) -> Objects {
        let object = |path: &str, interface: &str| {
            let interfaces = HashMap::from([(interface.to_owned(), HashMap::new())]);
            (ObjectPath::try_from(path.to_owned()).unwrap().into(), interfaces)
        };
        let named = [(ADAPTER, "Adapter1"), (DEVICE, "Device1"), (SERVICE, "GattService1")];
        let named = named.map(|(path, name)| object(path, &format!("org.bluez.{name}")));
        named
            .into_iter()
            .chain(numbers().map(|number| object(&characteristic(number), "org.bluez.GattCharacteristic1")))
            .collect()
    }
}

struct Adapter {
    shared: Shared,
}

#[interface(name = "org.bluez.Adapter1")]
impl Adapter {
    #[zbus(property)]
    fn powered(&self) -> bool {
        true
    }

    fn set_discovery_filter(&self, filter: HashMap<String, OwnedVariant>) {
        let mut seen = self.shared.seen.lock().unwrap();
        let mut filter = filter;
        seen.uuids = filter.remove("UUIDs").unwrap().try_into().unwrap();
        seen.transport = filter.remove("Transport").unwrap().try_into().unwrap();
    }

    fn start_discovery(&self) {}

    fn stop_discovery(&self) {}
}

struct Device {
    shared: Shared,
}

#[interface(name = "org.bluez.Device1")]
impl Device {
    #[zbus(property, name = "UUIDs")]
    fn uuids(&self) -> Vec<String> {
        // As BlueZ 5.82 does it: after a connection they are gone, and adverts do not bring them back.
        let is_forgotten = self.shared.seen.lock().unwrap().connects > 0 && !self.connected();
        if is_forgotten { Vec::new() } else { vec![uuid(0)] }
    }

    #[zbus(property, name = "RSSI")]
    fn rssi(&self) -> i16 {
        -60
    }

    #[zbus(property)]
    fn name(&self) -> String {
        "Coffer-F506".to_owned()
    }

    #[zbus(property)]
    fn connected(&self) -> bool {
        self.shared.carried().outgoing.is_some()
    }

    #[zbus(property)]
    fn services_resolved(&self) -> bool {
        self.shared.carried().outgoing.is_some()
    }

    async fn connect(&self) -> fdo::Result<()> {
        {
            let mut seen = self.shared.seen.lock().unwrap();
            seen.connects += 1;
            if seen.failing_connects > 0 {
                seen.failing_connects -= 1;
                return Err(fdo::Error::Failed("le-connection-abort-by-local".to_owned()));
            }
        }
        let mut air = Air::around(&self.shared.fake_box);
        let found = air.found[0].clone();
        let (_, link) = air.connect(&found).await.unwrap();
        self.shared.carried().outgoing = Some(link.outgoing);
        tokio::spawn(self.shared.clone().carry(link.incoming));
        Ok(())
    }

    fn disconnect(&self) {
        self.shared.seen.lock().unwrap().disconnects += 1;
        *self.shared.carried() = Carried::default();
    }
}

struct Service;

#[interface(name = "org.bluez.GattService1")]
impl Service {
    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> String {
        uuid(0)
    }
}

struct Characteristic {
    number: u8,
    shared: Shared,
}

impl Characteristic {
    fn channel(&self) -> Channel {
        Channel::from_number(self.number).unwrap()
    }

    fn outgoing(&self) -> fdo::Result<mpsc::Sender<Outgoing>> {
        self.shared.carried().outgoing.clone().ok_or_else(|| fdo::Error::Failed("Not connected".to_owned()))
    }
}

#[interface(name = "org.bluez.GattCharacteristic1")]
impl Characteristic {
    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> String {
        uuid(self.number)
    }

    async fn read_value(&self, _options: HashMap<String, OwnedVariant>) -> fdo::Result<Vec<u8>> {
        if self.number == INFO {
            return Ok(self.shared.fake_box.state().info());
        }
        let outgoing = self.outgoing()?;
        let (answer, answered) = oneshot::channel();
        self.shared.carried().reads.push_back(answer);
        let sent = outgoing.send(Outgoing::Read(self.channel())).await;
        sent.map_err(|_| fdo::Error::Failed("Not connected".to_owned()))?;
        answered.await.map_err(|_| fdo::Error::Failed("Not permitted".to_owned()))
    }

    async fn write_value(&self, frame: Vec<u8>, options: HashMap<String, OwnedVariant>) -> fdo::Result<()> {
        let kind: String = options.get("type").unwrap().try_clone().unwrap().try_into().unwrap();
        self.shared.seen.lock().unwrap().write_types.push(kind);
        let sent = self.outgoing()?.send(Outgoing::Write(self.channel(), frame)).await;
        sent.map_err(|_| fdo::Error::Failed("Not connected".to_owned()))
    }

    fn acquire_notify(&self, _options: HashMap<String, OwnedVariant>) -> fdo::Result<(zbus::OwnedFd, u16)> {
        self.outgoing()?;
        let kind = SockType::SeqPacket;
        let (ours, theirs) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let (ours, theirs): (OwnedFd, OwnedFd) = (ours, theirs);
        self.shared.carried().sockets.insert(self.channel(), UnixDatagram::from(ours));
        Ok((theirs.into(), 185))
    }
}
