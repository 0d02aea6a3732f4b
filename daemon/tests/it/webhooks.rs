//! Webhooks, against a receiver of our own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Daemon, run};

/// Long enough for anything here on a loaded machine, short enough to fail a hanging test.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

const UNKNOWN: &str = "01890000-0000-7000-8000-000000000000";

/// What a receiver was sent.
#[derive(Clone, Debug)]
struct Received {
    head: String,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> String {
        let found = self.head.lines().filter_map(|line| line.split_once(": "));
        found.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A server that answers with these statuses, one after the other, and then with 204.
struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    fn start(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (answers, list) = (answers.iter().map(|answer| (*answer).to_owned()).collect::<Vec<_>>(), received.clone());
        // Ends with the test program.
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut head, mut line) = (String::new(), String::new());
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    head.push_str(&line);
                    line.clear();
                }
                let length =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).unwrap();
                list.lock().unwrap().push(Received { head, body: String::from_utf8(body).unwrap() });
                let answer = answers.get(number).map_or("204 No Content\r\n", String::as_str);
                let reply = format!("HTTP/1.1 {answer}content-length: 0\r\nconnection: close\r\n\r\n");
                let _ = reader.get_mut().write_all(reply.as_bytes());
            }
        });
        Self { address, received }
    }

    fn url(&self) -> String {
        format!("http://{}/hook?token=receivers-own", self.address)
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits for that many requests, and gives them.
    fn wait_for(&self, count: usize) -> Vec<Received> {
        wait_until("the receiver is called", || self.received().len() >= count);
        self.received()
    }
}

/// Waits for a condition.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "not in time: {what}");
        crate::harness::pause();
    }
}

fn daemon() -> Daemon {
    Daemon::unlocked_with(&["--allow-local-webhooks"])
}

/// Makes a webhook; gives its path and its secret.
fn create(daemon: &Daemon, url: &str, events: &[&str]) -> (String, String) {
    let new = daemon.post("/webhooks", &json!({ "url": url, "events": events })).expect(201);
    (format!("/webhooks/{}", new["id"].as_str().unwrap()), new["secret"].as_str().unwrap().to_owned())
}

fn deliveries(daemon: &Daemon, path: &str) -> Vec<Value> {
    let page = daemon.get(&format!("{path}/deliveries?limit=500")).expect(200);
    page["items"].as_array().unwrap().clone()
}

fn wait_for_state(daemon: &Daemon, path: &str, state: &str, attempts: u32) -> Value {
    let newest = || deliveries(daemon, path).into_iter().next().unwrap_or_default();
    wait_until("the delivery is noted", || newest()["state"] == state && newest()["attempts"] == attempts);
    newest()
}

#[test]
fn a_webhook_is_made_shown_changed_and_deleted_once() {
    let daemon = Daemon::unlocked();
    let new = daemon.post("/webhooks", &json!({ "url": "https://receiver.example/a?token=hidden" })).expect(201);
    let mut webhook = new.clone();
    let secret = webhook.as_object_mut().unwrap().remove("secret").unwrap();
    let secret = secret.as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 49, "{secret}");
    assert_eq!((&webhook["events"], &webhook["active"]), (&json!([]), &json!(true)));
    let path = format!("/webhooks/{}", webhook["id"].as_str().unwrap());
    assert_eq!(daemon.get(&path).expect(200), webhook);
    assert!(!daemon.get("/webhooks").expect(200).to_string().contains(secret), "the secret is shown once");
    let change =
        json!({ "url": "http://192.168.1.9:8080/", "events": ["file.stored", "file.deleted"], "active": false });
    let changed = daemon.send("PATCH", &path, &change).expect(200);
    assert_eq!((&changed["url"], &changed["active"]), (&change["url"], &json!(false)));
    assert_eq!(changed["events"], json!(["file.deleted", "file.stored"]));
    assert_eq!(daemon.send("PATCH", &path, &json!({})).expect(200), changed);
    assert_eq!(daemon.get("/webhooks").expect(200)["items"], json!([changed]));
    daemon.delete(&path).expect(204);
    daemon.delete(&path).expect_problem(404, "not_found");
    for unknown in [path.clone(), format!("/webhooks/{UNKNOWN}"), "/webhooks/nonsense".to_owned()] {
        daemon.get(&unknown).expect_problem(404, "not_found");
        daemon.get(&format!("{unknown}/deliveries")).expect_problem(404, "not_found");
        daemon.send("PATCH", &unknown, &json!({})).expect_problem(404, "not_found");
        daemon.post(&format!("{unknown}/test"), &json!({})).expect_problem(404, "not_found");
    }
    let audit = daemon.get("/audit?limit=500").expect(200).to_string();
    assert!(audit.contains("host: receiver.example") && !audit.contains("hidden"), "the audit names the host alone");
    daemon.post("/vault/lock", &json!({})).expect(200);
    daemon.get("/webhooks").expect_problem(423, "vault_locked");
}

#[test]
fn what_is_no_url_and_what_is_no_event_is_refused() {
    let daemon = Daemon::unlocked();
    let urls = [
        "",
        "x",
        "ftp://a.example/",
        "https://u:p@a.example/",
        "http://127.0.0.1/",
        "http://[::1]:80/",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "http://0.0.0.0/",
        "http://[::ffff:127.0.0.1]/",
    ];
    for url in urls {
        let refused = daemon.post("/webhooks", &json!({ "url": url })).expect_problem(422, "invalid_field");
        assert_eq!(refused["errors"][0]["field"], "url", "{url}");
    }
    let body = json!({ "url": "https://a.example/", "events": ["file.stored", "file.eaten"] });
    let refused = daemon.post("/webhooks", &body).expect_problem(422, "invalid_field");
    assert_eq!(refused["errors"][0]["field"], "events");
    assert_eq!(daemon.get("/webhooks").expect(200)["items"], json!([]));
    let (path, _) = create(&daemon, "http://10.0.0.1/", &[]);
    for change in [json!({ "url": "http://127.0.0.1/" }), json!({ "events": ["x"] }), json!({ "secret": "x" })] {
        daemon.send("PATCH", &path, &change).expect_problem(422, "invalid_field");
    }
    assert_eq!(daemon.get(&path).expect(200)["url"], "http://10.0.0.1/");
}

#[test]
fn an_event_is_sent_signed_and_without_names() {
    let (daemon, receiver) = (daemon(), Receiver::start(&[]));
    let (path, secret) = create(&daemon, &receiver.url(), &["file.stored"]);
    let folder = daemon.post("/folders", &json!({ "name": "divorce papers" })).expect(201);
    let folder_id = folder["id"].as_str().unwrap();
    let upload = format!("/files?name=tax-return.txt&folder_id={folder_id}");
    let file = daemon.request("POST", &upload, &[], b"content").expect(201);
    let delivery = receiver.wait_for(1).remove(0);
    assert!(delivery.head.starts_with("POST /hook?token=receivers-own HTTP/1.1"), "{}", delivery.head);
    let told = delivery.json();
    assert_eq!((&told["event"], &told["subject"]), (&json!("file.stored"), &file["id"]));
    assert_eq!((&told["folder_id"], &told["size_bytes"]), (&folder["id"], &json!(7)));
    assert!(!delivery.body.contains("tax-return") && !delivery.body.contains("divorce"));
    assert_eq!(delivery.header("x-coffer-event"), "file.stored");
    assert_eq!(delivery.header("x-coffer-event-id"), told["id"].as_str().unwrap());
    assert_eq!(delivery.header("content-type"), "application/json");
    // The event is the row of the audit log.
    let audit = daemon.get("/audit?action=file.stored").expect(200);
    assert_eq!(audit["items"][0]["id"], told["id"]);
    let logged = wait_for_state(&daemon, &path, "delivered", 1);
    assert_eq!((&logged["event"], &logged["status"]), (&told, &json!(204)));
    // As a receiver checks it, with the program of the documentation.
    let signature = delivery.header("x-coffer-signature");
    let time: i64 = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert!((daemon.now_s() - time).abs() < 60);
    assert!(verified(&secret, &signature, &delivery.body));
    assert!(!verified(&secret, &signature, &delivery.body.replace("file.stored", "file.erased")));
    assert!(!verified(&secret, &signature.replacen(&time.to_string(), &(time + 1).to_string(), 1), &delivery.body));
    assert!(!verified("whsec_another", &signature, &delivery.body));
    assert_eq!(receiver.received().len(), 1, "nothing but what was asked for");
}

/// Whether the Python of docs/api.md takes the signature.
fn verified(secret: &str, signature: &str, body: &str) -> bool {
    let document = include_str!("../../../docs/api.md");
    let start = document.find("```python\nimport hashlib, hmac").unwrap() + "```python\n".len();
    let program = &document[start..start + document[start..].find("```").unwrap()];
    let program =
        format!("{program}\nimport sys\nprint(is_from_coffer(sys.argv[1], sys.argv[2], sys.argv[3].encode()))");
    // Its clock is the machine's, which the box's may be ahead of.
    let (code, out, err) = run(Command::new("python3").args(["-c", &program, secret, signature, body]));
    assert_eq!(code, Some(0), "{err}");
    out.trim() == "True"
}

#[test]
fn a_receiver_that_fails_is_tried_again_later_and_later() {
    let (daemon, receiver) =
        (daemon(), Receiver::start(&["500 Oops\r\n", "302 Found\r\nlocation: http://127.0.0.1:1/\r\n"]));
    let (path, _) = create(&daemon, &receiver.url(), &[]);
    daemon.upload("a", b"content").expect(201);
    let delivery = wait_for_state(&daemon, &path, "waiting", 1);
    assert_eq!(
        (&delivery["status"], &delivery["problem"]),
        (&json!(500), &json!("the receiver answered with an error"))
    );
    let seconds = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(seconds(&delivery["next_attempt_at"]) - seconds(&delivery["last_attempt_at"]), 10);
    daemon.advance(Duration::from_secs(11));
    let delivery = wait_for_state(&daemon, &path, "waiting", 2);
    assert_eq!(delivery["status"], 302, "redirects are not followed");
    assert_eq!(seconds(&delivery["next_attempt_at"]) - seconds(&delivery["last_attempt_at"]), 60);
    daemon.advance(Duration::from_secs(61));
    wait_for_state(&daemon, &path, "delivered", 3);
    let sent = receiver.received();
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|received| received.body == sent[0].body), "the same event");
    assert_ne!(sent[0].header("x-coffer-signature"), sent[2].header("x-coffer-signature"), "signed anew");
}

#[test]
fn what_is_never_answered_fails_after_a_day_and_the_log_ends() {
    let mut daemon = daemon();
    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (path, _) = create(&daemon, &format!("http://{closed}/"), &["folder.created"]);
    daemon.post("/folders", &json!({ "name": "a" })).expect(201);
    for (attempts, pause_s) in (1..).zip([11, 61, 301, 901, 3601, 3 * 3601, 6 * 3601, 12 * 3601]) {
        let delivery = wait_for_state(&daemon, &path, "waiting", attempts);
        assert_eq!((&delivery["status"], &delivery["problem"]), (&Value::Null, &json!("the connection failed")));
        daemon.advance(Duration::from_secs(pause_s));
        daemon.log_in();
    }
    let delivery = wait_for_state(&daemon, &path, "failed", 9);
    assert_eq!(delivery["next_attempt_at"], Value::Null);
    daemon.advance(Duration::from_hours(14 * 24));
    let mut daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.log_in();
    wait_until("the log is pruned", || deliveries(&daemon, &path).is_empty());
}

#[test]
fn nothing_is_lost_over_a_lock_and_a_crash() {
    let receiver = Receiver::start(&["503 Later\r\n"]);
    let daemon = daemon();
    let (path, _) = create(&daemon, &receiver.url(), &["file.stored", "vault.unlocked"]);
    daemon.upload("a", b"content").expect(201);
    wait_for_state(&daemon, &path, "waiting", 1);
    daemon.post("/vault/lock", &json!({})).expect(200);
    let daemon = daemon.crash_and_restart();
    daemon.advance(Duration::from_secs(11));
    let mut daemon = daemon;
    daemon.unlock();
    daemon.log_in();
    wait_until("everything is delivered", || {
        let all = deliveries(&daemon, &path);
        all.len() == 2 && all.iter().all(|delivery| delivery["state"] == "delivered")
    });
    let mut events: Vec<Value> = receiver.received().iter().map(|received| received.json()["event"].clone()).collect();
    events.sort_by_key(ToString::to_string);
    assert_eq!(events, ["file.stored", "file.stored", "vault.unlocked"]);
}

#[test]
fn a_vault_locks_while_a_receiver_keeps_it_waiting() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = daemon();
    let (path, _) = create(&daemon, &format!("http://{}/", silent.local_addr().unwrap()), &[]);
    daemon.post(&format!("{path}/test"), &json!({})).expect(202);
    let (_held, _) = silent.accept().unwrap();
    let start = Instant::now();
    daemon.post("/vault/lock", &json!({})).expect(200);
    assert!(start.elapsed() < Duration::from_secs(3));
    daemon.unlock();
    // Its end is not known, so it is sent again.
    silent.accept().unwrap();
}

#[test]
fn one_that_is_switched_off_is_told_nothing_but_can_be_tried() {
    let (daemon, receiver) = (daemon(), Receiver::start(&["500 Oops\r\n"]));
    let (path, _) = create(&daemon, &receiver.url(), &[]);
    daemon.upload("a", b"content").expect(201);
    wait_for_state(&daemon, &path, "waiting", 1);
    daemon.send("PATCH", &path, &json!({ "active": false })).expect(200);
    let given_up = wait_for_state(&daemon, &path, "failed", 1);
    assert_eq!(given_up["problem"], "the webhook was switched off");
    daemon.upload("b", b"content").expect(201);
    let queued = daemon.post(&format!("{path}/test"), &json!({})).expect(202);
    assert_eq!((&queued["state"], &queued["event"]["event"]), (&json!("waiting"), &json!("webhook.test")));
    let delivered = wait_for_state(&daemon, &path, "delivered", 1);
    assert_eq!(delivered["event"], queued["event"]);
    assert_eq!(deliveries(&daemon, &path).len(), 2, "nothing was queued for the second file");
    let events: Vec<Value> = receiver.received().iter().map(|received| received.json()["event"].clone()).collect();
    assert_eq!(events, ["file.stored", "webhook.test"]);
}

#[test]
fn a_name_that_stands_for_this_box_is_not_connected_to() {
    let (daemon, receiver) = (Daemon::unlocked(), Receiver::start(&[]));
    let (path, _) = create(&daemon, &format!("http://localhost:{}/", receiver.address.port()), &[]);
    daemon.post(&format!("{path}/test"), &json!({})).expect(202);
    let delivery = wait_for_state(&daemon, &path, "waiting", 1);
    assert!(delivery["problem"].as_str().unwrap().starts_with("the address is not allowed"), "{delivery}");
    assert!(receiver.received().is_empty());
}

#[test]
fn the_log_of_a_webhook_is_read_page_by_page() {
    let (daemon, receiver) = (daemon(), Receiver::start(&[]));
    let (path, _) = create(&daemon, &receiver.url(), &["folder.created"]);
    for number in 0..5 {
        daemon.post("/folders", &json!({ "name": number.to_string() })).expect(201);
    }
    receiver.wait_for(5);
    let all: Vec<Value> =
        deliveries(&daemon, &path).into_iter().map(|delivery| delivery["event"]["id"].clone()).collect();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("{path}/deliveries?limit=2{cursor}")).expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|delivery| delivery["event"]["id"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, all);
    assert_eq!(seen.len(), 5);
}
