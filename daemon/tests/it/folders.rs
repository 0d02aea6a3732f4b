//! Folders.

use std::io::Write;

use serde_json::{Value, json};

use crate::client::{read_reply, send_head, tcp};
use crate::harness::{Daemon, content, files_below};

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

fn create(daemon: &Daemon, parent: Option<&str>, name: &str) -> Value {
    daemon.post("/folders", &json!({ "parent_id": parent, "name": name })).expect(201)
}

#[test]
fn folders_nest_and_are_listed_page_by_page() {
    let daemon = Daemon::unlocked();
    let top = create(&daemon, None, "Photos");
    let id = top["id"].as_str().unwrap();
    assert_eq!(top["parent_id"], Value::Null);
    assert_eq!(daemon.get(&format!("/folders/{id}")).expect(200), top);
    for name in ["2024", "2025", "2026"] {
        assert_eq!(create(&daemon, Some(id), name)["parent_id"], id);
    }
    let first = daemon.get(&format!("/folders?parent_id={id}&limit=2")).expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = daemon.get(&format!("/folders?parent_id={id}&limit=2&cursor={cursor}")).expect(200);
    assert_eq!(second["next_cursor"], Value::Null);
    let pages = [&first, &second].map(|page| page["items"].as_array().unwrap().clone()).concat();
    assert_eq!(pages.iter().map(|f| f["name"].as_str().unwrap()).collect::<Vec<_>>(), ["2024", "2025", "2026"]);
}

#[test]
fn a_name_is_taken_once_in_a_folder_by_files_and_folders_together() {
    let daemon = Daemon::unlocked();
    let folder = create(&daemon, None, "caf\u{e9}");
    let same = json!({ "parent_id": null, "name": "cafe\u{301}" });
    daemon.post("/folders", &same).expect_problem(409, "name_taken");
    daemon.upload("caf%C3%A9", b"x").expect_problem(409, "name_taken");
    create(&daemon, folder["id"].as_str(), "caf\u{e9}");
    daemon.upload("file", b"x").expect(201);
    daemon.post("/folders", &json!({ "name": "file" })).expect_problem(409, "name_taken");
}

#[test]
fn a_folder_moves_and_is_renamed_with_all_that_is_in_it() {
    let daemon = Daemon::unlocked();
    let [a, b] = ["a", "b"].map(|name| id(&create(&daemon, None, name)));
    let inner = id(&create(&daemon, Some(&a), "inner"));
    let file = daemon.request("POST", &format!("/files?folder_id={inner}&name=f"), &[], b"bytes").expect(201);
    let change = |folder: &str, body: Value| daemon.send("PATCH", &format!("/folders/{folder}"), &body);
    assert_eq!(change(&inner, json!({ "name": "renamed" })).expect(200)["name"], "renamed");
    assert_eq!(change(&a, json!({ "parent_id": b })).expect(200)["parent_id"], b.as_str());
    let counts = |folder: &str| {
        let folder = daemon.get(&format!("/folders/{folder}")).expect(200);
        ["file_count", "folder_count", "total_files", "total_bytes"].map(|field| folder[field].as_u64().unwrap())
    };
    assert_eq!((counts(&a), counts(&b), counts(&inner)), ([0, 1, 1, 5], [0, 1, 1, 5], [1, 0, 1, 5]));
    assert_eq!(daemon.get(&format!("/files/{}/content", id(&file))).body, b"bytes");
    for (folder, body, status, code) in [
        (&b, json!({ "parent_id": inner }), 409, "into_itself"),
        (&a, json!({ "parent_id": a }), 409, "into_itself"),
        (&inner, json!({ "parent_id": null, "name": "b" }), 409, "name_taken"),
        (&inner, json!({ "name": "a/b" }), 422, "invalid_field"),
        (&inner, json!({ "parent_id": "01a1fd16-afea-707b-afb4-166dd8225dae" }), 404, "not_found"),
    ] {
        change(folder, body).expect_problem(status, code);
    }
    assert_eq!(change(&a, json!({ "parent_id": null })).expect(200)["parent_id"], Value::Null);
    assert_eq!(counts(&b), [0; 4]);
}

#[test]
fn a_rename_during_an_upload_into_the_folder_succeeds() {
    let daemon = Daemon::unlocked();
    let folder = id(&create(&daemon, None, "before"));
    let token = format!("Bearer {}", daemon.token);
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", token.as_str()), ("content-length", "3000000")];
    send_head(&mut stream, "POST", &format!("/api/v1/files?folder_id={folder}&name=f"), &headers);
    stream.write_all(&content(2_000_000, 1)).unwrap();
    daemon.send("PATCH", &format!("/folders/{folder}"), &json!({ "name": "after" })).expect(200);
    stream.write_all(&content(1_000_000, 2)).unwrap();
    let file = read_reply(&mut stream).unwrap().expect(201);
    assert_eq!((&file["folder_id"], &file["size_bytes"]), (&json!(folder), &json!(3_000_000)));
}

#[test]
fn nothing_changes_below_a_protected_folder_for_anybody() {
    let daemon = Daemon::unlocked();
    let emmy = daemon.user("emmy", "editor");
    let outer = id(&create(&daemon, None, "outer"));
    let kept = id(&create(&daemon, Some(&outer), "kept"));
    let inner = id(&create(&daemon, Some(&kept), "inner"));
    let upload =
        |folder: &str, name: &str| daemon.request("POST", &format!("/files?folder_id={folder}&name={name}"), &[], b"x");
    let file = id(&upload(&inner, "f").expect(201));
    upload(&inner, "f").expect(200);
    let set =
        |token: &str, folder: &str, body: &Value| daemon.send_as(token, "PATCH", &format!("/folders/{folder}"), body);
    let before = files_below(&daemon.path("cipher")).len();
    assert_eq!(set(&daemon.token, &kept, &json!({ "protected": true })).expect(200)["protected"], true);
    let post = |path: String, body: Value| daemon.post(&path, &body);
    for reply in [
        upload(&inner, "g"),
        upload(&inner, "f"),
        daemon.request("PUT", &format!("/files/{file}/content"), &[], b"y"),
        daemon.delete(&format!("/files/{file}")),
        daemon.delete(&format!("/files/{file}/revisions/1")),
        post(format!("/files/{file}/revisions/1/restore"), json!({})),
        daemon.send("PATCH", &format!("/files/{file}"), &json!({ "name": "g" })),
        daemon.send("PATCH", &format!("/files/{file}"), &json!({ "folder_id": null })),
        post("/folders".to_owned(), json!({ "parent_id": inner, "name": "x" })),
        daemon.delete(&format!("/folders/{inner}")),
        daemon.delete(&format!("/folders/{kept}")),
        // Not below it, but it would go along.
        daemon.delete(&format!("/folders/{outer}")),
        set(&daemon.token, &inner, &json!({ "name": "x" })),
        set(&daemon.token, &inner, &json!({ "protected": false })),
        set(&daemon.token, &kept, &json!({ "name": "x" })),
        set(&daemon.token, &kept, &json!({ "protected": false, "name": "x" })),
        daemon.send("PUT", &format!("/folders/{inner}/access"), &json!({ "private": true })),
        post(format!("/folders/{outer}/copy"), json!({ "parent_id": inner })),
    ] {
        reply.expect_problem(423, "write_protected");
    }
    assert_eq!(files_below(&daemon.path("cipher")).len(), before);
    // It is read and copied from all the same.
    assert_eq!(daemon.get(&format!("/files/{file}/content")).body, b"x");
    post(format!("/files/{file}/copy"), json!({ "folder_id": null })).expect(201);
    // By whoever may change it, and by a call that does nothing else.
    assert_eq!(set(&emmy.token, &kept, &json!({ "protected": false })).expect(200)["protected"], false);
    upload(&inner, "g").expect(201);
}

#[test]
fn an_upload_into_a_folder_that_is_protected_meanwhile_is_refused() {
    let daemon = Daemon::unlocked();
    let folder = id(&create(&daemon, None, "folder"));
    let before = files_below(&daemon.path("cipher")).len();
    let token = format!("Bearer {}", daemon.token);
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", token.as_str()), ("content-length", "2000000")];
    send_head(&mut stream, "POST", &format!("/api/v1/files?folder_id={folder}&name=f"), &headers);
    stream.write_all(&content(1_500_000, 1)).unwrap();
    daemon.send("PATCH", &format!("/folders/{folder}"), &json!({ "protected": true })).expect(200);
    stream.write_all(&content(500_000, 2)).unwrap();
    read_reply(&mut stream).unwrap().expect_problem(423, "write_protected");
    daemon.post("/vault/lock", &json!({})).expect(200);
    assert!(files_below(&daemon.path("cipher")).len() <= before);
}

#[test]
fn a_copied_folder_holds_what_its_copier_sees() {
    let daemon = Daemon::unlocked();
    let emmy = daemon.user("emmy", "editor");
    let top = id(&create(&daemon, None, "top"));
    let [open, private] = ["open", "private"].map(|name| id(&create(&daemon, Some(&top), name)));
    for folder in [&open, &private] {
        daemon.request("POST", &format!("/files?folder_id={folder}&name=f"), &[], b"x").expect(201);
    }
    let list = json!({ "private": true, "grants": [] });
    daemon.send("PUT", &format!("/folders/{private}/access"), &list).expect(200);
    let names = |token: &str, folder: &str| -> Vec<String> {
        let listed = daemon.get_as(token, &format!("/folders?parent_id={folder}")).expect(200);
        listed["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let copy = |token: &str, name: &str| {
        id(&daemon.send_as(token, "POST", &format!("/folders/{top}/copy"), &json!({ "name": name })).expect(201))
    };
    let hers = copy(&emmy.token, "hers");
    assert_eq!(names(&daemon.token, &hers), ["open"]);
    // What was private is so in the copy.
    let ours = copy(&daemon.token, "ours");
    assert_eq!(
        (names(&daemon.token, &ours), names(&emmy.token, &ours)),
        (vec!["open".into(), "private".into()], vec!["open".into()])
    );
    assert_eq!(daemon.get(&format!("/folders/{ours}")).expect(200)["total_files"], 1);
}

#[test]
fn counts_end_at_a_private_folder() {
    let daemon = Daemon::unlocked();
    let outer = id(&create(&daemon, None, "outer"));
    let middle = id(&create(&daemon, Some(&outer), "middle"));
    let inner = id(&create(&daemon, Some(&middle), "inner"));
    let upload = |folder: &str, name: &str| {
        daemon.request("POST", &format!("/files?folder_id={folder}&name={name}"), &[], b"1234567").expect(201)
    };
    upload(&inner, "one");
    let counts = |folder: &str| {
        let folder = daemon.get(&format!("/folders/{folder}")).expect(200);
        ["file_count", "folder_count", "total_files", "total_bytes"].map(|field| folder[field].as_u64().unwrap())
    };
    let set = |private: bool| {
        daemon.send("PUT", &format!("/folders/{middle}/access"), &json!({ "private": private })).expect(200);
    };
    assert_eq!((counts(&outer), counts(&middle)), ([0, 1, 1, 7], [0, 1, 1, 7]));
    set(true);
    assert_eq!((counts(&outer), counts(&middle)), ([0, 0, 0, 0], [0, 1, 1, 7]));
    upload(&inner, "two");
    assert_eq!((counts(&outer), counts(&middle)), ([0, 0, 0, 0], [0, 1, 2, 14]));
    daemon.delete(&format!("/folders/{middle}")).expect(204);
    daemon.post(&format!("/trash/{middle}/restore"), &json!({})).expect(200);
    assert_eq!(counts(&outer), [0, 0, 0, 0]);
    set(false);
    assert_eq!((counts(&outer), counts(&middle)), ([0, 1, 2, 14], [0, 1, 2, 14]));
}

#[test]
fn a_path_has_at_most_4096_bytes() {
    let daemon = Daemon::unlocked();
    let mut parent: Option<String> = None;
    // 15 names of 255 bytes and a slash before each: 3840.
    for _ in 0..15 {
        parent = Some(id(&create(&daemon, parent.as_deref(), &"x".repeat(255))));
    }
    let parent = parent.unwrap();
    let upload = |bytes: usize| {
        let path = format!("/files?folder_id={parent}&name={}", "y".repeat(bytes));
        daemon.request("POST", &path, &[], b"x")
    };
    upload(255).expect(201);
    let deepest = id(&create(&daemon, Some(&parent), &"z".repeat(253)));
    daemon.request("POST", &format!("/files?folder_id={deepest}&name=1"), &[], b"x").expect(201);
    let too_long = daemon.request("POST", &format!("/files?folder_id={deepest}&name=12"), &[], b"x");
    assert_eq!(too_long.expect_problem(422, "invalid_field")["errors"][0]["field"], "name");
    // Nor by a longer name above what is there.
    let body = json!({ "name": "z".repeat(254) });
    daemon.send("PATCH", &format!("/folders/{deepest}"), &body).expect_problem(422, "invalid_field");
}

#[test]
fn lists_come_in_the_order_that_is_asked_for() {
    let daemon = Daemon::unlocked();
    let emmy = daemon.user("emmy", "editor");
    for (name, size) in [("b", 3), ("c", 1), ("a", 2)] {
        create(&daemon, None, &format!("folder {name}"));
        daemon.upload(name, &content(size, 1)).expect(201);
    }
    let hidden = id(&create(&daemon, None, "folder aa"));
    daemon.send("PUT", &format!("/folders/{hidden}/access"), &json!({ "private": true })).expect(200);
    let names = |token: &str, path: &str| -> Vec<String> {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = daemon.get_as(token, &format!("{path}&limit=2{cursor}")).expect(200);
            names
                .extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            let Some(next) = page["next_cursor"].as_str() else { return names };
            cursor = format!("&cursor={next}");
        }
    };
    for (order, expected) in [
        ("order_by=name", ["a", "b", "c"]),
        ("order_by=name&order=desc", ["c", "b", "a"]),
        ("order_by=size_bytes", ["c", "a", "b"]),
        ("order_by=size_bytes&order=desc", ["b", "a", "c"]),
        ("order_by=created_at&order=desc", ["a", "c", "b"]),
        ("order_by=modified_at", ["b", "c", "a"]),
        ("order=asc", ["b", "c", "a"]),
    ] {
        assert_eq!(names(&daemon.token, &format!("/files?{order}")), expected, "{order}");
    }
    for (order, expected) in [
        ("order_by=name", ["folder a", "folder b", "folder c"]),
        ("order_by=name&order=desc", ["folder c", "folder b", "folder a"]),
        ("order_by=created_at&order=desc", ["folder a", "folder c", "folder b"]),
        ("order_by=created_at", ["folder b", "folder c", "folder a"]),
    ] {
        assert_eq!(names(&emmy.token, &format!("/folders?{order}")), expected, "{order}");
        let mut all = names(&daemon.token, &format!("/folders?{order}"));
        assert_eq!(all.len(), 4, "{order}");
        all.retain(|name| name != "folder aa");
        assert_eq!(all, expected, "{order}");
    }
    daemon.get("/folders?cursor=x").expect_problem(422, "invalid_field");
}

#[test]
fn folders_nest_64_deep_and_no_deeper() {
    let daemon = Daemon::unlocked();
    let mut parent: Option<String> = None;
    for depth in 0..64 {
        parent = create(&daemon, parent.as_deref(), &depth.to_string())["id"].as_str().map(ToOwned::to_owned);
    }
    let too_deep = daemon.post("/folders", &json!({ "parent_id": parent, "name": "64" }));
    assert_eq!(too_deep.expect_problem(422, "invalid_field")["errors"][0]["field"], "parent_id");
}

#[test]
fn what_does_not_exist_is_not_found() {
    let daemon = Daemon::unlocked();
    let nobody = "01a1fd16-afea-707b-afb4-166dd8225dae";
    daemon.get(&format!("/folders/{nobody}")).expect_problem(404, "not_found");
    daemon.get(&format!("/folders?parent_id={nobody}")).expect_problem(404, "not_found");
    daemon.post("/folders", &json!({ "parent_id": nobody, "name": "x" })).expect_problem(404, "not_found");
    daemon.get("/folders/nonsense").expect_problem(404, "not_found");
}
