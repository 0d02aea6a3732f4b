//! Groups of people.

use serde_json::{Value, json};

use crate::harness::{ADMIN, Daemon};

const NOBODY: &str = "01a1fd16-afea-707b-afb4-166dd8225dae";

/// Makes a group; gives its id.
pub(crate) fn create_group(daemon: &Daemon, name: &str) -> String {
    daemon.post("/groups", &json!({ "name": name })).expect(201)["id"].as_str().unwrap().to_owned()
}

/// The id of whoever is logged in.
pub(crate) fn my_id(daemon: &Daemon) -> String {
    daemon.get("/users/me").expect(200)["id"].as_str().unwrap().to_owned()
}

fn actions(daemon: &Daemon) -> Vec<String> {
    let entries = daemon.get("/audit?limit=500").expect(200);
    let entries = entries["items"].as_array().unwrap().iter().rev();
    entries.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_group_is_made_renamed_and_deleted_once() {
    let daemon = Daemon::unlocked();
    let group = daemon.post("/groups", &json!({ "name": "The fami\u{301}ly" })).expect(201);
    assert_eq!(group["name"], "The fam\u{ed}ly");
    let path = format!("/groups/{}", group["id"].as_str().unwrap());
    assert_eq!(daemon.get(&path).expect(200), group);
    let renamed = daemon.send("PATCH", &path, &json!({ "name": "Family" })).expect(200);
    assert_eq!(renamed, json!({ "id": group["id"], "name": "Family", "created_at": group["created_at"] }));
    assert_eq!(daemon.get("/groups").expect(200)["items"], json!([renamed]));
    daemon.delete(&path).expect(204);
    daemon.delete(&path).expect_problem(404, "not_found");
    daemon.get(&path).expect_problem(404, "not_found");
    daemon.send("PATCH", &path, &json!({ "name": "Family" })).expect_problem(404, "not_found");
    assert_eq!(daemon.get("/groups").expect(200)["items"], json!([]));
    let audited = actions(&daemon);
    assert!(audited.ends_with(&["group.created", "group.renamed", "group.deleted"].map(str::to_owned)), "{audited:?}");
}

#[test]
fn no_two_groups_differ_in_capital_letters_only() {
    let daemon = Daemon::unlocked();
    let first = create_group(&daemon, "Caf\u{e9}");
    let second = create_group(&daemon, "Garden");
    daemon.post("/groups", &json!({ "name": "CAFE\u{301}" })).expect_problem(409, "name_taken");
    let path = format!("/groups/{second}");
    daemon.send("PATCH", &path, &json!({ "name": "caf\u{e9}" })).expect_problem(409, "name_taken");
    assert_eq!(daemon.get(&path).expect(200)["name"], "Garden");
    daemon.send("PATCH", &format!("/groups/{first}"), &json!({ "name": "CAF\u{c9}" })).expect(200);
    daemon.delete(&format!("/groups/{first}")).expect(204);
    daemon.send("PATCH", &path, &json!({ "name": "caf\u{e9}" })).expect(200);
}

#[test]
fn names_that_are_not_accepted() {
    let daemon = Daemon::unlocked();
    let path = format!("/groups/{}", create_group(&daemon, &"x".repeat(100)));
    for name in ["", " ", " a", "a\n", "a\u{0}b", "a\u{202e}b", &"x".repeat(101)] {
        let body = json!({ "name": name });
        let refused = daemon.post("/groups", &body).expect_problem(422, "invalid_field");
        assert_eq!(refused["errors"][0]["field"], "name");
        daemon.send("PATCH", &path, &body).expect_problem(422, "invalid_field");
    }
    for body in [json!({}), json!({ "name": 1 }), json!({ "name": "a", "members": [] })] {
        daemon.post("/groups", &body).expect_problem(422, "invalid_field");
    }
}

#[test]
fn groups_are_listed_page_by_page() {
    let daemon = Daemon::unlocked();
    for number in 0..5 {
        create_group(&daemon, &format!("g{number}"));
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("/groups?limit=2{cursor}")).expect(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, ["g0", "g1", "g2", "g3", "g4"]);
    daemon.get("/groups?limit=x").expect_problem(400, "bad_request");
}

#[test]
fn joining_twice_and_leaving_twice_change_nothing() {
    let daemon = Daemon::unlocked();
    let (me, group) = (my_id(&daemon), create_group(&daemon, "Family"));
    let (members, member) = (format!("/groups/{group}/members"), format!("/groups/{group}/members/{me}"));
    let put = || daemon.send("PUT", &member, &json!({}));
    put().expect(204);
    let first = daemon.get(&members).expect(200);
    put().expect(204);
    assert_eq!(daemon.get(&members).expect(200), first);
    let joined = first["items"].as_array().unwrap();
    assert_eq!(joined.len(), 1);
    assert_eq!((&joined[0]["user_id"], &joined[0]["username"]), (&json!(me), &json!(ADMIN)));
    daemon.delete(&member).expect(204);
    daemon.delete(&member).expect(204);
    assert_eq!(daemon.get(&members).expect(200)["items"], json!([]));
    // One line for each change, none for what was no change.
    let audited = actions(&daemon);
    assert_eq!(audited.iter().filter(|action| action.starts_with("group.member_")).count(), 2, "{audited:?}");
}

#[test]
fn groups_and_members_that_do_not_exist_are_not_found() {
    let daemon = Daemon::unlocked();
    let (me, group) = (my_id(&daemon), create_group(&daemon, "Family"));
    daemon.get(&format!("/groups/{NOBODY}")).expect_problem(404, "not_found");
    daemon.get(&format!("/groups/{NOBODY}/members")).expect_problem(404, "not_found");
    for member in [format!("/groups/{NOBODY}/members/{me}"), format!("/groups/{group}/members/{NOBODY}")] {
        daemon.send("PUT", &member, &json!({})).expect_problem(404, "not_found");
        daemon.delete(&member).expect_problem(404, "not_found");
    }
    daemon.delete(&format!("/groups/{group}/members/nonsense")).expect_problem(404, "not_found");
    assert_eq!(daemon.get(&format!("/groups/{group}/members")).expect(200)["items"], json!([]));
}

#[test]
fn a_deleted_group_leaves_its_folders_private() {
    let daemon = Daemon::unlocked();
    let group = create_group(&daemon, "Family");
    let folder = daemon.post("/folders", &json!({ "name": "photos" })).expect(201);
    let path = format!("/folders/{}", folder["id"].as_str().unwrap());
    let access = format!("{path}/access");
    let list = json!({ "private": true, "grants": [{ "group_id": group, "access": "write" }] });
    assert_eq!(daemon.send("PUT", &access, &list).expect(200), list);
    daemon.delete(&format!("/groups/{group}")).expect(204);
    assert_eq!(daemon.get(&access).expect(200), json!({ "private": true, "grants": [] }));
    assert_eq!(daemon.get(&path).expect(200)["private"], Value::Bool(true));
}
