//! Sessions with the real program, over the air as BlueZ shows it: who gets one, what it may do, what stays of it.

use coffer_api::VaultState;
use coffer_crypto::{
    channel::{Channel, CodeVerifier, Failed, PublicKey},
    code::SetupCode,
};
use data_encoding::HEXLOWER;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    bluez::Bluez,
    bus::Bus,
    daemon::{Daemon, health},
    network_manager::{NetworkManager, State as Network},
    phone::{Handset, code_of, uuid},
    program::{Place, Program},
};

const ID: Uuid = Uuid::from_u128(0x0192_f3a4_5b6c_7d8e_9fa0_b1c2_d3e4_f506);
const MASTER_PASSWORD: &str = "violet kettle orbit";

/// A box, and all around it.
pub(crate) struct World {
    bus: Bus,
    pub(crate) place: Place,
    pub(crate) daemon: Daemon,
    pub(crate) bluez: Bluez,
    pub(crate) network: NetworkManager,
    pub(crate) code: SetupCode,
}

impl World {
    pub(crate) async fn new(vault: VaultState) -> Self {
        let (bus, place) = (Bus::start().await, Place::new());
        let world = Self {
            daemon: Daemon::start(&place.control_socket(), health(ID, vault)),
            bluez: Bluez::start(&bus.address).await,
            network: NetworkManager::start(&bus.address, Network::on_network(b"Home")).await,
            code: SetupCode::generate(&mut UnwrapErr(SysRng)),
            bus,
            place,
        };
        world.opens("setup");
        world
    }

    /// Lets the daemon keep a code of that kind.
    pub(crate) fn opens(&self, kind: &str) {
        let verifier = CodeVerifier::enrol(ID.as_bytes(), &self.code, &mut UnwrapErr(SysRng));
        let code = json!({
            "kind": kind, "salt": HEXLOWER.encode(verifier.salt()), "verifier": HEXLOWER.encode(verifier.value())});
        let setup = json!({"device_id": ID, "claimed": kind != "setup", "code": code});
        self.daemon.answer("GET /api/v1/device/setup", 200, setup);
    }

    /// The daemon keeps no code any more.
    fn closes(&self) {
        let setup = json!({"device_id": ID, "claimed": true, "code": null});
        self.daemon.answer("GET /api/v1/device/setup", 200, setup);
    }

    /// Of the system bus.
    pub(crate) fn address(&self) -> &str {
        &self.bus.address
    }

    pub(crate) async fn start(&self) -> Program {
        let program = self.place.start(&self.bus.address);
        self.bluez.until("a GATT service", |state| state.has(uuid(Channel::Control))).await;
        program
    }

    /// Ends the program and starts it again, in the same start of the box.
    pub(crate) async fn restart(&self, program: Program) -> Program {
        program.kill().await;
        self.bluez.program_ended();
        self.start().await
    }

    /// The phone goes out of reach, and the program has noticed.
    pub(crate) async fn phone_leaves(&self) {
        self.bluez.phone_leaves().await;
        crate::eventually("the session is over", async {
            while self.bluez.read(uuid(Channel::WifiStatus), 0).await.is_ok() {}
        })
        .await;
    }

    pub(crate) async fn phone(&self) -> Handset {
        Handset::connect(&self.bluez, ID).await
    }

    /// A phone that owns the box, its session still open, and the box's key.
    async fn owner(&self) -> (Handset, PublicKey) {
        let mut phone = self.phone().await;
        let (_, box_key) = phone.prove(&self.code).await.unwrap();
        self.claim(&mut phone).await;
        (phone, box_key)
    }

    async fn claim(&self, phone: &mut Handset) -> Value {
        let created = json!({"vault_id": ID, "recovery_key": "AAAA-BBBB", "user_id": ID});
        self.daemon.answer("POST /api/v1/vault", 201, created);
        let claim = json!({"op": "claim", "master_password": MASTER_PASSWORD, "username": "ada_",
            "password": "amber canoe thirteen", "phone_name": "Ada's"});
        let claimed = phone.ask(Channel::Control, claim).await;
        self.daemon.say(health(ID, VaultState::Unlocked));
        self.closes();
        phone.hear(Channel::Session, |welcome| welcome["access"] == "owner").await;
        claimed
    }
}

fn other_code(code: &SetupCode) -> SetupCode {
    let other = SetupCode::generate(&mut UnwrapErr(SysRng));
    assert_ne!(other.secret(), code.secret());
    other
}

#[tokio::test]
async fn the_setup_code_opens_a_session_that_claims_the_box_and_the_phone_comes_back_without_it() {
    let world = World::new(VaultState::Absent).await;
    let program = world.start().await;
    let mut phone = world.phone().await;
    let (welcome, box_key) = phone.prove(&world.code).await.unwrap();
    assert_eq!((&welcome["access"], &welcome["claimed"]), (&json!("setup"), &json!(false)));
    assert_eq!((&welcome["enrolled"], &welcome["vault"]), (&json!(false), &json!("absent")));

    let claimed = world.claim(&mut phone).await;
    assert_eq!(claimed["recovery_key"], "AAAA-BBBB");
    let [asked] = &world.daemon.asked()[..] else { panic!("one request") };
    assert_eq!(asked.what, "POST /api/v1/vault");
    assert_eq!(asked.body["master_password"], MASTER_PASSWORD);
    assert_eq!(asked.body["admin"]["username"], "ada_");

    let key = phone.key.clone();
    let _program = world.restart(program).await;
    world.place.touch().await;
    let mut phone = Handset::connect_with(&world.bluez, ID, key).await;
    let (welcome, _) = phone.resume(box_key).await.unwrap();
    assert_eq!((&welcome["access"], &welcome["enrolled"]), (&json!("owner"), &json!(true)));
}

#[tokio::test]
async fn an_owned_box_sends_strangers_away() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let (phone, box_key) = world.owner().await;
    world.phone_leaves().await;
    drop(phone);

    let mut stranger = world.phone().await;
    assert_eq!(code_of(stranger.prove(&world.code).await.unwrap_err()), "already_claimed");
    assert_eq!(code_of(stranger.resume(box_key).await.unwrap_err()), "not_enrolled");
}

#[tokio::test]
async fn guesses_are_counted_and_outlive_the_program() {
    let world = World::new(VaultState::Absent).await;
    let program = world.start().await;
    let wrong = other_code(&world.code);
    let mut phone = world.phone().await;
    for number in 1..=6 {
        let Failed::Refused(failure) = phone.prove(&wrong).await.unwrap_err() else { panic!("refused") };
        assert_eq!(failure.code, "wrong_code");
        assert_eq!(failure.retry_after_s.is_some(), number == 6, "guess {number}");
    }
    assert_eq!(code_of(phone.prove(&world.code).await.unwrap_err()), "throttled");

    let _program = world.restart(program).await;
    let mut phone = world.phone().await;
    assert_eq!(code_of(phone.prove(&world.code).await.unwrap_err()), "throttled");
}

#[tokio::test]
async fn a_guess_is_on_disk_before_its_answer_and_a_right_one_takes_it_back() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let counted = || {
        let memory: Value = serde_json::from_slice(&std::fs::read(world.place.memory()).unwrap()).unwrap();
        memory["guesses"]["count"].as_u64().unwrap()
    };
    let mut phone = world.phone().await;
    phone.prove(&other_code(&world.code)).await.unwrap_err();
    assert_eq!(counted(), 1);
    phone.prove(&world.code).await.unwrap();
    assert_eq!(counted(), 0);
}

#[tokio::test]
async fn a_full_disk_lets_nobody_guess() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let mut phone = world.phone().await;
    // For new files the directory is as good as full.
    let (state, away) = (world.place.state(), world.place.state().with_added_extension("away"));
    std::fs::rename(&state, &away).unwrap();
    assert_eq!(code_of(phone.prove(&world.code).await.unwrap_err()), "storage_unavailable");
    std::fs::rename(&away, &state).unwrap();
    phone.prove(&world.code).await.unwrap();
}

#[tokio::test]
async fn an_invitation_lets_one_more_phone_in_once() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let (mut owner, _) = world.owner().await;
    let issued = owner.ask(Channel::Control, json!({"op": "issue_code"})).await;
    let code = SetupCode::parse(issued["code"].as_str().unwrap()).unwrap();
    world.phone_leaves().await;

    let mut guest = world.phone().await;
    let (welcome, box_key) = guest.prove(&code).await.unwrap();
    assert_eq!(welcome["access"], "owner");
    guest.ask(Channel::Control, json!({"op": "enroll", "phone_name": "Grace's"})).await;
    let phones = guest.ask(Channel::Control, json!({"op": "phones"})).await;
    let names: Vec<_> = phones["phones"].as_array().unwrap().iter().map(|phone| &phone["name"]).collect();
    assert_eq!(names, ["Ada's", "Grace's"]);
    world.phone_leaves().await;

    assert_eq!(code_of(world.phone().await.prove(&code).await.unwrap_err()), "already_claimed", "used");
    Handset::connect_with(&world.bluez, ID, guest.key.clone()).await.resume(box_key).await.unwrap();
}

#[tokio::test]
async fn a_revoked_phone_is_out_at_once() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let (owner, box_key) = world.owner().await;
    let key = owner.key.clone();
    world.phone_leaves().await;
    let mut phone = Handset::connect_with(&world.bluez, ID, key.clone()).await;
    phone.resume(box_key).await.unwrap();
    let phones = phone.ask(Channel::Control, json!({"op": "phones"})).await;
    let unknown = json!({"op": "revoke_phone", "phone": Uuid::nil()});
    assert_eq!(phone.refusal(Channel::Control, unknown).await, "not_found");
    phone.ask(Channel::Control, json!({"op": "revoke_phone", "phone": phones["phones"][0]["id"]})).await;
    phone.is_sent_away().await;
    world.phone_leaves().await;

    let mut again = Handset::connect_with(&world.bluez, ID, key).await;
    assert_eq!(code_of(again.resume(box_key).await.unwrap_err()), "not_enrolled");
}

#[tokio::test]
async fn a_recovery_code_gives_the_device_and_not_what_is_in_it() {
    let world = World::new(VaultState::Locked).await;
    world.opens("recovery");
    world.daemon.answer("DELETE /api/v1/device/setup/code", 204, Value::Null);
    let _program = world.start().await;
    world.bluez.until("an advert: a code is waiting", |state| state.adverts.len() == 1).await;
    let mut phone = world.phone().await;
    let (welcome, _) = phone.prove(&world.code).await.unwrap();
    assert_eq!(welcome["access"], "recovery");
    assert_eq!(phone.refusal(Channel::Control, json!({"op": "issue_code"})).await, "not_allowed");
    let claim = json!({"op": "claim", "master_password": MASTER_PASSWORD, "username": "ada_", "password": "x", "phone_name": "x"});
    assert_eq!(phone.refusal(Channel::Control, claim).await, "not_allowed");
    phone.ask(Channel::Control, json!({"op": "enroll", "phone_name": "new"})).await;
    assert_eq!(world.daemon.asked()[0].what, "DELETE /api/v1/device/setup/code", "it is used up");
}

#[tokio::test]
async fn the_vault_is_unlocked_by_its_password_and_refusals_are_typed() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let (mut phone, _) = world.owner().await;
    let problem =
        json!({"type": "about:blank", "status": 403, "code": "wrong_master_secret", "title": "no", "detail": "try"});
    world.daemon.answer("POST /api/v1/vault/unlock", 403, problem);
    let unlock = json!({"op": "unlock", "master_password": MASTER_PASSWORD});
    assert_eq!(phone.refusal(Channel::Control, unlock.clone()).await, "wrong_master_password");
    world.daemon.answer("POST /api/v1/vault/unlock", 200, json!({}));
    assert_eq!(phone.ask(Channel::Control, unlock).await, json!({}));
    assert_eq!(world.daemon.asked().last().unwrap().body["master_password"], MASTER_PASSWORD);
}

#[tokio::test]
async fn values_are_read_and_told_when_they_change() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let mut phone = world.phone().await;
    phone.prove(&world.code).await.unwrap();
    assert_eq!(phone.read(Channel::WifiStatus).await["ssid_text"], "Home");
    assert_eq!(phone.read(Channel::ServerUrl).await, json!({"server_url": null, "tunnel": "none"}));
    assert_eq!(phone.read(Channel::Registration).await["state"], "none");
    assert_eq!(phone.read(Channel::WifiScan).await["networks"], json!([]));

    let tunnel = json!({"server_url": "https://box.example", "tunnel": "connected", "since": null, "connections": 4});
    world.daemon.answer("GET /api/v1/device/tunnel", 200, tunnel);
    let told = phone.hear(Channel::ServerUrl, |value| value["tunnel"] == "connected").await;
    assert_eq!(told["server_url"], "https://box.example");
    world.daemon.say(health(ID, VaultState::Locked));
    phone.hear(Channel::Session, |welcome| welcome["vault"] == "locked").await;
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_ends_nothing() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let mut phone = world.phone().await;
    phone.prove(&world.code).await.unwrap();
    for request in [
        json!({"op": "dance"}),
        json!({"op": "phones", "more": 1}),
        json!({"op": "set_country"}),
        json!({"op": "set_clock", "time": "tomorrow"}),
    ] {
        assert_eq!(phone.refusal(Channel::Control, request.clone()).await, "malformed_message", "{request}");
    }
    assert_eq!(
        phone.refusal(Channel::Control, json!({"op": "set_clock", "time": "1970-01-01T00:00:00Z"})).await,
        "invalid"
    );
    phone.ask(Channel::Control, json!({"op": "phones"})).await;
}

#[tokio::test]
async fn bytes_without_a_session_change_nothing_and_give_nothing() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    for channel in Channel::ALL.map(uuid) {
        if world.bluez.flags(channel).await.iter().any(|flag| flag == "write") {
            for frame in [&[][..], &[0xff; 244], &[3, 0, 0, 0, 1, 0x10], b"GET / HTTP/1.1"] {
                world.bluez.write(channel, frame).await.unwrap();
            }
            assert!(world.bluez.write_from(channel, b"x", 5).await.is_err(), "a frame fits into one write");
        }
        if world.bluez.flags(channel).await.iter().any(|flag| flag == "read") {
            assert!(world.bluez.read(channel, 0).await.is_err(), "nothing is read without a session");
        }
    }
    let mut phone = world.phone().await;
    phone.prove(&world.code).await.unwrap();
}

#[tokio::test]
async fn a_write_that_is_refused_is_not_heard() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let (mut phone, _) = world.owner().await;
    // Any frame that does not belong to its session ends it.
    assert!(world.bluez.write_from(uuid(Channel::Session), &[3, 0, 0, 0, 1, 0x01], 5).await.is_err());
    let phones = phone.ask(Channel::Control, json!({"op": "phones"})).await;
    assert_eq!(phones["phones"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_air_shows_no_secret() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let (mut phone, _) = world.owner().await;
    world.daemon.answer("POST /api/v1/device/registration", 202, json!({}));
    let register = json!({"op": "register", "registrar": "https://registrar.example", "ticket": "ct_secretticket"});
    phone.ask(Channel::UserToken, register).await;

    let air = phone.air.concat();
    let code = world.code.secret();
    for secret in [MASTER_PASSWORD, "amber canoe thirteen", "ct_secretticket", code.as_str(), "AAAA-BBBB"] {
        assert!(!air.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{secret} went over the air");
    }
    assert!(air.len() > 2000, "the session did go over the air");
}

#[tokio::test]
async fn a_factory_reset_needs_two_steps_and_leaves_a_box_that_knows_nobody() {
    let world = World::new(VaultState::Absent).await;
    let _program = world.start().await;
    let (mut phone, box_key) = world.owner().await;
    world.daemon.answer("POST /api/v1/device/factory-reset", 200, json!({}));
    let guess = json!({"op": "factory_reset_confirm", "token": "guess"});
    assert_eq!(phone.refusal(Channel::Control, guess.clone()).await, "not_found");
    let asked = phone.ask(Channel::Control, json!({"op": "factory_reset"})).await;
    assert_eq!(phone.refusal(Channel::Control, guess).await, "not_found", "a wrong token");
    let confirm = |token: &Value| json!({"op": "factory_reset_confirm", "token": token});
    assert_eq!(
        phone.refusal(Channel::Control, confirm(&asked["token"])).await,
        "not_found",
        "used up by the wrong one"
    );

    let asked = phone.ask(Channel::Control, json!({"op": "factory_reset"})).await;
    phone.ask(Channel::Control, confirm(&asked["token"])).await;
    assert_eq!(world.daemon.asked().last().unwrap().what, "POST /api/v1/device/factory-reset");
    let key = phone.key.clone();
    world.phone_leaves().await;
    world.place.touch().await;
    let mut again = Handset::connect_with(&world.bluez, ID, key).await;
    assert!(again.resume(box_key).await.is_err(), "another key, and no phones");
}
