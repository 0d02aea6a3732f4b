//! Archives: what stock programs find in them, and that one that was cut off never looks like a whole one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::process::Command;

use serde_json::{Value, json};

use crate::audit::rows;
use crate::client::{Reply, send_head, tcp};
use crate::harness::{Daemon, content, files_below, run, sha256};

/// Lists an archive as Python sees it, after it has checked every sum: path, length, SHA-256, seconds since 1970 of the
/// extra field, and whether the name is marked as UTF-8.
const LIST: &str = "
import hashlib, json, struct, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    found = []
    for info in archive.infolist():
        kind, length, flags, seconds = struct.unpack('<HHBi', info.extra[-9:])
        assert (kind, length, flags) == (0x5455, 5, 1), info.extra
        bytes = archive.read(info)
        digest = hashlib.sha256(bytes).hexdigest()
        found.append([info.filename, len(bytes), digest, seconds, info.flag_bits >> 11 & 1, info.is_dir()])
    print(json.dumps(found))
";

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

fn folder(daemon: &Daemon, name: &str, parent: Option<&str>) -> String {
    id(&daemon.post("/folders", &json!({ "name": name, "parent_id": parent })).expect(201))
}

fn file(daemon: &Daemon, name: &str, folder: &str, bytes: &[u8]) -> String {
    id(&daemon.request("POST", &format!("/files?folder_id={folder}&name={name}"), &[], bytes).expect(201))
}

/// The paths of an archive with the SHA-256 of each file (of nothing, for a directory). Two programs check it.
pub(crate) fn unpacked(reply: &Reply) -> BTreeMap<String, String> {
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/zip"));
    assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.zip");
    fs::write(&path, &reply.body).unwrap();
    let (code, out, err) = run(Command::new("unzip").arg("-tqq").arg(&path));
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, out, err) = run(Command::new("python3").args(["-c", LIST]).arg(&path));
    assert_eq!(code, Some(0), "{err}");
    let listed: Value = serde_json::from_str(&out).unwrap();
    let listed = listed.as_array().unwrap();
    for entry in listed {
        assert_eq!(entry[4], 1, "{entry}");
        assert_eq!(entry[5], entry[0].as_str().unwrap().ends_with('/'));
    }
    let found: BTreeMap<String, String> = listed
        .iter()
        .map(|entry| (entry[0].as_str().unwrap().to_owned(), entry[2].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(found.len(), listed.len(), "no path comes twice");
    found
}

fn expected(entries: &[(&str, &[u8])]) -> BTreeMap<String, String> {
    entries.iter().map(|(path, bytes)| ((*path).to_owned(), sha256(bytes))).collect()
}

#[test]
fn a_folder_comes_as_an_archive_that_stock_programs_read() {
    let daemon = Daemon::unlocked();
    let top = folder(&daemon, "Größe \u{1f600}", None);
    let inner = folder(&daemon, "inner", Some(&top));
    folder(&daemon, "empty", Some(&inner));
    let (large, small) = (content(3_000_001, 1), content(1000, 2));
    file(&daemon, "large.bin", &inner, &large);
    file(&daemon, "nothing", &top, b"");
    file(&daemon, "%E6%97%A5%E6%9C%AC.txt", &top, &small);
    let before = files_below(&daemon.path("cipher")).len();
    let reply = daemon.get(&format!("/folders/{top}/archive"));
    assert!(reply.header("content-disposition").ends_with("filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%F0%9F%98%80.zip"));
    let nothing: &[u8] = b"";
    let paths = expected(&[
        ("Größe \u{1f600}/", nothing),
        ("Größe \u{1f600}/nothing", nothing),
        ("Größe \u{1f600}/日本.txt", &small),
        ("Größe \u{1f600}/inner/", nothing),
        ("Größe \u{1f600}/inner/large.bin", &large),
        ("Größe \u{1f600}/inner/empty/", nothing),
    ]);
    assert_eq!(unpacked(&reply), paths);
    assert_eq!(files_below(&daemon.path("cipher")).len(), before, "no temporary file");

    let head = daemon.request("HEAD", &format!("/folders/{top}/archive"), &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, reply.header("content-length")));
    let downloads = rows(&daemon, "action=archive.downloaded");
    assert_eq!(downloads.len(), 1, "one row, and none for HEAD: {downloads:?}");
    assert_eq!((&downloads[0]["subject_id"], &downloads[0]["detail"]), (&json!(top), &json!("files: 3")));
}

#[test]
fn more_files_than_a_page_and_than_a_block_are_all_there() {
    let daemon = Daemon::unlocked();
    let top = folder(&daemon, "many", None);
    let mut paths = BTreeMap::from([("many/".to_owned(), sha256(b""))]);
    for number in 0..520_u64 {
        let bytes = content(1000, number);
        file(&daemon, &format!("f{number}"), &top, &bytes);
        paths.insert(format!("many/f{number}"), sha256(&bytes));
    }
    assert!(unpacked(&daemon.get(&format!("/folders/{top}/archive"))) == paths);
}

#[test]
fn a_choice_of_items_comes_under_names_that_do_not_collide() {
    let daemon = Daemon::unlocked();
    let [a, b] = ["a", "b"].map(|name| folder(&daemon, name, None));
    let one = file(&daemon, "x.txt", &a, b"one");
    let two = file(&daemon, "x.txt", &b, b"two");
    let inner = folder(&daemon, "a", Some(&b));
    file(&daemon, "deep", &inner, b"deep");
    let ask = |items: Value| daemon.post("/archives", &json!({ "items": items }));
    let reply = ask(json!([one, two, a, inner, one]));
    let paths = expected(&[
        ("x.txt", b"one"),
        ("x (2).txt", b"two"),
        ("a/", b""),
        ("a/x.txt", b"one"),
        ("a (2)/", b""),
        ("a (2)/deep", b"deep"),
    ]);
    assert_eq!(unpacked(&reply), paths);
    assert_eq!(rows(&daemon, "action=archive.downloaded")[0]["detail"], "files: 4");
    ask(json!([])).expect_problem(422, "invalid_field");
    ask(json!([one, "01890000-0000-7000-8000-000000000000"])).expect_problem(404, "not_found");
    ask(json!(vec![&one; 1001])).expect_problem(422, "invalid_field");
    daemon.delete(&format!("/files/{two}")).expect(204);
    ask(json!([one, two])).expect_problem(404, "not_found");
}

#[test]
fn an_archive_holds_only_what_its_reader_sees() {
    let daemon = Daemon::unlocked();
    let reader = daemon.user("the_reader", "reader");
    let top = folder(&daemon, "top", None);
    let secret = folder(&daemon, "secret", Some(&top));
    let hidden = file(&daemon, "hidden", &secret, b"hidden");
    file(&daemon, "open", &top, b"open");
    daemon.send("PUT", &format!("/folders/{secret}/access"), &json!({ "private": true })).expect(200);
    let seen = unpacked(&daemon.get_as(&reader.token, &format!("/folders/{top}/archive")));
    assert_eq!(seen, expected(&[("top/", b""), ("top/open", b"open")]));
    daemon.get_as(&reader.token, &format!("/folders/{secret}/archive")).expect_problem(404, "not_found");
    for item in [&secret, &hidden] {
        let reply = daemon.send_as(&reader.token, "POST", "/archives", &json!({ "items": [item] }));
        reply.expect_problem(404, "not_found");
    }
    let key = json!({ "name": "k", "role": "admin", "folder_id": secret });
    let key = daemon.post("/api-keys", &key).expect(201)["key"].as_str().unwrap().to_owned();
    daemon.get_as(&key, &format!("/folders/{top}/archive")).expect_problem(404, "not_found");
    assert_eq!(unpacked(&daemon.get_as(&key, &format!("/folders/{secret}/archive"))).len(), 2);
}

#[test]
fn an_archive_that_was_cut_off_does_not_look_whole() {
    let daemon = Daemon::unlocked();
    let top = folder(&daemon, "top", None);
    for number in 0..4 {
        file(&daemon, &format!("f{number}"), &top, &content(10_000_000, number));
    }
    let path = format!("/api/v1/folders/{top}/archive");
    let token = format!("Bearer {}", daemon.token);
    let mut stream = tcp(daemon.address);
    send_head(&mut stream, "GET", &path, &[("authorization", &token)]);
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    daemon.post("/vault/lock", &json!({})).expect(200);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 40_000_000, "the rest of the plaintext did not come");
    let announced = String::from_utf8_lossy(&rest[..2000]).to_lowercase();
    assert!(announced.contains("content-length: 4000"), "it said how long it was to be: {announced}");
}

#[test]
fn a_content_that_does_not_read_back_breaks_the_archive() {
    let daemon = Daemon::unlocked();
    let top = folder(&daemon, "top", None);
    file(&daemon, "good", &top, &content(2_000_000, 1));
    file(&daemon, "bad", &top, &content(3_000_000, 2));
    daemon.post("/vault/lock", &json!({})).expect(200);
    let blobs = files_below(&daemon.path("cipher"));
    let bad = blobs.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(bad).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(bad, bytes).unwrap();
    daemon.unlock();
    let token = format!("Bearer {}", daemon.token);
    let mut stream = tcp(daemon.address);
    let path = format!("/api/v1/folders/{top}/archive");
    send_head(&mut stream, "GET", &path, &[("authorization", &token)]);
    stream.flush().unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    assert!(all.starts_with(b"HTTP/1.1 200"));
    assert!(all.len() > 2_000_000 && all.len() < 5_000_000, "{}", all.len());
}
