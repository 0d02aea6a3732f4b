//! Requests to a box: over TLS, or in clear to this machine alone. What a box answers is a value or one of a few errors; who
//! is logged in, and what a vault is, are others' business.

use std::{
    io::{self, Read},
    time::Duration,
};

use coffer_api::{Problem, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use ureq::{
    Agent, AsSendBody, Body, SendBody,
    config::Config,
    http::{Method, Request, Response, Uri, header, request},
};
use zeroize::Zeroizing;

/// From resolving the name to the end of the reply.
const LIMIT: Duration = Duration::from_mins(1);
/// For how long nothing may come or go while bytes of a file do.
const SILENCE_LIMIT: Duration = Duration::from_mins(1);
/// For how long a box may think when it has all of a file: it may have to read it back, or to seal it.
const THOUGHT_LIMIT: Duration = Duration::from_mins(30);
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

/// A request whose body, or whose reply, is bytes of a file. It may take any time, as long as they flow.
pub struct Parcel<'a> {
    /// What is done.
    pub method: Method,
    /// With what.
    pub path: &'a str,
    /// What is said about it.
    pub headers: &'a [(&'static str, String)],
    /// What is sent.
    pub body: Option<Outgoing<'a>>,
}

/// Bytes that are sent.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// All of them.
    pub bytes: &'a [u8],
    /// Hears how many of them are on their way.
    pub tell: &'a dyn Fn(u64),
}

/// Bytes that are counted while they are sent.
struct Counted<'a> {
    bytes: &'a [u8],
    sent: u64,
    tell: &'a dyn Fn(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.sent += read as u64;
        (self.tell)(self.sent);
        Ok(read)
    }
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
        let mut head = self.head(method, path, token);
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
        self.read(sent.map_err(|source| self.unreachable(source))?)
    }

    /// Sends a body of that length while it is read. A box that refuses it does so before that, if it can.
    pub(super) fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &SecretString,
        length: u64,
        body: &mut dyn Read,
    ) -> Result<T, RemoteError> {
        let head = self.head(Method::PUT, path, Some(token)).header(header::CONTENT_TYPE, "application/octet-stream");
        let head = head.header(header::CONTENT_LENGTH, length).header(header::EXPECT, "100-continue");
        self.read(self.run(head.body(SendBody::from_reader(body)), THOUGHT_LIMIT)?)
    }

    /// Sends or fetches bytes. The body of a reply that is no refusal is left to be read.
    pub fn carry(&self, token: &SecretString, parcel: &Parcel<'_>) -> Result<Response<Body>, RemoteError> {
        let mut head = self.head(parcel.method.clone(), parcel.path, Some(token));
        for (name, value) in parcel.headers {
            head = head.header(*name, value);
        }
        let reply = match parcel.body {
            Some(Outgoing { bytes, tell }) => {
                // What is refused is refused before it is sent, and the reason arrives.
                head = head.header(header::EXPECT, "100-continue").header(header::CONTENT_LENGTH, bytes.len());
                let mut counted = Counted { bytes, sent: 0, tell };
                self.run(head.body(SendBody::from_reader(&mut counted)), THOUGHT_LIMIT)?
            }
            None => self.run(head.body(()), SILENCE_LIMIT)?,
        };
        match reply.status().as_u16() {
            200..=299 => Ok(reply),
            status => Err(self.whole(reply).map_or_else(|error| error, |bytes| self.refusal(status, bytes))),
        }
    }

    fn run(
        &self,
        request: Result<Request<impl AsSendBody>, ureq::http::Error>,
        read_limit: Duration,
    ) -> Result<Response<Body>, RemoteError> {
        let request = request.map_err(|_| self.no_box())?;
        let configured = self.agent.configure_request(request).timeout_global(None);
        let configured = configured.timeout_resolve(Some(LIMIT)).timeout_connect(Some(LIMIT));
        let configured = configured.timeout_per_write(Some(SILENCE_LIMIT)).timeout_per_read(Some(read_limit));
        self.agent.run(configured.build()).map_err(|source| self.unreachable(source))
    }

    /// What came back: a value, or why there is none.
    fn read<T: DeserializeOwned>(&self, reply: Response<Body>) -> Result<T, RemoteError> {
        let status = reply.status().as_u16();
        let bytes = self.whole(reply)?;
        match status {
            200..=299 if bytes.is_empty() => serde_json::from_slice(b"null").map_err(|_| self.no_box()),
            200..=299 => serde_json::from_slice(&bytes).map_err(|_| self.no_box()),
            _ => Err(self.refusal(status, bytes)),
        }
    }

    fn head(&self, method: Method, path: &str, token: Option<&SecretString>) -> request::Builder {
        let head = Request::builder().method(method).uri(format!("{}{PREFIX}{path}", self.url));
        match token {
            Some(token) => head.header(header::AUTHORIZATION, format!("Bearer {}", token.expose())),
            None => head,
        }
    }

    fn whole(&self, mut reply: Response<Body>) -> Result<Zeroizing<Vec<u8>>, RemoteError> {
        let read = reply.body_mut().with_config().limit(MAX_REPLY_BYTES).read_to_vec();
        read.map(Zeroizing::new).map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => self.no_box(),
            other => self.unreachable(other),
        })
    }

    fn refusal(&self, status: u16, bytes: Zeroizing<Vec<u8>>) -> RemoteError {
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) if problem.status == status => RemoteError::Refused(Box::new(problem)),
            Err(_) if status == 412 => RemoteError::Stale(bytes),
            Ok(_) | Err(_) => self.no_box(),
        }
    }

    fn no_box(&self) -> RemoteError {
        RemoteError::NoBox { url: self.url.clone() }
    }

    fn unreachable(&self, source: ureq::Error) -> RemoteError {
        RemoteError::Unreachable { url: self.url.clone(), source: Box::new(source) }
    }
}
