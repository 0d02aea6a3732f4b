//! The stream of events.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::audit::rows;
use crate::client::tcp;
use crate::credentials::device_token;
use crate::harness::{Daemon, PASSWORD, Person};
use crate::webhooks::wait_until;

/// Somebody who follows the events.
pub(crate) struct Follower {
    text: Arc<Mutex<String>>,
    ended: Arc<AtomicBool>,
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    id: String,
    event: String,
    data: Value,
}

fn open(daemon: &Daemon, token: &str, last_event_id: Option<&str>) -> TcpStream {
    let mut stream = tcp(daemon.address);
    // HTTP/1.0 has no chunks: the text comes as it is.
    let mut head = format!("GET /api/v1/events HTTP/1.0\r\nauthorization: Bearer {token}\r\n");
    if let Some(id) = last_event_id {
        head.extend(["last-event-id: ", id, "\r\n"]);
    }
    stream.write_all((head + "\r\n").as_bytes()).unwrap();
    stream
}

impl Follower {
    /// Follows, and waits until the stream has begun.
    pub(crate) fn start(daemon: &Daemon, token: &str, last_event_id: Option<&str>) -> Self {
        let mut stream = open(daemon, token, last_event_id);
        let (text, ended) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicBool::new(false)));
        let (written, over) = (Arc::clone(&text), Arc::clone(&ended));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                written.lock().unwrap().push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
            over.store(true, Ordering::SeqCst);
        });
        let follower = Self { text, ended };
        wait_until("the stream begins", || follower.text().contains("\nid: "));
        assert!(follower.text().starts_with("HTTP/1.0 200 OK"), "{}", follower.text());
        assert!(follower.text().contains("content-type: text/event-stream"));
        follower
    }

    pub(crate) fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// All events so far.
    fn seen(&self) -> Vec<Seen> {
        let text = self.text();
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let whole = body.rfind("\n\n").map_or("", |end| &body[..end]);
        let field =
            |block: &str, name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(ToOwned::to_owned);
        let events = whole.split("\n\n").filter_map(|block| {
            let data = serde_json::from_str(&field(block, "data: ")?).unwrap();
            Some(Seen { id: field(block, "id: ")?, event: field(block, "event: ")?, data })
        });
        events.collect()
    }

    fn names(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.event).collect()
    }

    /// The last place that the stream named.
    fn place(&self) -> String {
        self.text().lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().to_owned()
    }

    /// Waits for that many events, and gives them.
    fn wait_for(&self, count: usize) -> Vec<Seen> {
        wait_until("the events come", || self.seen().len() >= count);
        self.seen()
    }

    /// Waits for the end, which must come soon.
    fn wait_for_end(&self, limit: Duration) {
        let start = Instant::now();
        while !self.ended.load(Ordering::SeqCst) {
            assert!(start.elapsed() < limit, "the stream goes on: {}", self.text());
            crate::harness::pause();
        }
    }

    fn is_open(&self) -> bool {
        !self.ended.load(Ordering::SeqCst)
    }
}

/// Makes a folder; gives its id.
fn folder(daemon: &Daemon, name: &str) -> String {
    daemon.post("/folders", &json!({ "name": name })).expect(201)["id"].as_str().unwrap().to_owned()
}

fn upload(daemon: &Daemon, folder: &str, name: &str) -> Value {
    daemon.request("POST", &format!("/files?name={name}&folder_id={folder}"), &[], b"content").expect(201)
}

fn make_private(daemon: &Daemon, folder: &str, person: Option<&Person>) {
    let grants: Vec<Value> = person.iter().map(|person| json!({ "user_id": person.id, "access": "read" })).collect();
    daemon.send("PUT", &format!("/folders/{folder}/access"), &json!({ "private": true, "grants": grants })).expect(200);
}

#[test]
fn whoever_follows_hears_of_what_happens() {
    let daemon = Daemon::unlocked();
    let follower = Follower::start(&daemon, &daemon.token, None);
    let folder = folder(&daemon, "divorce papers");
    let file = upload(&daemon, &folder, "tax-return");
    let seen = follower.wait_for(2);
    assert_eq!((seen[0].event.as_str(), &seen[0].data["subject"]), ("folder.created", &json!(folder)));
    assert_eq!(seen[1].event, "file.stored");
    let expected = json!({ "event": "file.stored", "at": seen[1].data["at"], "subject": file["id"],
        "folder_id": folder, "size_bytes": 7 });
    let mut data = seen[1].data.clone();
    data.as_object_mut().unwrap().remove("revision");
    assert_eq!(data, expected);
    assert!(!follower.text().contains("tax-return") && !follower.text().contains("divorce"));
}

#[test]
fn a_stream_is_taken_up_where_it_ended() {
    let daemon = Daemon::unlocked();
    let first = Follower::start(&daemon, &daemon.token, None);
    let place = first.place();
    let folder = folder(&daemon, "a");
    for name in ["b", "c", "d"] {
        upload(&daemon, &folder, name);
    }
    let seen = first.wait_for(4);
    assert_eq!(Follower::start(&daemon, &daemon.token, Some(&place)).wait_for(4), seen);
    let rest = Follower::start(&daemon, &daemon.token, Some(&seen[1].id));
    assert_eq!(rest.wait_for(2), seen[2..]);
    // Nothing is told twice to whoever has seen everything.
    let last = Follower::start(&daemon, &daemon.token, Some(&seen[3].id));
    upload(&daemon, &folder, "e");
    assert_eq!(last.wait_for(1).len(), 1);
    assert_eq!(rest.wait_for(3)[2], last.seen()[0]);
}

#[test]
fn a_place_that_is_not_known_any_more_is_answered_by_a_reset() {
    let daemon = Daemon::unlocked();
    let first = Follower::start(&daemon, &daemon.token, None);
    folder(&daemon, "a");
    let seen = first.wait_for(1);
    for unknown in ["nonsense", "", "0000000000000000-0", "-", "zz-1"] {
        let follower = Follower::start(&daemon, &daemon.token, Some(unknown));
        assert_eq!(follower.wait_for(1)[0].event, "reset", "{unknown}");
    }
    daemon.post("/vault/lock", &json!({})).expect(200);
    first.wait_for_end(Duration::from_secs(3));
    daemon.unlock();
    let after_lock = Follower::start(&daemon, &daemon.token, Some(&seen[0].id));
    assert_eq!(after_lock.wait_for(1)[0].event, "reset");
    folder(&daemon, "b");
    assert_eq!(after_lock.wait_for(2)[1].event, "folder.created");
}

#[test]
fn one_hears_of_what_one_sees_and_of_nothing_else() {
    let daemon = Daemon::unlocked();
    let (grace, henry) = (daemon.user("grace", "reader"), daemon.user("henry", "editor"));
    let (public, private) = (folder(&daemon, "public"), folder(&daemon, "private"));
    make_private(&daemon, &private, Some(&grace));
    let token = daemon.send_as(
        &henry.token,
        "POST",
        "/api-keys",
        &json!({ "name": "k", "role": "reader", "folder_id": public }),
    );
    let key = token.expect(201)["key"].as_str().unwrap().to_owned();
    let admin = Follower::start(&daemon, &daemon.token, None);
    let [hers, his, keys] = [&grace.token, &henry.token, &key].map(|token| Follower::start(&daemon, token, None));
    let in_private = upload(&daemon, &private, "a");
    daemon.delete(&format!("/files/{}", in_private["id"].as_str().unwrap())).expect(204);
    upload(&daemon, &public, "b");
    daemon.user("irene", "reader");
    make_private(&daemon, &public, None);
    upload(&daemon, &public, "c");
    make_private(&daemon, &private, Some(&henry));
    upload(&daemon, &private, "d");
    let of_private_one = admin.wait_for(9);
    assert_eq!(of_private_one[0].data["folder_id"], json!(private));
    assert_eq!(
        admin.names()[2..],
        [
            "file.stored",
            "user.created",
            "session.opened",
            "folder.access_changed",
            "file.stored",
            "folder.access_changed",
            "file.stored"
        ]
    );
    assert_eq!(his.wait_for(3).len(), 3);
    assert_eq!(hers.wait_for(3).len(), 3);
    assert_eq!(his.names(), ["file.stored", "folder.access_changed", "file.stored"]);
    assert_eq!(his.seen()[2].data["folder_id"], json!(private));
    assert_eq!(hers.seen()[0].data["folder_id"], json!(private));
    assert_eq!(hers.seen()[2].data["folder_id"], json!(public));
    // In the trash a folder is still private.
    daemon.delete(&format!("/folders/{private}")).expect(204);
    upload(&daemon, &folder(&daemon, "another"), "e");
    assert_eq!(his.wait_for(6)[3].event, "folder.trashed");
    assert_eq!(hers.wait_for(5)[3].event, "folder.created");
    assert_eq!(keys.seen().len(), 1, "{:?}", keys.seen());
    assert_eq!(keys.seen()[0].data["folder_id"], json!(public));
}

#[test]
fn a_stream_ends_at_once_with_the_right_to_it() {
    let daemon = Daemon::unlocked();
    let soon = Duration::from_secs(3);
    let grace = daemon.user("grace", "writer");
    let elsewhere = daemon.log_in_as("grace", PASSWORD);
    let henry = daemon.user("henry", "reader");
    let key = daemon.send_as(&grace.token, "POST", "/api-keys", &json!({ "name": "k", "role": "reader" })).expect(201);
    let follow = |token: &str| Follower::start(&daemon, token, None);
    let (admin, his) = (follow(&daemon.token), follow(&henry.token));
    let (first, other, program) =
        (follow(&grace.token), follow(&elsewhere.token), follow(key["key"].as_str().unwrap()));

    daemon.request_as(&grace.token, "DELETE", "/sessions/current", &[], b"").expect(204);
    first.wait_for_end(soon);
    let key_path = format!("/api-keys/{}", key["api_key"]["id"].as_str().or(key["id"].as_str()).unwrap());
    daemon.request_as(&elsewhere.token, "DELETE", &key_path, &[], b"").expect(204);
    program.wait_for_end(soon);
    assert!(other.is_open());
    daemon.send("PATCH", &format!("/users/{}", grace.id), &json!({ "role": "reader" })).expect(200);
    other.wait_for_end(soon);
    daemon.send("PATCH", &format!("/users/{}", henry.id), &json!({ "active": false })).expect(200);
    his.wait_for_end(soon);
    assert!(admin.is_open());
    daemon.advance(Duration::from_hours(30 * 24));
    admin.wait_for_end(Duration::from_secs(10));
}

#[test]
fn every_session_that_ends_is_told_of_and_written_down() {
    let daemon = Daemon::unlocked();
    let follower = Follower::start(&daemon, &daemon.token, None);
    let revoked = || {
        let seen = follower.seen().into_iter().filter(|seen| seen.event == "session.revoked");
        seen.map(|seen| seen.data["subject"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let mut all = BTreeSet::new();
    let another_password = json!({ "new_password": "quiet marble lantern" });
    for (number, why) in [
        "all others",
        "refresh token reused",
        "password changed",
        "second factors reset",
        "rights changed",
        "account deleted",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("grace_{number}");
        let (first, second) = (daemon.user(&name, "writer"), daemon.log_in_as(&name, PASSWORD));
        let sessions = daemon.get_as(&first.token, "/sessions").expect(200);
        let mut ended: BTreeSet<String> =
            sessions.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect();
        let own =
            || sessions.as_array().unwrap().iter().find(|session| session["current"] == true).unwrap()["id"].clone();
        let account = format!("/users/{}", first.id);
        match why {
            "all others" => {
                daemon.request_as(&first.token, "DELETE", "/sessions", &[], b"").expect(204);
                ended.remove(own().as_str().unwrap());
            }
            "refresh token reused" => {
                daemon.refresh(&second.refresh_token).expect(200);
                daemon.refresh(&second.refresh_token).expect_problem(401, "unauthenticated");
                ended.remove(own().as_str().unwrap());
            }
            "password changed" => {
                drop(daemon.send("PUT", &format!("{account}/password"), &another_password).expect(204));
            }
            "second factors reset" => drop(daemon.delete(&format!("{account}/second-factors")).expect(204)),
            "rights changed" => drop(daemon.send("PATCH", &account, &json!({ "role": "reader" })).expect(200)),
            _ => drop(daemon.delete(&account).expect(204)),
        }
        all.extend(ended.iter().cloned());
        wait_until(why, || revoked() == all);
        let written: Vec<Value> =
            rows(&daemon, "action=session.revoked").into_iter().filter(|row| row["detail"] == why).collect();
        let subjects: BTreeSet<String> =
            written.iter().map(|row| row["subject_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(subjects, ended, "{why}");
    }
}

#[test]
fn a_stream_ends_with_the_token_of_the_cloud_that_opened_it() {
    let daemon = Daemon::unlocked();
    let token = device_token(&daemon, &json!({}));
    daemon.send("PUT", "/users/me/device-link", &json!({ "device_token": token })).expect(200);
    let follower = Follower::start(&daemon, &token, None);
    daemon.advance(Duration::from_secs(601));
    follower.wait_for_end(Duration::from_secs(10));
}

#[test]
fn a_quiet_stream_shows_that_it_lives() {
    let daemon = Daemon::unlocked();
    let follower = Follower::start(&daemon, &daemon.token, None);
    assert!(!follower.text().contains(": still here"));
    daemon.advance(Duration::from_secs(20));
    wait_until("a heartbeat comes", || follower.text().contains("\n: still here\n"));
    assert!(follower.seen().is_empty());
}

#[test]
fn an_account_follows_with_ten_streams_at_most() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "reader");
    let ten: Vec<Follower> = (0..10).map(|_| Follower::start(&daemon, &grace.token, None)).collect();
    daemon.get_as(&grace.token, "/events").expect_problem(409, "limit_reached");
    Follower::start(&daemon, &daemon.token, None);
    assert!(ten.iter().all(Follower::is_open));
    daemon.get_as("", "/events").expect_problem(401, "unauthenticated");
    // One that hangs up makes room.
    drop(open(&daemon, &daemon.token, None));
    let mut hung_up: Vec<TcpStream> = (0..8).map(|_| open(&daemon, &daemon.token, None)).collect();
    hung_up.clear();
    for _ in 0..9 {
        wait_until("there is room again", || {
            let mut stream = open(&daemon, &daemon.token, None);
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            status.ends_with(b"200")
        });
    }
}

#[test]
fn one_that_does_not_read_is_dropped_and_holds_up_nothing() {
    let daemon = Daemon::unlocked();
    let _silent = open(&daemon, &daemon.token, None);
    let follower = Follower::start(&daemon, &daemon.token, None);
    for number in 0..50 {
        folder(&daemon, &number.to_string());
    }
    assert_eq!(follower.wait_for(50).len(), 50);
    let start = Instant::now();
    daemon.post("/vault/lock", &json!({})).expect(200);
    assert!(start.elapsed() < Duration::from_secs(2), "locking does not wait for streams");
    follower.wait_for_end(Duration::from_secs(3));
    daemon.get("/events").expect_problem(423, "vault_locked");
}
