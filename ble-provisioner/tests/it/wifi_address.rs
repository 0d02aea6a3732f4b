//! A fixed address, confirmed or not, and forgetting a network.

use coffer_api::SetAddress;
use coffer_ble::network::NetworkError;

use crate::{
    network_manager::{Done, FIRST_PROFILE, State},
    wifi_home::{Home, ssid},
};

const IN_MEMORY: u32 = 2;
const TO_DISK: u32 = 1;

fn fixed() -> SetAddress {
    SetAddress::Static {
        address: [192, 168, 1, 50].into(),
        prefix: 24,
        gateway: Some([192, 168, 1, 1].into()),
        dns: vec![[9, 9, 9, 9].into()],
    }
}

fn updated(flags: u32) -> Done {
    Done::Updated { profile: FIRST_PROFILE.to_owned(), flags }
}

#[tokio::test]
async fn a_confirmed_address_stays() {
    let home = Home::new(State::on_network(b"home")).await;
    let pending = home.network.set_address(&fixed()).await.unwrap();
    assert_eq!(pending.confirm_within_s, 60);
    let before = [Done::CheckpointCreated { timeout_s: 60, flags: 2 }, updated(IN_MEMORY), Done::Reapplied];
    assert_eq!(home.nm.done(), before, "nothing on the disk before it is confirmed");

    home.network.confirm_address().await.unwrap();
    assert_eq!(home.nm.done()[3..], [updated(TO_DISK), Done::CheckpointDestroyed]);
    let again = home.network.confirm_address().await;
    assert!(matches!(again, Err(NetworkError::NotFound(_))), "{again:?}");
}

#[tokio::test]
async fn the_profile_keeps_what_is_not_about_the_address() {
    let home = Home::new(State::on_network(b"home")).await;
    home.network.set_address(&fixed()).await.unwrap();
    {
        let state = home.nm.state.borrow();
        let ipv4 = &state.profiles[FIRST_PROFILE]["ipv4"];
        assert_eq!(ipv4["method"].downcast_ref::<&str>(), Ok("manual"));
        assert_eq!(ipv4["gateway"].downcast_ref::<&str>(), Ok("192.168.1.1"));
        assert_eq!(ipv4["address-data"].value_signature(), "aa{sv}");
        let dns = Vec::<u32>::try_from(ipv4["dns"].try_clone().unwrap()).unwrap();
        assert_eq!(dns[0].to_ne_bytes(), [9, 9, 9, 9]);
        assert!(ipv4.contains_key("may-fail") && !ipv4.contains_key("addresses"));
        assert!(state.profiles[FIRST_PROFILE].contains_key("802-11-wireless"));
    }

    home.network.set_address(&SetAddress::Automatic).await.unwrap();
    let state = home.nm.state.borrow();
    let ipv4 = &state.profiles[FIRST_PROFILE]["ipv4"];
    assert_eq!(ipv4["method"].downcast_ref::<&str>(), Ok("auto"));
    assert!(!["address-data", "gateway", "dns"].iter().any(|word| ipv4.contains_key(*word)));
}

#[tokio::test]
async fn an_unconfirmed_address_goes_by_itself() {
    let home = Home::new(State::on_network(b"home")).await;
    home.network.set_address(&fixed()).await.unwrap();
    home.nm.time_is_over();
    let late = home.network.confirm_address().await;
    assert!(matches!(late, Err(NetworkError::NotFound(_))), "{late:?}");
    assert!(!home.nm.done().contains(&updated(TO_DISK)), "{:?}", home.nm.done());
}

#[tokio::test]
async fn an_address_can_be_taken_back_early() {
    let home = Home::new(State::on_network(b"home")).await;
    home.network.set_address(&fixed()).await.unwrap();
    home.network.revert_address().await.unwrap();
    assert_eq!(home.nm.done().last(), Some(&Done::RolledBack));
    assert!(matches!(home.network.revert_address().await, Err(NetworkError::NotFound(_))));
}

#[tokio::test]
async fn a_second_address_takes_the_first_back() {
    let home = Home::new(State::on_network(b"home")).await;
    home.network.set_address(&fixed()).await.unwrap();
    home.network.set_address(&fixed()).await.unwrap();
    assert!(home.nm.done().contains(&Done::RolledBack));
    home.network.confirm_address().await.unwrap();
}

#[tokio::test]
async fn a_box_without_a_network_has_no_address() {
    let home = Home::new(State::default()).await;
    let outcome = home.network.set_address(&fixed()).await;
    assert!(matches!(outcome, Err(NetworkError::NotFound(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_senseless_address_leaves_the_pending_one_alone() {
    let home = Home::new(State::on_network(b"home")).await;
    home.network.set_address(&fixed()).await.unwrap();
    let senseless = SetAddress::Static { address: [127, 0, 0, 1].into(), prefix: 8, gateway: None, dns: Vec::new() };
    assert!(matches!(home.network.set_address(&senseless).await, Err(NetworkError::Invalid(_))));
    home.network.confirm_address().await.unwrap();
}

#[tokio::test]
async fn forgetting_deletes_the_profile_and_says_when_there_is_none() {
    let home = Home::new(State::on_network(b"ho\xffme")).await;
    let other = home.network.forget(&ssid(b"other")).await;
    assert!(matches!(other, Err(NetworkError::NotFound(_))), "{other:?}");
    home.network.forget(&ssid(b"ho\xffme")).await.unwrap();
    assert_eq!(home.nm.done(), [Done::Deleted(FIRST_PROFILE.to_owned())]);
    assert!(matches!(home.network.forget(&ssid(b"ho\xffme")).await, Err(NetworkError::NotFound(_))));
}
