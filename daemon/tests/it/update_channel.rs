//! Updates from a channel: a document and a bundle beside it, over real TLS.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::harness::{Daemon, sha256};
use crate::registrar::{VALID, certified};
use crate::updates::{Image, bundle, look};
use crate::webhooks::wait_until;

/// What a server answers on each path: a status, a place to go to instead, a body.
type Pages = Arc<Mutex<HashMap<String, (u16, Option<String>, Vec<u8>)>>>;

struct Channel {
    origin: String,
    ca: String,
    pages: Pages,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Channel {
    fn start() -> Self {
        let (config, ca) = certified(VALID);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (pages, asked) = (Pages::default(), Arc::<Mutex<Vec<String>>>::default());
        let channel = Self { origin, ca, pages: Arc::clone(&pages), asked: Arc::clone(&asked) };
        // Ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, pages, asked) = (Arc::clone(&config), Arc::clone(&pages), Arc::clone(&asked));
                std::thread::spawn(move || serve(stream, config, &pages, &asked));
            }
        });
        channel
    }

    fn shows(&self, path: &str, status: u16, body: &[u8]) {
        self.pages.lock().unwrap().insert(path.to_owned(), (status, None, body.to_vec()));
    }

    /// A document and the bundle that it names.
    fn offers(&self, version: &str) {
        let document = json!({ "version": version, "bundle": "coffer.raucb", "size_bytes": bundle().len(),
            "sha256": sha256(&bundle()) });
        self.shows("/stable/coffer.json", 200, document.to_string().as_bytes());
        self.shows("/stable/coffer.raucb", 200, &bundle());
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// A box that looks there.
    fn daemon(&self, image: &Image) -> Daemon {
        fs::write(image.path("channel"), format!("{}/stable/coffer.json\n", self.origin)).unwrap();
        fs::write(image.path("ca.pem"), &self.ca).unwrap();
        let mut arguments = image.arguments();
        arguments.extend(["--registrar-ca".to_owned(), image.path("ca.pem").to_str().unwrap().to_owned()]);
        Daemon::unlocked_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, pages: &Pages, asked: &Mutex<Vec<String>>) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut line = String::new();
    let mut reader = BufReader::new(&mut stream);
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let path = line.split(' ').nth(1).unwrap().to_owned();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {}
    asked.lock().unwrap().push(path.clone());
    let page = pages.lock().unwrap().get(&path).cloned();
    let (status, elsewhere, body) = page.unwrap_or((404, None, Vec::new()));
    let location = elsewhere.map(|place| format!("location: {place}\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 {status} X\r\n{location}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn ask(daemon: &Daemon) -> crate::client::Reply {
    daemon.post("/device/update/channel", &json!({}))
}

#[test]
fn what_is_newer_is_fetched_and_installed_as_that_version_only() {
    let (channel, image) = (Channel::start(), Image::new());
    channel.offers("0.3.0");
    let daemon = channel.daemon(&image);
    assert_eq!(daemon.get("/device/update").expect(200)["channel"], format!("{}/stable/coffer.json", channel.origin));
    ask(&daemon).expect(202);
    let (id, version) = image.take_wish();
    assert_eq!(version.as_deref(), Some("0.3.0"));
    assert!(fs::read(image.path("updates/bundle.raucb")).unwrap() == bundle());
    ask(&daemon).expect_problem(409, "update_running");
    image.report(&id, "installed 0.3.0");
    wait_until("it is installed", || look(&daemon)["state"] == "installed");
    assert_eq!(channel.asked(), ["/stable/coffer.json", "/stable/coffer.raucb"]);
}

#[test]
fn what_is_not_newer_is_not_fetched() {
    let (channel, image) = (Channel::start(), Image::new());
    let daemon = channel.daemon(&image);
    for version in ["0.2.0", "0.1.9", "0.0.10"] {
        channel.offers(version);
        assert_eq!(ask(&daemon).expect(202)["state"], "idle", "{version}");
        assert_eq!(channel.asked(), ["/stable/coffer.json"]);
    }
    assert_eq!(image.files(), [""; 0]);
}

#[test]
fn a_channel_that_says_something_else_is_not_followed() {
    let (channel, image) = (Channel::start(), Image::new());
    let daemon = channel.daemon(&image);
    let unavailable = |why: &str| {
        let problem = ask(&daemon).expect_problem(503, "channel_unavailable");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
        assert_eq!(channel.asked(), ["/stable/coffer.json"]);
        assert_eq!((&look(&daemon)["state"], image.files()), (&json!("idle"), Vec::new()));
    };
    unavailable("404");
    channel.offers("0.3.0");
    let elsewhere = Some(format!("{}/elsewhere.json", channel.origin));
    let moved = (302, elsewhere, Vec::new());
    channel.pages.lock().unwrap().insert("/stable/coffer.json".to_owned(), moved);
    unavailable("302");
    channel.shows("/stable/coffer.json", 200, b"<html>");
    unavailable("document");
    channel.shows("/stable/coffer.json", 200, &vec![b' '; 20_000]);
    unavailable("document");
    let offer = |bundle: &str, size_bytes: u64| {
        let offer = json!({ "version": "0.3.0", "bundle": bundle, "size_bytes": size_bytes, "sha256": "0".repeat(64) });
        channel.shows("/stable/coffer.json", 200, offer.to_string().as_bytes());
    };
    for name in ["../coffer.raucb", "https://localhost/coffer.raucb", "coffer.exe", ""] {
        offer(name, 1000);
        unavailable("document");
    }
    offer("coffer.raucb", 600_000_000);
    unavailable("document");
}

#[test]
fn what_does_not_arrive_as_it_was_announced_is_not_installed() {
    let (channel, image) = (Channel::start(), Image::new());
    let daemon = channel.daemon(&image);
    let not_received = |count: usize| -> Value {
        ask(&daemon).expect(202);
        wait_until("it is told of", || look(&daemon)["history"].as_array().unwrap().len() == count);
        wait_until("it has ended", || look(&daemon)["state"] == "failed");
        let past = look(&daemon)["history"][0].clone();
        assert_eq!([&past["failure"]["code"], &past["version"]], [&json!("not_received"), &json!("0.3.0")]);
        assert_eq!((image.files(), image.path("requests/install").exists()), (vec!["history.json".to_owned()], false));
        past
    };
    channel.offers("0.3.0");
    channel.shows("/stable/coffer.raucb", 200, &[bundle(), b"more".to_vec()].concat());
    not_received(1);
    channel.shows("/stable/coffer.raucb", 200, &bundle()[..50_000]);
    not_received(2);
    let mut changed = bundle();
    changed[70_000] ^= 1;
    channel.shows("/stable/coffer.raucb", 200, &changed);
    not_received(3);
    channel.shows("/stable/coffer.raucb", 404, b"");
    assert!(not_received(4)["failure"]["happened"].as_str().unwrap().contains("404"));
}

#[test]
fn a_channel_is_asked_by_https_and_a_wrong_one_keeps_nobody_out() {
    let image = Image::new();
    for wrong in ["http://localhost/coffer.json", "https://localhost", "", "file:///etc/passwd"] {
        fs::write(image.path("channel"), wrong).unwrap();
        let arguments = image.arguments();
        let mut daemon = Daemon::locked_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(look(&daemon)["channel"], Value::Null, "{wrong}");
        assert!(daemon.log().contains("names the channel of updates"), "{wrong}");
        daemon.send_locally("POST", "/device/update/channel", &json!({})).expect_problem(404, "not_found");
    }
    // Nobody has to trust a stranger's certificate.
    let channel = Channel::start();
    channel.offers("0.3.0");
    fs::write(image.path("channel"), format!("{}/stable/coffer.json", channel.origin)).unwrap();
    let arguments = image.arguments();
    let daemon = Daemon::locked_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = daemon.send_locally("POST", "/device/update/channel", &json!({}));
    refused.expect_problem(503, "channel_unavailable");
    assert!(channel.asked().is_empty());
}
