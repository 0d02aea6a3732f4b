//! Registration, against a stand-in for a registrar; own tunnels; none. With the power cut at every step.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::Daemon;
use crate::registrar::{Mood, Registered, Registrar};
use crate::webhooks::wait_until;

const TICKET: &str = "ct_one-use-ticket-of-grace";
const TUNNEL_ID: &str = "6ff42ae2-765d-4adf-8112-31c55c1551ef";

fn unclaimed(registrar: &Registrar) -> Daemon {
    Daemon::unclaimed_with(&registrar.arguments())
}

fn ask(daemon: &Daemon, registrar: &Registrar, ticket: &str) -> Value {
    let body = json!({ "registrar": registrar.url, "ticket": ticket });
    daemon.send_locally("POST", "/device/registration", &body).expect(202)
}

fn status(daemon: &Daemon) -> Value {
    daemon.get_locally("/device/registration").expect(200)
}

fn wait_for(daemon: &Daemon, state: &str) -> Value {
    wait_until(state, || status(daemon)["state"] == state);
    status(daemon)
}

fn wait_for_error(daemon: &Daemon, code: &str) -> Value {
    wait_until(code, || status(daemon)["error"]["code"] == code);
    status(daemon)
}

fn device(daemon: &Daemon) -> Value {
    serde_json::from_slice(&fs::read(daemon.path("device/device.json")).unwrap()).unwrap()
}

fn token_file(daemon: &Daemon) -> Option<String> {
    fs::read_to_string(daemon.path("device/cloudflared.token")).ok()
}

/// All that is in the device directory, and in the log.
fn everything(daemon: &mut Daemon) -> String {
    let mut all = daemon.log();
    for entry in fs::read_dir(daemon.path("device")).unwrap() {
        all.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
    }
    all
}

/// The box is what the registrar says, once, and nothing is left of the way there.
fn is_registered(daemon: &mut Daemon, registrar: &Registrar, ticket: &str) -> Registered {
    let found = wait_for(daemon, "registered");
    let [registered] = &registrar.devices()[..] else { panic!("one device: {:?}", registrar.devices()) };
    assert_eq!(found["registered_id"], registered.device_id.as_str());
    assert_eq!(found["server_url"], registered.server_url.as_str());
    assert_eq!((found["step"].clone(), found["error"].clone()), (Value::Null, Value::Null));
    assert_eq!(device(daemon)["shared_secret"], registered.shared_secret.as_str());
    assert_eq!(token_file(daemon).as_ref(), Some(&registered.tunnel_token));
    assert!(!everything(daemon).contains(ticket), "the ticket is gone");
    assert_eq!(device(daemon)["registration"]["tunnel_token"], Value::Null, "the token is in its own file alone");
    assert_eq!(daemon.get_locally("/device/tunnel").expect(200)["server_url"], registered.server_url.as_str());
    registered.clone()
}

#[test]
fn a_ticket_registers_the_box_once_vault_or_not() {
    let registrar = Registrar::start(&[TICKET]);
    let mut daemon = unclaimed(&registrar);
    assert_eq!(status(&daemon)["state"], "none");
    daemon.send_locally("PATCH", "/device", &json!({ "name": "attic" })).expect(200);
    let id = daemon.health()["device_id"].clone();
    assert_eq!(ask(&daemon, &registrar, TICKET)["state"], "registering");
    let registered = is_registered(&mut daemon, &registrar, TICKET);
    assert_eq!(registered.name, "attic");
    let mode = fs::metadata(daemon.path("device/cloudflared.token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(daemon.health()["device_id"], id, "phones know it by this one");
    for secret in [&registered.shared_secret, &registered.tunnel_token] {
        assert!(!daemon.log().contains(secret), "{}", daemon.log());
    }
    // The reply was lost on the phone's side: it asks again.
    assert_eq!(ask(&daemon, &registrar, TICKET)["state"], "registered");
    let daemon = daemon.stop_and_restart();
    assert_eq!(ask(&daemon, &registrar, TICKET)["state"], "registered");
    assert_eq!(registrar.requests(), 1);
}

#[test]
fn a_token_of_a_person_does_as_well_and_the_locked_vault_is_no_obstacle() {
    let registrar = Registrar::start(&["eyJhbGciOi.user.token"]);
    let mut daemon = Daemon::locked_with(&registrar.arguments());
    let body = json!({ "registrar": registrar.url, "user_token": "eyJhbGciOi.user.token" });
    daemon.send_locally("POST", "/device/registration", &body).expect(202);
    is_registered(&mut daemon, &registrar, "eyJhbGciOi.user.token");
}

#[test]
fn tokens_of_the_registrar_are_accepted_until_the_registration_is_given_up() {
    let registrar = Registrar::start(&[TICKET]);
    let mut daemon = Daemon::unlocked_with(&registrar.arguments());
    let own = device_token(&daemon, device(&daemon)["device_id"].as_str().unwrap());
    daemon.send("PUT", "/users/me/device-link", &json!({ "device_token": own })).expect(200);
    daemon.get_as(&own, "/users/me").expect(200);
    ask(&daemon, &registrar, TICKET);
    let registered = is_registered(&mut daemon, &registrar, TICKET);
    daemon.get_as(&own, "/users/me").expect_problem(401, "unauthenticated");
    let issued = device_token(&daemon, &registered.device_id);
    daemon.get_as(&issued, "/users/me").expect(200);
    let own_id = device_token(&daemon, device(&daemon)["device_id"].as_str().unwrap());
    daemon.get_as(&own_id, "/users/me").expect_problem(401, "unauthenticated");

    daemon.delete("/device/registration").expect(204);
    daemon.get_as(&issued, "/users/me").expect_problem(401, "unauthenticated");
    assert_eq!(status(&daemon)["state"], "none");
    assert_ne!(device(&daemon)["shared_secret"], registered.shared_secret.as_str());
    wait_until("the token goes", || token_file(&daemon).is_none());
    daemon.delete("/device/registration").expect(204);
    let actions = daemon.get("/audit?action__eq=device.registration_ended").expect(200);
    assert_eq!(actions["items"].as_array().unwrap().len(), 2);
}

#[test]
fn the_power_may_go_before_the_registrar_is_reached() {
    let registrar = Registrar::start(&[TICKET]);
    let daemon = unclaimed(&registrar);
    registrar.is_going_to(&[Mood::Refuses(503, "busy", None), Mood::Refuses(500, "internal", None)]);
    ask(&daemon, &registrar, TICKET);
    wait_for_error(&daemon, "registrar_unreachable");
    let mut daemon = daemon.crash_and_restart();
    is_registered(&mut daemon, &registrar, TICKET);
}

#[test]
fn the_power_may_go_while_the_registrar_answers() {
    let registrar = Registrar::start(&[TICKET]);
    let daemon = unclaimed(&registrar);
    registrar.is_going_to(&[Mood::Hesitates]);
    ask(&daemon, &registrar, TICKET);
    wait_until("it is asked", || registrar.devices().len() == 1);
    assert_eq!(status(&daemon)["step"], "asking");
    let mut daemon = daemon.crash_and_restart();
    is_registered(&mut daemon, &registrar, TICKET);
    assert_eq!(registrar.requests(), 2);
    registrar.let_go();
}

#[test]
fn a_reply_may_be_lost() {
    let registrar = Registrar::start(&[TICKET]);
    let mut daemon = unclaimed(&registrar);
    registrar.is_going_to(&[Mood::LosesTheReply, Mood::LosesTheReply]);
    ask(&daemon, &registrar, TICKET);
    is_registered(&mut daemon, &registrar, TICKET);
    assert_eq!(registrar.requests(), 3);
}

#[test]
fn the_power_may_go_before_the_tunnel_has_its_token() {
    let registrar = Registrar::start(&[TICKET]);
    let daemon = unclaimed(&registrar);
    registrar.is_going_to(&[Mood::Hesitates]);
    ask(&daemon, &registrar, TICKET);
    wait_until("it is asked", || registrar.devices().len() == 1);
    // Nothing can be written in its place.
    let obstacle = daemon.path("device/cloudflared.token.new");
    fs::create_dir(&obstacle).unwrap();
    registrar.let_go();
    let found = wait_for_error(&daemon, "storage_unavailable");
    assert_eq!((found["state"].clone(), found["step"].clone()), (json!("registering"), json!("received")));
    assert_eq!(token_file(&daemon), None);
    let daemon = daemon.crash_and_restart();
    wait_for_error(&daemon, "storage_unavailable");
    fs::remove_dir(&obstacle).unwrap();
    let mut daemon = daemon.crash_and_restart();
    is_registered(&mut daemon, &registrar, TICKET);
    assert_eq!(registrar.requests(), 1, "it was not asked again");
}

#[test]
fn whenever_the_power_goes_it_ends_with_one_device() {
    let registrar = Registrar::start(&[TICKET]);
    let mut daemon = unclaimed(&registrar);
    // From before the request is on disk to after the end, in steps that no boundary is known for.
    for step in 0..12_u64 {
        registrar.is_going_to(&[Mood::Works]);
        ask(&daemon, &registrar, TICKET);
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(step * step * 250) {
            std::hint::spin_loop();
        }
        daemon = daemon.crash_and_restart();
        is_registered(&mut daemon, &registrar, TICKET);
        daemon.send_locally("DELETE", "/device/registration", &json!({})).expect(204);
        wait_until("the token goes", || token_file(&daemon).is_none());
    }
    assert_eq!(registrar.devices().len(), 1, "its key makes it the same box");
}

#[test]
fn a_ticket_that_is_refused_is_forgotten_and_the_next_one_works() {
    let registrar = Registrar::start(&[TICKET, "ct_taken"]);
    registrar.give_away("ct_taken");
    let mut daemon = unclaimed(&registrar);
    for (ticket, mood, code) in [
        ("ct_nobody-knows-it", None, "ticket_expired"),
        ("ct_taken", None, "already_claimed"),
        ("ct_too-late", Some(Mood::Refuses(410, "ticket_expired", None)), "ticket_expired"),
        ("ct_no-token", Some(Mood::Refuses(401, "unauthenticated", None)), "ticket_expired"),
    ] {
        registrar.is_going_to(mood.as_slice());
        ask(&daemon, &registrar, ticket);
        let found = wait_for(&daemon, "failed");
        assert_eq!(found["error"]["code"], code, "{ticket}");
        assert!(!found["error"]["try"].as_str().unwrap().is_empty());
        assert!(!everything(&mut daemon).contains(ticket), "{ticket} is gone");
        daemon = daemon.stop_and_restart();
        assert_eq!(status(&daemon)["error"]["code"], code, "after a restart as well");
        let problems = daemon.get_locally("/device/problems").expect(200);
        assert_eq!(problems["problems"][0]["code"], "registration");
    }
    assert!(registrar.devices().is_empty() && token_file(&daemon).is_none());
    ask(&daemon, &registrar, TICKET);
    is_registered(&mut daemon, &registrar, TICKET);
    assert_eq!(daemon.get_locally("/device/problems").expect(200)["problems"], json!([]));
    // What works goes on to work when another registration is refused.
    ask(&daemon, &registrar, "ct_taken");
    assert!(wait_for(&daemon, "failed")["server_url"].is_string());
    assert!(token_file(&daemon).is_some());
}

#[test]
fn the_registrar_may_ask_for_patience() {
    let registrar = Registrar::start(&[TICKET]);
    let mut daemon = unclaimed(&registrar);
    registrar.is_going_to(&[Mood::Refuses(429, "too_many_requests", Some(600))]);
    ask(&daemon, &registrar, TICKET);
    let found = wait_for_error(&daemon, "throttled");
    assert_eq!((found["state"].clone(), found["attempt"].clone()), (json!("registering"), json!(1)));
    assert!((500..=600).contains(&found["retry_after_s"].as_u64().unwrap()), "{found}");
    // The same request again is no way around it; that the Internet is back, is a reason to look.
    ask(&daemon, &registrar, TICKET);
    assert_eq!(registrar.requests(), 1);
    let online = json!({ "state": "connected", "connectivity": "full", "wired": true });
    daemon.send_locally("PUT", "/device/network", &online).expect(204);
    is_registered(&mut daemon, &registrar, TICKET);
}

#[test]
fn a_registrar_that_cannot_be_trusted_gets_no_ticket() {
    let registrar = Registrar::start(&[TICKET]);
    let stranger = Registrar::start(&[]);
    let daemon = unclaimed(&stranger);
    ask(&daemon, &registrar, TICKET);
    wait_for_error(&daemon, "registrar_unreachable");
    assert_eq!(registrar.requests(), 0);

    let of_the_future = Registrar::valid((2080, 2090), &[TICKET]);
    let daemon = unclaimed(&of_the_future);
    ask(&daemon, &of_the_future, TICKET);
    let found = wait_for_error(&daemon, "clock_wrong");
    assert_eq!(found["state"], "registering", "it keeps trying");
    assert_eq!(of_the_future.requests(), 0);
}

#[test]
fn a_registrar_that_is_not_there_is_told_apart() {
    let daemon = Daemon::unclaimed();
    let body = |registrar: &str| json!({ "registrar": registrar, "ticket": TICKET });
    // Port 9 discards, if anybody listens there at all.
    daemon.send_locally("POST", "/device/registration", &body("https://localhost:9")).expect(202);
    wait_for_error(&daemon, "registrar_unreachable");
    daemon.send_locally("POST", "/device/registration", &body("https://registrar.invalid")).expect(202);
    let expected = ["dns_blocked", "no_internet"];
    let code = || status(&daemon)["error"]["code"].as_str().map(str::to_owned);
    wait_until("the name is not known", || code().is_some_and(|code| expected.contains(&code.as_str())));
}

#[test]
fn ones_own_tunnel_needs_no_registrar() {
    let daemon = Daemon::unclaimed();
    let token = BASE64.encode(json!({ "a": "1f2e", "t": TUNNEL_ID, "s": "c2VjcmV0" }).to_string().as_bytes());
    let ask = |token: &str, hostname: &str| {
        let body = json!({ "own_tunnel": { "tunnel_token": token, "hostname": hostname } });
        daemon.send_locally("POST", "/device/registration", &body)
    };
    let field = |reply: Value| reply["errors"][0]["field"].as_str().unwrap().to_owned();
    let refused = ask("nonsense", "files.example.org").expect_problem(422, "invalid_field");
    assert_eq!(field(refused), "own_tunnel.tunnel_token");
    let refused = ask(&token, "https://files.example.org").expect_problem(422, "invalid_field");
    assert_eq!(field(refused), "own_tunnel.hostname");
    assert_eq!(status(&daemon)["state"], "none");
    ask(&token, "files.example.org").expect(202);
    let found = wait_for(&daemon, "own_tunnel");
    assert_eq!(found["server_url"], "https://files.example.org");
    assert_eq!(token_file(&daemon), Some(token.clone()));

    // Another token takes the place of the first.
    let other = BASE64.encode(json!({ "a": "1f2e", "t": TUNNEL_ID, "s": "b3RoZXI=" }).to_string().as_bytes());
    ask(&other, "files.example.org").expect(202);
    wait_until("the other token", || token_file(&daemon).as_ref() == Some(&other));

    let mut daemon = daemon.crash_and_restart();
    assert_eq!(status(&daemon)["state"], "own_tunnel");
    daemon.send_locally("POST", "/device/registration", &json!({ "local_only": true })).expect(202);
    assert_eq!(status(&daemon)["state"], "local_only");
    wait_until("the token goes", || token_file(&daemon).is_none());
    assert!(!everything(&mut daemon).contains(&token));
    assert_eq!(daemon.get_locally("/device/tunnel").expect(200)["server_url"], Value::Null);
}

#[test]
fn leaving_a_registrar_ends_its_tokens() {
    let registrar = Registrar::start(&[TICKET]);
    let mut daemon = unclaimed(&registrar);
    ask(&daemon, &registrar, TICKET);
    let registered = is_registered(&mut daemon, &registrar, TICKET);
    daemon.send_locally("POST", "/device/registration", &json!({ "local_only": true })).expect(202);
    assert_ne!(device(&daemon)["shared_secret"], registered.shared_secret.as_str());
}

#[test]
fn a_full_card_loses_no_request_that_was_acknowledged() {
    let registrar = Registrar::start(&[TICKET]);
    let daemon = unclaimed(&registrar);
    let obstacle = daemon.path("device/device.json.new");
    fs::create_dir(&obstacle).unwrap();
    let body = json!({ "registrar": registrar.url, "ticket": TICKET });
    daemon.send_locally("POST", "/device/registration", &body).expect_problem(503, "storage_unavailable");
    assert_eq!(status(&daemon)["state"], "none");
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(registrar.requests(), 0);
    let mut daemon = daemon;
    ask(&daemon, &registrar, TICKET);
    is_registered(&mut daemon, &registrar, TICKET);
}

#[test]
fn nobody_but_the_boxs_own_programs_says_how_it_is_reached() {
    let daemon = Daemon::unlocked();
    let body = json!({ "local_only": true });
    daemon.post("/device/registration", &body).expect_problem(403, "forbidden");
    daemon.anonymous("POST", "/device/registration", &body).expect_problem(403, "forbidden");
    daemon.anonymous("GET", "/device/registration", &json!({})).expect_problem(401, "unauthenticated");
    daemon.get("/device/registration").expect(200);
    for (body, field) in [
        (json!({}), "registrar"),
        (json!({ "local_only": false }), "registrar"),
        (json!({ "registrar": "https://a.example", "local_only": true }), "registrar"),
        (json!({ "registrar": "https://a.example" }), "ticket"),
        (json!({ "registrar": "https://a.example", "ticket": "a", "user_token": "b" }), "ticket"),
        (json!({ "registrar": "https://a.example", "ticket": "two words" }), "ticket"),
        (json!({ "registrar": "http://a.example", "ticket": "a" }), "registrar"),
        (json!({ "ticket": "a" }), "registrar"),
    ] {
        let refused = daemon.send_locally("POST", "/device/registration", &body);
        let problem = refused.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
        assert!(!problem.to_string().contains("two words"));
    }
    assert_eq!(status(&daemon)["state"], "none");
}

#[test]
fn additional_certificates_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    fs::write(&file, "no certificate").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let mut command = std::process::Command::new(crate::harness::COFFERD);
    command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(directory.path().join("state"));
    let (code, _, complaint) = crate::harness::run(command.arg("--registrar-ca").arg(&file));
    assert_eq!(code, Some(78));
    assert!(complaint.contains("ca.pem"), "{complaint}");
}

/// A token as the cloud issues it, by the secret that the box has right now.
fn device_token(daemon: &Daemon, device_id: &str) -> String {
    let now = daemon.now_s();
    let claims = json!({ "sub": "cloud|ada", "device_id": device_id, "iat": now, "exp": now + 600 });
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let message = format!("{}.{}", encode(&json!({ "typ": "JWT", "alg": "HS256" })), encode(&claims));
    let secret = HEXLOWER.decode(device(daemon)["shared_secret"].as_str().unwrap().as_bytes()).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap().chain_update(message.as_bytes()).finalize();
    format!("{message}.{}", BASE64URL_NOPAD.encode(&mac.into_bytes()))
}
