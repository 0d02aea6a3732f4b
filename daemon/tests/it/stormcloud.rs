//! Keys that are given as Storm Cloud's are, and its files taken over.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

use data_encoding::BASE64URL;
use serde_json::json;

use crate::harness::{COFFERD, Daemon, run};
use crate::sealing::{count, id, job};

/// Files as Python's `cryptography` seals them.
const VECTORS: &str = include_str!("../../../crypto/vectors/envelope.json");

/// Contents, each with its file.
type Files = Vec<(Vec<u8>, Vec<u8>)>;

/// The key, as Storm Cloud has it, and some contents with their files.
fn vectors() -> (String, Files) {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let hex = |value: &serde_json::Value| data_encoding::HEXLOWER.decode(value.as_str()?.as_bytes()).ok();
    let key = BASE64URL.encode(&hex(&vectors["kek"]).unwrap());
    let files = vectors["v1"].as_array().unwrap().iter();
    (key, files.filter_map(|vector| Some((hex(&vector["content"])?, hex(&vector["file"])?))).collect())
}

fn serve(state: &std::path::Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(COFFERD);
    command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(state);
    for (name, value) in environment {
        command.env(name, value);
    }
    command
}

#[test]
fn a_wrong_key_or_none_ends_the_start_before_the_port_opens() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let state = directory.path().join("state");
    let (key, other) = (BASE64URL.encode(&[7; 32]), BASE64URL.encode(&[8; 32]));
    let refused = |environment: &[(&str, &str)], words: &str| {
        let (code, out, err) = run(&mut serve(&state, environment));
        assert_eq!(code, Some(78), "{err}");
        assert!(err.contains(words) && !out.contains("http://"), "{out}{err}");
        assert!(!err.contains(&key) && !err.contains(&other));
    };
    refused(&[("STORAGE_ENCRYPTION_METHOD", "server")], "FATAL: Server has encryption enabled, but no key provided.");
    refused(&[("STORMCLOUD_ENCRYPTION_KEY", "c2hvcnQ=")], "32 bytes");
    let first = Daemon::spawn(serve(&state, &[("STORMCLOUD_ENCRYPTION_KEY", &key)]), state.clone(), &directory);
    assert!(!{ first }.log().contains(&key), "the key is in no log");
    refused(&[("STORMCLOUD_ENCRYPTION_KEY", &other)], "FATAL: Encryption key mismatch detected!");
    refused(&[], "FATAL: Server has encryption enabled, but no key provided.");
}

#[test]
fn the_first_key_is_to_be_saved_which_a_terminal_shows_once_and_the_log_never() {
    let directory = tempfile::tempdir().unwrap();
    let key = BASE64URL.encode(&[7; 32]);
    let start = || {
        let [state, log, pid] = ["state", "log", "pid"].map(|name| directory.path().join(name));
        let command = format!(
            "echo $$ >'{}'; exec '{COFFERD}' serve --listen 127.0.0.1:0 --state '{}' 2>>'{}'",
            pid.display(),
            state.display(),
            log.display()
        );
        let mut terminal = Command::new("script");
        terminal.args(["-qefc", &command, "/dev/null"]).env("STORMCLOUD_ENCRYPTION_KEY", &key).env("SHELL", "/bin/sh");
        let mut child = terminal.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let mut shown = String::new();
        for line in lines.map_while(Result::ok) {
            shown.push_str(&line);
            if line.contains("http://") {
                break;
            }
        }
        let daemon = fs::read_to_string(pid).unwrap();
        assert!(Command::new("kill").args(["-TERM", daemon.trim()]).status().unwrap().success());
        child.wait().unwrap();
        (shown, fs::read_to_string(log).unwrap())
    };
    let (first, _) = start();
    assert!(first.contains("Save this key now") && first.contains("http://"), "{first}");
    let (second, log) = start();
    assert!(!second.contains("Save this key now") && second.contains("http://"), "{second}");
    assert!(!log.contains("Save this key") && !log.contains(&key) && !first.contains(&key), "{log}");
}

#[test]
fn a_store_of_storm_cloud_is_taken_over_as_it_is_and_then_sealed_in_our_format() {
    let (key, vectors) = vectors();
    let mut daemon = Daemon::locked();
    assert!(daemon.stop().success());
    let given = [("STORMCLOUD_ENCRYPTION_KEY", key.as_str()), ("STORMCLOUD_ENCRYPTION_KEY_ID", "old")];
    let restart = |daemon: &Daemon, environment: &[(&str, &str)]| {
        let mut command = serve(&daemon.state, environment);
        command.stdin(Stdio::null());
        Daemon::spawn(command, daemon.state.clone(), &daemon.directory())
    };
    let mut daemon = restart(&daemon, &given);
    daemon.unlock();
    daemon.log_in();
    assert_eq!(daemon.get("/encryption").expect(200)["mode"], "server");

    let store = tempfile::tempdir().unwrap();
    fs::create_dir_all(store.path().join("1/deep")).unwrap();
    let mut expected = Vec::new();
    for (number, (content, file)) in vectors.into_iter().enumerate() {
        fs::write(store.path().join(format!("1/deep/v{number}")), file).unwrap();
        expected.push((format!("v{number}"), content));
    }
    assert!(!expected.is_empty());
    fs::write(store.path().join("1/plain"), b"\x01 not sealed").unwrap();
    fs::write(store.path().join("1/unknown"), [&[1_u8][..], &[9; 60]].concat()).unwrap();
    let import = json!({ "kind": "import-stormcloud", "directory": store.path().to_str().unwrap() });
    let taken = job(&daemon, &import);
    let sealed = expected.len() as u64;
    assert_eq!((count(&taken, "sealed"), count(&taken, "ambiguous")), (sealed + 1, 1), "{taken}");
    assert_eq!(taken["findings"][0]["subject"], "1/unknown");
    assert_eq!(count(&job(&daemon, &import), "unchanged"), sealed + 1, "twice is once");
    let audit = job(&daemon, &json!({ "kind": "audit" }));
    assert_eq!((count(&audit, "sealed_v1"), count(&audit, "sealed_v2")), (sealed, 1), "{audit}");
    let check = |daemon: &Daemon, version: u32| {
        let folders = |parent: &str| daemon.get(&format!("/folders?parent_id={parent}")).expect(200)["items"].clone();
        let top = daemon.get("/folders").expect(200)["items"].clone();
        let one = id(&top.as_array().unwrap().iter().find(|folder| folder["name"] == "1").unwrap().clone());
        let deep = id(&folders(&one)[0]);
        let files = daemon.get(&format!("/files?folder_id={deep}&limit=500")).expect(200)["items"].clone();
        for (name, content) in &expected {
            let file = files.as_array().unwrap().iter().find(|file| file["name"] == name.as_str()).unwrap();
            assert_eq!((&file["encryption_version"], &file["key_id"]), (&json!(version), &json!("old")));
            assert!(daemon.get(&format!("/files/{}/content", id(file))).body == *content);
        }
    };
    check(&daemon, 1);
    assert_eq!(count(&job(&daemon, &json!({ "kind": "verify" })), "whole"), sealed + 1);
    assert_eq!(count(&job(&daemon, &json!({ "kind": "upgrade" })), "sealed"), sealed);
    check(&daemon, 2);

    // The vault has the key: it may be forgotten outside.
    assert!(daemon.stop().success());
    let mut daemon = restart(&daemon, &[]);
    daemon.unlock();
    daemon.log_in();
    check(&daemon, 2);
    let encrypt =
        |arguments: &[&str]| run(Command::new(COFFERD).args(["encrypt", "--state"]).arg(&daemon.state).args(arguments));
    let (code, out, err) = encrypt(&["audit", "--json"]);
    assert_eq!(code, Some(0), "{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["counts"]["sealed_v2"], sealed + 1, "{out}");
    let (code, out, _) = encrypt(&["files", "--dry-run"]);
    assert_eq!(
        (code, out.lines().next()),
        (Some(0), Some(format!("{} in all: unchanged {}", sealed + 1, sealed + 1).as_str()))
    );
    assert_eq!(encrypt(&["seal"]).0, Some(0));
    assert_eq!(daemon.get("/encryption").expect(200)["only_sealed"], true);
}
