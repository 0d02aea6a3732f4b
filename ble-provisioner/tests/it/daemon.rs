//! A control socket whose daemon says what the test wants, and writes down what it was asked to do.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};

use coffer_api::{Health, HealthStatus, KeyFileState, TunnelState, VaultState};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};
use uuid::Uuid;

#[derive(Clone)]
pub(crate) enum Answer {
    Health(Health),
    /// A body of so many bytes, of no sense.
    Bytes(usize),
    /// Takes the question and says nothing.
    Silence,
}

/// Something that it was asked to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// `POST /api/v1/vault`
    pub(crate) what: String,
    pub(crate) body: Value,
}

struct State {
    health: Answer,
    /// Status and body for all but `/health`.
    answers: HashMap<String, (u16, Value)>,
    asked: Vec<Asked>,
}

pub(crate) struct Daemon {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Daemon {
    pub(crate) fn start(socket: &Path, health: Answer) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let answers = HashMap::from([
            (
                "GET /api/v1/device/setup".to_owned(),
                (200, json!({"device_id": Uuid::nil(), "claimed": true, "code": null})),
            ),
            (
                "GET /api/v1/device/registration".to_owned(),
                (
                    200,
                    json!({"state": "none", "step": null, "attempt": 0, "retry_after_s": null, "error": null,
                    "server_url": null, "registered_id": null}),
                ),
            ),
            (
                "GET /api/v1/device/tunnel".to_owned(),
                (200, json!({"server_url": null, "tunnel": "none", "since": null, "connections": null})),
            ),
            ("PUT /api/v1/device/network".to_owned(), (204, Value::Null)),
            (
                "GET /api/v1/device".to_owned(),
                (200, json!({"device_id": Uuid::nil(), "name": "coffer", "claimed": false, "version": "0.1.0"})),
            ),
        ]);
        let state = Arc::new(Mutex::new(State { health, answers, asked: Vec::new() }));
        let task = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(reply(stream, Arc::clone(&state)));
                }
            }
        });
        Self { state, task }
    }

    pub(crate) fn say(&self, health: Answer) {
        self.state.lock().unwrap().health = health;
    }

    /// Answers a request, such as `POST /api/v1/vault`, from now on.
    pub(crate) fn answer(&self, what: &str, status: u16, body: Value) {
        self.state.lock().unwrap().answers.insert(what.to_owned(), (status, body));
    }

    /// All that it was asked to do, but for questions.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }
}

impl Drop for Daemon {
    /// Like a daemon that is killed: the socket file stays, and refuses connections.
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn reply(mut stream: UnixStream, state: Arc<Mutex<State>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // The program went away before it had asked.
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let what = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let Some((status, body)) = answer(&state, what, body) else { return std::future::pending().await };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // The program hangs up in the middle of a body that is too long for it.
    let _refused = stream.write_all(&body).await;
}

fn answer(state: &Mutex<State>, what: String, body: Value) -> Option<(u16, Vec<u8>)> {
    let mut state = state.lock().unwrap();
    if what == "GET /health" {
        return match &state.health {
            Answer::Health(health) => Some((200, serde_json::to_vec(health).unwrap())),
            Answer::Bytes(length) => Some((200, vec![b' '; *length])),
            Answer::Silence => None,
        };
    }
    let (status, reply) = state.answers.get(&what).cloned().unwrap_or_else(|| panic!("nobody expected {what}"));
    // How the network is, it is told all the time.
    if !what.starts_with("GET ") && !what.ends_with("/network") {
        state.asked.push(Asked { what, body });
    }
    Some((status, serde_json::to_vec(&reply).unwrap()))
}

pub(crate) fn health(device_id: Uuid, vault: VaultState) -> Answer {
    Answer::Health(Health {
        status: HealthStatus::Ok,
        version: "0.1.0".to_owned(),
        device_id,
        vault,
        key_file: KeyFileState::Present,
        lockdown: false,
        storage_present: true,
        watchdog_alive: true,
        tunnel: TunnelState::None,
        problems: Vec::new(),
    })
}
