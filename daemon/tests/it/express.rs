//! Downloads that go straight from the drive to the socket, on connections that go on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::audit::rows;
use crate::client::tcp;
use crate::harness::{Daemon, content};
use crate::integrity::stored;

/// Longer than what is read at once.
const LONG: usize = 3_000_001;

fn ask(daemon: &Daemon, method: &str, path: &str, headers: &str) -> Vec<u8> {
    let token = &daemon.token;
    format!("{method} /api/v1{path} HTTP/1.1\r\nhost: coffer\r\nauthorization: Bearer {token}\r\n{headers}\r\n").into()
}

/// One reply of a connection that goes on: its head, and as many bytes as that says.
fn reply(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

/// Whether the connection goes on: another request on it is answered.
#[track_caller]
fn assert_goes_on(daemon: &Daemon, stream: &mut TcpStream) {
    stream.write_all(&ask(daemon, "GET", "/users/me", "")).unwrap();
    let (head, _) = reply(stream);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

#[test]
fn one_connection_serves_downloads_and_all_else_in_any_order() {
    let daemon = Daemon::unlocked();
    let (long, short) = (content(LONG, 1), content(1000, 2));
    let id = |file: serde_json::Value| format!("/files/{}/content", file["id"].as_str().unwrap());
    let (long_path, short_path) =
        (id(daemon.upload("long", &long).expect(201)), id(daemon.upload("short", &short).expect(201)));
    let mut stream = tcp(daemon.address);
    for _ in 0..2 {
        stream.write_all(&ask(&daemon, "GET", &long_path, "")).unwrap();
        let (head, body) = reply(&mut stream);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for header in
            ["date: ", "etag: \"", "x-request-id: ", "x-content-type-options: nosniff", "accept-ranges: bytes"]
        {
            assert!(head.contains(&format!("\r\n{header}")), "{header} in {head}");
        }
        assert!(!head.contains("connection: close"), "{head}");
        assert!(body == long);
    }
    stream.write_all(&ask(&daemon, "GET", &long_path, "range: bytes=1000000-\r\n")).unwrap();
    let (head, body) = reply(&mut stream);
    assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{head}");
    assert!(body == long[1_000_000..]);
    // This one fits into one block.
    stream.write_all(&ask(&daemon, "GET", &short_path, "")).unwrap();
    assert!(reply(&mut stream).1 == short);
    stream.write_all(&ask(&daemon, "GET", &long_path, "")).unwrap();
    assert!(reply(&mut stream).1 == long, "also behind something else");
    assert_goes_on(&daemon, &mut stream);
}

#[test]
fn what_is_asked_ahead_is_answered_in_order() {
    let daemon = Daemon::unlocked();
    let bytes = content(LONG, 3);
    let file = daemon.upload("f", &bytes).expect(201);
    let path = format!("/files/{}/content", file["id"].as_str().unwrap());
    let mut stream = tcp(daemon.address);
    let asked: Vec<u8> = [
        ask(&daemon, "GET", &path, ""),
        ask(&daemon, "GET", &path, "range: bytes=-2000000\r\n"),
        ask(&daemon, "GET", "/users/me", ""),
        ask(&daemon, "GET", &path, "connection: close\r\n"),
    ]
    .concat();
    stream.write_all(&asked).unwrap();
    assert!(reply(&mut stream).1 == bytes);
    assert!(reply(&mut stream).1 == bytes[LONG - 2_000_000..]);
    assert!(reply(&mut stream).0.starts_with("HTTP/1.1 200 OK\r\n"));
    let (head, body) = reply(&mut stream);
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert!(body == bytes);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it has ended");
}

#[test]
fn a_reply_that_is_no_download_is_made_once_and_the_connection_goes_on() {
    let daemon = Daemon::unlocked();
    let bytes = content(LONG, 4);
    let file = daemon.upload("f", &bytes).expect(201);
    let path = format!("/files/{}/content", file["id"].as_str().unwrap());
    let etag = format!("if-none-match: \"{}\"\r\n", file["sha256"].as_str().unwrap());
    for (path, headers, status) in [
        (path.as_str(), "range: bytes=9000000-\r\nx-request-id: outside\r\n", "416"),
        ("/files/01890000-0000-7000-8000-000000000000/content", "x-request-id: unknown\r\n", "404"),
    ] {
        let mut stream = tcp(daemon.address);
        stream.write_all(&ask(&daemon, "GET", path, headers)).unwrap();
        let (head, _) = reply(&mut stream);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_goes_on(&daemon, &mut stream);
    }
    let mut stream = tcp(daemon.address);
    stream.write_all(&ask(&daemon, "GET", &path, &(etag + "connection: close\r\n"))).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(all.starts_with("HTTP/1.1 304 "), "{all}");

    // Two parts are hyper's to send, and one download all the same.
    let mut stream = tcp(daemon.address);
    let headers = "range: bytes=0-9,1000000-2999999\r\nx-request-id: parts\r\n";
    stream.write_all(&ask(&daemon, "GET", &path, headers)).unwrap();
    assert!(reply(&mut stream).0.starts_with("HTTP/1.1 206 "));
    assert_eq!(rows(&daemon, "request_id=parts").len(), 1);
    assert_goes_on(&daemon, &mut stream);
}

#[test]
fn a_request_that_comes_in_pieces_is_understood() {
    let daemon = Daemon::unlocked();
    let bytes = content(LONG, 5);
    let file = daemon.upload("f", &bytes).expect(201);
    let path = format!("/files/{}/content", file["id"].as_str().unwrap());
    let asked = ask(&daemon, "GET", &path, "");
    let mut stream = tcp(daemon.address);
    stream.set_nodelay(true).unwrap();
    for piece in asked.chunks(40) {
        stream.write_all(piece).unwrap();
        // So that it is a piece of its own: a reply to something else comes in between.
        daemon.health();
    }
    assert!(reply(&mut stream).1 == bytes);
    stream.write_all(&asked).unwrap();
    assert!(reply(&mut stream).1 == bytes);
}

#[test]
fn a_client_that_leaves_in_the_middle_holds_nothing_up() {
    let daemon = Daemon::unlocked();
    let file = daemon.upload("f", &content(40_000_000, 6)).expect(201);
    let path = format!("/files/{}/content", file["id"].as_str().unwrap());
    for _ in 0..3 {
        let mut stream = tcp(daemon.address);
        stream.write_all(&ask(&daemon, "GET", &path, "")).unwrap();
        stream.read_exact(&mut vec![0; 100_000]).unwrap();
    }
    daemon.post("/vault/lock", &serde_json::json!({})).expect(200);
    assert_eq!(daemon.children(), Vec::<u32>::new(), "nobody holds a file of the vault");
}

#[test]
fn nobody_who_asks_ahead_and_does_not_read_holds_a_file() {
    let mut daemon = Daemon::unlocked();
    let file = daemon.upload("f", &content(40_000_000, 7)).expect(201);
    let path = format!("/files/{}/content", file["id"].as_str().unwrap());
    let download = ask(&daemon, "GET", &path, "");
    // One connection in the lane, one that is hyper's.
    let asked = [vec![download.clone(); 3], vec![ask(&daemon, "GET", "/users/me", ""), download.clone(), download]];
    let mut streams = Vec::new();
    for asked in asked {
        let mut stream = tcp(daemon.address);
        stream.write_all(&asked.concat()).unwrap();
        stream.read_exact(&mut vec![0; 100_000]).unwrap();
        streams.push(stream);
    }
    daemon.post("/vault/lock", &serde_json::json!({})).expect(200);
    assert_eq!(daemon.children(), Vec::<u32>::new(), "nobody holds a file of the vault");
    let log = daemon.log();
    assert!(!log.contains("did not end in time"), "{log}");
}

#[test]
fn a_content_that_breaks_off_in_the_middle_breaks_the_connection_and_is_told() {
    let mut daemon = Daemon::unlocked();
    let bytes = content(LONG, 8);
    let (id, on_disk) = stored(&daemon, "f", &bytes);
    assert!(daemon.stop().success());
    let mut damaged = std::fs::read(&on_disk).unwrap();
    damaged[2_000_000] ^= 1;
    std::fs::write(&on_disk, damaged).unwrap();
    let mut daemon = daemon.restart_killed();
    daemon.unlock();
    daemon.log_in();
    let mut stream = tcp(daemon.address);
    stream.write_all(&ask(&daemon, "GET", &format!("/files/{id}/content"), "")).unwrap();
    let mut all = Vec::new();
    // It may end by a reset.
    let _ = stream.read_to_end(&mut all);
    let head_end = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = &all[head_end..];
    assert!(body.len() < 2_000_000 && bytes.starts_with(body), "{} bytes came", body.len());
    // The connection may be known to be broken before the reason is written down.
    let start = Instant::now();
    while !daemon.log().contains("a stored content does not read back") {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", daemon.log());
        crate::harness::pause();
    }
}
