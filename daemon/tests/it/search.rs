//! Search: what is found, in which order, and by whom.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Reply;
use crate::harness::{Daemon, Person, sha256};

/// How long the index may be behind on a loaded machine.
const LIMIT: Duration = Duration::from_secs(30);

fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap().to_owned()
}

fn folder(daemon: &Daemon, parent: Option<&str>, name: &str) -> String {
    id(&daemon.post("/folders", &json!({ "parent_id": parent, "name": name })).expect(201))
}

fn upload(daemon: &Daemon, token: &str, folder: Option<&str>, name: &str, content: &[u8]) -> String {
    let place = folder.map(|id| format!("&folder_id={id}")).unwrap_or_default();
    id(&daemon.request_as(token, "POST", &format!("/files?name={name}{place}"), &[], content).expect(201))
}

fn file(daemon: &Daemon, name: &str, content: &str) -> String {
    upload(daemon, &daemon.token, None, name, content.as_bytes())
}

fn ask(daemon: &Daemon, token: &str, query: &str) -> Reply {
    daemon.get_as(token, &format!("/search?{query}"))
}

fn names(page: &Value) -> Vec<String> {
    let name = |found: &Value| found["item"]["name"].as_str().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(name).collect()
}

/// The names that the administrator finds now, in their order.
fn found(daemon: &Daemon, query: &str) -> Vec<String> {
    names(&ask(daemon, &daemon.token, query).expect(200))
}

/// Waits until exactly these are found, in any order.
#[track_caller]
fn until_found(daemon: &Daemon, query: &str, expected: &[&str]) {
    let start = Instant::now();
    loop {
        let mut names = found(daemon, query);
        names.sort();
        if names == expected {
            return;
        }
        assert!(start.elapsed() < LIMIT, "{query}: {names:?} instead of {expected:?}");
        crate::harness::pause();
    }
}

/// Waits until the index has seen everything that happened so far: changes are taken in their order.
fn settle(daemon: &Daemon) {
    let name = format!("settled{}", uuid::Uuid::new_v4().simple());
    let marker = folder(daemon, None, &name);
    until_found(daemon, &format!("q={name}%20"), &[&name]);
    daemon.delete(&format!("/folders/{marker}")).expect(204);
}

/// A snippet with brackets around what was found.
fn shown(found: &Value) -> (String, String) {
    let parts = found["snippet"]["parts"].as_array().unwrap();
    let text = |part: &Value| part["text"].as_str().unwrap().to_owned();
    let shown = parts.iter().map(|part| if part["found"] == true { format!("[{}]", text(part)) } else { text(part) });
    (found["snippet"]["source"].as_str().unwrap().to_owned(), shown.collect())
}

#[test]
fn words_are_found_wherever_they_stand_and_names_count_most() {
    let daemon = Daemon::unlocked();
    file(&daemon, "content.txt", "Here the giraffe stands in the text.");
    let (tagged, noted, said) = (file(&daemon, "tagged", ""), file(&daemon, "noted", ""), file(&daemon, "said", ""));
    daemon.request("PUT", &format!("/items/{tagged}/tags/Giraffe"), &[], b"").expect(204);
    daemon.send("PUT", &format!("/items/{noted}/note"), &json!({ "text": "# A giraffe" })).expect(201);
    daemon.post(&format!("/items/{said}/comments"), &json!({ "text": "is this a *giraffe*?" })).expect(201);
    file(&daemon, "giraffe.png", "");
    folder(&daemon, None, "Giraffes");
    settle(&daemon);
    let all = found(&daemon, "q=giraffe");
    assert_eq!(all.len(), 6, "{all:?}");
    assert!(all[..2].iter().all(|name| name.to_lowercase().starts_with("giraffe")), "{all:?}");
    assert_eq!(all[2..4], ["tagged", "noted"]);
    let page = ask(&daemon, &daemon.token, "q=giraffe%20").expect(200);
    let snippets: Vec<(String, String)> =
        page["items"].as_array().unwrap().iter().filter(|found| !found["snippet"].is_null()).map(shown).collect();
    let snippet = |source: &str| snippets.iter().find(|(from, _)| from == source).unwrap().1.clone();
    assert_eq!(snippets.len(), 3);
    assert_eq!(snippet("content"), "Here the [giraffe] stands in the text.");
    assert_eq!(snippet("note"), "# A [giraffe]");
    assert_eq!(snippet("comments"), "is this a *[giraffe]*? ");
    assert_eq!((&page["limited"], &page["next_cursor"]), (&json!(false), &Value::Null));
}

#[test]
fn the_last_word_may_be_a_beginning_and_all_words_must_be_there() {
    let daemon = Daemon::unlocked();
    file(&daemon, "one.txt", "The Caf\u{e9} in Z\u{fc}rich opens early");
    file(&daemon, "two.txt", "a zurichsee cruise");
    settle(&daemon);
    for (query, expected) in [
        ("zur", &["one.txt", "two.txt"][..]),
        ("zur%20", &[]),
        ("Z%C3%9CRICH", &["one.txt", "two.txt"]),
        ("z%C3%BCrich%20", &["one.txt"]),
        ("cafe%20zur", &["one.txt"]),
        ("caf%20zurich", &[]),
        ("early%20opens", &["one.txt"]),
        ("opens-early", &["one.txt"]),
        ("early-opens", &[]),
        ("two.tx", &["two.txt"]),
        ("nothing", &[]),
    ] {
        let mut names = found(&daemon, &format!("q={query}"));
        names.sort();
        assert_eq!(names, expected, "{query}");
    }
}

#[test]
fn what_people_type_is_never_syntax() {
    let daemon = Daemon::unlocked();
    file(&daemon, "one.txt", "alpha OR beta");
    settle(&daemon);
    for query in [
        "alpha%20OR%20gamma",
        "name:alpha",
        "%22alpha",
        "alpha%22%20OR%20%22x",
        "alpha*%20*",
        "NEAR(alpha%20beta)",
        "-alpha",
        "%5Ealpha%20beta",
        "%7Bname%20tags%7D:alpha",
        "alpha%20AND",
        "%27;DROP%20TABLE%20files;--",
        "%00alpha",
        "alpha%00",
        "(((",
        "%2B",
    ] {
        let reply = ask(&daemon, &daemon.token, &format!("q={query}"));
        assert!(reply.status == 200 || reply.status == 422, "{query}: {reply:?}");
    }
    assert_eq!(found(&daemon, "q=alpha%20OR%20beta"), ["one.txt"]);
    assert_eq!(found(&daemon, "q=alpha%20OR%20gamma"), Vec::<String>::new());
    for query in ["q=--", "q=%F0%9F%8F%96", "type=image%2F", "tag=%20", "cursor=x", "cursor=AAAA"] {
        ask(&daemon, &daemon.token, query).expect_problem(422, "invalid_field");
    }
    ask(&daemon, &daemon.token, &format!("q={}", "x".repeat(401))).expect_problem(422, "invalid_field");
    for query in ["size__ge=-1", "modified__ge=yesterday", "kind=thing", "limit=x", "unknown=1", "owner_id=x"] {
        ask(&daemon, &daemon.token, query).expect_problem(400, "bad_request");
    }
}

#[test]
fn a_change_is_found_and_what_was_there_before_is_not() {
    let daemon = Daemon::unlocked();
    let item = file(&daemon, "draft.txt", "walrus");
    until_found(&daemon, "q=walrus", &["draft.txt"]);
    daemon.request("PUT", &format!("/files/{item}/content"), &[], b"penguin").expect(200);
    until_found(&daemon, "q=penguin", &["draft.txt"]);
    until_found(&daemon, "q=walrus", &[]);
    daemon.send("PATCH", &format!("/files/{item}"), &json!({ "name": "final.txt" })).expect(200);
    until_found(&daemon, "q=final", &["final.txt"]);
    assert_eq!(found(&daemon, "q=draft"), Vec::<String>::new());
    assert_eq!(found(&daemon, "q=penguin"), ["final.txt"], "the words of the content stay");
    daemon.request("PUT", &format!("/items/{item}/tags/arctic"), &[], b"").expect(204);
    until_found(&daemon, "q=arctic%20penguin", &["final.txt"]);
    daemon.delete(&format!("/items/{item}/tags/arctic")).expect(204);
    until_found(&daemon, "q=arctic", &[]);

    let copy = daemon.post(&format!("/files/{item}/copy"), &json!({ "name": "copy.txt" })).expect(201);
    until_found(&daemon, "q=penguin", &["copy.txt", "final.txt"]);
    daemon.delete(&format!("/files/{}", id(&copy))).expect(204);
    assert_eq!(found(&daemon, "q=penguin"), ["final.txt"], "at once, whatever the index says");
    settle(&daemon);
    daemon.post(&format!("/trash/{}/restore", id(&copy)), &json!({})).expect(200);
    until_found(&daemon, "q=penguin", &["copy.txt", "final.txt"]);
}

#[test]
fn what_lies_in_a_folder_in_the_trash_is_not_found() {
    let daemon = Daemon::unlocked();
    let outer = folder(&daemon, None, "outer");
    let inner = folder(&daemon, Some(&outer), "inner");
    upload(&daemon, &daemon.token, Some(&inner), "deep.txt", b"narwhal");
    until_found(&daemon, "q=narwhal", &["deep.txt"]);
    daemon.delete(&format!("/folders/{outer}")).expect(204);
    assert_eq!(found(&daemon, "q=narwhal"), Vec::<String>::new());
    daemon.post(&format!("/trash/{outer}/restore"), &json!({})).expect(200);
    assert_eq!(found(&daemon, "q=narwhal"), ["deep.txt"]);
    daemon.delete(&format!("/folders/{outer}")).expect(204);
    daemon.delete(&format!("/trash/{outer}")).expect(204);
    assert_eq!(found(&daemon, "q=narwhal"), Vec::<String>::new());
    settle(&daemon);
    assert_eq!(found(&daemon, "q=inner"), Vec::<String>::new());
}

#[test]
fn everybody_finds_what_they_see() {
    let daemon = Daemon::unlocked();
    let (bob, eve) = (daemon.user("bob_", "writer"), daemon.user("eve_", "editor"));
    let hidden = folder(&daemon, None, "hidden");
    let list = json!({ "private": true, "grants": [{ "user_id": bob.id, "access": "read" }] });
    daemon.send("PUT", &format!("/folders/{hidden}/access"), &list).expect(200);
    let inner = folder(&daemon, Some(&hidden), "inner");
    upload(&daemon, &daemon.token, Some(&inner), "secret.txt", b"lynx");
    file(&daemon, "open.txt", "lynx");
    settle(&daemon);
    let of = |person: &Person, query: &str| {
        let mut names = names(&ask(&daemon, &person.token, query).expect(200));
        names.sort();
        names
    };
    assert_eq!(of(&bob, "q=lynx"), ["open.txt", "secret.txt"]);
    assert_eq!(of(&eve, "q=lynx"), ["open.txt"]);
    assert_eq!(of(&eve, "q=inner"), Vec::<String>::new());
    assert_eq!(of(&eve, "kind=folder"), Vec::<String>::new());
    assert_eq!(of(&bob, &format!("q=lynx&folder_id={hidden}")), ["secret.txt"]);
    ask(&daemon, &eve.token, &format!("q=lynx&folder_id={hidden}")).expect_problem(404, "not_found");

    let body = json!({ "name": "k", "role": "admin", "folder_id": hidden });
    let key = daemon.post("/api-keys", &body).expect(201)["key"].as_str().unwrap().to_owned();
    assert_eq!(names(&ask(&daemon, &key, "q=lynx").expect(200)), ["secret.txt"], "a key for one folder");
    ask(&daemon, &key, "q=lynx&folder_id=01890000-0000-7000-8000-000000000000").expect_problem(404, "not_found");

    daemon.send("PUT", &format!("/folders/{hidden}/access"), &json!({ "private": false })).expect(200);
    assert_eq!(of(&eve, "q=lynx"), ["open.txt", "secret.txt"], "at once");
}

#[test]
fn filters_hold_together() {
    let daemon = Daemon::unlocked();
    let bob = daemon.user("bob_", "writer");
    let (outer, other) = (folder(&daemon, None, "outer"), folder(&daemon, None, "other"));
    let inner = folder(&daemon, Some(&outer), "inner puma");
    upload(&daemon, &daemon.token, Some(&outer), "a.txt", b"puma");
    let tagged = upload(&daemon, &bob.token, Some(&inner), "b.md", b"puma puma puma puma");
    daemon.advance(Duration::from_hours(1));
    let mut daemon = daemon;
    daemon.log_in();
    let before = daemon.now_s();
    upload(&daemon, &daemon.token, Some(&other), "puma.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    daemon.request("PUT", &format!("/items/{tagged}/tags/Big%20Cat"), &[], b"").expect(204);
    settle(&daemon);
    let at = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap();
    let (earlier, later) = (at(before - 60), at(before + 600));
    for (query, expected) in [
        ("q=puma".to_owned(), &["a.txt", "b.md", "inner puma", "puma.png"][..]),
        ("q=puma&kind=file".to_owned(), &["a.txt", "b.md", "puma.png"]),
        ("q=puma&kind=folder".to_owned(), &["inner puma"]),
        ("q=puma&type=text".to_owned(), &["a.txt", "b.md"]),
        ("q=puma&type=text%2Fplain".to_owned(), &["a.txt"]),
        ("q=puma&type=image".to_owned(), &["puma.png"]),
        ("q=puma&tag=big%20cat".to_owned(), &["b.md"]),
        ("q=puma&tag=small%20cat".to_owned(), &[]),
        (format!("q=puma&folder_id={outer}"), &["a.txt", "b.md", "inner puma"]),
        (format!("q=puma&folder_id={inner}"), &["b.md"]),
        (format!("q=puma&owner_id={}", bob.id), &["b.md"]),
        ("q=puma&size__ge=5".to_owned(), &["b.md", "puma.png"]),
        ("q=puma&size__ge=5&size__le=16".to_owned(), &["puma.png"]),
        ("q=puma&size__le=4".to_owned(), &["a.txt"]),
        (format!("q=puma&modified__ge={earlier}"), &["puma.png"]),
        (format!("q=puma&modified__le={earlier}"), &["a.txt", "b.md", "inner puma"]),
        (format!("modified__ge={earlier}&modified__le={later}"), &["puma.png"]),
        ("tag=BIG%20CAT".to_owned(), &["b.md"]),
        (format!("folder_id={outer}&kind=file&type=text"), &["a.txt", "b.md"]),
        (format!("q=puma&folder_id={outer}&type=text&size__ge=5&owner_id={}", bob.id), &["b.md"]),
    ] {
        let mut names = found(&daemon, &query);
        names.sort();
        assert_eq!(names, expected, "{query}");
    }
    assert_eq!(found(&daemon, "kind=file&q=%20"), ["puma.png", "b.md", "a.txt"], "without words the last comes first");
}

#[test]
fn pages_go_on_where_the_one_before_ended() {
    let daemon = Daemon::unlocked();
    for number in 0..23 {
        let content = "otter ".repeat(1 + number % 3);
        file(&daemon, &format!("f{number:02}.txt"), &content);
    }
    settle(&daemon);
    for query in ["q=otter", "type=text"] {
        let all = found(&daemon, &format!("{query}&limit=100"));
        assert_eq!(all.len(), 23);
        let (mut together, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = ask(&daemon, &daemon.token, &format!("{query}&limit=5{cursor}")).expect(200);
            assert!(names(&page).len() <= 5);
            together.extend(names(&page));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(together, all, "{query}");
    }
}

#[test]
fn texts_markup_and_what_cameras_write_are_read() {
    let daemon = Daemon::unlocked();
    file(&daemon, "main.rs", "fn ferret() {}");
    file(&daemon, "read.md", "# The badger");
    file(&daemon, "page.html", "<!doctype html><html><script>stoat()</script><p>The w&#101;asel</p></html>");
    upload(&daemon, &daemon.token, None, "old.txt", b"caf\xe9 cr\xe8me");
    upload(&daemon, &daemon.token, None, "photo.jpg", &photo());
    upload(&daemon, &daemon.token, None, "letter.pdf", &pdf("The polecat"));
    upload(&daemon, &daemon.token, None, "program", b"\x7fELF\x02\x01\x01\0 marmot");
    let long = format!("{} mongoose", "filler words ".repeat(40_000));
    file(&daemon, "long.txt", &long);
    settle(&daemon);
    for (query, expected) in [
        ("ferret", &["main.rs"][..]),
        ("badger", &["read.md"]),
        ("weasel", &["page.html"]),
        ("stoat", &[]),
        ("creme", &["old.txt"]),
        ("Coffercam", &["photo.jpg"]),
        ("2024-05-17", &["photo.jpg"]),
        ("polecat", if is_installed("pdftotext") { &["letter.pdf"] } else { &[] }),
        ("marmot", &[]),
        ("filler", &["long.txt"]),
        ("mongoose", &[]),
    ] {
        assert_eq!(found(&daemon, &format!("q={query}")), expected, "{query}");
    }
}

#[test]
fn nothing_is_lost_over_a_lock_or_a_crash() {
    let daemon = Daemon::unlocked();
    for number in 0..40 {
        file(&daemon, &format!("n{number}.txt"), "heron");
    }
    let mut daemon = daemon.crash_and_restart();
    ask(&daemon, &daemon.token, "q=heron").expect_problem(423, "vault_locked");
    daemon.unlock();
    daemon.log_in();
    file(&daemon, "last.txt", "stork");
    daemon.post("/vault/lock", &json!({})).expect(200);
    daemon.unlock();
    until_found(&daemon, "q=stork", &["last.txt"]);
    assert_eq!(found(&daemon, "q=heron&limit=100").len(), 40);
}

#[test]
fn the_index_holds_no_word_outside_of_the_vault() {
    let mut daemon = Daemon::unlocked();
    file(&daemon, "one.txt", "quagga-in-the-text");
    until_found(&daemon, "q=quagga", &["one.txt"]);
    assert!(!daemon.log().contains("quagga") && !daemon.log().contains("one.txt"));
    for path in crate::harness::files_below(&daemon.state) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(6).any(|window| window == b"quagga"), "{}: {}", path.display(), sha256(&bytes));
    }
}

fn is_installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|directory| directory.join(program).is_file())
}

/// A PDF of one page with that line on it. Readers find its objects without a table of them.
fn pdf(line: &str) -> Vec<u8> {
    let text = format!("BT /F1 12 Tf 20 100 Td ({line}) Tj ET");
    format!(
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
         2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
         3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>endobj\n\
         4 0 obj<</Length {length}>>stream\n{text}\nendstream endobj\n\
         5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n\
         trailer<</Root 1 0 R>>\n",
        length = text.len()
    )
    .into_bytes()
}

/// A JPEG of nothing but its notes: made by "Coffercam", on 17 May 2024.
fn photo() -> Vec<u8> {
    let (make, taken) = (b"Coffercam\0", b"2024:05:17 12:33:01\0");
    // A little-endian TIFF: one directory with the maker and a pointer to a second one with the date.
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let (second, texts) = (8 + 2 + 2 * 12 + 4, 8 + 2 + 2 * 12 + 4 + 2 + 12 + 4);
    let length = |text: &[u8]| u32::try_from(text.len()).unwrap();
    tiff.extend(2_u16.to_le_bytes());
    tiff.extend(entry(0x010f, 2, length(make), texts));
    tiff.extend(entry(0x8769, 4, 1, second));
    tiff.extend(0_u32.to_le_bytes());
    tiff.extend(1_u16.to_le_bytes());
    tiff.extend(entry(0x9003, 2, length(taken), texts + length(make)));
    tiff.extend(0_u32.to_le_bytes());
    tiff.extend(make);
    tiff.extend(taken);
    let segment = [b"Exif\0\0".to_vec(), tiff].concat();
    let mut jpeg = b"\xff\xd8\xff\xe1".to_vec();
    jpeg.extend(u16::try_from(segment.len() + 2).unwrap().to_be_bytes());
    jpeg.extend(segment);
    jpeg.extend(b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\0\xff\xd9");
    jpeg
}
