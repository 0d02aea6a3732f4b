//! The control socket: what its file permissions guard.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::harness::{Daemon, creation};

#[test]
fn whoever_may_open_the_socket_may_create_and_lock() {
    let daemon = Daemon::unclaimed();
    let mode = std::fs::metadata(daemon.path("run/control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "nobody but the owner and the group");
    daemon.send_locally("POST", "/vault", &creation(None)).expect(201);
    let health = daemon.send_locally("POST", "/vault/lock", &json!({})).expect(200);
    assert_eq!(health["vault"], "locked");
    daemon.send_locally("POST", "/vault/lock", &json!({})).expect(200);
}

#[test]
fn the_socket_gives_no_data_without_a_token() {
    let daemon = Daemon::unlocked();
    daemon.send_locally("GET", "/files", &json!({})).expect_problem(401, "unauthenticated");
}
