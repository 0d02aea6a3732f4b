//! Listing, sending, fetching, moving, deleting and sharing, with the cases "twice", "unknown" and "not yours".

use std::{
    fs,
    io::{BufReader, Write},
    net::TcpStream,
    os::unix::fs::symlink,
};

use serde_json::{Value, json};

use super::{
    super::{box_under_test::BoxUnderTest, device::Device, proxy::message},
    below, content, desk_of, ended_with, fetched, local, names, told, transfers, url,
};

#[test]
fn a_file_goes_there_and_back_and_nothing_is_replaced_unasked() {
    let the_box = BoxUnderTest::new();
    let desk = desk_of("grace", &the_box, &url(&the_box));
    assert_eq!(names(&desk, "/"), [""; 0]);
    let bytes = content(100_000, 1);
    let photo = local(&desk, "photo.jpg", &bytes);
    let sent = told(&desk, &["put", &photo, "/Photos/2026/"]);
    let file = &sent["files"][0];
    assert_eq!((&file["path"], &file["moved_bytes"]), (&json!("/Photos/2026/photo.jpg"), &json!(100_000)));
    assert_eq!(told(&desk, &["put", &photo, "/Photos/2026"])["files"][0]["moved_bytes"], json!(null), "twice");
    assert_eq!(
        (names(&desk, "/"), names(&desk, "/Photos/2026/")),
        (vec!["Photos".to_owned()], vec!["photo.jpg".to_owned()])
    );
    assert!(desk.ok(&["ls", "-l", "/Photos/2026/photo.jpg"], "").contains("        100000  2026"));

    let out = desk.path("out");
    fs::create_dir(&out).unwrap();
    let out = out.to_str().unwrap();
    let got = told(&desk, &["get", "/Photos/2026/photo.jpg", out]);
    assert_eq!(got["files"][0]["moved_bytes"], json!(100_000));
    assert!(fs::read(desk.path("out/photo.jpg")).unwrap() == bytes);
    assert_eq!(told(&desk, &["get", "/Photos/2026/photo.jpg", out])["files"][0]["moved_bytes"], json!(null), "twice");
    assert_eq!(below(&desk.path("out")), ["photo.jpg"]);

    // Another content, at either end.
    let other = content(100_000, 2);
    fs::write(&photo, &other).unwrap();
    assert!(desk.fails(&["put", &photo, "/Photos/2026/"], 7).contains("--force"));
    assert!(fetched(&desk, "/Photos/2026/photo.jpg") == bytes);
    let replaced = told(&desk, &["put", "--force", &photo, "/Photos/2026/"]);
    assert_eq!((&replaced["files"][0]["id"], &replaced["files"][0]["revision"]), (&file["id"], &json!(2)));
    let revisions =
        the_box.send_as("grace", "GET", &format!("/files/{}/revisions", file["id"].as_str().unwrap()), &json!({}));
    assert_eq!(revisions["items"].as_array().unwrap().len(), 2, "the old one stays");
    assert!(desk.fails(&["get", "/Photos/2026/photo.jpg", out], 2).contains("--force"));
    assert!(fs::read(desk.path("out/photo.jpg")).unwrap() == bytes);
    told(&desk, &["get", "/Photos/2026/photo.jpg", out, "--force"]);
    assert!(fs::read(desk.path("out/photo.jpg")).unwrap() == other);
    assert_eq!((below(&desk.path("out")), transfers(&desk).len()), (vec!["photo.jpg".to_owned()], 0));
}

#[test]
fn what_is_piped_goes_there_and_comes_back() {
    let the_box = BoxUnderTest::new();
    let desk = desk_of("grace", &the_box, &url(&the_box));
    for (name, length) in [("/empty", 0), ("/small", 5), ("/large", 20_000_000)] {
        let bytes = content(length, 3);
        let mut child = desk.start(&["put", "-", name, "--quiet"]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&bytes).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(fetched(&desk, name) == bytes, "{name}");
    }
    told(&desk, &["get", "/empty", desk.path("empty").to_str().unwrap()]);
    assert_eq!(fs::read(desk.path("empty")).unwrap(), b"");
    told(&desk, &["put", desk.path("empty").to_str().unwrap(), "/another"]);
    desk.fails(&["put", "-", "/"], 2);
    desk.fails(&["get", "/", "-"], 2);
    desk.fails(&["get", "/small", "-", "--json"], 2);
}

#[test]
fn a_tree_goes_there_and_back_and_again_moves_what_is_missing() {
    let the_box = BoxUnderTest::new();
    let desk = desk_of("grace", &the_box, &url(&the_box));
    for (name, length) in
        [("tree/a", 1000), ("tree/empty", 0), ("tree/sub/b b", 2000), ("tree/sub/deep/caf\u{e9}", 3000)]
    {
        local(&desk, name, &content(length, 4));
    }
    local(&desk, "tree/.half.coffer-part", b"half");
    fs::create_dir(desk.path("tree/nothing")).unwrap();
    symlink("/etc/hostname", desk.path("tree/link")).unwrap();
    let tree = desk.path("tree").to_str().unwrap().to_owned();
    desk.fails(&["put", &tree, "/"], 2);
    let ended = desk.run(&["put", "-r", &tree, "/", "--json"], "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.errors.contains("tree/link is left out") && ended.errors.contains("half"), "{ended:?}");
    assert_eq!(ended.json()[0]["files"].as_array().unwrap().len(), 4);
    assert_eq!(names(&desk, "/tree"), ["nothing", "sub", "a", "empty"]);

    // Something more, and something that is in the way.
    local(&desk, "tree/sub/more", b"more");
    local(&desk, "tree/a", b"changed");
    let again = ended_with(&desk, &["put", "-r", &tree, "/"], 7).remove(0);
    let moved: Vec<&Value> =
        again["files"].as_array().unwrap().iter().filter(|file| !file["moved_bytes"].is_null()).collect();
    assert_eq!((moved.len(), &moved[0]["path"]), (1, &json!("/tree/sub/more")));
    assert!(again["failures"][0]["what"].as_str().unwrap().ends_with("tree/a"), "{again}");

    let out = desk.path("out");
    fs::create_dir(&out).unwrap();
    desk.fails(&["get", "/tree", out.to_str().unwrap()], 2);
    told(&desk, &["get", "/tree", out.to_str().unwrap(), "-r"]);
    let expected = [
        "tree",
        "tree/a",
        "tree/empty",
        "tree/nothing",
        "tree/sub",
        "tree/sub/b b",
        "tree/sub/deep",
        "tree/sub/deep/caf\u{e9}",
        "tree/sub/more",
    ];
    assert_eq!(below(&out), expected);
    assert!(fs::read(out.join("tree/sub/b b")).unwrap() == content(2000, 4));
    fs::remove_file(out.join("tree/sub/more")).unwrap();
    fs::write(out.join("tree/empty"), "mine").unwrap();
    let again = ended_with(&desk, &["get", "/tree", out.to_str().unwrap(), "-r"], 2).remove(0);
    assert_eq!((&again["failures"][0]["what"], again["files"].as_array().unwrap().len()), (&json!("/tree/empty"), 4));
    assert_eq!(fs::read(out.join("tree/sub/more")).unwrap(), b"more");
    assert_eq!(fs::read(out.join("tree/empty")).unwrap(), b"mine");
    // A new name for the whole, on either side.
    told(&desk, &["get", "/tree", desk.path("copy").to_str().unwrap(), "-r"]);
    assert_eq!(below(&desk.path("copy")).len(), expected.len() - 1);
    told(&desk, &["put", "-r", desk.path("copy").to_str().unwrap(), "/copy"]);
    assert_eq!(names(&desk, "/copy/sub/deep"), ["caf\u{e9}"]);
}

#[test]
fn things_are_moved_and_go_into_the_trash_which_still_counts() {
    let the_box = BoxUnderTest::new();
    let grace = the_box.account_with_role("grace", "writer");
    let desk = Device::first_of("grace", &url(&the_box));
    let mebibyte = local(&desk, "mebibyte", &content(1 << 20, 5));
    told(&desk, &["put", &mebibyte, "/a/b/"]);
    told(&desk, &["mv", "/a/b/mebibyte", "/a/other"]);
    told(&desk, &["mv", "/a/other", "/a/b"]);
    told(&desk, &["mv", "/a/b", "/b"]);
    assert_eq!(
        (names(&desk, "/"), names(&desk, "/a"), names(&desk, "/b")),
        (vec!["a".to_owned(), "b".to_owned()], vec![], vec!["other".to_owned()])
    );
    desk.fails(&["mv", "/a", "/a"], 7);
    desk.fails(&["mv", "/b/other", "/nowhere/other"], 9);
    desk.fails(&["mv", "/b/other", "/nowhere/"], 9);
    told(&desk, &["put", &mebibyte, "/a/other"]);
    desk.fails(&["mv", "/a/other", "/b/other"], 7);

    desk.fails(&["rm", "/b"], 2);
    assert!(desk.ok(&["rm", "-r", "/b"], "").contains("trash"));
    desk.fails(&["rm", "-r", "/b"], 9);
    desk.fails(&["rm", "-r", "/"], 2);
    assert_eq!(the_box.send_as("grace", "GET", "/trash", &json!({}))["items"].as_array().unwrap().len(), 1);
    the_box.as_admin("PUT", &format!("/users/{grace}/storage"), &json!({ "quota_bytes": 5 << 19 }));
    assert!(desk.fails(&["put", &mebibyte, "/c"], 7).to_lowercase().contains("quota"));
    assert_eq!(names(&desk, "/"), ["a"]);
    the_box.send_as("grace", "DELETE", "/trash", &json!({}));
    told(&desk, &["put", &mebibyte, "/c"]);
}

#[test]
fn what_is_not_there_and_what_is_not_yours_look_the_same() {
    let the_box = BoxUnderTest::new();
    let desk = desk_of("grace", &the_box, &url(&the_box));
    the_box.account_with_role("henry", "writer");
    let diary = the_box.post_as("henry", "/folders", &json!({ "name": "diary" }));
    let diary = diary["id"].as_str().unwrap();
    the_box.post_as("henry", "/texts", &json!({ "folder_id": diary, "name": "today", "text": "dear" }));
    the_box.send_as("henry", "PUT", &format!("/folders/{diary}/access"), &json!({ "private": true, "grants": [] }));
    let mine = local(&desk, "mine", b"mine");
    for path in ["/diary", "/diary/today", "/diary/"] {
        let nothing = path.replace("diary", "nobody");
        for arguments in [&["ls"][..], &["get", "-r"], &["rm", "-r"], &["share"], &["unshare"]] {
            let said = desk.fails(&[arguments, &[path]].concat(), 9);
            let unknown = desk.fails(&[arguments, &[&nothing]].concat(), 9);
            assert_eq!(said, unknown.replace("nobody", "diary"), "{arguments:?}");
        }
        desk.fails(&["mv", path, "/taken"], 9);
    }
    desk.fails(&["put", &mine, "/diary/today"], 9);
    // Others may see what is not private, and not change it.
    the_box.post_as("henry", "/texts", &json!({ "name": "shopping", "text": "bread" }));
    assert_eq!(fetched(&desk, "/shopping"), b"bread");
    for arguments in [&["put", &mine, "/shopping", "--force"][..], &["mv", "/shopping", "/b"], &["rm", "/shopping"]] {
        desk.fails(arguments, 7);
    }
    for arguments in [&["ls", "diary"][..], &["ls", "/a/../b"], &["put", &mine, "there"], &["mv", "/shopping", "b"]] {
        desk.fails(arguments, 2);
    }
    desk.fails(&["put", desk.path("nothing").to_str().unwrap(), "/"], 1);
    desk.ok(&["lock"], "");
    desk.fails(&["ls"], 8);
    assert_eq!(Device::new().run(&["ls"], "").code, Some(8));
}

#[test]
fn a_link_leads_to_a_file_until_it_is_used_up_or_taken_back() {
    let the_box = BoxUnderTest::new();
    let desk = desk_of("grace", &the_box, &url(&the_box));
    let letter = local(&desk, "letter", b"dear");
    told(&desk, &["put", &letter, "/letters/"]);
    let password = desk.file("password", "a long password");
    let terms = ["--password-file", &password, "--expires", "7d", "--views", "1"];
    let shared = told(&desk, &[&["share", "/letters/letter"][..], &terms].concat());
    assert_eq!((&shared["downloads"], &shared["has_password"]), (&json!(1), &json!(true)));
    let link = shared["link"].as_str().unwrap();
    assert!(link.starts_with(&format!("{}/share/", url(&the_box))), "{link}");
    assert_eq!(visited(link, "/content", None).0, 403);
    let with = Some("a long password");
    assert_eq!(visited(link, "/content", with), (200, b"dear".to_vec()));
    assert_eq!(visited(link, "/content", with).0, 404, "twice");

    let folder = desk.ok(&["share", "/letters"], "");
    assert_eq!(visited(folder.trim_end(), "/items", None).0, 200);
    desk.ok(&["share", "/letters"], "");
    assert_eq!(told(&desk, &["unshare", "/letters"])["ended"], 2);
    assert_eq!(visited(folder.trim_end(), "/items", None).0, 404);
    assert_eq!(told(&desk, &["unshare", "/letters"])["ended"], 0);
    for arguments in [
        &["share", "/letters", "henry", "viewer"][..],
        &["share", "/"],
        &["share", "/letters", "--expires", "soon"],
        &["share", "/letters", "--views", "0"],
        &["share", "/letters", "--password"],
        &["share", "Home"],
        &["share", "Home", "henry", "viewer", "--views", "1"],
        &["unshare", "Home"],
        &["unshare", "/letters", "henry"],
        &["get", "Home/Bank/password", "here"],
        &["get", "Home/Bank/password", "--force"],
    ] {
        desk.fails(arguments, 2);
    }
}

/// What somebody without an account gets.
fn visited(link: &str, below: &str, password: Option<&str>) -> (u16, Vec<u8>) {
    let (address, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let password = password.map_or_else(String::new, |password| format!("x-share-password: {password}\r\n"));
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /{path}{below} HTTP/1.1\r\nhost: {address}\r\n{password}connection: close\r\n\r\n").unwrap();
    let (head, body) = message(&mut BufReader::new(stream)).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}
