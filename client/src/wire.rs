//! What a box says about network, registration and itself, as far as this program shows it. Fields that a box may leave out
//! are optional, those that it adds are ignored, and words that are not known are shown as they are.

use coffer_api::{Ssid, WifiSecurity};
use coffer_crypto::channel::Failure;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where the box listens in its network (docs/operations.md).
const PORT: u16 = 8000;

/// The value of `wifi_scan`.
#[derive(Debug, Deserialize)]
pub(crate) struct Scan {
    pub(crate) age_s: Option<u64>,
    #[serde(default)]
    pub(crate) scanning: bool,
    #[serde(default)]
    pub(crate) networks: Vec<Network>,
    pub(crate) error: Option<Failure>,
}

/// A network in reach.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Network {
    pub(crate) ssid: Ssid,
    pub(crate) ssid_text: String,
    pub(crate) signal_percent: u8,
    pub(crate) security: WifiSecurity,
    #[serde(default)]
    pub(crate) known: bool,
}

/// The value of `wifi_status`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Status {
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) ssid_text: Option<String>,
    #[serde(default)]
    pub(crate) signal_percent: Option<u8>,
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    #[serde(default)]
    pub(crate) connectivity: Option<String>,
    #[serde(default)]
    pub(crate) wired: bool,
}

impl Status {
    /// Whether the box reaches the internet as far as it knows.
    pub(crate) fn is_online(&self) -> bool {
        self.has_network() && self.connectivity.as_deref().is_none_or(|word| word == "full" || word == "unknown")
    }

    pub(crate) fn has_network(&self) -> bool {
        self.wired || self.state == "connected"
    }

    /// The first address that a browser nearby can be pointed to.
    pub(crate) fn local_url(&self) -> Option<String> {
        let mut addresses = self.addresses.iter().filter_map(|address| address.split('/').next());
        let address = addresses.find_map(|address| address.parse::<std::net::Ipv4Addr>().ok())?;
        Some(format!("http://{address}:{PORT}/"))
    }
}

/// The value of `registration`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Registration {
    pub(crate) state: RegistrationState,
    #[serde(default)]
    pub(crate) step: Option<String>,
    #[serde(default)]
    pub(crate) attempt: u32,
    #[serde(default)]
    pub(crate) retry_after_s: Option<u64>,
    #[serde(default)]
    pub(crate) error: Option<Failure>,
}

/// How far the registration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RegistrationState {
    None,
    Registering,
    Registered,
    OwnTunnel,
    LocalOnly,
    Failed,
}

/// The value of `server_url`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ServerUrl {
    pub(crate) server_url: Option<String>,
    #[serde(default)]
    pub(crate) tunnel: Option<String>,
}

/// The reply to `claim`.
#[derive(Deserialize)]
pub(crate) struct Claimed {
    pub(crate) recovery_key: coffer_api::SecretString,
    pub(crate) vault_id: Uuid,
    pub(crate) user_id: Uuid,
}

/// A reply of which only that it came matters.
#[derive(Deserialize)]
pub(crate) struct Done {}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_status_as_little_as_a_box_may_say() {
        let status: Status = from_value(json!({"state": "unavailable"})).unwrap();
        assert!(!status.is_online() && status.local_url().is_none());
    }

    #[test]
    fn online_is_what_leads_to_the_internet() {
        for (state, wired, connectivity, online) in [
            ("connected", false, "full", true),
            ("connected", false, "unknown", true),
            ("connected", false, "limited", false),
            ("connected", false, "portal", false),
            ("disconnected", true, "full", true),
            ("disconnected", false, "full", false),
            ("connecting", false, "none", false),
        ] {
            let status: Status =
                from_value(json!({"state": state, "wired": wired, "connectivity": connectivity})).unwrap();
            assert_eq!(status.is_online(), online, "{state} {wired} {connectivity}");
        }
    }

    #[test]
    fn a_browser_is_pointed_to_the_first_ipv4_address() {
        let addresses = ["fe80::1/64", "192.168.1.20/24", "10.0.0.2/8"];
        let status: Status = from_value(json!({"state": "connected", "addresses": addresses})).unwrap();
        assert_eq!(status.local_url().unwrap(), "http://192.168.1.20:8000/");
    }
}
