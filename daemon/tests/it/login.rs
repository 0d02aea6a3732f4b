//! Logging in with a second factor.

use std::time::Duration;

use serde_json::{Value, json};

use crate::authenticator::Authenticator;
use crate::client::Reply;
use crate::harness::{Daemon, PASSWORD, Person, person};
use crate::second_factors::{code, path};

/// Somebody with an authenticator app: the session that set it up, the app's secret, and the recovery codes.
struct Grace {
    session: Person,
    secret: Value,
    recovery_codes: Vec<String>,
}

fn grace(daemon: &Daemon) -> Grace {
    let session = daemon.user("grace", "writer");
    let again = json!({ "password": PASSWORD });
    let secret = daemon.send_as(&session.token, "POST", &path("/totp"), &again).expect(201)["secret"].clone();
    let first = json!({ "code": code(daemon, &secret, 0) });
    let confirmed = daemon.send_as(&session.token, "POST", &path("/totp/confirm"), &first).expect(200);
    let codes = confirmed["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
    let grace = Grace { session, secret, recovery_codes: codes.collect() };
    // The first code is used up.
    daemon.advance(Duration::from_mins(1));
    grace
}

/// The reply to the right password.
fn challenge(daemon: &Daemon) -> Value {
    let log_in = json!({ "username": "grace", "password": PASSWORD, "name": "phone" });
    daemon.anonymous("POST", "/sessions", &log_in).expect(200)
}

fn answer(daemon: &Daemon, challenge: &Value, kind: &str, proof: &Value) -> Reply {
    let body = json!({ "challenge": challenge["challenge"], kind: proof });
    daemon.anonymous("POST", "/sessions/second-factor", &body)
}

#[test]
fn the_password_alone_opens_no_session_and_the_code_after_it_does() {
    let daemon = Daemon::unlocked();
    let grace = grace(&daemon);
    let asked = challenge(&daemon);
    assert_eq!(asked["methods"], json!(["totp", "recovery_code"]));
    assert_eq!((&asked["public_key"], &asked["access_token"]), (&Value::Null, &Value::Null));
    let name = asked["challenge"].as_str().unwrap();
    daemon.get_as(name, "/users/me").expect_problem(401, "unauthenticated");
    daemon.refresh(name).expect_problem(401, "unauthenticated");
    answer(&daemon, &asked, "totp", &json!("000000")).expect_problem(401, "wrong_second_factor");
    let now = json!(code(&daemon, &grace.secret, 0));
    let opened = person(&answer(&daemon, &asked, "totp", &now).expect(201));
    assert_eq!(daemon.get_as(&opened.token, "/sessions").expect(200)[0]["name"], "phone");
    daemon.advance(Duration::from_secs(30));
    let next = json!(code(&daemon, &grace.secret, 0));
    answer(&daemon, &asked, "totp", &next).expect_problem(401, "wrong_second_factor");
}

#[test]
fn a_code_of_the_app_is_accepted_once() {
    let daemon = Daemon::unlocked();
    let grace = grace(&daemon);
    let now = json!(code(&daemon, &grace.secret, 0));
    answer(&daemon, &challenge(&daemon), "totp", &now).expect(201);
    answer(&daemon, &challenge(&daemon), "totp", &now).expect_problem(401, "wrong_second_factor");
    let earlier = json!(code(&daemon, &grace.secret, -1));
    answer(&daemon, &challenge(&daemon), "totp", &earlier).expect_problem(401, "wrong_second_factor");
    let next = json!(code(&daemon, &grace.secret, 1));
    answer(&daemon, &challenge(&daemon), "totp", &next).expect(201);
}

#[test]
fn a_code_that_comes_many_times_at_once_is_accepted_once() {
    let daemon = Daemon::unlocked();
    let grace = grace(&daemon);
    let challenges: Vec<Value> = (0..4).map(|_| challenge(&daemon)).collect();
    let now = json!(code(&daemon, &grace.secret, 0));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let racers: Vec<_> = challenges
            .iter()
            // Each challenge twice as well.
            .flat_map(|asked| [asked, asked])
            .map(|asked| scope.spawn(|| answer(&daemon, asked, "totp", &now).status))
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
}

#[test]
fn a_challenge_ends_after_two_minutes_after_five_slips_and_with_the_lock() {
    let daemon = Daemon::unlocked();
    let grace = grace(&daemon);
    let right = || json!(code(&daemon, &grace.secret, 0));
    let late = challenge(&daemon);
    daemon.advance(Duration::from_mins(2));
    answer(&daemon, &late, "totp", &right()).expect_problem(401, "wrong_second_factor");
    let clumsy = challenge(&daemon);
    for _ in 0..5 {
        answer(&daemon, &clumsy, "totp", &json!("12345")).expect_problem(401, "wrong_second_factor");
        daemon.advance(Duration::from_secs(10));
    }
    answer(&daemon, &clumsy, "totp", &right()).expect_problem(401, "wrong_second_factor");
    let locked = challenge(&daemon);
    daemon.post("/vault/lock", &json!({})).expect(200);
    answer(&daemon, &locked, "totp", &right()).expect_problem(423, "vault_locked");
    daemon.unlock();
    answer(&daemon, &locked, "totp", &right()).expect_problem(401, "wrong_second_factor");
    answer(&daemon, &challenge(&daemon), "totp", &right()).expect(201);
}

#[test]
fn guesses_at_the_code_are_slowed_down_and_running_sessions_are_not_touched() {
    let daemon = Daemon::unlocked();
    let grace = grace(&daemon);
    let wrong = json!("000000");
    // Asked for before: to hash a password takes a while, and the pause goes on meanwhile.
    let [first, second, asked] = [(); 3].map(|()| challenge(&daemon));
    let guesses = [&first, &first, &first, &first, &second, &second];
    let statuses = guesses.map(|asked| answer(&daemon, asked, "totp", &wrong).status);
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    let right = json!(code(&daemon, &grace.secret, 0));
    answer(&daemon, &asked, "totp", &right).expect_problem(429, "too_many_attempts");
    daemon.get_as(&grace.session.token, "/users/me").expect(200);
    // What was not looked at costs nothing: the same challenge serves after the pause.
    daemon.advance(Duration::from_secs(2));
    answer(&daemon, &asked, "totp", &json!(code(&daemon, &grace.secret, 0))).expect(201);
}

#[test]
fn a_recovery_code_stands_in_once() {
    let daemon = Daemon::unlocked();
    let grace = grace(&daemon);
    let [first, second] = [0, 1].map(|n| json!(grace.recovery_codes[n]));
    let opened = person(&answer(&daemon, &challenge(&daemon), "recovery_code", &first).expect(201));
    assert_eq!(daemon.get_as(&opened.token, &path("")).expect(200)["recovery_codes_left"], 9);
    answer(&daemon, &challenge(&daemon), "recovery_code", &first).expect_problem(401, "wrong_second_factor");
    let mut daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.log_in();
    answer(&daemon, &challenge(&daemon), "recovery_code", &first).expect_problem(401, "wrong_second_factor");
    answer(&daemon, &challenge(&daemon), "recovery_code", &second).expect(201);
}

#[test]
fn a_passkey_logs_in_and_an_answer_serves_once() {
    let daemon = Daemon::unlocked();
    let session = daemon.user("grace", "writer");
    let mut phone = Authenticator::new(1);
    let begin = json!({ "password": PASSWORD, "name": "phone" });
    let ceremony = daemon.send_as(&session.token, "POST", &path("/passkeys"), &begin).expect(200);
    let finish = path(&format!("/passkeys/{}", ceremony["ceremony_id"].as_str().unwrap()));
    let credential = json!({ "credential": phone.register(&ceremony["public_key"]) });
    daemon.send_as(&session.token, "POST", &finish, &credential).expect(201);
    let asked = challenge(&daemon);
    assert_eq!(asked["methods"], json!(["passkey", "recovery_code"]));
    let signed = phone.sign_in(&asked["public_key"]);
    answer(&daemon, &challenge(&daemon), "passkey", &signed).expect_problem(401, "wrong_second_factor");
    let opened = person(&answer(&daemon, &asked, "passkey", &signed).expect(201));
    answer(&daemon, &asked, "passkey", &signed).expect_problem(401, "wrong_second_factor");
    answer(&daemon, &challenge(&daemon), "passkey", &signed).expect_problem(401, "wrong_second_factor");
    let listed = daemon.get_as(&opened.token, &path("")).expect(200);
    assert!(listed["passkeys"][0]["last_used_at"].is_string());
    // Somebody else's key answers for its owner alone.
    let mut stranger = Authenticator::new(2);
    let asked = challenge(&daemon);
    stranger.register(&ceremony["public_key"]);
    let forged = stranger.sign_in(&asked["public_key"]);
    answer(&daemon, &asked, "passkey", &forged).expect_problem(401, "wrong_second_factor");
}

#[test]
fn an_answer_is_one_of_three_and_a_challenge_is_of_this_box() {
    let daemon = Daemon::unlocked();
    grace(&daemon);
    let asked = challenge(&daemon);
    let name = &asked["challenge"];
    for body in [json!({ "challenge": name }), json!({ "challenge": name, "totp": "1", "recovery_code": "2" })] {
        daemon.anonymous("POST", "/sessions/second-factor", &body).expect_problem(422, "invalid_field");
    }
    answer(&daemon, &asked, "passkey", &json!({ "id": "x" })).expect_problem(422, "invalid_field");
    let unknown = json!({ "challenge": "unknown" });
    answer(&daemon, &unknown, "totp", &json!("000000")).expect_problem(401, "wrong_second_factor");
}

#[test]
fn a_password_that_is_changed_meanwhile_ends_the_login() {
    let daemon = Daemon::unlocked();
    let grace = grace(&daemon);
    let asked = challenge(&daemon);
    let reset = json!({ "new_password": "quiet marble lantern" });
    daemon.send("PUT", &format!("/users/{}/password", grace.session.id), &reset).expect(204);
    let right = json!(code(&daemon, &grace.secret, 0));
    answer(&daemon, &asked, "totp", &right).expect_problem(401, "wrong_credentials");
}

#[test]
fn an_administrator_takes_lost_factors_away_from_others() {
    let daemon = Daemon::unlocked();
    let grace = grace(&daemon);
    let reset = format!("/users/{}/second-factors", grace.session.id);
    let hedy = daemon.user("hedy", "editor");
    daemon.request_as(&hedy.token, "DELETE", &reset, &[], b"").expect_problem(403, "forbidden");
    challenge(&daemon);
    daemon.delete(&reset).expect(204);
    daemon.delete(&reset).expect(204);
    daemon.get_as(&grace.session.token, "/users/me").expect_problem(401, "unauthenticated");
    let again = daemon.log_in_as("grace", PASSWORD);
    assert_eq!(daemon.get_as(&again.token, &path("")).expect(200)["recovery_codes_left"], 0);
    let me = daemon.get("/users/me").expect(200)["id"].as_str().unwrap().to_owned();
    daemon.delete(&format!("/users/{me}/second-factors")).expect_problem(409, "own_account");
    let unknown = "/users/01890000-0000-7000-8000-000000000000/second-factors";
    daemon.delete(unknown).expect_problem(404, "not_found");
}
