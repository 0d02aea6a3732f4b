//! Starts and stops the real program on directories of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Reply, exchange, tcp, unix};
use crate::contract;

pub(crate) const MASTER_PASSWORD: &str = "violet kettle orbit";
pub(crate) const ADMIN: &str = "ada_";
pub(crate) const ADMIN_PASSWORD: &str = "amber canoe thirteen";

/// The password of everybody that [`Daemon::user`] makes.
pub(crate) const PASSWORD: &str = "seven copper bridges";

/// Between two looks at what a test waits for: whoever looks all the time keeps the work from being done.
pub(crate) fn pause() {
    std::thread::park_timeout(Duration::from_millis(5));
}

/// By how many seconds the program's clocks are ahead.
const CLOCK_OFFSET: &str = "clock-offset";

/// The program under test.
pub(crate) const COFFERD: &str = env!("CARGO_BIN_EXE_cofferd");

/// A running daemon. Dropping it kills it, as a power cut would.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) state: PathBuf,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    // Outlives the program.
    directory: Arc<tempfile::TempDir>,
    /// What it was started with besides the usual.
    pub(crate) arguments: Vec<String>,
    pub(crate) token: String,
}

/// A person who is logged in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

/// A vault that was created once for all tests; each gets a copy.
struct Template {
    directory: tempfile::TempDir,
    recovery_key: String,
}

static TEMPLATE: OnceLock<Template> = OnceLock::new();

impl Daemon {
    /// A box without a vault.
    pub(crate) fn unclaimed() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        Self::start(&directory)
    }

    /// The same, started with more arguments.
    pub(crate) fn unclaimed_with(arguments: &[&str]) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        Self::start_with(&directory, arguments.iter().map(|argument| (*argument).to_owned()).collect())
    }

    /// A box with a locked vault.
    pub(crate) fn locked() -> Self {
        Self::locked_with(&[])
    }

    /// The same, started with more arguments.
    pub(crate) fn locked_with(arguments: &[&str]) -> Self {
        let template = template();
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let copied =
            Command::new("cp").arg("-a").arg(template.directory.path().join(".")).arg(directory.path()).status();
        assert!(copied.unwrap().success());
        Self::start_with(&directory, arguments.iter().map(|argument| (*argument).to_owned()).collect())
    }

    /// A box with an unlocked vault, and its administrator logged in.
    pub(crate) fn unlocked() -> Self {
        Self::unlocked_with(&[])
    }

    /// The same, started with more arguments.
    pub(crate) fn unlocked_with(arguments: &[&str]) -> Self {
        let mut daemon = Self::locked_with(arguments);
        daemon.unlock();
        daemon.log_in();
        daemon
    }

    /// Starts the program on a directory.
    pub(crate) fn start(directory: &Arc<tempfile::TempDir>) -> Self {
        Self::start_with(directory, Vec::new())
    }

    fn start_with(directory: &Arc<tempfile::TempDir>, arguments: Vec<String>) -> Self {
        let mut command = Self::command(directory);
        command.args(&arguments);
        let mut daemon = Self::spawn(command, directory.path().join("state"), directory);
        daemon.arguments = arguments;
        daemon
    }

    fn command(directory: &Arc<tempfile::TempDir>) -> Command {
        let mut command = Command::new(COFFERD);
        command.args(["serve", "--listen", "127.0.0.1:0", "--trusted-proxy", "127.0.0.1", "--state"]);
        command.arg(directory.path().join("state")).arg("--clock-offset").arg(directory.path().join(CLOCK_OFFSET));
        command
    }

    /// Starts a command that becomes the program.
    pub(crate) fn spawn(mut command: Command, state: PathBuf, directory: &Arc<tempfile::TempDir>) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, collected) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                collected.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let address = stdout
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("http://")?.1.split_once("/docs")?.0.to_owned()))
            .unwrap_or_else(|| panic!("the daemon did not start: {}", log.lock().unwrap()));
        let directory = Arc::clone(directory);
        let address = address.parse().unwrap();
        let (token, arguments) = (String::new(), Vec::new());
        Self { child, address, state, log, reader: Some(reader), directory, arguments, token }
    }

    /// What the state lies in, to start the program again on it.
    pub(crate) fn directory(&self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.directory)
    }

    /// Kills the program and starts it again on what it left.
    pub(crate) fn crash_and_restart(mut self) -> Self {
        self.kill();
        self.restart_killed()
    }

    /// Starts the program again on what it left, after [`Daemon::kill`].
    pub(crate) fn restart_killed(self) -> Self {
        Self::start_with(&self.directory, self.arguments.clone())
    }

    /// Stops the program and starts it again.
    pub(crate) fn stop_and_restart(mut self) -> Self {
        assert!(self.stop().success());
        Self::start_with(&self.directory, self.arguments.clone())
    }

    /// As [`Daemon::stop_and_restart`], with the programs in that directory alone.
    pub(crate) fn restart_with_path(mut self, path: &Path) -> Self {
        assert!(self.stop().success());
        let mut command = Self::command(&self.directory);
        command.env("PATH", path);
        Self::spawn(command, self.state.clone(), &self.directory)
    }

    /// Tells the program to stop, and waits for its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }

    /// Waits until the program ends by itself.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Kills the program, and waits for its end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9));
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the program wrote to its log; all of it once it has ended.
    pub(crate) fn log(&mut self) -> String {
        if self.child.try_wait().unwrap().is_some()
            && let Some(reader) = self.reader.take()
        {
            reader.join().unwrap();
        }
        self.log.lock().unwrap().clone()
    }

    /// Moves the program's clocks forward.
    pub(crate) fn advance(&self, by: Duration) {
        let path = self.directory.path().join(CLOCK_OFFSET);
        let before: u64 = fs::read_to_string(&path).map_or(0, |text| text.parse().unwrap());
        // Renamed into place: the program reads it at any moment.
        let fresh = path.with_extension("new");
        fs::write(&fresh, (before + by.as_secs()).to_string()).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    /// What the program's clock shows, in seconds since 1970.
    pub(crate) fn now_s(&self) -> i64 {
        let offset = fs::read_to_string(self.directory.path().join(CLOCK_OFFSET));
        let offset: i64 = offset.map_or(0, |text| text.parse().unwrap());
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        i64::try_from(now).unwrap() + offset
    }

    /// A path below the state directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    pub(crate) fn unlock(&self) {
        let health = self.post("/vault/unlock", &json!({ "master_password": MASTER_PASSWORD })).expect(200);
        assert_eq!(health["vault"], "unlocked");
    }

    pub(crate) fn log_in(&mut self) {
        self.token = self.log_in_as(ADMIN, ADMIN_PASSWORD).token;
    }

    /// Logs somebody in.
    pub(crate) fn log_in_as(&self, username: &str, password: &str) -> Person {
        let body = json!({ "username": username, "password": password });
        person(&self.anonymous("POST", "/sessions", &body).expect(201))
    }

    /// Makes an account of that role, and logs it in. The administrator must be logged in.
    pub(crate) fn user(&self, username: &str, role: &str) -> Person {
        let body = json!({ "username": username, "password": PASSWORD, "role": role });
        self.post("/users", &body).expect(201);
        self.log_in_as(username, PASSWORD)
    }

    /// Exchanges a refresh token.
    pub(crate) fn refresh(&self, refresh_token: &str) -> Reply {
        self.anonymous("POST", "/sessions/refresh", &json!({ "refresh_token": refresh_token }))
    }

    pub(crate) fn health(&self) -> Value {
        exchange(&mut tcp(self.address), "GET", "/health", &[], b"").expect(200)
    }

    /// Waits until the health says so.
    pub(crate) fn wait_for_vault(&self, state: &str, limit: Duration) {
        let start = Instant::now();
        while self.health()["vault"] != state {
            assert!(start.elapsed() < limit, "the vault did not become {state}: {}", self.health());
            pause();
        }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], b"")
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, body)
    }

    /// Sends JSON.
    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.request(method, path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Asks on the control socket, without a token.
    pub(crate) fn get_locally(&self, path: &str) -> Reply {
        self.send_locally("GET", path, &json!({}))
    }

    /// Sends JSON to the control socket, without a token.
    pub(crate) fn send_locally(&self, method: &str, path: &str, body: &Value) -> Reply {
        let headers = [("content-type", "application/json")];
        let mut socket = unix(&self.path("run/control.sock"));
        exchange(&mut socket, method, &format!("/api/v1{path}"), &headers, body.to_string().as_bytes())
    }

    /// Sends JSON without a token.
    pub(crate) fn anonymous(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send_as("", method, path, body)
    }

    /// Asks with somebody's token.
    pub(crate) fn get_as(&self, token: &str, path: &str) -> Reply {
        self.request_as(token, "GET", path, &[], b"")
    }

    /// Sends JSON with somebody's token.
    pub(crate) fn send_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Reply {
        let headers = [("content-type", "application/json")];
        self.request_as(token, method, path, &headers, body.to_string().as_bytes())
    }

    /// Sends a request with the token of the administrator, if there is one.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.request_as(&self.token, method, path, headers, body)
    }

    /// Sends a request with somebody's token, or with none. Holds the reply against the description.
    #[track_caller]
    pub(crate) fn request_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let bearer = format!("Bearer {token}");
        let mut all = headers.to_vec();
        if !token.is_empty() {
            all.push(("authorization", &bearer));
        }
        let path = format!("/api/v1{path}");
        let reply = exchange(&mut tcp(self.address), method, &path, &all, body);
        contract::check(self.address, method, &path, &reply);
        reply
    }

    pub(crate) fn upload(&self, name: &str, content: &[u8]) -> Reply {
        self.request("POST", &format!("/files?name={name}"), &[], content)
    }

    /// The processes that the daemon started.
    pub(crate) fn children(&self) -> Vec<u32> {
        children_of(self.pid())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the daemon\n{}", self.log());
        }
    }
}

/// The person whose session was just opened.
pub(crate) fn person(session: &Value) -> Person {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Person {
        id: text(&session["user"]["id"]),
        token: text(&session["access_token"]),
        refresh_token: text(&session["refresh_token"]),
    }
}

/// The recovery key of every vault that [`Daemon::locked`] makes.
pub(crate) fn recovery_key() -> String {
    template().recovery_key.clone()
}

/// The body that creates a vault.
pub(crate) fn creation(setup_code: Option<&str>) -> Value {
    let mut body = json!({
        "master_password": MASTER_PASSWORD,
        "admin": { "username": ADMIN, "password": ADMIN_PASSWORD },
    });
    if let Some(code) = setup_code {
        body["setup_code"] = code.into();
    }
    body
}

/// The first line of the file that shows the setup code.
pub(crate) fn setup_code(daemon: &Daemon) -> String {
    fs::read_to_string(daemon.path("SETUP-CODE.txt")).unwrap().lines().next().unwrap().to_owned()
}

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bytes))
}

/// All regular files below a directory.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// Runs a command to its end: its code, what it printed, what it complained of.
pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (child.wait().unwrap().code(), out, err)
}

pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()).collect()
}

fn template() -> &'static Template {
    TEMPLATE.get_or_init(|| {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut daemon = Daemon::start(&directory);
        let code = setup_code(&daemon);
        let created = daemon.post("/vault", &creation(Some(&code))).expect(201);
        assert!(daemon.stop().success());
        drop(daemon);
        let recovery_key = created["recovery_key"].as_str().unwrap().to_owned();
        Template { directory: Arc::into_inner(directory).unwrap(), recovery_key }
    })
}
