//! Many guesses at passwords at once: what they may cost those who do not guess.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{read_reply, send_head, tcp};
use crate::harness::{ADMIN, ADMIN_PASSWORD, Daemon};

const GUESSES: usize = 50;

/// Sends a wrong password, for a name and from an address of its own: no guess is slowed down for another.
fn guess(daemon: &Daemon, number: usize) -> TcpStream {
    use std::io::Write;
    let body = json!({ "username": format!("nobody_{number}"), "password": "not the password" }).to_string();
    let (source, length) = (format!("192.0.2.{number}"), body.len().to_string());
    let headers = [
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
        ("cf-connecting-ip", source.as_str()),
    ];
    let mut stream = tcp(daemon.address);
    send_head(&mut stream, "POST", "/api/v1/sessions", &headers);
    stream.write_all(body.as_bytes()).unwrap();
    stream
}

fn is_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let answered = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    answered
}

#[test]
fn fifty_bad_logins_at_once_hold_up_nobody_else() {
    let daemon = Daemon::unlocked();
    let guesses: Vec<TcpStream> = (0..GUESSES).map(|number| guess(&daemon, number)).collect();
    // Some are too many and turned away at once: by then the others have taken all places.
    let start = Instant::now();
    while !guesses.iter().any(is_answered) {
        assert!(start.elapsed() < Duration::from_secs(20), "no guess was answered");
        crate::harness::pause();
    }
    for _ in 0..GUESSES {
        assert_eq!(daemon.health()["vault"], "unlocked");
    }
    daemon.get("/users/me").expect(200);
    daemon.upload("meanwhile", b"content").expect(201);
    assert!(!guesses.iter().all(is_answered), "guesses still wait for their hash");
    // Strangers do not get every place: who has logged in from here before is heard.
    daemon.log_in_as(ADMIN, ADMIN_PASSWORD);

    let mut heard = 0;
    for mut stream in guesses {
        let reply = read_reply(&mut stream).expect("a reply");
        if reply.status == 503 {
            assert_eq!(reply.header("retry-after"), "1");
            reply.expect_problem(503, "busy");
        } else {
            reply.expect_problem(401, "wrong_credentials");
            heard += 1;
        }
    }
    assert!((14..GUESSES).contains(&heard), "two at a time, and twelve strangers that wait: {heard}");
    daemon.get("/users/me").expect(200);
}
