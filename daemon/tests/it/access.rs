//! Private folders: who sees what.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::client::{Reply, read_reply, send_head, tcp};
use crate::groups::{create_group, my_id};
use crate::harness::{Daemon, Person, content, files_below};

const NOBODY: &str = "01a1fd16-afea-707b-afb4-166dd8225dae";

fn create_folder(daemon: &Daemon, parent: Option<&str>, name: &str) -> String {
    let folder = daemon.post("/folders", &json!({ "parent_id": parent, "name": name })).expect(201);
    folder["id"].as_str().unwrap().to_owned()
}

fn access_path(folder: &str) -> String {
    format!("/folders/{folder}/access")
}

/// Makes a folder private to these people, each with their access.
fn restrict(daemon: &Daemon, folder: &str, people: &[(&Person, &str)]) {
    let grant = |(person, access): &(&Person, &str)| json!({ "user_id": person.id, "access": access });
    let grants: Vec<Value> = people.iter().map(grant).collect();
    daemon.send("PUT", &access_path(folder), &json!({ "private": true, "grants": grants })).expect(200);
}

fn upload(daemon: &Daemon, token: &str, folder: &str, name: &str) -> Reply {
    daemon.request_as(token, "POST", &format!("/files?folder_id={folder}&name={name}"), &[], b"content")
}

fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap().to_owned()
}

/// The effective access to a folder, as the API shows it; 404 is none.
fn shown(daemon: &Daemon, token: &str, folder: &str) -> Option<String> {
    let reply = daemon.get_as(token, &format!("/folders/{folder}"));
    if reply.status == 404 { None } else { Some(reply.expect(200)["access"].as_str().unwrap().to_owned()) }
}

fn refusals(daemon: &Daemon, person: &Person, action: &str) -> usize {
    let audit = daemon.get("/audit?limit=500").expect(200);
    let entries = audit["items"].as_array().unwrap().iter();
    entries.filter(|e| e["outcome"] == "refused" && e["actor_id"] == *person.id && e["action"] == action).count()
}

#[test]
fn a_list_is_kept_as_it_was_given_and_can_be_taken_back() {
    let daemon = Daemon::unlocked();
    let (me, group) = (my_id(&daemon), create_group(&daemon, "Family"));
    let folder = create_folder(&daemon, None, "photos");
    let open = json!({ "private": false, "grants": [] });
    let list = json!({ "private": true, "grants": [
        { "user_id": me, "access": "read" },
        { "group_id": group, "access": "write" },
    ] });
    assert_eq!(daemon.get(&access_path(&folder)).expect(200), open);
    for _ in 0..2 {
        assert_eq!(daemon.send("PUT", &access_path(&folder), &list).expect(200), list);
        assert_eq!(daemon.get(&access_path(&folder)).expect(200), list);
    }
    let shown = daemon.get(&format!("/folders/{folder}")).expect(200);
    assert_eq!((&shown["private"], &shown["access"]), (&json!(true), &json!("write")));
    assert_eq!(daemon.get("/folders").expect(200)["items"], json!([shown]));

    let mut daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.log_in();
    assert_eq!(daemon.get(&access_path(&folder)).expect(200), list);
    assert_eq!(daemon.send("PUT", &access_path(&folder), &json!({ "private": false })).expect(200), open);
    assert_eq!(daemon.get(&format!("/folders/{folder}")).expect(200)["private"], Value::Bool(false));
    let audit = daemon.get("/audit?limit=500").expect(200);
    let changes = audit["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "folder.access_changed");
    assert_eq!(changes.filter(|entry| entry["subject_id"] == folder.as_str()).count(), 3);
}

#[test]
fn lists_that_make_no_sense_change_nothing() {
    let daemon = Daemon::unlocked();
    let (me, group) = (my_id(&daemon), create_group(&daemon, "Family"));
    let folder = create_folder(&daemon, None, "photos");
    let with = |grants: Value| json!({ "private": true, "grants": grants });
    let too_many: Vec<Value> = (0..201).map(|_| json!({ "user_id": me, "access": "read" })).collect();
    for body in [
        with(json!([{ "user_id": NOBODY, "access": "read" }])),
        with(json!([{ "group_id": NOBODY, "access": "read" }])),
        // The one is not the other.
        with(json!([{ "group_id": me, "access": "read" }])),
        with(json!([{ "user_id": group, "access": "read" }])),
        with(json!([{ "user_id": me, "group_id": group, "access": "read" }])),
        with(json!([{ "access": "read" }])),
        with(json!([{ "user_id": me, "access": "read" }, { "user_id": me, "access": "write" }])),
        with(json!(too_many)),
        json!({ "private": false, "grants": [{ "user_id": me, "access": "read" }] }),
    ] {
        let refused = daemon.send("PUT", &access_path(&folder), &body).expect_problem(422, "invalid_field");
        assert_eq!(refused["errors"][0]["field"], "grants", "{refused}");
    }
    for (body, field) in [
        (with(json!([{ "user_id": me, "access": "admin" }])), "grants[0].access"),
        (with(json!([{ "user_id": "ada_", "access": "read" }])), "grants[0].user_id"),
        (with(json!([{ "username": "ada_", "access": "read" }])), "grants[0].username"),
        (json!({ "private": 1, "grants": [] }), "private"),
    ] {
        let refused = daemon.send("PUT", &access_path(&folder), &body).expect_problem(422, "invalid_field");
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
    assert_eq!(daemon.get(&access_path(&folder)).expect(200), json!({ "private": false, "grants": [] }));
    let private = json!({ "private": true, "grants": [] });
    daemon.send("PUT", &access_path(NOBODY), &private).expect_problem(404, "not_found");
    daemon.get(&access_path(NOBODY)).expect_problem(404, "not_found");
    daemon.get(&access_path("nonsense")).expect_problem(404, "not_found");
}

#[test]
fn an_administrator_sees_what_nobody_else_is_let_into() {
    let daemon = Daemon::unlocked();
    let outer = create_folder(&daemon, None, "outer");
    let inner = create_folder(&daemon, Some(&outer), "inner");
    for folder in [&outer, &inner] {
        let nobody = json!({ "private": true, "grants": [] });
        assert_eq!(daemon.send("PUT", &access_path(folder), &nobody).expect(200), nobody);
    }
    let file = daemon.request("POST", &format!("/files?folder_id={inner}&name=f"), &[], b"x").expect(201);
    let path = format!("/files/{}", file["id"].as_str().unwrap());
    assert_eq!(daemon.get(&format!("{path}/content")).body, b"x");
    assert_eq!(daemon.get(&format!("/folders?parent_id={outer}")).expect(200)["items"][0]["access"], "write");
    daemon.delete(&path).expect(204);
    daemon.delete(&format!("/folders/{inner}")).expect(204);
}

#[test]
fn what_one_does_not_see_looks_exactly_like_what_is_not_there() {
    let daemon = Daemon::unlocked();
    let people = [daemon.user("grace", "writer"), daemon.user("emmy", "editor"), daemon.user("rosa", "reader")];
    let folder = create_folder(&daemon, None, "hidden");
    let inner = create_folder(&daemon, Some(&folder), "inner");
    let file = id(&upload(&daemon, &daemon.token, &inner, "f").expect(201));
    // Once in the caches, too.
    for person in &people {
        assert_eq!(daemon.get_as(&person.token, &format!("/files/{file}/content")).status, 200);
    }
    restrict(&daemon, &folder, &[]);
    let requests = [
        ("GET", "/folders/{}"),
        ("DELETE", "/folders/{}"),
        ("GET", "/folders/{}/access"),
        ("PUT", "/folders/{}/access"),
        ("GET", "/folders?parent_id={}"),
        ("POST", "/folders parent_id"),
        ("GET", "/files?folder_id={}"),
        ("POST", "/files?name=f&folder_id={}"),
        ("GET", "/files/{}"),
        ("GET", "/files/{}/content"),
        ("HEAD", "/files/{}/content"),
        ("DELETE", "/files/{}"),
        ("POST", "/api-keys folder_id"),
    ];
    for person in &people {
        for (method, path) in requests {
            let ask = |id: &str| {
                let reply = match path.split_once(' ') {
                    Some((path, field)) => {
                        let mut body = json!({ "name": "x", field: id });
                        if path == "/api-keys" {
                            body["role"] = "reader".into();
                        }
                        daemon.send_as(&person.token, method, path, &body)
                    }
                    None => daemon.send_as(&person.token, method, &path.replace("{}", id), &json!({ "private": true })),
                };
                (reply.status, String::from_utf8(reply.body).unwrap())
            };
            let target = if path.starts_with("/files/") { &file } else { &inner };
            let there = ask(target);
            assert_eq!(there, ask(NOBODY), "{method} {path}");
            assert!(there.0 == 404 || (person.id == people[2].id && there.0 == 403), "{method} {path}: {there:?}");
        }
        assert_eq!(daemon.get_as(&person.token, "/folders").expect(200)["items"], json!([]));
    }
    assert_eq!(daemon.get(&format!("/files/{file}/content")).body, b"content");
}

#[test]
fn two_things_shine_through_a_taken_name_and_a_folder_that_cannot_be_taken_away() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let outer = daemon.send_as(&grace.token, "POST", "/folders", &json!({ "name": "outer" })).expect(201);
    let hidden = create_folder(&daemon, outer["id"].as_str(), "hidden");
    restrict(&daemon, &hidden, &[]);
    let same = json!({ "parent_id": outer["id"], "name": "hidden" });
    daemon.send_as(&grace.token, "POST", "/folders", &same).expect_problem(409, "name_taken");
    upload(&daemon, &grace.token, &id(&outer), "hidden").expect_problem(409, "name_taken");
    let path = format!("/folders/{}", id(&outer));
    daemon.request_as(&grace.token, "DELETE", &path, &[], b"").expect_problem(403, "forbidden");
}

#[test]
fn a_list_shows_what_one_is_let_into_and_its_pages_do_not_tell_of_the_rest() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let group = create_group(&daemon, "Family");
    daemon.send("PUT", &format!("/groups/{group}/members/{}", grace.id), &json!({})).expect(204);
    for number in 0..12 {
        let folder = create_folder(&daemon, None, &number.to_string());
        match number % 4 {
            0 => {}
            1 => restrict(&daemon, &folder, &[]),
            2 => restrict(&daemon, &folder, &[(&grace, "read")]),
            _ => {
                let grants = json!([{ "group_id": group, "access": "write" }]);
                let body = json!({ "private": true, "grants": grants });
                daemon.send("PUT", &access_path(&folder), &body).expect(200);
            }
        }
    }
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get_as(&grace.token, &format!("/folders?limit=4{cursor}")).expect(200);
        let line = |f: &Value| format!("{} {}", f["name"].as_str().unwrap(), f["access"].as_str().unwrap());
        pages.push(page["items"].as_array().unwrap().iter().map(line).collect::<Vec<_>>().join(", "));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, ["0 write, 2 read, 3 write, 4 write", "6 read, 7 write, 8 write, 10 read", "11 write"]);
    assert_eq!(daemon.get("/folders").expect(200)["items"].as_array().unwrap().len(), 12);
}

#[test]
fn who_may_only_look_changes_nothing_and_is_audited() {
    let daemon = Daemon::unlocked();
    let emmy = daemon.user("emmy", "editor");
    let folder = create_folder(&daemon, None, "archive");
    let inner = create_folder(&daemon, Some(&folder), "inner");
    let own = id(&upload(&daemon, &emmy.token, &folder, "own").expect(201));
    restrict(&daemon, &folder, &[(&emmy, "read")]);
    assert_eq!(shown(&daemon, &emmy.token, &inner).as_deref(), Some("read"));
    assert_eq!(daemon.get_as(&emmy.token, &format!("/files/{own}/content")).body, b"content");
    let refused = |reply: Reply| {
        let problem = reply.expect_problem(403, "forbidden");
        assert!(problem["detail"].as_str().unwrap().contains("look into this folder"), "{problem}");
    };
    let before = files_below(&daemon.path("cipher")).len();
    refused(upload(&daemon, &emmy.token, &inner, "f"));
    refused(daemon.send_as(&emmy.token, "POST", "/folders", &json!({ "parent_id": folder, "name": "x" })));
    refused(daemon.request_as(&emmy.token, "DELETE", &format!("/files/{own}"), &[], b""));
    refused(daemon.request_as(&emmy.token, "DELETE", &format!("/folders/{inner}"), &[], b""));
    assert_eq!((refusals(&daemon, &emmy, "add"), refusals(&daemon, &emmy, "edit")), (2, 2));
    assert_eq!(files_below(&daemon.path("cipher")).len(), before);
    restrict(&daemon, &folder, &[(&emmy, "write")]);
    upload(&daemon, &emmy.token, &inner, "f").expect(201);
    daemon.request_as(&emmy.token, "DELETE", &format!("/files/{own}"), &[], b"").expect(204);
}

#[test]
fn a_grant_does_not_raise_a_role() {
    let daemon = Daemon::unlocked();
    let rosa = daemon.user("rosa", "reader");
    let folder = create_folder(&daemon, None, "shared");
    restrict(&daemon, &folder, &[(&rosa, "write")]);
    assert_eq!(shown(&daemon, &rosa.token, &folder).as_deref(), Some("read"));
    upload(&daemon, &rosa.token, &folder, "f").expect_problem(403, "forbidden");
}

#[test]
fn members_of_a_group_gain_and_lose_access_with_the_next_call() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let (group, folder) = (create_group(&daemon, "Family"), create_folder(&daemon, None, "photos"));
    let file = id(&upload(&daemon, &daemon.token, &folder, "f").expect(201));
    let grants = json!([{ "group_id": group, "access": "write" }]);
    daemon.send("PUT", &access_path(&folder), &json!({ "private": true, "grants": grants })).expect(200);
    let member = format!("/groups/{group}/members/{}", grace.id);
    let sees = || {
        let file = daemon.get_as(&grace.token, &format!("/files/{file}/content")).status;
        (shown(&daemon, &grace.token, &folder).is_some(), file)
    };
    assert_eq!(sees(), (false, 404));
    for _ in 0..2 {
        daemon.send("PUT", &member, &json!({})).expect(204);
        assert_eq!(sees(), (true, 200));
        daemon.delete(&member).expect(204);
        assert_eq!(sees(), (false, 404));
    }
    daemon.send("PUT", &member, &json!({})).expect(204);
    assert_eq!(sees(), (true, 200));
    daemon.delete(&format!("/groups/{group}")).expect(204);
    assert_eq!(sees(), (false, 404));
    daemon.send("PUT", &access_path(&folder), &json!({ "private": false })).expect(200);
    assert_eq!(sees(), (true, 200));
}

#[test]
fn a_private_folder_in_a_private_folder_is_open_to_whom_both_let_in() {
    let daemon = Daemon::unlocked();
    let [grace, hedy, emmy] = ["grace", "hedy", "emmy"].map(|name| daemon.user(name, "writer"));
    let outer = create_folder(&daemon, None, "outer");
    let inner = create_folder(&daemon, Some(&outer), "inner");
    let below = create_folder(&daemon, Some(&inner), "below");
    restrict(&daemon, &outer, &[(&grace, "read"), (&hedy, "write")]);
    restrict(&daemon, &inner, &[(&grace, "write"), (&emmy, "write")]);
    for (person, expected) in [
        (&grace, [Some("read"), Some("read"), Some("read")]),
        (&hedy, [Some("write"), None, None]),
        (&emmy, [None, None, None]),
    ] {
        let seen = [&outer, &inner, &below].map(|folder| shown(&daemon, &person.token, folder));
        assert_eq!(seen.each_ref().map(Option::as_deref), expected);
    }
    let inside = daemon.get_as(&grace.token, &format!("/folders?parent_id={outer}")).expect(200);
    assert_eq!(inside["items"][0]["access"], "read");
    assert_eq!(daemon.get_as(&hedy.token, &format!("/folders?parent_id={outer}")).expect(200)["items"], json!([]));
}

#[test]
fn who_made_a_folder_says_who_sees_it_and_stays_on_its_list() {
    let daemon = Daemon::unlocked();
    let (grace, emmy) = (daemon.user("grace", "writer"), daemon.user("emmy", "editor"));
    let folder = id(&daemon.send_as(&grace.token, "POST", "/folders", &json!({ "name": "mine" })).expect(201));
    let path = access_path(&folder);
    let nobody = json!({ "private": true, "grants": [] });
    daemon.send_as(&emmy.token, "PUT", &path, &nobody).expect_problem(403, "forbidden");
    daemon.get_as(&emmy.token, &path).expect_problem(403, "forbidden");
    assert_eq!(refusals(&daemon, &emmy, "restrict"), 2);

    let alone = json!({ "private": true, "grants": [{ "user_id": grace.id, "access": "write" }] });
    assert_eq!(daemon.send_as(&grace.token, "PUT", &path, &nobody).expect(200), alone);
    assert_eq!(daemon.get_as(&grace.token, &path).expect(200), alone);
    assert_eq!(shown(&daemon, &emmy.token, &folder), None);
    // An administrator may let them look only; then the list is not theirs to change.
    restrict(&daemon, &folder, &[(&grace, "read")]);
    daemon.get_as(&grace.token, &path).expect(200);
    daemon.send_as(&grace.token, "PUT", &path, &alone).expect_problem(403, "forbidden");
    restrict(&daemon, &folder, &[]);
    daemon.get_as(&grace.token, &path).expect_problem(404, "not_found");
    daemon.send_as(&grace.token, "PUT", &path, &alone).expect_problem(404, "not_found");
}

#[test]
fn writers_delete_what_they_made_and_editors_what_anybody_made() {
    let daemon = Daemon::unlocked();
    let [grace, hedy] = ["grace", "hedy"].map(|name| daemon.user(name, "writer"));
    let emmy = daemon.user("emmy", "editor");
    let delete = |person: &Person, path: &str| daemon.request_as(&person.token, "DELETE", path, &[], b"");
    for (deletes, allowed) in [(&grace, true), (&hedy, false), (&emmy, true)] {
        let folder = id(&daemon.send_as(&grace.token, "POST", "/folders", &json!({ "name": "folder" })).expect(201));
        let file = id(&upload(&daemon, &grace.token, &folder, "file").expect(201));
        for path in [format!("/files/{file}"), format!("/folders/{folder}")] {
            if allowed {
                delete(deletes, &path).expect(204);
            } else {
                delete(deletes, &path).expect_problem(403, "forbidden");
                delete(&grace, &path).expect(204);
            }
        }
    }
    assert_eq!(refusals(&daemon, &hedy, "edit"), 2);
}

#[test]
fn an_upload_whose_right_is_taken_away_on_the_way_is_refused_and_leaves_nothing() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let token = format!("Bearer {}", grace.token);
    for (people, status) in [(vec![], 404), (vec![(&grace, "read")], 403)] {
        let folder = create_folder(&daemon, None, &status.to_string());
        restrict(&daemon, &folder, &[(&grace, "write")]);
        let before = files_below(&daemon.path("cipher")).len();
        let mut stream = tcp(daemon.address);
        let headers = [("authorization", token.as_str()), ("content-length", "2000000"), ("expect", "100-continue")];
        send_head(&mut stream, "POST", &format!("/api/v1/files?folder_id={folder}&name=f"), &headers);
        // The body is asked for, so everything that can be refused before was looked at.
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        let bytes = content(2_000_000, 7);
        stream.write_all(&bytes[..1_500_000]).unwrap();
        restrict(&daemon, &folder, &people);
        stream.write_all(&bytes[1_500_000..]).unwrap();
        assert_eq!(read_reply(&mut stream).unwrap().status, status);
        assert_eq!(daemon.get(&format!("/files?folder_id={folder}")).expect(200)["items"], json!([]));
        daemon.post("/vault/lock", &json!({})).expect(200);
        assert!(files_below(&daemon.path("cipher")).len() <= before, "{status}");
        daemon.unlock();
    }
    assert_eq!(refusals(&daemon, &grace, "add"), 1);
}

#[test]
fn a_key_for_one_folder_cannot_leave_it() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let outer = create_folder(&daemon, None, "outer");
    let scope = create_folder(&daemon, Some(&outer), "scope");
    let inner = create_folder(&daemon, Some(&scope), "inner");
    let outside = id(&upload(&daemon, &grace.token, &outer, "outside").expect(201));
    for (owner, role) in [(&grace.token, "writer"), (&daemon.token, "admin")] {
        let body = json!({ "name": "sync", "role": role, "folder_id": scope });
        let key = daemon.send_as(owner, "POST", "/api-keys", &body).expect(201)["key"].as_str().unwrap().to_owned();
        for path in [
            "/folders".to_owned(),
            "/files".to_owned(),
            format!("/folders/{outer}"),
            format!("/folders?parent_id={outer}"),
            format!("/files?folder_id={outer}"),
            format!("/files/{outside}"),
            format!("/files/{outside}/content"),
        ] {
            daemon.get_as(&key, &path).expect_problem(404, "not_found");
        }
        let delete = |path: &str| daemon.request_as(&key, "DELETE", path, &[], b"");
        delete(&format!("/files/{outside}")).expect_problem(404, "not_found");
        delete(&format!("/folders/{outer}")).expect_problem(404, "not_found");
        daemon.request_as(&key, "POST", "/files?name=f", &[], b"x").expect_problem(404, "not_found");
        daemon.send_as(&key, "POST", "/folders", &json!({ "name": "x" })).expect_problem(404, "not_found");
        upload(&daemon, &key, &outer, "f").expect_problem(404, "not_found");

        assert_eq!(shown(&daemon, &key, &scope).as_deref(), Some("write"));
        let listed = daemon.get_as(&key, &format!("/folders?parent_id={scope}")).expect(200);
        assert_eq!(listed["items"][0]["id"], inner.as_str());
        let file = id(&upload(&daemon, &key, &inner, "f").expect(201));
        assert_eq!(daemon.get_as(&key, &format!("/files/{file}/content")).body, b"content");
        delete(&format!("/files/{file}")).expect(204);
        let made = daemon.send_as(&key, "POST", "/folders", &json!({ "parent_id": scope, "name": "x" })).expect(201);
        delete(&format!("/folders/{}", id(&made))).expect(204);
        daemon.get_as(&key, &access_path(&scope)).expect_problem(403, "forbidden");
        daemon.get_as(&key, "/groups").expect_problem(403, "forbidden");
    }
}

#[test]
fn a_key_does_not_delete_its_folder_and_ends_where_its_owner_is_shut_out() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let scope = id(&daemon.send_as(&grace.token, "POST", "/folders", &json!({ "name": "scope" })).expect(201));
    let body = json!({ "name": "sync", "role": "writer", "folder_id": scope });
    let key = daemon.send_as(&grace.token, "POST", "/api-keys", &body).expect(201)["key"].as_str().unwrap().to_owned();
    let path = format!("/folders/{scope}");
    daemon.request_as(&key, "DELETE", &path, &[], b"").expect_problem(403, "forbidden");
    assert_eq!(shown(&daemon, &key, &scope).as_deref(), Some("write"));
    restrict(&daemon, &scope, &[]);
    assert_eq!(shown(&daemon, &key, &scope), None);
    upload(&daemon, &key, &scope, "f").expect_problem(404, "not_found");
}

#[test]
fn an_administrators_key_of_a_lower_role_is_no_administrator() {
    let daemon = Daemon::unlocked();
    let folder = create_folder(&daemon, None, "hidden");
    let file = id(&upload(&daemon, &daemon.token, &folder, "f").expect(201));
    restrict(&daemon, &folder, &[]);
    for (role, expected) in [("editor", None), ("admin", Some("write"))] {
        let key = daemon.post("/api-keys", &json!({ "name": role, "role": role })).expect(201);
        let key = key["key"].as_str().unwrap();
        assert_eq!(shown(&daemon, key, &folder).as_deref(), expected);
        let status = if expected.is_some() { 200 } else { 404 };
        assert_eq!(daemon.get_as(key, &format!("/files/{file}/content")).status, status);
    }
}

#[test]
fn a_deleted_person_goes_from_all_lists_and_their_folder_stays_private() {
    let daemon = Daemon::unlocked();
    let [grace, hedy] = ["grace", "hedy"].map(|name| daemon.user(name, "writer"));
    let group = create_group(&daemon, "Family");
    let member = format!("/groups/{group}/members/{}", grace.id);
    daemon.send("PUT", &member, &json!({})).expect(204);
    let folder = id(&daemon.send_as(&grace.token, "POST", "/folders", &json!({ "name": "mine" })).expect(201));
    let list = json!({ "private": true, "grants": [{ "user_id": grace.id, "access": "write" }] });
    daemon.send_as(&grace.token, "PUT", &access_path(&folder), &list).expect(200);
    daemon.delete(&format!("/users/{}", grace.id)).expect(204);
    let nobody = json!({ "private": true, "grants": [] });
    assert_eq!(daemon.get(&access_path(&folder)).expect(200), nobody);
    assert_eq!(shown(&daemon, &hedy.token, &folder), None);
    assert_eq!(daemon.get(&format!("/groups/{group}/members")).expect(200)["items"], json!([]));
    // Nor does a deleted account come back onto one.
    daemon.send("PUT", &member, &json!({})).expect_problem(404, "not_found");
    daemon.send("PUT", &access_path(&folder), &list).expect_problem(422, "invalid_field");
}
