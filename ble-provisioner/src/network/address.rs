//! The IPv4 address on the present network: changed at once, and changed back unless somebody confirms it.
//!
//! The change is made in memory and under a checkpoint, so that a power cut undoes it as well.

use std::{net::Ipv4Addr, time::Duration};

use coffer_api::{SetAddress, WifiState};
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

use super::{
    bus::{ACTIVE, Bus, OwnedSettings},
    checkpoint::Checkpoint,
    device,
    error::NetworkError,
};

const DOING: &str = "changing the address";
const MAX_DNS: usize = 3;
/// `NMSettingsUpdate2Flags`
const IN_MEMORY: u32 = 0x2;
/// What a profile says about IPv4 addresses, in its newer and its older words.
const WORDS: [&str; 6] = ["address-data", "addresses", "gateway", "dns", "dns-data", "method"];

/// An address that nobody has confirmed yet.
pub(crate) struct Pending {
    checkpoint: Checkpoint,
    profile: OwnedObjectPath,
}

impl Pending {
    /// Keeps the address, when it is not too late.
    pub(crate) async fn confirm(self) -> Result<(), NetworkError> {
        if !self.checkpoint.is_open().await? {
            return Err(NetworkError::NotFound("the new address was not confirmed in time"));
        }
        self.checkpoint.keep(&self.profile).await
    }

    /// Goes back to the address of before.
    pub(crate) async fn revert(self) -> Result<(), NetworkError> {
        // Else NetworkManager has done so already.
        if self.checkpoint.is_open().await? { self.checkpoint.take_back().await } else { Ok(()) }
    }
}

/// Changes it until then.
pub(crate) async fn set(bus: &Bus, address: &SetAddress, confirm_within: Duration) -> Result<Pending, NetworkError> {
    is_sensible(address)?;
    let found = device::find(bus).await.map_err(NetworkError::doing(DOING))?;
    let device = found.usable().map_err(NetworkError::refused)?;
    let (WifiState::Connected, Some(active)) = (device.state, &device.active) else {
        return Err(NetworkError::NotFound("the box is on no Wi-Fi network"));
    };
    let mut active = bus.properties(active, ACTIVE).await.map_err(NetworkError::doing(DOING))?;
    let profile = active.take_object("Connection").ok_or(NetworkError::Interrupted)?;

    let checkpoint = Checkpoint::create(bus, &device, confirm_within).await?;
    if let Err(error) = apply(bus, &device.path, &profile, address).await {
        checkpoint.take_back().await?;
        return Err(NetworkError::doing(DOING)(error));
    }
    Ok(Pending { checkpoint, profile })
}

/// NetworkManager keeps the secrets of a profile that comes back without them.
async fn apply(
    bus: &Bus,
    device: &OwnedObjectPath,
    profile: &OwnedObjectPath,
    address: &SetAddress,
) -> zbus::Result<()> {
    let proxy = bus.profile(profile).await?;
    let mut settings = proxy.get_settings().await?;
    write(&mut settings, address)?;
    proxy.update(&settings, IN_MEMORY, [].into()).await?;
    // The radio link stays.
    bus.device(device).await?.reapply([].into(), 0, 0).await
}

fn write(settings: &mut OwnedSettings, address: &SetAddress) -> zbus::Result<()> {
    let ipv4 = settings.entry("ipv4".to_owned()).or_default();
    for word in WORDS {
        ipv4.remove(word);
    }
    let mut say = |word: &str, value: Variant<'_>| -> zbus::Result<()> {
        ipv4.insert(word.to_owned(), OwnedVariant::try_from(value)?);
        Ok(())
    };
    match address {
        SetAddress::Automatic => say("method", Variant::from("auto")),
        SetAddress::Static { address, prefix, gateway, dns } => {
            let entry = std::collections::HashMap::from([
                ("address", Variant::from(address.to_string())),
                ("prefix", Variant::from(u32::from(*prefix))),
            ]);
            say("method", Variant::from("manual"))?;
            say("address-data", Variant::from(vec![entry]))?;
            if let Some(gateway) = gateway {
                say("gateway", Variant::from(gateway.to_string()))?;
            }
            // As older versions of NetworkManager know it too: numbers whose bytes in memory are the address.
            let dns: Vec<u32> = dns.iter().map(|server| u32::from_ne_bytes(server.octets())).collect();
            say("dns", Variant::from(dns))
        }
    }
}

/// A box that takes a senseless address has to be looked for.
fn is_sensible(address: &SetAddress) -> Result<(), NetworkError> {
    let SetAddress::Static { address, prefix, gateway, dns } = address else { return Ok(()) };
    if !(1..=30).contains(prefix) {
        return Err(NetworkError::Invalid("the prefix length is 1 to 30"));
    }
    let mask = u32::MAX << (32 - prefix);
    let is_host = |address: &Ipv4Addr| {
        let host = address.to_bits() & !mask;
        host != 0 && host != !mask && !address.is_loopback() && !address.is_multicast() && address.octets()[0] != 0
    };
    if !is_host(address) {
        return Err(NetworkError::Invalid("this is no address of a single box"));
    }
    if let Some(gateway) = gateway
        && (!is_host(gateway) || gateway == address || (gateway.to_bits() ^ address.to_bits()) & mask != 0)
    {
        return Err(NetworkError::Invalid("the gateway is another box on the same network"));
    }
    if dns.len() > MAX_DNS || dns.iter().any(|server| server.is_unspecified() || server.is_multicast()) {
        return Err(NetworkError::Invalid("at most 3 DNS servers, each the address of one"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(address: [u8; 4], prefix: u8, gateway: Option<[u8; 4]>) -> SetAddress {
        SetAddress::Static { address: address.into(), prefix, gateway: gateway.map(Into::into), dns: Vec::new() }
    }

    #[test]
    fn addresses_that_would_lose_the_box_are_refused() {
        for (address, sensible) in [
            (SetAddress::Automatic, true),
            (fixed([192, 168, 1, 20], 24, Some([192, 168, 1, 1])), true),
            (fixed([10, 0, 0, 1], 30, Some([10, 0, 0, 2])), true),
            (fixed([192, 168, 1, 20], 24, None), true),
            (fixed([192, 168, 1, 20], 0, None), false),
            (fixed([192, 168, 1, 20], 31, None), false),
            (fixed([192, 168, 1, 0], 24, None), false),
            (fixed([192, 168, 1, 255], 24, None), false),
            (fixed([127, 0, 0, 1], 8, None), false),
            (fixed([224, 0, 0, 1], 24, None), false),
            (fixed([0, 0, 0, 1], 8, None), false),
            (fixed([192, 168, 1, 20], 24, Some([192, 168, 2, 1])), false),
            (fixed([192, 168, 1, 20], 24, Some([192, 168, 1, 20])), false),
        ] {
            assert_eq!(is_sensible(&address).is_ok(), sensible, "{address:?}");
        }
    }

    #[test]
    fn dns_servers_are_few_and_single() {
        for (dns, sensible) in [
            (vec![Ipv4Addr::new(9, 9, 9, 9); 3], true),
            (vec![Ipv4Addr::new(9, 9, 9, 9); 4], false),
            (vec![Ipv4Addr::UNSPECIFIED], false),
        ] {
            let address =
                SetAddress::Static { address: [10, 0, 0, 5].into(), prefix: 24, gateway: None, dns: dns.clone() };
            assert_eq!(is_sensible(&address).is_ok(), sensible, "{dns:?}");
        }
    }
}
