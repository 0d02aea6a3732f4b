//! One-time links: what somebody without an account is handed, how often, and for how long.

use std::time::Duration;

use coffer_crypto::secrets::link::LinkSecret;
use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::rows;
use crate::client::Reply;
use crate::harness::{Daemon, PASSWORD, Person};
use crate::shares;

const SECRET: &[u8] = b"{\"title\":\"a canary\"}";
const DAY: Duration = Duration::from_hours(24);

/// A link as its maker has it.
struct Link {
    secret: LinkSecret,
    body: Value,
}

impl Link {
    fn new(daemon: &Daemon, views: u32) -> Self {
        let mut rng = UnwrapErr(getrandom::SysRng);
        let secret = LinkSecret::generate(Uuid::new_v4(), &mut rng);
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let body = json!({
            "id": secret.link(),
            "access_hash": encode(&secret.access_hash()),
            "content": encode(&secret.seal(SECRET, &mut rng).unwrap()),
            "views": views,
            "expires_at": at(daemon, SignedDuration::from_hours(24)),
        });
        Self { secret, body }
    }

    fn path(&self, rest: &str) -> String {
        format!("/secrets/handouts/{}{rest}", self.secret.link())
    }

    /// A visitor opens it, and reads what was sealed.
    fn open(&self, daemon: &Daemon) -> u64 {
        let opened = self.visit(daemon, &self.secret.access_text()).expect(200);
        let sealed = BASE64URL_NOPAD.decode(opened["content"].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(self.secret.open(&sealed).unwrap().as_slice(), SECRET);
        opened["views_left"].as_u64().unwrap()
    }

    fn visit(&self, daemon: &Daemon, token: &str) -> Reply {
        daemon.anonymous("POST", &self.path("/open"), &json!({ "access_token": token }))
    }

    fn is_good_for_nothing(&self, daemon: &Daemon) {
        self.visit(daemon, &self.secret.access_text()).expect_problem(404, "not_found");
    }
}

/// As the daemon counts time.
fn at(daemon: &Daemon, later: SignedDuration) -> Timestamp {
    Timestamp::from_second(daemon.now_s()).unwrap() + later
}

fn make(daemon: &Daemon, person: &Person, link: &Link) -> Reply {
    daemon.send_as(&person.token, "POST", "/secrets/handouts", &link.body)
}

fn with_grace() -> (Daemon, Person) {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "reader");
    (daemon, grace)
}

#[test]
fn a_link_opens_as_often_as_it_says_and_then_nothing_is_left() {
    let (daemon, grace) = with_grace();
    let link = Link::new(&daemon, 2);
    let made = make(&daemon, &grace, &link).expect(201);
    assert_eq!((&made["views"], &made["views_left"]), (&json!(2), &json!(2)));
    assert_eq!(make(&daemon, &grace, &link).expect(201), made, "heard nothing, sent again");
    let wrong = BASE64URL_NOPAD.encode(&[1; 32]);
    let refused = link.visit(&daemon, &wrong).expect_problem(404, "not_found");
    let unknown = Link::new(&daemon, 1).visit(&daemon, &wrong).expect_problem(404, "not_found");
    assert_eq!(refused["detail"], unknown["detail"]);
    assert_eq!(link.open(&daemon), 1);
    let daemon = daemon.crash_and_restart();
    daemon.unlock();
    assert_eq!(link.open(&daemon), 0);
    link.is_good_for_nothing(&daemon);
    let daemon = daemon.stop_and_restart();
    daemon.unlock();
    link.is_good_for_nothing(&daemon);
    let grace = daemon.log_in_as("grace", PASSWORD);
    let list = daemon.get_as(&grace.token, "/secrets/handouts").expect(200);
    assert_eq!((list["items"][0]["views_left"].as_u64(), list["items"][0].get("content")), (Some(0), None));
}

#[test]
fn opening_and_making_are_written_down_without_what_opens_it() {
    let (daemon, grace) = with_grace();
    let link = Link::new(&daemon, 1);
    make(&daemon, &grace, &link).expect(201);
    make(&daemon, &grace, &link).expect(201);
    link.open(&daemon);
    link.is_good_for_nothing(&daemon);
    assert_eq!(rows(&daemon, "action=secret_handout.created").len(), 1);
    let opened = rows(&daemon, "action=secret_handout.opened");
    assert_eq!((opened.len(), &opened[0]["subject_id"]), (1, &link.body["id"]), "{opened:?}");
    let all = rows(&daemon, "limit=500");
    assert!(!all.iter().any(|row| row.to_string().contains(link.secret.access_text().as_str())));
}

#[test]
fn a_link_ends_by_its_time_by_its_maker_and_with_its_maker() {
    let (daemon, grace) = with_grace();
    let [late, back, gone] = [Link::new(&daemon, 9), Link::new(&daemon, 9), Link::new(&daemon, 9)];
    for link in [&late, &back, &gone] {
        make(&daemon, &grace, link).expect(201);
        link.open(&daemon);
    }
    let henry = daemon.user("henry", "reader");
    daemon.send_as(&henry.token, "DELETE", &back.path(""), &json!({})).expect_problem(404, "not_found");
    assert_eq!(daemon.get_as(&henry.token, "/secrets/handouts").expect(200)["items"], json!([]));
    assert_eq!(daemon.get("/secrets/handouts").expect(200)["items"], json!([]), "administrators see none either");
    back.open(&daemon);
    daemon.send_as(&grace.token, "DELETE", &back.path(""), &json!({})).expect(204);
    daemon.send_as(&grace.token, "DELETE", &back.path(""), &json!({})).expect_problem(404, "not_found");
    back.is_good_for_nothing(&daemon);
    make(&daemon, &grace, &back).expect(201);
    daemon.send("PATCH", &format!("/users/{}", grace.id), &json!({ "active": false })).expect(200);
    gone.is_good_for_nothing(&daemon);
    daemon.send("PATCH", &format!("/users/{}", grace.id), &json!({ "active": true })).expect(200);
    gone.open(&daemon);
    daemon.send("DELETE", &format!("/users/{}", grace.id), &json!({})).expect(204);
    gone.is_good_for_nothing(&daemon);
    daemon.advance(DAY);
    late.is_good_for_nothing(&daemon);
}

#[test]
fn what_is_not_a_link_is_refused() {
    let (daemon, grace) = with_grace();
    let with = |field: &str, value: Value| {
        let mut link = Link::new(&daemon, 1);
        link.body[field] = value;
        make(&daemon, &grace, &link)
    };
    for (field, value) in [
        ("views", json!(0)),
        ("views", json!(101)),
        ("content", json!("")),
        ("content", json!("not base64!")),
        ("access_hash", json!(BASE64URL_NOPAD.encode(&[1; 31]))),
        ("expires_at", json!(at(&daemon, SignedDuration::from_secs(-1)))),
        ("expires_at", json!(at(&daemon, SignedDuration::from_hours(721)))),
    ] {
        with(field, value).expect_problem(422, "invalid_field");
    }
    let link = Link::new(&daemon, 1);
    make(&daemon, &grace, &link).expect(201);
    let henry = daemon.user("henry", "reader");
    let mut taken = Link::new(&daemon, 1);
    taken.body["id"] = link.body["id"].clone();
    make(&daemon, &henry, &taken).expect_problem(422, "invalid_field");
    daemon.anonymous("POST", "/secrets/handouts", &Link::new(&daemon, 1).body).expect_problem(401, "unauthenticated");
    let key =
        daemon.send_as(&grace.token, "POST", "/api-keys", &json!({ "name": "backup", "role": "reader" })).expect(201);
    daemon.get_as(key["key"].as_str().unwrap(), "/secrets/handouts").expect_problem(403, "session_needed");
    let nothing = json!({ "access_token": "" });
    daemon.anonymous("POST", "/secrets/handouts/no-id/open", &nothing).expect_problem(404, "not_found");
}

#[test]
fn guessing_is_slowed_down() {
    let (daemon, grace) = with_grace();
    let link = Link::new(&daemon, 1);
    make(&daemon, &grace, &link).expect(201);
    let wrong = BASE64URL_NOPAD.encode(&[1; 32]);
    let statuses: Vec<u16> = (0..13).map(|_| link.visit(&daemon, &wrong).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 404).count(), 11, "{statuses:?}");
    link.visit(&daemon, &link.secret.access_text()).expect_problem(429, "too_many_attempts");
    daemon.advance(Duration::from_secs(2));
    link.open(&daemon);
}

#[test]
fn the_page_holds_no_link_and_looking_uses_nothing_up() {
    let (daemon, grace) = with_grace();
    let link = Link::new(&daemon, 1);
    make(&daemon, &grace, &link).expect(201);
    let page = shares::get(&daemon, &format!("/secret/{}", link.secret.link()));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("private, no-store", "no-referrer"));
    assert!(!shares::html(&page).contains(&link.secret.link().to_string()));
    link.open(&daemon);
}
