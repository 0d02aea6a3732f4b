//! Asks `cloudflared` on this machine whether it has reached the edge (`/ready` of its metrics server: 200 with at least
//! one connection, else 503).

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use ureq::Agent;
use ureq::config::Config;

/// It answers from memory.
const LIMIT: Duration = Duration::from_secs(2);
/// Its reply has some 100 bytes.
const MAX_REPLY_BYTES: u64 = 4096;

/// What it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It carries requests, over so many connections if it said that.
    Connected(Option<u32>),
    /// It runs, and has no connection.
    Waiting,
    /// It does not answer.
    Silent,
}

#[derive(Deserialize)]
struct Ready {
    #[serde(rename = "readyConnections")]
    connections: u32,
}

/// Asks. Blocks.
pub(crate) fn ask(address: SocketAddr) -> Readiness {
    let config = Config::builder().timeout_global(Some(LIMIT)).max_redirects(0).http_status_as_error(false).proxy(None);
    let agent: Agent = config.max_idle_connections(0).build().into();
    let Ok(mut reply) = agent.get(format!("http://{address}/ready")).call() else { return Readiness::Silent };
    match reply.status().as_u16() {
        200 => {
            let body = reply.body_mut().with_config().limit(MAX_REPLY_BYTES).read_to_vec().unwrap_or_default();
            Readiness::Connected(serde_json::from_slice::<Ready>(&body).ok().map(|ready| ready.connections))
        }
        503 => Readiness::Waiting,
        // Somebody else listens there.
        _ => Readiness::Silent,
    }
}
