//! Second factors: setting them up, looking at them, taking them away.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::authenticator::Authenticator;
use crate::client::Reply;
use crate::credentials::device_token;
use crate::harness::{ADMIN, ADMIN_PASSWORD, Daemon, PASSWORD};

const NOBODY: &str = "01a1fd16-afea-707b-afb4-166dd8225dae";

pub(crate) fn path(rest: &str) -> String {
    format!("/users/me/second-factors{rest}")
}

fn password() -> Value {
    json!({ "password": ADMIN_PASSWORD })
}

fn list(daemon: &Daemon) -> Value {
    daemon.get(&path("")).expect(200)
}

/// What an authenticator app shows at the daemon's time, some steps of 30 s away from now.
pub(crate) fn code(daemon: &Daemon, secret: &Value, steps: i64) -> String {
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_str().unwrap().as_bytes()).unwrap();
    let counter = u64::try_from(daemon.now_s() / 30 + steps).unwrap();
    let mac = Hmac::<sha1::Sha1>::new_from_slice(&secret).unwrap().chain_update(counter.to_be_bytes()).finalize();
    let mac = mac.into_bytes();
    let offset = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Begins an enrolment; gives the secret.
fn begin_totp(daemon: &Daemon) -> Value {
    daemon.post(&path("/totp"), &password()).expect(201)["secret"].clone()
}

fn confirm_totp(daemon: &Daemon, code: &str) -> Reply {
    daemon.post(&path("/totp/confirm"), &json!({ "code": code }))
}

fn begin_passkey(daemon: &Daemon, name: &str) -> Value {
    daemon.post(&path("/passkeys"), &json!({ "password": ADMIN_PASSWORD, "name": name })).expect(200)
}

fn finish_passkey(daemon: &Daemon, ceremony: &Value, answer: &Value) -> Reply {
    let id = ceremony["ceremony_id"].as_str().unwrap();
    daemon.post(&path(&format!("/passkeys/{id}")), &json!({ "credential": answer }))
}

fn add_passkey(daemon: &Daemon, name: &str, authenticator: &mut Authenticator) -> Value {
    let ceremony = begin_passkey(daemon, name);
    finish_passkey(daemon, &ceremony, &authenticator.register(&ceremony["public_key"])).expect(201)
}

fn audited(daemon: &Daemon) -> Vec<String> {
    let log = daemon.get("/audit?limit=100").expect(200);
    let entries = log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap().to_owned());
    entries.collect()
}

#[test]
fn an_authenticator_app_counts_from_its_first_code_on() {
    let daemon = Daemon::unlocked();
    let none = json!({ "totp": null, "recovery_codes_left": 0, "passkeys": [] });
    assert_eq!(list(&daemon), none);
    let begun = daemon.post(&path("/totp"), &password()).expect(201);
    assert_eq!(list(&daemon), none, "nothing changes before the first code");
    let secret = begun["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 32);
    assert_eq!(begun["otpauth_uri"], format!("otpauth://totp/Coffer:{ADMIN}?secret={secret}&issuer=Coffer"));
    assert!(begun["qr_svg"].as_str().unwrap().starts_with("<svg "));
    let png = begun["qr_png"].as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
    assert!(data_encoding::BASE64.decode(png.as_bytes()).unwrap().starts_with(b"\x89PNG"));
    let confirmed = confirm_totp(&daemon, &code(&daemon, &begun["secret"], 0)).expect(200);
    let codes = confirmed["recovery_codes"].as_array().unwrap();
    assert_eq!(codes.len(), 10);
    let after = list(&daemon);
    assert!(after["totp"]["created_at"].is_string());
    assert_eq!(after["recovery_codes_left"], 10);
    assert!(!after.to_string().contains(secret), "shown once");
    confirm_totp(&daemon, &code(&daemon, &begun["secret"], 1)).expect_problem(404, "not_found");
    let audited = audited(&daemon);
    for action in ["second_factor.totp_begun", "second_factor.totp_confirmed"] {
        assert!(audited.iter().any(|known| known == action), "{audited:?}");
    }
}

#[test]
fn a_wrong_first_code_changes_nothing_and_may_be_corrected() {
    let daemon = Daemon::unlocked();
    confirm_totp(&daemon, "123456").expect_problem(404, "not_found");
    let secret = begin_totp(&daemon);
    let early = code(&daemon, &secret, -3);
    for wrong in [&early, "12345", "", "abcdef"] {
        let refused = confirm_totp(&daemon, wrong).expect_problem(422, "invalid_field");
        assert_eq!(refused["errors"][0]["field"], "code");
        assert!(wrong.is_empty() || !refused.to_string().contains(wrong));
    }
    assert_eq!(list(&daemon)["totp"], Value::Null);
    let right = code(&daemon, &secret, 1);
    confirm_totp(&daemon, &format!("{} {}", &right[..3], &right[3..])).expect(200);
}

#[test]
fn an_enrolment_expires_after_ten_minutes() {
    let mut daemon = Daemon::unlocked();
    let secret = begin_totp(&daemon);
    daemon.advance(Duration::from_mins(10));
    confirm_totp(&daemon, &code(&daemon, &secret, 0)).expect_problem(404, "not_found");
    daemon.log_in();
    let secret = begin_totp(&daemon);
    daemon.advance(Duration::from_mins(9));
    confirm_totp(&daemon, &code(&daemon, &secret, 0)).expect(200);
}

#[test]
fn a_new_app_replaces_the_old_one_and_leaves_the_recovery_codes() {
    let daemon = Daemon::unlocked();
    let first = begin_totp(&daemon);
    confirm_totp(&daemon, &code(&daemon, &first, 0)).expect(200);
    let since = list(&daemon)["totp"].clone();
    let forgotten = begin_totp(&daemon);
    let second = begin_totp(&daemon);
    assert_eq!(list(&daemon)["totp"], since, "the old one stays until the new one is confirmed");
    confirm_totp(&daemon, &code(&daemon, &forgotten, 0)).expect_problem(422, "invalid_field");
    let confirmed = confirm_totp(&daemon, &code(&daemon, &second, 0)).expect(200);
    assert_eq!(confirmed["recovery_codes"], Value::Null);
    assert_eq!(list(&daemon)["recovery_codes_left"], 10);
    daemon.post(&path("/totp/removal"), &password()).expect(204);
    assert_eq!(list(&daemon), json!({ "totp": null, "recovery_codes_left": 0, "passkeys": [] }));
    daemon.post(&path("/totp/removal"), &password()).expect_problem(404, "not_found");
}

#[test]
fn what_a_stolen_session_must_not_do_needs_the_password() {
    let daemon = Daemon::unlocked();
    let secret = begin_totp(&daemon);
    confirm_totp(&daemon, &code(&daemon, &secret, 0)).expect(200);
    let before = list(&daemon);
    let wrong = json!({ "password": "not the password" });
    let routes = ["/totp", "/totp/removal", "/recovery-codes", &format!("/passkeys/{NOBODY}/removal")];
    for route in routes.iter().take(3) {
        daemon.post(&path(route), &wrong).expect_problem(403, "wrong_password");
    }
    let named = json!({ "password": "not the password", "name": "x" });
    daemon.post(&path("/passkeys"), &named).expect_problem(403, "wrong_password");
    for route in routes {
        let slowed = daemon.post(&path(route), &password()).expect_problem(429, "too_many_attempts");
        assert!(slowed["retry_after_s"].as_u64().unwrap() >= 1);
    }
    assert_eq!(list(&daemon), before, "the session goes on, and nothing changed");
    daemon.advance(Duration::from_secs(2));
    daemon.post(&path("/recovery-codes"), &password()).expect(201);
    daemon.post(&path("/recovery-codes"), &password()).expect(201);
    assert!(audited(&daemon).iter().filter(|action| *action == "user.password_checked").count() == 4);
}

#[test]
fn new_recovery_codes_need_a_factor_and_replace_the_old_ones() {
    let daemon = Daemon::unlocked();
    daemon.post(&path("/recovery-codes"), &password()).expect_problem(404, "not_found");
    let secret = begin_totp(&daemon);
    let first = confirm_totp(&daemon, &code(&daemon, &secret, 0)).expect(200)["recovery_codes"].clone();
    let second = daemon.post(&path("/recovery-codes"), &password()).expect(201)["recovery_codes"].clone();
    let codes: Vec<&str> =
        [&first, &second].iter().flat_map(|c| c.as_array().unwrap()).filter_map(Value::as_str).collect();
    assert_eq!(codes.iter().collect::<std::collections::BTreeSet<_>>().len(), 20, "{codes:?}");
    assert_eq!(list(&daemon)["recovery_codes_left"], 10);
}

#[test]
fn passkeys_are_added_renamed_and_removed() {
    let daemon = Daemon::unlocked();
    let (mut phone, mut key) = (Authenticator::new(1), Authenticator::new(2));
    let first = add_passkey(&daemon, " Ada's phone ", &mut phone);
    assert_eq!(first["recovery_codes"].as_array().unwrap().len(), 10, "it is the first factor");
    assert_eq!((&first["passkey"]["name"], &first["passkey"]["last_used_at"]), (&json!("Ada's phone"), &Value::Null));
    let ceremony = begin_passkey(&daemon, "key");
    let options = &ceremony["public_key"];
    assert_eq!((&options["rp"]["id"], &options["rp"]["name"]), (&json!("localhost"), &json!("Coffer")));
    assert_eq!((&options["user"]["name"], &options["attestation"]), (&json!(ADMIN), &json!("none")));
    assert_eq!(options["excludeCredentials"][0]["id"], phone.credential_id());
    let second = finish_passkey(&daemon, &ceremony, &key.register(options)).expect(201);
    assert_eq!(second["recovery_codes"], Value::Null);
    assert_eq!(second["passkey"]["id"], ceremony["ceremony_id"]);
    let listed = list(&daemon);
    assert_eq!(listed["passkeys"], json!([first["passkey"], second["passkey"]]));
    assert_eq!(listed["recovery_codes_left"], 10);

    let id = second["passkey"]["id"].as_str().unwrap();
    let one = path(&format!("/passkeys/{id}"));
    assert_eq!(daemon.send("PATCH", &one, &json!({ "name": "spare" })).expect(200)["name"], "spare");
    daemon.send("PATCH", &one, &json!({ "name": "a\nb" })).expect_problem(422, "invalid_field");
    daemon.post(&format!("{one}/removal"), &password()).expect(204);
    daemon.post(&format!("{one}/removal"), &password()).expect_problem(404, "not_found");
    daemon.send("PATCH", &one, &json!({ "name": "x" })).expect_problem(404, "not_found");
    assert_eq!(list(&daemon)["passkeys"], json!([first["passkey"]]));
    let id = first["passkey"]["id"].as_str().unwrap();
    daemon.post(&path(&format!("/passkeys/{id}/removal")), &password()).expect(204);
    assert_eq!(list(&daemon)["recovery_codes_left"], 0, "they stood in for a factor that is gone");
    let audited = audited(&daemon);
    for action in ["second_factor.passkey_added", "second_factor.passkey_renamed", "second_factor.passkey_removed"] {
        assert!(audited.iter().any(|known| known == action), "{audited:?}");
    }
}

#[test]
fn a_new_passkey_must_answer_what_was_asked_here_and_once() {
    let daemon = Daemon::unlocked();
    let mut phone = Authenticator::new(1);
    let refused = |ceremony: &Value, answer: &Value| {
        let refused = finish_passkey(&daemon, ceremony, answer).expect_problem(422, "invalid_field");
        assert_eq!(refused["errors"][0]["field"], "credential");
    };
    let ceremony = begin_passkey(&daemon, "x");
    let mut elsewhere = phone.clone().at("https://evil.example");
    refused(&ceremony, &elsewhere.register(&ceremony["public_key"]));
    let late = finish_passkey(&daemon, &ceremony, &phone.register(&ceremony["public_key"]));
    late.expect_problem(404, "not_found");

    let ceremony = begin_passkey(&daemon, "x");
    let other = begin_passkey(&daemon, "x");
    refused(&ceremony, &phone.register(&other["public_key"]));
    let mut careless = phone.clone().careless();
    refused(&other, &careless.register(&other["public_key"]));

    let ceremony = begin_passkey(&daemon, "x");
    refused(&ceremony, &json!({ "id": "x" }));
    let answer = phone.register(&ceremony["public_key"]);
    finish_passkey(&daemon, &ceremony, &answer).expect(201);
    finish_passkey(&daemon, &ceremony, &answer).expect_problem(404, "not_found");
    let again = begin_passkey(&daemon, "x");
    refused(&again, &phone.register(&again["public_key"]));
    let unknown = json!({ "ceremony_id": NOBODY });
    finish_passkey(&daemon, &unknown, &answer).expect_problem(404, "not_found");
    assert_eq!(list(&daemon)["passkeys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_registration_ends_after_five_minutes_and_with_the_lock() {
    let daemon = Daemon::unlocked();
    let mut phone = Authenticator::new(1);
    let ceremony = begin_passkey(&daemon, "x");
    daemon.advance(Duration::from_mins(5));
    let answer = phone.register(&ceremony["public_key"]);
    finish_passkey(&daemon, &ceremony, &answer).expect_problem(404, "not_found");
    let ceremony = begin_passkey(&daemon, "x");
    daemon.post("/vault/lock", &json!({})).expect(200);
    let answer = phone.register(&ceremony["public_key"]);
    finish_passkey(&daemon, &ceremony, &answer).expect_problem(423, "vault_locked");
    daemon.unlock();
    finish_passkey(&daemon, &ceremony, &answer).expect_problem(404, "not_found");
    let ceremony = begin_passkey(&daemon, "x");
    daemon.advance(Duration::from_mins(4));
    finish_passkey(&daemon, &ceremony, &phone.register(&ceremony["public_key"])).expect(201);
}

#[test]
fn an_account_has_at_most_twenty_passkeys() {
    let daemon = Daemon::unlocked();
    let ceremony = begin_passkey(&daemon, "one too many");
    for seed in 1..=20 {
        add_passkey(&daemon, "x", &mut Authenticator::new(seed));
    }
    let body = json!({ "password": ADMIN_PASSWORD, "name": "x" });
    daemon.post(&path("/passkeys"), &body).expect_problem(409, "limit_reached");
    let answer = Authenticator::new(21).register(&ceremony["public_key"]);
    finish_passkey(&daemon, &ceremony, &answer).expect_problem(409, "limit_reached");
    assert_eq!(list(&daemon)["passkeys"].as_array().unwrap().len(), 20);
}

#[test]
fn a_passkey_is_its_owners_alone() {
    let daemon = Daemon::unlocked();
    let bob = daemon.user("bob_", "reader");
    let mut phone = Authenticator::new(1);
    let ceremony = begin_passkey(&daemon, "phone");
    let answer = phone.register(&ceremony["public_key"]);
    let one = path(&format!("/passkeys/{}", ceremony["ceremony_id"].as_str().unwrap()));
    let as_bob = |method: &str, path: &str, body: &Value| daemon.send_as(&bob.token, method, path, body);
    as_bob("POST", &one, &json!({ "credential": answer })).expect_problem(404, "not_found");
    finish_passkey(&daemon, &ceremony, &answer).expect(201);
    as_bob("PATCH", &one, &json!({ "name": "mine" })).expect_problem(404, "not_found");
    let his_password = json!({ "password": PASSWORD });
    as_bob("POST", &format!("{one}/removal"), &his_password).expect_problem(404, "not_found");
    as_bob("POST", &path("/totp"), &password()).expect_problem(403, "wrong_password");

    // The same authenticator for two accounts: it would have to answer with one key for both.
    let begin = json!({ "password": PASSWORD, "name": "stolen" });
    let ceremony = as_bob("POST", &path("/passkeys"), &begin).expect(200);
    let his = path(&format!("/passkeys/{}", ceremony["ceremony_id"].as_str().unwrap()));
    let credential = phone.register(&ceremony["public_key"]);
    as_bob("POST", &his, &json!({ "credential": credential })).expect_problem(422, "invalid_field");
    assert_eq!(daemon.get_as(&bob.token, &path("")).expect(200)["passkeys"], json!([]));
    assert_eq!(list(&daemon)["passkeys"][0]["name"], "phone");
}

#[test]
fn where_everybody_must_have_a_factor_the_first_opens_the_box_and_the_last_stays() {
    let daemon = Daemon::unlocked();
    let rules = json!({ "registration_open": true, "second_factor_required": true });
    let secret = begin_totp(&daemon);
    confirm_totp(&daemon, &code(&daemon, &secret, 0)).expect(200);
    daemon.send("PUT", "/policy", &rules).expect(200);
    let bob = daemon.user("bob_", "reader");
    let as_bob = |method: &str, path: &str, body: &Value| daemon.send_as(&bob.token, method, path, body);
    daemon.get_as(&bob.token, "/folders").expect_problem(403, "second_factor_needed");
    let his_password = json!({ "password": PASSWORD });
    as_bob("POST", &path("/recovery-codes"), &his_password).expect_problem(403, "second_factor_needed");
    let begin = json!({ "password": PASSWORD, "name": "phone" });
    let ceremony = as_bob("POST", &path("/passkeys"), &begin).expect(200);
    let one = path(&format!("/passkeys/{}", ceremony["ceremony_id"].as_str().unwrap()));
    let credential = Authenticator::new(1).register(&ceremony["public_key"]);
    as_bob("POST", &one, &json!({ "credential": credential })).expect(201);
    daemon.get_as(&bob.token, "/folders").expect(200);

    as_bob("POST", &format!("{one}/removal"), &his_password).expect_problem(409, "last_second_factor");
    let kept = daemon.get_as(&bob.token, &path("")).expect(200);
    assert_eq!((kept["passkeys"].as_array().unwrap().len(), &kept["recovery_codes_left"]), (1, &json!(10)));
    let totp = as_bob("POST", &path("/totp"), &his_password).expect(201);
    let confirm = json!({ "code": code(&daemon, &totp["secret"], 0) });
    as_bob("POST", &path("/totp/confirm"), &confirm).expect(200);
    as_bob("POST", &format!("{one}/removal"), &his_password).expect(204);
    as_bob("POST", &path("/totp/removal"), &his_password).expect_problem(409, "last_second_factor");
}

#[test]
fn neither_a_key_nor_a_token_of_before_is_a_way_around_the_factor_that_everybody_must_have() {
    let daemon = Daemon::unlocked();
    let bob = daemon.user("bob_", "writer");
    let as_bob = |method: &str, path: &str, body: &Value| daemon.send_as(&bob.token, method, path, body);
    let key = as_bob("POST", "/api-keys", &json!({ "name": "backup", "role": "writer" })).expect(201);
    let token = device_token(&daemon, &json!({}));
    as_bob("PUT", "/users/me/device-link", &json!({ "device_token": token })).expect(200);
    let credentials = [&bob.token, key["key"].as_str().unwrap(), &token];
    let all = |status: u16| credentials.map(|credential| daemon.get_as(credential, "/folders").status == status);
    assert_eq!(all(200), [true; 3]);
    let rules = |required: bool| json!({ "registration_open": true, "second_factor_required": required });
    daemon.send("PUT", "/policy", &rules(true)).expect(200);
    for credential in credentials {
        daemon.get_as(credential, "/folders").expect_problem(403, "second_factor_needed");
        daemon.request_as(credential, "POST", "/files?name=a", &[], b"x").expect_problem(403, "second_factor_needed");
        daemon.get_as(credential, "/users/me").expect(200);
    }
    let secret = as_bob("POST", &path("/totp"), &json!({ "password": PASSWORD })).expect(201)["secret"].clone();
    as_bob("POST", &path("/totp/confirm"), &json!({ "code": code(&daemon, &secret, 0) })).expect(200);
    assert_eq!(all(200), [true; 3]);
}

#[test]
fn a_key_of_a_program_cannot_touch_second_factors() {
    let daemon = Daemon::unlocked();
    let body = json!({ "name": "backup", "role": "admin" });
    let key = daemon.post("/api-keys", &body).expect(201)["key"].as_str().unwrap().to_owned();
    daemon.get_as(&key, "/folders").expect(200);
    daemon.get_as(&key, &path("")).expect_problem(403, "session_needed");
    for (route, body) in [
        ("/totp", password()),
        ("/totp/confirm", json!({ "code": "123456" })),
        ("/totp/removal", password()),
        ("/recovery-codes", password()),
        ("/passkeys", json!({ "password": ADMIN_PASSWORD, "name": "x" })),
    ] {
        daemon.send_as(&key, "POST", &path(route), &body).expect_problem(403, "session_needed");
    }
}

#[test]
fn second_factors_survive_a_crash() {
    let daemon = Daemon::unlocked();
    add_passkey(&daemon, "phone", &mut Authenticator::new(1));
    let secret = begin_totp(&daemon);
    confirm_totp(&daemon, &code(&daemon, &secret, 0)).expect(200);
    let (before, token) = (list(&daemon), daemon.token.clone());
    let mut daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.token = token;
    assert_eq!(list(&daemon), before);
}

#[test]
fn nobody_reaches_second_factors_without_a_session() {
    let mut daemon = Daemon::unlocked();
    daemon.token = String::new();
    daemon.get(&path("")).expect_problem(401, "unauthenticated");
    for (route, body) in [
        ("/totp", password()),
        ("/totp/confirm", json!({ "code": "123456" })),
        ("/totp/removal", password()),
        ("/recovery-codes", password()),
        ("/passkeys", json!({ "password": ADMIN_PASSWORD, "name": "x" })),
    ] {
        daemon.post(&path(route), &body).expect_problem(401, "unauthenticated");
    }
}

#[test]
fn no_secret_of_a_factor_reaches_the_log() {
    let mut daemon = Daemon::unlocked();
    let secret = begin_totp(&daemon);
    let typed = code(&daemon, &secret, 0);
    let codes = confirm_totp(&daemon, &typed).expect(200)["recovery_codes"].clone();
    add_passkey(&daemon, "divorce phone", &mut Authenticator::new(1));
    daemon.post(&path("/totp"), &json!({ "password": "mistyped secret" }));
    daemon.stop();
    let log = daemon.log();
    let recovery = codes[0].as_str().unwrap();
    assert!(log.contains("/api/v1/users/me/second-factors/totp"), "the log works: {log}");
    for secret in [secret.as_str().unwrap(), &typed, recovery, "divorce phone", "mistyped secret", ADMIN_PASSWORD] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}
