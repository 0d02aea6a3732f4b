//! Logging in by SRP-6a, through a client that knows docs/srp.md alone.

use std::time::Duration;

use coffer_crypto::secrets::identity::Identity;
use coffer_crypto::secrets::keys::AccountKey;
use coffer_crypto::secrets::password::{Cost, Parameters};
use coffer_crypto::srp::{Client, Credentials, Group, Verifier};
use data_encoding::BASE64URL_NOPAD;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::rows;
use crate::client::Reply;
use crate::harness::{Daemon, PASSWORD, Person, person};
use crate::second_factors::{code, path};

/// What a client derives from the password and the Secret Key.
const SECRET: [u8; 32] = [7; 32];

fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn decode(text: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_str().unwrap().as_bytes()).unwrap()
}

/// The body that enrols an account.
fn enrolment(person: &Person, group: Group, secret: &[u8], only: bool) -> Value {
    let id: Uuid = person.id.parse().unwrap();
    let verifier = Verifier::enrol(group, &Credentials { identity: id.as_bytes(), password: secret }, &mut rng());
    json!({
        "password": PASSWORD,
        "group_bits": group.bytes() * 8,
        "salt": encode(verifier.salt()),
        "verifier": encode(verifier.value()),
        "parameters": encode(&Parameters::generate(Cost::DEFAULT, &mut rng()).to_bytes()),
        "only": only,
    })
}

fn enrol(daemon: &Daemon, person: &Person, only: bool) {
    let body = enrolment(person, Group::Bits4096, &SECRET, only);
    daemon.send_as(&person.token, "PUT", "/auth/srp/verifier", &body).expect(200);
}

fn start(daemon: &Daemon, username: &str, client_public: &[u8]) -> Reply {
    let body = json!({ "username": username, "client_public": encode(client_public) });
    daemon.anonymous("POST", "/auth/srp/start", &body)
}

fn finish(daemon: &Daemon, started: &Value, proof: &[u8]) -> Reply {
    let body = json!({ "handshake": started["handshake"], "client_proof": encode(proof), "name": "laptop" });
    daemon.anonymous("POST", "/auth/srp/finish", &body)
}

/// A whole login; checks the server's proof when there is one.
fn log_in(daemon: &Daemon, username: &str, group: Group, secret: &[u8]) -> Reply {
    let client = Client::start(group, &mut rng());
    let started = start(daemon, username, client.public()).expect(200);
    let id: Uuid = started["account_id"].as_str().unwrap().parse().unwrap();
    let credentials = Credentials { identity: id.as_bytes(), password: secret };
    let (server_public, salt) = (decode(&started["server_public"]), decode(&started["salt"]));
    let (proof, pending) = client.finish(&server_public, &salt, &credentials).unwrap();
    let reply = finish(daemon, &started, &proof);
    if reply.status == 200 {
        pending.verify(&decode(&reply.json()["server_proof"])).unwrap();
    }
    reply
}

/// A daemon and somebody who logs in by SRP.
fn enrolled(only: bool) -> (Daemon, Person) {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    enrol(&daemon, &grace, only);
    (daemon, grace)
}

#[test]
fn the_right_proof_opens_a_session_like_any_other() {
    let (daemon, grace) = enrolled(false);
    let reply = log_in(&daemon, "grace", Group::Bits4096, &SECRET).expect(200);
    let session = person(&reply["login"]);
    assert_eq!(session.id, grace.id);
    assert_eq!(daemon.get_as(&session.token, "/sessions").expect(200)[0]["name"], "laptop");
    assert!(!reply.to_string().contains(&encode(&SECRET)));
    let opened = rows(&daemon, &format!("action=session.opened&actor_id={}&outcome=success", grace.id));
    assert_eq!(opened.len(), 2, "by password and by SRP");
    daemon.request_as(&session.token, "DELETE", "/sessions/current", &[], b"").expect(204);
    daemon.get_as(&session.token, "/users/me").expect_problem(401, "unauthenticated");
    daemon.log_in_as("grace", PASSWORD);
}

#[test]
fn the_smaller_group_is_taken_and_no_other() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let mut body = enrolment(&grace, Group::Bits3072, &SECRET, false);
    daemon.send_as(&grace.token, "PUT", "/auth/srp/verifier", &body).expect(200);
    log_in(&daemon, "grace", Group::Bits3072, &SECRET).expect(200);
    log_in(&daemon, "grace", Group::Bits4096, &SECRET).expect_problem(401, "wrong_credentials");
    for bits in [0, 1024, 2048, 4096, 65535] {
        body["group_bits"] = json!(bits);
        daemon.send_as(&grace.token, "PUT", "/auth/srp/verifier", &body).expect_problem(422, "invalid_field");
    }
}

#[test]
fn a_wrong_secret_is_refused_and_every_guess_costs_a_longer_pause() {
    let (daemon, grace) = enrolled(false);
    for _ in 0..3 {
        log_in(&daemon, "grace", Group::Bits4096, &[8; 32]).expect_problem(401, "wrong_credentials");
    }
    log_in(&daemon, "grace", Group::Bits4096, &[8; 32]).expect_problem(401, "wrong_credentials");
    let client = Client::start(Group::Bits4096, &mut rng());
    start(&daemon, "grace", client.public()).expect_problem(429, "too_many_attempts");
    let by_password = json!({ "username": "grace", "password": PASSWORD });
    daemon.anonymous("POST", "/sessions", &by_password).expect_problem(429, "too_many_attempts");
    daemon.advance(Duration::from_secs(2));
    log_in(&daemon, "grace", Group::Bits4096, &SECRET).expect(200);
    daemon.anonymous("POST", "/sessions", &by_password).expect(201);
    let failed = rows(&daemon, &format!("action=session.opened&actor_id={}&outcome=failed", grace.id));
    assert_eq!(failed.len(), 4);
}

#[test]
fn a_handshake_takes_one_proof_for_a_minute_and_until_the_lock() {
    let (daemon, _) = enrolled(false);
    let begin = || {
        let client = Client::start(Group::Bits4096, &mut rng());
        let started = start(&daemon, "grace", client.public()).expect(200);
        let id: Uuid = started["account_id"].as_str().unwrap().parse().unwrap();
        let credentials = Credentials { identity: id.as_bytes(), password: &SECRET };
        let parts = (decode(&started["server_public"]), decode(&started["salt"]));
        let (proof, _) = client.finish(&parts.0, &parts.1, &credentials).unwrap();
        (started, proof)
    };
    let (used, proof) = begin();
    finish(&daemon, &used, &proof).expect(200);
    finish(&daemon, &used, &proof).expect_problem(401, "wrong_credentials");
    let (failed, proof) = begin();
    finish(&daemon, &failed, &[0; 32]).expect_problem(401, "wrong_credentials");
    finish(&daemon, &failed, &proof).expect_problem(401, "wrong_credentials");
    let (late, proof) = begin();
    daemon.advance(Duration::from_mins(1));
    finish(&daemon, &late, &proof).expect_problem(401, "wrong_credentials");
    let (locked, proof) = begin();
    daemon.post("/vault/lock", &json!({})).expect(200);
    finish(&daemon, &locked, &proof).expect_problem(423, "vault_locked");
    daemon.unlock();
    finish(&daemon, &locked, &proof).expect_problem(401, "wrong_credentials");
    finish(&daemon, &json!({ "handshake": "made up" }), &proof).expect_problem(401, "wrong_credentials");
}

#[test]
fn public_values_that_would_fix_the_key_and_wrong_lengths_are_refused() {
    let (daemon, _) = enrolled(false);
    let n = Group::Bits4096.modulus();
    let twice: Vec<u8> = [vec![1], n.clone()].concat();
    for wrong in [vec![0; 512], n, vec![255; 512], twice, vec![1; 511], vec![1; 513], vec![1; 2000], Vec::new()] {
        start(&daemon, "grace", &wrong).expect_problem(422, "invalid_field");
    }
    let client = Client::start(Group::Bits4096, &mut rng());
    let started = start(&daemon, "grace", client.public()).expect(200);
    for wrong in [0, 31, 33, 1000] {
        finish(&daemon, &started, &vec![1; wrong]).expect_problem(422, "invalid_field");
    }
    let odd = json!({ "username": "grace", "client_public": "not base64!" });
    daemon.anonymous("POST", "/auth/srp/start", &odd).expect_problem(422, "invalid_field");
    assert_eq!(daemon.health()["vault"], "unlocked");
}

#[test]
fn nobody_can_tell_which_names_are_somebodys() {
    let (daemon, grace) = enrolled(false);
    daemon.user("henry", "writer");
    let asleep = daemon.user("irene", "writer");
    enrol(&daemon, &asleep, false);
    daemon.send("PATCH", &format!("/users/{}", asleep.id), &json!({ "active": false })).expect(200);
    let client = Client::start(Group::Bits4096, &mut rng());
    let ask = |name: &str| {
        // Who only asks is slowed down as well.
        daemon.advance(Duration::from_mins(2));
        let started = start(&daemon, name, client.public()).expect(200);
        let shape: Vec<(String, usize)> = started
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap().len()))
            .collect();
        (["account_id", "salt", "parameters"].map(|key| started[key].clone()), started["server_public"].clone(), shape)
    };
    let known = ask("grace");
    assert_eq!(known.0[0], grace.id.as_str());
    for name in ["nobody", "henry", "irene"] {
        let (first, second) = (ask(name), ask(name));
        assert_eq!(first.0, second.0, "{name} is always the same");
        assert_ne!(first.1, second.1);
        assert_eq!(first.2, known.2, "{name} looks as everybody");
        assert_ne!(first.0[0], asleep.id.as_str());
        let id: Uuid = first.0[0].as_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
        daemon.advance(Duration::from_mins(2));
        let refused = log_in(&daemon, name, Group::Bits4096, &SECRET);
        refused.expect_problem(401, "wrong_credentials");
    }
    assert_ne!(ask("nobody_else").0, ask("nobody").0);
}

#[test]
fn the_password_opens_no_session_when_srp_is_the_only_way_in() {
    let (daemon, grace) = enrolled(true);
    let by_password = json!({ "username": "grace", "password": PASSWORD });
    daemon.anonymous("POST", "/sessions", &by_password).expect_problem(401, "wrong_credentials");
    let session = person(&log_in(&daemon, "grace", Group::Bits4096, &SECRET).expect(200)["login"]);
    let verifier = daemon.get_as(&session.token, "/auth/srp/verifier").expect(200);
    assert_eq!((&verifier["only"], &verifier["group_bits"]), (&json!(true), &json!(4096)));

    let removal = "/auth/srp/verifier/removal";
    let wrong = json!({ "password": "not the password at all" });
    daemon.send_as(&session.token, "POST", removal, &wrong).expect_problem(403, "wrong_password");
    let again = json!({ "password": PASSWORD });
    daemon.send_as(&session.token, "POST", removal, &again).expect(204);
    daemon.send_as(&session.token, "POST", removal, &again).expect_problem(404, "not_found");
    daemon.get_as(&grace.token, "/users/me").expect_problem(401, "unauthenticated");
    log_in(&daemon, "grace", Group::Bits4096, &SECRET).expect_problem(401, "wrong_credentials");
    daemon.log_in_as("grace", PASSWORD);
}

#[test]
fn a_new_verifier_ends_the_other_sessions_and_the_handshakes_with_the_old_one() {
    let (daemon, grace) = enrolled(false);
    let other = daemon.log_in_as("grace", PASSWORD);
    let client = Client::start(Group::Bits4096, &mut rng());
    let started = start(&daemon, "grace", client.public()).expect(200);
    let id: Uuid = grace.id.parse().unwrap();
    let credentials = Credentials { identity: id.as_bytes(), password: &SECRET };
    let (server_public, salt) = (decode(&started["server_public"]), decode(&started["salt"]));
    let (proof, _) = client.finish(&server_public, &salt, &credentials).unwrap();
    let body = enrolment(&grace, Group::Bits4096, &[9; 32], false);
    daemon.send_as(&grace.token, "PUT", "/auth/srp/verifier", &body).expect(200);
    finish(&daemon, &started, &proof).expect_problem(401, "wrong_credentials");
    daemon.get_as(&other.token, "/users/me").expect_problem(401, "unauthenticated");
    daemon.get_as(&grace.token, "/users/me").expect(200);
    log_in(&daemon, "grace", Group::Bits4096, &[9; 32]).expect(200);
}

#[test]
fn the_keys_that_a_verifier_goes_with_are_kept_with_it_or_neither_is() {
    let (daemon, grace) = enrolled(false);
    let id: Uuid = grace.id.parse().unwrap();
    let identity = Identity::generate(id, &mut rng()).unwrap();
    let account = AccountKey::generate(id, &mut rng());
    let mut body = enrolment(&grace, Group::Bits4096, &[9; 32], false);
    body["keys"] = json!({
        "by_password": encode(&[1; 104]),
        "by_recovery": encode(&[2; 104]),
        "identity": encode(&identity.seal(&account, &mut rng()).unwrap()),
        "public": encode(&[0; 144]),
    });
    daemon.send_as(&grace.token, "PUT", "/auth/srp/verifier", &body).expect_problem(422, "invalid_field");
    log_in(&daemon, "grace", Group::Bits4096, &SECRET).expect(200);
    body["keys"]["public"] = json!(encode(&identity.public().to_bytes()));
    daemon.send_as(&grace.token, "PUT", "/auth/srp/verifier", &body).expect(200);
    let session = person(&log_in(&daemon, "grace", Group::Bits4096, &[9; 32]).expect(200)["login"]);
    assert_eq!(daemon.get_as(&session.token, "/secrets/account").expect(200), body["keys"]);
}

#[test]
fn the_second_factor_is_asked_for_after_the_proof() {
    let (daemon, grace) = enrolled(false);
    let again = json!({ "password": PASSWORD });
    let secret = daemon.send_as(&grace.token, "POST", &path("/totp"), &again).expect(201)["secret"].clone();
    let first = json!({ "code": code(&daemon, &secret, 0) });
    daemon.send_as(&grace.token, "POST", &path("/totp/confirm"), &first).expect(200);
    daemon.advance(Duration::from_mins(1));
    let asked = log_in(&daemon, "grace", Group::Bits4096, &SECRET).expect(200);
    assert_eq!(asked["login"]["access_token"], Value::Null);
    let answer = json!({ "challenge": asked["login"]["challenge"], "totp": code(&daemon, &secret, 0) });
    let session = person(&daemon.anonymous("POST", "/sessions/second-factor", &answer).expect(201));
    daemon.get_as(&session.token, "/users/me").expect(200);
}

#[test]
fn an_enrolment_needs_the_password_a_session_and_strong_parameters() {
    let (daemon, grace) = enrolled(false);
    let put = |token: &str, body: &Value| daemon.send_as(token, "PUT", "/auth/srp/verifier", body);
    let good = enrolment(&grace, Group::Bits4096, &SECRET, false);
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    put("", &good).expect_problem(401, "unauthenticated");
    put(&grace.token, &with("password", json!("not the password at all"))).expect_problem(403, "wrong_password");
    let mut cheap = Parameters::generate(Cost::FLOOR, &mut rng()).to_bytes();
    // 65,536 KiB, less one bit.
    cheap[1] = 0;
    for (field, value) in [
        ("parameters", json!(encode(&cheap))),
        ("parameters", json!("")),
        ("salt", json!(encode(&[1; 15]))),
        ("verifier", json!(encode(&[1; 511]))),
        ("verifier", json!(encode(&[0; 512]))),
        ("verifier", json!(encode(&Group::Bits4096.modulus()))),
    ] {
        put(&grace.token, &with(field, value)).expect_problem(422, "invalid_field");
    }
    let key = json!({ "name": "backup", "role": "writer" });
    let key = daemon.send_as(&grace.token, "POST", "/api-keys", &key).expect(201);
    put(key["key"].as_str().unwrap(), &good).expect_problem(403, "session_needed");
}

#[test]
fn an_administrator_who_resets_a_password_lets_the_person_in_by_it() {
    let (daemon, grace) = enrolled(true);
    let new = json!({ "new_password": "violet kettle nineteen" });
    daemon.send("PUT", &format!("/users/{}/password", grace.id), &new).expect(204);
    log_in(&daemon, "grace", Group::Bits4096, &SECRET).expect_problem(401, "wrong_credentials");
    daemon.log_in_as("grace", "violet kettle nineteen");
}
