//! Logging in and out.

use serde_json::json;

use crate::harness::{ADMIN, ADMIN_PASSWORD, Daemon, MASTER_PASSWORD};

#[test]
fn a_token_works_until_it_is_revoked_and_that_survives_a_restart() {
    let daemon = Daemon::unlocked();
    assert_eq!(daemon.get("/users/me").expect(200)["username"], ADMIN);
    daemon.delete("/sessions/current").expect(204);
    let token = daemon.token.clone();
    let reply = daemon.get("/users/me");
    assert_eq!(reply.header("www-authenticate"), "Bearer");
    reply.expect_problem(401, "unauthenticated");
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
fn nobody_logs_in_while_the_vault_is_locked_or_absent() {
    let body = json!({ "username": ADMIN, "password": ADMIN_PASSWORD });
    Daemon::locked().post("/sessions", &body).expect_problem(423, "vault_locked");
    Daemon::unclaimed().post("/sessions", &body).expect_problem(409, "vault_absent");
    let unlock = json!({ "master_password": MASTER_PASSWORD });
    Daemon::unclaimed().post("/vault/unlock", &unlock).expect_problem(409, "vault_absent");
}
