//! A BlueZ with one adapter, as far as the program uses it, and the phone at the other end of the air.

use std::{collections::HashMap, num::NonZeroUsize};

use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;
use zbus::{
    Connection, MatchRule, MessageStream, ObjectPath, OwnedObjectPath, OwnedVariant, Variant, connection, fdo,
    interface,
    message::{self, Header},
    names::OwnedUniqueName,
    object_server::SignalEmitter,
};

use crate::eventually;

const ADAPTER: &str = "/org/bluez/hci0";
const ADAPTER_INTERFACES: [&str; 3] =
    ["org.bluez.Adapter1", "org.bluez.GattManager1", "org.bluez.LEAdvertisingManager1"];
/// What many phones agree on.
pub(crate) const MTU: u16 = 185;
const PHONE: &str = "/org/bluez/hci0/dev_F0_F1_F2_F3_F4_F5";

/// An object of the program's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Remote {
    owner: OwnedUniqueName,
    path: OwnedObjectPath,
}

#[derive(Clone, Debug)]
pub(crate) struct Advert {
    remote: Remote,
    pub(crate) kind: String,
    pub(crate) local_name: String,
    pub(crate) service_uuids: Vec<String>,
    pub(crate) discoverable: bool,
    /// By UUID.
    pub(crate) service_data: HashMap<String, Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Gatt {
    remote: Remote,
    /// Characteristics by UUID, with their flags.
    characteristics: HashMap<Uuid, (OwnedObjectPath, Vec<String>)>,
}

/// What the program has done to this BlueZ.
#[derive(Clone, Debug)]
pub(crate) struct State {
    plugged: bool,
    pub(crate) powered: bool,
    pub(crate) alias: String,
    pub(crate) pairable: bool,
    pub(crate) adverts: Vec<Advert>,
    adverts_of_others: u8,
    /// How many advertisements were ever registered.
    pub(crate) registrations: usize,
    applications: Vec<Gatt>,
}

#[derive(Clone)]
pub(crate) struct Bluez {
    connection: Connection,
    state: watch::Sender<State>,
}

impl Bluez {
    pub(crate) async fn start(bus_address: &str) -> Self {
        Self::take_name(bus_address, State { plugged: true, ..State::fresh() }).await
    }

    pub(crate) async fn start_without_adapter(bus_address: &str) -> Self {
        Self::take_name(bus_address, State::fresh()).await
    }

    /// Takes the place of a BlueZ that runs, without a moment in which there is none: with an adapter, on which another
    /// program advertises already.
    pub(crate) async fn replace(bus_address: &str) -> Self {
        Self::take_name(bus_address, State { plugged: true, adverts_of_others: 1, ..State::fresh() }).await
    }

    /// Serves every object before it has the name, and never more or fewer: what is plugged in is for the object manager
    /// to say, and for the program to believe.
    async fn take_name(bus_address: &str, state: State) -> Self {
        let state = watch::Sender::new(state);
        let connection = connection::Builder::address(bus_address)
            .serve_at("/", ObjectManager { state: state.clone() })
            .serve_at(ADAPTER, Adapter { state: state.clone() })
            .serve_at(ADAPTER, AdvertisingManager { state: state.clone() })
            .serve_at(ADAPTER, GattManager { state: state.clone() })
            .name("org.bluez")
            .allow_name_replacements(true)
            .replace_existing_names(true)
            .build();
        Self { connection: eventually("BlueZ is on the bus", connection).await.unwrap(), state }
    }

    /// Ends this bluetoothd as a crash would: the name goes, and no object is taken leave of.
    pub(crate) async fn crash(self) {
        eventually("the connection closes", self.connection.close()).await.unwrap();
    }

    pub(crate) async fn plug_adapter(&self) {
        self.state.send_replace(State { plugged: true, ..State::fresh() });
        let interfaces = ADAPTER_INTERFACES.map(|name| (name, HashMap::<&str, Variant<'_>>::new()));
        self.emit_object("InterfacesAdded", HashMap::from(interfaces)).await;
    }

    pub(crate) async fn unplug_adapter(&self) {
        self.state.send_replace(State::fresh());
        self.emit_object("InterfacesRemoved", ADAPTER_INTERFACES.to_vec()).await;
    }

    async fn emit_object<T: Serialize + zbus::Type>(&self, signal: &str, interfaces: T) {
        let body = (ObjectPath::try_from(ADAPTER).unwrap(), interfaces);
        let emitter = SignalEmitter::new(&self.connection, "/").unwrap();
        emitter.emit("org.freedesktop.DBus.ObjectManager", signal, &body).await.unwrap();
    }

    /// Takes the adverts off the air without a word to their owner, but for the property.
    pub(crate) async fn drop_adverts(&self) {
        self.state.send_modify(|state| state.adverts.clear());
        let changed = HashMap::from([("ActiveInstances", Variant::from(0_u8))]);
        self.emit_changed(ADAPTER, "org.bluez.LEAdvertisingManager1", changed).await;
    }

    /// The program has ended, and everything that it registered goes with its connection.
    pub(crate) fn program_ended(&self) {
        self.state.send_modify(|state| {
            state.adverts.clear();
            state.applications.clear();
        });
    }

    /// A phone that was connected disconnects; BlueZ counts the advert as active all the time.
    pub(crate) async fn phone_leaves(&self) {
        let changed = HashMap::from([("Connected", Variant::from(false))]);
        self.emit_changed(PHONE, "org.bluez.Device1", changed).await;
    }

    async fn emit_changed(&self, path: &str, interface: &str, changed: HashMap<&str, Variant<'_>>) {
        let body = (interface, changed, Vec::<&str>::new());
        let emitter = SignalEmitter::new(&self.connection, path).unwrap();
        emitter.emit("org.freedesktop.DBus.Properties", "PropertiesChanged", &body).await.unwrap();
    }

    /// Waits until the program has brought this BlueZ so far.
    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&State) -> bool) -> State {
        let mut states = self.state.subscribe();
        eventually(what, async { states.wait_for(|state| reached(state)).await.unwrap().clone() }).await
    }

    /// Reads a characteristic as a phone does, from an offset.
    pub(crate) async fn read(&self, uuid: Uuid, offset: u16) -> zbus::Result<Vec<u8>> {
        let state = self.until("a GATT service with it", |state| state.path_of(uuid).is_some()).await;
        let (owner, path) = state.path_of(uuid).unwrap();
        let options = HashMap::from([
            ("device", Variant::from(ObjectPath::try_from(PHONE).unwrap())),
            ("offset", Variant::from(offset)),
            ("mtu", Variant::from(23_u16)),
            ("link", Variant::from("LE")),
        ]);
        let interface = Some("org.bluez.GattCharacteristic1");
        let reply = self.connection.call_method(Some(owner), path, interface, "ReadValue", &(options,)).await?;
        reply.body().deserialize()
    }

    /// Writes a frame as a phone does.
    pub(crate) async fn write(&self, uuid: Uuid, frame: &[u8]) -> zbus::Result<()> {
        self.write_from(uuid, frame, 0).await
    }

    /// Writes from an offset, as a phone does that writes what is too long for it.
    pub(crate) async fn write_from(&self, uuid: Uuid, bytes: &[u8], offset: u16) -> zbus::Result<()> {
        let state = self.until("a GATT service with it", |state| state.path_of(uuid).is_some()).await;
        let (owner, path) = state.path_of(uuid).unwrap();
        let options = HashMap::from([
            ("device", Variant::from(ObjectPath::try_from(PHONE).unwrap())),
            ("offset", Variant::from(offset)),
            ("mtu", Variant::from(MTU)),
            ("link", Variant::from("LE")),
            ("type", Variant::from("request")),
        ]);
        let interface = Some("org.bluez.GattCharacteristic1");
        self.connection.call_method(Some(owner), path, interface, "WriteValue", &(bytes, options)).await?;
        Ok(())
    }

    /// Lets a phone listen to these characteristics; returns what is notified from now on, in order.
    pub(crate) async fn listen(&self, characteristics: &[Uuid]) -> Notifications {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .interface("org.freedesktop.DBus.Properties")
            .member("PropertiesChanged")
            .build()
            .unwrap();
        let signals = MessageStream::for_match_rule(rule, &self.connection, NonZeroUsize::new(4096)).await.unwrap();
        let mut by_path = HashMap::new();
        for uuid in characteristics {
            let state = self.until("a GATT service with it", |state| state.path_of(*uuid).is_some()).await;
            let (owner, path) = state.path_of(*uuid).unwrap();
            let interface = Some("org.bluez.GattCharacteristic1");
            self.connection.call_method(Some(owner), path, interface, "StartNotify", &()).await.unwrap();
            by_path.insert(path.to_string(), *uuid);
        }
        Notifications { signals, by_path }
    }

    /// The flags of a characteristic.
    pub(crate) async fn flags(&self, uuid: Uuid) -> Vec<String> {
        let state = self.until("a GATT service with it", |state| state.path_of(uuid).is_some()).await;
        state.applications.iter().find_map(|gatt| gatt.characteristics.get(&uuid)).unwrap().1.clone()
    }
}

/// What a phone that listens hears.
pub(crate) struct Notifications {
    signals: MessageStream,
    by_path: HashMap<String, Uuid>,
}

impl Notifications {
    /// The next frame, and where it came.
    pub(crate) async fn next(&mut self) -> (Uuid, Vec<u8>) {
        loop {
            let message = eventually("a notification", self.signals.next()).await.unwrap().unwrap();
            let path = message.header().path().map(ToString::to_string).unwrap_or_default();
            let Some(uuid) = self.by_path.get(&path) else { continue };
            let (_, mut changed, _): (String, HashMap<String, OwnedVariant>, Vec<String>) =
                message.body().deserialize().unwrap();
            if let Some(value) = changed.remove("Value") {
                return (*uuid, value.try_into().unwrap());
            }
        }
    }
}

impl State {
    /// As an adapter that somebody else has used before.
    fn fresh() -> Self {
        Self {
            plugged: false,
            powered: false,
            alias: "hci0".to_owned(),
            pairable: true,
            adverts: Vec::new(),
            adverts_of_others: 0,
            registrations: 0,
            applications: Vec::new(),
        }
    }

    /// Whether a characteristic is there.
    pub(crate) fn has(&self, uuid: Uuid) -> bool {
        self.path_of(uuid).is_some()
    }

    fn path_of(&self, uuid: Uuid) -> Option<(&OwnedUniqueName, &OwnedObjectPath)> {
        self.applications
            .iter()
            .find_map(|gatt| gatt.characteristics.get(&uuid).map(|(path, _)| (&gatt.remote.owner, path)))
    }
}

type Objects = HashMap<OwnedObjectPath, HashMap<String, HashMap<String, OwnedVariant>>>;

struct ObjectManager {
    state: watch::Sender<State>,
}

#[interface(name = "org.freedesktop.DBus.ObjectManager")]
impl ObjectManager {
    /// The properties are left out: the program asks for each when it wants it.
    fn get_managed_objects(&self) -> Objects {
        if !self.state.borrow().plugged {
            return HashMap::new();
        }
        let interfaces = ADAPTER_INTERFACES.map(|name| (name.to_owned(), HashMap::new()));
        HashMap::from([(ObjectPath::try_from(ADAPTER).unwrap().into(), HashMap::from(interfaces))])
    }
}

struct Adapter {
    state: watch::Sender<State>,
}

#[interface(name = "org.bluez.Adapter1")]
impl Adapter {
    #[zbus(property)]
    fn powered(&self) -> bool {
        self.state.borrow().powered
    }

    #[zbus(property)]
    fn set_powered(&mut self, powered: bool) {
        self.state.send_modify(|state| state.powered = powered);
    }

    #[zbus(property)]
    fn alias(&self) -> String {
        self.state.borrow().alias.clone()
    }

    #[zbus(property)]
    fn set_alias(&mut self, alias: String) {
        self.state.send_modify(|state| state.alias = alias);
    }

    #[zbus(property)]
    fn pairable(&self) -> bool {
        self.state.borrow().pairable
    }

    #[zbus(property)]
    fn set_pairable(&mut self, pairable: bool) {
        self.state.send_modify(|state| state.pairable = pairable);
    }
}

struct AdvertisingManager {
    state: watch::Sender<State>,
}

#[interface(name = "org.bluez.LEAdvertisingManager1")]
impl AdvertisingManager {
    #[zbus(property)]
    fn active_instances(&self) -> u8 {
        let state = self.state.borrow();
        state.adverts_of_others + u8::try_from(state.adverts.len()).unwrap()
    }

    async fn register_advertisement(
        &self,
        path: OwnedObjectPath,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        assert!(options.is_empty(), "{options:?}");
        let remote = Remote { owner: header.sender().unwrap().to_owned().into(), path };
        let interface = Some("org.freedesktop.DBus.Properties");
        let reply = connection
            .call_method(Some(&remote.owner), &remote.path, interface, "GetAll", &"org.bluez.LEAdvertisement1")
            .await?;
        let mut properties: HashMap<String, OwnedVariant> = reply.body().deserialize()?;
        let advert = Advert {
            remote,
            kind: take(&mut properties, "Type"),
            local_name: take(&mut properties, "LocalName"),
            service_uuids: take(&mut properties, "ServiceUUIDs"),
            discoverable: take(&mut properties, "Discoverable"),
            service_data: take::<HashMap<String, OwnedVariant>>(&mut properties, "ServiceData")
                .into_iter()
                .map(|(uuid, bytes)| (uuid, bytes.try_into().unwrap()))
                .collect(),
        };
        self.state.send_modify(|state| {
            state.adverts.push(advert);
            state.registrations += 1;
        });
        self.active_instances_changed(&emitter).await?;
        Ok(())
    }

    async fn unregister_advertisement(
        &self,
        path: OwnedObjectPath,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        let remote = Remote { owner: header.sender().unwrap().to_owned().into(), path };
        self.state.send_modify(|state| state.adverts.retain(|advert| advert.remote != remote));
        self.active_instances_changed(&emitter).await?;
        Ok(())
    }
}

struct GattManager {
    state: watch::Sender<State>,
}

#[interface(name = "org.bluez.GattManager1")]
impl GattManager {
    async fn register_application(
        &self,
        path: OwnedObjectPath,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<()> {
        assert!(options.is_empty(), "{options:?}");
        let remote = Remote { owner: header.sender().unwrap().to_owned().into(), path };
        let interface = Some("org.freedesktop.DBus.ObjectManager");
        let reply =
            connection.call_method(Some(&remote.owner), &remote.path, interface, "GetManagedObjects", &()).await?;
        let objects: Objects = reply.body().deserialize()?;
        let characteristics = objects
            .into_iter()
            .filter_map(|(path, mut interfaces)| {
                let mut properties = interfaces.remove("org.bluez.GattCharacteristic1")?;
                let uuid: String = take(&mut properties, "UUID");
                Some((uuid.parse().unwrap(), (path, take(&mut properties, "Flags"))))
            })
            .collect();
        self.state.send_modify(|state| state.applications.push(Gatt { remote, characteristics }));
        Ok(())
    }

    #[expect(clippy::needless_pass_by_value, reason = "zbus hands the header over by value")]
    fn unregister_application(&self, path: OwnedObjectPath, #[zbus(header)] header: Header<'_>) {
        let remote = Remote { owner: header.sender().unwrap().to_owned().into(), path };
        self.state.send_modify(|state| state.applications.retain(|gatt| gatt.remote != remote));
    }
}

/// A property that BlueZ insists on.
fn take<T: TryFrom<OwnedVariant>>(properties: &mut HashMap<String, OwnedVariant>, name: &str) -> T {
    let value = properties.remove(name).unwrap_or_else(|| panic!("no property {name}"));
    T::try_from(value).unwrap_or_else(|_| panic!("property {name} of another type"))
}
