//! How the network is, in the words that phones and the daemon are told.

use coffer_api::{Connectivity, NetworkState, NetworkStatus, WifiState, WifiStatus};
use data_encoding::BASE64URL_NOPAD;

/// Whether there is a way out of the local network, as far as NetworkManager sees.
pub(crate) fn is_online(status: &WifiStatus) -> bool {
    match status.connectivity {
        Connectivity::Full => true,
        Connectivity::Unknown => status.state == WifiState::Connected,
        Connectivity::None | Connectivity::Portal | Connectivity::Limited => false,
    }
}

/// The network as others are told of it.
pub(crate) fn of(status: &WifiStatus) -> NetworkStatus {
    NetworkStatus {
        state: match status.state {
            WifiState::Unavailable => NetworkState::Unavailable,
            WifiState::Disconnected => NetworkState::Disconnected,
            WifiState::Connecting | WifiState::GettingAddress => NetworkState::Connecting,
            WifiState::Connected => NetworkState::Connected,
        },
        ssid: status.ssid.as_ref().map(|ssid| BASE64URL_NOPAD.encode(ssid.as_bytes())),
        ssid_text: status.ssid_text.clone(),
        signal_percent: status.signal_percent,
        addresses: status.addresses.clone(),
        gateway: status.gateways.first().map(ToString::to_string),
        dns: status.dns.iter().map(ToString::to_string).collect(),
        connectivity: status.connectivity,
        // A way out that is not by Wi-Fi is by cable: the box has no third.
        wired: status.state != WifiState::Connected && is_online(status),
    }
}
