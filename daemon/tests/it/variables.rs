//! Variables of add-ons and clients.

use std::io::Write;

use serde_json::{Value, json};

use crate::client::{Reply, read_reply, send_head, tcp};
use crate::harness::Daemon;

const JSON: (&str, &str) = ("content-type", "application/json");

fn set(daemon: &Daemon, name: &str, value: &Value) -> Reply {
    daemon.send("PUT", &format!("/settings/{name}"), &json!({ "value": value }))
}

fn set_if(daemon: &Daemon, name: &str, value: &Value, condition: (&str, &str)) -> Reply {
    let body = json!({ "value": value }).to_string();
    daemon.request("PUT", &format!("/settings/{name}"), &[JSON, condition], body.as_bytes())
}

fn value(daemon: &Daemon, name: &str) -> Value {
    daemon.get(&format!("/settings/{name}")).expect(200)["value"].clone()
}

/// The names on a page, and where the next one starts.
fn names(daemon: &Daemon, query: &str) -> (Vec<String>, Value) {
    let page = daemon.get(&format!("/settings?{query}")).expect(200);
    let name = |item: &Value| format!("{}/{}", item["namespace"].as_str().unwrap(), item["key"].as_str().unwrap());
    (page["items"].as_array().unwrap().iter().map(name).collect(), page["next_cursor"].clone())
}

#[test]
fn a_variable_is_set_and_replaced_and_deleted_once() {
    let daemon = Daemon::unlocked();
    let admin = daemon.get("/users/me").expect(200)["id"].clone();
    daemon.get("/settings/photos.import/apiToken").expect_problem(404, "not_found");
    let first = set(&daemon, "photos.import/apiToken", &json!({ "a": 1 }));
    let etag = first.header("etag").to_owned();
    let first = first.expect(201);
    assert_eq!((&first["namespace"], &first["key"]), (&json!("photos.import"), &json!("apiToken")));
    assert_eq!((&first["value"], &first["updated_by"]), (&json!({ "a": 1 }), &admin));
    assert_eq!(etag, format!("\"{}\"", first["version"].as_str().unwrap()), "strong, and in the list as well");
    let read = daemon.get("/settings/photos.import/apiToken");
    assert_eq!(read.header("etag"), etag);
    assert_eq!(read.expect(200), first);

    daemon.advance(std::time::Duration::from_mins(1));
    let second = set(&daemon, "photos.import/apiToken", &json!(null)).expect(200);
    assert_eq!((&second["value"], &second["id"]), (&Value::Null, &first["id"]));
    assert_ne!(second["version"], first["version"]);
    assert!(second["updated_at"].as_str() > first["updated_at"].as_str());
    let same = set(&daemon, "photos.import/apiToken", &json!(null)).expect(200);
    assert_ne!(same["version"], second["version"], "who set it changes with it");

    daemon.delete("/settings/photos.import/apiToken").expect(204);
    daemon.delete("/settings/photos.import/apiToken").expect_problem(404, "not_found");
    daemon.get("/settings/photos.import/apiToken").expect_problem(404, "not_found");
    let third = set(&daemon, "photos.import/apiToken", &json!(1)).expect(201);
    assert_ne!(third["id"], first["id"], "another variable of that name");
}

#[test]
fn a_value_of_any_kind_comes_back() {
    let daemon = Daemon::unlocked();
    let deep = (0..64).fold(json!(1), |inner, _| json!([inner]));
    let long = json!("x".repeat(16 * 1024 - 2));
    for kept in [json!(null), json!(true), json!(-1.5e-7), json!(u64::MAX), json!("a\u{0}\u{1f600}\"\\"), deep, long] {
        set(&daemon, "a/b", &kept);
        assert_eq!(value(&daemon, "a/b"), kept);
    }
    assert_eq!(daemon.get("/settings").expect(200)["items"][0]["value"], value(&daemon, "a/b"));
}

#[test]
fn what_is_not_a_name_is_refused() {
    let daemon = Daemon::unlocked();
    let (namespace, key) = ("n".repeat(40), "K".repeat(100));
    set(&daemon, &format!("{namespace}/{key}"), &json!(1)).expect(201);
    for (name, field) in [
        ("A/b".to_owned(), "namespace"),
        ("a%20/b".to_owned(), "namespace"),
        ("a%2Fa/b".to_owned(), "namespace"),
        (format!("{namespace}n/b"), "namespace"),
        ("a/%C3%A9".to_owned(), "key"),
        ("a/b%00".to_owned(), "key"),
        ("a/..".to_owned(), "key"),
        (format!("a/{key}K"), "key"),
    ] {
        let path = format!("/settings/{name}");
        for reply in [set(&daemon, &name, &json!(1)), daemon.get(&path), daemon.delete(&path)] {
            assert_eq!(reply.expect_problem(422, "invalid_field")["errors"][0]["field"], field, "{name}");
        }
    }
    set(&daemon, "a%FF/b", &json!(1)).expect_problem(404, "not_found");
    daemon.get("/settings?namespace__eq=A").expect_problem(422, "invalid_field");
    for cursor in ["x", "", "a%2F", "A%2Fb", "a%2Fb%2Fc"] {
        daemon.get(&format!("/settings?cursor={cursor}")).expect_problem(422, "invalid_field");
    }
    daemon.get("/settings?key=b").expect_problem(400, "bad_request");
    assert_eq!(names(&daemon, "").0, [format!("{namespace}/{key}")]);
}

#[test]
fn a_body_that_holds_no_value_is_refused_and_not_repeated() {
    let daemon = Daemon::unlocked();
    let put = |body: &[u8]| daemon.request("PUT", "/settings/a/b", &[JSON], body);
    put(b"{}").expect_problem(422, "invalid_field");
    put(b"{\"value\": 1, \"valeu\": 2}").expect_problem(422, "invalid_field");
    put(b"{\"value\": 1, \"value\": 2}").expect_problem(422, "invalid_field");
    put(b"{\"value\": hunter2}").expect_problem(400, "bad_request");
    daemon.request("PUT", "/settings/a/b", &[], b"{\"value\": 1}").expect_problem(415, "unsupported_media_type");
    let deep = (0..65).fold(json!("hunter2"), |inner, _| json!({ "a": inner }));
    let problem = set(&daemon, "a/b", &deep).expect_problem(422, "invalid_field");
    assert_eq!(problem["errors"][0]["field"], "value");
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
    daemon.get("/settings/a/b").expect_problem(404, "not_found");
}

#[test]
fn a_value_over_its_limit_is_refused_while_it_is_read() {
    let daemon = Daemon::unlocked();
    set(&daemon, "a/b", &json!("x".repeat(16 * 1024 - 2))).expect(201);
    set(&daemon, "a/b", &json!("y".repeat(16 * 1024 - 1))).expect_problem(413, "too_large");
    set(&daemon, "a/b", &json!("y".repeat(60_000))).expect_problem(413, "too_large");
    // What is short to send and long to keep.
    let numbers = format!("{{\"value\":[{}1]}}", "1e15,".repeat(3000));
    daemon.request("PUT", "/settings/a/b", &[JSON], numbers.as_bytes()).expect_problem(413, "too_large");
    // Not read to its end: that never comes.
    let mut stream = tcp(daemon.address);
    let token = format!("Bearer {}", daemon.token);
    let headers = [("authorization", token.as_str()), ("content-length", "9000000"), JSON];
    send_head(&mut stream, "PUT", "/api/v1/settings/a/b", &headers);
    stream.write_all(format!("{{\"value\": \"{}", "y".repeat(20_000)).as_bytes()).unwrap();
    read_reply(&mut stream).unwrap().expect_problem(413, "too_large");
    assert_eq!(value(&daemon, "a/b"), json!("x".repeat(16 * 1024 - 2)));
}

#[test]
fn only_administrators_get_at_variables() {
    let daemon = Daemon::unlocked();
    set(&daemon, "a/b", &json!("secret")).expect(201);
    let editor = daemon.user("grace", "editor").token;
    for (method, path) in [("GET", "/settings"), ("GET", "/settings/a/b"), ("DELETE", "/settings/a/b")] {
        daemon.request_as(&editor, method, path, &[], b"").expect_problem(403, "forbidden");
    }
    daemon.send_as(&editor, "PUT", "/settings/a/b", &json!({ "value": 1 })).expect_problem(403, "forbidden");
    daemon.get_as("", "/settings/a/b").expect_problem(401, "unauthenticated");
    assert_eq!(value(&daemon, "a/b"), "secret");
}

#[test]
fn what_somebody_else_changed_is_not_overwritten() {
    let daemon = Daemon::unlocked();
    let seen = set(&daemon, "a/b", &json!(1)).header("etag").to_owned();
    let now = set_if(&daemon, "a/b", &json!(2), ("if-match", &seen)).header("etag").to_owned();
    set_if(&daemon, "a/b", &json!(3), ("if-match", &seen)).expect_problem(412, "precondition_failed");
    let weak = format!("W/{now}");
    set_if(&daemon, "a/b", &json!(3), ("if-match", &weak)).expect_problem(412, "precondition_failed");
    set_if(&daemon, "a/b", &json!(3), ("if-match", now.trim_matches('"'))).expect_problem(400, "bad_request");
    set_if(&daemon, "a/c", &json!(3), ("if-match", "*")).expect_problem(412, "precondition_failed");
    let stale = [("if-match", seen.as_str())];
    daemon.request("DELETE", "/settings/a/b", &stale, b"").expect_problem(412, "precondition_failed");
    daemon.request("DELETE", "/settings/a/c", &stale, b"").expect_problem(404, "not_found");
    assert_eq!(value(&daemon, "a/b"), 2);
    let list = format!("{seen}, {now}");
    daemon.request("DELETE", "/settings/a/b", &[("if-match", &list)], b"").expect(204);
    let again = set(&daemon, "a/b", &json!(1)).header("etag").to_owned();
    assert_ne!(again, seen, "the same value, and another variable");
}

#[test]
fn if_none_match_star_makes_and_never_replaces() {
    let daemon = Daemon::unlocked();
    let new = ("if-none-match", "*");
    let etag = set_if(&daemon, "a/b", &json!(1), new).header("etag").to_owned();
    set_if(&daemon, "a/b", &json!(2), new).expect_problem(412, "precondition_failed");
    set_if(&daemon, "a/b", &json!(2), ("if-none-match", &etag)).expect_problem(412, "precondition_failed");
    assert_eq!(value(&daemon, "a/b"), 1);
    daemon.delete("/settings/a/b").expect(204);
    set_if(&daemon, "a/b", &json!(3), new).expect(201);
}

#[test]
fn of_two_changes_to_the_same_version_one_wins() {
    let daemon = Daemon::unlocked();
    let seen = set(&daemon, "a/b", &json!("seen")).header("etag").to_owned();
    let (daemon, seen) = (&daemon, seen.as_str());
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let racers: Vec<_> =
            (0..8).map(|n| scope.spawn(move || set_if(daemon, "a/b", &json!(n), ("if-match", seen)).status)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
}

#[test]
fn variables_are_listed_by_namespace_and_key_page_by_page() {
    let daemon = Daemon::unlocked();
    for name in ["b/x", "a.c/z", "a/y", "a/Z", "a/b", "a-b/a"] {
        set(&daemon, name, &json!(name)).expect(201);
    }
    let all = ["a/Z", "a/b", "a/y", "a-b/a", "a.c/z", "b/x"];
    assert_eq!(names(&daemon, ""), (all.map(str::to_owned).to_vec(), Value::Null));
    let mut walked = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let (page, next) = names(&daemon, &query);
        assert!(page.len() <= 2);
        walked.extend(page);
        let Some(cursor) = next.as_str() else { break };
        if walked.len() == 2 {
            // A page goes on behind a row that is gone as well.
            daemon.delete(&format!("/settings/{cursor}")).expect(204);
        }
        query = format!("limit=2&cursor={cursor}");
    }
    assert_eq!(walked, all);
    set(&daemon, "a/b", &json!(1)).expect(201);
    let (page, next) = names(&daemon, "namespace__eq=a&limit=1");
    assert_eq!((page, &next), (vec!["a/Z".to_owned()], &json!("a/Z")));
    assert_eq!(names(&daemon, "namespace__eq=a&cursor=a/Z"), (vec!["a/b".to_owned(), "a/y".to_owned()], Value::Null));
    assert_eq!(names(&daemon, "namespace__eq=a&cursor=b/x"), (Vec::new(), Value::Null));
    assert_eq!(names(&daemon, "namespace__eq=nobody"), (Vec::new(), Value::Null));
}

#[test]
fn there_is_room_for_256_in_a_namespace_and_1000_in_all() {
    let daemon = Daemon::unlocked();
    let name = |number: u32| format!("n{}/k{number}", number / 256);
    for number in 0..256 {
        set(&daemon, &name(number), &json!(number)).expect(201);
    }
    let full = set(&daemon, "n0/more", &json!(1)).expect_problem(409, "limit_reached");
    assert!(full["detail"].as_str().unwrap().contains("256 variables in this namespace"), "{full}");
    for number in 256..1000 {
        set(&daemon, &name(number), &json!(number)).expect(201);
    }
    let full = set(&daemon, "another/more", &json!(1)).expect_problem(409, "limit_reached");
    assert!(full["detail"].as_str().unwrap().contains("1000 variables"), "{full}");
    set(&daemon, &name(0), &json!("replaced")).expect(200);
    daemon.delete(&format!("/settings/{}", name(999))).expect(204);
    set(&daemon, "n0/more", &json!(1)).expect_problem(409, "limit_reached");
    set(&daemon, "another/more", &json!(1)).expect(201);
    assert_eq!(names(&daemon, "limit=500").0.len(), 100, "a page has an end");
}

#[test]
fn variables_are_part_of_the_vault() {
    let daemon = Daemon::unlocked();
    set(&daemon, "a/b", &json!("kept")).expect(201);
    daemon.post("/vault/lock", &json!({})).expect(200);
    daemon.get("/settings/a/b").expect_problem(423, "vault_locked");
    set(&daemon, "a/b", &json!(1)).expect_problem(423, "vault_locked");
    daemon.unlock();
    assert_eq!(value(&daemon, "a/b"), "kept");
}

#[test]
fn every_change_is_audited_and_no_value_is_written_down() {
    let mut daemon = Daemon::unlocked();
    let secret = "tok_4f9d1c77aa";
    let variable = set(&daemon, "a/b", &json!({ secret: secret })).expect(201);
    set(&daemon, "a/b", &json!(secret)).expect(200);
    daemon.request("PUT", "/settings/a/b", &[JSON], format!("{{\"value\": {secret}}}").as_bytes()).expect(400);
    set(&daemon, "a/b", &json!(secret.repeat(2000))).expect(413);
    set_if(&daemon, "a/b", &json!(secret), ("if-match", "\"x\"")).expect(412);
    daemon.get("/settings/a/b").expect(200);
    daemon.delete("/settings/a/b").expect(204);
    let audit = daemon.get("/audit").expect(200);
    let told: Vec<(&str, &Value)> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap(), &entry["subject_id"]))
        .filter(|(action, _)| action.starts_with("variable."))
        .collect();
    let named = audit["items"].as_array().unwrap().iter().filter(|entry| entry["detail"] == "a/b").count();
    assert_eq!(named, 3, "{audit}");
    let id = &variable["id"];
    assert_eq!(told, [("variable.deleted", id), ("variable.changed", id), ("variable.created", id)]);
    assert!(!audit.to_string().contains(secret));
    assert!(daemon.stop().success());
    assert!(!daemon.log().contains(secret), "{}", daemon.log());
}
