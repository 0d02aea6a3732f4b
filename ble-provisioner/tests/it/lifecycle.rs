//! Starting, living and ending under a service manager.

use coffer_api::VaultState;
use nix::sys::signal::Signal;
use uuid::Uuid;

use crate::{
    bluez::Bluez,
    bus::Bus,
    daemon::{Daemon, health},
    program::Place,
};

const ID: Uuid = Uuid::from_u128(0x0192_f3a4_5b6c_7d8e_9fa0_b1c2_d3e4_f506);

#[tokio::test]
async fn it_tells_the_service_manager_how_it_is_and_ends_cleanly() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (bus, place) = (Bus::start().await, Place::new());
        let _daemon = Daemon::start(&place.control_socket(), health(ID, VaultState::Absent));
        let _bluez = Bluez::start(&bus.address).await;
        let mut program = place.start(&bus.address);

        program.notifies("READY=1").await;
        program.notifies("STATUS=advertising as Coffer-F506").await;
        program.notifies("WATCHDOG=1").await;
        program.notifies("WATCHDOG=1").await;
        program.signal(signal);
        program.notifies("STOPPING=1").await;
        let (status, log) = program.ends().await;
        assert_eq!(status.code(), Some(0), "{log}");
        assert_eq!(log.matches("advertising as Coffer-F506").count(), 1, "said once: {log}");
    }
}

#[tokio::test]
async fn without_a_system_bus_it_says_what_is_missing() {
    let (status, log) = Place::new().start("unix:path=/nowhere/bus").ends().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("connecting to the system bus"), "{log}");
}

#[tokio::test]
async fn it_ends_when_the_bus_does() {
    let (bus, place) = (Bus::start().await, Place::new());
    let mut program = place.start(&bus.address);
    program.notifies("STATUS=waiting for bluetoothd").await;

    drop(bus);
    let (status, log) = program.ends().await;
    assert_eq!(status.code(), Some(1), "{log}");
}
