//! Wi-Fi: what a box sees, how it is told to join, and how it stands.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use crate::{SecretString, SetupFailure};

/// The name of a network: 1 to 32 bytes, which need not be text. On the wire base64url without padding.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, example = "SG9tZQ")]
pub struct Ssid(Vec<u8>);

impl Ssid {
    const MAX_BYTES: usize = 32;

    /// `None` when there is no such name: empty, or longer than 32 bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (1..=Self::MAX_BYTES).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The name as it is on the air.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// For a person; not for telling networks apart.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl fmt::Debug for Ssid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssid({:?})", self.to_text())
    }
}

impl Serialize for Ssid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Ssid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64URL_NOPAD
            .decode(text.as_bytes())
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| de::Error::custom("an SSID is 1 to 32 bytes, in base64url without padding"))
    }
}

/// How a network protects itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WifiSecurity {
    /// Not at all.
    Open,
    /// WEP, which the box does not join.
    Wep,
    /// Encrypted without a password.
    Owe,
    /// WPA2 with a password, also the older WPA.
    Wpa2,
    /// WPA3 and WPA2 under the same name and password.
    Wpa2Wpa3,
    /// WPA3 with a password.
    Wpa3,
    /// 802.1X: an account of its own for everybody.
    Enterprise,
}

/// A part of the radio spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum WifiBand {
    /// 2.4 GHz: far, and slow.
    #[serde(rename = "2.4")]
    Ghz2_4,
    /// 5 GHz.
    #[serde(rename = "5")]
    Ghz5,
    /// 6 GHz: near, and fast.
    #[serde(rename = "6")]
    Ghz6,
}

/// A network in reach, however many access points it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WifiNetwork {
    /// Its name.
    pub ssid: Ssid,
    /// Its name for a person.
    pub ssid_text: String,
    /// Of its strongest access point: 0 to 100.
    pub signal_percent: u8,
    /// How it protects itself.
    pub security: WifiSecurity,
    /// Where it is on the air.
    pub bands: Vec<WifiBand>,
    /// The box has its password already.
    pub known: bool,
}

/// What is in reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WifiScan {
    /// How long ago the radio looked; absent when it never has.
    pub age_s: Option<u64>,
    /// False when the radio did not finish looking in time, and the list may lack something.
    pub complete: bool,
    /// Each name once, the strongest first; at most 40.
    pub networks: Vec<WifiNetwork>,
}

/// Asks the radio to look around.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanWifi {
    /// Hidden networks to call by name: at most 4, and each is told to everybody in reach.
    #[serde(default)]
    pub hidden: Vec<Ssid>,
}

/// Joins a network, and leaves the present one only when that worked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "ssid": "SG9tZQ", "hidden": false, "credentials": { "kind": "password", "password": "correct horse battery" },
    "local_only": false }))]
pub struct JoinWifi {
    /// Its name.
    pub ssid: Ssid,
    /// It does not tell its name, and has to be called by it.
    #[serde(default)]
    pub hidden: bool,
    /// What opens it.
    pub credentials: WifiCredentials,
    /// Stay on a network that does not reach the internet.
    #[serde(default)]
    pub local_only: bool,
}

/// What opens a network. Whether a password is for WPA2 or WPA3 is for the box to find out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum WifiCredentials {
    /// An open network, or one that encrypts without a password.
    None,
    /// WPA2, WPA3, or both.
    Password {
        /// 8 to 63 characters, or 64 hexadecimal digits; with WPA3 alone 1 to 128 bytes.
        password: SecretString,
    },
    /// 802.1X.
    Enterprise(EnterpriseLogin),
}

/// An account on an enterprise network.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnterpriseLogin {
    /// How the account is checked.
    pub method: EapMethod,
    /// The user.
    pub identity: String,
    /// Told in clear, in place of `identity`, while there is no tunnel yet.
    #[serde(default)]
    pub anonymous_identity: Option<String>,
    /// The user's password.
    pub password: SecretString,
    /// The only CA whose servers may see the password: one certificate, as PEM. Without it those that the box trusts
    /// anyhow, and then `domain_suffix` is required.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// The server's name, or what it ends with.
    #[serde(default)]
    pub domain_suffix: Option<String>,
}

/// An outer and an inner method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EapMethod {
    /// PEAP with `MSCHAPv2` inside.
    Peap,
    /// TTLS with `MSCHAPv2` inside.
    TtlsMschapv2,
    /// TTLS with the plain password inside.
    TtlsPap,
}

/// How the box gets its IPv4 address on the present network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({
    "method": "static", "address": "192.168.1.20", "prefix": 24, "gateway": "192.168.1.1", "dns": ["192.168.1.1"] }))]
pub enum SetAddress {
    /// From the router.
    Automatic,
    /// From here.
    Static {
        /// The box's own.
        #[schema(value_type = String, format = Ipv4)]
        address: Ipv4Addr,
        /// Length of the network part: 1 to 30.
        prefix: u8,
        /// The way out, on the same network.
        #[schema(value_type = Option<String>, format = Ipv4)]
        #[serde(default)]
        gateway: Option<Ipv4Addr>,
        /// At most 3.
        #[schema(value_type = Vec<String>)]
        #[serde(default)]
        dns: Vec<Ipv4Addr>,
    },
}

/// The new address is in use, and goes away again unless somebody confirms it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingAddress {
    /// Time left.
    pub confirm_within_s: u64,
}

/// How far the box is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WifiState {
    /// There is no radio to use; see `radio`.
    Unavailable,
    /// On no network.
    Disconnected,
    /// Looking for the access point, and agreeing on keys with it.
    Connecting,
    /// Waiting for an address.
    GettingAddress,
    /// On the network.
    Connected,
}

/// The radio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WifiRadio {
    /// Ready to use.
    Ready,
    /// Switched off by software.
    SoftBlocked,
    /// Switched off by a switch.
    HardBlocked,
    /// There, without its firmware.
    FirmwareMissing,
    /// Not there.
    Absent,
}

/// What the network leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Connectivity {
    /// Nobody checks.
    Unknown,
    /// Nothing.
    None,
    /// A page to sign in.
    Portal,
    /// The neighbourhood.
    Limited,
    /// The internet.
    Full,
}

/// How the Wi-Fi of a box stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WifiStatus {
    /// How far it is.
    pub state: WifiState,
    /// The radio.
    pub radio: WifiRadio,
    /// Two letters; absent when nobody has said, and then the radio is not used.
    pub country: Option<String>,
    /// The network it is on or on its way to.
    pub ssid: Option<Ssid>,
    /// Its name for a person.
    pub ssid_text: Option<String>,
    /// 0 to 100.
    pub signal_percent: Option<u8>,
    /// Each with its prefix length.
    #[schema(example = json!(["192.168.1.20/24"]))]
    pub addresses: Vec<String>,
    /// The ways out.
    #[schema(value_type = Vec<String>)]
    pub gateways: Vec<IpAddr>,
    /// The servers that resolve names.
    #[schema(value_type = Vec<String>)]
    pub dns: Vec<IpAddr>,
    /// What the network leads to.
    pub connectivity: Connectivity,
    /// Why the last attempt to join did not work; absent after one that did.
    pub last_failure: Option<SetupFailure>,
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn ssids_are_bytes() {
        let ssid = Ssid::new([0xff, 0x00, b'a']).unwrap();
        assert_eq!(to_value(&ssid).unwrap(), json!("_wBh"));
        assert_eq!(from_value::<Ssid>(json!("_wBh")).unwrap(), ssid);
        assert_eq!(ssid.to_text(), "\u{fffd}\0a");
    }

    #[test]
    fn what_is_no_ssid() {
        let too_long = BASE64URL_NOPAD.encode(&[b'a'; 33]);
        for text in ["", "Home!", "SG9tZQ==", &too_long] {
            assert!(from_value::<Ssid>(json!(text)).is_err(), "{text}");
        }
        assert!(Ssid::new([0; 32]).is_some());
    }

    #[test]
    fn requests_to_join() {
        for (json, hidden) in [
            (json!({"ssid": "SG9tZQ", "credentials": {"kind": "none"}}), false),
            (json!({"ssid": "SG9tZQ", "hidden": true, "credentials": {"kind": "password", "password": "x"}}), true),
            (
                json!({"ssid": "SG9tZQ", "credentials": {
                    "kind": "enterprise", "method": "ttls_pap", "identity": "a", "password": "b",
                    "domain_suffix": "example.org",
                }}),
                false,
            ),
        ] {
            assert_eq!(from_value::<JoinWifi>(json).unwrap().hidden, hidden);
        }
        let unknown = json!({"ssid": "SG9tZQ", "credentials": {"kind": "none"}, "bssid": "00:00:00:00:00:00"});
        assert!(from_value::<JoinWifi>(unknown).is_err());
    }

    #[test]
    fn a_request_does_not_show_its_password() {
        let request = JoinWifi {
            ssid: Ssid::new(*b"Home").unwrap(),
            hidden: false,
            credentials: WifiCredentials::Password { password: SecretString::new("hunter22".to_owned()) },
            local_only: false,
        };
        assert!(!format!("{request:?}").contains("hunter22"));
    }
}
