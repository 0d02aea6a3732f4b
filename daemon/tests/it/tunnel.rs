//! The tunnel as the daemon sees it, against a stand-in for what cloudflared says of itself.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::harness::Daemon;
use crate::webhooks::wait_until;

/// Answers `/ready` with what it was told to.
struct Cloudflared {
    address: SocketAddr,
    answer: Arc<Mutex<&'static str>>,
}

const CONNECTED: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 44\r\n\r\n{\"status\":200,\"readyConnections\":4,\"x\":null}";
const WAITING: &str = "HTTP/1.1 503 X\r\ncontent-length: 35\r\n\r\n{\"status\":503,\"readyConnections\":0}";

impl Cloudflared {
    fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let told = Arc::clone(&answer);
        // Ends with the test program.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut head = [0; 1024];
                let length = stream.read(&mut head).unwrap_or(0);
                assert!(head[..length].starts_with(b"GET /ready HTTP/1.1\r\n"));
                let _ = stream.write_all(told.lock().unwrap().as_bytes());
            }
        });
        Self { address, answer }
    }

    fn says(&self, answer: &'static str) {
        *self.answer.lock().unwrap() = answer;
    }
}

fn state(daemon: &Daemon) -> String {
    daemon.health()["tunnel"].as_str().unwrap().to_owned()
}

#[test]
fn the_tunnel_is_shown_as_it_says_it_is() {
    let cloudflared = Cloudflared::start(WAITING);
    let daemon = Daemon::unclaimed_with(&["--tunnel-metrics", &cloudflared.address.to_string()]);
    assert_eq!(state(&daemon), "none");
    fs::write(daemon.path("device/elsewhere"), "token").unwrap();
    let token = daemon.path("device/cloudflared.token");
    fs::rename(daemon.path("device/elsewhere"), &token).unwrap();
    wait_until("starting", || state(&daemon) == "starting");
    assert_eq!(daemon.health()["status"], "ok");

    cloudflared.says(CONNECTED);
    wait_until("connected", || state(&daemon) == "connected");
    let tunnel = daemon.get_locally("/device/tunnel").expect(200);
    assert_eq!((tunnel["connections"].clone(), tunnel["tunnel"].clone()), (json!(4), json!("connected")));

    cloudflared.says(WAITING);
    wait_until("disconnected", || state(&daemon) == "disconnected");
    let problems = daemon.get_locally("/device/problems").expect(200)["problems"].clone();
    assert_eq!(problems[0]["code"], "tunnel_disconnected");
    assert_eq!(problems[0]["severity"], "warning");
    assert_eq!(daemon.health()["status"], "attention");
    let again = daemon.get_locally("/device/problems").expect(200)["problems"].clone();
    assert_eq!(again, problems, "since the same moment");

    fs::remove_file(token).unwrap();
    wait_until("none", || state(&daemon) == "none");
    assert_eq!(daemon.get_locally("/device/problems").expect(200)["problems"], json!([]));
}

#[test]
fn a_tunnel_that_never_connects_is_a_fault_after_a_minute() {
    let cloudflared = Cloudflared::start(WAITING);
    let daemon = Daemon::unclaimed_with(&["--tunnel-metrics", &cloudflared.address.to_string()]);
    fs::write(daemon.path("device/cloudflared.token"), "token").unwrap();
    wait_until("starting", || state(&daemon) == "starting");
    daemon.advance(std::time::Duration::from_secs(61));
    wait_until("disconnected", || state(&daemon) == "disconnected");
}
