//! Changes of the box's network that people ask for: an order, which the set-up service fetches, carries out and answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{JoinWifi, SetAddress, SetupError, Ssid, WifiSecurity};

/// A network that the box can join by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedNetwork {
    /// Its name.
    pub ssid: Ssid,
    /// How the box joins it, where that is known. `wpa2_wpa3` is whichever of the two there is.
    #[serde(default)]
    pub security: Option<WifiSecurity>,
}

/// The networks that the box can join by itself, as whoever manages them says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "networks": [{ "ssid": "SG9tZQ", "security": "wpa2_wpa3" }] }))]
pub struct SavedNetworks {
    /// Each name once; at most 64.
    pub networks: Vec<SavedNetwork>,
}

/// A network that the box can join by itself, for showing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnownNetwork {
    /// Its name, base64url without padding: it is bytes.
    pub ssid: Ssid,
    /// The same, for showing.
    pub ssid_text: String,
    /// How the box joins it, where that is known. `wpa2_wpa3` is whichever of the two there is.
    pub security: Option<WifiSecurity>,
    /// The box is in it, or on its way into it.
    pub current: bool,
}

/// The last report on the networks that the box can join by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "reported_at": "2026-11-21T09:30:00Z",
    "networks": [{ "ssid": "SG9tZQ", "ssid_text": "Home", "security": "wpa2_wpa3", "current": true }] }))]
pub struct KnownNetworks {
    /// When it was given. Null when there was none since the daemon started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reported_at: Option<Timestamp>,
    /// The networks.
    pub networks: Vec<KnownNetwork>,
}

/// A change of the network, for whoever carries it out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NetworkChange {
    /// Join a network.
    Join(JoinWifi),
    /// Forget one, and leave it.
    Forget(Ssid),
    /// Take another address in the present one, until that is confirmed or the time is over.
    SetAddress(SetAddress),
    /// Keep the address.
    ConfirmAddress {},
}

/// A change without what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkChangeKind {
    /// Join a network.
    Join,
    /// Forget one.
    Forget,
    /// Take another address.
    SetAddress,
    /// Keep the address.
    ConfirmAddress,
}

impl NetworkChange {
    /// What it is.
    pub const fn kind(&self) -> NetworkChangeKind {
        match self {
            Self::Join(_) => NetworkChangeKind::Join,
            Self::Forget(_) => NetworkChangeKind::Forget,
            Self::SetAddress(_) => NetworkChangeKind::SetAddress,
            Self::ConfirmAddress {} => NetworkChangeKind::ConfirmAddress,
        }
    }
}

/// An order on its way to whoever carries it out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "id": "01890000-0000-7000-8000-000000000000", "change": { "confirm_address": {} } }))]
pub struct FetchedOrder {
    /// By which its outcome is told.
    pub id: Uuid,
    /// What to do.
    pub change: NetworkChange,
}

/// How an order went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "confirm_within_s": 60, "failure": null }))]
pub struct OrderOutcome {
    /// The change goes away again unless it is confirmed within this time.
    #[serde(default)]
    pub confirm_within_s: Option<u64>,
    /// Why it is not done. Absent when it is.
    #[serde(default)]
    pub failure: Option<SetupError>,
}

/// A change of the network that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01890000-0000-7000-8000-000000000000", "kind": "set_address", "state": "done",
    "asked_at": "2026-11-21T09:30:00Z", "confirm_within_s": 60, "failure": null }))]
pub struct NetworkOrder {
    /// Names it, at `/device/network/orders/{id}`.
    pub id: Uuid,
    /// What was asked for.
    pub kind: NetworkChangeKind,
    /// How far it is.
    pub state: NetworkOrderState,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: Timestamp,
    /// Of an address that is in use now: it goes away again unless it is confirmed within this time of its `done`.
    pub confirm_within_s: Option<u64>,
    /// Why it failed.
    pub failure: Option<SetupError>,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkOrderState {
    /// Nobody has fetched it yet.
    Waiting,
    /// It is being carried out.
    Running,
    /// It is done.
    Done,
    /// It is not, for the reason in `failure`.
    Failed,
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn an_order_survives_the_way_to_who_carries_it_out() {
        for (change, kind) in [
            (
                json!({"join": {"ssid": "SG9tZQ", "hidden": false, "local_only": false,
                    "credentials": {"kind": "password", "password": "hunter22"}}}),
                NetworkChangeKind::Join,
            ),
            (json!({"forget": "SG9tZQ"}), NetworkChangeKind::Forget),
            (
                json!({"set_address": {"method": "static", "address": "192.168.1.20", "prefix": 24,
                    "gateway": "192.168.1.1", "dns": []}}),
                NetworkChangeKind::SetAddress,
            ),
            (json!({"set_address": {"method": "automatic"}}), NetworkChangeKind::SetAddress),
            (json!({"confirm_address": {}}), NetworkChangeKind::ConfirmAddress),
        ] {
            let order = json!({"id": Uuid::nil(), "change": change});
            let read: FetchedOrder = from_value(order.clone()).unwrap();
            assert_eq!(read.change.kind(), kind);
            assert!(!format!("{read:?}").contains("hunter22"));
            assert_eq!(to_value(read).unwrap(), order);
        }
    }

    #[test]
    fn an_outcome_without_a_failure_is_a_success() {
        assert_eq!(from_value::<OrderOutcome>(json!({})).unwrap(), OrderOutcome::default());
        assert!(from_value::<OrderOutcome>(json!({"failed": {}})).is_err());
    }
}
