//! Asks the daemon how the box is, through its control socket. Remembers nothing but the device id.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use coffer_api::VaultState;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, sync::watch, task::JoinSet, time::timeout};
use uuid::Uuid;

use crate::info::Daemon;

/// A phone waits 30 s for an ATT answer, a person much less.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A health report is a few hundred bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Why the daemon's answer could not be had.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("connecting to the control socket: {0}")]
    Connect(#[source] io::Error),
    #[error("asking for /health: {0}")]
    Exchange(#[source] hyper::Error),
    #[error("/health answered {0}")]
    Status(StatusCode),
    #[error("reading the answer of /health: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("understanding the answer of /health: {0}")]
    Json(#[source] serde_json::Error),
    #[error("/health gave no answer within {} s", ANSWER_WITHIN.as_secs())]
    Slow,
}

/// The daemon as seen from here.
pub(crate) struct Health {
    control_socket: PathBuf,
    device_id: watch::Sender<Uuid>,
    reachable: watch::Sender<bool>,
}

impl Health {
    /// A view through `control_socket`, which need not exist yet.
    pub(crate) fn new(control_socket: PathBuf) -> Self {
        Self { control_socket, device_id: watch::Sender::new(Uuid::nil()), reachable: watch::Sender::new(true) }
    }

    /// Asks now; at most two seconds.
    pub(crate) async fn ask(&self) -> Daemon {
        let answer = timeout(ANSWER_WITHIN, report(&self.control_socket)).await.unwrap_or(Err(AskError::Slow));
        let was_reachable = self.reachable.send_replace(answer.is_ok());
        match answer {
            Ok(report) => {
                if !was_reachable {
                    log::info!("the daemon answers again");
                }
                self.device_id.send_if_modified(|known| std::mem::replace(known, report.device_id) != report.device_id);
                about_vault(report.vault)
            }
            Err(error) => {
                if was_reachable {
                    log::warn!(socket = self.control_socket.display().to_string(); "the daemon is not reachable: {error}");
                }
                Daemon::Unreachable
            }
        }
    }

    /// The device id that the daemon told last; nil when it never did.
    pub(crate) fn device_id(&self) -> Uuid {
        *self.device_id.borrow()
    }

    /// Tells when the device id turns out to be another one.
    pub(crate) fn device_id_changes(&self) -> watch::Receiver<Uuid> {
        self.device_id.subscribe()
    }
}

async fn report(control_socket: &Path) -> Result<coffer_api::Health, AskError> {
    let stream = UnixStream::connect(control_socket).await.map_err(AskError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(AskError::Exchange)?;
    // Ends with this function, also when the time limit cuts it short.
    let mut driver = JoinSet::new();
    driver.spawn(connection);

    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = hyper::Uri::from_static("/health");
    request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("localhost"));
    let response = sender.send_request(request).await.map_err(AskError::Exchange)?;
    if response.status() != StatusCode::OK {
        return Err(AskError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await.map_err(AskError::Body)?;
    serde_json::from_slice(&body.to_bytes()).map_err(AskError::Json)
}

/// A box is claimed as soon as there is a vault, also while its key is detached.
fn about_vault(state: VaultState) -> Daemon {
    match state {
        VaultState::Absent => Daemon::Reachable { claimed: false, unlocked: false },
        VaultState::Locked | VaultState::Unlocking | VaultState::Locking => {
            Daemon::Reachable { claimed: true, unlocked: false }
        }
        VaultState::Unlocked => Daemon::Reachable { claimed: true, unlocked: true },
    }
}
