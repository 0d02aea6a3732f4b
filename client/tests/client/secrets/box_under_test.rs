//! The storage service, started on a directory of its own, and the accounts that the tests need.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{device::collect, proxy::message};

/// The password of every account, as the box knows it.
pub(super) const ACCOUNT_PASSWORD: &str = "seven copper bridges";
const ADMIN: &str = "ada_";
const ADMIN_PASSWORD: &str = "amber canoe thirteen";

/// A running box, unlocked.
pub(super) struct BoxUnderTest {
    child: Child,
    address: String,
    token: String,
    // Outlives the program.
    directory: TempDir,
}

impl BoxUnderTest {
    pub(super) fn new() -> Self {
        Self::with(&[])
    }

    /// The same, started with more arguments.
    pub(super) fn with(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(program())
            .args(["serve", "--listen", "127.0.0.1:0", "--state"])
            .arg(directory.path().join("state"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = |line: String| Some(line.split_once("http://")?.1.split_once("/docs")?.0.to_owned());
        let address = lines.find_map(address).expect("the box starts");
        let code = fs::read_to_string(directory.path().join("state/SETUP-CODE.txt")).unwrap();
        let creation = json!({
            "setup_code": code.lines().next(),
            "master_password": "violet kettle orbit",
            "admin": { "username": ADMIN, "password": ADMIN_PASSWORD },
        });
        post(&address, None, "/vault", &creation);
        let session = post(&address, None, "/sessions", &json!({ "username": ADMIN, "password": ADMIN_PASSWORD }));
        let token = text(&session["access_token"]);
        Self { child, address, token, directory }
    }

    /// Its address, without what stands before the name.
    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    /// Makes an account; gives its id.
    pub(super) fn account(&self, name: &str) -> String {
        self.account_with_role(name, "reader")
    }

    /// The same, with a role on the box.
    pub(super) fn account_with_role(&self, name: &str, role: &str) -> String {
        let body = json!({ "username": name, "password": ACCOUNT_PASSWORD, "role": role });
        text(&self.as_admin("POST", "/users", &body)["id"])
    }

    /// A call of the administrator's.
    pub(super) fn as_admin(&self, method: &str, path: &str, body: &Value) -> Value {
        send(&self.address, Some(&self.token), method, path, body)
    }

    /// Makes a group of accounts.
    pub(super) fn group(&self, name: &str, accounts: &[&String]) {
        let group = text(&post(&self.address, Some(&self.token), "/groups", &json!({ "name": name }))["id"]);
        for account in accounts {
            let path = format!("/groups/{group}/members/{account}");
            send(&self.address, Some(&self.token), "PUT", &path, &json!({}));
        }
    }

    /// Somebody's own call, beside `coffer`.
    pub(super) fn post_as(&self, name: &str, path: &str, body: &Value) -> Value {
        self.send_as(name, "POST", path, body)
    }

    /// Likewise, by any method.
    pub(super) fn send_as(&self, name: &str, method: &str, path: &str, body: &Value) -> Value {
        let login = json!({ "username": name, "password": ACCOUNT_PASSWORD });
        let token = text(&post(&self.address, None, "/sessions", &login)["access_token"]);
        send(&self.address, Some(&token), method, path, body)
    }

    /// Everything that the box keeps: its storage, opened, as nobody but its own program reads it; what lies on the drive; its log.
    pub(super) fn everything(&self) -> Vec<u8> {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        let storage = self.directory.path().join("state/run/mnt");
        let storage = root.join(storage.strip_prefix("/").unwrap());
        assert!(storage.join("coffer.db").exists(), "the storage is open");
        let mut all = Vec::new();
        collect(&storage, &mut all);
        collect(self.directory.path(), &mut all);
        all
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
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

/// Without a limit of time: a machine that compiles beside it takes minutes to make a vault.
fn post(address: &str, token: Option<&str>, path: &str, body: &Value) -> Value {
    send(address, token, "POST", path, body)
}

fn send(address: &str, token: Option<&str>, method: &str, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let token = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    let head = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n{token}connection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    let (answer, reply) = message(&mut BufReader::new(stream)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 2"), "{path}: {answer}{}", String::from_utf8_lossy(&reply));
    if reply.is_empty() { Value::Null } else { serde_json::from_slice(&reply).unwrap() }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
