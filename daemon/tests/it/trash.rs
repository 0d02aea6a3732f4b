//! The trash: away, back, and gone for good.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Reply;
use crate::harness::{Daemon, Person, content, files_below};

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

fn folder(daemon: &Daemon, parent: Option<&str>, name: &str) -> String {
    id(&daemon.post("/folders", &json!({ "parent_id": parent, "name": name })).expect(201))
}

fn file(daemon: &Daemon, parent: &str, name: &str) -> String {
    id(&daemon.request("POST", &format!("/files?folder_id={parent}&name={name}"), &[], b"content").expect(201))
}

fn in_trash(daemon: &Daemon, token: &str) -> Vec<String> {
    let page = daemon.get_as(token, "/trash").expect(200);
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

fn delete_as(daemon: &Daemon, who: &Person, path: &str) -> Reply {
    daemon.request_as(&who.token, "DELETE", path, &[], b"")
}

fn blobs(daemon: &Daemon) -> usize {
    files_below(&daemon.path("cipher")).len()
}

#[test]
fn a_file_goes_to_the_trash_and_comes_back_as_it_was() {
    let daemon = Daemon::unlocked();
    let place = folder(&daemon, None, "place");
    let (one, before) = (file(&daemon, &place, "one"), blobs(&daemon));
    daemon.delete(&format!("/files/{one}")).expect(204);
    daemon.delete(&format!("/files/{one}")).expect_problem(404, "not_found");
    for path in [format!("/files/{one}"), format!("/files/{one}/content"), format!("/files/{one}/revisions")] {
        daemon.get(&path).expect_problem(404, "not_found");
    }
    assert_eq!(daemon.get(&format!("/folders/{place}")).expect(200)["file_count"], 0);
    let listed = daemon.get("/trash").expect(200)["items"][0].clone();
    let me = id(&daemon.get("/users/me").expect(200));
    assert_eq!(
        (&listed["kind"], &listed["name"], &listed["folder_id"], &listed["trashed_by"], &listed["size_bytes"]),
        (&json!("file"), &json!("one"), &json!(place), &json!(me), &json!(7))
    );
    assert_eq!(blobs(&daemon), before);
    let restored = daemon.post(&format!("/trash/{one}/restore"), &json!({})).expect(200);
    assert_eq!(restored, json!({ "id": one, "kind": "file", "name": "one", "folder_id": place }));
    assert_eq!(daemon.get(&format!("/files/{one}/content")).body, b"content");
    daemon.post(&format!("/trash/{one}/restore"), &json!({})).expect_problem(404, "not_found");
    daemon.delete(&format!("/trash/{one}")).expect_problem(404, "not_found");
}

#[test]
fn a_whole_tree_goes_comes_back_and_goes_for_good() {
    let daemon = Daemon::unlocked();
    let clean = blobs(&daemon);
    let top = folder(&daemon, None, "top");
    let inner = folder(&daemon, Some(&top), "inner");
    let deep = file(&daemon, &inner, "deep");
    let apart = file(&daemon, &top, "apart");
    assert_eq!(daemon.get(&format!("/files/{deep}/content")).body, b"content");
    daemon.delete(&format!("/files/{apart}")).expect(204);
    daemon.delete(&format!("/folders/{top}")).expect(204);
    for path in [format!("/folders/{top}"), format!("/folders/{inner}"), format!("/files/{deep}/content")] {
        daemon.get(&path).expect_problem(404, "not_found");
    }
    assert_eq!(in_trash(&daemon, &daemon.token), ["top", "apart"]);
    // The name is free, and what was in it before cannot be had without it.
    let second = folder(&daemon, None, "top");
    daemon.post(&format!("/trash/{apart}/restore"), &json!({})).expect_problem(409, "origin_gone");
    daemon.post(&format!("/trash/{inner}/restore"), &json!({})).expect_problem(404, "not_found");
    let restored = daemon.post(&format!("/trash/{top}/restore"), &json!({})).expect(200);
    assert_eq!(restored["name"], "top (2)");
    assert_eq!(daemon.get(&format!("/files/{deep}/content")).body, b"content");
    assert_eq!(daemon.get(&format!("/folders/{top}")).expect(200)["total_files"], 1);
    let moved = json!({ "folder_id": second, "name": "elsewhere" });
    assert_eq!(daemon.post(&format!("/trash/{apart}/restore"), &moved).expect(200)["folder_id"], second.as_str());
    daemon.delete(&format!("/folders/{top}")).expect(204);
    daemon.delete(&format!("/trash/{top}")).expect(204);
    daemon.delete(&format!("/trash/{top}")).expect_problem(404, "not_found");
    assert_eq!((blobs(&daemon), in_trash(&daemon, &daemon.token)), (clean + 1, vec![]));
    let usage = daemon.get("/users/me/storage").expect(200);
    assert_eq!((&usage["total_bytes"], &usage["trash_bytes"]), (&json!(7), &json!(0)));
}

#[test]
fn a_name_that_was_asked_for_is_not_changed() {
    let daemon = Daemon::unlocked();
    let first = id(&daemon.upload("a.txt", b"1").expect(201));
    daemon.delete(&format!("/files/{first}")).expect(204);
    daemon.upload("a.txt", b"2").expect(201);
    let path = format!("/trash/{first}/restore");
    daemon.post(&path, &json!({ "name": "a.txt" })).expect_problem(409, "name_taken");
    daemon.post(&path, &json!({ "name": "a/b" })).expect_problem(422, "invalid_field");
    assert_eq!(daemon.post(&path, &json!({})).expect(200)["name"], "a (2).txt");
}

#[test]
fn copies_share_their_bytes_until_the_last_is_gone() {
    let daemon = Daemon::unlocked();
    let clean = blobs(&daemon);
    let original = id(&daemon.upload("original", &content(3_000_000, 1)).expect(201));
    let copy = id(&daemon.post(&format!("/files/{original}/copy"), &json!({ "name": "copy" })).expect(201));
    assert_eq!(blobs(&daemon), clean + 1);
    let for_good = |file: &str| {
        daemon.delete(&format!("/files/{file}")).expect(204);
        daemon.delete(&format!("/trash/{file}")).expect(204);
    };
    for_good(&original);
    assert!(daemon.get(&format!("/files/{copy}/content")).body == content(3_000_000, 1));
    for_good(&copy);
    assert_eq!(blobs(&daemon), clean);
}

#[test]
fn writers_see_to_their_own_things() {
    let daemon = Daemon::unlocked();
    let [grace, emmy] = [("grace", "writer"), ("emmy", "editor")].map(|(name, role)| daemon.user(name, role));
    let shared = id(&daemon.send_as(&grace.token, "POST", "/folders", &json!({ "name": "shared" })).expect(201));
    let ours = file(&daemon, &shared, "ours");
    // Hers is the folder, but not what another put into it.
    delete_as(&daemon, &grace, &format!("/folders/{shared}")).expect_problem(403, "forbidden");
    delete_as(&daemon, &grace, &format!("/files/{ours}")).expect_problem(403, "forbidden");
    delete_as(&daemon, &emmy, &format!("/files/{ours}")).expect(204);
    delete_as(&daemon, &grace, &format!("/trash/{ours}")).expect_problem(403, "forbidden");
    daemon
        .send_as(&grace.token, "POST", &format!("/trash/{ours}/restore"), &json!({}))
        .expect_problem(403, "forbidden");
    assert_eq!(in_trash(&daemon, &grace.token), ["ours"]);
    let emptied = delete_as(&daemon, &grace, "/trash").expect(200);
    assert_eq!(emptied["deleted"], 0);
    assert_eq!(delete_as(&daemon, &emmy, "/trash").expect(200)["deleted"], 1);
    // Also what she put there, and what was somebody's: her own folder is empty now.
    delete_as(&daemon, &grace, &format!("/folders/{shared}")).expect(204);
    delete_as(&daemon, &grace, &format!("/trash/{shared}")).expect(204);
}

#[test]
fn what_one_could_not_see_before_one_does_not_see_in_the_trash() {
    let daemon = Daemon::unlocked();
    let [grace, emmy] = [("grace", "writer"), ("emmy", "editor")].map(|(name, role)| daemon.user(name, role));
    let open = folder(&daemon, None, "open");
    let private = folder(&daemon, Some(&open), "private");
    let secret = file(&daemon, &private, "secret");
    daemon.send("PUT", &format!("/folders/{private}/access"), &json!({ "private": true, "grants": [] })).expect(200);
    // It holds something that she does not see: she cannot take it away.
    delete_as(&daemon, &emmy, &format!("/folders/{open}")).expect_problem(403, "forbidden");
    let elsewhere = folder(&daemon, None, "elsewhere");
    let body = json!({ "parent_id": elsewhere });
    daemon.send_as(&emmy.token, "PATCH", &format!("/folders/{open}"), &body).expect_problem(403, "forbidden");
    daemon.delete(&format!("/files/{secret}")).expect(204);
    daemon.delete(&format!("/folders/{private}")).expect(204);
    for person in [&grace, &emmy] {
        assert!(in_trash(&daemon, &person.token).is_empty());
        for item in [&secret, &private] {
            delete_as(&daemon, person, &format!("/trash/{item}")).expect_problem(404, "not_found");
        }
    }
    assert_eq!(in_trash(&daemon, &daemon.token), ["private", "secret"]);
    // Nor does it come into a list of hers when it comes back.
    daemon.post(&format!("/trash/{private}/restore"), &json!({})).expect(200);
    let listed = daemon.get_as(&emmy.token, &format!("/folders?parent_id={open}")).expect(200);
    assert_eq!(listed["items"], json!([]));
}

#[test]
fn the_trash_is_listed_page_by_page_and_last_first() {
    let daemon = Daemon::unlocked();
    for number in 0..7 {
        let name = format!("f{number}");
        let item = if number % 2 == 0 {
            format!("/files/{}", id(&daemon.upload(&name, b"x").expect(201)))
        } else {
            format!("/folders/{}", folder(&daemon, None, &name))
        };
        daemon.delete(&item).expect(204);
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("/trash?limit=3{cursor}")).expect(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, ["f6", "f5", "f4", "f3", "f2", "f1", "f0"]);
    daemon.get("/trash?cursor=nonsense").expect_problem(422, "invalid_field");
}

#[test]
fn what_is_in_the_trash_for_too_long_goes_by_itself() {
    let mut daemon = Daemon::unlocked();
    let clean = blobs(&daemon);
    let top = folder(&daemon, None, "top");
    file(&daemon, &top, "inside");
    let alone = id(&daemon.upload("alone", b"x").expect(201));
    daemon.delete(&format!("/folders/{top}")).expect(204);
    daemon.delete(&format!("/files/{alone}")).expect(204);
    daemon.advance(Duration::from_hours(24 * 20));
    daemon.log_in();
    let young = id(&daemon.upload("young", b"x").expect(201));
    daemon.delete(&format!("/files/{young}")).expect(204);
    daemon.advance(Duration::from_hours(24 * 11));
    daemon.log_in();
    let start = Instant::now();
    while in_trash(&daemon, &daemon.token) != ["young"] || blobs(&daemon) != clean + 1 {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", in_trash(&daemon, &daemon.token));
        crate::harness::pause();
    }
}

#[test]
fn many_items_at_once_each_by_itself() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let place = folder(&daemon, None, "place");
    let [one, two, taken] = ["one", "two", "taken"].map(|name| id(&daemon.upload(name, b"x").expect(201)));
    file(&daemon, &place, "taken");
    let inner = folder(&daemon, None, "inner");
    let nobody = "01a1fd16-afea-707b-afb4-166dd8225dae";
    let bulk = |token: &str, body: Value| daemon.send_as(token, "POST", "/bulk", &body);
    let codes = |reply: Reply| -> Vec<String> {
        let results = reply.expect(200)["results"].as_array().unwrap().clone();
        let code = |result: &Value| result["problem"]["code"].as_str().unwrap_or("done").to_owned();
        results.iter().map(code).collect()
    };
    let items = json!([one, inner, taken, nobody, place]);
    let moved = bulk(&daemon.token, json!({ "action": "move", "items": items, "folder_id": place }));
    assert_eq!(codes(moved), ["done", "done", "name_taken", "not_found", "into_itself"]);
    assert_eq!(daemon.get(&format!("/folders/{place}")).expect(200)["file_count"], 2);
    let copied = bulk(&daemon.token, json!({ "action": "copy", "items": [one, inner] })).expect(200);
    let copy = copied["results"][0]["result_id"].as_str().unwrap();
    assert_ne!(copy, one);
    assert_eq!(daemon.get(&format!("/files/{copy}")).expect(200)["folder_id"], Value::Null);
    assert_eq!(codes(bulk(&grace.token, json!({ "action": "trash", "items": [one, two] }))), ["forbidden"; 2]);
    let trashed = json!({ "action": "trash", "items": [one, two, two, place] });
    assert_eq!(codes(bulk(&daemon.token, trashed)), ["done", "done", "not_found", "done"]);
    let restored = json!({ "action": "restore", "items": [two, one] });
    assert_eq!(codes(bulk(&daemon.token, restored)), ["done", "origin_gone"]);
    assert_eq!(codes(bulk(&daemon.token, json!({ "action": "delete", "items": [place, two] }))), ["done", "not_found"]);
    bulk(&daemon.token, json!({ "action": "trash", "items": [] })).expect_problem(422, "invalid_field");
    let many = vec![nobody; 501];
    bulk(&daemon.token, json!({ "action": "trash", "items": many })).expect_problem(422, "invalid_field");
}
