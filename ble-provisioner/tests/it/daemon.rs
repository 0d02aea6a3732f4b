//! A control socket whose daemon says what the test wants, and writes down what it was asked to do.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex},
};

use coffer_api::{Health, HealthStatus, KeyFileState, TunnelState, VaultState};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};
use uuid::Uuid;

use crate::eventually;

/// Where orders are fetched and answered.
const ORDERS: &str = "/api/v1/device/network/orders/";

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
    /// Changes of the network that nobody has fetched yet.
    orders: VecDeque<Value>,
}

pub(crate) struct Daemon {
    state: Arc<Mutex<State>>,
    news: watch::Sender<()>,
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
            ("PUT /api/v1/device/networks".to_owned(), (204, Value::Null)),
            (
                "GET /api/v1/device".to_owned(),
                (200, json!({"device_id": Uuid::nil(), "name": "coffer", "claimed": false, "version": "0.1.0"})),
            ),
        ]);
        let state = Arc::new(Mutex::new(State { health, answers, asked: Vec::new(), orders: VecDeque::new() }));
        let news = watch::Sender::new(());
        let task = tokio::spawn({
            let (state, news) = (Arc::clone(&state), news.clone());
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(reply(stream, Arc::clone(&state), news.clone()));
                }
            }
        });
        Self { state, news, task }
    }

    /// Orders a change of the network.
    pub(crate) fn order(&self, id: Uuid, change: &Value) {
        self.state.lock().unwrap().orders.push_back(json!({"id": id, "change": change}));
        self.news.send_replace(());
    }

    /// Waits until it is told how an order went.
    pub(crate) async fn outcome(&self, id: Uuid) -> Value {
        let what = format!("PUT {ORDERS}{id}");
        self.until_asked(&what).await
    }

    /// Waits until it is asked to do that; the latest body.
    pub(crate) async fn until_asked(&self, what: &str) -> Value {
        let mut news = self.news.subscribe();
        eventually(what, async {
            loop {
                news.mark_unchanged();
                let asked = self.state.lock().unwrap().asked.iter().rev().find(|asked| asked.what == what).cloned();
                if let Some(asked) = asked {
                    return asked.body;
                }
                news.changed().await.unwrap();
            }
        })
        .await
    }

    pub(crate) fn say(&self, health: Answer) {
        self.state.lock().unwrap().health = health;
    }

    /// Answers a request, such as `POST /api/v1/vault`, from now on.
    pub(crate) fn answer(&self, what: &str, status: u16, body: Value) {
        self.state.lock().unwrap().answers.insert(what.to_owned(), (status, body));
    }

    /// All that it was asked to do, but for questions; and how the network is, it is told all the time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let is_report = |what: &str| what.ends_with("/network") || what.ends_with("/networks");
        self.state.lock().unwrap().asked.iter().filter(|asked| !is_report(&asked.what)).cloned().collect()
    }
}

impl Drop for Daemon {
    /// Like a daemon that is killed: the socket file stays, and refuses connections.
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn reply(mut stream: UnixStream, state: Arc<Mutex<State>>, news: watch::Sender<()>) {
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
    let answered = if what == format!("POST {ORDERS}next") {
        tokio::select! {
            order = next_order(&state, &news) => Some(order),
            // The program is dead, and takes no order with it.
            _ = stream.read_u8() => return,
        }
    } else {
        answer(&state, what, body)
    };
    news.send_replace(());
    let Some((status, body)) = answered else { return std::future::pending().await };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // The program hangs up in the middle of a body that is too long for it.
    let _refused = stream.write_all(&body).await;
}

/// As the real one, which has the program wait.
async fn next_order(state: &Mutex<State>, news: &watch::Sender<()>) -> (u16, Vec<u8>) {
    let mut news = news.subscribe();
    loop {
        news.mark_unchanged();
        let order = state.lock().unwrap().orders.pop_front();
        if let Some(order) = order {
            return (200, serde_json::to_vec(&order).unwrap());
        }
        news.changed().await.unwrap();
    }
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
    let outcome = what.contains(ORDERS).then_some((204, Value::Null));
    let known = outcome.or_else(|| state.answers.get(&what).cloned());
    let (status, reply) = known.unwrap_or_else(|| panic!("nobody expected {what}"));
    if !what.starts_with("GET ") {
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
