//! The ways to open the vault, and changing them.

use std::fs;

use serde_json::json;

use crate::harness::{Daemon, MASTER_PASSWORD, recovery_key};

const NEW_PASSWORD: &str = "teal harpsichord under lilac";

#[test]
fn the_master_password_changes_on_a_locked_vault_and_touches_the_key_file_only() {
    let daemon = Daemon::locked();
    let cipher_before = fs::read(daemon.path("cipher/gocryptfs.conf")).unwrap();
    let keys_before = fs::read(daemon.path("secrets/vault.keys")).unwrap();
    let change = json!({ "current_master_password": MASTER_PASSWORD, "new_master_password": NEW_PASSWORD });
    daemon.send("PUT", "/vault/master-password", &change).expect(204);
    assert_eq!(fs::read(daemon.path("cipher/gocryptfs.conf")).unwrap(), cipher_before);
    assert_ne!(fs::read(daemon.path("secrets/vault.keys")).unwrap(), keys_before);
    let old = daemon.post("/vault/unlock", &json!({ "master_password": MASTER_PASSWORD }));
    old.expect_problem(403, "wrong_master_secret");
    let new = json!({ "master_password": NEW_PASSWORD });
    daemon.send_locally("POST", "/vault/unlock", &new).expect(200);
}

#[test]
fn a_change_on_an_unlocked_vault_does_not_alarm_the_watchdog() {
    let daemon = Daemon::unlocked();
    let change = json!({ "recovery_key": recovery_key(), "new_master_password": NEW_PASSWORD });
    daemon.send("PUT", "/vault/master-password", &change).expect(204);
    daemon.get("/files").expect(200);
    assert_eq!(daemon.health()["vault"], "unlocked");
    let audit = daemon.get("/audit?limit=1").expect(200);
    assert_eq!(audit["items"][0]["action"], "vault.master_password_changed");
}

#[test]
fn a_weak_or_unproved_change_changes_nothing() {
    let daemon = Daemon::locked();
    let before = fs::read(daemon.path("secrets/vault.keys")).unwrap();
    let weak = json!({ "current_master_password": MASTER_PASSWORD, "new_master_password": "password" });
    daemon.send("PUT", "/vault/master-password", &weak).expect_problem(422, "invalid_field");
    let wrong = json!({ "current_master_password": "a wrong password", "new_master_password": NEW_PASSWORD });
    daemon.send("PUT", "/vault/master-password", &wrong).expect_problem(403, "wrong_master_secret");
    assert_eq!(fs::read(daemon.path("secrets/vault.keys")).unwrap(), before);
}

#[test]
fn a_new_recovery_key_ends_the_old_one() {
    let daemon = Daemon::locked();
    let proof = json!({ "master_password": MASTER_PASSWORD });
    let new = daemon.post("/vault/recovery-key", &proof).expect(201)["recovery_key"].clone();
    let old = daemon.post("/vault/unlock", &json!({ "recovery_key": recovery_key() }));
    old.expect_problem(403, "wrong_master_secret");
    daemon.send_locally("POST", "/vault/unlock", &json!({ "recovery_key": new })).expect(200);
}

#[test]
fn slots_are_listed_and_removed_but_not_the_last_password() {
    let daemon = Daemon::locked();
    let proof = json!({ "master_password": MASTER_PASSWORD });
    let slots = daemon.post("/vault/key-slots/list", &proof).expect(200);
    let kinds: Vec<&str> = slots.as_array().unwrap().iter().map(|slot| slot["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["master_password", "recovery_key"]);
    assert!(slots[0]["scrypt_log_n"].as_u64().unwrap() >= 17);
    let remove = |id: &str| daemon.send("DELETE", &format!("/vault/key-slots/{id}"), &proof);
    remove(slots[0]["id"].as_str().unwrap()).expect_problem(409, "key_slot_needed");
    remove("01a1fd16-afea-707b-afb4-166dd8225dae").expect_problem(404, "not_found");
    remove("nonsense").expect_problem(404, "not_found");
    remove(slots[1]["id"].as_str().unwrap()).expect(204);
    let old = daemon.post("/vault/unlock", &json!({ "recovery_key": recovery_key() }));
    old.expect_problem(403, "wrong_master_secret");
}

#[test]
fn an_older_key_file_is_accepted_and_reported() {
    let daemon = Daemon::unlocked();
    let older = fs::read(daemon.path("secrets/vault.keys")).unwrap();
    let change = json!({ "current_master_password": MASTER_PASSWORD, "new_master_password": NEW_PASSWORD });
    daemon.send("PUT", "/vault/master-password", &change).expect(204);
    daemon.post("/vault/lock", &json!({})).expect(200);
    fs::write(daemon.path("secrets/vault.keys"), older).unwrap();
    daemon.unlock();
    let audit = daemon.get("/audit?limit=2").expect(200);
    let actions = [&audit["items"][0]["action"], &audit["items"][1]["action"]];
    assert!(actions.iter().any(|action| **action == "vault.older_key_file_accepted"), "{audit}");
}
