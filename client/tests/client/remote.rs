//! Requests to a box, on a socket of the tests' own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    thread::JoinHandle,
};

use coffer_api::{ProblemCode, SecretString};
use coffer_client::secrets::remote::{AddressError, Condition, Remote, RemoteError};
use serde_json::{Value, json};

/// Answers one request; gives what came.
fn answer(status: &'static str, body: String) -> (Remote, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            reader.read_line(&mut head).unwrap();
            if let Some(value) = head[start..].to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent).unwrap();
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
            .unwrap();
        head + &String::from_utf8(sent).unwrap()
    });
    (Remote::at(&url).unwrap(), served)
}

#[test]
fn only_this_machine_is_spoken_to_in_clear() {
    for good in ["https://coffer.example", "https://coffer.example:8443/", "http://127.0.0.1:1", "http://[::1]:1"] {
        assert_eq!(Remote::at(good).err(), None, "{good}");
    }
    for clear in ["http://coffer.example", "http://127.0.0.1.example", "http://10.0.0.1"] {
        assert_eq!(Remote::at(clear).err(), Some(AddressError::InClear(clear.to_owned())));
    }
    let odd = ["", "coffer.example", "ftp://coffer.example", "https://a@b.example", "https://a.example/x", "/x"];
    for odd in odd {
        assert_eq!(Remote::at(odd).err(), Some(AddressError::NoAddress(odd.to_owned())));
    }
}

#[test]
fn a_request_says_who_asks_and_what_it_replaces() {
    let (remote, served) = answer("200 OK", json!({ "revision": 4 }).to_string());
    let token = SecretString::new("token".to_owned());
    let condition = Some(Condition::Replaces(3));
    let body = json!({ "content": null });
    let reply: Value = remote.send("PUT".parse().unwrap(), "/x", Some(&token), condition, Some(&body)).unwrap();
    assert_eq!(reply["revision"], 4);
    let sent = served.join().unwrap();
    assert!(sent.starts_with("PUT /api/v1/x HTTP/1.1\r\n"), "{sent}");
    for line in ["authorization: Bearer token", "if-match: \"3\"", "content-type: application/json"] {
        assert!(sent.contains(&format!("{line}\r\n")), "{line}: {sent}");
    }
    assert!(sent.ends_with(r#"{"content":null}"#));
    let (remote, served) = answer("204 No Content", String::new());
    let condition = Some(Condition::New);
    remote.send::<(), ()>("DELETE".parse().unwrap(), "/x", None, condition, None).unwrap();
    let sent = served.join().unwrap();
    assert!(sent.contains("if-none-match: *\r\n") && !sent.contains("authorization"), "{sent}");
}

#[test]
fn a_refusal_is_told_from_what_no_box_says_and_from_silence() {
    let problem = json!({
        "type": "about:blank", "status": 404, "code": "not_found", "title": "Not there", "detail": "no such vault",
    });
    let get = |status, body: String| {
        let (remote, served) = answer(status, body);
        let reply = remote.get::<Value>(None, "/x");
        served.join().unwrap();
        reply.unwrap_err()
    };
    let refused = get("404 Not Found", problem.to_string());
    assert!(matches!(&refused, RemoteError::Refused(problem) if problem.code == ProblemCode::NotFound));
    assert_eq!(refused.to_string(), "Not there: no such vault");
    // The status and the document have to say the same.
    assert!(matches!(get("403 Forbidden", problem.to_string()), RemoteError::NoBox { .. }));
    assert!(matches!(get("302 Found", String::new()), RemoteError::NoBox { .. }));
    assert!(matches!(get("200 OK", "<html>".to_owned()), RemoteError::NoBox { .. }));
    let stale = get("412 Precondition Failed", json!({ "revision": 5 }).to_string());
    assert!(matches!(stale, RemoteError::Stale(current) if current.as_slice() == br#"{"revision":5}"#));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = Remote::at(&format!("http://{nobody}")).unwrap().get::<Value>(None, "/x");
    assert!(matches!(silent, Err(RemoteError::Unreachable { .. })));
}
