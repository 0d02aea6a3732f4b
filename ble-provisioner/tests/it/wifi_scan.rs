//! What is in reach: a radio that is in time, late, silent, or unwilling.

use std::time::Duration;

use coffer_api::{ScanWifi, SetupFailure, WifiBand, WifiSecurity};
use coffer_ble::network::NetworkError;

use crate::{
    eventually,
    network_manager::{Look, Point, State, open_point},
    wifi_home::{Home, PSK, SAE, failure, ssid},
};

fn with_points(points: Vec<Point>, looks: impl IntoIterator<Item = Look>) -> State {
    State { points, looks: looks.into_iter().collect(), ..State::default() }
}

#[tokio::test]
async fn a_scan_tells_each_name_once_and_the_strongest_first() {
    let points = vec![
        Point { rsn: PSK, ..open_point(b"home", 40) },
        Point { rsn: SAE, frequency_mhz: 5180, ..open_point(b"home", 60) },
        open_point(b"cafe\xff", 90),
        open_point(b"", 99),
    ];
    let mut state = with_points(points, [Look::Ends(vec![99_000])]);
    state.profiles.insert(crate::network_manager::FIRST_PROFILE.to_owned(), crate::network_manager::profile(b"home"));
    let home = Home::new(state).await;

    let scan = home.network.scan(&ScanWifi::default()).await.unwrap();
    assert_eq!((scan.age_s, scan.complete), (Some(1), true));
    let [cafe, ours] = &scan.networks[..] else { panic!("{:?}", scan.networks) };
    assert_eq!((cafe.ssid.as_bytes(), &*cafe.ssid_text), (b"cafe\xff".as_slice(), "cafe\u{fffd}"));
    assert_eq!((cafe.signal_percent, cafe.security, cafe.known), (90, WifiSecurity::Open, false));
    assert_eq!((ours.signal_percent, ours.security, ours.known), (60, WifiSecurity::Wpa2Wpa3, true));
    assert_eq!(ours.bands, [WifiBand::Ghz2_4, WifiBand::Ghz5]);
}

#[tokio::test]
async fn a_scan_that_ends_twice_is_one_scan() {
    let home = Home::new(with_points(
        vec![open_point(b"a", 50)],
        [Look::Ends(vec![50_000, 60_000]), Look::Ends(vec![70_000, 70_000])],
    ))
    .await;
    assert!(home.network.scan(&ScanWifi::default()).await.unwrap().complete);
    home.nm.until("the second end", |state| state.last_scan == 60_000).await;
    let second = home.network.scan(&ScanWifi::default()).await.unwrap();
    assert_eq!((second.complete, second.age_s), (true, Some(30)));
}

#[tokio::test]
async fn a_scan_that_never_ends_tells_what_was_there_before() {
    let mut state = with_points(vec![open_point(b"a", 50)], [Look::Never]);
    state.last_scan = 40_000;
    let home = Home::with(state, |settings| settings.scan_limit = Duration::from_millis(50)).await;
    let scan = home.network.scan(&ScanWifi::default()).await.unwrap();
    assert_eq!((scan.complete, scan.age_s, scan.networks.len()), (false, Some(60), 1));
}

#[tokio::test]
async fn a_scan_that_ends_late_does_not_end_the_next_one() {
    let mut state = with_points(Vec::new(), [Look::Never, Look::Never]);
    state.last_scan = 40_000;
    let home = Home::with(state, |settings| settings.scan_limit = Duration::from_millis(50)).await;
    assert!(!home.network.scan(&ScanWifi::default()).await.unwrap().complete);
    // The first ends now; and is told once more while the second is under way.
    home.nm.scan_ends(50_000).await;
    let again = async {
        home.nm.until("a second scan", |state| state.scans.len() == 2).await;
        home.nm.scan_ends(50_000).await;
    };
    let request = ScanWifi::default();
    let (second, ()) = tokio::join!(home.network.scan(&request), again);
    assert!(!second.unwrap().complete);
}

#[tokio::test]
async fn two_scans_at_once_are_one_for_the_radio() {
    let home = Home::new(with_points(vec![open_point(b"a", 50)], [Look::Ends(vec![99_000])])).await;
    let request = ScanWifi::default();
    let (one, other) = tokio::join!(home.network.scan(&request), home.network.scan(&request));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(home.nm.state.borrow().scans.len(), 1);
}

#[tokio::test]
async fn a_radio_that_has_just_looked_answers_from_that() {
    let mut state = with_points(vec![open_point(b"a", 50)], [Look::TooSoon]);
    state.last_scan = 95_000;
    let home = Home::new(state).await;
    let scan = home.network.scan(&ScanWifi::default()).await.unwrap();
    assert_eq!((scan.complete, scan.age_s, scan.networks.len()), (true, Some(5), 1));
}

#[tokio::test]
async fn hidden_networks_are_called_by_name() {
    let request = ScanWifi { hidden: vec![ssid(b"hid\xffden")] };
    let home = Home::new(with_points(vec![open_point(b"hid\xffden", 50)], [Look::Ends(vec![1])])).await;
    home.network.scan(&request).await.unwrap();
    assert_eq!(home.nm.state.borrow().scans, [[b"hid\xffden".to_vec()]], "it answered");

    // The first look to end may be one that did not call it.
    let looks = [1, 2, 3].map(|end| Look::Ends(vec![end]));
    let home = Home::new(with_points(Vec::new(), looks)).await;
    home.network.scan(&request).await.unwrap();
    assert_eq!(home.nm.state.borrow().scans, vec![[b"hid\xffden".to_vec()]; 3]);

    let too_many = ScanWifi { hidden: vec![ssid(b"a"); 5] };
    assert!(matches!(home.network.scan(&too_many).await, Err(NetworkError::Invalid(_))));
}

#[tokio::test]
async fn a_network_manager_that_goes_away_ends_the_scan() {
    let home = Home::new(with_points(Vec::new(), [Look::Never])).await;
    let leave = async {
        home.nm.until("a scan", |state| state.scans.len() == 1).await;
        home.nm.connection.release_name("org.freedesktop.NetworkManager").await.unwrap();
    };
    let request = ScanWifi::default();
    let (scan, ()) = eventually("the scan ends", async { tokio::join!(home.network.scan(&request), leave) }).await;
    assert!(matches!(scan, Err(NetworkError::Service { .. })), "{scan:?}");
}

#[tokio::test]
async fn a_radio_that_cannot_look_says_why() {
    for (state, expected) in [
        (State { hardware_enabled: false, ..State::default() }, SetupFailure::RadioBlocked),
        (State { wireless_enabled: false, ..State::default() }, SetupFailure::RadioBlocked),
        (State { firmware_missing: true, ..State::default() }, SetupFailure::FirmwareMissing),
        (State { has_wifi: false, ..State::default() }, SetupFailure::FirmwareMissing),
    ] {
        let home = Home::new(state).await;
        let outcome = home.network.scan(&ScanWifi::default()).await.map(|_| ());
        assert_eq!(failure(outcome).0, expected);
    }
}
