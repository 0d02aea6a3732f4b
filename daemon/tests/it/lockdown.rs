//! Lockdown: the owner shuts the vault, and only the master password opens it again.

use serde_json::json;

use crate::harness::{Daemon, MASTER_PASSWORD};

#[test]
fn a_lockdown_ends_sessions_locks_and_survives_a_restart() {
    let daemon = Daemon::unlocked();
    let token = daemon.token.clone();
    daemon.send("PUT", "/vault/lockdown", &json!({})).expect(200);
    assert_eq!(daemon.health()["lockdown"], true);
    assert_eq!(daemon.health()["vault"], "locked");
    daemon.get("/files").expect_problem(423, "lockdown");

    let mut daemon = daemon.crash_and_restart();
    let unlock = json!({ "master_password": MASTER_PASSWORD });
    daemon.post("/vault/unlock", &unlock).expect_problem(423, "lockdown");
    daemon.send_locally("POST", "/vault/unlock", &unlock).expect_problem(423, "lockdown");
    let wrong = json!({ "master_password": "a wrong master password" });
    daemon.send_locally("DELETE", "/vault/lockdown", &wrong).expect_problem(403, "wrong_master_secret");
    let health = daemon.send("DELETE", "/vault/lockdown", &unlock).expect(200);
    assert_eq!((&health["lockdown"], &health["vault"]), (&json!(false), &json!("locked")));
    daemon.unlock();
    daemon.token = token;
    daemon.get("/files").expect_problem(401, "unauthenticated");
}

#[test]
fn a_stranger_cannot_begin_one() {
    let daemon = Daemon::locked();
    daemon.send("PUT", "/vault/lockdown", &json!({})).expect_problem(401, "unauthenticated");
    let wrong = json!({ "master_password": "a wrong master password" });
    daemon.send("PUT", "/vault/lockdown", &wrong).expect_problem(403, "wrong_master_secret");
    assert_eq!(daemon.health()["lockdown"], false);
    daemon.send_locally("PUT", "/vault/lockdown", &json!({})).expect(200);
    daemon.send_locally("PUT", "/vault/lockdown", &json!({})).expect(200);
    assert_eq!(daemon.health()["lockdown"], true);
}
