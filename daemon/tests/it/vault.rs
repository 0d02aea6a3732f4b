//! Creating, unlocking, and the secrets that it takes.

use std::fs;

use serde_json::json;

use crate::harness::{ADMIN, Daemon, MASTER_PASSWORD, creation, recovery_key, setup_code};

#[test]
fn a_new_box_is_claimed_with_its_setup_code() {
    let daemon = Daemon::unclaimed();
    assert_eq!(daemon.health()["vault"], "absent");
    assert_eq!(daemon.health()["key_file"], "absent");
    let code = setup_code(&daemon);
    let created = daemon.post("/vault", &creation(Some(&code.to_lowercase()))).expect(201);
    assert_eq!(created["recovery_key"].as_str().unwrap().split('-').map(str::len).collect::<Vec<_>>(), [4; 7]);
    assert_eq!(daemon.health()["vault"], "unlocked");
    assert_eq!(daemon.health()["status"], "ok");
    assert!(!daemon.path("SETUP-CODE.txt").exists(), "the used code is gone");
    assert!(!daemon.path("cipher.creating").exists() && !daemon.path("secrets/vault.keys.creating").exists());
}

#[test]
fn nobody_claims_a_box_without_its_code_or_twice() {
    let daemon = Daemon::unclaimed();
    daemon.post("/vault", &creation(None)).expect_problem(403, "wrong_setup_code");
    let code = setup_code(&daemon);
    let wrong = daemon.post("/vault", &creation(Some("0000-0000-1010")));
    wrong.expect_problem(403, "wrong_setup_code");
    let early = daemon.post("/vault", &creation(Some(&code)));
    assert!(early.header("retry-after").parse::<u64>().unwrap() >= 1);
    early.expect_problem(429, "too_many_attempts");
    assert_eq!(daemon.health()["vault"], "absent");
    assert!(!daemon.path("secrets/vault.keys").exists());
    assert!(daemon.path("SETUP-CODE.txt").exists(), "a failed attempt leaves the code where it is");

    daemon.send_locally("POST", "/vault", &creation(None)).expect(201);
    daemon.post("/vault", &creation(Some(&code))).expect_problem(409, "vault_exists");
    daemon.send_locally("POST", "/vault", &creation(None)).expect_problem(409, "vault_exists");
}

#[test]
fn weak_passwords_are_refused_by_field_and_not_repeated() {
    let daemon = Daemon::unclaimed();
    for (pointer, value, field) in [
        ("/master_password", "short", "master_password"),
        ("/master_password", "passwordpassword", "master_password"),
        ("/admin/password", "12345678901234", "admin.password"),
        ("/admin/password", MASTER_PASSWORD, "admin.password"),
        ("/admin/username", "a b", "admin.username"),
    ] {
        let mut body = creation(Some("0000-0000-1010"));
        *body.pointer_mut(pointer).unwrap() = value.into();
        let problem = daemon.post("/vault", &body).expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["field"], field);
        assert!(!problem.to_string().contains(value), "{problem}");
    }
    assert_eq!(daemon.health()["vault"], "absent");
}

#[test]
fn the_vault_opens_with_the_master_password_or_the_recovery_key() {
    let daemon = Daemon::locked();
    assert_eq!(daemon.health()["vault"], "locked");
    daemon.get("/files").expect_problem(423, "vault_locked");
    daemon.unlock();
    let again = daemon.post("/vault/unlock", &json!({ "master_password": MASTER_PASSWORD }));
    again.expect_problem(409, "vault_state");
    daemon.post("/vault/lock", &json!({ "master_password": MASTER_PASSWORD })).expect(200);
    let typed = recovery_key().to_lowercase().replace('-', " ");
    let health = daemon.post("/vault/unlock", &json!({ "recovery_key": typed })).expect(200);
    assert_eq!(health["vault"], "unlocked");
}

#[test]
fn wrong_secrets_are_counted_and_the_count_survives_a_restart() {
    let daemon = Daemon::locked();
    let guess = json!({ "master_password": "a wrong master password" });
    daemon.post("/vault/unlock", &guess).expect_problem(403, "wrong_master_secret");
    let early = daemon.post("/vault/unlock", &json!({ "master_password": MASTER_PASSWORD }));
    early.expect_problem(429, "too_many_attempts");
    let record = fs::read_to_string(daemon.path("device/attempts-network.json")).unwrap();
    assert!(record.contains("\"failures\":1"), "{record}");
    let in_future = record.replace("\"failures\":1", "\"failures\":40");
    let mut daemon = daemon;
    daemon.kill();
    fs::write(daemon.path("device/attempts-network.json"), in_future).unwrap();
    let daemon = daemon.restart_killed();
    let problem = daemon.post("/vault/unlock", &guess).expect_problem(429, "too_many_attempts");
    assert!(problem["retry_after_s"].as_u64().unwrap() > 30, "{problem}");
    // The control socket has a count of its own: a guest in the network cannot keep the owner out.
    daemon.send_locally("POST", "/vault/unlock", &json!({ "master_password": MASTER_PASSWORD })).expect(200);
}

#[test]
fn a_mistyped_recovery_key_is_told_apart_and_is_not_a_guess() {
    let daemon = Daemon::locked();
    let mut typed = recovery_key();
    let last = if typed.pop() == Some('0') { '1' } else { '0' };
    typed.push(last);
    let problem = daemon.post("/vault/unlock", &json!({ "recovery_key": typed }));
    let problem = problem.expect_problem(422, "invalid_field");
    assert_eq!(problem["errors"][0]["field"], "recovery_key");
    daemon.unlock();
}

#[test]
fn one_secret_at_a_time() {
    let daemon = Daemon::locked();
    daemon.post("/vault/unlock", &json!({})).expect_problem(422, "invalid_field");
    let both = json!({ "master_password": MASTER_PASSWORD, "recovery_key": recovery_key() });
    daemon.post("/vault/unlock", &both).expect_problem(422, "invalid_field");
}

#[test]
fn verifications_take_turns() {
    let daemon = Daemon::locked();
    let guess = json!({ "master_password": "a wrong master password" });
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..4).map(|_| scope.spawn(|| daemon.post("/vault/unlock", &guess).status)).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 403).count(), 1, "one was verified: {codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 429).count(), 3, "the others wait: {codes:?}");
    let record = fs::read_to_string(daemon.path("device/attempts-network.json")).unwrap();
    assert!(record.contains("\"failures\":1"), "{record}");
}

#[test]
fn the_audit_tells_of_creation_unlocking_and_failed_attempts() {
    let daemon = Daemon::locked();
    let guess = json!({ "master_password": "a wrong master password" });
    daemon.send_locally("POST", "/vault/unlock", &guess).expect_problem(403, "wrong_master_secret");
    daemon.unlock();
    let mut daemon = daemon;
    daemon.log_in();
    daemon.post("/sessions", &json!({ "username": ADMIN, "password": "not the password" }));
    let audit = daemon.get("/audit").expect(200);
    let told: Vec<(String, String)> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap().to_owned(), entry["outcome"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [
        ("session.opened", "failed"),
        ("session.opened", "success"),
        ("vault.unlocked", "success"),
        ("vault.events_merged", "success"),
        ("vault.unlocked", "failed"),
        ("vault.locked", "success"),
        ("vault.created", "success"),
    ];
    assert_eq!(told, expected.map(|(action, outcome)| (action.to_owned(), outcome.to_owned())));
}
