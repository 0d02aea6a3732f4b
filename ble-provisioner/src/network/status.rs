//! How the Wi-Fi stands, from NetworkManager's own words; read afresh whenever it says that something changed.

use std::net::{IpAddr, Ipv6Addr};

use coffer_api::{Connectivity, Ssid, WifiState, WifiStatus};
use zbus::{OwnedObjectPath, OwnedVariant};

use super::{
    bus::{ACCESS_POINT, ACTIVE, Bus, IP4, IP6, Properties, WIRELESS},
    device::{self, Device},
    profile, reach,
};

type Entries = Vec<std::collections::HashMap<String, OwnedVariant>>;

/// Everything but what this program knows itself: the country, and why the last attempt failed.
pub(crate) async fn read(bus: &Bus) -> zbus::Result<WifiStatus> {
    let found = device::find(bus).await?;
    let connectivity = reach::checked(&mut bus.manager_properties().await?);
    // Also by cable.
    let mut status = WifiStatus { radio: found.radio, connectivity, ..unknown() };
    let Some(device) = found.device else { return Ok(status) };
    status.state = device.state;
    if matches!(device.state, WifiState::Unavailable | WifiState::Disconnected) {
        return Ok(status);
    }
    let (ssid, signal_percent) = network(bus, &device).await?;
    status.ssid_text = ssid.as_ref().map(Ssid::to_text);
    (status.ssid, status.signal_percent) = (ssid, signal_percent);
    if device.state == WifiState::Connected {
        note_addresses(bus, device.ip4.as_ref(), IP4, &mut status).await;
        note_addresses(bus, device.ip6.as_ref(), IP6, &mut status).await;
    }
    Ok(status)
}

/// When nobody can be asked.
pub(crate) fn unknown() -> WifiStatus {
    WifiStatus {
        state: WifiState::Unavailable,
        radio: coffer_api::WifiRadio::Absent,
        country: None,
        ssid: None,
        ssid_text: None,
        signal_percent: None,
        addresses: Vec::new(),
        gateways: Vec::new(),
        dns: Vec::new(),
        connectivity: Connectivity::Unknown,
        last_failure: None,
    }
}

/// The name as the access point has it, or while there is none as the profile has it.
async fn network(bus: &Bus, device: &Device) -> zbus::Result<(Option<Ssid>, Option<u8>)> {
    let mut wireless = bus.properties(&device.path, WIRELESS).await?;
    if let Some(point) = wireless.take_object("ActiveAccessPoint")
        && let Ok(mut point) = bus.properties(&point, ACCESS_POINT).await
    {
        let signal_percent = point.take::<u8>("Strength").map(|percent| percent.min(100));
        if let Some(ssid) = point.take::<Vec<u8>>("Ssid").and_then(Ssid::new) {
            return Ok((Some(ssid), signal_percent));
        }
    }
    let Some(active) = &device.active else { return Ok((None, None)) };
    // Whatever has vanished since has no name.
    let Ok(mut active) = bus.properties(active, ACTIVE).await else { return Ok((None, None)) };
    let Some(connection) = active.take_object("Connection") else { return Ok((None, None)) };
    let settings = bus.profile(&connection).await?.get_settings().await;
    Ok((settings.ok().as_mut().and_then(profile::ssid_of), None))
}

async fn note_addresses(bus: &Bus, config: Option<&OwnedObjectPath>, interface: &str, status: &mut WifiStatus) {
    let Some(config) = config else { return };
    // One that was replaced since is told again.
    let Ok(mut config) = bus.properties(config, interface).await else { return };
    status.addresses.extend(entries(&mut config, "AddressData").into_iter().filter_map(|mut entry| {
        let prefix: u32 = entry.take("prefix")?;
        Some(format!("{}/{prefix}", address(&mut entry)?))
    }));
    status.gateways.extend(config.take::<String>("Gateway").and_then(|gateway| gateway.parse::<IpAddr>().ok()));
    status.dns.extend(entries(&mut config, "NameserverData").iter_mut().filter_map(address));
    // IPv6 has no words for them, but bytes.
    let bytes: Vec<Vec<u8>> = config.take("Nameservers").filter(|_| interface == IP6).unwrap_or_default();
    let servers = bytes.into_iter().filter_map(|bytes| <[u8; 16]>::try_from(bytes).ok());
    status.dns.extend(servers.map(|octets| IpAddr::V6(Ipv6Addr::from(octets))));
}

fn entries(config: &mut Properties, name: &str) -> Vec<Properties> {
    config.take::<Entries>(name).unwrap_or_default().into_iter().map(Properties).collect()
}

fn address(entry: &mut Properties) -> Option<IpAddr> {
    entry.take::<String>("address")?.parse().ok()
}
