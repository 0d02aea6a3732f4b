//! One device of somebody: `coffer` with directories of its own, and what is typed given by files and standard input.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::box_under_test::ACCOUNT_PASSWORD;

/// What opens the secrets of everybody in these tests.
pub(super) const PASSWORD: &str = "purple lantern ocean";

pub(super) struct Device {
    directory: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) output: String,
    pub(super) errors: String,
}

impl Ended {
    /// What it printed, one JSON object a line.
    pub(super) fn json(&self) -> Vec<Value> {
        self.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Device {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::DirBuilder::new().mode(0o700).create(directory.path().join("run")).unwrap();
        Self { directory }
    }

    /// A device on which a new account has made its keys.
    pub(super) fn first_of(name: &str, url: &str) -> Self {
        let device = Self::new();
        device.file("account", ACCOUNT_PASSWORD);
        let mut arguments = vec!["--first-time", "--memory", "64", "--device", name];
        let [account, codes] = ["account", "codes"].map(|name| device.path(name));
        arguments.extend(["--account-password-file", account.to_str().unwrap()]);
        arguments.extend(["--codes-file", codes.to_str().unwrap()]);
        device.ok(&Self::login(name, url, &arguments), PASSWORD);
        assert_eq!(fs::metadata(codes).unwrap().permissions().mode() & 0o777, 0o600);
        device
    }

    /// Another device of the same account.
    pub(super) fn another_of(name: &str, url: &str, called: &str, first: &Self) -> Self {
        let device = Self::new();
        device.file("secret-key", &first.code("Secret Key"));
        let secret_key = device.path("secret-key");
        let arguments = ["--device", called, "--secret-key-file", secret_key.to_str().unwrap()];
        device.ok(&Self::login(name, url, &arguments), PASSWORD);
        device
    }

    pub(super) fn login<'a>(name: &'a str, url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["login", url, "--name", name, "--password-file", "-"][..], more].concat()
    }

    /// A code of the drawer.
    pub(super) fn code(&self, what: &str) -> String {
        let codes = fs::read_to_string(self.path("codes")).unwrap();
        codes.lines().find_map(|line| line.trim().strip_prefix(what)).unwrap().trim().to_owned()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Where the program keeps its files.
    pub(super) fn home(&self) -> PathBuf {
        self.path("home")
    }

    pub(super) fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_coffer"))
            .args(arguments)
            .env_clear()
            .env("COFFER_HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(super) fn run(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self.start(arguments);
        let mut stdin = child.stdin.take().unwrap();
        // Who reads nothing has hung up already.
        drop(writeln!(stdin, "{input}"));
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code(),
            output: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs what has to work; gives what it printed.
    #[track_caller]
    pub(super) fn ok(&self, arguments: &[&str], input: &str) -> String {
        let ended = self.run(arguments, input);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.output
    }

    /// Runs what has to end so; gives what it complained of.
    #[track_caller]
    pub(super) fn fails(&self, arguments: &[&str], code: i32) -> String {
        let ended = self.run(arguments, "");
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        ended.errors
    }

    #[track_caller]
    pub(super) fn sync(&self) {
        self.ok(&["sync"], "");
    }

    /// The value of a field.
    #[track_caller]
    pub(super) fn get(&self, path: &str) -> String {
        self.ok(&["get", path], "").trim_end().to_owned()
    }

    /// Adds an item with a password; gives its id.
    #[track_caller]
    pub(super) fn add(&self, vault: &str, title: &str, password: &str) -> String {
        let arguments = ["item", "create", vault, "--title", title, "--secret", "password", "--json"];
        let made: Value = serde_json::from_str(&self.ok(&arguments, password)).unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(super) fn change(&self, vault: &str, item: &str, password: &str) {
        self.ok(&["item", "edit", vault, item, "--secret", "password"], password);
    }

    /// Titles of a vault's items, in their order.
    #[track_caller]
    pub(super) fn titles(&self, vault: &str) -> Vec<String> {
        let items = self.run(&["item", "list", vault, "--json"], "").json();
        items.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
    }

    /// Everything that lies on this device's disk.
    pub(super) fn disk(&self) -> Vec<u8> {
        let mut all = Vec::new();
        collect(&self.home(), &mut all);
        all
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // The agent would stay.
        self.run(&["lock"], "");
    }
}

/// The names and the contents of all files in a directory.
pub(super) fn collect(directory: &Path, all: &mut Vec<u8>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        all.extend_from_slice(entry.file_name().as_encoded_bytes());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            collect(&entry.path(), all);
        } else if kind.is_file() {
            // What was only there for a moment is in what it became.
            all.extend(fs::read(entry.path()).unwrap_or_default());
        }
    }
}
