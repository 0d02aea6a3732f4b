//! HTTP requests to the outside, so many at a time and never in clear: over TLS, or to this machine.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::{Request, Uri, header};
use zeroize::Zeroizing;

/// Requests at once; each has a blocking thread for as long as it takes.
const AT_ONCE: usize = 32;
/// How long a request may take, from resolving the name to the end of the reply; also how long it may wait for its turn.
const LIMIT: Duration = Duration::from_secs(10);
/// Largest reply that is read.
const MAX_REPLY_BYTES: u64 = 1024 * 1024;
/// Largest head of a reply.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Why there was no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("too many requests to the outside at once")]
    Busy,
    #[error("no reply from the outside")]
    NoReply(#[source] Box<ureq::Error>),
}

/// A reply, whatever its status.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// What `Retry-After` says, in seconds.
    pub(crate) retry_after: Option<Duration>,
    /// May hold a token.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Sends requests. Redirects are not followed, and no environment variable sends them elsewhere.
#[derive(Clone)]
pub(crate) struct Outbound {
    agent: Agent,
    slots: Arc<Semaphore>,
}

impl Outbound {
    /// With connections of its own.
    pub(crate) fn new() -> Self {
        let config = Config::builder()
            .timeout_global(Some(LIMIT))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .max_response_header_size(MAX_HEAD_BYTES)
            .user_agent(concat!("coffer-registrar/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Sends a request, with a body or without one.
    pub(crate) async fn send(&self, request: Request<Option<String>>) -> Result<Reply, OutboundError> {
        let waiting = tokio::time::timeout(LIMIT, Arc::clone(&self.slots).acquire_owned());
        let Ok(Ok(slot)) = waiting.await else { return Err(OutboundError::Busy) };
        let agent = self.agent.clone();
        let sent = tokio::task::spawn_blocking(move || {
            let reply = send(&agent, request);
            drop(slot);
            reply
        });
        let reply = sent.await.map_err(|_| OutboundError::Busy)?;
        reply.map_err(|error| OutboundError::NoReply(Box::new(error)))
    }
}

fn send(agent: &Agent, request: Request<Option<String>>) -> Result<Reply, ureq::Error> {
    let (head, body) = request.into_parts();
    let mut reply = match body {
        Some(body) => agent.run(Request::from_parts(head, body))?,
        None => agent.run(Request::from_parts(head, ()))?,
    };
    let retry_after = reply.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = reply.body_mut().with_config().limit(MAX_REPLY_BYTES).read_to_vec()?;
    Ok(Reply {
        status: reply.status().as_u16(),
        retry_after: retry_after.map(Duration::from_secs),
        body: Zeroizing::new(body),
    })
}

/// Whether what is sent there is read by nobody on the way.
pub(crate) fn is_private(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => matches!(host, "localhost" | "127.0.0.1" | "[::1]"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_clear() {
        for (url, expected) in [
            ("https://api.cloudflare.com/client/v4", true),
            ("http://127.0.0.1:4000/v4", true),
            ("http://[::1]:4000", true),
            ("http://localhost", true),
            ("http://api.cloudflare.com", false),
            ("http://127.0.0.1.example", false),
            ("http://localhost@example.org", false),
            ("ftp://localhost", false),
            ("/keys.json", false),
            ("", false),
        ] {
            assert_eq!(is_private(url), expected, "{url}");
        }
    }
}
