//! Improv with the real program, over the air as BlueZ shows it: off unless somebody switches it on, deaf unless somebody
//! presses the button, and then Wi-Fi and nothing else.

use coffer_api::VaultState;
use coffer_crypto::channel::Channel;
use serde_json::json;
use uuid::Uuid;

use crate::{
    bluez::{Bluez, Notifications, State},
    network_manager::{Done, Point, open_point},
    sessions::World,
    wifi_connect::{GOOD, fails},
    wifi_home::PSK,
};

const SERVICE_DATA: &str = "00004677-0000-1000-8000-00805f9b34fb";
const PASSWORD: &str = "correct horse battery";
const REQUIRED: &[u8] = &[1];
const AUTHORISED: &[u8] = &[2];
const PROVISIONING: &[u8] = &[3];
const PROVISIONED: &[u8] = &[4];
const INVALID: &[u8] = &[1];
const UNKNOWN: &[u8] = &[2];
const UNABLE: &[u8] = &[3];
const NOT_AUTHORISED: &[u8] = &[4];

const fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x0046_7768_6228_2272_4663_2774_7826_8000 + number)
}
const STATE: Uuid = uuid(1);
const ERROR: Uuid = uuid(2);
const COMMAND: Uuid = uuid(3);
const RESULT: Uuid = uuid(4);
const CAPABILITIES: Uuid = uuid(5);

/// A packet of the contract's, with its checksum.
fn packet(number: u8, data: &[u8]) -> Vec<u8> {
    let mut packet = [&[number, u8::try_from(data.len()).unwrap()], data].concat();
    packet.push(packet.iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
    packet
}

fn send_wifi(ssid: &[u8], password: &str) -> Vec<u8> {
    let text = |text: &[u8]| [&[u8::try_from(text.len()).unwrap()], text].concat();
    packet(1, &[text(ssid), text(password.as_bytes())].concat())
}

fn advertised(state: &State) -> Option<&[u8]> {
    state.adverts.iter().find_map(|advert| advert.service_data.get(SERVICE_DATA)).map(Vec::as_slice)
}

/// An app that speaks Improv, and listens.
struct App {
    bluez: Bluez,
    notifications: Notifications,
}

impl App {
    async fn connect(world: &World) -> Self {
        let notifications = world.bluez.listen(&[STATE, ERROR, RESULT]).await;
        Self { bluez: world.bluez.clone(), notifications }
    }

    /// In pieces, as apps do at the smallest MTU.
    async fn write(&self, bytes: &[u8]) {
        for piece in bytes.chunks(20) {
            self.bluez.write(COMMAND, piece).await.unwrap();
        }
    }

    async fn read(&self, uuid: Uuid) -> Vec<u8> {
        self.bluez.read(uuid, 0).await.unwrap()
    }

    /// Waits until it is told this; returns what it was told of the same characteristic before.
    async fn hears(&mut self, on: Uuid, value: &[u8]) -> Vec<Vec<u8>> {
        let mut before = Vec::new();
        loop {
            let (uuid, told) = self.notifications.next().await;
            if uuid == on && told == value {
                return before;
            }
            if uuid == on {
                before.push(told);
            }
        }
    }
}

/// A new box beside a network that wants a password; where it is, it knows.
async fn world() -> World {
    let world = World::new(VaultState::Absent).await;
    std::fs::write(world.place.state().join("country"), "CH\n").unwrap();
    world.network.set(|state| {
        state.points.clear();
        state.points.push(Point { flags: 1, rsn: PSK, ..open_point(b"Home", 70) });
    });
    world
}

fn untouched(world: &World) -> bool {
    world.network.done().is_empty()
}

#[tokio::test]
async fn it_is_off_unless_somebody_switches_it_on() {
    let world = world().await;
    let _program = world.start().await;
    world.place.touch().await;
    let state = world.bluez.until("anything", |_| true).await;
    assert!(!state.has(STATE) && !state.has(COMMAND));
    assert_eq!((state.adverts.len(), advertised(&state)), (1, None));
}

#[tokio::test]
async fn root_switches_it_on_and_off_and_it_stays_so() {
    let world = world().await;
    let program = world.start().await;
    assert!(world.place.improv("on").await.contains("can read the Wi-Fi password"), "the risk is named");
    let state = world.bluez.until("anything", |_| true).await;
    assert!(state.has(COMMAND), "when it is answered it is done");
    assert_eq!(advertised(&state), Some([1, 0, 0, 0, 0, 0].as_slice()));
    let own = state.adverts.iter().find(|advert| advert.service_data.is_empty()).unwrap();
    assert_eq!(own.service_uuids, ["c0ffe700-5a1e-4b8e-9c3d-6f2b1d8a4e01"]);
    for (characteristic, flags) in [
        (STATE, &["read", "notify"][..]),
        (ERROR, &["read", "notify"]),
        (COMMAND, &["write", "write-without-response"]),
        (RESULT, &["read", "notify"]),
        (CAPABILITIES, &["read"]),
    ] {
        let mut has = world.bluez.flags(characteristic).await;
        let mut wanted: Vec<_> = flags.iter().map(ToString::to_string).collect();
        has.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(has, wanted);
    }

    let program = world.restart(program).await;
    world.bluez.until("it is there again", |state| state.has(COMMAND) && advertised(state).is_some()).await;
    for _ in 0..2 {
        world.place.improv("off").await;
        world.bluez.until("it is gone", |state| !state.has(COMMAND) && advertised(state).is_none()).await;
    }
    let _program = world.restart(program).await;
    world.place.touch().await;
    assert!(!world.bluez.until("anything", |_| true).await.has(COMMAND));
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_switched_on() {
    let world = world().await;
    let _program = world.start().await;
    let (state, away) = (world.place.state(), world.place.state().with_added_extension("away"));
    std::fs::rename(&state, &away).unwrap();
    let output = world.place.try_improv("on").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not store that"), "{output:?}");
    assert!(!world.bluez.until("anything", |_| true).await.has(COMMAND));
}

#[tokio::test]
async fn nobody_joins_a_network_without_a_press_of_the_button() {
    let world = world().await;
    let _program = world.start().await;
    world.place.touch().await;
    world.place.improv("on").await;
    let mut app = App::connect(&world).await;
    assert_eq!((app.read(STATE).await, app.read(ERROR).await), (REQUIRED.to_vec(), vec![0]));
    assert_eq!((app.read(CAPABILITIES).await, app.read(RESULT).await), (vec![0], vec![]));
    app.write(&send_wifi(b"Home", PASSWORD)).await;
    app.hears(ERROR, NOT_AUTHORISED).await;
    assert_eq!(app.read(STATE).await, REQUIRED, "a press before it was on does not count");
    assert!(untouched(&world));
}

#[tokio::test]
async fn after_a_press_an_app_joins_the_box_to_a_network_and_no_log_has_the_password() {
    let world = world().await;
    let tunnel = json!({"server_url": "https://box.example", "tunnel": "connected", "since": null, "connections": 4});
    world.daemon.answer("GET /api/v1/device/tunnel", 200, tunnel);
    world.network.set(|state| state.attempts.push_back(GOOD.to_vec()));
    let program = world.start().await;
    world.place.improv("on").await;
    let mut app = App::connect(&world).await;
    world.place.touch().await;
    app.hears(STATE, AUTHORISED).await;
    world.bluez.until("the advert tells", |state| advertised(state) == Some([2, 0, 0, 0, 0, 0].as_slice())).await;

    app.write(&send_wifi(b"Home", PASSWORD)).await;
    app.hears(STATE, PROVISIONING).await;
    let url = b"https://box.example";
    app.hears(RESULT, &packet(1, &[&[u8::try_from(url.len()).unwrap()], url.as_slice()].concat())).await;
    app.hears(STATE, PROVISIONED).await;
    assert_eq!(app.read(ERROR).await, [0]);
    {
        let state = world.network.state.borrow();
        let psk: &str = state.joined[0].0["802-11-wireless-security"]["psk"].downcast_ref().unwrap();
        assert_eq!((state.joined.len(), psk), (1, PASSWORD));
    }
    let done = world.network.done();
    assert!(matches!(done[..2], [Done::CheckpointCreated { .. }, Done::Joined]), "{done:?}");

    app.write(&send_wifi(b"Theirs", PASSWORD)).await;
    app.hears(ERROR, NOT_AUTHORISED).await;
    assert_eq!(world.network.state.borrow().joined.len(), 1, "one network for a press");

    program.signal(nix::sys::signal::Signal::SIGTERM);
    let (_, log) = program.ends().await;
    assert!(log.contains("an app joins the box to a network"), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
    let memory = std::fs::read_to_string(world.place.memory()).unwrap();
    assert!(!memory.contains(PASSWORD));
}

#[tokio::test]
async fn a_wrong_password_brings_the_old_network_back_and_can_be_corrected() {
    let world = world().await;
    world.network.set(|state| state.attempts.extend([fails(&[], 7), GOOD.to_vec()]));
    let _program = world.start().await;
    world.place.improv("on").await;
    let mut app = App::connect(&world).await;
    world.place.touch().await;
    app.hears(STATE, AUTHORISED).await;
    app.write(&send_wifi(b"Home", "a wrong password")).await;
    app.hears(ERROR, UNABLE).await;
    assert_eq!(world.network.done().last(), Some(&Done::RolledBack));
    app.hears(STATE, AUTHORISED).await;

    app.write(&send_wifi(b"Home", PASSWORD)).await;
    app.hears(RESULT, &[1, 0, 1]).await;
    app.hears(STATE, PROVISIONED).await;
    assert_eq!(app.read(ERROR).await, [0]);
}

#[tokio::test]
async fn without_a_country_no_radio_is_used() {
    let world = world().await;
    std::fs::remove_file(world.place.state().join("country")).unwrap();
    let _program = world.start().await;
    world.place.improv("on").await;
    let mut app = App::connect(&world).await;
    world.place.touch().await;
    app.hears(STATE, AUTHORISED).await;
    app.write(&send_wifi(b"Home", PASSWORD)).await;
    app.hears(ERROR, UNABLE).await;
    assert!(untouched(&world) && world.network.state.borrow().scans.is_empty());
}

#[tokio::test]
async fn what_is_no_command_has_its_error_and_changes_nothing() {
    let world = world().await;
    let _program = world.start().await;
    world.place.improv("on").await;
    let mut app = App::connect(&world).await;
    world.place.touch().await;
    app.hears(STATE, AUTHORISED).await;
    let whole = send_wifi(b"Home", PASSWORD);
    let mut bad_sum = whole.clone();
    *bad_sum.last_mut().unwrap() ^= 1;
    let oversize = [whole.as_slice(), &[0; 300]].concat();
    for (bytes, error) in [
        (packet(2, b""), UNKNOWN),
        (packet(4, b""), UNKNOWN),
        (bad_sum, INVALID),
        (packet(1, b"\x04Home"), INVALID),
        (packet(1, b"\x00\x00"), INVALID),
        (packet(1, b"\x04Home\x02\xff\xfe"), INVALID),
        (whole[..whole.len() - 3].to_vec(), INVALID),
    ] {
        app.write(&bytes).await;
        assert!(app.hears(ERROR, error).await.is_empty(), "{bytes:02x?}");
        assert_eq!(app.read(STATE).await, AUTHORISED);
    }
    // More than fits into any command, at once.
    world.bluez.write(COMMAND, &oversize).await.unwrap();
    app.hears(ERROR, INVALID).await;
    assert!(world.bluez.write_from(COMMAND, b"x", 5).await.is_err());
    assert_eq!(app.read(STATE).await, AUTHORISED);
    assert!(untouched(&world));
}

#[tokio::test]
async fn a_session_goes_before_an_app() {
    let world = world().await;
    world.network.set(|state| state.attempts.push_back(GOOD.to_vec()));
    let _program = world.start().await;
    let mut phone = world.phone().await;
    phone.prove(&world.code).await.unwrap();
    let reply = phone.ask(Channel::Control, json!({"op": "set_improv", "enabled": true})).await;
    assert!(reply["risk"].as_str().unwrap().contains("can read the Wi-Fi password"), "{reply}");
    phone.hear(Channel::Session, |welcome| welcome["improv"] == true).await;

    let mut app = App::connect(&world).await;
    world.place.touch().await;
    app.hears(STATE, AUTHORISED).await;
    app.write(&send_wifi(b"Home", PASSWORD)).await;
    app.hears(ERROR, UNABLE).await;
    assert!(untouched(&world));
    assert_eq!(phone.ask(Channel::Control, json!({"op": "phones"})).await, json!({"phones": []}), "undisturbed");

    world.phone_leaves().await;
    app.write(&send_wifi(b"Home", PASSWORD)).await;
    app.hears(STATE, PROVISIONED).await;
}

#[tokio::test]
async fn it_is_the_owners_to_switch_on_and_not_who_found_the_box_again() {
    let world = World::new(VaultState::Locked).await;
    world.opens("recovery");
    let _program = world.start().await;
    let mut phone = world.phone().await;
    phone.prove(&world.code).await.unwrap();
    for request in [json!({"op": "set_improv", "enabled": true}), json!({"op": "set_improv", "enabled": false})] {
        assert_eq!(phone.refusal(Channel::Control, request).await, "not_allowed");
    }
    assert!(!world.bluez.until("anything", |_| true).await.has(COMMAND));
    for request in [json!({"op": "set_improv"}), json!({"op": "set_improv", "enabled": "yes"})] {
        assert_eq!(phone.refusal(Channel::Control, request).await, "malformed_message");
    }
}

#[tokio::test]
async fn a_factory_reset_switches_it_off() {
    let world = world().await;
    let _program = world.start().await;
    let mut phone = world.phone().await;
    phone.prove(&world.code).await.unwrap();
    phone.ask(Channel::Control, json!({"op": "set_improv", "enabled": true})).await;
    world.bluez.until("it is on", |state| state.has(COMMAND)).await;
    world.daemon.answer("POST /api/v1/device/factory-reset", 200, json!({}));
    let asked = phone.ask(Channel::Control, json!({"op": "factory_reset"})).await;
    phone.ask(Channel::Control, json!({"op": "factory_reset_confirm", "token": asked["token"]})).await;
    world.bluez.until("it is off", |state| !state.has(COMMAND)).await;
    let memory = std::fs::read_to_string(world.place.memory()).unwrap();
    assert!(!memory.contains("improv"), "{memory}");
}
