//! Private folders: who sees what.

use serde_json::{Value, json};

use crate::groups::{create_group, my_id};
use crate::harness::Daemon;

const NOBODY: &str = "01a1fd16-afea-707b-afb4-166dd8225dae";

fn create_folder(daemon: &Daemon, parent: Option<&str>, name: &str) -> String {
    let folder = daemon.post("/folders", &json!({ "parent_id": parent, "name": name })).expect(201);
    folder["id"].as_str().unwrap().to_owned()
}

fn access_path(folder: &str) -> String {
    format!("/folders/{folder}/access")
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
