//! The Wi-Fi device, and why there is none to use.

use coffer_api::{SetupFailure, WifiRadio, WifiState};
use zbus::OwnedObjectPath;

use super::bus::{Bus, DEVICE, Properties};

/// `NMDeviceType`
const WIFI: u32 = 2;

/// It, as it was when it was looked at.
pub(crate) struct Device {
    pub(crate) path: OwnedObjectPath,
    pub(crate) state: WifiState,
    pub(crate) active: Option<OwnedObjectPath>,
    pub(crate) ip4: Option<OwnedObjectPath>,
    pub(crate) ip6: Option<OwnedObjectPath>,
}

/// What there is.
pub(crate) struct Found {
    pub(crate) radio: WifiRadio,
    pub(crate) device: Option<Device>,
}

impl Found {
    /// A device that can be told to do something.
    pub(crate) fn usable(self) -> Result<Device, SetupFailure> {
        match (self.radio, self.device) {
            (WifiRadio::Ready, Some(device)) => Ok(device),
            (WifiRadio::SoftBlocked | WifiRadio::HardBlocked, _) => Err(SetupFailure::RadioBlocked),
            // Without its firmware a radio has no device at all, or one that says so.
            (WifiRadio::Ready | WifiRadio::FirmwareMissing | WifiRadio::Absent, _) => {
                Err(SetupFailure::FirmwareMissing)
            }
        }
    }
}

/// Looks for it.
pub(crate) async fn find(bus: &Bus) -> zbus::Result<Found> {
    let mut manager = bus.manager_properties().await?;
    let hardware = manager.take("WirelessHardwareEnabled").unwrap_or(true);
    let software = manager.take("WirelessEnabled").unwrap_or(true);
    let found = first(bus).await?;
    let radio = match &found {
        _ if !hardware => WifiRadio::HardBlocked,
        _ if !software => WifiRadio::SoftBlocked,
        None => WifiRadio::Absent,
        Some((_, true)) => WifiRadio::FirmwareMissing,
        Some((_, false)) => WifiRadio::Ready,
    };
    Ok(Found { radio, device: found.map(|(device, _)| device) })
}

/// With whether its firmware is missing. The box has one radio; with a second plugged in, NetworkManager's first counts.
async fn first(bus: &Bus) -> zbus::Result<Option<(Device, bool)>> {
    for path in bus.manager().await?.get_devices().await? {
        // A device that was unplugged since is none.
        let Ok(mut properties) = bus.properties(&path, DEVICE).await else { continue };
        if properties.take("DeviceType") == Some(WIFI) {
            let firmware_missing = properties.take("FirmwareMissing").unwrap_or(false);
            return Ok(Some((Device::read(path, &mut properties), firmware_missing)));
        }
    }
    Ok(None)
}

impl Device {
    fn read(path: OwnedObjectPath, properties: &mut Properties) -> Self {
        Self {
            path,
            state: state(properties.take("State").unwrap_or(0)),
            active: properties.take_object("ActiveConnection"),
            ip4: properties.take_object("Ip4Config"),
            ip6: properties.take_object("Ip6Config"),
        }
    }
}

/// From `NMDeviceState`.
pub(crate) fn state(state: u32) -> WifiState {
    match state {
        // Disconnected, deactivating, failed.
        30 | 110 | 120 => WifiState::Disconnected,
        // Prepare, config, need-auth.
        40 | 50 | 60 => WifiState::Connecting,
        // IP config, IP check, secondaries.
        70 | 80 | 90 => WifiState::GettingAddress,
        100 => WifiState::Connected,
        // Unknown, unmanaged, unavailable.
        _ => WifiState::Unavailable,
    }
}
