//! Revisions: the same name again, back to an old one, and how many stay.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADMIN, ADMIN_PASSWORD, Daemon, content, files_below, sha256};

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

fn numbers(daemon: &Daemon, file: &str) -> Vec<u64> {
    let page = daemon.get(&format!("/files/{file}/revisions?limit=500")).expect(200);
    page["items"].as_array().unwrap().iter().map(|revision| revision["number"].as_u64().unwrap()).collect()
}

fn blobs(daemon: &Daemon) -> usize {
    files_below(&daemon.path("cipher")).len()
}

/// Uploads one file that many times; content N is `content(1000 + N, N)`.
fn revised(daemon: &Daemon, name: &str, times: u64) -> String {
    let upload = |number: u64| daemon.upload(name, &content(1000 + usize::try_from(number).unwrap(), number));
    let file = id(&upload(1).expect(201));
    for number in 2..=times {
        let revision = upload(number).expect(200);
        assert_eq!((id(&revision), &revision["revision"]), (file.clone(), &json!(number)));
    }
    file
}

#[test]
fn every_revision_is_listed_read_and_told_apart() {
    let daemon = Daemon::unlocked();
    let file = revised(&daemon, "f", 5);
    let first = daemon.get(&format!("/files/{file}/revisions?limit=3")).expect(200);
    let next = first["next_cursor"].as_str().unwrap();
    let second = daemon.get(&format!("/files/{file}/revisions?limit=3&cursor={next}")).expect(200);
    assert_eq!(second["next_cursor"], Value::Null);
    let all = [&first, &second].map(|page| page["items"].as_array().unwrap().clone()).concat();
    for (revision, number) in all.iter().zip([5_u64, 4, 3, 2, 1]) {
        let bytes = content(1000 + usize::try_from(number).unwrap(), number);
        assert_eq!((&revision["number"], &revision["sha256"]), (&json!(number), &json!(sha256(&bytes))));
        let path = format!("/files/{file}/revisions/{number}");
        assert_eq!(&daemon.get(&path).expect(200), revision);
        assert!(daemon.get(&format!("{path}/content")).body == bytes);
        let part = daemon.request("GET", &format!("{path}/content"), &[("range", "bytes=10-19")], b"");
        assert!(part.status == 206 && part.body == bytes[10..20]);
    }
    for path in ["/revisions/6", "/revisions/0", "/revisions/6/content", "/revisions/x"] {
        daemon.get(&format!("/files/{file}{path}")).expect_problem(404, "not_found");
    }
}

#[test]
fn a_restored_revision_is_a_new_one_that_shares_its_bytes() {
    let daemon = Daemon::unlocked();
    let file = revised(&daemon, "f", 3);
    let before = blobs(&daemon);
    let path = format!("/files/{file}/revisions/1/restore");
    let stale = [("if-match", "\"0000\"")];
    daemon.request("POST", &path, &stale, b"").expect_problem(412, "precondition_failed");
    assert_eq!(daemon.post(&path, &json!({})).expect(200)["revision"], 4);
    assert!(daemon.get(&format!("/files/{file}/content")).body == content(1001, 1));
    assert_eq!((numbers(&daemon, &file), blobs(&daemon)), (vec![4, 3, 2, 1], before));
    // Either of the two goes without the other's bytes.
    daemon.delete(&format!("/files/{file}/revisions/1")).expect(204);
    assert_eq!(blobs(&daemon), before);
    assert!(daemon.get(&format!("/files/{file}/content")).body == content(1001, 1));
    daemon.post(&format!("/files/{file}/revisions/1/restore"), &json!({})).expect_problem(404, "not_found");
}

#[test]
fn a_deleted_revision_takes_its_bytes_and_the_current_one_stays() {
    let daemon = Daemon::unlocked();
    let file = revised(&daemon, "f", 3);
    let before = blobs(&daemon);
    daemon.delete(&format!("/files/{file}/revisions/3")).expect_problem(409, "current_revision");
    daemon.delete(&format!("/files/{file}/revisions/2")).expect(204);
    daemon.delete(&format!("/files/{file}/revisions/2")).expect_problem(404, "not_found");
    assert_eq!((numbers(&daemon, &file), blobs(&daemon)), (vec![3, 1], before - 1));
    let usage = daemon.get("/users/me/storage").expect(200);
    assert_eq!((&usage["current_bytes"], &usage["revision_bytes"]), (&json!(1003), &json!(1001)));
    // A number is not used again.
    assert_eq!(daemon.upload("f", b"x").expect(200)["revision"], 4);
}

#[test]
fn two_people_never_overwrite_each_other_unseen() {
    let daemon = Daemon::unlocked();
    let emmy = daemon.user("emmy", "editor");
    let made = daemon.post("/texts", &json!({ "name": "plan.md", "text": "# Plan\n" })).expect(201);
    assert_eq!(made["media_type"], "text/markdown");
    let path = format!("/files/{}/text", id(&made));
    let seen = daemon.get(&path);
    let etag = seen.header("etag").to_owned();
    assert_eq!(seen.expect(200), json!({ "text": "# Plan\n" }));
    let edit = |token: &str, text: &str, etag: Option<&str>| {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(etag.map(|etag| ("if-match", etag)));
        daemon.request_as(token, "PUT", &path, &headers, json!({ "text": text }).to_string().as_bytes())
    };
    edit(&daemon.token, "no condition", None).expect_problem(428, "precondition_required");
    edit(&emmy.token, "emmy's", Some(&etag)).expect(200);
    edit(&daemon.token, "ada's", Some(&etag)).expect_problem(412, "precondition_failed");
    assert_eq!(daemon.get(&path).expect(200)["text"], "emmy's");
    // The same with contents, by name and by id.
    let raw = [("if-match", etag.as_str())];
    daemon
        .request("PUT", &format!("/files/{}/content", id(&made)), &raw, b"x")
        .expect_problem(412, "precondition_failed");
    daemon.request("POST", "/files?name=plan.md", &raw, b"x").expect_problem(412, "precondition_failed");
    let new = [("if-none-match", "*")];
    daemon.request("POST", "/files?name=plan.md", &new, b"x").expect_problem(412, "precondition_failed");
    daemon.request("POST", "/files?name=other", &new, b"x").expect(201);
    assert_eq!(numbers(&daemon, &id(&made)), [2, 1]);
}

#[test]
fn only_a_text_is_read_as_one() {
    let daemon = Daemon::unlocked();
    let binary = id(&daemon.upload("binary", &[0xff, 0xfe, 0x00, 0xd8]).expect(201));
    let long = id(&daemon.upload("long", &vec![b'x'; 1024 * 1024 + 1]).expect(201));
    let longest = id(&daemon.upload("longest", &vec![b'x'; 1024 * 1024]).expect(201));
    for file in [binary, long] {
        daemon.get(&format!("/files/{file}/text")).expect_problem(415, "unsupported_media_type");
    }
    assert_eq!(daemon.get(&format!("/files/{longest}/text")).expect(200)["text"].as_str().unwrap().len(), 1024 * 1024);
    let too_long = json!({ "name": "t", "text": "é".repeat(600_000) });
    assert_eq!(daemon.post("/texts", &too_long).expect_problem(422, "invalid_field")["errors"][0]["field"], "text");
    daemon.post("/texts", &json!({ "name": "empty", "text": "" })).expect(201);
}

#[test]
fn so_many_old_revisions_stay_as_the_nearest_folder_says() {
    let daemon = Daemon::unlocked();
    let outer = id(&daemon.post("/folders", &json!({ "name": "outer" })).expect(201));
    let inner = id(&daemon.post("/folders", &json!({ "name": "inner", "parent_id": outer })).expect(201));
    let set = |folder: &str, body: Value| daemon.send("PATCH", &format!("/folders/{folder}"), &body);
    assert_eq!(set(&outer, json!({ "keep_revisions": 2 })).expect(200)["keep_revisions"], 2);
    set(&outer, json!({ "keep_revisions": 36501 })).expect_problem(422, "invalid_field");
    let before = blobs(&daemon);
    let mut file = String::new();
    for number in 1..=6 {
        let reply = daemon.request("POST", &format!("/files?folder_id={inner}&name=f"), &[], &content(100, number));
        file = id(&reply.json());
    }
    assert_eq!((numbers(&daemon, &file), blobs(&daemon)), (vec![6, 5, 4], before + 3));
    set(&inner, json!({ "keep_revisions": 0 })).expect(200);
    daemon.request("PUT", &format!("/files/{file}/content"), &[], b"seven").expect(200);
    assert_eq!((numbers(&daemon, &file), blobs(&daemon)), (vec![7], before + 1));
    // Back to what the folder above says.
    assert_eq!(set(&inner, json!({ "keep_revisions": null })).expect(200)["keep_revisions"], Value::Null);
    for _ in 0..4 {
        daemon.request("PUT", &format!("/files/{file}/content"), &[], b"more").expect(200);
    }
    assert_eq!(numbers(&daemon, &file), [11, 10, 9]);
}

#[test]
fn old_revisions_go_when_their_days_are_over() {
    let mut daemon = Daemon::unlocked();
    let policy = daemon.get("/storage/policy").expect(200);
    let with = |field: &str, value: Value| {
        let mut policy = policy.clone();
        policy[field] = value;
        policy
    };
    daemon.send("PUT", "/storage/policy", &with("keep_days", json!(10))).expect(204);
    let file = revised(&daemon, "f", 2);
    daemon.advance(Duration::from_hours(24 * 9));
    daemon.log_in();
    daemon.upload("f", b"third").expect(200);
    assert_eq!(numbers(&daemon, &file), [3, 2, 1]);
    // Revision 1 was replaced ten days and a bit ago, revision 2 one day ago: it stayed current for nine.
    daemon.advance(Duration::from_hours(26));
    let daemon = daemon.stop_and_restart();
    daemon.unlock();
    let token = daemon.log_in_as(ADMIN, ADMIN_PASSWORD).token;
    let start = std::time::Instant::now();
    loop {
        let page = daemon.get_as(&token, &format!("/files/{file}/revisions")).expect(200);
        let left: Vec<u64> =
            page["items"].as_array().unwrap().iter().map(|revision| revision["number"].as_u64().unwrap()).collect();
        if left == [3, 2] {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{left:?}");
        crate::harness::pause();
    }
}

#[test]
fn a_writer_revises_what_is_theirs_and_nothing_else() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let rosa = daemon.user("rosa", "reader");
    let ours = id(&daemon.upload("ours", b"ours").expect(201));
    let before = blobs(&daemon);
    let as_grace = |method: &str, path: &str, body: &[u8]| daemon.request_as(&grace.token, method, path, &[], body);
    as_grace("POST", "/files?name=ours", b"x").expect_problem(403, "forbidden");
    as_grace("PUT", &format!("/files/{ours}/content"), b"x").expect_problem(403, "forbidden");
    as_grace("POST", &format!("/files/{ours}/revisions/1/restore"), b"").expect_problem(403, "forbidden");
    as_grace("DELETE", &format!("/files/{ours}/revisions/1"), b"").expect_problem(403, "forbidden");
    as_grace("POST", "/files?name=hers", b"x").expect(201);
    as_grace("POST", "/files?name=hers", b"y").expect(200);
    daemon.request_as(&rosa.token, "POST", "/files?name=hers", &[], b"x").expect_problem(403, "forbidden");
    assert_eq!(blobs(&daemon), before + 2);
    let refused = daemon.get(&format!("/audit?actor_id={}&outcome=refused", grace.id)).expect(200);
    assert_eq!(refused["items"].as_array().unwrap().len(), 4);
}
