//! Sealed contents: every way in and every way out, and what is refused.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::audit::{lock, rows};
use crate::harness::{Daemon, MASTER_PASSWORD, content, sha256};
use crate::recovery::passphrase;

/// What a sealed file of ours begins with.
pub(crate) const MAGIC: &[u8] = b"\x02COFFER\n";

/// What scripts begin with: the database, and where a file's content lies.
const PRELUDE: &str = "
import json, os, sqlite3, sys
view = sys.argv[1]
db = sqlite3.connect(view + '/coffer.db')
def place(blob):
    return f'{view}/blobs/{blob[:2]}/{blob}'
def blob(file):
    return db.execute('SELECT blob_id FROM files WHERE id = ?', [file]).fetchone()[0]
def read(file):
    return open(place(blob(file)), 'rb').read()
def write(file, data):
    open(place(blob(file)), 'wb').write(data)
";

pub(crate) fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

/// Runs a Python script on the inside of the locked vault, as somebody does who has the passphrase. Gives what it printed.
pub(crate) fn inside(daemon: &Daemon, script: &str) -> String {
    let (_, passphrase, _) = passphrase(&daemon.path("secrets"), MASTER_PASSWORD);
    let view = tempfile::tempdir().unwrap();
    let shell = "set -eu; gocryptfs -q \"$0\" \"$1\"; trap 'fusermount3 -u \"$1\" || umount \"$1\"' EXIT
                 python3 -c \"$2\" \"$1\"";
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", shell])
        .arg(daemon.path("cipher"))
        .arg(view.path())
        .arg(format!("{PRELUDE}\n{script}\ndb.commit()\ndb.close()\n"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{passphrase}\n").as_bytes()).unwrap();
    let run = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(run.status.success(), "{}", text(run.stderr));
    text(run.stdout)
}

/// A box whose new contents are sealed.
pub(crate) fn sealing(mode: &str) -> Daemon {
    let daemon = Daemon::unlocked();
    set_mode(&daemon, mode);
    daemon
}

pub(crate) fn set_mode(daemon: &Daemon, mode: &str) {
    daemon.send("PUT", "/encryption", &json!({ "mode": mode })).expect(204);
}

/// Begins a job and waits for its end.
pub(crate) fn job(daemon: &Daemon, body: &Value) -> Value {
    let begun = daemon.send_locally("POST", "/encryption/jobs", body).expect(202);
    wait_for(daemon, &id(&begun))
}

pub(crate) fn wait_for(daemon: &Daemon, id: &str) -> Value {
    let (mut done, mut since) = (Value::Null, Instant::now());
    loop {
        let job = daemon.get_locally(&format!("/encryption/jobs/{id}")).expect(200);
        if job["state"] != "running" {
            let counted: u64 = job["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
            assert_eq!(job["done"], counted, "{job}");
            return job;
        }
        if job["done"] != done {
            (done, since) = (job["done"].clone(), Instant::now());
        }
        assert!(since.elapsed() < Duration::from_mins(5), "it does not go on: {job}");
        crate::harness::pause();
    }
}

pub(crate) fn count(job: &Value, kind: &str) -> u64 {
    job["counts"][kind].as_u64().unwrap_or(0)
}

/// Locks, changes the inside, unlocks.
pub(crate) fn change_inside(daemon: &mut Daemon, script: &str) -> String {
    lock(daemon);
    let told = inside(daemon, script);
    daemon.unlock();
    daemon.log_in();
    told
}

fn bytes(daemon: &Daemon, file: &str) -> Vec<u8> {
    let reply = daemon.get(&format!("/files/{file}/content"));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

#[test]
fn what_is_sealed_comes_back_in_every_part_and_lies_sealed_on_the_drive() {
    let mut daemon = sealing("server");
    let lengths = [0, 1, 16_383, 16_384, 16_385, 1_048_575, 1_048_576, 1_048_577, 3_500_000];
    let files: Vec<(String, Vec<u8>)> = lengths
        .iter()
        .map(|&length| {
            let bytes = content(length, length as u64);
            let file = daemon.upload(&format!("f{length}"), &bytes).expect(201);
            assert_eq!(file["size_bytes"], length);
            assert_eq!(file["sha256"], sha256(&bytes));
            assert_eq!((&file["encryption_method"], &file["encryption_version"]), (&json!("server"), &json!(2)));
            assert_eq!((&file["key_generation"], file["key_id"].as_str().unwrap().len()), (&json!(1), 16));
            let header = if length < 1 << 20 { 192 } else { 4096 };
            let expected = header + 56 + length + 16 * (length / 16_384 + 1);
            assert_eq!(file["encrypted_size_bytes"], expected);
            (id(&file), bytes)
        })
        .collect();
    for (file, whole) in &files {
        assert!(bytes(&daemon, file) == *whole);
        let last = whole.len().saturating_sub(1);
        for (from, to) in [(0, 0), (16_383, 16_384), (1_048_576, 1_048_576), (last, last), (1000, 900_000)] {
            if from > last || whole.is_empty() {
                continue;
            }
            let to = to.min(last);
            let range = format!("bytes={from}-{to}");
            let part = daemon.request("GET", &format!("/files/{file}/content"), &[("range", &range)], b"");
            assert_eq!((part.status, part.header("content-length")), (206, (to - from + 1).to_string().as_str()));
            assert!(part.body == whole[from..=to], "{range}");
        }
    }
    let listed: Vec<String> = files.iter().map(|(file, _)| file.clone()).collect();
    let script = format!("for f in json.loads('{}'):\n  d = read(f); print(d[:8].hex(), len(d))", json!(listed));
    let told = change_inside(&mut daemon, &script);
    assert_eq!(told.lines().filter(|line| line.starts_with("02434f464645520a ")).count(), lengths.len(), "{told}");
    for (file, whole) in &files {
        assert!(bytes(&daemon, file) == *whole, "after a lock");
    }
    let state = daemon.get("/encryption").expect(200);
    assert_eq!((&state["sealed"], &state["plain"], &state["client"]), (&json!(9), &json!(0), &json!(0)));
}

#[test]
fn every_way_in_is_sealed_and_every_way_out_opens() {
    let daemon = sealing("server");
    let method = |file: &Value| file["encryption_method"].as_str().unwrap().to_owned();
    let text = json!({ "name": "words.txt", "text": "an unmistakable zebrafish" });
    let text = daemon.post("/texts", &text).expect(201);
    assert_eq!(method(&text), "server");
    let back = daemon.get(&format!("/files/{}/text", id(&text))).expect(200);
    assert_eq!(back["text"], "an unmistakable zebrafish");
    let copy = daemon.post(&format!("/files/{}/copy", id(&text)), &json!({ "name": "copy.txt" })).expect(201);
    assert_eq!((method(&copy), &copy["key_id"]), ("server".to_owned(), &text["key_id"]));
    let revised = daemon.request("PUT", &format!("/files/{}/content", id(&text)), &[], b"second").expect(200);
    assert_eq!(method(&revised), "server");
    let revision = daemon.get(&format!("/files/{}/revisions/1", id(&text))).expect(200);
    assert_eq!(method(&revision), "server");
    let old = daemon.get(&format!("/files/{}/revisions/1/content", id(&text)));
    assert_eq!(old.body, b"an unmistakable zebrafish");

    // Resumable: in two parts, with a pause.
    let whole = content(1_500_000, 77);
    let metadata = format!("filename {}", data_encoding::BASE64.encode(b"resumed.bin"));
    let headers = [("tus-resumable", "1.0.0"), ("upload-length", "1500000"), ("upload-metadata", metadata.as_str())];
    let begun = daemon.request("POST", "/uploads", &headers, b"");
    assert_eq!(begun.status, 201, "{begun:?}");
    let place = begun.header("location").split_once("/api/v1").unwrap().1.to_owned();
    for (from, to) in [(0, 700_001), (700_001, 1_500_000)] {
        let offset = from.to_string();
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("upload-offset", offset.as_str()),
            ("content-type", "application/offset+octet-stream"),
        ];
        assert_eq!(daemon.request("PATCH", &place, &headers, &whole[from..to]).status, 204);
    }
    let resumed = daemon.get("/files?limit=500").expect(200)["items"].as_array().unwrap().clone();
    let resumed = resumed.iter().find(|file| file["name"] == "resumed.bin").unwrap().clone();
    assert_eq!((method(&resumed), &resumed["sha256"]), ("server".to_owned(), &json!(sha256(&whole))));
    assert!(bytes(&daemon, &id(&resumed)) == whole);

    let form = "--b\r\ncontent-disposition: form-data; name=\"f\"; filename=\"form.txt\"\r\n\r\nformed\r\n--b--\r\n";
    let headers = [("content-type", "multipart/form-data; boundary=b")];
    let formed = daemon.request("POST", "/files/multipart", &headers, form.as_bytes()).expect(200);
    assert_eq!(method(&formed["items"][0]["file"]), "server");

    let archive = daemon.post("/archives", &json!({ "items": [id(&resumed), id(&copy)] }));
    assert_eq!(archive.status, 200, "{archive:?}");
    assert!(archive.body.windows(whole.len()).any(|window| window == whole), "stored, not packed");

    // The index of words reads it; a moment later.
    let start = Instant::now();
    while daemon.get("/search?q=zebrafish").expect(200)["items"].as_array().unwrap().is_empty() {
        assert!(start.elapsed() < Duration::from_mins(1));
        crate::harness::pause();
    }
    assert_eq!(count(&job(&daemon, &json!({ "kind": "verify" })), "whole"), 4);
    let audit = job(&daemon, &json!({ "kind": "audit" }));
    assert_eq!((count(&audit, "sealed_v2"), audit["findings"].as_array().unwrap().len()), (4, 0), "{audit}");
}

#[test]
fn nothing_that_was_changed_is_served() {
    let mut daemon = sealing("server");
    let long = content(1 << 20, 1);
    let files: Vec<String> =
        (0..).map(|number| id(&daemon.upload(&format!("f{number}"), &long).expect(201))).take(40).collect();
    let short: Vec<String> =
        (0..200).map(|number| id(&daemon.upload(&format!("s{number}"), b"a short one").expect(201))).collect();
    let script = format!(
        "
files, short = json.loads('{}'), json.loads('{}')
head, chunk = 4096 + 56, 16400
def change(file, work):
    data = bytearray(read(file)); data = work(data); write(file, bytes(data))
at = 0
for boundary in (0, 1, 2, 31, 63, 64):
    for off in (-1, 0, 1):
        end = head + boundary * chunk + off
        change(files[at], lambda d: d[:end]); at += 1
change(files[at], lambda d: d[:head] + d[head+chunk:head+2*chunk] + d[head:head+chunk] + d[head+2*chunk:]); at += 1
change(files[at], lambda d: d[:head+chunk] + d[head:head+chunk] + d[head+2*chunk:]); at += 1
change(files[at], lambda d: d[:head+chunk] + d[head:]); at += 1
change(files[at], lambda d: d[:head] + d[head+chunk:]); at += 1
change(files[at], lambda d: b''); at += 1
one, two = read(files[at]), read(files[at+1])
write(files[at], two); write(files[at+1], one); at += 2
for byte in range(192):
    def flip(d):
        d[byte] ^= 1
        return d
    change(short[byte], flip)
print(at)
",
        json!(files),
        json!(short)
    );
    let changed: usize = change_inside(&mut daemon, &script).trim().parse().unwrap();
    for (number, file) in files.iter().enumerate() {
        let reply = daemon.get(&format!("/files/{file}/content"));
        if number >= changed {
            assert!(reply.body == long);
        } else if reply.status == 200 {
            // The beginning was authentic; the reply broke off, and its length says so.
            panic!("file {number} is served: {} bytes", reply.body.len());
        } else {
            reply.expect_problem(500, "decryption_failed");
        }
    }
    for (byte, file) in short.iter().enumerate() {
        let reply = daemon.get(&format!("/files/{file}/content"));
        if byte < 192 {
            assert!(!String::from_utf8_lossy(&reply.body).contains("a short one"));
            reply.expect_problem(500, "decryption_failed");
        } else {
            assert_eq!(reply.body, b"a short one");
        }
    }
    let audit = job(&daemon, &json!({ "kind": "audit" }));
    assert!(count(&audit, "corrupt") + count(&audit, "wrong_key") >= 192 + 18, "{audit}");
    let start = Instant::now();
    let told = |file: &str| {
        let rows = rows(&daemon, &format!("action=content.decryption_failed&subject_id={file}"));
        rows.iter().any(|row| row["outcome"] == "failed")
    };
    while !told(&short[0]) {
        assert!(start.elapsed() < Duration::from_mins(1), "the audit says nothing");
        crate::harness::pause();
    }
}

#[test]
fn every_cut_and_every_order_of_chunks_is_refused_and_audited() {
    let mut daemon = sealing("server");
    let whole = content(3 * 16_384 + 100, 5);
    let script = "
head, chunk, number = 192 + 56, 16400, 3
def parts(d):
    return [d[:head]] + [d[head + i * chunk:head + (i + 1) * chunk] for i in range(number + 1)]
ways = []
for boundary in range(number + 1):
    for off in (-1, 0, 1):
        ways.append(lambda d, end=head + boundary * chunk + off: d[:end])
ways.append(lambda d: d[:-1])
def with_order(order):
    return lambda d: b''.join([parts(d)[0]] + [parts(d)[1 + i] for i in order])
for i in range(number + 1):
    ways.append(with_order([j for j in range(number + 1) if j != i]))
    for j in range(i):
        order = list(range(number + 1)); order[i], order[j] = order[j], order[i]
        ways.append(with_order(order))
    for j in range(number + 2):
        order = list(range(number + 1)); order.insert(j, i)
        if order != list(range(number + 1)):
            ways.append(with_order(order))
";
    let ways: usize = change_inside(&mut daemon, &format!("{script}\nprint(len(ways))")).trim().parse().unwrap();
    assert!(ways > 40, "{ways}");
    let files: Vec<String> =
        (0..ways).map(|number| id(&daemon.upload(&format!("f{number}"), &whole).expect(201))).collect();
    let apply = format!("for f, way in zip(json.loads('{}'), ways):\n  write(f, way(read(f)))", json!(files));
    change_inside(&mut daemon, &format!("{script}\n{apply}"));
    for (way, file) in files.iter().enumerate() {
        let reply = daemon.get(&format!("/files/{file}/content"));
        assert_ne!(reply.status, 200, "way {way}");
        reply.expect_problem(500, "decryption_failed");
        let told = format!("action=content.decryption_failed&subject_id={file}");
        let start = Instant::now();
        while rows(&daemon, &told).is_empty() {
            assert!(start.elapsed() < Duration::from_mins(1), "the audit says nothing of way {way}");
            crate::harness::pause();
        }
    }
}

#[test]
fn what_is_damaged_far_behind_its_beginning_breaks_off_before_that() {
    let mut daemon = sealing("server");
    let whole = content(3_000_000, 6);
    let file = id(&daemon.upload("long", &whole).expect(201));
    // The chunks 150 and 151 change places.
    let script = format!(
        "d = read('{file}'); a = 4096 + 56 + 150 * 16400; b, c = a + 16400, a + 2 * 16400
write('{file}', d[:a] + d[b:c] + d[a:b] + d[c:])"
    );
    change_inside(&mut daemon, &script);
    let mut stream = crate::client::tcp(daemon.address);
    let token = format!("Bearer {}", daemon.token);
    let path = format!("/api/v1/files/{file}/content");
    crate::client::send_head(&mut stream, "GET", &path, &[("authorization", &token)]);
    let mut reply = Vec::new();
    // It may be reset.
    let _ = std::io::Read::read_to_end(&mut stream, &mut reply);
    let head = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = &reply[head..];
    assert!(body.len() <= 150 * 16_384 && whole.starts_with(body), "{} bytes", body.len());
    let range = [("range", "bytes=2457600-2457600")];
    daemon.request("GET", &format!("/files/{file}/content"), &range, b"").expect_problem(500, "decryption_failed");
    let start = [("range", "bytes=0-2457599")];
    assert!(daemon.request("GET", &format!("/files/{file}/content"), &start, b"").body == whole[..2_457_600]);
}

#[test]
fn the_row_decides_and_never_the_first_byte() {
    let mut daemon = Daemon::unlocked();
    let mut all = Vec::new();
    for first in [&b"\x01"[..], b"\x02", MAGIC] {
        for length in 0..=64_usize {
            let mut bytes = first.to_vec();
            bytes.resize(first.len().max(length), 0x5a);
            bytes.truncate(length);
            let name = format!("{}-{length}", all.len());
            let file = daemon.upload(&name, &bytes).expect(201);
            assert_eq!(file["encryption_method"], "none");
            all.push((id(&file), bytes));
        }
    }
    let check = |daemon: &Daemon| {
        for (file, expected) in &all {
            assert_eq!(bytes(daemon, file), *expected);
        }
    };
    check(&daemon);
    let dry = job(&daemon, &json!({ "kind": "files", "dry_run": true }));
    assert_eq!(count(&dry, "would_be_sealed"), all.len() as u64, "{dry}");
    assert_eq!(daemon.get("/encryption").expect(200)["plain"], all.len());
    daemon.post("/encryption/seal", &json!({})).expect_problem(409, "not_all_sealed");
    let audit = job(&daemon, &json!({ "kind": "audit" }));
    assert_eq!(count(&audit, "plaintext"), all.len() as u64, "{audit}");

    set_mode(&daemon, "server");
    daemon.post("/encryption/seal", &json!({})).expect_problem(409, "not_all_sealed");
    let sealed = job(&daemon, &json!({ "kind": "files" }));
    let number = json!(all.len());
    assert_eq!(
        (&sealed["counts"], &sealed["done"], &sealed["total"]),
        (&json!({ "sealed": number }), &number, &number)
    );
    check(&daemon);
    let file = daemon.get(&format!("/files/{}", all[0].0)).expect(200);
    assert_eq!(file["encryption_method"], "server");
    assert_eq!(count(&job(&daemon, &json!({ "kind": "files" })), "unchanged"), all.len() as u64, "twice is once");
    daemon.post("/encryption/seal", &json!({})).expect(204);
    assert_eq!(daemon.get("/encryption").expect(200)["only_sealed"], true);
    daemon.send("PUT", "/encryption", &json!({ "mode": "off" })).expect_problem(409, "only_sealed");

    // Whoever takes a row away does not get the raw bytes, nor a file of their own in its place.
    let script = format!(
        "b = blob('{}'); db.execute('DELETE FROM sealed_blobs WHERE blob_id = ?', [b]); open(place(b), 'wb').write(b'mine')",
        all[0].0
    );
    change_inside(&mut daemon, &script);
    daemon.get(&format!("/files/{}/content", all[0].0)).expect_problem(500, "decryption_failed");
    let audit = job(&daemon, &json!({ "kind": "audit" }));
    assert_eq!((count(&audit, "plaintext"), count(&audit, "sealed_v2")), (1, all.len() as u64 - 1), "{audit}");
}

#[test]
fn a_client_keeps_its_own_key_and_nothing_looks_into_what_it_sends() {
    let daemon = sealing("server");
    let secret = content(300_000, 9);
    let headers = [("coffer-encryption", "client")];
    let file = daemon.request("POST", "/files?name=a3f9.jpg", &headers, &secret).expect(201);
    assert_eq!((&file["encryption_method"], &file["encryption_version"]), (&json!("client"), &json!(0)));
    assert_eq!((&file["size_bytes"], &file["encrypted_size_bytes"]), (&json!(300_000), &json!(300_000)));
    assert_eq!((&file["media_type"], &file["thumbnail"]), (&json!("application/octet-stream"), &Value::Null));
    assert_eq!(file["key_id"], Value::Null);
    assert!(bytes(&daemon, &id(&file)) == secret);
    let part = daemon.request("GET", &format!("/files/{}/content", id(&file)), &[("range", "bytes=299000-")], b"");
    assert!(part.status == 206 && part.body == secret[299_000..]);
    let text = daemon.request("POST", "/files?name=n.txt", &headers, b"unfindable kingfisher").expect(201);
    let marker = daemon.post("/texts", &json!({ "name": "m.txt", "text": "findable heron" })).expect(201);
    let start = Instant::now();
    while daemon.get("/search?q=heron").expect(200)["items"].as_array().unwrap().is_empty() {
        assert!(start.elapsed() < Duration::from_mins(1));
        crate::harness::pause();
    }
    assert_eq!(daemon.get("/search?q=kingfisher").expect(200)["items"], json!([]));
    daemon
        .request("POST", "/files?name=x", &[("coffer-encryption", "server")], b"x")
        .expect_problem(422, "invalid_field");
    let done = job(&daemon, &json!({ "kind": "reencrypt" }));
    assert_eq!((count(&done, "client"), count(&done, "sealed")), (2, 1), "{done}");
    assert_eq!(bytes(&daemon, &id(&text)), b"unfindable kingfisher");
    assert_eq!(bytes(&daemon, &id(&marker)), b"findable heron");
    daemon.post("/encryption/seal", &json!({})).expect(204);
    daemon.request("POST", "/files?name=later", &headers, b"more").expect(201);
}

#[test]
fn who_may_not_look_after_sealed_files_is_refused() {
    let daemon = Daemon::unlocked();
    let writer = daemon.user("walter", "writer");
    daemon.send_as(&writer.token, "PUT", "/encryption", &json!({ "mode": "server" })).expect_problem(403, "forbidden");
    daemon
        .send_as(&writer.token, "POST", "/encryption/jobs", &json!({ "kind": "audit" }))
        .expect_problem(403, "forbidden");
    daemon.anonymous("GET", "/encryption", &json!({})).expect_problem(401, "unauthenticated");
    let import = json!({ "kind": "import-stormcloud", "directory": "/etc" });
    daemon.post("/encryption/jobs", &import).expect_problem(403, "forbidden");
    daemon.get("/encryption/jobs/01890000-0000-7000-8000-000000000000").expect_problem(404, "not_found");
    daemon
        .send_locally("POST", "/encryption/jobs", &json!({ "kind": "import-stormcloud" }))
        .expect_problem(422, "invalid_field");
}
