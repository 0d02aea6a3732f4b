//! Storage that is missing, full, read-only or not ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{COFFERD, Daemon, MASTER_PASSWORD, content, creation, files_below};

/// A daemon whose cipher directory lies on a small file system.
fn on_small_storage(options: &str) -> Daemon {
    prepared(&format!("mount -t tmpfs -o {options} none \"$drive\""))
}

/// A daemon in a mount namespace of its own, where that command was run first.
fn prepared(preparation: &str) -> Daemon {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let state = directory.path().join("state");
    let drive = directory.path().join("drive");
    fs::create_dir(&drive).unwrap();
    let script = format!(
        "drive='{drive}'; {preparation} && exec '{COFFERD}' serve --listen 127.0.0.1:0 --state '{state}' --cipher '{drive}/cipher'",
        drive = drive.display(),
        state = state.display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    Daemon::spawn(command, state, &directory)
}

fn claim(daemon: &mut Daemon) {
    daemon.send_locally("POST", "/vault", &creation(None)).expect(201);
    daemon.log_in();
}

#[test]
fn a_full_drive_refuses_and_loses_nothing() {
    let mut daemon = on_small_storage("size=64m");
    claim(&mut daemon);
    let kept = content(2_000_000, 1);
    let id = daemon.upload("kept", &kept).expect(201)["id"].as_str().unwrap().to_owned();
    // Announced: refused from the headers. Not announced is refused while it comes in.
    daemon.upload("announced", &content(60_000_000, 2)).expect_problem(507, "storage_full");
    let mut number = 0;
    let refused = loop {
        let reply = daemon.upload(&format!("filler{number}"), &content(4_000_000, number));
        if reply.status != 201 {
            break reply;
        }
        number += 1;
    };
    refused.expect_problem(507, "storage_full");
    assert!(number >= 4, "some of it fitted: {number}");
    assert!(daemon.get(&format!("/files/{id}/content")).body == kept);
    daemon.post("/folders", &json!({ "name": "the reserve keeps the database going" })).expect(201);
    daemon.delete(&format!("/files/{id}")).expect(204);
    daemon.delete(&format!("/trash/{id}")).expect(204);
    assert_eq!(daemon.get("/files").expect(200)["items"].as_array().unwrap().len() as u64, number);
}

#[test]
fn sealing_on_a_full_drive_says_so_loses_nothing_and_goes_on_when_there_is_room() {
    let mut daemon = on_small_storage("size=64m");
    claim(&mut daemon);
    let mut files = Vec::new();
    let refused = loop {
        let bytes = content(4_000_000, files.len() as u64);
        let reply = daemon.upload(&format!("f{}", files.len()), &bytes);
        if reply.status != 201 {
            break reply;
        }
        files.push((reply.expect(201)["id"].as_str().unwrap().to_owned(), bytes));
    };
    refused.expect_problem(507, "storage_full");
    daemon.send("PUT", "/encryption", &json!({ "mode": "server" })).expect(204);
    let begun = daemon.post("/encryption/jobs", &json!({ "kind": "files" })).expect(202);
    let path = format!("/encryption/jobs/{}", begun["id"].as_str().unwrap());
    let wait = |until: &dyn Fn(&Value) -> bool| {
        let start = std::time::Instant::now();
        loop {
            let job = daemon.get(&path).expect(200);
            if until(&job) {
                return job;
            }
            assert!(start.elapsed() < std::time::Duration::from_mins(1), "{job}");
            crate::harness::pause();
        }
    };
    let waiting = wait(&|job| job["waits_for"] == "storage_full");
    assert_eq!((&waiting["state"], &waiting["done"]), (&json!("running"), &json!(0)), "{waiting}");
    for (id, bytes) in &files {
        assert!(daemon.get(&format!("/files/{id}/content")).body == *bytes);
    }
    for (id, _) in files.drain(..2) {
        daemon.delete(&format!("/files/{id}")).expect(204);
        daemon.delete(&format!("/trash/{id}")).expect(204);
    }
    let ended = wait(&|job| job["state"] == "finished");
    let all = json!(files.len());
    assert_eq!((&ended["counts"], &ended["done"], &ended["total"]), (&json!({ "sealed": all }), &all, &all));
    assert_eq!(ended["waits_for"], Value::Null);
    for (id, bytes) in &files {
        assert!(daemon.get(&format!("/files/{id}/content")).body == *bytes);
    }
}

#[test]
fn a_drive_too_small_for_a_vault_leaves_nothing_half_made() {
    let daemon = on_small_storage("size=60k");
    daemon.send_locally("POST", "/vault", &creation(None)).expect_problem(507, "storage_full");
    assert_eq!(daemon.health()["vault"], "absent");
    assert!(!daemon.path("secrets/vault.keys").exists());
    daemon.send_locally("POST", "/vault", &creation(None)).expect_problem(507, "storage_full");
}

#[test]
fn a_read_only_drive_is_named() {
    let daemon = on_small_storage("size=64m,ro");
    let problem = daemon.send_locally("POST", "/vault", &creation(None)).expect_problem(503, "storage_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("read-only"), "{problem}");
    assert_eq!(daemon.health()["vault"], "absent");
}

#[test]
fn missing_fuse_is_named() {
    let daemon = prepared("mount --bind /dev/null /dev/fuse");
    let problem = daemon.send_locally("POST", "/vault", &creation(None)).expect_problem(503, "storage_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("FUSE"), "{problem}");
    assert_eq!(daemon.health()["vault"], "absent");
    assert!(!daemon.path("secrets/vault.keys").exists());
}

#[test]
fn a_missing_drive_is_reported_and_waited_for() {
    let daemon = Daemon::locked();
    let away = daemon.path("unplugged");
    fs::rename(daemon.path("cipher"), &away).unwrap();
    let health = daemon.health();
    assert_eq!((&health["storage_present"], &health["status"]), (&json!(false), &json!("attention")));
    assert_eq!(health["vault"], "locked", "the vault exists: its key is here");
    let unlock = json!({ "master_password": MASTER_PASSWORD });
    let problem = daemon.post("/vault/unlock", &unlock).expect_problem(503, "storage_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("drive"), "{problem}");
    assert!(!problem.to_string().contains(daemon.state.to_str().unwrap()), "no paths: {problem}");
    daemon.send_locally("POST", "/vault", &creation(None)).expect_problem(409, "vault_exists");
    fs::rename(&away, daemon.path("cipher")).unwrap();
    daemon.unlock();
}

#[test]
fn a_vault_whose_key_is_away_is_not_overwritten() {
    let daemon = Daemon::locked();
    fs::rename(daemon.path("secrets"), daemon.path("stick")).unwrap();
    assert_eq!(daemon.health()["vault"], "locked");
    daemon.send_locally("POST", "/vault", &creation(None)).expect_problem(409, "vault_exists");
    fs::rename(daemon.path("stick"), daemon.path("secrets")).unwrap();
    daemon.unlock();
}

#[test]
fn a_directory_that_holds_something_else_is_left_alone() {
    let daemon = Daemon::unclaimed();
    fs::create_dir(daemon.path("cipher")).unwrap();
    fs::write(daemon.path("cipher/photo.jpg"), "precious").unwrap();
    let refused = daemon.send_locally("POST", "/vault", &creation(None));
    refused.expect_problem(503, "storage_unavailable");
    assert_eq!(fs::read(daemon.path("cipher/photo.jpg")).unwrap(), b"precious");
    assert_eq!(daemon.health()["vault"], "absent");
}

#[test]
fn an_interrupted_creation_can_be_repeated() {
    let daemon = Daemon::locked();
    // As a power cut leaves it between the two renames: all of the ciphertext, and the key file not yet in place.
    fs::rename(daemon.path("secrets/vault.keys"), daemon.path("secrets/vault.keys.creating")).unwrap();
    mark_creation(&daemon, &vault_id(&daemon.path("secrets/vault.keys.creating")));
    fs::create_dir(daemon.path("cipher.creating")).unwrap();
    assert_eq!(daemon.health()["vault"], "absent");
    daemon.post("/vault/unlock", &json!({ "master_password": MASTER_PASSWORD })).expect_problem(409, "vault_absent");
    daemon.send_locally("POST", "/vault", &creation(None)).expect(201);
    assert_eq!(daemon.health()["vault"], "unlocked");
    assert!(!daemon.path("device/creating.json").exists() && !daemon.path("secrets/vault.keys.creating").exists());
}

#[test]
fn a_stick_with_an_interrupted_creation_does_not_condemn_a_vault() {
    let daemon = Daemon::locked();
    let genuine = vault_id(&daemon.path("secrets/vault.keys"));
    let key = fs::read_to_string(daemon.path("secrets/vault.keys")).unwrap();
    let other = "01a1fd16-afea-707b-afb4-166dd8225dae";
    fs::rename(daemon.path("secrets"), daemon.path("stick")).unwrap();
    fs::create_dir(daemon.path("secrets")).unwrap();
    let ciphertext = bytes_below(&daemon.path("cipher"));
    for (staged, mark) in [
        // Of any creation; of the same one, which a copy of the stick may hold; nothing whole.
        (key.replace(&genuine, other), None),
        (key.clone(), None),
        ("{}".to_owned(), None),
        // The power went when this vault was finished, and the mark is still there.
        (key.replace(&genuine, other), Some(genuine.as_str())),
        ("{}".to_owned(), Some(genuine.as_str())),
        // Another attempt than the stick's.
        (key, Some(other)),
    ] {
        fs::write(daemon.path("secrets/vault.keys.creating"), staged).unwrap();
        mark.inspect(|vault_id| mark_creation(&daemon, vault_id));
        assert_eq!(daemon.health()["vault"], "locked", "{mark:?}");
        daemon.send_locally("POST", "/vault", &creation(None)).expect_problem(409, "vault_exists");
        assert!(bytes_below(&daemon.path("cipher")) == ciphertext, "not a byte was touched: {mark:?}");
    }
    fs::remove_dir_all(daemon.path("secrets")).unwrap();
    fs::rename(daemon.path("stick"), daemon.path("secrets")).unwrap();
    daemon.unlock();
}

#[test]
fn a_mark_on_the_box_alone_does_not_condemn_a_vault_whose_key_is_away() {
    let daemon = Daemon::locked();
    mark_creation(&daemon, &vault_id(&daemon.path("secrets/vault.keys")));
    fs::rename(daemon.path("secrets"), daemon.path("stick")).unwrap();
    assert_eq!(daemon.health()["vault"], "locked");
    daemon.send_locally("POST", "/vault", &creation(None)).expect_problem(409, "vault_exists");
    fs::rename(daemon.path("stick"), daemon.path("secrets")).unwrap();
    daemon.unlock();
    assert!(!daemon.path("device/creating.json").exists(), "an unlock ends the creation that a power cut left");
}

/// The vault that a key file names.
fn vault_id(key_file: &Path) -> String {
    let keys: Value = serde_json::from_slice(&fs::read(key_file).unwrap()).unwrap();
    keys["vault_id"].as_str().unwrap().to_owned()
}

fn mark_creation(daemon: &Daemon, vault_id: &str) {
    fs::write(daemon.path("device/creating.json"), json!({ "vault_id": vault_id }).to_string()).unwrap();
}

fn bytes_below(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files_below(directory).into_iter();
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn gocryptfs_missing_or_too_old_is_named() {
    let tools = tempfile::tempdir().unwrap();
    let with_path = |path: &str| {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let state = directory.path().join("state");
        let mut command = Command::new(COFFERD);
        command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(&state).env("PATH", path);
        Daemon::spawn(command, state, &directory)
    };
    let none = with_path(tools.path().to_str().unwrap());
    let problem = none.send_locally("POST", "/vault", &creation(None)).expect_problem(503, "storage_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("not installed"), "{problem}");

    let old = tools.path().join("gocryptfs");
    fs::write(&old, "#!/bin/sh\necho 'gocryptfs v1.8.0; go-fuse v2.0.3; 2020-05-09 go1.13.8 linux/amd64'\n").unwrap();
    Command::new("chmod").arg("+x").arg(&old).status().unwrap();
    let path = format!("{}:/usr/bin:/bin", tools.path().display());
    let problem = with_path(&path).send_locally("POST", "/vault", &creation(None));
    let problem = problem.expect_problem(503, "storage_unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("1.8.0 is too old"), "{problem}");
}

#[test]
fn a_damaged_content_is_an_error_and_not_other_bytes() {
    let daemon = Daemon::unlocked();
    let id = daemon.upload("f", &content(50_000, 4)).expect(201)["id"].as_str().unwrap().to_owned();
    daemon.post("/vault/lock", &json!({})).expect(200);
    let blob = largest_file(&daemon.path("cipher"));
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();
    daemon.unlock();
    daemon.get(&format!("/files/{id}/content")).expect_problem(500, "damaged");
}

fn largest_file(cipher: &Path) -> std::path::PathBuf {
    let blobs = crate::harness::files_below(cipher).into_iter().filter(|path| path.parent() != Some(cipher));
    blobs.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}
