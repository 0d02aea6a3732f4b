//! Attachments of the items of secrets vaults: sealed streams of any size that the box keeps and cannot read.

use std::io::Write;
use std::time::{Duration, Instant};

use coffer_crypto::secrets::grant::Role;
use coffer_crypto::secrets::keys::ItemKey;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::rows;
use crate::client::{Reply, read_reply, send_head, tcp};
use crate::crashes::wait_until_gone;
use crate::harness::{Daemon, content, files_below, pause, sha256};
use crate::secrets::{NEW, SECRET, User, Vault, ada_and_a_vault, let_in, rng};

/// The content, as a client seals it.
fn sealed(item: &ItemKey, id: Uuid, content: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    let mut writer = item.seal_attachment(id, &mut rng(), &mut sealed);
    writer.seal(content, &mut sealed).unwrap();
    writer.finish(&mut sealed).unwrap();
    sealed
}

fn opened(item: &ItemKey, id: Uuid, sealed: &[u8]) -> Vec<u8> {
    let mut source = |offset: u64, out: &mut [u8]| {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&sealed[start..start + out.len()]);
        Ok(())
    };
    let mut reader = item.open_attachment(id, 0..sealed.len() as u64, &mut source).unwrap();
    let mut content = vec![0; usize::try_from(reader.content_bytes()).unwrap()];
    reader.read_at(0, &mut content, &mut source).unwrap();
    content
}

fn place(vault: &Vault, item: Uuid, id: Uuid) -> String {
    vault.path(&format!("/items/{item}/attachments/{id}"))
}

fn call(daemon: &Daemon, user: &User, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    daemon.request_as(&user.person.token, method, path, headers, body)
}

fn put(daemon: &Daemon, user: &User, path: &str, body: &[u8]) -> Reply {
    call(daemon, user, "PUT", path, &[], body)
}

fn attached(daemon: &Daemon, user: &User, vault: &Vault, item: Uuid) -> Vec<Value> {
    let list = user.get(daemon, &vault.path(&format!("/items/{item}/attachments"))).expect(200);
    list.as_array().unwrap().clone()
}

/// Waits until so many files lie on the drive.
fn wait_for_files(daemon: &Daemon, count: usize) {
    let start = Instant::now();
    while files_below(&daemon.path("cipher")).len() != count {
        let found = files_below(&daemon.path("cipher")).len();
        assert!(start.elapsed() < Duration::from_secs(20), "{found} files, not {count}");
        pause();
    }
}

#[test]
fn what_is_attached_is_streamed_in_and_out_and_opens_in_its_place() {
    let mut daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    let id = Uuid::new_v4();
    let clear = [&content(3_000_000, 5), SECRET].concat();
    let bytes = sealed(&item, id, &clear);
    let path = place(&vault, item.item(), id);
    let stored = put(&daemon, &ada, &path, &bytes).expect(200);
    assert_eq!(
        (&stored["id"], &stored["size_bytes"], &stored["sha256"], &stored["created_by"]),
        (&json!(id), &json!(bytes.len()), &json!(sha256(&bytes)), &json!(ada.id()))
    );
    assert_eq!(attached(&daemon, &ada, &vault, item.item()), [stored]);

    daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.log_in();
    let whole = ada.get(&daemon, &path);
    assert_eq!((whole.status, whole.header("content-type")), (200, "application/octet-stream"));
    assert!(whole.body == bytes && opened(&item, id, &whole.body) == clear);
    let part = call(&daemon, &ada, "GET", &path, &[("range", "bytes=56-1055")], b"");
    assert_eq!((part.status, part.body.as_slice()), (206, &bytes[56..1056]));
    let tag = format!("\"{}\"", sha256(&bytes));
    assert_eq!(call(&daemon, &ada, "GET", &path, &[("if-none-match", &tag)], b"").status, 304);
    let range = format!("bytes={}-", bytes.len());
    call(&daemon, &ada, "GET", &path, &[("range", &range)], b"").expect_problem(416, "range_not_satisfiable");
    let head = call(&daemon, &ada, "HEAD", &path, &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, bytes.len().to_string().as_str()));

    let usage = ada.get(&daemon, "/users/me/storage").expect(200);
    assert_eq!((&usage["attached_bytes"], &usage["total_bytes"]), (&json!(bytes.len()), &json!(bytes.len())));
    ada.send(&daemon, "DELETE", &path, &json!({})).expect(204);
    ada.get(&daemon, &path).expect_problem(404, "not_found");
    ada.send(&daemon, "DELETE", &path, &json!({})).expect_problem(404, "not_found");
    assert_eq!(attached(&daemon, &ada, &vault, item.item()), Vec::<Value>::new());
    let told = ["added", "removed"].map(|what| rows(&daemon, &format!("action=secret_attachment.{what}")).len());
    assert_eq!(told, [1, 1]);
}

#[test]
fn the_same_bytes_a_second_time_are_one_and_other_bytes_need_another_id() {
    let daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    let clean = files_below(&daemon.path("cipher")).len();
    let id = Uuid::new_v4();
    let (bytes, path) = (sealed(&item, id, b"first"), place(&vault, item.item(), id));
    let digest = sha256(&bytes);
    call(&daemon, &ada, "PUT", &path, &[("x-checksum-sha256", &sha256(b"x"))], &bytes)
        .expect_problem(422, "digest_mismatch");
    assert_eq!(attached(&daemon, &ada, &vault, item.item()), Vec::<Value>::new());
    let stored = call(&daemon, &ada, "PUT", &path, &[("x-checksum-sha256", &digest)], &bytes).expect(200);
    assert_eq!(put(&daemon, &ada, &path, &bytes).expect(200), stored, "heard nothing, sent again");
    // Of the same length, and of another.
    for other in [sealed(&item, id, b"other"), sealed(&item, id, b"longer")] {
        put(&daemon, &ada, &path, &other).expect_problem(422, "invalid_field");
    }
    assert_eq!(ada.get(&daemon, &path).body, bytes, "it never changes");
    wait_for_files(&daemon, clean + 1);
    assert_eq!(rows(&daemon, "action=secret_attachment.added").len(), 1);
    // The id is one of the item's: another item may have the same.
    let other = ItemKey::generate(vault.key().vault(), Uuid::new_v4(), &mut rng());
    let mut vault = vault;
    vault.put(&daemon, &ada, other.item(), NEW, &vault.revision(&ada, &other, Some(SECRET))).expect(200);
    vault.sync(&daemon, &ada);
    put(&daemon, &ada, &place(&vault, other.item(), id), &sealed(&other, id, b"other")).expect(200);
    assert_eq!(ada.get(&daemon, &path).body, bytes);

    // Nobody knows how much is to come.
    let (token, path) = (format!("Bearer {}", ada.person.token), place(&vault, item.item(), Uuid::new_v4()));
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", token.as_str()), ("transfer-encoding", "chunked")];
    send_head(&mut stream, "PUT", &format!("/api/v1{path}"), &headers);
    let _ = stream.write_all(b"5\r\nhello\r\n0\r\n\r\n");
    read_reply(&mut stream).unwrap().expect_problem(422, "invalid_field");
    // More than there may be: not a byte is asked for.
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", token.as_str()), ("content-length", "4294967297"), ("expect", "100-continue")];
    send_head(&mut stream, "PUT", &format!("/api/v1{path}"), &headers);
    read_reply(&mut stream).unwrap().expect_problem(413, "too_large");
}

#[test]
fn the_same_bytes_twice_at_once_are_one() {
    let daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    let clean = files_below(&daemon.path("cipher")).len();
    let id = Uuid::new_v4();
    let (bytes, path) = (sealed(&item, id, &content(3_000_000, 1)), place(&vault, item.item(), id));
    let (token, length) = (format!("Bearer {}", ada.person.token), bytes.len().to_string());
    let headers = [("authorization", token.as_str()), ("content-length", length.as_str())];
    let mut streams = [tcp(daemon.address), tcp(daemon.address)];
    for stream in &mut streams {
        send_head(stream, "PUT", &format!("/api/v1{path}"), &headers);
        stream.write_all(&bytes[..2_000_000]).unwrap();
    }
    // Neither has an end yet, and both were found good.
    wait_for_files(&daemon, clean + 2);
    for stream in &mut streams {
        stream.write_all(&bytes[2_000_000..]).unwrap();
    }
    let [one, other] = streams.map(|mut stream| read_reply(&mut stream).unwrap().expect(200));
    assert_eq!(one, other);
    wait_for_files(&daemon, clean + 1);
    assert!(ada.get(&daemon, &path).body == bytes);
    assert_eq!(rows(&daemon, "action=secret_attachment.added").len(), 1);
}

#[test]
fn viewers_read_editors_write_and_strangers_find_nothing() {
    let daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    let (grace, henry) = (User::new(&daemon, "grace"), User::new(&daemon, "henry"));
    let_in(&daemon, &vault, &ada, &grace, Role::Viewer, "viewer");
    let (id, more) = (Uuid::new_v4(), Uuid::new_v4());
    let (path, another) = (place(&vault, item.item(), id), place(&vault, item.item(), more));
    let list = vault.path(&format!("/items/{}/attachments", item.item()));
    let bytes = sealed(&item, id, b"attached");
    put(&daemon, &ada, &path, &bytes).expect(200);

    assert_eq!(grace.get(&daemon, &path).body, bytes);
    put(&daemon, &grace, &another, &bytes).expect_problem(403, "forbidden");
    put(&daemon, &grace, &path, &bytes).expect_problem(403, "forbidden");
    grace.send(&daemon, "DELETE", &path, &json!({})).expect_problem(403, "forbidden");
    let admin = daemon.get(&path);
    admin.expect_problem(404, "not_found");
    for path in [&path, &list] {
        henry.get(&daemon, path).expect_problem(404, "not_found");
    }
    put(&daemon, &henry, &another, &bytes).expect_problem(404, "not_found");
    henry.send(&daemon, "DELETE", &path, &json!({})).expect_problem(404, "not_found");
    let key = ada.send(&daemon, "POST", "/api-keys", &json!({ "name": "backup", "role": "reader" })).expect(201);
    daemon.get_as(key["key"].as_str().unwrap(), &path).expect_problem(403, "session_needed");

    let unknown = [(item.item(), Uuid::new_v4()), (Uuid::new_v4(), id)];
    for (item, id) in unknown {
        ada.get(&daemon, &place(&vault, item, id)).expect_problem(404, "not_found");
        ada.send(&daemon, "DELETE", &place(&vault, item, id), &json!({})).expect_problem(404, "not_found");
    }
    put(&daemon, &ada, &place(&vault, Uuid::new_v4(), id), &bytes).expect_problem(404, "not_found");
    ada.get(&daemon, &vault.path(&format!("/items/{}/attachments", Uuid::new_v4()))).expect_problem(404, "not_found");

    ada.send(&daemon, "PUT", &vault.path(&format!("/members/{}", grace.id())), &json!({ "role": "editor" }))
        .expect(204);
    put(&daemon, &grace, &another, &bytes).expect(200);
    grace.send(&daemon, "DELETE", &path, &json!({})).expect(204);
    ada.send(&daemon, "DELETE", &vault.path(&format!("/members/{}", grace.id())), &json!({})).expect(204);
    grace.get(&daemon, &another).expect_problem(404, "not_found");
    assert_eq!(attached(&daemon, &ada, &vault, item.item())[0]["created_by"], json!(grace.id()));
}

#[test]
fn what_is_attached_counts_against_the_quota_of_whoever_attaches_it() {
    let daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    daemon.send("PUT", &format!("/users/{}/storage", ada.id()), &json!({ "quota_bytes": 100_000 })).expect(204);
    let at = |id| place(&vault, item.item(), id);
    let [first, second] = [Uuid::new_v4(), Uuid::new_v4()];
    let bytes = sealed(&item, first, &content(60_000, 1));
    put(&daemon, &ada, &at(first), &bytes).expect(200);
    // Announced: not a byte is asked for.
    let token = format!("Bearer {}", ada.person.token);
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", token.as_str()), ("content-length", "60000"), ("expect", "100-continue")];
    send_head(&mut stream, "PUT", &format!("/api/v1{}", at(second)), &headers);
    read_reply(&mut stream).unwrap().expect_problem(507, "quota_exceeded");
    assert_eq!(put(&daemon, &ada, &at(first), &bytes).status, 200, "what is there already takes nothing more");
    ada.send(&daemon, "DELETE", &at(first), &json!({})).expect(204);
    put(&daemon, &ada, &at(second), &sealed(&item, second, &content(60_000, 2))).expect(200);
}

#[test]
fn an_item_has_so_many_attachments_and_no_more() {
    let daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    let at = |id| place(&vault, item.item(), id);
    let ids: Vec<Uuid> = (0..200).map(|_| Uuid::new_v4()).collect();
    for &id in &ids {
        put(&daemon, &ada, &at(id), b"x").expect(200);
    }
    put(&daemon, &ada, &at(Uuid::new_v4()), b"x").expect_problem(409, "limit_reached");
    put(&daemon, &ada, &at(ids[0]), b"x").expect(200);
    ada.send(&daemon, "DELETE", &at(ids[0]), &json!({})).expect(204);
    put(&daemon, &ada, &at(Uuid::new_v4()), b"x").expect(200);
    assert_eq!(attached(&daemon, &ada, &vault, item.item()).len(), 200);
}

#[test]
fn what_is_attached_goes_with_its_item_and_with_its_vault() {
    let daemon = Daemon::unlocked();
    let (ada, mut vault, item) = ada_and_a_vault(&daemon);
    let other = ItemKey::generate(vault.key().vault(), Uuid::new_v4(), &mut rng());
    vault.put(&daemon, &ada, other.item(), NEW, &vault.revision(&ada, &other, Some(SECRET))).expect(200);
    vault.sync(&daemon, &ada);
    let clean = files_below(&daemon.path("cipher")).len();
    let ids = [Uuid::new_v4(), Uuid::new_v4()];
    for id in ids {
        for key in [&item, &other] {
            put(&daemon, &ada, &place(&vault, key.item(), id), &sealed(key, id, &content(20_000, 1))).expect(200);
        }
    }
    wait_for_files(&daemon, clean + 4);
    // Earlier states of it stay, and what they name stays as long as the item does.
    let changed = vault.revision(&ada, &item, Some(b"names nothing"));
    vault.put(&daemon, &ada, item.item(), ("if-match", "\"1\""), &changed).expect(200);
    vault.sync(&daemon, &ada);
    assert_eq!(attached(&daemon, &ada, &vault, item.item()).len(), 2);

    let gone = vault.revision(&ada, &item, None);
    vault.put(&daemon, &ada, item.item(), ("if-match", "\"2\""), &gone).expect(200);
    vault.sync(&daemon, &ada);
    assert_eq!(attached(&daemon, &ada, &vault, item.item()), Vec::<Value>::new());
    ada.get(&daemon, &place(&vault, item.item(), ids[0])).expect_problem(404, "not_found");
    let id = Uuid::new_v4();
    put(&daemon, &ada, &place(&vault, item.item(), id), b"x").expect_problem(404, "not_found");
    assert_eq!(attached(&daemon, &ada, &vault, other.item()).len(), 2, "the other item is another one");
    wait_for_files(&daemon, clean + 2);
    // It comes back without.
    let back = vault.revision(&ada, &item, Some(SECRET));
    vault.put(&daemon, &ada, item.item(), ("if-match", "\"3\""), &back).expect(200);
    assert_eq!(attached(&daemon, &ada, &vault, item.item()), Vec::<Value>::new());

    ada.send(&daemon, "DELETE", &vault.path(""), &json!({})).expect(204);
    wait_for_files(&daemon, clean);
    let usage = ada.get(&daemon, "/users/me/storage").expect(200);
    assert_eq!(usage["attached_bytes"], 0);
}

#[test]
fn what_was_on_its_way_when_the_power_failed_is_swept_and_comes_again() {
    let daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    let [kept, id] = [Uuid::new_v4(), Uuid::new_v4()];
    let before = sealed(&item, kept, &content(50_000, 1));
    put(&daemon, &ada, &place(&vault, item.item(), kept), &before).expect(200);
    let clean = files_below(&daemon.path("cipher")).len();
    let (path, bytes) = (place(&vault, item.item(), id), sealed(&item, id, &content(9_000_000, 2)));
    let token = format!("Bearer {}", ada.person.token);
    let mut stream = tcp(daemon.address);
    let length = bytes.len().to_string();
    let headers = [("authorization", token.as_str()), ("content-length", length.as_str())];
    send_head(&mut stream, "PUT", &format!("/api/v1{path}"), &headers);
    stream.write_all(&bytes[..4_000_000]).unwrap();
    wait_for_files(&daemon, clean + 1);
    let gocryptfs = daemon.children()[0];
    let daemon = daemon.crash_and_restart();
    wait_until_gone(gocryptfs);
    daemon.unlock();
    wait_for_files(&daemon, clean);
    let ids: Vec<Value> =
        attached(&daemon, &ada, &vault, item.item()).into_iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, [json!(kept)]);
    put(&daemon, &ada, &path, &bytes).expect(200);
    assert!(ada.get(&daemon, &path).body == bytes);
    assert!(ada.get(&daemon, &place(&vault, item.item(), kept)).body == before);
}

#[test]
fn what_an_older_release_has_left_goes_at_the_next_unlock() {
    let mut daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    let clean = files_below(&daemon.path("cipher")).len();
    let id = Uuid::new_v4();
    put(&daemon, &ada, &place(&vault, item.item(), id), &sealed(&item, id, &content(20_000, 1))).expect(200);
    wait_for_files(&daemon, clean + 1);
    // It deletes items without knowing of attachments.
    crate::sealing::change_inside(&mut daemon, "db.execute('UPDATE secret_items SET content = NULL')");
    wait_for_files(&daemon, clean);
    assert_eq!(attached(&daemon, &ada, &vault, item.item()), Vec::<Value>::new());
}
