//! Logging in and out.

use std::time::Duration;

use serde_json::json;

use crate::audit::{lock, rows, tamper};
use crate::harness::{ADMIN, ADMIN_PASSWORD, Daemon, MASTER_PASSWORD, PASSWORD, person};

#[test]
fn a_token_works_until_it_is_revoked_and_that_survives_a_restart() {
    let daemon = Daemon::unlocked();
    assert_eq!(daemon.get("/users/me").expect(200)["username"], ADMIN);
    daemon.delete("/sessions/current").expect(204);
    let token = daemon.token.clone();
    let reply = daemon.get("/users/me");
    assert_eq!(reply.header("www-authenticate"), "Bearer");
    reply.expect_problem(401, "unauthenticated");
    daemon.send_locally("POST", "/vault/lock", &json!({})).expect(200);
    daemon.unlock();
    daemon.get("/users/me").expect_problem(401, "unauthenticated");
    let mut daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.token = token;
    daemon.get("/users/me").expect_problem(401, "unauthenticated");
}

#[test]
fn a_token_survives_a_restart_and_lock_and_unlock() {
    let daemon = Daemon::unlocked();
    let token = daemon.token.clone();
    daemon.post("/vault/lock", &json!({})).expect(200);
    daemon.get("/users/me").expect_problem(423, "vault_locked");
    daemon.unlock();
    daemon.get("/users/me").expect(200);
    let mut daemon = daemon.stop_and_restart();
    daemon.unlock();
    daemon.token = token;
    daemon.get("/users/me").expect(200);
}

#[test]
fn many_sessions_and_each_ends_alone() {
    let mut daemon = Daemon::unlocked();
    let first = daemon.token.clone();
    daemon.log_in();
    let sessions = daemon.get("/sessions").expect(200);
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    assert_eq!((&sessions[0]["current"], &sessions[1]["current"]), (&json!(true), &json!(false)));
    let other = format!("/sessions/{}", sessions[1]["id"].as_str().unwrap());
    daemon.delete(&other).expect(204);
    daemon.delete(&other).expect_problem(404, "not_found");
    daemon.get("/users/me").expect(200);
    daemon.token = first;
    daemon.get("/users/me").expect_problem(401, "unauthenticated");
}

#[test]
fn an_access_token_ends_after_a_quarter_of_an_hour_and_is_refreshed() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "reader");
    daemon.advance(Duration::from_mins(14));
    daemon.get_as(&grace.token, "/users/me").expect(200);
    daemon.advance(Duration::from_mins(1));
    daemon.get_as(&grace.token, "/users/me").expect_problem(401, "unauthenticated");
    let second = person(&daemon.refresh(&grace.refresh_token).expect(200));
    daemon.get_as(&second.token, "/users/me").expect(200);
    // The session itself ends after 30 days without a refresh, and not before.
    daemon.advance(Duration::from_hours(29 * 24));
    let third = person(&daemon.refresh(&second.refresh_token).expect(200));
    daemon.advance(Duration::from_hours(29 * 24));
    let fourth = person(&daemon.refresh(&third.refresh_token).expect(200));
    daemon.advance(Duration::from_hours(30 * 24));
    daemon.refresh(&fourth.refresh_token).expect_problem(401, "unauthenticated");
}

#[test]
fn a_refresh_token_that_comes_twice_ends_the_session_and_only_this_one() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "reader");
    let elsewhere = daemon.log_in_as("grace", PASSWORD);
    let fresh = person(&daemon.refresh(&grace.refresh_token).expect(200));
    daemon.get_as(&grace.token, "/users/me").expect(200);
    daemon.refresh(&grace.refresh_token).expect_problem(401, "unauthenticated");
    for token in [&grace.token, &fresh.token] {
        daemon.get_as(token, "/users/me").expect_problem(401, "unauthenticated");
    }
    daemon.refresh(&fresh.refresh_token).expect_problem(401, "unauthenticated");
    daemon.get_as(&elsewhere.token, "/users/me").expect(200);
    daemon.refresh(&elsewhere.refresh_token).expect(200);
}

#[test]
fn a_refresh_token_used_by_two_at_the_same_time_serves_one_of_them_at_most() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "reader");
    let statuses = std::thread::scope(|scope| {
        let racers = [(); 4].map(|()| scope.spawn(|| daemon.refresh(&grace.refresh_token).status));
        racers.map(|racer| racer.join().unwrap())
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
}

#[test]
fn no_token_passes_for_one_of_another_kind() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "reader");
    daemon.get_as(&grace.refresh_token, "/users/me").expect_problem(401, "unauthenticated");
    daemon.refresh(&grace.token).expect_problem(401, "unauthenticated");
    daemon.refresh("nonsense").expect_problem(401, "unauthenticated");
    daemon.refresh(&grace.refresh_token).expect(200);
}

#[test]
fn a_session_says_where_it_is_used_from_and_when() {
    let daemon = Daemon::unlocked();
    let headers =
        [("content-type", "application/json"), ("cf-connecting-ip", "2001:db8::7"), ("user-agent", "Phone/1.0")];
    let body = json!({ "username": ADMIN, "password": ADMIN_PASSWORD, "name": "Ada's phone" }).to_string();
    let phone = person(&daemon.request_as("", "POST", "/sessions", &headers, body.as_bytes()).expect(201));
    let newest = || daemon.get("/sessions").expect(200)[0].clone();
    let seen = newest();
    assert_eq!((&seen["name"], &seen["user_agent"]), (&json!("Ada's phone"), &json!("Phone/1.0")));
    assert_eq!(seen["address"], "2001:db8::7");
    assert_eq!(seen["created_at"], seen["last_used_at"]);
    daemon.advance(Duration::from_secs(90));
    let moved = [("cf-connecting-ip", "192.0.2.9")];
    daemon.request_as(&phone.token, "GET", "/users/me", &moved, b"").expect(200);
    let seen = newest();
    assert_eq!(seen["address"], "192.0.2.9");
    assert!(seen["last_used_at"].as_str() > seen["created_at"].as_str());
    let unnamed = json!({ "username": ADMIN, "password": ADMIN_PASSWORD, "name": "" });
    daemon.anonymous("POST", "/sessions", &unnamed).expect_problem(422, "invalid_field");
}

#[test]
fn only_a_proxy_that_the_configuration_names_is_believed() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let state = directory.path().join("state");
    let mut command = std::process::Command::new(crate::harness::COFFERD);
    command.args(["serve", "--listen", "127.0.0.1:0", "--trusted-proxy", "192.0.2.1", "--state"]).arg(&state);
    let mut daemon = Daemon::spawn(command, state, &directory);
    daemon.send_locally("POST", "/vault", &crate::harness::creation(None)).expect(201);
    let headers = [("content-type", "application/json"), ("cf-connecting-ip", "203.0.113.5")];
    let body = json!({ "username": ADMIN, "password": ADMIN_PASSWORD }).to_string();
    daemon.token = person(&daemon.request_as("", "POST", "/sessions", &headers, body.as_bytes()).expect(201)).token;
    assert_eq!(daemon.get("/sessions").expect(200)[0]["address"], "127.0.0.1");
}

#[test]
fn an_address_that_is_none_is_not_believed_even_of_a_proxy() {
    let mut daemon = Daemon::unlocked();
    for odd in ["", "localhost", "192.0.2.300", "192.0.2.1, 192.0.2.2", "[2001:db8::1]"] {
        let headers = [("content-type", "application/json"), ("cf-connecting-ip", odd)];
        let body = json!({ "username": ADMIN, "password": ADMIN_PASSWORD }).to_string();
        daemon.token = person(&daemon.request_as("", "POST", "/sessions", &headers, body.as_bytes()).expect(201)).token;
        assert_eq!(daemon.get("/sessions").expect(200)[0]["address"], "127.0.0.1", "{odd}");
    }
}

#[test]
fn all_other_sessions_end_together() {
    let daemon = Daemon::unlocked();
    let [first, second] = [(); 2].map(|()| daemon.log_in_as(ADMIN, ADMIN_PASSWORD));
    let grace = daemon.user("grace", "reader");
    daemon.delete("/sessions").expect(204);
    daemon.delete("/sessions").expect(204);
    for person in [first, second] {
        daemon.get_as(&person.token, "/users/me").expect_problem(401, "unauthenticated");
        daemon.refresh(&person.refresh_token).expect_problem(401, "unauthenticated");
    }
    daemon.get("/users/me").expect(200);
    daemon.get_as(&grace.token, "/users/me").expect(200);
}

#[test]
fn nobody_ends_the_session_of_somebody_else() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "editor");
    let session = daemon.get("/sessions").expect(200)[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/sessions/{session}");
    daemon.request_as(&grace.token, "DELETE", &path, &[], b"").expect_problem(404, "not_found");
    daemon.get("/users/me").expect(200);
}

#[test]
fn a_source_that_guesses_at_many_names_is_slowed_down_and_others_are_not() {
    let daemon = Daemon::locked();
    daemon.unlock();
    let guess = |n: u32, from: &str| {
        let headers = [("content-type", "application/json"), ("cf-connecting-ip", from)];
        let body = json!({ "username": format!("name_{n}"), "password": "not the password" }).to_string();
        daemon.request_as("", "POST", "/sessions", &headers, body.as_bytes())
    };
    for n in 0..11 {
        guess(n, "192.0.2.1").expect_problem(401, "wrong_credentials");
    }
    let slowed = guess(11, "192.0.2.1");
    assert_eq!(slowed.header("retry-after"), "2");
    slowed.expect_problem(429, "too_many_attempts");
    guess(12, "192.0.2.2").expect_problem(401, "wrong_credentials");
    daemon.advance(Duration::from_secs(2));
    guess(13, "192.0.2.1").expect_problem(401, "wrong_credentials");
}

#[test]
fn logins_that_fail_or_are_refused_are_in_the_log_and_a_flood_does_not_fill_it() {
    let daemon = Daemon::unlocked();
    let guess = |name: &str| {
        let headers = [("content-type", "application/json"), ("cf-connecting-ip", "192.0.2.1")];
        let body = json!({ "username": name, "password": "not the password" }).to_string();
        daemon.request_as("", "POST", "/sessions", &headers, body.as_bytes())
    };
    let refused = |times: usize| {
        for _ in 0..times {
            guess("grace").expect_problem(429, "too_many_attempts");
        }
    };
    let told = |outcome: &str| rows(&daemon, &format!("action=session.opened&outcome={outcome}"));
    guess("no such name!").expect_problem(401, "wrong_credentials");
    for _ in 0..4 {
        guess("grace").expect_problem(401, "wrong_credentials");
    }
    assert_eq!(told("failed").len(), 5);
    refused(5);
    daemon.advance(Duration::from_secs(2));
    guess("grace").expect_problem(401, "wrong_credentials");
    refused(5);
    assert_eq!((told("failed").len(), told("refused").len()), (6, 2), "one for each pause");
    let row = told("refused").remove(0);
    assert_eq!((&row["address"], &row["detail"]), (&json!("192.0.2.1"), &json!("too many attempts")));
    assert!(
        !rows(&daemon, "limit=500").iter().any(|row| row.to_string().contains("grace")),
        "a typed name may be a secret"
    );
}

#[test]
fn a_strangers_guesses_do_not_keep_anybody_out_who_has_logged_in_from_home() {
    let daemon = Daemon::unlocked();
    let log_in = |password: &str, from: &str| {
        let headers = [("content-type", "application/json"), ("cf-connecting-ip", from)];
        let body = json!({ "username": ADMIN, "password": password }).to_string();
        daemon.request_as("", "POST", "/sessions", &headers, body.as_bytes())
    };
    log_in(ADMIN_PASSWORD, "2001:db8:1:2::3").expect(201);
    for _ in 0..4 {
        log_in("not the password", "192.0.2.1").expect_problem(401, "wrong_credentials");
    }
    log_in(ADMIN_PASSWORD, "192.0.2.2").expect_problem(429, "too_many_attempts");
    log_in(ADMIN_PASSWORD, "2001:db8:1:2::4").expect(201);
    daemon.advance(Duration::from_secs(2));
    log_in(ADMIN_PASSWORD, "192.0.2.2").expect(201);
}

#[test]
fn wrong_credentials_look_the_same_and_are_slowed_down() {
    let daemon = Daemon::locked();
    daemon.unlock();
    let log_in =
        |name: &str, password: &str| daemon.post("/sessions", &json!({ "username": name, "password": password }));
    let wrong_password = log_in(ADMIN, "not the password").expect_problem(401, "wrong_credentials");
    let unknown = log_in("nobody_", "not the password").expect_problem(401, "wrong_credentials");
    let impossible = log_in("no such name!", "not the password").expect_problem(401, "wrong_credentials");
    assert_eq!(wrong_password, unknown);
    assert_eq!(wrong_password, impossible);
    for name in [ADMIN, "nobody_"] {
        for _ in 0..3 {
            log_in(name, "not the password").expect_problem(401, "wrong_credentials");
        }
        let slowed = log_in(name, ADMIN_PASSWORD).expect_problem(429, "too_many_attempts");
        assert!(slowed["retry_after_s"].as_u64().unwrap() >= 1);
    }
}

#[test]
fn a_restart_forgives_no_guess() {
    let daemon = Daemon::locked();
    daemon.unlock();
    let guess = |daemon: &Daemon| daemon.post("/sessions", &json!({ "username": ADMIN, "password": "wrong password" }));
    for _ in 0..4 {
        guess(&daemon).expect_problem(401, "wrong_credentials");
    }
    guess(&daemon).expect_problem(429, "too_many_attempts");
    let daemon = daemon.stop_and_restart();
    daemon.unlock();
    daemon.advance(Duration::from_secs(2));
    guess(&daemon).expect_problem(401, "wrong_credentials");
    let slowed = guess(&daemon);
    assert_eq!(slowed.header("retry-after"), "4", "the count goes on");
    daemon.advance(Duration::from_secs(4));
    daemon.post("/sessions", &json!({ "username": ADMIN, "password": ADMIN_PASSWORD })).expect(201);
    guess(&daemon).expect_problem(401, "wrong_credentials");
}

#[test]
fn a_session_that_runs_is_not_touched_by_a_strangers_guesses() {
    let daemon = Daemon::unlocked();
    for _ in 0..6 {
        daemon.post("/sessions", &json!({ "username": ADMIN, "password": "not the password" }));
    }
    daemon.get("/users/me").expect(200);
}

#[test]
fn what_is_not_a_token_is_refused() {
    let mut daemon = Daemon::unlocked();
    let genuine = daemon.token.clone();
    let (body, signature) = genuine.rsplit_once('.').unwrap();
    let none = format!("eyJhbGciOiJub25lIn0.{}.", body.split_once('.').unwrap().1);
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    for forged in ["x", "a.b.c", &none, body, &format!("{body}.{flipped}{}", &signature[1..]), &"x".repeat(5000)] {
        daemon.token = forged.to_owned();
        daemon.get("/users/me").expect_problem(401, "unauthenticated");
    }
    daemon.token = genuine;
    daemon.get("/users/me").expect(200);
}

#[test]
fn a_token_of_another_box_is_refused() {
    let one = Daemon::unlocked();
    let other = Daemon::unclaimed();
    other.send_locally("POST", "/vault", &crate::harness::creation(None)).expect(201);
    let mut other = other;
    other.token = one.token.clone();
    other.get("/users/me").expect_problem(401, "unauthenticated");
}

#[test]
fn a_password_that_was_hashed_with_other_parameters_is_hashed_anew_at_login() {
    use argon2::password_hash::PasswordHasher;
    let daemon = Daemon::unlocked();
    daemon.user("grace", "reader");
    let weak = argon2::Params::new(8192, 1, 1, None).unwrap();
    let weak = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, weak);
    let hash = weak.hash_password(PASSWORD.as_bytes()).unwrap().to_string();
    lock(&daemon);
    tamper(&daemon, &format!("UPDATE users SET password_hash = '{hash}' WHERE username = 'grace'")).unwrap();
    daemon.unlock();
    let wrong = json!({ "username": "grace", "password": "not the password" });
    daemon.anonymous("POST", "/sessions", &wrong).expect_problem(401, "wrong_credentials");
    daemon.log_in_as("grace", PASSWORD);
    lock(&daemon);
    let only_today = "CREATE TEMP TABLE t (x CHECK (x LIKE '$argon2id$v=19$m=65536,t=3,p=1$%'));
                      INSERT INTO t SELECT password_hash FROM users";
    tamper(&daemon, only_today).unwrap();
    daemon.unlock();
    daemon.log_in_as("grace", PASSWORD);
}

#[test]
fn nobody_logs_in_while_the_vault_is_locked_or_absent() {
    let body = json!({ "username": ADMIN, "password": ADMIN_PASSWORD });
    Daemon::locked().post("/sessions", &body).expect_problem(423, "vault_locked");
    Daemon::unclaimed().post("/sessions", &body).expect_problem(409, "vault_absent");
    let unlock = json!({ "master_password": MASTER_PASSWORD });
    Daemon::unclaimed().post("/vault/unlock", &unlock).expect_problem(409, "vault_absent");
}
