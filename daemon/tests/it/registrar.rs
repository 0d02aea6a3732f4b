//! A stand-in for a registrar, over real TLS, which keeps to docs/registrar.md as far as a box can tell.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ring::signature::{ED25519, UnparsedPublicKey};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// What it does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    /// Answers.
    Works,
    /// Does what it is asked for, and never says so.
    LosesTheReply,
    /// Does what it is asked for, and says so only after [`Registrar::let_go`].
    Hesitates,
    /// Answers with a problem, and maybe `Retry-After`.
    Refuses(u16, &'static str, Option<u64>),
}

/// What a box is registered as.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) device_id: String,
    pub(crate) shared_secret: String,
    pub(crate) tunnel_token: String,
    pub(crate) server_url: String,
    pub(crate) name: String,
}

#[derive(Default)]
struct State {
    /// Each with the key of the box that used it.
    tickets: HashMap<String, Option<String>>,
    devices: HashMap<String, Registered>,
    moods: VecDeque<Mood>,
    requests: usize,
    released: bool,
}

/// The validity of its certificate, in years.
pub(crate) const VALID: (i32, i32) = (2020, 2090);

pub(crate) struct Registrar {
    pub(crate) url: String,
    /// Trusts its certificate.
    pub(crate) ca: PathBuf,
    state: Arc<(Mutex<State>, Condvar)>,
    // Outlives the file.
    _directory: tempfile::TempDir,
}

impl Registrar {
    /// One that knows these tickets.
    pub(crate) fn start(tickets: &[&str]) -> Self {
        Self::valid(VALID, tickets)
    }

    /// The same, with a certificate that is valid from the one year to the other.
    pub(crate) fn valid(years: (i32, i32), tickets: &[&str]) -> Self {
        let (config, root) = certified(years);
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, root).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/functions/v1", listener.local_addr().unwrap().port());
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        for ticket in tickets {
            state.0.lock().unwrap().tickets.insert((*ticket).to_owned(), None);
        }
        let shared = Arc::clone(&state);
        // Ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, shared) = (Arc::clone(&config), Arc::clone(&shared));
                std::thread::spawn(move || serve(stream, config, &shared));
            }
        });
        Self { url, ca, state, _directory: directory }
    }

    /// The arguments by which a daemon trusts it.
    pub(crate) fn arguments(&self) -> [&str; 2] {
        ["--registrar-ca", self.ca.to_str().unwrap()]
    }

    /// How it takes the next requests; after them it works.
    pub(crate) fn is_going_to(&self, moods: &[Mood]) {
        self.state.0.lock().unwrap().moods.extend(moods);
    }

    /// Lets a reply go that it hesitates with.
    pub(crate) fn let_go(&self) {
        self.state.0.lock().unwrap().released = true;
        self.state.1.notify_all();
    }

    /// Another box takes a ticket.
    pub(crate) fn give_away(&self, ticket: &str) {
        self.state.0.lock().unwrap().tickets.insert(ticket.to_owned(), Some("another box".to_owned()));
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.0.lock().unwrap().requests
    }

    /// The boxes that it has.
    pub(crate) fn devices(&self) -> Vec<Registered> {
        self.state.0.lock().unwrap().devices.values().cloned().collect()
    }
}

/// How `localhost` serves TLS, with a certificate that is valid from the one year to the other; and what trusts it, in PEM.
pub(crate) fn certified((from, to): (i32, i32)) -> (Arc<ServerConfig>, String) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    leaf.not_before = rcgen::date_time_ymd(from, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(to, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = leaf.signed_by(&key, &root).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap();
    (Arc::new(config), root.pem())
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, shared: &(Mutex<State>, Condvar)) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    // A box that does not trust us hangs up.
    let Some((head, body)) = request(&mut stream) else { return };
    assert!(head.starts_with("POST /functions/v1/register-device HTTP/1.1"), "{head}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    let (lock, bell) = shared;
    let mut state = lock.lock().unwrap();
    state.requests += 1;
    let mood = state.moods.pop_front().unwrap_or(Mood::Works);
    let (status, retry_after, reply) = match mood {
        Mood::Refuses(status, code, retry_after) => (status, retry_after, problem(status, code)),
        Mood::Works | Mood::LosesTheReply | Mood::Hesitates => {
            let (status, reply) = register(&mut state, &body);
            (status, None, reply)
        }
    };
    match mood {
        Mood::LosesTheReply => return,
        Mood::Hesitates => drop(bell.wait_while(state, |state| !state.released).unwrap()),
        Mood::Works | Mood::Refuses(..) => drop(state),
    }
    let reply = reply.to_string();
    let retry_after = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{retry_after}\r\n", reply.len());
    let _ = stream.write_all((head + &reply).as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).ok()? > 2 {
        head.push_str(&line);
        line.clear();
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// As docs/registrar.md says: idempotent by the ticket and the box's key.
fn register(state: &mut State, body: &Value) -> (u16, Value) {
    let credential = body["ticket"].as_str().or(body["user_token"].as_str()).unwrap();
    assert!(body["ticket"].is_null() != body["user_token"].is_null(), "exactly one");
    let key = body["public_key"].as_str().unwrap().to_owned();
    let public = BASE64URL_NOPAD.decode(key.as_bytes()).unwrap();
    let proof = BASE64URL_NOPAD.decode(body["proof"].as_str().unwrap().as_bytes()).unwrap();
    let signed = format!("coffer-register-device-v1\n{credential}");
    assert!(UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &proof).is_ok(), "the proof");
    match state.tickets.get_mut(credential) {
        None => return (403, problem(403, "wrong_ticket")),
        Some(Some(holder)) if *holder != key => return (409, problem(409, "already_claimed")),
        Some(holder) => *holder = Some(key.clone()),
    }
    let number = u8::try_from(state.devices.len()).unwrap() + 1;
    let registered = state.devices.entry(key).or_insert_with(|| {
        let device_id = uuid::Uuid::new_v4();
        let token = json!({ "a": "1f2e", "t": device_id, "s": BASE64.encode(&[number; 32]) });
        Registered {
            device_id: device_id.to_string(),
            shared_secret: HEXLOWER.encode(&[number; 32]),
            tunnel_token: BASE64.encode(token.to_string().as_bytes()),
            server_url: format!("https://{device_id}.boxes.example"),
            name: body["name"].as_str().unwrap().to_owned(),
        }
    });
    let reply = json!({
        "device_id": registered.device_id,
        "shared_secret": registered.shared_secret,
        "tunnel_token": registered.tunnel_token,
        "server_url": registered.server_url,
    });
    (200, reply)
}

fn problem(status: u16, code: &str) -> Value {
    json!({ "type": "about:blank", "status": status, "code": code, "title": code, "detail": "x" })
}
