//! What a phone reads from `info`.

use coffer_api::VaultState;
use uuid::Uuid;

use crate::{
    bluez::Bluez,
    bus::Bus,
    daemon::{Answer, Daemon, health},
    program::Place,
};

const INFO: Uuid = Uuid::from_u128(0xc0ff_e701_5a1e_4b8e_9c3d_6f2b_1d8a_4e01);
const ID: Uuid = Uuid::from_u128(0x0192_f3a4_5b6c_7d8e_9fa0_b1c2_d3e4_f506);

/// All 21 bytes, on a machine that is none of the models.
fn value(flags: u8, device_id: Uuid) -> Vec<u8> {
    [&[1, 1, 1, flags, 0], &device_id.as_bytes()[..]].concat()
}

#[tokio::test]
async fn info_tells_the_state_at_the_moment_of_reading() {
    let (bus, place) = (Bus::start().await, Place::new());
    let daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Absent));
    let bluez = Bluez::start(&bus.address).await;
    let _program = place.start(&bus.address);

    for (vault, flags) in [
        (VaultState::Absent, 0x04),
        (VaultState::Locked, 0x01),
        (VaultState::Unlocking, 0x01),
        (VaultState::Unlocked, 0x03),
        (VaultState::Locking, 0x01),
    ] {
        daemon.say(health(ID, vault));
        assert_eq!(bluez.read(INFO, 0).await.unwrap(), value(flags, ID), "{vault:?}");
    }
    assert_eq!(bluez.read(INFO, 20).await.unwrap(), [0x06]);
    let refusal = bluez.read(INFO, 22).await.unwrap_err();
    assert!(refusal.to_string().contains("org.bluez.Error.InvalidOffset"), "{refusal}");
}

#[tokio::test]
async fn info_is_read_only_and_asks_for_no_pairing() {
    let (bus, place) = (Bus::start().await, Place::new());
    let bluez = Bluez::start(&bus.address).await;
    let _program = place.start(&bus.address);

    assert_eq!(bluez.flags(INFO).await, ["read"]);
}

#[tokio::test]
async fn info_without_a_daemon_says_so_and_keeps_the_last_known_device_id() {
    let (bus, place) = (Bus::start().await, Place::new());
    let bluez = Bluez::start(&bus.address).await;
    let _program = place.start(&bus.address);
    assert_eq!(bluez.read(INFO, 0).await.unwrap(), value(0x80, Uuid::nil()));

    let daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Unlocked));
    assert_eq!(bluez.read(INFO, 0).await.unwrap(), value(0x03, ID));

    drop(daemon);
    crate::eventually("the daemon is seen to be gone", async {
        while bluez.read(INFO, 0).await.unwrap() != value(0x80, ID) {}
    })
    .await;
}

#[tokio::test]
async fn a_daemon_that_answers_nonsense_is_one_that_is_not_reachable() {
    for answer in [Answer::Silence, Answer::Bytes(0), Answer::Bytes(100_000_000)] {
        let (bus, place) = (Bus::start().await, Place::new());
        let _daemon = Daemon::start(&place.control_socket(), answer);
        let bluez = Bluez::start(&bus.address).await;
        let _program = place.start(&bus.address);

        let read = crate::eventually("an answer", bluez.read(INFO, 0)).await;
        assert_eq!(read.unwrap(), value(0x80, Uuid::nil()));
    }
}
