//! What people put on files and folders: tags, favourites, stars, labels, notes, comments; and what changed last.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Reply;
use crate::harness::{Daemon, Person};

const UNKNOWN: &str = "01890000-0000-7000-8000-000000000000";
const JSON: (&str, &str) = ("content-type", "application/json");

fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap().to_owned()
}

fn folder(daemon: &Daemon, name: &str) -> String {
    id(&daemon.post("/folders", &json!({ "name": name })).expect(201))
}

fn file_in(daemon: &Daemon, token: &str, folder: Option<&str>, name: &str) -> String {
    let place = folder.map(|id| format!("&folder_id={id}")).unwrap_or_default();
    id(&daemon.request_as(token, "POST", &format!("/files?name={name}{place}"), &[], b"x").expect(201))
}

fn file(daemon: &Daemon, name: &str) -> String {
    file_in(daemon, &daemon.token, None, name)
}

/// A folder that only these people see, to read.
fn private_folder(daemon: &Daemon, name: &str, readers: &[&Person]) -> String {
    let folder = folder(daemon, name);
    let grants: Vec<Value> = readers.iter().map(|p| json!({ "user_id": p.id, "access": "read" })).collect();
    let list = json!({ "private": true, "grants": grants });
    daemon.send("PUT", &format!("/folders/{folder}/access"), &list).expect(200);
    folder
}

fn protect(daemon: &Daemon, folder: &str, protected: bool) {
    daemon.send("PATCH", &format!("/folders/{folder}"), &json!({ "protected": protected })).expect(200);
}

fn call(daemon: &Daemon, person: &Person, method: &str, path: &str) -> Reply {
    daemon.request_as(&person.token, method, path, &[], b"")
}

fn details(daemon: &Daemon, item: &str) -> Value {
    daemon.get(&format!("/items/{item}/details")).expect(200)
}

/// Names and counts of all tags that somebody sees.
fn tags(daemon: &Daemon, token: &str) -> Vec<(String, u64)> {
    let page = daemon.get_as(token, "/tags").expect(200);
    let tag = |tag: &Value| (tag["name"].as_str().unwrap().to_owned(), tag["items"].as_u64().unwrap());
    page["items"].as_array().unwrap().iter().map(tag).collect()
}

/// The names on a page of a list of items, bare or marked.
fn names(page: &Value) -> Vec<&str> {
    let name = |entry: &'_ Value| entry["item"]["name"].as_str().or(entry["name"].as_str()).map(str::to_owned);
    let items = page["items"].as_array().unwrap();
    assert!(items.iter().all(|entry| name(entry).is_some()), "{page}");
    items.iter().map(|entry| entry["item"]["name"].as_str().or(entry["name"].as_str()).unwrap()).collect()
}

fn audited(daemon: &Daemon, action: &str) -> usize {
    let audit = daemon.get(&format!("/audit?limit=500&action={action}")).expect(200);
    audit["items"].as_array().unwrap().iter().filter(|entry| entry["outcome"] == "success").count()
}

fn counted(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(name, items)| ((*name).to_owned(), *items)).collect()
}

#[test]
fn a_tag_is_put_on_once_and_shown_as_first_written() {
    let daemon = Daemon::unlocked();
    let (one, two) = (file(&daemon, "one"), folder(&daemon, "two"));
    let tag = |method: &str, item: &str, tag: &str| {
        daemon.request(method, &format!("/items/{item}/tags/{tag}"), &[], b"").expect(204);
    };
    for name in ["Urlaub", "URLAUB", "%20urlaub%20", "%E5%AE%B6%E6%97%8F", "a%2Fb", "CAF%C3%89", "cafe%CC%81"] {
        tag("PUT", &one, name);
    }
    tag("PUT", &two, "urlaub");
    assert_eq!(details(&daemon, &one)["tags"], json!(["a/b", "CAFÉ", "Urlaub", "家族"]));
    assert_eq!(details(&daemon, &two)["tags"], json!(["Urlaub"]));
    assert_eq!(tags(&daemon, &daemon.token), counted(&[("a/b", 1), ("CAFÉ", 1), ("Urlaub", 2), ("家族", 1)]));
    assert_eq!(audited(&daemon, "tag.added"), 5, "what changes nothing is no change");

    tag("DELETE", &one, "uRLAUB");
    tag("DELETE", &one, "urlaub");
    tag("DELETE", &one, "never");
    assert_eq!(audited(&daemon, "tag.removed"), 1);
    tag("DELETE", &two, "urlaub");
    tag("PUT", &two, "urlaub");
    assert_eq!(details(&daemon, &two)["tags"], json!(["urlaub"]), "a tag that nothing had is a new one");
}

#[test]
fn what_is_not_a_tag_is_refused_and_an_item_has_at_most_fifty() {
    let daemon = Daemon::unlocked();
    let item = file(&daemon, "one");
    let put = |tag: &str| daemon.request("PUT", &format!("/items/{item}/tags/{tag}"), &[], b"");
    for tag in ["%20", "a%0Ab", "a%00", "%E2%80%AE", &"x".repeat(51)] {
        let problem = put(tag).expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["field"], "tag", "{tag}");
    }
    put("%FF").expect_problem(404, "not_found");
    for number in 0..50 {
        put(&format!("t{number:02}")).expect(204);
    }
    put("T49").expect(204);
    put("t50").expect_problem(409, "limit_reached");
    assert_eq!(details(&daemon, &item)["tags"].as_array().unwrap().len(), 50);
    let first = daemon.get("/tags?limit=30").expect(200);
    assert_eq!((names(&first).len(), names(&first)[0]), (30, "t00"));
    let second = daemon.get(&format!("/tags?limit=30&cursor={}", first["next_cursor"].as_str().unwrap())).expect(200);
    assert_eq!((names(&second).len(), names(&second)[0]), (20, "t30"));
    assert_eq!(second["next_cursor"], Value::Null);
    for cursor in ["", "x", "%25", "AAAA"] {
        daemon.get(&format!("/tags?cursor={cursor}")).expect_problem(422, "invalid_field");
    }
}

#[test]
fn everybody_counts_what_they_see() {
    let daemon = Daemon::unlocked();
    let (bob, eve) = (daemon.user("bob_", "writer"), daemon.user("eve_", "reader"));
    let hidden = private_folder(&daemon, "hidden", &[&bob]);
    let open = folder(&daemon, "open");
    let files = [
        file(&daemon, "one"),
        file_in(&daemon, &daemon.token, Some(&open), "two"),
        file_in(&daemon, &daemon.token, Some(&hidden), "three"),
    ];
    for item in &files {
        daemon.request("PUT", &format!("/items/{item}/tags/trip"), &[], b"").expect(204);
    }
    daemon.request("PUT", &format!("/items/{hidden}/tags/secret"), &[], b"").expect(204);
    assert_eq!(tags(&daemon, &bob.token), counted(&[("secret", 1), ("trip", 3)]));
    assert_eq!(tags(&daemon, &eve.token), counted(&[("trip", 2)]), "not even the name of a tag shines through");
    daemon.send("PATCH", &format!("/files/{}", files[1]), &json!({ "folder_id": hidden })).expect(200);
    assert_eq!(tags(&daemon, &eve.token), counted(&[("trip", 1)]));
    daemon.delete(&format!("/files/{}", files[0])).expect(204);
    assert_eq!(tags(&daemon, &eve.token), counted(&[]), "what is in the trash is not there");
    assert_eq!(tags(&daemon, &bob.token), counted(&[("secret", 1), ("trip", 2)]));
    daemon.delete(&format!("/folders/{hidden}")).expect(204);
    assert_eq!(tags(&daemon, &bob.token), counted(&[]), "nor what lies in a folder there");
    daemon.post(&format!("/trash/{hidden}/restore"), &json!({})).expect(200);
    daemon.post(&format!("/trash/{}/restore", files[0]), &json!({})).expect(200);
    assert_eq!(tags(&daemon, &bob.token), counted(&[("secret", 1), ("trip", 3)]));
}

#[test]
fn favourites_and_labels_are_everybodys_own() {
    let daemon = Daemon::unlocked();
    let eve = daemon.user("eve_", "reader");
    let (one, two) = (file(&daemon, "one"), folder(&daemon, "two"));
    for path in [format!("/items/{one}/favourite"), format!("/items/{two}/favourite")] {
        for _ in 0..2 {
            call(&daemon, &eve, "PUT", &path).expect(204);
        }
        daemon.advance(Duration::from_secs(1));
    }
    let page = daemon.get_as(&eve.token, "/favourites").expect(200);
    assert_eq!((names(&page), &page["next_cursor"]), (vec!["two", "one"], &Value::Null));
    assert_eq!(
        (&page["items"][0]["item"]["kind"], &page["items"][1]["item"]["size_bytes"]),
        (&json!("folder"), &json!(1))
    );
    assert_eq!(names(&daemon.get("/favourites").expect(200)), Vec::<&str>::new());
    let first = daemon.get_as(&eve.token, "/favourites?limit=1").expect(200);
    let next = format!("/favourites?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
    assert_eq!(names(&daemon.get_as(&eve.token, &next).expect(200)), ["one"]);

    let label =
        |colour: &str| daemon.send_as(&eve.token, "PUT", &format!("/items/{one}/label"), &json!({ "colour": colour }));
    label("red").expect(204);
    label("teal").expect(204);
    for colour in ["pink", "", "RED"] {
        label(colour).expect_problem(422, "invalid_field");
    }
    let seen = daemon.get_as(&eve.token, &format!("/items/{one}/details")).expect(200);
    assert_eq!((&seen["label"], &seen["favourite"]), (&json!("teal"), &json!(true)));
    let seen = details(&daemon, &one);
    assert_eq!((&seen["label"], &seen["favourite"]), (&Value::Null, &json!(false)));

    for _ in 0..2 {
        call(&daemon, &eve, "DELETE", &format!("/items/{one}/favourite")).expect(204);
        call(&daemon, &eve, "DELETE", &format!("/items/{one}/label")).expect(204);
    }
    assert_eq!(names(&daemon.get_as(&eve.token, "/favourites").expect(200)), ["two"]);
    assert_eq!(daemon.get_as(&eve.token, &format!("/items/{one}/details")).expect(200)["label"], Value::Null);
    assert_eq!([audited(&daemon, "favourite.added"), audited(&daemon, "label.removed")], [2, 1]);
}

#[test]
fn a_star_is_seen_by_all_who_see_the_item() {
    let daemon = Daemon::unlocked();
    let (bob, eve) = (daemon.user("bob_", "writer"), daemon.user("eve_", "reader"));
    let hidden = private_folder(&daemon, "hidden", &[&bob]);
    let (open, inside) = (file(&daemon, "open"), file_in(&daemon, &daemon.token, Some(&hidden), "inside"));
    for item in [&open, &inside, &open] {
        daemon.request("PUT", &format!("/items/{item}/star"), &[], b"").expect(204);
        daemon.advance(Duration::from_secs(1));
    }
    assert_eq!(audited(&daemon, "star.added"), 2);
    let stars = |person: &Person| daemon.get_as(&person.token, "/stars").expect(200);
    assert_eq!(names(&stars(&bob)), ["inside", "open"]);
    assert_eq!(names(&stars(&eve)), ["open"]);
    let me = daemon.get("/users/me").expect(200)["id"].clone();
    assert_eq!(daemon.get_as(&eve.token, &format!("/items/{open}/details")).expect(200)["star"]["added_by"], me);
    call(&daemon, &bob, "DELETE", &format!("/items/{open}/star")).expect_problem(403, "forbidden");
    for _ in 0..2 {
        daemon.delete(&format!("/items/{open}/star")).expect(204);
    }
    assert_eq!(names(&stars(&eve)), Vec::<&str>::new());
}

#[test]
fn nobody_overwrites_a_note_that_they_have_not_seen() {
    let daemon = Daemon::unlocked();
    let item = file(&daemon, "one");
    let path = format!("/items/{item}/note");
    let put = |text: &str, condition: &[(&str, &str)]| {
        let headers = [&[JSON], condition].concat();
        daemon.request("PUT", &path, &headers, json!({ "text": text }).to_string().as_bytes())
    };
    daemon.get(&path).expect_problem(404, "not_found");
    daemon.delete(&path).expect_problem(404, "not_found");
    put("x", &[("if-match", "*")]).expect_problem(412, "precondition_failed");
    let first = put("# One", &[("if-none-match", "*")]);
    let etag = first.header("etag").to_owned();
    let first = first.expect(201);
    assert_eq!((&first["text"], etag), (&json!("# One"), format!("\"{}\"", first["version"].as_str().unwrap())));
    let read = daemon.get(&path);
    assert_eq!(read.header("etag"), format!("\"{}\"", first["version"].as_str().unwrap()));
    assert_eq!(read.expect(200), first);
    let old = format!("\"{}\"", first["version"].as_str().unwrap());
    let second = put("two", &[("if-match", &old)]).expect(200);
    assert_ne!(second["version"], first["version"]);
    put("three", &[("if-match", &old)]).expect_problem(412, "precondition_failed");
    daemon.request("DELETE", &path, &[("if-match", &old)], b"").expect_problem(412, "precondition_failed");
    assert_eq!(details(&daemon, &item)["note"], second);

    for text in ["", " \n"] {
        put(text, &[]).expect_problem(422, "invalid_field");
    }
    let long = "\u{1}".repeat(64 * 1024);
    assert_eq!(put(&long, &[]).expect(200)["text"], long);
    put(&(long + "x"), &[]).expect_problem(413, "too_large");
    daemon.delete(&path).expect(204);
    daemon.delete(&path).expect_problem(404, "not_found");
    assert_eq!(details(&daemon, &item)["note"], Value::Null);
    assert_eq!([audited(&daemon, "note.set"), audited(&daemon, "note.removed")], [3, 1]);
}

#[test]
fn what_a_comment_said_before_can_be_read() {
    let daemon = Daemon::unlocked();
    let (bob, eve) = (daemon.user("bob_", "writer"), daemon.user("eve_", "reader"));
    let item = file(&daemon, "one");
    let path = format!("/items/{item}/comments");
    let write = |person: &Person, method: &str, path: &str, text: &str| {
        daemon.send_as(&person.token, method, path, &json!({ "text": text }))
    };
    write(&eve, "POST", &path, "no").expect_problem(403, "forbidden");
    let first = write(&bob, "POST", &path, "First *thing*").expect(201);
    assert_eq!((&first["created_by"], &first["edits"]), (&json!(bob.id), &json!(0)));
    let own = format!("/comments/{}", id(&first));
    daemon.advance(Duration::from_mins(1));
    let edited = write(&bob, "PATCH", &own, "Second thing").expect(200);
    assert_eq!((&edited["text"], &edited["edits"]), (&json!("Second thing"), &json!(1)));
    assert!(edited["edited_at"].as_str() > first["created_at"].as_str());
    assert_eq!(write(&bob, "PATCH", &own, "Second thing").expect(200), edited, "the same again is no edit");
    write(&bob, "PATCH", &own, "Third").expect(200);

    let history = daemon.get_as(&eve.token, &format!("{own}/history")).expect(200);
    let texts: Vec<&str> =
        history["versions"].as_array().unwrap().iter().map(|version| version["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["First *thing*", "Second thing", "Third"]);
    assert_eq!(history["versions"][0]["written_at"], first["created_at"]);
    assert_eq!(history["versions"][1]["written_at"], edited["edited_at"]);

    for (text, status, code) in [("", 422, "invalid_field"), (" ", 422, "invalid_field")] {
        write(&bob, "POST", &path, text).expect_problem(status, code);
        write(&bob, "PATCH", &own, text).expect_problem(status, code);
    }
    write(&bob, "POST", &path, &"x".repeat(8193)).expect_problem(413, "too_large");
    assert_eq!(daemon.get(&path).expect(200)["items"].as_array().unwrap().len(), 1);
    assert_eq!([audited(&daemon, "comment.added"), audited(&daemon, "comment.edited")], [1, 2]);
}

#[test]
fn who_edits_and_deletes_which_comments() {
    let daemon = Daemon::unlocked();
    let (bob, ann) = (daemon.user("bob_", "writer"), daemon.user("ann_", "writer"));
    let editor = daemon.user("edith", "editor");
    let item = file(&daemon, "one");
    let say = |person: &Person| {
        let path = format!("/items/{item}/comments");
        format!("/comments/{}", id(&daemon.send_as(&person.token, "POST", &path, &json!({ "text": "x" })).expect(201)))
    };
    let (first, second, third) = (say(&bob), say(&bob), say(&ann));
    let edit = |person: &Person, path: &str| daemon.send_as(&person.token, "PATCH", path, &json!({ "text": "y" }));
    edit(&ann, &first).expect_problem(403, "forbidden");
    edit(&editor, &first).expect_problem(403, "forbidden");
    call(&daemon, &ann, "DELETE", &first).expect_problem(403, "forbidden");
    call(&daemon, &bob, "DELETE", &first).expect(204);
    call(&daemon, &bob, "DELETE", &first).expect_problem(404, "not_found");
    call(&daemon, &editor, "DELETE", &second).expect(204);
    daemon.get(&format!("{second}/history")).expect_problem(404, "not_found");
    let listed = daemon.get(&format!("/items/{item}/comments")).expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(format!("/comments/{}", id(&listed["items"][0])), third);
}

#[test]
fn comments_come_in_pages_and_the_last_are_in_the_details() {
    let daemon = Daemon::unlocked();
    let item = folder(&daemon, "one");
    let path = format!("/items/{item}/comments");
    for number in 0..25 {
        daemon.post(&path, &json!({ "text": format!("n{number:02}") })).expect(201);
    }
    let text = |value: &Value| value["text"].as_str().unwrap().to_owned();
    let first = daemon.get(&format!("{path}?limit=20")).expect(200);
    assert_eq!(text(&first["items"][0]), "n00");
    let second = daemon.get(&format!("{path}?limit=20&cursor={}", first["next_cursor"].as_str().unwrap())).expect(200);
    assert_eq!((text(&second["items"][0]), &second["next_cursor"]), ("n20".to_owned(), &Value::Null));
    let details = details(&daemon, &item);
    assert_eq!((&details["comment_count"], text(&details["last_comments"][0])), (&json!(25), "n05".to_owned()));
}

/// Each change of an item, with the status when it is allowed.
fn changes(item: &str, comment: &str) -> Vec<(&'static str, String, Option<Value>, u16)> {
    let path = |rest: &str| format!("/items/{item}/{rest}");
    vec![
        ("PUT", path("tags/x"), None, 204),
        ("DELETE", path("tags/x"), None, 204),
        ("PUT", path("star"), None, 204),
        ("DELETE", path("star"), None, 204),
        ("PUT", path("note"), Some(json!({ "text": "x" })), 201),
        ("DELETE", path("note"), None, 204),
        ("POST", path("comments"), Some(json!({ "text": "x" })), 201),
        ("PATCH", format!("/comments/{comment}"), Some(json!({ "text": "y" })), 200),
        ("DELETE", format!("/comments/{comment}"), None, 204),
    ]
}

/// What everybody may who sees the item.
fn personal(item: &str) -> Vec<(&'static str, String, Option<Value>, u16)> {
    let path = |rest: &str| format!("/items/{item}/{rest}");
    vec![
        ("PUT", path("favourite"), None, 204),
        ("DELETE", path("favourite"), None, 204),
        ("PUT", path("label"), Some(json!({ "colour": "red" })), 204),
        ("DELETE", path("label"), None, 204),
        ("GET", path("details"), None, 200),
        ("GET", path("comments"), None, 200),
    ]
}

fn try_it(daemon: &Daemon, token: &str, (method, path, body, _): &(&'static str, String, Option<Value>, u16)) -> Reply {
    match body {
        Some(body) => daemon.send_as(token, method, path, body),
        None => daemon.request_as(token, method, path, &[], b""),
    }
}

#[test]
fn a_write_protected_folder_takes_nothing_but_personal_marks() {
    let daemon = Daemon::unlocked();
    let outer = folder(&daemon, "outer");
    let inside = file_in(&daemon, &daemon.token, Some(&outer), "inside");
    for item in [&inside, &outer] {
        let comment = id(&daemon.post(&format!("/items/{item}/comments"), &json!({ "text": "x" })).expect(201));
        protect(&daemon, &outer, true);
        for change in changes(item, &comment) {
            try_it(&daemon, &daemon.token, &change).expect_problem(423, "write_protected");
        }
        for change in personal(item) {
            try_it(&daemon, &daemon.token, &change).expect(change.3);
        }
        assert_eq!(details(&daemon, item)["comment_count"], 1);
        protect(&daemon, &outer, false);
        for change in changes(item, &comment) {
            try_it(&daemon, &daemon.token, &change).expect(change.3);
        }
    }
}

#[test]
fn what_one_does_not_see_is_answered_like_what_is_not_there() {
    let daemon = Daemon::unlocked();
    let bob = daemon.user("bob_", "editor");
    let hidden = private_folder(&daemon, "hidden", &[]);
    let inside = file_in(&daemon, &daemon.token, Some(&hidden), "inside");
    let trashed = file(&daemon, "trashed");
    let mut comments = Vec::new();
    for item in [&hidden, &inside, &trashed] {
        let comment = daemon.post(&format!("/items/{item}/comments"), &json!({ "text": "x" })).expect(201);
        daemon.send("PUT", &format!("/items/{item}/note"), &json!({ "text": "x" })).expect(201);
        comments.push(id(&comment));
    }
    daemon.delete(&format!("/files/{trashed}")).expect(204);
    let answers = |item: &str, comment: &str| -> Vec<Value> {
        let mut all = [changes(item, comment), personal(item)].concat();
        all.push(("GET", format!("/items/{item}/note"), None, 200));
        all.push(("GET", format!("/comments/{comment}/history"), None, 200));
        let answer = |change| {
            let mut problem = try_it(&daemon, &bob.token, change).expect_problem(404, "not_found");
            problem["request_id"] = Value::Null;
            problem
        };
        all.iter().map(answer).collect()
    };
    let nothing = answers(UNKNOWN, UNKNOWN);
    for (item, comment) in [&hidden, &inside, &trashed].into_iter().zip(&comments) {
        assert_eq!(answers(item, comment), nothing);
    }
}

#[test]
fn who_only_sees_a_folder_may_talk_about_it_and_change_nothing() {
    let daemon = Daemon::unlocked();
    let bob = daemon.user("bob_", "writer");
    let shared = private_folder(&daemon, "shared", &[&bob]);
    let inside = file_in(&daemon, &daemon.token, Some(&shared), "inside");
    let said = daemon.send_as(&bob.token, "POST", &format!("/items/{inside}/comments"), &json!({ "text": "x" }));
    let comment = id(&said.expect(201));
    for change in changes(&inside, &comment) {
        let reply = try_it(&daemon, &bob.token, &change);
        if change.1.contains("comment") {
            reply.expect(change.3)
        } else {
            reply.expect_problem(403, "forbidden")
        };
    }
    for change in personal(&inside) {
        try_it(&daemon, &bob.token, &change).expect(change.3);
    }
}

#[test]
fn many_items_are_tagged_at_once_each_with_its_result() {
    let daemon = Daemon::unlocked();
    let bob = daemon.user("bob_", "writer");
    let (own, other) = (file_in(&daemon, &bob.token, None, "own"), file(&daemon, "other"));
    let bulk = |action: &str, tag: Value| {
        let body = json!({ "action": action, "items": [own, other, UNKNOWN], "tag": tag });
        daemon.send_as(&bob.token, "POST", "/bulk", &body)
    };
    let codes = |reply: Reply| -> Vec<Value> {
        let results = reply.expect(200)["results"].take();
        results.as_array().unwrap().iter().map(|result| result["problem"]["code"].clone()).collect()
    };
    let expected = [Value::Null, json!("forbidden"), json!("not_found")];
    assert_eq!(codes(bulk("tag", json!("Trip"))), expected);
    assert_eq!(details(&daemon, &own)["tags"], json!(["Trip"]));
    assert_eq!(codes(bulk("untag", json!("trip"))), expected);
    assert_eq!(details(&daemon, &own)["tags"], json!([]));
    bulk("tag", Value::Null).expect_problem(422, "invalid_field");
    bulk("tag", json!("")).expect_problem(422, "invalid_field");
}

#[test]
fn what_changed_last_comes_first_and_from_everywhere() {
    let daemon = Daemon::unlocked();
    let (bob, eve) = (daemon.user("bob_", "writer"), daemon.user("eve_", "reader"));
    let hidden = private_folder(&daemon, "hidden", &[&bob]);
    let open = folder(&daemon, "open");
    let mut made = Vec::new();
    for (token, place, name) in [
        (&daemon.token, None, "one"),
        (&bob.token, Some(&open), "two"),
        (&daemon.token, Some(&hidden), "three"),
        (&daemon.token, None, "four"),
    ] {
        made.push(file_in(&daemon, token, place.map(String::as_str), name));
        daemon.advance(Duration::from_secs(1));
    }
    let recent = |token: &str, query: &str| daemon.get_as(token, &format!("/recent{query}")).expect(200);
    assert_eq!(names(&recent(&bob.token, "")), ["four", "three", "two", "one"]);
    assert_eq!(names(&recent(&eve.token, "")), ["four", "two", "one"]);
    assert_eq!(names(&recent(&bob.token, "?modified_by=me")), ["two"]);
    assert_eq!(names(&recent(&daemon.token, "?modified_by=me")), ["four", "three", "one"]);
    daemon.send("PATCH", &format!("/files/{}", made[0]), &json!({ "name": "uno" })).expect(200);
    daemon.delete(&format!("/files/{}", made[3])).expect(204);
    assert_eq!(names(&recent(&eve.token, "")), ["uno", "two"]);
    let first = recent(&bob.token, "?limit=2");
    assert_eq!(names(&first), ["uno", "three"]);
    let next = recent(&bob.token, &format!("?limit=2&cursor={}", first["next_cursor"].as_str().unwrap()));
    assert_eq!(names(&next), ["two"]);
    daemon.get("/recent?modified_by=bob").expect_problem(400, "bad_request");
    daemon.get("/recent?cursor=x").expect_problem(422, "invalid_field");
}

#[test]
fn what_was_put_on_an_item_survives_and_goes_with_it() {
    let daemon = Daemon::unlocked();
    let item = file(&daemon, "one");
    for path in ["tags/x", "star", "favourite"] {
        daemon.request("PUT", &format!("/items/{item}/{path}"), &[], b"").expect(204);
    }
    daemon.send("PUT", &format!("/items/{item}/note"), &json!({ "text": "x" })).expect(201);
    daemon.post(&format!("/items/{item}/comments"), &json!({ "text": "x" })).expect(201);
    let before = details(&daemon, &item);
    let mut daemon = daemon.crash_and_restart();
    daemon.get(&format!("/items/{item}/details")).expect_problem(423, "vault_locked");
    daemon.unlock();
    daemon.log_in();
    assert_eq!(details(&daemon, &item), before);
    daemon.delete(&format!("/files/{item}")).expect(204);
    daemon.get(&format!("/items/{item}/details")).expect_problem(404, "not_found");
    assert_eq!(names(&daemon.get("/favourites").expect(200)), Vec::<&str>::new());
    assert_eq!(names(&daemon.get("/stars").expect(200)), Vec::<&str>::new());
    daemon.post(&format!("/trash/{item}/restore"), &json!({})).expect(200);
    assert_eq!(details(&daemon, &item), before, "it comes back with all that was on it");
    daemon.delete(&format!("/files/{item}")).expect(204);
    daemon.delete(&format!("/trash/{item}")).expect(204);
    assert_eq!(names(&daemon.get("/favourites").expect(200)), Vec::<&str>::new());
    assert_eq!(tags(&daemon, &daemon.token), counted(&[]));
}
