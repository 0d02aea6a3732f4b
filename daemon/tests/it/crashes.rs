//! What is acknowledged stays, whatever dies.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{send_head, tcp};
use crate::harness::{COFFERD, Daemon, content, creation, files_below, run, sha256};

fn gone(pid: u32) -> bool {
    // A zombie has ended; its parent has not looked yet.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
        || !Path::new(&format!("/proc/{pid}")).exists()
}

/// Sends the first part of an upload, and keeps the connection.
fn half_an_upload(daemon: &Daemon) -> TcpStream {
    let token = format!("Bearer {}", daemon.token);
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", token.as_str()), ("content-length", "9000000")];
    send_head(&mut stream, "POST", "/api/v1/files?name=half", &headers);
    stream.write_all(&content(4_000_000, 9)).unwrap();
    stream
}

pub(crate) fn wait_until_gone(pid: u32) {
    let start = Instant::now();
    while !gone(pid) {
        assert!(start.elapsed() < Duration::from_secs(20), "process {pid} lives on");
        std::thread::yield_now();
    }
}

#[test]
fn a_killed_daemon_takes_gocryptfs_with_it_and_loses_nothing_acknowledged() {
    let daemon = Daemon::unlocked();
    let files: Vec<(String, Vec<u8>)> = (0..5).map(|n| (format!("f{n}"), content(300_000 + n, n as u64))).collect();
    for (name, bytes) in &files {
        daemon.upload(name, bytes).expect(201);
    }
    let _half = half_an_upload(&daemon);
    let gocryptfs = daemon.children()[0];
    let mut daemon = daemon.crash_and_restart();
    wait_until_gone(gocryptfs);
    assert_eq!(daemon.health()["vault"], "locked");
    daemon.unlock();
    daemon.log_in();
    let listed = daemon.get("/files").expect(200);
    let listed = listed["items"].as_array().unwrap();
    assert_eq!(listed.len(), files.len());
    for (file, (name, bytes)) in listed.iter().zip(&files) {
        assert_eq!(
            (file["name"].as_str().unwrap(), file["sha256"].as_str().unwrap()),
            (name.as_str(), sha256(bytes).as_str())
        );
        assert!(&daemon.get(&format!("/files/{}/content", file["id"].as_str().unwrap())).body == bytes);
    }
}

#[test]
fn the_rest_of_an_interrupted_upload_is_swept_at_the_next_unlock() {
    let daemon = Daemon::unlocked();
    let clean = files_below(&daemon.path("cipher")).len();
    let _half = half_an_upload(&daemon);
    let start = Instant::now();
    while files_below(&daemon.path("cipher")).len() == clean {
        assert!(start.elapsed() < Duration::from_secs(20), "the upload did not begin");
    }
    let gocryptfs = daemon.children()[0];
    let daemon = daemon.crash_and_restart();
    wait_until_gone(gocryptfs);
    let left = files_below(&daemon.path("cipher")).len();
    daemon.unlock();
    let start = Instant::now();
    while files_below(&daemon.path("cipher")).len() >= left {
        assert!(start.elapsed() < Duration::from_secs(20), "the rest was not swept");
    }
}

#[test]
fn when_gocryptfs_dies_the_vault_is_locked_and_can_be_unlocked_again() {
    let daemon = Daemon::unlocked();
    daemon.upload("f", b"content").expect(201);
    let gocryptfs = daemon.children()[0];
    assert!(Command::new("kill").args(["-KILL", &gocryptfs.to_string()]).status().unwrap().success());
    daemon.wait_for_vault("locked", Duration::from_secs(20));
    assert_eq!(daemon.children(), Vec::<u32>::new());
    daemon.get("/files").expect_problem(423, "vault_locked");
    daemon.unlock();
    let files = daemon.get("/files").expect(200);
    let id = files["items"][0]["id"].as_str().unwrap();
    assert_eq!(daemon.get(&format!("/files/{id}/content")).body, b"content");
}

#[test]
fn a_cipher_directory_in_use_is_not_mounted_twice() {
    let daemon = Daemon::unlocked();
    // Another daemon with an identity of its own, on the same key and the same ciphertext.
    let other = daemon.state.with_file_name("other");
    for directory in ["run", "device"] {
        fs::create_dir_all(other.join(directory)).unwrap();
    }
    let mut command = Command::new(COFFERD);
    command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(&other);
    command.arg("--secrets").arg(daemon.path("secrets")).arg("--cipher").arg(daemon.path("cipher"));
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let second = Daemon::spawn(command, other, &directory);
    let refused = second.post("/vault/unlock", &json!({ "master_password": crate::harness::MASTER_PASSWORD }));
    let problem = refused.expect_problem(503, "storage_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("another process"), "{problem}");
    assert_eq!(second.health()["vault"], "locked");
    daemon.upload("f", b"the first one is not disturbed").expect(201);
}

/// A daemon whose mount point was used by hand; `after` is what happened to that gocryptfs, in `$gocryptfs`.
fn after_a_manual_mount(after: &str) -> (Command, std::path::PathBuf, std::sync::Arc<tempfile::TempDir>) {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let state = directory.path().join("state");
    fs::create_dir_all(state.join("run/mnt")).unwrap();
    fs::create_dir(directory.path().join("other")).unwrap();
    let script = format!(
        "cd '{root}' && echo pw | gocryptfs -init -q -scryptn 10 other && \
         {{ echo pw | gocryptfs -q -fg other state/run/mnt >/dev/null 2>&1 & }} && \
         until mountpoint -q state/run/mnt; do sleep 0.05; done; gocryptfs=$!; {after}; \
         exec '{COFFERD}' serve --listen 127.0.0.1:0 --state state",
        root = directory.path().display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "-c", &script]);
    (command, state, directory)
}

#[test]
fn a_dead_mount_that_was_made_by_hand_is_cleaned_up_at_the_start() {
    let (command, state, directory) = after_a_manual_mount("kill -KILL $gocryptfs; wait $gocryptfs");
    let mut daemon = Daemon::spawn(command, state, &directory);
    assert!(daemon.log().contains("a dead mount is cleaned up"), "{}", daemon.log());
    daemon.send_locally("POST", "/vault", &creation(None)).expect(201);
}

#[test]
fn a_living_mount_that_was_made_by_hand_is_left_alone() {
    let (mut command, _, _directory) = after_a_manual_mount("true");
    let (code, _, complaint) = run(&mut command);
    assert_eq!(code, Some(73));
    assert!(complaint.contains("something is mounted there"), "{complaint}");
}

#[test]
fn a_second_daemon_on_the_same_box_does_not_start() {
    let daemon = Daemon::unclaimed();
    let mut command = Command::new(COFFERD);
    let (code, _, complaint) = run(command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(&daemon.state));
    assert_eq!(code, Some(75));
    assert!(complaint.contains("another cofferd"), "{complaint}");
    assert_eq!(daemon.health()["vault"], "absent");
}

#[test]
fn a_torn_end_of_the_databases_log_is_cut_off() {
    let mut daemon = Daemon::unlocked();
    for number in 0..20 {
        daemon.post("/folders", &json!({ "name": format!("folder {number}") })).expect(201);
    }
    let gocryptfs = daemon.children()[0];
    daemon.kill();
    wait_until_gone(gocryptfs);
    let log = database_log(&daemon.path("cipher"));
    // As a power cut leaves it: an appended block of which half arrived.
    let mut bytes = fs::read(&log).unwrap();
    let whole_blocks = (bytes.len() - 18) / 4128;
    bytes.truncate(18 + whole_blocks * 4128);
    bytes.extend_from_slice(&[0x55; 2000]);
    fs::write(&log, bytes).unwrap();
    let mut daemon = daemon.restart_killed();
    daemon.unlock();
    daemon.log_in();
    assert_eq!(daemon.get("/folders").expect(200)["items"].as_array().unwrap().len(), 20);
    assert!(daemon.log().contains("cut off"), "{}", daemon.log());
}

/// The ciphertext of `coffer.db-wal`: next to the database, and smaller than it is never the blobs' directory.
fn database_log(cipher: &Path) -> std::path::PathBuf {
    let files = fs::read_dir(cipher).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.is_file() && !path.ends_with("gocryptfs.conf")).collect();
    files.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    assert_eq!(files.len(), 2, "{files:?}");
    files.pop().unwrap()
}
