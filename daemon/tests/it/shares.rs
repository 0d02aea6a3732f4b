//! Share links: what people without an account reach by one, and what they do not.

use std::time::Duration;

use serde_json::{Value, json};

use crate::archives::unpacked;
use crate::audit::rows;
use crate::client::{Reply, exchange, tcp};
use crate::harness::{ADMIN, ADMIN_PASSWORD, Daemon, Person, content, sha256};
use crate::share_drops::form;

const LINK_PASSWORD: &str = "pineapple";
const HOUR: Duration = Duration::from_hours(1);
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0";

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Makes a link with the administrator's token: its id and its address.
pub(crate) fn share(daemon: &Daemon, body: &Value) -> (String, String) {
    share_as(daemon, &daemon.token, body)
}

pub(crate) fn share_as(daemon: &Daemon, token: &str, body: &Value) -> (String, String) {
    let made = daemon.send_as(token, "POST", "/shares", body).expect(201);
    assert_eq!(text(&made["path"]), format!("/share/{}", text(&made["token"])));
    (text(&made["id"]), text(&made["path"]))
}

/// As a visitor asks: at the root, with no account.
pub(crate) fn visit(daemon: &Daemon, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    exchange(&mut tcp(daemon.address), method, path, headers, body)
}

pub(crate) fn get(daemon: &Daemon, path: &str) -> Reply {
    visit(daemon, "GET", path, &[], b"")
}

pub(crate) fn html(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8", "{reply:?}");
    String::from_utf8(reply.body.clone()).unwrap()
}

pub(crate) fn upload(daemon: &Daemon, token: &str, folder: &str, name: &str, bytes: &[u8]) -> String {
    let path = format!("/files?folder_id={folder}&name={name}");
    text(&daemon.request_as(token, "POST", &path, &[], bytes).expect(201)["id"])
}

pub(crate) fn folder(daemon: &Daemon, token: &str, parent: Option<&str>, name: &str) -> String {
    let body = json!({ "parent_id": parent, "name": name });
    text(&daemon.send_as(token, "POST", "/folders", &body).expect(201)["id"])
}

fn file(daemon: &Daemon, name: &str, bytes: &[u8]) -> String {
    text(&daemon.upload(name, bytes).expect(201)["id"])
}

pub(crate) fn counters(daemon: &Daemon, id: &str) -> [u64; 4] {
    let share = daemon.get(&format!("/shares/{id}")).expect(200);
    ["views", "downloads", "uploads", "uploaded_bytes"].map(|name| share[name].as_u64().unwrap())
}

pub(crate) fn names(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| text(&item["name"])).collect()
}

#[test]
fn a_link_gives_out_its_file_and_tells_who_took_it_from_where() {
    let daemon = Daemon::unlocked();
    let bytes = content(300_000, 1);
    let id = file(&daemon, "report.bin", &bytes);
    let (share_id, link) = share(&daemon, &json!({ "kind": "download", "file_id": id, "name": "For you" }));
    let info = get(&daemon, &format!("{link}/info")).expect(200);
    assert_eq!((&info["kind"], &info["item"], &info["name"]), (&json!("download"), &json!("file"), &json!("For you")));
    assert_eq!((&info["size_bytes"], &info["downloads_left"]), (&json!(300_000), &Value::Null));
    let path = format!("{link}/content");
    let head = visit(&daemon, "HEAD", &path, &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, "300000"));
    assert_eq!(counters(&daemon, &share_id), [0; 4], "nobody has taken anything yet");
    let taken = visit(&daemon, "GET", &path, &[("cf-connecting-ip", "203.0.113.9")], b"");
    assert!(taken.status == 200 && taken.body == bytes);
    assert_eq!(taken.header("etag"), format!("\"{}\"", sha256(&bytes)));
    assert!(taken.header("content-disposition").starts_with("attachment; filename=\"report.bin\""));
    assert_eq!(taken.header("referrer-policy"), "no-referrer");
    let known = [("if-none-match", taken.header("etag"))];
    assert_eq!(visit(&daemon, "GET", &path, &known, b"").status, 304);
    assert_eq!(get(&daemon, &link).status, 200);
    assert_eq!(counters(&daemon, &share_id), [1, 1, 0, 0]);
    assert!(daemon.get(&format!("/shares/{share_id}")).expect(200)["last_used_at"].is_string());
    let row = rows(&daemon, "action=share.downloaded").remove(0);
    assert_eq!((&row["subject_id"], &row["actor_id"]), (&json!(share_id), &Value::Null));
    assert_eq!((&row["address"], &row["detail"]), (&json!("203.0.113.9"), &json!(format!("file: {id}"))));
    assert_eq!(rows(&daemon, "action=share.created").len(), 1);
    // The link leads to this file, whatever an address asks for; an account's token opens nothing here.
    let other = file(&daemon, "other", b"x");
    get(&daemon, &format!("{path}?item={other}")).expect_problem(404, "not_found");
    assert_eq!(get(&daemon, &format!("{path}?item={id}")).status, 200);
    let bearer = format!("Bearer {}", daemon.token);
    let headers = [("authorization", bearer.as_str())];
    visit(&daemon, "GET", &format!("{path}?item={other}"), &headers, b"").expect_problem(404, "not_found");
}

/// Status, headers and body.
type Answer = (u16, Vec<(String, String)>, Vec<u8>);

#[test]
fn whatever_is_wrong_with_a_link_looks_the_same() {
    let daemon = Daemon::unlocked();
    let bea = daemon.user("bea_", "writer");
    let id = upload(&daemon, &bea.token, &folder(&daemon, &bea.token, None, "bea"), "f", b"content");
    let make = |body: Value| share_as(&daemon, &bea.token, &body).1;
    let plain = || make(json!({ "kind": "download", "file_id": id }));
    let unknown = ["/share/AAAAAAAAAAAAAAAAAAAAAA".to_owned(), "/share/nonsense".to_owned(), "/share/%ff".to_owned()];
    let mut gone = unknown.to_vec();

    let (revoked_id, revoked) = share_as(&daemon, &bea.token, &json!({ "kind": "download", "file_id": id }));
    daemon.request_as(&bea.token, "DELETE", &format!("/shares/{revoked_id}"), &[], b"").expect(204);
    let used_up = make(json!({ "kind": "download", "file_id": id, "max_downloads": 1, "password": LINK_PASSWORD }));
    let right = [("x-share-password", LINK_PASSWORD), ("cf-connecting-ip", "203.0.113.1")];
    assert_eq!(visit(&daemon, "GET", &format!("{used_up}/content"), &right, b"").status, 200);
    let soon = jiff::Timestamp::from_second(daemon.now_s() + 60).unwrap().to_string();
    let expired = make(json!({ "kind": "download", "file_id": id, "password": LINK_PASSWORD, "expires_at": soon }));
    assert_eq!(get(&daemon, &expired).status, 403);
    daemon.advance(Duration::from_mins(1));
    let trashed_id = file(&daemon, "trashed", b"x");
    let trashed = share(&daemon, &json!({ "kind": "download", "file_id": trashed_id })).1;
    daemon.delete(&format!("/files/{trashed_id}")).expect(204);
    let trashed_drop = folder(&daemon, &daemon.token, None, "drop");
    let dropless = share(&daemon, &json!({ "kind": "drop", "folder_id": trashed_drop })).1;
    daemon.delete(&format!("/folders/{trashed_drop}")).expect(204);
    let hidden_folder = folder(&daemon, &daemon.token, None, "hidden");
    let hidden = share_as(&daemon, &bea.token, &json!({ "kind": "download", "folder_id": hidden_folder })).1;
    daemon.send("PUT", &format!("/folders/{hidden_folder}/access"), &json!({ "private": true })).expect(200);
    gone.extend([revoked, used_up, expired, trashed, dropless, hidden]);
    // What each maker must have, taken away one after the other.
    for (name, change) in [("demoted", json!({ "role": "reader" })), ("inactive", json!({ "active": false }))] {
        let maker = daemon.user(name, "writer");
        let link = share_as(&daemon, &maker.token, &json!({ "kind": "download", "file_id": id })).1;
        assert_eq!(get(&daemon, &link).status, 200);
        daemon.send("PATCH", &format!("/users/{}", maker.id), &change).expect(200);
        gone.push(link);
    }
    let deleted = plain();
    assert_eq!(get(&daemon, &deleted).status, 200);
    daemon.delete(&format!("/users/{}", bea.id)).expect(204);
    gone.push(deleted);

    let accept = [("accept", "text/html")];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let multipart = [("content-type", "multipart/form-data; boundary=b")];
    let password = [("x-share-password", LINK_PASSWORD)];
    let ask = |link: &str| -> Vec<Answer> {
        let asked = [
            visit(&daemon, "GET", link, &[], b""),
            visit(&daemon, "GET", &format!("{link}?folder={hidden_folder}"), &[], b""),
            visit(&daemon, "HEAD", link, &[], b""),
            visit(&daemon, "POST", link, &form, b"password=pineapple"),
            visit(&daemon, "GET", &format!("{link}/info"), &[], b""),
            visit(&daemon, "GET", &format!("{link}/info"), &password, b""),
            visit(&daemon, "GET", &format!("{link}/items"), &[], b""),
            visit(&daemon, "GET", &format!("{link}/content"), &[], b""),
            visit(&daemon, "GET", &format!("{link}/content?item={id}"), &[("range", "bytes=1-2")], b""),
            visit(&daemon, "GET", &format!("{link}/content"), &accept, b""),
            visit(&daemon, "GET", &format!("{link}/archive"), &[], b""),
            visit(&daemon, "POST", &format!("{link}/upload?name=f"), &[], b"x"),
            visit(&daemon, "POST", &format!("{link}/upload"), &multipart, b"--b--\r\n"),
        ];
        let plain = |reply: Reply| {
            let varying = ["x-request-id", "date"];
            let headers = reply.headers.into_iter().filter(|(name, _)| !varying.contains(&name.as_str())).collect();
            (reply.status, headers, reply.body)
        };
        asked.into_iter().map(plain).collect()
    };
    let expected = ask(&unknown[0]);
    assert!(expected.iter().all(|(status, _, _)| *status == 404));
    for link in &gone {
        assert!(ask(link) == expected, "{link}: {:?}", ask(link).iter().map(|reply| reply.0).collect::<Vec<_>>());
    }
}

#[test]
fn the_parts_of_a_download_count_once_and_the_last_one_may_go_on() {
    let daemon = Daemon::unlocked();
    let bytes = content(10_000, 2);
    let id = file(&daemon, "f", &bytes);
    let (share_id, link) = share(&daemon, &json!({ "kind": "download", "file_id": id, "max_downloads": 2 }));
    let path = format!("{link}/content");
    let part = |from: &str, range: &str| {
        visit(&daemon, "GET", &path, &[("range", range), ("cf-connecting-ip", from)], b"").status
    };
    let (one, other, third) = ("192.0.2.1", "192.0.2.2", "192.0.2.3");
    assert_eq!([part(one, "bytes=0-99"), part(one, "bytes=100-199"), part(one, "bytes=9000-")], [206; 3]);
    assert_eq!(counters(&daemon, &share_id)[1], 1);
    // To leave out the first byte is no way around being counted.
    assert_eq!([part(other, "bytes=1-"), part(other, "bytes=5000-")], [206; 2]);
    assert_eq!(counters(&daemon, &share_id)[1], 2);
    assert_eq!([part(third, "bytes=0-"), part(third, "bytes=1-")], [404; 2], "it is used up");
    assert_eq!(get(&daemon, &link).status, 404);
    assert_eq!(part(one, "bytes=200-299"), 206, "but what was begun goes on");
    daemon.advance(HOUR);
    assert_eq!(part(one, "bytes=300-399"), 404, "for an hour");
}

#[test]
fn of_many_at_once_for_the_last_download_one_gets_it() {
    let daemon = Daemon::unlocked();
    let id = file(&daemon, "f", &content(600_000, 3));
    let (share_id, link) = share(&daemon, &json!({ "kind": "download", "file_id": id, "max_downloads": 1 }));
    let path = format!("{link}/content");
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let ask = |n: usize| {
            let (daemon, path) = (&daemon, &path);
            scope.spawn(move || {
                let address = format!("198.51.100.{n}");
                visit(daemon, "GET", path, &[("cf-connecting-ip", &address)], b"").status
            })
        };
        let asked: Vec<_> = (0..8).map(ask).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 404).count(), 7, "{codes:?}");
    assert_eq!(counters(&daemon, &share_id)[1], 1);
    // More are given out when its maker says so.
    daemon.send("PATCH", &format!("/shares/{share_id}"), &json!({ "max_downloads": 2 })).expect(200);
    assert_eq!([get(&daemon, &path).status, get(&daemon, &path).status], [200, 404]);
}

/// Sends the form with a password: the reply, and the cookie that it set.
fn unlock(daemon: &Daemon, link: &str, password: &str) -> (Reply, String) {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let reply = visit(daemon, "POST", link, &headers, format!("password={password}").as_bytes());
    let cookie = reply.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    (reply, cookie)
}

#[test]
fn a_password_is_asked_for_once_and_again_when_it_changes() {
    let daemon = Daemon::unlocked();
    let id = file(&daemon, "secret.txt", b"words");
    let body = json!({ "kind": "download", "file_id": id, "password": "gr\u{fc}n+blau" });
    let ((share_id, link), (_, other)) = (share(&daemon, &body), share(&daemon, &body));
    assert_eq!(daemon.get(&format!("/shares/{share_id}")).expect(200)["has_password"], true);
    let asked = get(&daemon, &link);
    assert_eq!(asked.status, 403);
    let page = html(&asked);
    assert!(page.contains("type=\"password\"") && !page.contains("secret.txt") && !page.contains("role=\"alert\""));
    for path in ["/info", "/content", "/items"] {
        get(&daemon, &format!("{link}{path}")).expect_problem(403, "share_password");
    }
    let (wrong, cookie) = unlock(&daemon, &link, "green");
    assert!(wrong.status == 403 && cookie.is_empty() && html(&wrong).contains("role=\"alert\""));
    let (right, cookie) = unlock(&daemon, &link, "gr%C3%BCn%2Bblau");
    assert_eq!((right.status, right.header("location")), (303, link.as_str()));
    let attributes = right.header("set-cookie").to_owned();
    assert!(attributes.ends_with(&format!("; Path={link}; Max-Age=3600; HttpOnly; SameSite=Strict")), "{attributes}");
    let with = |cookie: &str| visit(&daemon, "GET", &format!("{link}/content"), &[("cookie", cookie)], b"").status;
    assert_eq!(with(&cookie), 200);
    assert_eq!(with(&format!("a=b; {cookie}; c=d")), 200);
    assert!(html(&visit(&daemon, "GET", &link, &[("cookie", &cookie)], b"")).contains("secret.txt"));
    let header = [("x-share-password", "gr\u{fc}n+blau")];
    assert_eq!(visit(&daemon, "GET", &format!("{link}/content"), &header, b"").status, 200);
    // It opens this link alone, as it is, for an hour.
    let foreign = visit(&daemon, "GET", &format!("{other}/content"), &[("cookie", &cookie)], b"");
    foreign.expect_problem(403, "share_password");
    let (end, signature) = cookie.trim_start_matches("coffer_share=").split_once('.').unwrap();
    let later = end.parse::<i64>().unwrap() + 1;
    let forgeries = [format!("{later}.{signature}"), format!("{end}."), format!("{end}.AAAA"), String::new()];
    for forged in forgeries {
        assert_eq!(with(&format!("coffer_share={forged}")), 403, "{forged}");
    }
    daemon.send("PATCH", &format!("/shares/{share_id}"), &json!({ "name": "x" })).expect(200);
    assert_eq!(with(&cookie), 200);
    let change = json!({ "password": "another one" });
    daemon.send("PATCH", &format!("/shares/{share_id}"), &change).expect(200);
    assert_eq!(with(&cookie), 403);
    let (right, cookie) = unlock(&daemon, &link, "another+one");
    assert_eq!((right.status, with(&cookie)), (303, 200));
    daemon.advance(HOUR);
    assert_eq!(with(&cookie), 403);
    let admin = daemon.log_in_as(ADMIN, ADMIN_PASSWORD);
    daemon.send_as(&admin.token, "PATCH", &format!("/shares/{share_id}"), &json!({ "password": null })).expect(200);
    assert_eq!(with(""), 200);
    let proxied = [("content-type", "application/x-www-form-urlencoded"), ("x-forwarded-proto", "https")];
    let secure = visit(&daemon, "POST", &other, &proxied, b"password=gr%C3%BCn%2Bblau");
    assert!(secure.header("set-cookie").ends_with("; Secure"), "{secure:?}");
}

#[test]
fn guesses_at_the_password_of_a_link_are_spaced_out_and_audited() {
    let daemon = Daemon::unlocked();
    let id = file(&daemon, "f", b"x");
    let (share_id, link) = share(&daemon, &json!({ "kind": "download", "file_id": id, "password": LINK_PASSWORD }));
    let guess = |from: &str, password: &str| {
        let headers = [("x-share-password", password), ("cf-connecting-ip", from)];
        visit(&daemon, "GET", &format!("{link}/info"), &headers, b"")
    };
    for number in 0..11 {
        guess(&format!("192.0.2.{number}"), "wrong").expect_problem(403, "share_password");
    }
    let refused = guess("192.0.2.99", LINK_PASSWORD);
    assert!(!refused.header("retry-after").is_empty());
    refused.expect_problem(429, "too_many_attempts");
    let (page, _) = unlock(&daemon, &link, LINK_PASSWORD);
    assert!(page.status == 429 && html(&page).contains("Too many attempts"));
    daemon.advance(Duration::from_secs(3));
    assert_eq!(guess("192.0.2.99", LINK_PASSWORD).status, 200);
    let rows = rows(&daemon, "action=share.password_refused");
    assert_eq!(rows.len(), 11);
    let told = (&rows[0]["outcome"], &rows[0]["subject_id"], &rows[0]["address"], &rows[0]["actor_id"]);
    assert_eq!(told, (&json!("failed"), &json!(share_id), &json!("192.0.2.10"), &Value::Null));
}

#[test]
fn a_link_for_looking_shows_what_is_safe_and_saves_nothing() {
    let daemon = Daemon::unlocked();
    let album = folder(&daemon, &daemon.token, None, "album");
    let picture = upload(&daemon, &daemon.token, &album, "a.png", PNG);
    let script = upload(&daemon, &daemon.token, &album, "b.html", b"<script>alert(1)</script>");
    let (_, link) = share(&daemon, &json!({ "kind": "view", "folder_id": album }));
    for query in ["", "&disposition=attachment", "&disposition=inline"] {
        let shown = get(&daemon, &format!("{link}/content?item={picture}{query}"));
        assert_eq!((shown.status, shown.header("content-type")), (200, "image/png"), "{query}");
        assert!(shown.header("content-disposition").starts_with("inline"), "{query}");
        assert!(shown.header("content-security-policy").starts_with("sandbox;"));
    }
    get(&daemon, &format!("{link}/content?item={script}")).expect_problem(403, "forbidden");
    let page = html(&get(&daemon, &link));
    assert!(page.contains(&format!("item={picture}&amp;disposition=inline")) && !page.contains(&script), "{page}");
    visit(&daemon, "POST", &format!("{link}/upload?name=f"), &[], b"x").expect_problem(403, "forbidden");
    let (_, one) = share(&daemon, &json!({ "kind": "view", "file_id": script }));
    get(&daemon, &format!("{one}/content")).expect_problem(403, "forbidden");
    assert!(!html(&get(&daemon, &one)).contains("/content"));
}

#[test]
fn a_shared_folder_shows_what_is_in_it_and_nothing_around_it() {
    let daemon = Daemon::unlocked();
    let bea = daemon.user("bea_", "writer");
    let around = folder(&daemon, &bea.token, None, "around");
    let outside = upload(&daemon, &bea.token, &around, "outside", b"secret");
    let top = folder(&daemon, &bea.token, Some(&around), "top");
    let inner = folder(&daemon, &bea.token, Some(&top), "inner");
    let deepest = folder(&daemon, &bea.token, Some(&inner), "<deepest>");
    let private = folder(&daemon, &daemon.token, Some(&top), "private");
    daemon.send("PUT", &format!("/folders/{private}/access"), &json!({ "private": true })).expect(200);
    let hidden = upload(&daemon, &daemon.token, &private, "hidden", b"secret");
    for name in ["d", "b", "c", "a"] {
        upload(&daemon, &bea.token, &top, name, name.as_bytes());
    }
    folder(&daemon, &bea.token, Some(&top), "z");
    let last = upload(&daemon, &bea.token, &deepest, "last", b"found");
    let (share_id, link) = share_as(&daemon, &bea.token, &json!({ "kind": "download", "folder_id": top }));

    for limit in [1, 2, 3, 5, 6, 50] {
        let (mut all, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = get(&daemon, &format!("{link}/items?limit={limit}{cursor}")).expect(200);
            all.extend(names(&page));
            pages += 1;
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(all, ["inner", "z", "a", "b", "c", "d"], "limit {limit}");
        assert_eq!(pages, 6_u32.div_ceil(limit), "limit {limit}");
    }
    assert_eq!(names(&get(&daemon, &format!("{link}/items?folder={inner}")).expect(200)), ["<deepest>"]);
    for beyond in [&around, &private, &share_id, &last] {
        get(&daemon, &format!("{link}/items?folder={beyond}")).expect_problem(404, "not_found");
        assert_eq!(get(&daemon, &format!("{link}?folder={beyond}")).status, 404);
    }
    for beyond in [&outside, &hidden, &top] {
        get(&daemon, &format!("{link}/content?item={beyond}")).expect_problem(404, "not_found");
    }
    get(&daemon, &format!("{link}/content")).expect_problem(422, "invalid_field");
    get(&daemon, &format!("{link}/items?cursor=x")).expect_problem(422, "invalid_field");
    assert_eq!(get(&daemon, &format!("{link}/content?item={last}")).body, b"found");

    let page = html(&get(&daemon, &format!("{link}?folder={deepest}")));
    let way = format!("<a href=\"{link}\"><bdi>top</bdi></a></li><li><a href=\"{link}?folder={inner}\">");
    assert!(page.contains(&way) && page.contains("&lt;deepest&gt;") && !page.contains("<deepest>"), "{page}");
    assert!(!page.contains("around"));
    assert_eq!(counters(&daemon, &share_id)[..2], [0, 1], "going about in a folder is no new visit");
    // What is moved out of it is not in it any more; also what a cache may remember.
    let moved = json!({ "folder_id": around });
    daemon.send_as(&bea.token, "PATCH", &format!("/files/{last}"), &moved).expect(200);
    get(&daemon, &format!("{link}/content?item={last}")).expect_problem(404, "not_found");
}

#[test]
fn a_shared_folder_comes_as_one_archive_and_one_download() {
    let daemon = Daemon::unlocked();
    let top = folder(&daemon, &daemon.token, None, "top");
    let inner = folder(&daemon, &daemon.token, Some(&top), "inner");
    upload(&daemon, &daemon.token, &top, "a", b"first");
    upload(&daemon, &daemon.token, &inner, "b", b"second");
    let body = json!({ "kind": "download", "folder_id": top, "max_downloads": 2 });
    let (share_id, link) = share(&daemon, &body);
    assert!(html(&get(&daemon, &link)).contains(&format!("href=\"{link}/archive\"")));
    let path = format!("{link}/archive");
    assert_eq!(visit(&daemon, "HEAD", &path, &[], b"").status, 200);
    assert_eq!(counters(&daemon, &share_id)[1], 0);
    let found = unpacked(&get(&daemon, &path));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["top/", "top/a", "top/inner/", "top/inner/b"]);
    assert_eq!(found["top/inner/b"], sha256(b"second"));
    let found = unpacked(&get(&daemon, &format!("{path}?folder={inner}")));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["inner/", "inner/b"]);
    assert_eq!(counters(&daemon, &share_id)[1], 2);
    get(&daemon, &path).expect_problem(404, "not_found");
    assert_eq!(rows(&daemon, "action=share.downloaded")[1]["detail"], "archive, files: 2");
    for kind in ["view", "drop"] {
        let (_, link) = share(&daemon, &json!({ "kind": kind, "folder_id": top }));
        get(&daemon, &format!("{link}/archive")).expect_problem(403, "forbidden");
    }
}

#[test]
fn a_page_runs_and_loads_nothing_and_escapes_what_people_chose() {
    let daemon = Daemon::unlocked();
    let id = file(&daemon, "%3Cimg%20src%3Dx%3E%26%22%27.txt", b"x");
    let title = "<script>alert('x')</script>";
    let (_, link) = share(&daemon, &json!({ "kind": "download", "file_id": id, "name": title, "max_downloads": 3 }));
    let reply = get(&daemon, &link);
    let page = html(&reply);
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), "{page}");
    assert!(page.contains("&lt;img src=x&gt;&amp;&quot;&#39;.txt"), "{page}");
    assert!(page.contains("3 more downloads"));
    for forbidden in ["<script", "<img", "http://", "https://", "src=", "javascript:", "onclick"] {
        assert!(!page.replace("&lt;img src=x", "").contains(forbidden), "{forbidden}");
    }
    let styles = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let digest =
        data_encoding::BASE64.encode(&data_encoding::HEXLOWER.decode(sha256(styles.as_bytes()).as_bytes()).unwrap());
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';") && policy.contains(&format!("'sha256-{digest}'")), "{policy}");
    assert_eq!(reply.header("cache-control"), "private, no-store");
    assert_eq!(reply.header("x-robots-tag"), "noindex, nofollow");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert!(reply.header("set-cookie").is_empty());
}

#[test]
fn links_are_there_for_who_made_them_and_for_administrators() {
    let daemon = Daemon::unlocked();
    let [bea, cid] = ["bea_", "cid_"].map(|name| daemon.user(name, "writer"));
    let reader = daemon.user("rea_", "reader");
    let id = file(&daemon, "f", b"x");
    let other = file(&daemon, "g", b"x");
    let wanted = json!({ "kind": "download", "file_id": id });
    daemon.send_as(&reader.token, "POST", "/shares", &wanted).expect_problem(403, "forbidden");
    let made: Vec<String> = (0..3).map(|_| share_as(&daemon, &bea.token, &wanted).0).collect();
    let cids = share_as(&daemon, &cid.token, &json!({ "kind": "view", "file_id": other })).0;
    let ids = |person: &Person, query: &str| -> Vec<String> {
        let page = daemon.get_as(&person.token, &format!("/shares{query}")).expect(200);
        page["items"].as_array().unwrap().iter().map(|share| text(&share["id"])).collect()
    };
    let newest_first: Vec<String> = made.iter().rev().cloned().collect();
    assert_eq!(ids(&bea, ""), newest_first);
    assert_eq!(ids(&bea, &format!("?item_id={id}")), newest_first);
    assert!(ids(&bea, &format!("?item_id={other}")).is_empty());
    assert!(ids(&bea, &format!("?created_by={}", cid.id)).is_empty());
    let admin = daemon.log_in_as(ADMIN, ADMIN_PASSWORD);
    assert_eq!(ids(&admin, ""), [vec![cids.clone()], newest_first.clone()].concat());
    assert_eq!(ids(&admin, &format!("?created_by={}", bea.id)), newest_first);
    assert_eq!(ids(&admin, &format!("?created_by={}&item_id={other}", cid.id)), [cids.as_str()]);
    let first = daemon.get_as(&bea.token, "/shares?limit=2").expect(200);
    let cursor = text(&first["next_cursor"]);
    assert_eq!(cursor, made[1]);
    assert_eq!(ids(&bea, &format!("?limit=2&cursor={cursor}")), [made[0].as_str()]);

    let path = format!("/shares/{}", made[0]);
    let share = daemon.get_as(&bea.token, &path).expect(200);
    assert!(share.get("token").is_none() && share.get("password").is_none(), "{share}");
    daemon.get_as(&cid.token, &path).expect_problem(404, "not_found");
    daemon.send_as(&cid.token, "PATCH", &path, &json!({ "name": "mine" })).expect_problem(404, "not_found");
    daemon.send_as(&cid.token, "PATCH", &path, &json!({ "password": "long enough" })).expect_problem(404, "not_found");
    daemon.request_as(&cid.token, "DELETE", &path, &[], b"").expect_problem(404, "not_found");
    assert_eq!(daemon.send_as(&bea.token, "PATCH", &path, &json!({ "name": "A" })).expect(200)["name"], "A");
    assert_eq!(daemon.send_as(&admin.token, "PATCH", &path, &json!({ "name": null })).expect(200)["name"], Value::Null);
    daemon.delete(&path).expect(204);
    daemon.request_as(&bea.token, "DELETE", &path, &[], b"").expect_problem(404, "not_found");
    assert_eq!(rows(&daemon, "action=share.revoked").len(), 1);
    // With the file for good, and with the account.
    daemon.delete(&format!("/files/{other}")).expect(204);
    assert_eq!(ids(&cid, ""), [cids.as_str()], "in the trash it may come back");
    daemon.delete(&format!("/trash/{other}")).expect(204);
    assert!(ids(&cid, "").is_empty());
    daemon.delete(&format!("/users/{}", bea.id)).expect(204);
    assert!(ids(&admin, "").is_empty());
}

#[test]
fn what_a_link_may_not_be() {
    let daemon = Daemon::unlocked();
    let bea = daemon.user("bea_", "writer");
    let id = file(&daemon, "f", b"x");
    let into = folder(&daemon, &daemon.token, None, "d");
    let past = jiff::Timestamp::from_second(daemon.now_s() - 1).unwrap().to_string();
    for (field, body) in [
        ("file_id", json!({ "kind": "download" })),
        ("file_id", json!({ "kind": "download", "file_id": id, "folder_id": into })),
        ("file_id", json!({ "kind": "drop", "file_id": id })),
        ("name", json!({ "kind": "download", "file_id": id, "name": "" })),
        ("expires_at", json!({ "kind": "download", "file_id": id, "expires_at": past })),
        ("expires_at", json!({ "kind": "download", "file_id": id, "expires_at": "2099-12-31T00:00:00Z" })),
        ("password", json!({ "kind": "download", "file_id": id, "password": "short" })),
        ("max_downloads", json!({ "kind": "download", "file_id": id, "max_downloads": 0 })),
        ("max_downloads", json!({ "kind": "drop", "folder_id": into, "max_downloads": 1 })),
        ("max_upload_bytes", json!({ "kind": "view", "folder_id": into, "max_upload_bytes": 1 })),
    ] {
        let problem = daemon.post("/shares", &body).expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    let nothing = "01890000-0000-7000-8000-000000000000";
    daemon.post("/shares", &json!({ "kind": "download", "file_id": nothing })).expect_problem(404, "not_found");
    daemon.post("/shares", &json!({ "kind": "download", "file_id": into })).expect_problem(404, "not_found");
    daemon.send("PUT", &format!("/folders/{into}/access"), &json!({ "private": true })).expect(200);
    let hidden = json!({ "kind": "download", "folder_id": into });
    daemon.send_as(&bea.token, "POST", "/shares", &hidden).expect_problem(404, "not_found");
    // A key of a lower role does not lend its owner's eyes to a link.
    let key = json!({ "name": "k", "role": "writer" });
    let key = text(&daemon.post("/api-keys", &key).expect(201)["key"]);
    let outer = folder(&daemon, &daemon.token, None, "outer");
    let inner = folder(&daemon, &daemon.token, Some(&outer), "inner");
    let list = json!({ "private": true, "grants": [{ "user_id": bea.id, "access": "write" }] });
    daemon.send("PUT", &format!("/folders/{inner}/access"), &list).expect(200);
    let wanted = json!({ "kind": "download", "folder_id": outer });
    let (_, by_key) = share_as(&daemon, &key, &wanted);
    let (_, by_admin) = share(&daemon, &wanted);
    assert!(names(&get(&daemon, &format!("{by_key}/items")).expect(200)).is_empty());
    assert_eq!(names(&get(&daemon, &format!("{by_admin}/items")).expect(200)), ["inner"]);
}

#[test]
fn a_link_outlives_a_restart_and_waits_for_the_unlocking() {
    let daemon = Daemon::unlocked();
    let id = file(&daemon, "f", b"content");
    let (_, link) = share(&daemon, &json!({ "kind": "download", "file_id": id, "password": LINK_PASSWORD }));
    let (_, cookie) = unlock(&daemon, &link, LINK_PASSWORD);
    let daemon = daemon.crash_and_restart();
    for path in [link.clone(), "/share/AAAAAAAAAAAAAAAAAAAAAA".to_owned()] {
        let locked = get(&daemon, &path);
        assert!(locked.status == 423 && html(&locked).contains("The box is locked"), "{locked:?}");
        get(&daemon, &format!("{path}/content")).expect_problem(423, "vault_locked");
    }
    daemon.unlock();
    let taken = visit(&daemon, "GET", &format!("{link}/content"), &[("cookie", &cookie)], b"");
    assert_eq!((taken.status, taken.body), (200, b"content".to_vec()));
}

#[test]
fn nothing_that_a_visitor_sends_is_a_fault_of_ours() {
    let daemon = Daemon::unlocked();
    let top = folder(&daemon, &daemon.token, None, "top");
    let (_, link) = share(&daemon, &json!({ "kind": "download", "folder_id": top, "password": LINK_PASSWORD }));
    let (_, drop) = share(&daemon, &json!({ "kind": "drop", "folder_id": top }));
    let long = "a".repeat(5000);
    let password = ("x-share-password", LINK_PASSWORD);
    for value in ["", "-1", "99999999999999999999", "%00", "%FF", "x%27%3B--", &long, "true", "dAAAA", "f"] {
        for (path, names) in [
            ("", &["folder", "cursor"][..]),
            ("/items", &["folder", "cursor", "limit"]),
            ("/content", &["item", "disposition"]),
            ("/archive", &["folder"]),
            ("/upload", &["name"]),
        ] {
            for name in names {
                let path = format!("{link}{path}?{name}={value}");
                let reply = visit(&daemon, "GET", &path, &[password], b"");
                assert!(reply.status < 500, "{path:.80}: {reply:?}");
            }
        }
        let reply = get(&daemon, &format!("/share/{value}/content"));
        assert!(reply.status == 404, "{value:.40}: {reply:?}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        for body in [format!("password={value}"), value.to_owned(), format!("password=x&password={value}")] {
            let reply = visit(&daemon, "POST", &link, &headers, body.as_bytes());
            assert!((400..500).contains(&reply.status), "{body:.40}: {reply:?}");
        }
        let headers = [("content-type", format!("multipart/form-data; boundary={value}"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let reply = visit(&daemon, "POST", &format!("{drop}/upload"), &headers, &form(&[("x", b"y")]));
        assert!(reply.status < 500, "{value:.40}: {reply:?}");
        let cookie = format!("coffer_share={}", value.replace('%', "."));
        assert_eq!(visit(&daemon, "GET", &link, &[("cookie", &cookie)], b"").status, 403);
    }
    let huge = vec![b'x'; 20_000];
    assert_eq!(visit(&daemon, "POST", &link, &[], &huge).status, 400);
    assert_eq!(daemon.health()["vault"], "unlocked");
}
