//! Speaks to the storage daemon through its control socket: one request, one reply, a connection each. Knows HTTP and
//! problem documents, and not what is asked.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use coffer_api::Problem;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, body::Bytes, client::conn::http1, header, http::uri::InvalidUri};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, task::JoinSet, time::timeout};

/// A phone waits 30 s for an ATT answer, a person much less.
pub(crate) const SOON: Duration = Duration::from_secs(2);
/// What may hash a password and mount a vault, on a busy box.
pub(crate) const PATIENTLY: Duration = Duration::from_mins(1);
/// What must not be given up: the answer holds what is told only once.
pub(crate) const TO_THE_END: Duration = Duration::from_mins(5);
/// The longest answer is a list of problems.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// Why the daemon did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    /// It cannot be reached.
    #[error("connecting to the control socket: {0}")]
    Connect(#[source] io::Error),
    /// The address is none.
    #[error("asking the storage service: {0}")]
    Address(#[source] InvalidUri),
    /// The connection broke.
    #[error("asking the storage service: {0}")]
    Exchange(#[source] hyper::Error),
    /// The answer broke off, or is too long.
    #[error("reading the storage service's answer: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The question or the answer is not the JSON that both know.
    #[error("understanding the storage service's answer: {0}")]
    Json(#[source] serde_json::Error),
    /// It thinks for too long.
    #[error("the storage service gave no answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// It refuses, and says why.
    #[error("the storage service refused: {}", .0.title)]
    Refused(Box<Problem>),
    /// It answered something else than a problem document.
    #[error("the storage service answered {0}")]
    Status(StatusCode),
}

/// The daemon, as seen from here.
#[derive(Clone)]
pub(crate) struct Daemon {
    control_socket: PathBuf,
}

impl Daemon {
    /// Through `control_socket`, which need not exist yet.
    pub(crate) fn new(control_socket: PathBuf) -> Self {
        Self { control_socket }
    }

    /// Where it listens.
    pub(crate) fn control_socket(&self) -> &Path {
        &self.control_socket
    }

    /// Asks for a document.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &'static str,
        within: Duration,
    ) -> Result<T, DaemonError> {
        let body = self.exchange(Method::GET, path, Bytes::new(), within).await?;
        serde_json::from_slice(&body).map_err(DaemonError::Json)
    }

    /// Asks for something to be done, and for what came of it.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        within: Duration,
    ) -> Result<T, DaemonError> {
        let body = serde_json::to_vec(body).map_err(DaemonError::Json)?;
        let reply = self.exchange(method, path, body.into(), within).await?;
        // Nothing is as good as `null`.
        let reply: &[u8] = if reply.is_empty() { b"null" } else { &reply };
        serde_json::from_slice(reply).map_err(DaemonError::Json)
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes, within: Duration) -> Result<Bytes, DaemonError> {
        let exchange = exchange(&self.control_socket, method, path, body);
        timeout(within, exchange).await.unwrap_or(Err(DaemonError::Slow(within)))
    }
}

async fn exchange(socket: &Path, method: Method, path: &str, body: Bytes) -> Result<Bytes, DaemonError> {
    let uri: Uri = path.parse().map_err(DaemonError::Address)?;
    let stream = UnixStream::connect(socket).await.map_err(DaemonError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(DaemonError::Exchange)?;
    // Ends with this function, also when the time limit cuts it short.
    let mut driver = JoinSet::new();
    driver.spawn(connection);

    let has_body = !body.is_empty();
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("localhost"));
    if has_body {
        let json = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    let response = sender.send_request(request).await.map_err(DaemonError::Exchange)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await.map_err(DaemonError::Body)?;
    let body = body.to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    match serde_json::from_slice(&body) {
        Ok(problem) => Err(DaemonError::Refused(Box::new(problem))),
        Err(_) => Err(DaemonError::Status(status)),
    }
}
