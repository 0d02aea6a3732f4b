//! NetworkManager and systemd on the bus: exactly the methods that are used, and properties as they are at the moment.
//!
//! Calls and signals have a connection each. A connection stops reading while somebody does not fetch his signals; on a
//! shared one the answer that he waits for would be stuck behind them.

use std::{collections::HashMap, time::Duration};

use zbus::{Address, Connection, ObjectPath, OwnedObjectPath, OwnedVariant, Variant, connection::Builder, proxy};

pub(crate) const NETWORK_MANAGER: &str = "org.freedesktop.NetworkManager";
pub(crate) const SUPPLICANT: &str = "fi.w1.wpa_supplicant1";
pub(crate) const SYSTEMD: &str = "org.freedesktop.systemd1";
pub(crate) const BUS: &str = "org.freedesktop.DBus";

pub(crate) const DEVICE: &str = "org.freedesktop.NetworkManager.Device";
pub(crate) const WIRELESS: &str = "org.freedesktop.NetworkManager.Device.Wireless";
pub(crate) const ACCESS_POINT: &str = "org.freedesktop.NetworkManager.AccessPoint";
pub(crate) const ACTIVE: &str = "org.freedesktop.NetworkManager.Connection.Active";
pub(crate) const IP4: &str = "org.freedesktop.NetworkManager.IP4Config";
pub(crate) const IP6: &str = "org.freedesktop.NetworkManager.IP6Config";

const MANAGER_PATH: &str = "/org/freedesktop/NetworkManager";
/// NetworkManager says "nothing" by this path.
const NO_OBJECT: &str = "/";

/// NetworkManager answers at once, except while it waits for polkit.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// A profile on its way to NetworkManager.
pub(crate) type Settings<'a> = HashMap<&'a str, HashMap<&'a str, Variant<'a>>>;
/// A profile as NetworkManager tells it, without secrets.
pub(crate) type OwnedSettings = HashMap<String, HashMap<String, OwnedVariant>>;

#[proxy(
    interface = "org.freedesktop.NetworkManager",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager"
)]
pub(crate) trait Manager {
    fn get_devices(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
    #[zbus(name = "AddAndActivateConnection2")]
    fn add_and_activate(
        &self,
        connection: &Settings<'_>,
        device: &ObjectPath<'_>,
        specific_object: &ObjectPath<'_>,
        options: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath, HashMap<String, OwnedVariant>)>;
    fn check_connectivity(&self) -> zbus::Result<u32>;
    fn checkpoint_create(
        &self,
        devices: &[&ObjectPath<'_>],
        rollback_timeout_s: u32,
        flags: u32,
    ) -> zbus::Result<OwnedObjectPath>;
    fn checkpoint_destroy(&self, checkpoint: &ObjectPath<'_>) -> zbus::Result<()>;
    fn checkpoint_rollback(&self, checkpoint: &ObjectPath<'_>) -> zbus::Result<HashMap<String, u32>>;
}

#[proxy(interface = "org.freedesktop.NetworkManager.Device", default_service = "org.freedesktop.NetworkManager")]
pub(crate) trait Device {
    fn reapply(&self, connection: Settings<'_>, version_id: u64, flags: u32) -> zbus::Result<()>;
}

#[proxy(
    interface = "org.freedesktop.NetworkManager.Device.Wireless",
    default_service = "org.freedesktop.NetworkManager"
)]
pub(crate) trait Wireless {
    fn get_all_access_points(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
    fn request_scan(&self, options: HashMap<&str, Variant<'_>>) -> zbus::Result<()>;
}

#[proxy(
    interface = "org.freedesktop.NetworkManager.Settings",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager/Settings"
)]
pub(crate) trait ProfileStore {
    fn list_connections(&self) -> zbus::Result<Vec<OwnedObjectPath>>;
}

#[proxy(
    interface = "org.freedesktop.NetworkManager.Settings.Connection",
    default_service = "org.freedesktop.NetworkManager"
)]
pub(crate) trait Profile {
    fn get_settings(&self) -> zbus::Result<OwnedSettings>;
    #[zbus(name = "Update2")]
    fn update(
        &self,
        settings: &OwnedSettings,
        flags: u32,
        args: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<HashMap<String, OwnedVariant>>;
    fn delete(&self) -> zbus::Result<()>;
}

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(crate) trait ServiceManager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(interface = "org.freedesktop.DBus.Properties", default_service = "org.freedesktop.NetworkManager")]
trait PropertiesOf {
    fn get_all(&self, interface: &str) -> zbus::Result<HashMap<String, OwnedVariant>>;
}

/// What an object says about itself.
pub(crate) struct Properties(pub(crate) HashMap<String, OwnedVariant>);

impl Properties {
    /// `None` when it is not there, or of another type than documented.
    pub(crate) fn take<T: TryFrom<OwnedVariant>>(&mut self, name: &str) -> Option<T> {
        self.0.remove(name).and_then(|value| T::try_from(value).ok())
    }

    /// An object, when there is one.
    pub(crate) fn take_object(&mut self, name: &str) -> Option<OwnedObjectPath> {
        self.take::<OwnedObjectPath>(name).filter(|path| path.as_str() != NO_OBJECT)
    }
}

/// The path that stands for no object.
pub(crate) fn no_object() -> ObjectPath<'static> {
    ObjectPath::from_static_str_unchecked(NO_OBJECT)
}

/// Both connections.
#[derive(Clone)]
pub(crate) struct Bus {
    pub(crate) calls: Connection,
    pub(crate) signals: Connection,
}

impl Bus {
    pub(crate) async fn open(address: &Address) -> zbus::Result<Self> {
        let connect = || Builder::address(address.clone()).method_timeout(ANSWER_WITHIN).build();
        Ok(Self { calls: connect().await?, signals: connect().await? })
    }

    pub(crate) async fn manager(&self) -> zbus::Result<ManagerProxy<'static>> {
        ManagerProxy::new(&self.calls).await
    }

    pub(crate) async fn device(&self, path: &OwnedObjectPath) -> zbus::Result<DeviceProxy<'static>> {
        DeviceProxy::new(&self.calls, path.clone()).await
    }

    pub(crate) async fn wireless(&self, path: &OwnedObjectPath) -> zbus::Result<WirelessProxy<'static>> {
        WirelessProxy::new(&self.calls, path.clone()).await
    }

    pub(crate) async fn profile_store(&self) -> zbus::Result<ProfileStoreProxy<'static>> {
        ProfileStoreProxy::new(&self.calls).await
    }

    pub(crate) async fn profile(&self, path: &OwnedObjectPath) -> zbus::Result<ProfileProxy<'static>> {
        ProfileProxy::new(&self.calls, path.clone()).await
    }

    pub(crate) async fn service_manager(&self) -> zbus::Result<ServiceManagerProxy<'static>> {
        ServiceManagerProxy::new(&self.calls).await
    }

    /// What NetworkManager says about itself.
    pub(crate) async fn manager_properties(&self) -> zbus::Result<Properties> {
        self.properties_at(ObjectPath::from_static_str_unchecked(MANAGER_PATH), NETWORK_MANAGER).await
    }

    /// What one of NetworkManager's objects says about itself.
    pub(crate) async fn properties(&self, path: &OwnedObjectPath, interface: &str) -> zbus::Result<Properties> {
        self.properties_at(path.as_ref(), interface).await
    }

    async fn properties_at(&self, path: ObjectPath<'_>, interface: &str) -> zbus::Result<Properties> {
        let object = PropertiesOfProxy::new(&self.calls, path).await?;
        object.get_all(interface).await.map(Properties)
    }
}
