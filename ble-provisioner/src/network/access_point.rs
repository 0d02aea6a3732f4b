//! From access points to networks: what an access point's flags mean, and one entry for each name.

use std::collections::BTreeMap;

use coffer_api::{Ssid, WifiBand, WifiNetwork, WifiSecurity};

use super::bus::Properties;

/// The list goes over the air in one message of at most 8 KiB.
const MAX_NETWORKS: usize = 40;

/// `NM80211ApFlags`
const PRIVACY: u32 = 0x1;
/// `NM80211ApSecurityFlags`
const PSK: u32 = 0x100;
const ENTERPRISE: u32 = 0x200;
const SAE: u32 = 0x400;
const OWE: u32 = 0x800;
const ENTERPRISE_192_BIT: u32 = 0x2000;

/// One access point, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessPoint {
    pub(crate) ssid: Ssid,
    pub(crate) signal_percent: u8,
    pub(crate) security: WifiSecurity,
    pub(crate) band: Option<WifiBand>,
}

impl AccessPoint {
    /// `None` when it does not tell its name.
    pub(crate) fn read(properties: &mut Properties) -> Option<Self> {
        let ssid = properties.take::<Vec<u8>>("Ssid").filter(|ssid| ssid.iter().any(|byte| *byte != 0))?;
        let flags = properties.take("Flags").unwrap_or(0);
        let wpa: u32 = properties.take("WpaFlags").unwrap_or(0);
        let rsn: u32 = properties.take("RsnFlags").unwrap_or(0);
        Some(Self {
            ssid: Ssid::new(ssid)?,
            signal_percent: properties.take::<u8>("Strength").unwrap_or(0).min(100),
            security: security(flags, wpa | rsn),
            band: properties.take("Frequency").and_then(band),
        })
    }
}

fn security(flags: u32, keys: u32) -> WifiSecurity {
    let offers = |key| keys & key != 0;
    if offers(ENTERPRISE | ENTERPRISE_192_BIT) {
        WifiSecurity::Enterprise
    } else if offers(SAE) && offers(PSK) {
        WifiSecurity::Wpa2Wpa3
    } else if offers(SAE) {
        WifiSecurity::Wpa3
    } else if offers(PSK) {
        WifiSecurity::Wpa2
    } else if offers(OWE) {
        WifiSecurity::Owe
    } else if keys == 0 && flags & PRIVACY != 0 {
        WifiSecurity::Wep
    } else {
        // Also an access point whose only flag says that an encrypted twin stands beside it.
        WifiSecurity::Open
    }
}

fn band(frequency_mhz: u32) -> Option<WifiBand> {
    match frequency_mhz {
        2400..=2500 => Some(WifiBand::Ghz2_4),
        4900..=5900 => Some(WifiBand::Ghz5),
        5925..=7125 => Some(WifiBand::Ghz6),
        _ => None,
    }
}

/// One entry for each name, the strongest first.
pub(crate) fn networks(access_points: &[AccessPoint], known: impl Fn(&Ssid) -> bool) -> Vec<WifiNetwork> {
    let mut by_name = BTreeMap::<&Ssid, WifiNetwork>::new();
    for point in access_points {
        let network = by_name.entry(&point.ssid).or_insert_with(|| WifiNetwork {
            ssid: point.ssid.clone(),
            ssid_text: point.ssid.to_text(),
            signal_percent: 0,
            security: point.security,
            bands: Vec::new(),
            known: known(&point.ssid),
        });
        network.signal_percent = network.signal_percent.max(point.signal_percent);
        network.security = both(network.security, point.security);
        network.bands.extend(point.band);
    }
    let mut networks: Vec<_> = by_name.into_values().collect();
    for network in &mut networks {
        network.bands.sort_unstable();
        network.bands.dedup();
    }
    networks.sort_by_key(|network| std::cmp::Reverse(network.signal_percent));
    networks.truncate(MAX_NETWORKS);
    networks
}

/// The security of a name that two access points have. The stricter one counts: a stranger's open access point must not
/// make a protected network look open.
pub(crate) fn both(one: WifiSecurity, other: WifiSecurity) -> WifiSecurity {
    match (one.min(other), one.max(other)) {
        (WifiSecurity::Wpa2 | WifiSecurity::Wpa2Wpa3, WifiSecurity::Wpa3) => WifiSecurity::Wpa2Wpa3,
        (_, stricter) => stricter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ssid: &str, signal_percent: u8, security: WifiSecurity, frequency_mhz: u32) -> AccessPoint {
        AccessPoint { ssid: Ssid::new(ssid).unwrap(), signal_percent, security, band: band(frequency_mhz) }
    }

    #[test]
    fn flags_say_how_a_network_is_protected() {
        for (flags, keys, expected) in [
            (0, 0, WifiSecurity::Open),
            (PRIVACY, 0, WifiSecurity::Wep),
            (PRIVACY, PSK | 0x88, WifiSecurity::Wpa2),
            (PRIVACY, SAE | 0x88, WifiSecurity::Wpa3),
            (PRIVACY, PSK | SAE, WifiSecurity::Wpa2Wpa3),
            (PRIVACY, ENTERPRISE, WifiSecurity::Enterprise),
            (PRIVACY, ENTERPRISE_192_BIT, WifiSecurity::Enterprise),
            (PRIVACY, OWE, WifiSecurity::Owe),
            // OWE in transition: the open half.
            (0, 0x1000, WifiSecurity::Open),
        ] {
            assert_eq!(security(flags, keys), expected, "{flags:#x} {keys:#x}");
        }
    }

    #[test]
    fn frequencies_belong_to_bands() {
        for (frequency_mhz, expected) in [
            (2412, Some(WifiBand::Ghz2_4)),
            (2484, Some(WifiBand::Ghz2_4)),
            (5180, Some(WifiBand::Ghz5)),
            (5885, Some(WifiBand::Ghz5)),
            (5955, Some(WifiBand::Ghz6)),
            (7115, Some(WifiBand::Ghz6)),
            (60_480, None),
            (0, None),
        ] {
            assert_eq!(band(frequency_mhz), expected, "{frequency_mhz}");
        }
    }

    #[test]
    fn every_name_is_there_once_and_the_strongest_first() {
        let points = [
            point("far", 20, WifiSecurity::Open, 2412),
            point("home", 40, WifiSecurity::Wpa2, 5180),
            point("home", 80, WifiSecurity::Wpa2, 2412),
            point("home", 60, WifiSecurity::Wpa3, 2437),
        ];
        let networks = networks(&points, |ssid| ssid.as_bytes() == b"far");
        assert_eq!(networks.iter().map(|network| &*network.ssid_text).collect::<Vec<_>>(), ["home", "far"]);
        assert_eq!(networks[0].signal_percent, 80);
        assert_eq!(networks[0].security, WifiSecurity::Wpa2Wpa3);
        assert_eq!(networks[0].bands, [WifiBand::Ghz2_4, WifiBand::Ghz5]);
        assert!(networks[1].known && !networks[0].known);
    }

    #[test]
    fn an_open_twin_does_not_make_a_network_open() {
        let points = [point("home", 99, WifiSecurity::Open, 2412), point("home", 10, WifiSecurity::Wpa2, 2412)];
        assert_eq!(networks(&points, |_| false)[0].security, WifiSecurity::Wpa2);
    }

    #[test]
    fn the_list_is_bounded() {
        let points: Vec<_> =
            (0..100).map(|number| point(&format!("n{number}"), number, WifiSecurity::Open, 2412)).collect();
        let networks = networks(&points, |_| false);
        assert_eq!((networks.len(), networks[0].signal_percent), (MAX_NETWORKS, 99));
    }
}
