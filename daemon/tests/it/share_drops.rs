//! Share links by which visitors send files.

use serde_json::{Value, json};

use crate::audit::rows;
use crate::client::{read_reply, send_head, tcp};
use crate::harness::{Daemon, content, sha256};
use crate::shares::{counters, folder, get, html, names, share_as, text, upload, visit};

/// A body of `multipart/form-data` with these files.
pub(crate) fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!("--b\r\ncontent-disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\r\n");
        body.extend([head.as_bytes(), bytes, b"\r\n"].concat());
    }
    body.extend(b"--b--\r\n");
    body
}

#[test]
fn a_drop_takes_files_and_shows_nothing() {
    let daemon = Daemon::unlocked();
    let bea = daemon.user("bea_", "writer");
    let target = folder(&daemon, &bea.token, None, "target");
    let before = upload(&daemon, &bea.token, &target, "a.txt", b"mine");
    let (share_id, link) = share_as(&daemon, &bea.token, &json!({ "kind": "drop", "folder_id": target }));
    let info = get(&daemon, &format!("{link}/info")).expect(200);
    assert_eq!((&info["kind"], &info["name"]), (&json!("drop"), &Value::Null));
    get(&daemon, &format!("{link}/items")).expect_problem(403, "forbidden");
    get(&daemon, &format!("{link}/content?item={before}")).expect_problem(403, "forbidden");
    let page = html(&get(&daemon, &link));
    assert!(page.contains("type=\"file\"") && !page.contains("target") && !page.contains("a.txt"));

    let send = |name: &str, bytes: &[u8]| visit(&daemon, "POST", &format!("{link}/upload?name={name}"), &[], bytes);
    let receipt = send("a.txt", b"yours").expect(201);
    assert_eq!(receipt, json!({ "name": "a (2).txt", "size_bytes": 5, "sha256": sha256(b"yours") }));
    assert_eq!(send("a.txt", b"again").expect(201)["name"], "a (3).txt");
    send("a%2Fb", b"x").expect_problem(422, "invalid_field");
    visit(&daemon, "POST", &format!("{link}/upload"), &[], b"x").expect_problem(422, "invalid_field");
    let large = content(3_000_000, 4);
    let headers = [("content-type", "multipart/form-data; boundary=b")];
    let body = form(&[("large.bin", &large), ("", b""), ("a/b", b"x"), ("empty", b"")]);
    let reply = visit(&daemon, "POST", &format!("{link}/upload"), &headers, &body);
    assert_eq!(reply.status, 200);
    let page = html(&reply);
    assert!(page.contains("<strong>Sent:</strong> <bdi>large.bin</bdi> (3 MB)"), "{page}");
    assert!(page.contains("<strong>Not sent:</strong> <bdi>a/b</bdi>") && page.contains("<bdi>empty</bdi> (0 bytes)"));

    let listed = daemon.get_as(&bea.token, &format!("/files?folder_id={target}")).expect(200);
    assert_eq!(names(&listed), ["a.txt", "a (2).txt", "a (3).txt", "large.bin", "empty"]);
    for item in listed["items"].as_array().unwrap() {
        assert_eq!(item["created_by"], bea.id, "what visitors send is the maker's");
    }
    let stored = text(&listed["items"][3]["id"]);
    assert!(daemon.get_as(&bea.token, &format!("/files/{stored}/content")).body == large);
    assert_eq!(counters(&daemon, &share_id), [1, 0, 4, 3_000_010]);
    let row = rows(&daemon, "action=share.uploaded").remove(0);
    assert_eq!((&row["subject_id"], &row["actor_id"]), (&json!(share_id), &Value::Null));
    // A form that breaks off leaves nothing of what was cut.
    let whole = form(&[("cut", &large)]);
    let cut = visit(&daemon, "POST", &format!("{link}/upload"), &headers, &whole[..2_000_000]);
    assert_eq!(cut.status, 400, "{cut:?}");
    assert_eq!(counters(&daemon, &share_id)[2], 4);
}

#[test]
fn a_drop_ends_where_its_limit_the_quota_or_a_protection_says() {
    let daemon = Daemon::unlocked();
    let bea = daemon.user("bea_", "writer");
    let target = folder(&daemon, &bea.token, None, "target");
    let body = json!({ "kind": "drop", "folder_id": target, "max_upload_bytes": 1000 });
    let (share_id, link) = share_as(&daemon, &bea.token, &body);
    let send = |bytes: &[u8]| visit(&daemon, "POST", &format!("{link}/upload?name=f"), &[], bytes);
    send(&[0; 600]).expect(201);
    send(&[0; 401]).expect_problem(413, "too_large");
    send(&[0; 400]).expect(201);
    send(&[0; 1]).expect_problem(413, "too_large");
    assert_eq!(counters(&daemon, &share_id), [0, 0, 2, 1000]);
    let headers = [("content-type", "multipart/form-data; boundary=b")];
    let page = html(&visit(&daemon, "POST", &format!("{link}/upload"), &headers, &form(&[("g", b"xx")])));
    assert!(page.contains("Not sent:") && page.contains("0 more bytes"), "{page}");
    let share = format!("/shares/{share_id}");
    daemon.send_as(&bea.token, "PATCH", &share, &json!({ "max_upload_bytes": null })).expect(200);
    daemon.send("PUT", &format!("/users/{}/storage", bea.id), &json!({ "quota_bytes": 1500 })).expect(204);
    send(&[0; 501]).expect_problem(507, "quota_exceeded");
    send(&[0; 500]).expect(201);
    daemon.send_as(&bea.token, "PATCH", &format!("/folders/{target}"), &json!({ "protected": true })).expect(200);
    send(b"").expect_problem(423, "write_protected");
    assert_eq!(visit(&daemon, "POST", &format!("{link}/upload"), &headers, &form(&[("g", b"")])).status, 423);

    // Refused from the headers, before anything of the body is asked for.
    let mut stream = tcp(daemon.address);
    let headers = [("content-length", "1000000000"), ("expect", "100-continue")];
    send_head(&mut stream, "POST", &format!("{link}/upload?name=f"), &headers);
    assert_eq!(read_reply(&mut stream).unwrap().status, 423);
    // Who may only look makes no drop.
    let readable = folder(&daemon, &daemon.token, None, "readable");
    let list = json!({ "private": true, "grants": [{ "user_id": bea.id, "access": "read" }] });
    daemon.send("PUT", &format!("/folders/{readable}/access"), &list).expect(200);
    let wanted = json!({ "kind": "drop", "folder_id": readable });
    daemon.send_as(&bea.token, "POST", "/shares", &wanted).expect_problem(403, "forbidden");
    share_as(&daemon, &bea.token, &json!({ "kind": "download", "folder_id": readable }));
    let wanted = json!({ "kind": "drop", "folder_id": target });
    daemon.send_as(&bea.token, "POST", "/shares", &wanted).expect_problem(423, "write_protected");
}
