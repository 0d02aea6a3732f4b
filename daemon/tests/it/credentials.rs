//! API keys, and tokens of the cloud.

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::audit::{lock, tamper};
use crate::harness::{ADMIN_PASSWORD, Daemon, MASTER_PASSWORD};
use crate::second_factors::{code, path};

const HS256: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

#[test]
fn a_key_does_what_its_role_allows_and_no_more_than_its_owner() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let create = |body: &Value| daemon.send_as(&grace.token, "POST", "/api-keys", body);
    create(&json!({ "name": "a", "role": "editor" })).expect_problem(422, "invalid_field");
    create(&json!({ "name": " ", "role": "reader" })).expect_problem(422, "invalid_field");
    let unknown = "01890000-0000-7000-8000-000000000000";
    let elsewhere = json!({ "name": "a", "role": "reader", "folder_id": unknown });
    create(&elsewhere).expect_problem(404, "not_found");
    let reader = create(&json!({ "name": "backup", "role": "reader" })).expect(201);
    let writer = create(&json!({ "name": "sync", "role": "writer" })).expect(201);
    let [reader_key, writer_key] = [&reader, &writer].map(|key| key["key"].as_str().unwrap().to_owned());
    assert!(reader_key.starts_with("coffer_"));
    let upload = |key: &str, name: &str| daemon.request_as(key, "POST", &format!("/files?name={name}"), &[], b"x");
    daemon.get_as(&reader_key, "/files").expect(200);
    upload(&reader_key, "a").expect_problem(403, "forbidden");
    let file = upload(&writer_key, "b").expect(201);
    assert_eq!(file["created_by"], grace.id.as_str());
    // The owner's own role limits the key as well, from the moment it changes.
    daemon.send("PATCH", &format!("/users/{}", grace.id), &json!({ "role": "reader" })).expect(200);
    upload(&writer_key, "c").expect_problem(403, "forbidden");
    daemon.send("PATCH", &format!("/users/{}", grace.id), &json!({ "active": false })).expect(200);
    daemon.get_as(&reader_key, "/files").expect_problem(401, "unauthenticated");
}

#[test]
fn a_key_is_shown_once_listed_used_and_deleted() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let key = daemon.post("/api-keys", &json!({ "name": "backup", "role": "admin" })).expect(201);
    let text = key["key"].as_str().unwrap();
    let list = daemon.get("/api-keys").expect(200);
    assert!(!list.to_string().contains(text));
    assert_eq!((&list[0]["name"], &list[0]["last_used_at"]), (&json!("backup"), &Value::Null));
    assert_eq!(daemon.get_as(&grace.token, "/api-keys").expect(200), json!([]));
    daemon.request_as(text, "POST", "/files?name=a", &[], b"x").expect(201);
    assert!(daemon.get("/api-keys").expect(200)[0]["last_used_at"].is_string());
    let stored = daemon.get("/audit?action=file.stored").expect(200);
    assert_eq!(stored["items"][0]["session_id"], key["id"], "the audit tells which key it was");
    let path = format!("/api-keys/{}", key["id"].as_str().unwrap());
    daemon.request_as(&grace.token, "DELETE", &path, &[], b"").expect_problem(404, "not_found");
    daemon.get_as(text, "/files").expect(200);
    daemon.delete(&path).expect(204);
    daemon.delete(&path).expect_problem(404, "not_found");
    daemon.get_as(text, "/files").expect_problem(401, "unauthenticated");
}

#[test]
fn a_key_ends_when_its_time_has_come_and_outlives_a_restart_until_then() {
    let daemon = Daemon::unlocked();
    let end = |text: &str| daemon.post("/api-keys", &json!({ "name": "a", "role": "reader", "expires_at": text }));
    end("2020-01-01T00:00:00Z").expect_problem(422, "invalid_field");
    end("2300-01-01T00:00:00Z").expect_problem(422, "invalid_field");
    let in_an_hour = jiff::Timestamp::from_second(daemon.now_s() + 3600).unwrap();
    let key = end(&in_an_hour.to_string()).expect(201);
    let key = key["key"].as_str().unwrap();
    let daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.get_as(key, "/files").expect(200);
    daemon.advance(Duration::from_hours(1));
    daemon.get_as(key, "/files").expect_problem(401, "unauthenticated");
}

#[test]
fn a_stolen_key_cannot_become_an_account() {
    let daemon = Daemon::unlocked();
    let key = daemon.post("/api-keys", &json!({ "name": "a", "role": "admin" })).expect(201);
    let key = key["key"].as_str().unwrap();
    assert_eq!(daemon.get_as(key, "/users/me").expect(200)["role"], "admin");
    let more = json!({ "name": "b", "role": "reader" });
    daemon.send_as(key, "POST", "/api-keys", &more).expect_problem(403, "session_needed");
    daemon.send_as(key, "PATCH", "/users/me", &json!({})).expect_problem(403, "session_needed");
    daemon.get_as(key, "/sessions").expect_problem(403, "session_needed");
    daemon.request_as(key, "DELETE", "/sessions/current", &[], b"").expect_problem(403, "session_needed");
}

#[test]
fn what_is_not_a_key_is_refused() {
    let daemon = Daemon::unlocked();
    let key = daemon.post("/api-keys", &json!({ "name": "a", "role": "reader" })).expect(201);
    let key = key["key"].as_str().unwrap().to_owned();
    let last = if key.ends_with('A') { 'E' } else { 'A' };
    let changed = format!("{}{last}", &key[..key.len() - 1]);
    let unknown = format!("coffer_{}", "A".repeat(64));
    for bad in [&changed, &unknown, &key[..40], "coffer_", &key[7..], &format!("{key}AAAA")] {
        daemon.get_as(bad, "/files").expect_problem(401, "unauthenticated");
    }
    daemon.get_as(&key, "/files").expect(200);
}

#[test]
fn nothing_that_lets_somebody_in_is_stored_as_it_was_shown() {
    let daemon = Daemon::unlocked();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let key = text(&daemon.post("/api-keys", &json!({ "name": "a", "role": "reader" })).expect(201)["key"]);
    let invitation = text(&daemon.post("/invitations", &json!({ "role": "reader" })).expect(201)["token"]);
    let again = json!({ "password": ADMIN_PASSWORD });
    let secret = daemon.post(&path("/totp"), &again).expect(201)["secret"].clone();
    let typed = json!({ "code": code(&daemon, &secret, 0) });
    let codes = daemon.post(&path("/totp/confirm"), &typed).expect(200)["recovery_codes"].clone();
    lock(&daemon);
    let database = tamper(&daemon, ".dump").unwrap();
    assert!(database.contains("INSERT INTO recovery_codes") && database.contains("$argon2id$"), "it was read");
    let secrets = [&key[7..], &key[key.len() - 24..], &invitation, ADMIN_PASSWORD, MASTER_PASSWORD];
    let codes = codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap());
    for shown in secrets.into_iter().chain(codes.clone()) {
        assert!(!database.contains(shown), "{shown} is in the database");
    }
    for shown in codes {
        assert!(!database.contains(&shown.replace('-', "")), "{shown} is in the database");
    }
}

#[test]
fn a_token_of_the_cloud_is_accepted_for_the_account_that_was_linked_by_such_a_token() {
    let daemon = Daemon::unlocked();
    let [grace, hedy] = ["grace", "hedy"].map(|name| daemon.user(name, "writer"));
    let token = device_token(&daemon, &json!({}));
    daemon.get_as(&token, "/users/me").expect_problem(401, "unauthenticated");
    let link = |person: &str, token: &str| {
        daemon.send_as(person, "PUT", "/users/me/device-link", &json!({ "device_token": token }))
    };
    let bad = device_token(&daemon, &json!({ "device_id": uuid::Uuid::new_v4() }));
    link(&grace.token, &bad).expect_problem(403, "wrong_device_token");
    daemon.get_as(&grace.token, "/users/me/device-link").expect_problem(404, "not_found");
    assert_eq!(link(&grace.token, &token).expect(200)["subject"], "cloud|ada");
    link(&grace.token, &token).expect(200);
    link(&hedy.token, &token).expect_problem(409, "link_taken");
    assert_eq!(daemon.get_as(&token, "/users/me").expect(200)["username"], "grace");
    daemon.request_as(&token, "POST", "/files?name=a", &[], b"x").expect(201);
    daemon.send_as(&token, "PATCH", "/users/me", &json!({})).expect_problem(403, "session_needed");
    // Another subject takes the place of the first.
    let second = device_token(&daemon, &json!({ "sub": "cloud|grace" }));
    link(&grace.token, &second).expect(200);
    daemon.get_as(&token, "/users/me").expect_problem(401, "unauthenticated");
    let unlink = || daemon.request_as(&grace.token, "DELETE", "/users/me/device-link", &[], b"");
    unlink().expect(204);
    unlink().expect_problem(404, "not_found");
    daemon.get_as(&second, "/users/me").expect_problem(401, "unauthenticated");
}

#[test]
fn a_token_of_the_cloud_that_is_forged_or_not_for_this_device_is_refused() {
    let daemon = Daemon::unlocked();
    let genuine = device_token(&daemon, &json!({}));
    daemon.send("PUT", "/users/me/device-link", &json!({ "device_token": genuine })).expect(200);
    daemon.get_as(&genuine, "/users/me").expect(200);
    let now = daemon.now_s();
    let claims = |changes: Value| device_token(&daemon, &changes);
    let (message, signature) = genuine.rsplit_once('.').unwrap();
    let (_, body) = message.split_once('.').unwrap();
    let other_body = BASE64URL_NOPAD.encode(&serde_json::to_vec(&json!({ "sub": "cloud|ada" })).unwrap());
    let secret = shared_secret(&daemon);
    let with_header = |header: &str| signed(header, body, &secret);
    for (what, token) in [
        ("another device's", claims(json!({ "device_id": uuid::Uuid::new_v4() }))),
        ("expired", claims(json!({ "exp": now - 1 }))),
        ("not issued yet", claims(json!({ "iat": now + 3600, "exp": now + 7200 }))),
        ("nobody's", claims(json!({ "sub": "" }))),
        ("an unknown person's", claims(json!({ "sub": "cloud|eve" }))),
        ("without an end", signed(HS256, &other_body, &secret)),
        ("changed", format!("{}.{other_body}.{signature}", BASE64URL_NOPAD.encode(HS256.as_bytes()))),
        ("unsigned", format!("{}.{body}.", BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#))),
        ("alg none with a signature", with_header(r#"{"alg":"none"}"#)),
        ("alg RS256 with the secret as its key", with_header(r#"{"typ":"JWT","alg":"RS256"}"#)),
        ("alg HS512", with_header(r#"{"typ":"JWT","alg":"HS512"}"#)),
        ("signed with the secret's text", signed(HS256, body, HEXLOWER.encode(&secret).as_bytes())),
        ("signed with another secret", signed(HS256, body, &[7; 32])),
    ] {
        let reply = daemon.get_as(&token, "/users/me");
        assert_eq!(reply.status, 401, "{what}: {reply:?}");
        reply.expect_problem(401, "unauthenticated");
    }
    daemon.get_as(&genuine, "/users/me").expect(200);
    daemon.advance(Duration::from_secs(601));
    daemon.get_as(&genuine, "/users/me").expect_problem(401, "unauthenticated");
}

/// A token as the cloud issues it, with some claims changed.
pub(crate) fn device_token(daemon: &Daemon, changes: &Value) -> String {
    let device = device(daemon);
    let now = daemon.now_s();
    let mut claims = json!({ "sub": "cloud|ada", "device_id": device["device_id"], "iat": now, "exp": now + 600 });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let body = BASE64URL_NOPAD.encode(&serde_json::to_vec(&claims).unwrap());
    signed(HS256, &body, &shared_secret(daemon))
}

fn signed(header: &str, body: &str, secret: &[u8]) -> String {
    let message = format!("{}.{body}", BASE64URL_NOPAD.encode(header.as_bytes()));
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(message.as_bytes()).finalize();
    format!("{message}.{}", BASE64URL_NOPAD.encode(&mac.into_bytes()))
}

fn device(daemon: &Daemon) -> Value {
    serde_json::from_slice(&std::fs::read(daemon.path("device/device.json")).unwrap()).unwrap()
}

fn shared_secret(daemon: &Daemon) -> Vec<u8> {
    HEXLOWER.decode(device(daemon)["shared_secret"].as_str().unwrap().as_bytes()).unwrap()
}
