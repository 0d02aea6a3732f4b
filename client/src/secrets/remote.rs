//! Requests to a box: over TLS, or in clear to this machine alone. What a box answers is a value or one of a few errors; who
//! is logged in, and what a vault is, are others' business.

use std::{io::Read, time::Duration};

use coffer_api::{Problem, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use ureq::{
    Agent, AsSendBody, Body, SendBody,
    config::Config,
    http::{Method, Request, Response, Uri, header},
};
use zeroize::Zeroizing;

/// From resolving the name to the end of the reply; of what is sent and read as a stream, from one part to the next.
const LIMIT: Duration = Duration::from_mins(1);
/// Largest reply that is read: what a box tells of a vault at once is half of it.
const MAX_REPLY_BYTES: u64 = 32 * 1024 * 1024;
const MAX_HEAD_BYTES: usize = 32 * 1024;
const PREFIX: &str = "/api/v1";

/// A box, by its address.
pub struct Remote {
    agent: Agent,
    url: String,
}

/// What a request replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: there is no such thing yet.
    New,
    /// This revision.
    Replaces(u64),
}

/// The text is no address of a box.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It does not begin with `https://`, and a name.
    #[error("{0:?} is not the address of a box. It should be like https://coffer.example.")]
    NoAddress(String),
    /// Everybody on the way could read along.
    #[error("{0:?} is not protected on the way: use https://. Only this machine is spoken to in clear.")]
    InClear(String),
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no reply.
    #[error("The box at {url} cannot be reached: {source}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// Why not.
        source: Box<ureq::Error>,
    },
    /// There is one, and it is no box's.
    #[error("What answers at {url} does not speak as a box does. Is the address right, and are both up to date?")]
    NoBox {
        /// Where it should be.
        url: String,
    },
    /// The box says no.
    #[error("{}: {}", .0.title, .0.detail)]
    Refused(Box<Problem>),
    /// Somebody was faster: what there is now, as JSON.
    #[error("It was changed meanwhile.")]
    Stale(Zeroizing<Vec<u8>>),
}

impl Remote {
    /// A box at an address like `https://coffer.example`.
    pub fn at(url: &str) -> Result<Self, AddressError> {
        let no_address = || AddressError::NoAddress(url.to_owned());
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| no_address())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(no_address()) };
        if uri.path().len() > 1 || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(no_address());
        }
        match (scheme, authority.host()) {
            ("https", _) | ("http", "localhost" | "127.0.0.1" | "[::1]") => {}
            ("http", _) => return Err(AddressError::InClear(url.to_owned())),
            _ => return Err(no_address()),
        }
        let config = Config::builder()
            .timeout_global(Some(LIMIT))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            .max_response_header_size(MAX_HEAD_BYTES)
            .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.into(), url: format!("{scheme}://{authority}") })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks for something.
    pub fn get<T: DeserializeOwned>(&self, token: Option<&SecretString>, path: &str) -> Result<T, RemoteError> {
        self.send::<(), T>(Method::GET, path, token, None, None)
    }

    /// Sends a request, with a body or without one. A reply without a body reads as `()`.
    pub fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        condition: Option<Condition>,
        body: Option<&B>,
    ) -> Result<T, RemoteError> {
        let no_box = || self.no_box();
        let mut head = Request::builder().method(method).uri(format!("{}{PREFIX}{path}", self.url));
        if let Some(token) = token {
            head = head.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        head = match condition {
            Some(Condition::New) => head.header(header::IF_NONE_MATCH, "*"),
            Some(Condition::Replaces(revision)) => head.header(header::IF_MATCH, format!("\"{revision}\"")),
            None => head,
        };
        let body = body.map(serde_json::to_vec).transpose().map_err(|_| no_box())?.map(Zeroizing::new);
        let sent = match &body {
            Some(body) => {
                let request = head.header(header::CONTENT_TYPE, "application/json").body(body.as_slice());
                self.agent.run(request.map_err(|_| no_box())?)
            }
            None => self.agent.run(head.body(()).map_err(|_| no_box())?),
        };
        self.read(sent)
    }

    /// Sends a body of that length while it is read. A box that refuses it does so before that, if it can.
    pub(super) fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &SecretString,
        length: u64,
        body: &mut dyn Read,
    ) -> Result<T, RemoteError> {
        let head = Request::put(format!("{}{PREFIX}{path}", self.url))
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose()))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, length)
            .header(header::EXPECT, "100-continue");
        let request = head.body(SendBody::from_reader(body)).map_err(|_| self.no_box())?;
        self.read(self.agent.run(self.at_length(request)))
    }

    /// Asks for what is read while it comes.
    pub(super) fn download(&self, path: &str, token: &SecretString) -> Result<impl Read + use<>, RemoteError> {
        let head = Request::get(format!("{}{PREFIX}{path}", self.url))
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        let request = self.at_length(head.body(()).map_err(|_| self.no_box())?);
        let reply = self.agent.run(request).map_err(|source| self.unreachable(source))?;
        match reply.status().as_u16() {
            200 => Ok(reply.into_body().into_reader()),
            _ => Err(self.read::<()>(Ok(reply)).err().unwrap_or_else(|| self.no_box())),
        }
    }

    /// What takes as long as it takes, and may not stand still.
    fn at_length<S: AsSendBody>(&self, request: Request<S>) -> Request<S> {
        self.agent
            .configure_request(request)
            .timeout_global(None)
            .timeout_connect(Some(LIMIT))
            .timeout_recv_response(Some(LIMIT))
            .timeout_per_read(Some(LIMIT))
            .timeout_per_write(Some(LIMIT))
            .build()
    }

    /// What came back: a value, or why there is none.
    fn read<T: DeserializeOwned>(&self, sent: Result<Response<Body>, ureq::Error>) -> Result<T, RemoteError> {
        let mut reply = sent.map_err(|source| self.unreachable(source))?;
        let status = reply.status().as_u16();
        let read = reply.body_mut().with_config().limit(MAX_REPLY_BYTES).read_to_vec();
        let bytes = Zeroizing::new(read.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => self.no_box(),
            other => self.unreachable(other),
        })?);
        match status {
            200..=299 if bytes.is_empty() => serde_json::from_slice(b"null").map_err(|_| self.no_box()),
            200..=299 => serde_json::from_slice(&bytes).map_err(|_| self.no_box()),
            _ => Err(match serde_json::from_slice::<Problem>(&bytes) {
                Ok(problem) if problem.status == status => RemoteError::Refused(Box::new(problem)),
                Err(_) if status == 412 => RemoteError::Stale(bytes),
                Ok(_) | Err(_) => self.no_box(),
            }),
        }
    }

    fn no_box(&self) -> RemoteError {
        RemoteError::NoBox { url: self.url.clone() }
    }

    fn unreachable(&self, source: ureq::Error) -> RemoteError {
        RemoteError::Unreachable { url: self.url.clone(), source: Box::new(source) }
    }
}
