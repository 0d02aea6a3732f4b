//! The objects of the tests' NetworkManager, as the bus sees them: each tells or changes the state, and no more.

#![expect(clippy::unused_self, clippy::needless_pass_by_value, reason = "zbus wants methods, and hands values over")]

use std::collections::HashMap;

use zbus::{OwnedObjectPath, OwnedVariant, Variant, fdo, interface};

use crate::network_manager::{
    DEVICE, Done, ETHERNET, IP4, Look, NetworkManager, Point, Profile, ROOT, TryClone, object, point_path,
};

pub(crate) struct Manager(pub(crate) NetworkManager);

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

pub(crate) struct Ethernet;

#[interface(name = "org.freedesktop.NetworkManager.Device")]
impl Ethernet {
    #[zbus(property)]
    fn device_type(&self) -> u32 {
        1
    }
}

pub(crate) struct Device(pub(crate) NetworkManager);

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
        self.0.state.borrow().stage
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
        object(if self.0.state.borrow().stage == 100 { IP4 } else { "/" })
    }
}

pub(crate) struct Wireless(pub(crate) NetworkManager);

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
        let connected = self.0.state.borrow().stage == 100;
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

pub(crate) struct AccessPoint(pub(crate) NetworkManager, pub(crate) usize);

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

pub(crate) struct Active {
    pub(crate) profile: String,
}

#[interface(name = "org.freedesktop.NetworkManager.Connection.Active")]
impl Active {
    #[zbus(property)]
    fn connection(&self) -> OwnedObjectPath {
        object(&self.profile)
    }
}

pub(crate) struct Ip4Config;

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

pub(crate) struct Settings(pub(crate) NetworkManager);

#[interface(name = "org.freedesktop.NetworkManager.Settings")]
impl Settings {
    fn list_connections(&self) -> Vec<OwnedObjectPath> {
        self.0.state.borrow().profiles.keys().map(|path| object(path)).collect()
    }
}

pub(crate) struct Connected(pub(crate) NetworkManager, pub(crate) String);

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

    fn delete(&self) {
        self.0.set(|state| {
            state.profiles.remove(&self.1);
            state.done.push(Done::Deleted(self.1.clone()));
        });
    }
}
