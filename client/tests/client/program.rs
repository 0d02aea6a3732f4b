//! The program itself, on a BlueZ of the tests' own.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    bluez::Bluez,
    fake_box::{ACCOUNT_PASSWORD, Break, CODE, FakeBox, MASTER_PASSWORD, RECOVERY_KEY, TICKET, WIFI_PASSWORD},
};

/// No run takes a tenth of this, even on a machine that compiles beside it.
const LIMIT: Duration = Duration::from_mins(2);

struct Home {
    directory: TempDir,
}

/// How a run ended.
struct Ended {
    code: i32,
    output: String,
    errors: String,
}

impl Home {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file with a secret; returns its path as an argument.
    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    async fn coffer(&self, bus: &str, arguments: &[&str], input: &str) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_coffer"))
            .args(arguments)
            .env_clear()
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus)
            .env("XDG_DATA_HOME", self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.expect("the program ends").unwrap();
        Ended {
            code: output.status.code().unwrap(),
            output: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn registered(fake_box: &FakeBox) {
    fake_box.state().registrations.push_back(vec![json!({"state": "registered", "attempt": 1})]);
}

/// The arguments of the whole way; the code comes from standard input.
fn whole_way(home: &Home, wifi_passwords: &str) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "setup",
        "--box",
        "f506",
        "--adapter",
        "hci0",
        "--json",
        "--code-file",
        "-",
        "--country",
        "DE",
        "--wifi",
        "Home",
    ]
    .map(str::to_owned)
    .to_vec();
    let recovery = home.path("recovery-key").to_str().unwrap().to_owned();
    for (flag, value) in [
        ("--wifi-password-file", home.file("wifi", wifi_passwords)),
        ("--registrar", "https://registrar.example.com".to_owned()),
        ("--ticket-file", home.file("ticket", TICKET)),
        ("--master-password-file", home.file("master", MASTER_PASSWORD)),
        ("--username", "ada".to_owned()),
        ("--account-password-file", home.file("account", ACCOUNT_PASSWORD)),
        ("--recovery-key-file", recovery),
    ] {
        arguments.extend([flag.to_owned(), value]);
    }
    arguments
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn events(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_whole_way_without_a_terminal() {
    let fake_box = FakeBox::new();
    registered(&fake_box);
    let (bluez, home) = (Bluez::beside(&fake_box).await, Home::new());
    // The first attempts to connect fail now and then, and so do people's at a password.
    bluez.seen().failing_connects = 2;
    let arguments = whole_way(&home, &format!("wrong\n{WIFI_PASSWORD}\n"));
    let ended = home.coffer(&bluez.address, &borrowed(&arguments), &format!("{CODE}\n")).await;
    assert_eq!(ended.code, 0, "{} {}", ended.output, ended.errors);

    let events = events(&ended.output);
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).cloned().collect::<Vec<_>>();
    assert_eq!(of("failed")[0]["failure"]["code"], "wrong_password");
    assert_eq!(of("done")[0]["url"], "https://box.example.com");
    assert_eq!(fs::read_to_string(home.path("recovery-key")).unwrap(), format!("{RECOVERY_KEY}\n"));
    for secret in [CODE, WIFI_PASSWORD, TICKET, MASTER_PASSWORD, ACCOUNT_PASSWORD, RECOVERY_KEY] {
        assert!(!ended.output.contains(secret) && !ended.errors.contains(secret), "{secret}");
    }
    {
        let seen = bluez.seen();
        assert_eq!(
            (seen.uuids.as_slice(), seen.transport.as_str()),
            (["c0ffe700-5a1e-4b8e-9c3d-6f2b1d8a4e01".to_owned()].as_slice(), "le")
        );
        assert!(seen.write_types.iter().all(|kind| kind == "request"));
        assert_eq!((seen.connects, fake_box.state().connections), (3, 1));
        assert!(seen.disconnects >= 1);
    }

    // From now on the key is enough.
    let ended = home.coffer(&bluez.address, &["box", "status", "--json"], "").await;
    assert_eq!(ended.code, 0, "{} {}", ended.output, ended.errors);
    let status = ended.output.lines().last().unwrap();
    assert_eq!(serde_json::from_str::<Value>(status).unwrap()["result"]["network"]["connectivity"], "full");
    let ended = home.coffer(&bluez.address, &["box", "improv", "on"], "").await;
    assert_eq!(ended.output.lines().last(), Some("Improv is on. Others can read along."), "{}", ended.errors);
    let ended = home.coffer(&bluez.address, &["box", "list"], "").await;
    assert!(ended.output.starts_with("Coffer-F506  0192f3a4-"), "{}", ended.output);
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again() {
    let fake_box = FakeBox::new();
    registered(&fake_box);
    fake_box.state().breaks.push_back(Break::After("connect"));
    let (bluez, home) = (Bluez::beside(&fake_box).await, Home::new());
    let arguments = whole_way(&home, WIFI_PASSWORD);
    let ended = home.coffer(&bluez.address, &borrowed(&arguments), &format!("{CODE}\n")).await;
    assert_eq!((ended.code, fake_box.state().connections), (0, 2), "{} {}", ended.output, ended.errors);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let fake_box = FakeBox::new();
    let (bluez, home) = (Bluez::beside(&fake_box).await, Home::new());
    let wrong = format!("{}\n", home.file("wrong", "wrong"));
    for (arguments, input, code, named) in [
        (vec!["setup"], "", 2, "--code-file"),
        (vec!["setup", "--code-file", "-"], "0000-0000-1011\n", 4, "--code-file"),
        (vec!["setup", "--code-file", "-"], "0000-0000-1010\n", 2, "--country"),
        (vec!["setup", "--code-file", "-", "--country", "DE"], "0000-0000-1010\n", 2, "--wifi"),
        (
            vec![
                "setup",
                "--code-file",
                "-",
                "--country",
                "DE",
                "--wifi",
                "Home",
                "--wifi-password-file",
                wrong.trim(),
            ],
            "0000-0000-1010\n",
            5,
            "--wifi-password-file",
        ),
    ] {
        let ended = home.coffer(&bluez.address, &arguments, input).await;
        assert_eq!(ended.code, code, "{arguments:?} {} {}", ended.output, ended.errors);
        assert!(ended.errors.contains(named), "{}", ended.errors);
    }
}

#[tokio::test]
async fn without_bluetooth_it_says_so() {
    let home = Home::new();
    let ended = home.coffer("unix:path=/nowhere", &["setup"], "").await;
    assert_eq!(ended.code, 1, "{}", ended.errors);
    assert!(ended.errors.contains("Bluetooth"), "{}", ended.errors);
}
