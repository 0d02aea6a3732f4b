//! The storage service, started on a directory of its own, and the accounts that the tests need.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use coffer_api::SecretString;
use coffer_client::secrets::remote::Remote;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The password of every account, as the box knows it.
pub(super) const ACCOUNT_PASSWORD: &str = "seven copper bridges";
const ADMIN: &str = "ada_";
const ADMIN_PASSWORD: &str = "amber canoe thirteen";

/// A running box, unlocked.
pub(super) struct BoxUnderTest {
    child: Child,
    remote: Remote,
    token: SecretString,
    // Outlives the program.
    directory: TempDir,
}

impl BoxUnderTest {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(program())
            .args(["serve", "--listen", "127.0.0.1:0", "--state"])
            .arg(directory.path().join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = |line: String| Some(line.split_once("http://")?.1.split_once("/docs")?.0.to_owned());
        let address = lines.filter_map(address).next().expect("the box starts");
        let remote = Remote::at(&format!("http://{address}")).unwrap();
        let code = fs::read_to_string(directory.path().join("state/SETUP-CODE.txt")).unwrap();
        let creation = json!({
            "setup_code": code.lines().next(),
            "master_password": "violet kettle orbit",
            "admin": { "username": ADMIN, "password": ADMIN_PASSWORD },
        });
        post(&remote, None, "/vault", &creation);
        let session = post(&remote, None, "/sessions", &json!({ "username": ADMIN, "password": ADMIN_PASSWORD }));
        let token = secret(&session["access_token"]);
        Self { child, remote, token, directory }
    }

    /// Its address, without what stands before the name.
    pub(super) fn address(&self) -> String {
        self.remote.url().strip_prefix("http://").unwrap().to_owned()
    }

    /// Makes an account.
    pub(super) fn account(&self, name: &str) {
        let body = json!({ "username": name, "password": ACCOUNT_PASSWORD, "role": "reader" });
        post(&self.remote, Some(&self.token), "/users", &body);
    }

    /// Somebody's own call, beside `coffer`.
    pub(super) fn post_as(&self, name: &str, path: &str, body: &Value) -> Value {
        let login = json!({ "username": name, "password": ACCOUNT_PASSWORD });
        let token = secret(&post(&self.remote, None, "/sessions", &login)["access_token"]);
        post(&self.remote, Some(&token), path, body)
    }

    /// What the box has in its database, as nobody but its own program reads it.
    pub(super) fn database(&self) -> Vec<u8> {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        let state = self.directory.path().join("state/run/mnt");
        let mount = root.join(state.strip_prefix("/").unwrap());
        let read = |name: &str| fs::read(mount.join(name));
        [read("coffer.db").unwrap(), read("coffer.db-wal").unwrap_or_default()].concat()
    }
}

impl Drop for BoxUnderTest {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Beside the program under test, where a build of the workspace leaves it.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_coffer")).with_file_name("cofferd");
    assert!(path.exists(), "{} is missing: `cargo build --workspace` makes it", path.display());
    path
}

fn post(remote: &Remote, token: Option<&SecretString>, path: &str, body: &Value) -> Value {
    remote
        .send("POST".parse().unwrap(), path, token, None, Some(body))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn secret(value: &Value) -> SecretString {
    SecretString::new(value.as_str().unwrap().to_owned())
}
