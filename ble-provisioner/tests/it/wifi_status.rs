//! How the Wi-Fi stands, and that it is told when it changes.

use coffer_api::{Connectivity, WifiRadio, WifiState};

use crate::{
    eventually,
    network_manager::State,
    wifi_home::{Home, ssid},
};

#[tokio::test]
async fn a_box_on_a_network_tells_all_about_it() {
    let state = State { checks_connectivity: true, ..State::on_network(b"ho\xffme") };
    let home = Home::new(state).await;
    let status = home.network.status().borrow().clone();
    assert_eq!((status.state, status.radio), (WifiState::Connected, WifiRadio::Ready));
    assert_eq!(status.ssid, Some(ssid(b"ho\xffme")));
    assert_eq!(status.ssid_text.as_deref(), Some("ho\u{fffd}me"));
    assert_eq!(status.signal_percent, Some(70));
    assert_eq!(status.addresses, ["192.168.1.20/24"]);
    assert_eq!(status.gateways, ["192.168.1.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(status.dns, ["192.168.1.53".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!((status.connectivity, status.country.as_deref()), (Connectivity::Full, Some("CH")));
}

#[tokio::test]
async fn where_nobody_checks_the_connectivity_is_unknown() {
    let home = Home::new(State::on_network(b"home")).await;
    assert_eq!(home.network.status().borrow().connectivity, Connectivity::Unknown);
}

#[tokio::test]
async fn the_way_out_may_be_by_cable() {
    let home = Home::new(State { checks_connectivity: true, ..State::on_network(b"home") }).await;
    home.nm.device_goes_to(30, 0).await;
    let mut status = home.network.status();
    let told = status.wait_for(|status| status.state == WifiState::Disconnected);
    let connectivity = eventually("the Wi-Fi is gone", told).await.unwrap().connectivity;
    assert_eq!(connectivity, Connectivity::Full);
}

#[tokio::test]
async fn every_change_is_told() {
    let home = Home::new(State::on_network(b"home")).await;
    let mut status = home.network.status();
    for (device_state, expected) in [
        (30, WifiState::Disconnected),
        (50, WifiState::Connecting),
        (70, WifiState::GettingAddress),
        (100, WifiState::Connected),
        (20, WifiState::Unavailable),
    ] {
        home.nm.device_goes_to(device_state, 0).await;
        let told = eventually("the status changes", status.wait_for(|status| status.state == expected)).await;
        let named = told.unwrap().ssid.is_some();
        assert_eq!(named, !matches!(expected, WifiState::Disconnected | WifiState::Unavailable), "{expected:?}");
    }
}

#[tokio::test]
async fn a_network_manager_that_comes_and_goes_is_noticed() {
    const NAME: &str = "org.freedesktop.NetworkManager";
    let home = Home::new(State::on_network(b"home")).await;
    let mut status = home.network.status();
    home.nm.connection.release_name(NAME).await.unwrap();
    eventually("it is gone", status.wait_for(|status| status.radio == WifiRadio::Absent)).await.unwrap();
    home.nm.connection.request_name(NAME).await.unwrap();
    eventually("it is back", status.wait_for(|status| status.state == WifiState::Connected)).await.unwrap();
    home.nm.device_goes_to(30, 0).await;
    eventually("it is heard", status.wait_for(|status| status.state == WifiState::Disconnected)).await.unwrap();
}

#[tokio::test]
async fn a_radio_that_is_off_or_missing() {
    for (state, expected) in [
        (State { hardware_enabled: false, ..State::default() }, WifiRadio::HardBlocked),
        (State { wireless_enabled: false, ..State::default() }, WifiRadio::SoftBlocked),
        (State { firmware_missing: true, ..State::default() }, WifiRadio::FirmwareMissing),
        (State { has_wifi: false, ..State::default() }, WifiRadio::Absent),
    ] {
        assert_eq!(Home::new(state).await.network.status().borrow().radio, expected);
    }
}
