//! A control socket whose daemon says what the test wants.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use coffer_api::{Health, HealthStatus, KeyFileState, VaultState};
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

pub(crate) struct Daemon {
    answer: Arc<Mutex<Answer>>,
    task: JoinHandle<()>,
}

impl Daemon {
    pub(crate) fn start(socket: &Path, answer: Answer) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let task = tokio::spawn({
            let answer = Arc::clone(&answer);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let answer = answer.lock().unwrap().clone();
                    tokio::spawn(reply(stream, answer));
                }
            }
        });
        Self { answer, task }
    }

    pub(crate) fn say(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

impl Drop for Daemon {
    /// Like a daemon that is killed: the socket file stays, and refuses connections.
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn reply(mut stream: UnixStream, answer: Answer) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        // The program went away before it had asked.
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
    }
    assert!(request.starts_with(b"GET /health HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&request));
    let body = match answer {
        Answer::Health(health) => serde_json::to_vec(&health).unwrap(),
        Answer::Bytes(length) => vec![b' '; length],
        Answer::Silence => return std::future::pending().await,
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // The program hangs up in the middle of a body that is too long for it.
    let _refused = stream.write_all(&body).await;
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
        tunnel: coffer_api::TunnelState::None,
        problems: Vec::new(),
    })
}
