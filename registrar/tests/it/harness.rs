//! Starts and stops the real program, on directories and databases of its own, beside a stand-in of Cloudflare.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Request, Response};

use crate::box_key::BoxKey;
use crate::persons::{AUDIENCE, ISSUER, Key, set};
use crate::stand_in::{StandIn, World};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_coffer-registrar");
pub(crate) const DOMAIN: &str = "boxes.example.org";
pub(crate) const CLOUDFLARE_TOKEN: &str = "v1.0-cloudflare-api-token-of-these-tests";
pub(crate) const SEALING_KEY: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const CLOCK_OFFSET: &str = "clock-offset";

/// Where a registrar keeps its state.
pub(crate) struct Where {
    pub(crate) directory: tempfile::TempDir,
    /// The database, in libpq's words; none for SQLite.
    pub(crate) postgres: Option<String>,
}

impl Where {
    pub(crate) fn sqlite() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), postgres: None }
    }

    #[cfg(postgresql)]
    pub(crate) fn postgres() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), postgres: Some(crate::postgres::new_database()) }
    }

    #[cfg(not(postgresql))]
    pub(crate) fn postgres() -> Self {
        unreachable!("the test is ignored")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write_secret(&self, name: &str, text: &str) {
        let path = self.file(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A stand-in of Cloudflare on a thread of its own.
pub(crate) struct Cloudflare {
    pub(crate) url: String,
    pub(crate) stand_in: StandIn,
}

impl Cloudflare {
    pub(crate) fn start() -> Self {
        let stand_in = StandIn::new(CLOUDFLARE_TOKEN, "account", "zone");
        let url = serve(stand_in.router());
        Self { url, stand_in }
    }

    /// Makes calls go wrong.
    pub(crate) fn fault(&self, fault: &Value) {
        let reply = call(&agent(), "PUT", &format!("{}/stand-in/fault", self.url), None, Some(fault));
        assert_eq!(reply.status, 204);
    }

    /// Lets them go right again, also those that are held.
    pub(crate) fn repair(&self) {
        assert_eq!(call(&agent(), "DELETE", &format!("{}/stand-in/fault", self.url), None, None).status, 204);
    }

    /// Waits until a call was done and is held.
    pub(crate) fn wait_for_held(&self) {
        assert_eq!(call(&agent(), "GET", &format!("{}/stand-in/held", self.url), None, None).status, 204);
    }

    pub(crate) fn wait_until(&self, is_so: impl Fn(&World) -> bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let waited = async { tokio::time::timeout(Duration::from_mins(1), self.stand_in.wait_until(is_so)).await };
        runtime.block_on(waited).expect("it never came to be so");
    }

    /// How many tunnels and records there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let world = self.stand_in.world();
        (world.tunnels.len(), world.records.len())
    }
}

/// Serves a router on a thread, until the tests end; gives its address.
pub(crate) fn serve(router: axum::Router) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
    });
    url
}

/// A running registrar. Dropping it kills it.
pub(crate) struct Registrar {
    child: Child,
    pub(crate) url: String,
    pub(crate) cloudflare: Arc<Cloudflare>,
    /// The key that signs the tokens of people.
    pub(crate) key: Arc<Key>,
    pub(crate) agent: Agent,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// A reply.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The body, of a reply with that status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Asserts that it is a problem, told in the way of all problems.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], "about:blank");
        let later = self.headers.get("retry-after").map(|value| value.to_str().unwrap().parse::<u64>().unwrap());
        assert_eq!(self.body["retry_after_s"].as_u64(), later);
        assert_eq!(later.is_some(), [429, 503].contains(&status), "{}", self.body);
        self.body
    }
}

impl Registrar {
    /// A registrar with an empty Cloudflare.
    pub(crate) fn start(place: &Where) -> Self {
        Self::start_with(place, &Arc::new(Cloudflare::start()), "")
    }

    /// The same, with more lines at the end of its configuration.
    pub(crate) fn start_with(place: &Where, cloudflare: &Arc<Cloudflare>, more: &str) -> Self {
        let key = Arc::new(Key::ed25519("first", 1));
        fs::write(place.file("jwks.json"), set(&[&key])).unwrap();
        Self::start_with_keys(place, cloudflare, "jwks_file = \"jwks.json\"", key, more)
    }

    /// The same, with the keys of the identity provider elsewhere.
    pub(crate) fn start_with_keys(
        place: &Where,
        cloudflare: &Arc<Cloudflare>,
        keys: &str,
        key: Arc<Key>,
        more: &str,
    ) -> Self {
        configure(place, &cloudflare.url, keys, more);
        Self::spawn(place, Arc::clone(cloudflare), key, agent()).unwrap_or_else(|log| panic!("it did not start: {log}"))
    }

    /// Starts the program on what is configured; its log when it does not start.
    pub(crate) fn spawn(
        place: &Where,
        cloudflare: Arc<Cloudflare>,
        key: Arc<Key>,
        agent: Agent,
    ) -> Result<Self, String> {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--config"])
            .arg(place.file("registrar.toml"))
            .arg("--clock-offset")
            .arg(place.file(CLOCK_OFFSET))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, collected) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                collected.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split(' ').find(|word| word.contains("://")).map(ToOwned::to_owned);
        let mut registrar = Self { child, url: String::new(), cloudflare, key, agent, log, reader: Some(reader) };
        if let Some(url) = url {
            registrar.url = url;
            return Ok(registrar);
        }
        assert!(!registrar.child.wait().unwrap().success());
        Err(registrar.log())
    }

    /// Kills the program and starts it again on what it left.
    pub(crate) fn crash_and_restart(mut self, place: &Where) -> Self {
        self.kill();
        self.restart_killed(place)
    }

    /// Starts the program again on what it left, after [`Registrar::kill`].
    pub(crate) fn restart_killed(self, place: &Where) -> Self {
        Self::spawn(place, Arc::clone(&self.cloudflare), Arc::clone(&self.key), self.agent.clone()).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9));
    }

    /// Tells the program to stop, and waits for its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }

    /// Tells the program to stop.
    pub(crate) fn terminate(&self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(told.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
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

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Reply {
        call(&self.agent, method, &format!("{}{path}", self.url), token, body)
    }

    /// A call of a person.
    pub(crate) fn as_person(&self, person: &str, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.call(method, path, Some(&self.key.token_of(person)), body)
    }

    /// A new ticket of a person.
    pub(crate) fn ticket(&self, person: &str) -> String {
        let body = self.as_person(person, "POST", "/claim-tickets", None).expect(201);
        body["ticket"].as_str().unwrap().to_owned()
    }

    /// A box asks to be registered with a ticket.
    pub(crate) fn register(&self, ticket: &str, device: &BoxKey) -> Reply {
        let body = json!({ "ticket": ticket, "public_key": device.public(), "proof": device.proof(ticket) });
        self.call("POST", "/register-device", None, Some(&body))
    }

    /// A registered box of a person: what it got.
    pub(crate) fn registered(&self, person: &str, number: u8) -> Value {
        self.register(&self.ticket(person), &BoxKey::new(number)).expect(200)
    }

    /// A person's list of boxes.
    pub(crate) fn devices(&self, person: &str) -> Vec<Value> {
        let body = self.as_person(person, "GET", "/devices", None).expect(200);
        body["items"].as_array().unwrap().clone()
    }
}

/// Moves the clocks of the registrars there forward.
pub(crate) fn advance(place: &Where, by: Duration) {
    let path = place.file(CLOCK_OFFSET);
    let before: u64 = fs::read_to_string(&path).map_or(0, |text| text.parse().unwrap());
    // Renamed into place: the program reads it at any moment.
    let fresh = place.file("clock-offset.new");
    fs::write(&fresh, (before + by.as_secs()).to_string()).unwrap();
    fs::rename(fresh, path).unwrap();
}

impl Drop for Registrar {
    fn drop(&mut self) {
        // Err: it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a configuration.
pub(crate) fn configure(place: &Where, cloudflare: &str, keys: &str, more: &str) {
    place.write_secret("sealing-key", SEALING_KEY);
    place.write_secret("cloudflare-token", CLOUDFLARE_TOKEN);
    let database = match &place.postgres {
        None => format!("sqlite = \"{}\"", place.file("registrar.db").display()),
        Some(address) => format!("postgres = {address:?}"),
    };
    let text = format!(
        "listen = \"127.0.0.1:0\"\nsealing_key_file = \"sealing-key\"\n\
         [database]\n{database}\n\
         [users]\nissuer = {ISSUER:?}\naudience = {AUDIENCE:?}\n{keys}\n\
         [cloudflare]\naccount_id = \"account\"\nzone_id = \"zone\"\ntoken_file = \"cloudflare-token\"\n\
         api = \"{cloudflare}/client/v4\"\n\
         [devices]\ndomain = {DOMAIN:?}\n{more}\n"
    );
    fs::write(place.file("registrar.toml"), text).unwrap();
}

/// A client that takes every reply as it is.
pub(crate) fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(Duration::from_mins(2))).build().into()
}

/// One request.
pub(crate) fn call(agent: &Agent, method: &str, url: &str, token: Option<&str>, body: Option<&Value>) -> Reply {
    let mut request = Request::builder().method(method).uri(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let sent = match body {
        Some(body) => {
            let request = request.header("content-type", "application/json").body(body.to_string()).unwrap();
            agent.run(request)
        }
        None if method == "POST" => agent.run(request.body(String::new()).unwrap()),
        None => agent.run(request.body(()).unwrap()),
    };
    reply(sent.unwrap())
}

/// Reads a reply.
pub(crate) fn reply(mut response: Response<ureq::Body>) -> Reply {
    let bytes = response.body_mut().read_to_vec().unwrap();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    Reply { status: response.status().as_u16(), headers: response.headers().clone(), body }
}

/// Whether those bytes stand somewhere in there.
pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Every file below a directory.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}
