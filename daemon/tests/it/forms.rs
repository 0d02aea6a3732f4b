//! Uploads as forms send them.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::client::{read_reply, send_head, tcp};
use crate::harness::{Daemon, content, files_below, sha256};

const BOUNDARY: &str = "--of the form";
const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=\"--of the form\"");

fn part(disposition: &str, bytes: &[u8]) -> Vec<u8> {
    let mut part =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"f\"{disposition}\r\n\r\n").into_bytes();
    part.extend_from_slice(bytes);
    part.extend_from_slice(b"\r\n");
    part
}

fn file(name: &str, bytes: &[u8]) -> Vec<u8> {
    part(&format!("; filename=\"{name}\"\r\nContent-Type: text/html"), bytes)
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut form = parts.concat();
    form.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    form
}

fn send(daemon: &Daemon, query: &str, parts: &[Vec<u8>]) -> Value {
    daemon.request("POST", &format!("/files/multipart{query}"), &[FORM], &form(parts)).expect(200)["items"].clone()
}

#[test]
fn each_part_becomes_a_file() {
    let daemon = Daemon::unlocked();
    let folder = daemon.post("/folders", &json!({ "name": "a" })).expect(201)["id"].as_str().unwrap().to_owned();
    // With what looks like a border inside.
    let tricky = [b"\r\n--".to_vec(), BOUNDARY.as_bytes()[..7].to_vec(), b"\r\n\r\n--".to_vec()].concat();
    let contents = [content(3_000_000, 1), Vec::new(), tricky, content(5, 2)];
    let names = ["large", "empty", "Gr\u{fc}\u{df}e \u{1f600}.txt", "small"];
    let parts: Vec<Vec<u8>> = names.iter().zip(&contents).map(|(name, bytes)| file(name, bytes)).collect();
    let items = send(&daemon, &format!("?folder_id={folder}"), &parts);
    assert_eq!(items.as_array().unwrap().len(), 4);
    for ((item, name), bytes) in items.as_array().unwrap().iter().zip(names).zip(&contents) {
        assert_eq!((&item["filename"], &item["file"]["name"]), (&json!(name), &json!(name)));
        assert_eq!((&item["file"]["sha256"], &item["file"]["folder_id"]), (&json!(sha256(bytes)), &json!(folder)));
        let path = format!("/files/{}/content", item["file"]["id"].as_str().unwrap());
        assert!(daemon.get(&path).body == *bytes, "{name}");
    }
    assert_eq!(send(&daemon, "", &[file("one", b"1")])[0]["file"]["folder_id"], Value::Null);
    assert_eq!(send(&daemon, "", &[]), json!([]));
}

#[test]
fn a_part_that_is_refused_stops_no_other() {
    let daemon = Daemon::unlocked();
    let large = content(5_000_000, 3);
    let parts = [file("a", b"first"), file("..", &large), part("", &large), file("x/y", b"path"), file("b", &large)];
    let items = send(&daemon, "", &parts);
    let codes: Vec<&str> =
        items.as_array().unwrap().iter().map(|item| item["problem"]["code"].as_str().unwrap_or("stored")).collect();
    assert_eq!(codes, ["stored", "invalid_field", "invalid_field", "invalid_field", "stored"]);
    assert_eq!(items[2]["filename"], Value::Null);
    assert_eq!(items[4]["file"]["sha256"], sha256(&large));
    assert_eq!(daemon.get("/files").expect(200)["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_form_that_breaks_leaves_nothing_of_the_part_that_was_cut_off() {
    let daemon = Daemon::unlocked();
    let whole = form(&[file("whole", &content(100_000, 1)), file("half", &content(3_000_000, 2))]);
    let before = files_below(&daemon.path("cipher")).len();
    daemon.request("POST", "/files/multipart", &[FORM], &whole[..2_000_000]).expect_problem(400, "bad_request");
    let names = daemon.get("/files").expect(200);
    assert_eq!(names["items"].as_array().unwrap().len(), 1);
    assert_eq!(names["items"][0]["name"], "whole");
    daemon.post("/vault/lock", &json!({})).expect(200);
    assert!(files_below(&daemon.path("cipher")).len() <= before + 1);
}

#[test]
fn what_is_refused_is_refused_before_its_body_is_read() {
    let daemon = Daemon::unlocked();
    let reader = daemon.user("the_reader", "reader");
    for (token, query, kind, status) in [
        ("nonsense", "", FORM.1, 401),
        (&reader.token, "", FORM.1, 403),
        (&daemon.token, "?folder_id=01890000-0000-7000-8000-000000000000", FORM.1, 404),
        (&daemon.token, "?name=x", FORM.1, 400),
        (&daemon.token, "", "multipart/form-data", 415),
        (&daemon.token, "", "application/octet-stream", 415),
    ] {
        let mut stream = tcp(daemon.address);
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", kind),
            ("content-length", "1000000000"),
            ("expect", "100-continue"),
        ];
        send_head(&mut stream, "POST", &format!("/api/v1/files/multipart{query}"), &headers);
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply);
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{query} {kind}: {reply}");
    }
}

#[test]
fn what_is_no_form_is_said_to_be_none_and_costs_no_memory() {
    let daemon = Daemon::unlocked();
    let endless = [format!("--{BOUNDARY}\r\nX: ").into_bytes(), vec![b'x'; 20_000_000]].concat();
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = memory();
    let authorization = format!("Bearer {}", daemon.token);
    let length = endless.len().to_string();
    let headers = [("authorization", authorization.as_str()), FORM, ("content-length", &length)];
    let mut stream = tcp(daemon.address);
    send_head(&mut stream, "POST", "/api/v1/files/multipart", &headers);
    let _ = stream.write_all(&endless);
    assert!(read_reply(&mut stream).is_none_or(|reply| reply.status == 400));
    assert!(memory() - before < 15_000, "{} KiB more", memory() - before);
    for body in [&b"nothing of a form"[..], b""] {
        daemon.request("POST", "/files/multipart", &[FORM], body).expect_problem(400, "bad_request");
    }
    let many: Vec<Vec<u8>> = (0..1001).map(|number| file(&format!("f{number}/"), b"")).collect();
    daemon.request("POST", "/files/multipart", &[FORM], &form(&many)).expect_problem(400, "bad_request");
}
