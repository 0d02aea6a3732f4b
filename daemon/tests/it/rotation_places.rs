//! Places where credentials are rotated that are not programs: IAM, as a small server of our own speaks it, which checks each
//! signature by the documentation; and what no place may be.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::rotations::Rig;
use crate::webhooks::wait_until;

const ADMIN_KEY: (&str, &str) = ("AKADMIN", "the secret of the admin");
const REGION: &str = "eu-central-1";

/// What IAM knows, and does.
#[derive(Default)]
struct State {
    /// Of the one user: id and secret.
    keys: BTreeMap<String, String>,
    made: u32,
    /// The next key is made, and its maker hangs up.
    hang_up: bool,
    asked: Vec<String>,
}

struct Iam {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Iam {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (address, shared) = (listener.local_addr().unwrap(), Arc::clone(&state));
        // Ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut head, mut line) = (Vec::new(), String::new());
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    head.push(line.trim_end().to_owned());
                    line.clear();
                }
                let headers: BTreeMap<String, String> = head
                    .iter()
                    .filter_map(|line| line.split_once(": "))
                    .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                    .collect();
                let mut body = vec![0; headers["content-length"].parse().unwrap()];
                reader.read_exact(&mut body).unwrap();
                let answer = answer(&mut shared.lock().unwrap(), &head[0], &headers, &String::from_utf8(body).unwrap());
                let Some((status, text)) = answer else { continue };
                let reply =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
                let _ = reader.get_mut().write_all(reply.as_bytes());
            }
        });
        Self { address, state }
    }

    fn provider(&self) -> Value {
        json!({
            "kind": "s3_access_key", "endpoint": format!("http://{}", self.address), "region": REGION, "user_name": "app user",
            "admin_key_id": ADMIN_KEY.0,
        })
    }

    fn keys(&self) -> BTreeMap<String, String> {
        self.state.lock().unwrap().keys.clone()
    }
}

/// What is answered; `None` hangs up.
fn answer(state: &mut State, request: &str, headers: &BTreeMap<String, String>, body: &str) -> Option<(u16, String)> {
    let refused = |status, code: &str| Some((status, format!("<E><Error><Code>{code}</Code></Error></E>")));
    let signed = &headers["authorization"];
    let (_, rest) = signed.split_once("Credential=").unwrap();
    let (id, _) = rest.split_once('/').unwrap();
    let secret = if id == ADMIN_KEY.0 { Some(ADMIN_KEY.1.to_owned()) } else { state.keys.get(id).cloned() };
    let Some(secret) = secret else { return refused(403, "InvalidClientTokenId") };
    if *signed != signature(&secret, signed, request, headers, body) {
        return refused(403, "SignatureDoesNotMatch");
    }
    let form: BTreeMap<&str, &str> = body.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    assert_eq!(form["Version"], "2010-05-08");
    state.asked.push(form["Action"].to_owned());
    if form["Action"] != "GetUser" {
        assert_eq!((id, form["UserName"]), (ADMIN_KEY.0, "app%20user"));
    }
    match form["Action"] {
        "CreateAccessKey" if state.keys.len() > 1 => refused(409, "LimitExceeded"),
        "CreateAccessKey" => {
            state.made += 1;
            let (id, secret) = (format!("AK{}", state.made), format!("secret/{}+&", state.made));
            let text = format!(
                "<R><AccessKey><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey></AccessKey></R>",
                secret.replace('&', "&amp;")
            );
            state.keys.insert(id, secret);
            if std::mem::take(&mut state.hang_up) { None } else { Some((200, text)) }
        }
        "ListAccessKeys" => {
            let member = |id: &String| format!("<member><AccessKeyId>{id}</AccessKeyId></member>");
            Some((200, state.keys.keys().map(member).collect()))
        }
        "DeleteAccessKey" => match state.keys.remove(form["AccessKeyId"]) {
            Some(_) => Some((200, String::new())),
            None => refused(404, "NoSuchEntity"),
        },
        // A user who may do nothing but use S3.
        "GetUser" => refused(403, "AccessDenied"),
        other => panic!("{other}"),
    }
}

/// The header that it should be, with the time, the scope and the list of headers of the one that came.
fn signature(secret: &str, given: &str, request: &str, headers: &BTreeMap<String, String>, body: &str) -> String {
    let (head, _) = given.split_once(", Signature=").unwrap();
    let (_, rest) = head.split_once("Credential=").unwrap();
    let (credential, names) = rest.split_once(", SignedHeaders=").unwrap();
    let (_, scope) = credential.split_once('/').unwrap();
    let day = scope.split('/').next().unwrap();
    assert_eq!(scope, format!("{day}/{REGION}/iam/aws4_request"));
    assert!(["host", "x-amz-date"].iter().all(|name| names.split(';').any(|signed| signed == *name)), "{names}");
    let (method, path) = request.strip_suffix(" HTTP/1.1").unwrap().split_once(' ').unwrap();
    let hash = |text: &str| HEXLOWER.encode(&Sha256::digest(text));
    let lines = names.split(';').map(|name| format!("{name}:{}\n", headers[name])).collect::<Vec<_>>().concat();
    let canonical = format!("{method}\n{path}\n\n{lines}\n{names}\n{}", hash(body));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", headers["x-amz-date"], hash(&canonical));
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
    format!("{head}, Signature={}", HEXLOWER.encode(&mac(&key, &text)))
}

/// A user with one key, whose rotation is set up.
fn with_a_key(admin: &str) -> (Iam, Rig) {
    let iam = Iam::start();
    iam.state.lock().unwrap().keys.insert("AKOLD".to_owned(), "old".to_owned());
    let rig = Rig::with("", &["--allow-local-rotations"]);
    let more = json!({ "provider": iam.provider(), "admin": admin, "handle": "AKOLD" });
    rig.create(&more).expect(201);
    rig.set_drop_box().expect(204);
    (iam, rig)
}

#[test]
fn an_access_key_is_replaced_and_the_old_one_ends_when_a_member_has_the_new_one() {
    let (iam, mut rig) = with_a_key(ADMIN_KEY.1);
    rig.run();
    rig.wait_for("verified");
    let (secret, id) = rig.value();
    assert_eq!((secret.as_str(), id.as_deref()), ("secret/1+&", Some("AK1")));
    assert_eq!(iam.keys().into_keys().collect::<Vec<_>>(), ["AK1", "AKOLD"]);
    rig.take();
    rig.wait_for("old_revoked");
    assert_eq!(iam.keys().into_keys().collect::<Vec<_>>(), ["AK1"]);
    rig.run();
    wait_until("another one", || iam.keys().contains_key("AK2"));
    rig.wait_for("verified");
    rig.take();
    rig.wait_for("old_revoked");
    assert_eq!(iam.keys().into_keys().collect::<Vec<_>>(), ["AK2"]);
}

#[test]
fn a_key_that_was_made_and_never_told_is_taken_away_again() {
    let (iam, mut rig) = with_a_key(ADMIN_KEY.1);
    iam.state.lock().unwrap().hang_up = true;
    rig.run();
    let state = rig.wait_for_problem();
    assert_eq!(state["state"], "pending", "nobody knows: {state}");
    assert_eq!(iam.keys().len(), 2);
    rig.later(Duration::from_mins(2));
    rig.wait_for("verified");
    assert_eq!(iam.keys().into_keys().collect::<Vec<_>>(), ["AK2", "AKOLD"]);
    rig.take();
    rig.wait_for("old_revoked");
    assert_eq!(iam.keys().into_keys().collect::<Vec<_>>(), ["AK2"]);
}

#[test]
fn an_admin_key_that_is_wrong_changes_nothing() {
    let (iam, rig) = with_a_key("another secret");
    rig.run();
    let state = rig.wait_for_problem();
    assert_eq!(
        (&state["state"], &state["problem"]),
        (&json!("idle"), &json!("CreateAccessKey: 403 SignatureDoesNotMatch"))
    );
    assert_eq!(iam.keys().into_keys().collect::<Vec<_>>(), ["AKOLD"]);
}

#[test]
fn no_place_is_this_box_itself_or_in_clear() {
    let rig = Rig::new("");
    let http = |url: &str| json!({ "provider": { "kind": "http", "url": url } });
    for url in
        ["https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "http://service.example/", "ftp://a/", "x"]
    {
        let refused = rig.create(&http(url)).expect_problem(422, "invalid_field");
        assert_eq!(refused["errors"][0]["field"], "provider.url", "{url}");
    }
    let s3 = |endpoint: &str, handle: Value| {
        let provider = json!({
            "kind": "s3_access_key", "endpoint": endpoint, "region": REGION, "user_name": "x", "admin_key_id": "y",
        });
        json!({ "provider": provider, "handle": handle })
    };
    for (more, field) in [
        (s3("https://127.0.0.1/", json!("AK")), "provider.endpoint"),
        (s3("https://iam.example/", Value::Null), "handle"),
    ] {
        assert_eq!(rig.create(&more).expect_problem(422, "invalid_field")["errors"][0]["field"], field);
    }
    // What a name stands for is looked at when it is used.
    for provider in [
        json!({ "kind": "http", "url": "https://localhost/" }),
        json!({ "kind": "postgresql_role", "host": "localhost", "database": "d", "role": "r", "admin_name": "a" }),
    ] {
        let id = uuid::Uuid::new_v4();
        rig.create(&json!({ "id": id, "provider": provider })).expect(201);
        rig.set_drop_box().expect(204);
        let path = rig.vault.path(&format!("/rotations/{id}"));
        rig.ada.send(&rig.daemon, "POST", &format!("{path}/run"), &json!({})).expect(202);
        let problem = || rig.ada.get(&rig.daemon, &path).expect(200)["problem"].as_str().unwrap_or_default().to_owned();
        wait_until("it is refused", || problem().contains("the address is not allowed"));
    }
}
