//! Changes of the network that the daemon orders, by the real program: what NetworkManager is told, and what the daemon is.

use coffer_api::VaultState;
use coffer_crypto::channel::Channel;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    network_manager::{Done, FIRST_PROFILE, Point, Step, open_point},
    sessions::World,
    wifi_home::PSK,
};

const JOINED: [Step; 5] =
    [Step::Device(40, 0), Step::Device(50, 0), Step::Device(70, 0), Step::Device(100, 0), Step::Active(2)];
/// `wpa_supplicant` had no success with its secrets.
const REFUSED: [Step; 5] =
    [Step::Device(40, 0), Step::Device(50, 0), Step::Device(120, 7), Step::Device(30, 0), Step::Active(4)];
const TO_DISK: u32 = 1;

/// A box in the network `Home`, whose country is known.
async fn world() -> World {
    let world = World::new(VaultState::Unlocked).await;
    std::fs::write(world.place.state().join("country"), "CH\n").unwrap();
    world
}

/// Orders a change, and waits for what comes of it.
async fn order(world: &World, change: Value) -> Value {
    let id = Uuid::new_v4();
    world.daemon.order(id, &change);
    world.daemon.outcome(id).await
}

fn done() -> Value {
    json!({"confirm_within_s": null, "failure": null})
}

fn fixed(address: &str) -> Value {
    json!({"set_address": {"method": "static", "address": address, "prefix": 24, "gateway": "192.168.1.1", "dns": []}})
}

/// A network `Next` with WPA2 comes into sight, and joining it goes like that.
fn comes_into_sight(world: &World, attempts: &[&[Step]]) {
    world.network.set(|state| {
        state.points[0] = Point { flags: 1, rsn: PSK, ..open_point(b"Next", 70) };
        state.attempts = attempts.iter().map(|steps| steps.to_vec()).collect();
    });
}

fn join(ssid: &str, credentials: &Value) -> Value {
    json!({"join": {"ssid": ssid, "credentials": credentials}})
}

#[tokio::test]
async fn an_ordered_address_stays_when_it_is_confirmed() {
    let world = world().await;
    let _program = world.start().await;
    let pending = order(&world, fixed("192.168.1.50")).await;
    assert_eq!(pending, json!({"confirm_within_s": 60, "failure": null}));
    let on_disk = Done::Updated { profile: FIRST_PROFILE.to_owned(), flags: TO_DISK };
    assert!(!world.network.done().contains(&on_disk));

    assert_eq!(order(&world, json!({"confirm_address": {}})).await, done());
    assert_eq!(world.network.done()[3..], [on_disk, Done::CheckpointDestroyed]);
    assert_eq!(order(&world, json!({"confirm_address": {}})).await["failure"]["code"], "not_found", "once");
}

#[tokio::test]
async fn an_ordered_address_that_nobody_confirms_is_gone() {
    let world = world().await;
    let _program = world.start().await;
    order(&world, fixed("192.168.1.50")).await;
    world.network.time_is_over();
    assert_eq!(order(&world, json!({"confirm_address": {}})).await["failure"]["code"], "not_found");
}

#[tokio::test]
async fn a_senseless_address_is_refused_and_touches_nothing() {
    let world = world().await;
    let _program = world.start().await;
    assert_eq!(order(&world, fixed("192.168.1.255")).await["failure"]["code"], "invalid");
    assert_eq!(world.network.done(), []);
}

#[tokio::test]
async fn the_networks_are_reported_and_one_is_forgotten() {
    let world = world().await;
    let _program = world.start().await;
    let report = "PUT /api/v1/device/networks";
    let networks = world.daemon.until_asked(report).await;
    assert_eq!(networks, json!({"networks": [{"ssid": "SG9tZQ", "security": "open"}]}));
    assert_eq!(order(&world, json!({"forget": "T3RoZXI"})).await["failure"]["code"], "not_found");
    assert_eq!(order(&world, json!({"forget": "SG9tZQ"})).await, done());
    assert_eq!(world.network.done(), [Done::Deleted(FIRST_PROFILE.to_owned())]);
    // Whoever hears that it is done finds it gone.
    assert_eq!(world.daemon.until_asked(report).await, json!({"networks": []}));
}

#[tokio::test]
async fn another_network_is_joined_or_the_old_one_kept() {
    let world = world().await;
    comes_into_sight(&world, &[&REFUSED, &JOINED]);
    let _program = world.start().await;
    let next = join("TmV4dA", &json!({"kind": "password", "password": "hunter22"}));
    let outcome = order(&world, next.clone()).await;
    assert_eq!(outcome["failure"]["code"], "wrong_password");
    assert!(outcome["failure"]["happened"].as_str().unwrap().ends_with("The box is back in the network that it had."));
    assert_eq!(world.network.done().last(), Some(&Done::RolledBack));

    assert_eq!(order(&world, next).await, done());
    assert_eq!(world.network.done().last(), Some(&Done::CheckpointDestroyed));
}

#[tokio::test]
async fn an_order_waits_for_no_phone_and_disturbs_none() {
    let world = World::new(VaultState::Absent).await;
    std::fs::write(world.place.state().join("country"), "CH\n").unwrap();
    let _program = world.start().await;
    let mut phone = world.phone().await;
    phone.prove(&world.code).await.unwrap();
    // NetworkManager never comes to an end with it.
    phone.say(Channel::WifiConfig, &json!({"id": 1, "op": "connect", "ssid": "SG9tZQ"})).await;
    world.network.until("joining", |state| !state.joined.is_empty()).await;
    for change in [json!({"forget": "SG9tZQ"}), fixed("192.168.1.50"), join("SG9tZQ", &json!({"kind": "none"}))] {
        assert_eq!(order(&world, change.clone()).await["failure"]["code"], "busy", "{change}");
    }
    assert!(!world.network.done().contains(&Done::RolledBack), "the phone's change goes on");
}

#[tokio::test]
async fn a_program_that_dies_over_an_order_leaves_the_change_to_be_taken_back() {
    let world = world().await;
    let program = world.start().await;
    order(&world, fixed("192.168.1.50")).await;
    let _program = world.restart(program).await;
    assert_eq!(world.network.done().last(), Some(&Done::RolledBack));
    assert_eq!(order(&world, json!({"confirm_address": {}})).await["failure"]["code"], "not_found");
}

#[tokio::test]
async fn a_password_is_in_no_log() {
    let world = world().await;
    comes_into_sight(&world, &[&REFUSED]);
    let program = world.start().await;
    order(&world, join("TmV4dA", &json!({"kind": "password", "password": "hunter22"}))).await;
    program.signal(nix::sys::signal::Signal::SIGTERM);
    let (_, log) = program.ends().await;
    assert!(log.contains("an order to change the network") && !log.contains("hunter22"), "{log}");
}
