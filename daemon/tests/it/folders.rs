//! Folders.

use serde_json::{Value, json};

use crate::harness::Daemon;

fn create(daemon: &Daemon, parent: Option<&str>, name: &str) -> Value {
    daemon.post("/folders", &json!({ "parent_id": parent, "name": name })).expect(201)
}

#[test]
fn folders_nest_and_are_listed_page_by_page() {
    let daemon = Daemon::unlocked();
    let top = create(&daemon, None, "Photos");
    let id = top["id"].as_str().unwrap();
    assert_eq!(top["parent_id"], Value::Null);
    for name in ["2024", "2025", "2026"] {
        assert_eq!(create(&daemon, Some(id), name)["parent_id"], id);
    }
    let first = daemon.get(&format!("/folders?parent_id={id}&limit=2")).expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = daemon.get(&format!("/folders?parent_id={id}&limit=2&cursor={cursor}")).expect(200);
    assert_eq!(second["next_cursor"], Value::Null);
    let pages = [&first, &second].map(|page| page["items"].as_array().unwrap().clone()).concat();
    assert_eq!(pages.iter().map(|f| f["name"].as_str().unwrap()).collect::<Vec<_>>(), ["2024", "2025", "2026"]);
    assert_eq!(daemon.get(&format!("/folders/{id}")).expect(200), top);
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
fn only_an_empty_folder_is_deleted_and_only_once() {
    let daemon = Daemon::unlocked();
    let outer = create(&daemon, None, "outer")["id"].as_str().unwrap().to_owned();
    let inner = create(&daemon, Some(&outer), "inner")["id"].as_str().unwrap().to_owned();
    daemon.delete(&format!("/folders/{outer}")).expect_problem(409, "folder_not_empty");
    let file = daemon.request("POST", &format!("/files?folder_id={inner}&name=f"), &[], b"x").expect(201);
    daemon.delete(&format!("/folders/{inner}")).expect_problem(409, "folder_not_empty");
    daemon.delete(&format!("/files/{}", file["id"].as_str().unwrap())).expect(204);
    daemon.delete(&format!("/folders/{inner}")).expect(204);
    daemon.delete(&format!("/folders/{inner}")).expect_problem(404, "not_found");
    daemon.delete(&format!("/folders/{outer}")).expect(204);
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
