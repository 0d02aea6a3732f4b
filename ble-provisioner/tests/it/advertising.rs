//! When the box can be found, and that it stays so, whatever happens to BlueZ.

use coffer_api::VaultState;
use uuid::Uuid;

use crate::{
    bluez::{Bluez, State},
    bus::Bus,
    daemon::{Daemon, health},
    network_manager::{NetworkManager, State as Network},
    program::Place,
};

const ID: Uuid = Uuid::from_u128(0x0192_f3a4_5b6c_7d8e_9fa0_b1c2_d3e4_f506);
const INFO: Uuid = Uuid::from_u128(0xc0ff_e701_5a1e_4b8e_9c3d_6f2b_1d8a_4e01);

fn visible(state: &State) -> bool {
    state.adverts.len() == 1
}

#[tokio::test]
async fn a_phone_sees_the_service_and_the_name() {
    let (bus, place) = (Bus::start().await, Place::new());
    let _daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Absent));
    let bluez = Bluez::start(&bus.address).await;
    let mut program = place.start(&bus.address);

    program.notifies("STATUS=advertising as Coffer-F506").await;
    let state = bluez.until("an advert", visible).await;
    assert!(state.powered);
    assert!(!state.pairable);
    assert_eq!(state.alias, "Coffer-F506");
    let advert = &state.adverts[0];
    assert_eq!(advert.kind, "peripheral");
    assert!(advert.discoverable);
    assert_eq!(advert.service_uuids, ["c0ffe700-5a1e-4b8e-9c3d-6f2b1d8a4e01"]);
    assert_eq!(advert.local_name, "Coffer-F506");
}

#[tokio::test]
async fn the_name_follows_the_device_id() {
    let (bus, place) = (Bus::start().await, Place::new());
    let daemon = Daemon::start(&place.control_socket(), health(Uuid::nil(), VaultState::Absent));
    let bluez = Bluez::start(&bus.address).await;
    let _program = place.start(&bus.address);
    bluez.until("an advert with no name yet", |state| visible(state) && state.alias == "Coffer-0000").await;

    daemon.say(health(ID, VaultState::Absent));
    let named = |state: &State| visible(state) && state.adverts[0].local_name == "Coffer-F506";
    let state = bluez.until("an advert with the new name alone", named).await;
    assert_eq!(state.alias, "Coffer-F506");
}

#[tokio::test]
async fn a_dropped_advert_is_registered_again() {
    let (bus, place) = (Bus::start().await, Place::new());
    let _daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Absent));
    let bluez = Bluez::start(&bus.address).await;
    let _program = place.start(&bus.address);
    bluez.until("an advert", visible).await;

    bluez.drop_adverts().await;
    bluez.until("the advert again", |state| visible(state) && state.registrations == 2).await;
}

#[tokio::test]
async fn the_advert_is_registered_again_after_a_phone_has_left() {
    let (bus, place) = (Bus::start().await, Place::new());
    let _daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Absent));
    let bluez = Bluez::start(&bus.address).await;
    let _program = place.start(&bus.address);
    bluez.until("an advert", visible).await;

    bluez.phone_leaves().await;
    bluez.until("a new advert alone", |state| visible(state) && state.registrations == 2).await;
}

#[tokio::test]
async fn it_waits_for_bluetoothd_and_then_for_an_adapter() {
    let (bus, place) = (Bus::start().await, Place::new());
    let _daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Absent));
    let mut program = place.start(&bus.address);
    program.notifies("STATUS=waiting for bluetoothd").await;

    let bluez = Bluez::start_without_adapter(&bus.address).await;
    program.notifies("STATUS=waiting for a Bluetooth adapter").await;

    bluez.plug_adapter().await;
    bluez.until("an advert", visible).await;
    assert_eq!(bluez.read(INFO, 3).await.unwrap()[0], 0x04);
}

#[tokio::test]
async fn a_new_bluetoothd_gets_everything_again() {
    let (bus, place) = (Bus::start().await, Place::new());
    let _daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Absent));
    let bluez = Bluez::start(&bus.address).await;
    let _program = place.start(&bus.address);
    bluez.until("an advert", visible).await;

    bluez.crash().await;
    let bluez = Bluez::start(&bus.address).await;
    let state = bluez.until("an advert at the new one", visible).await;
    assert!(state.powered);
    assert_eq!(bluez.read(INFO, 3).await.unwrap()[0], 0x04);
}

#[tokio::test]
async fn a_bluetoothd_that_was_replaced_gets_everything_again() {
    let (bus, place) = (Bus::start().await, Place::new());
    let _daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Absent));
    let bluez = Bluez::start(&bus.address).await;
    let _program = place.start(&bus.address);
    bluez.until("an advert", visible).await;

    let bluez = Bluez::replace(&bus.address).await;
    bluez.until("an advert at the new one", visible).await;
    assert_eq!(bluez.read(INFO, 3).await.unwrap()[0], 0x04);
}

#[tokio::test]
async fn an_adapter_that_was_reset_gets_everything_again() {
    let (bus, place) = (Bus::start().await, Place::new());
    let _daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Absent));
    let bluez = Bluez::start(&bus.address).await;
    let _program = place.start(&bus.address);
    bluez.until("an advert", visible).await;

    bluez.unplug_adapter().await;
    bluez.plug_adapter().await;
    let state = bluez.until("an advert on the new one", visible).await;
    assert!(state.powered);
    assert_eq!(bluez.read(INFO, 3).await.unwrap()[0], 0x04);
}

#[tokio::test]
async fn a_box_with_an_owner_shows_itself_only_when_somebody_touches_it() {
    let (bus, place) = (Bus::start().await, Place::new());
    let _network = NetworkManager::start(&bus.address, Network::on_network(b"Home")).await;
    let _daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Locked));
    let bluez = Bluez::start(&bus.address).await;
    let mut program = place.start(&bus.address);
    program.notifies("STATUS=silent: the box has an owner and is online").await;
    assert!(bluez.until("anything", |_| true).await.adverts.is_empty());

    place.touch().await;
    assert_eq!(bluez.until("anything", |_| true).await.adverts.len(), 1, "as soon as the touch was heard");
}

#[tokio::test]
async fn a_box_that_gets_an_owner_disappears() {
    let (bus, place) = (Bus::start().await, Place::new());
    let _network = NetworkManager::start(&bus.address, Network::on_network(b"Home")).await;
    let daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Absent));
    let bluez = Bluez::start(&bus.address).await;
    let _program = place.start(&bus.address);
    bluez.until("an advert", visible).await;

    daemon.say(health(ID, VaultState::Unlocked));
    bluez.until("no advert", |state| state.adverts.is_empty()).await;
}
