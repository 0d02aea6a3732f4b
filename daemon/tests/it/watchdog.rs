//! The detachable key: gone, exchanged or damaged, it locks the vault; back in its place, it unlocks it again.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::harness::{COFFERD, Daemon, MASTER_PASSWORD};

/// Five seconds are promised, of which an idle machine needs three; this is for a busy one.
const LIMIT: Duration = Duration::from_secs(20);

fn locks_within_limit(daemon: &Daemon, change: impl FnOnce(&std::path::Path)) {
    change(&daemon.path("secrets/vault.keys"));
    // Nobody asks for anything: the watchdog alone has to notice. Its own view is what /health shows.
    daemon.wait_for_vault("locked", LIMIT);
    assert_eq!(daemon.children(), Vec::<u32>::new());
}

#[test]
fn a_removed_key_locks_and_a_reinserted_one_unlocks_without_a_restart() {
    let daemon = Daemon::unlocked();
    let away = daemon.path("away");
    locks_within_limit(&daemon, |keys| fs::rename(keys, &away).unwrap());
    assert_eq!(daemon.health()["key_file"], "missing");
    assert_eq!(daemon.health()["status"], "attention");
    let unlock = json!({ "master_password": MASTER_PASSWORD });
    daemon.post("/vault/unlock", &unlock).expect_problem(423, "key_file");
    fs::rename(&away, daemon.path("secrets/vault.keys")).unwrap();
    daemon.unlock();
    daemon.get("/files").expect(200);
}

#[test]
fn a_damaged_key_locks() {
    let daemon = Daemon::unlocked();
    let genuine = fs::read(daemon.path("secrets/vault.keys")).unwrap();
    locks_within_limit(&daemon, |keys| fs::write(keys, &genuine[..100]).unwrap());
    let unlock = json!({ "master_password": MASTER_PASSWORD });
    daemon.post("/vault/unlock", &unlock).expect_problem(423, "key_file");
    fs::write(daemon.path("secrets/vault.keys"), genuine).unwrap();
    daemon.unlock();
}

#[test]
fn another_boxs_key_locks() {
    let daemon = Daemon::unlocked();
    let other = Daemon::unclaimed();
    other.send_locally("POST", "/vault", &crate::harness::creation(None)).expect(201);
    let foreign = other.path("secrets/vault.keys");
    locks_within_limit(&daemon, |keys| {
        fs::copy(foreign, keys).unwrap();
    });
}

#[test]
fn a_missing_directory_of_the_key_locks() {
    let daemon = Daemon::unlocked();
    let away = daemon.path("unplugged");
    locks_within_limit(&daemon, |keys| fs::rename(keys.parent().unwrap(), &away).unwrap());
}

#[test]
fn the_first_request_after_the_key_is_gone_is_refused() {
    let daemon = Daemon::unlocked();
    fs::remove_file(daemon.path("secrets/vault.keys")).unwrap();
    daemon.get("/files").expect_problem(423, "key_file");
    daemon.wait_for_vault("locked", LIMIT);
}

#[test]
fn a_key_that_is_touched_but_the_same_does_not_lock() {
    let daemon = Daemon::unlocked();
    let keys = daemon.path("secrets/vault.keys");
    let bytes = fs::read(&keys).unwrap();
    fs::write(daemon.path("secrets/copy"), &bytes).unwrap();
    fs::rename(daemon.path("secrets/copy"), &keys).unwrap();
    daemon.get("/files").expect(200);
    assert_eq!(daemon.health()["vault"], "unlocked");
}

#[test]
fn a_key_that_is_plugged_in_later_is_seen_and_its_unplugging_locks() {
    let mut donor = Daemon::locked();
    donor.stop();
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::rename(&donor.state, path("state")).unwrap();
    fs::rename(path("state/secrets"), path("stick")).unwrap();
    fs::create_dir(path("state/secrets")).unwrap();
    assert!(Command::new("mkfifo").arg(path("plug")).arg(path("done")).status().unwrap().success());
    // Somebody outside of the daemon's namespace mounts and unmounts, as udev does for a stick.
    let script = format!(
        "mount --make-rshared / || exit; (read x <'{plug}'; mount --bind '{stick}' '{keys}'; echo >'{done}'; \
         read x <'{plug}'; umount -l '{keys}'; echo >'{done}') >/dev/null 2>&1 & \
         exec '{COFFERD}' serve --listen 127.0.0.1:0 --state '{state}'",
        plug = path("plug"),
        done = path("done"),
        stick = path("stick"),
        keys = path("state/secrets"),
        state = path("state"),
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let daemon = Daemon::spawn(command, path("state").into(), &directory);
    let tell = || {
        fs::write(path("plug"), "\n").unwrap();
        fs::read(path("done")).unwrap();
    };
    let unlock = json!({ "master_password": MASTER_PASSWORD });
    daemon.post("/vault/unlock", &unlock).expect_problem(423, "key_file");
    tell();
    daemon.unlock();
    tell();
    daemon.wait_for_vault("locked", LIMIT);
}
