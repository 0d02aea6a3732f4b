//! Locking: in time, whatever runs, and so that nothing stays readable.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{send_head, tcp};
use crate::harness::{Daemon, content};

/// The daemon's own limits add up to less than two seconds; this is for a busy machine.
const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn the_vault_locks_while_twenty_transfers_run() {
    let daemon = Daemon::unlocked();
    let large = daemon.upload("large", &content(40_000_000, 1)).expect(201)["id"].as_str().unwrap().to_owned();
    let token = format!("Bearer {}", daemon.token);
    let mut uploads: Vec<TcpStream> = (0..10)
        .map(|number| {
            let mut stream = tcp(daemon.address);
            let headers = [("authorization", token.as_str()), ("content-length", "50000000")];
            send_head(&mut stream, "POST", &format!("/api/v1/files?name=up{number}"), &headers);
            stream.write_all(&content(1_500_000, number)).unwrap();
            stream
        })
        .collect();
    // Clients that have asked and do not read: their replies fill the buffers and stand still.
    let mut downloads: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut stream = tcp(daemon.address);
            send_head(&mut stream, "GET", &format!("/api/v1/files/{large}/content"), &[("authorization", &token)]);
            let mut first = [0; 1];
            stream.read_exact(&mut first).unwrap();
            stream
        })
        .collect();

    let start = Instant::now();
    daemon.post("/vault/lock", &json!({})).expect(200);
    let took = start.elapsed();
    assert!(took < LIMIT, "{took:?}");
    assert_eq!(daemon.health()["vault"], "locked");
    assert_eq!(daemon.children(), Vec::<u32>::new(), "gocryptfs is gone");
    for stream in &mut uploads {
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply);
        assert!(reply.is_empty() || reply.contains("423"), "{reply}");
    }
    for stream in &mut downloads {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 40_000_000, "the rest of the plaintext did not come");
    }
    daemon.unlock();
    let names = daemon.get("/files").expect(200);
    assert_eq!(names["items"].as_array().unwrap().len(), 1, "nothing half-written is listed");
}

#[test]
fn after_locking_no_descriptor_and_no_mount_of_the_vault_is_left() {
    let daemon = Daemon::unlocked();
    daemon.upload("f", b"x").expect(201);
    let pid = daemon.pid();
    let mounts = || fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    assert!(mounts().contains("fuse.gocryptfs"));
    daemon.post("/vault/lock", &json!({})).expect(200);
    assert!(!mounts().contains("fuse.gocryptfs"));
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap_or_default();
        assert!(!target.starts_with(daemon.path("run/mnt")), "{target:?}");
    }
}

#[test]
fn nobody_else_sees_the_mount() {
    let daemon = Daemon::unlocked();
    daemon.upload("f", b"x").expect(201);
    let ours = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!ours.contains(daemon.state.to_str().unwrap()), "{ours}");
    assert_eq!(fs::read_dir(daemon.path("run/mnt")).unwrap().count(), 0);
}

#[test]
fn locking_needs_a_credential_and_may_be_done_twice() {
    let daemon = Daemon::unlocked();
    let token = daemon.token.clone();
    let mut stranger = daemon;
    stranger.token.clear();
    stranger.post("/vault/lock", &json!({})).expect_problem(401, "unauthenticated");
    stranger
        .post("/vault/lock", &json!({ "master_password": "a wrong one" }))
        .expect_problem(403, "wrong_master_secret");
    assert_eq!(stranger.health()["vault"], "unlocked");
    stranger.token = token;
    stranger.post("/vault/lock", &json!({})).expect(200);
    // The token means nothing any more: its key is locked away as well.
    stranger.post("/vault/lock", &json!({})).expect_problem(423, "vault_locked");
}

#[test]
fn stopping_the_daemon_locks_the_vault() {
    let mut daemon = Daemon::unlocked();
    let gocryptfs = daemon.children();
    assert_eq!(gocryptfs.len(), 1);
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(!std::path::Path::new(&format!("/proc/{}", gocryptfs[0])).exists());
    assert!(daemon.log().contains("the vault is locked"));
}
