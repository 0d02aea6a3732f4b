//! Files: what comes in comes out.

use std::io::Write;

use serde_json::Value;

use crate::client::{read_reply, send_head, tcp};
use crate::harness::{Daemon, content, files_below, sha256};

fn id(file: &Value) -> String {
    file["id"].as_str().unwrap().to_owned()
}

#[test]
fn contents_of_every_awkward_length_come_back_as_they_were() {
    let daemon = Daemon::unlocked();
    let mebibyte = 1 << 20;
    for length in [0, 1, 4095, 4096, 4097, 262_144, 262_145, mebibyte - 1, mebibyte, mebibyte + 1, 5_000_000] {
        let bytes = content(length, length as u64);
        let reply = daemon.upload(&format!("f{length}"), &bytes);
        let etag = reply.header("etag").to_owned();
        let location = reply.header("location").to_owned();
        let file = reply.expect(201);
        assert_eq!(file["size_bytes"], length);
        assert_eq!(file["sha256"], sha256(&bytes));
        assert_eq!(etag, format!("\"{}\"", sha256(&bytes)));
        assert_eq!(location, format!("/api/v1/files/{}", id(&file)));
        assert_eq!(daemon.get(&format!("/files/{}", id(&file))).expect(200), file);
        let downloaded = daemon.get(&format!("/files/{}/content", id(&file)));
        assert_eq!(downloaded.header("content-length"), length.to_string());
        assert_eq!(downloaded.header("etag"), etag);
        assert!(downloaded.body == bytes, "length {length}");
    }
}

#[test]
fn a_part_is_the_part() {
    let daemon = Daemon::unlocked();
    let bytes = content(1_000_000, 5);
    let path = format!("/files/{}/content", id(&daemon.upload("f", &bytes).expect(201)));
    for (range, from, to) in
        [("bytes=0-0", 0, 1), ("bytes=4090-600000", 4090, 600_001), ("bytes=-7", 999_993, 1_000_000)]
    {
        let reply = daemon.request("GET", &path, &[("range", range)], b"");
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(reply.header("content-range"), format!("bytes {from}-{}/1000000", to - 1));
        assert!(reply.body == bytes[from..to], "{range}");
    }
    let outside = daemon.request("GET", &path, &[("range", "bytes=1000000-")], b"");
    assert_eq!(outside.header("content-range"), "bytes */1000000");
    outside.expect_problem(416, "range_not_satisfiable");
}

#[test]
fn a_client_that_has_it_is_told_so_and_head_sends_no_body() {
    let daemon = Daemon::unlocked();
    let file = daemon.upload("f", b"content").expect(201);
    let path = format!("/files/{}/content", id(&file));
    let etag = format!("\"{}\"", file["sha256"].as_str().unwrap());
    let reply = daemon.request("GET", &path, &[("if-none-match", &etag)], b"");
    assert_eq!((reply.status, reply.body.len()), (304, 0));
    assert_eq!(reply.header("etag"), etag);
    let head = daemon.request("HEAD", &path, &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "7", 0));
}

#[test]
fn a_browser_is_never_given_a_page_to_run() {
    let daemon = Daemon::unlocked();
    let file = daemon.upload("%3Cb%3E%22%C3%A9.html", b"<script>alert(1)</script>").expect(201);
    let reply = daemon.get(&format!("/files/{}/content", id(&file)));
    assert_eq!(reply.header("content-type"), "application/octet-stream");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert!(reply.header("content-security-policy").contains("sandbox"));
    let disposition = "attachment; filename=\"<b>__.html\"; filename*=UTF-8''%3Cb%3E%22%C3%A9.html";
    assert_eq!(reply.header("content-disposition"), disposition);
}

#[test]
fn a_deleted_file_is_gone_bytes_and_all() {
    let daemon = Daemon::unlocked();
    let blobs = || files_below(&daemon.path("cipher")).len();
    let before = blobs();
    let file = daemon.upload("f", &content(100_000, 1)).expect(201);
    daemon.upload("f", &content(100_000, 2)).expect(200);
    assert_eq!(blobs(), before + 2);
    daemon.delete(&format!("/files/{}", id(&file))).expect(204);
    assert_eq!(blobs(), before + 2);
    daemon.delete(&format!("/trash/{}", id(&file))).expect(204);
    assert_eq!(blobs(), before);
    daemon.get(&format!("/files/{}/content", id(&file))).expect_problem(404, "not_found");
    daemon.upload("f", b"the name is free again").expect(201);
}

#[test]
fn what_is_not_what_its_digest_says_is_not_stored() {
    let daemon = Daemon::unlocked();
    let before = files_below(&daemon.path("cipher")).len();
    let bytes = content(2_000_000, 1);
    let hex = sha256(&bytes);
    let base64 = data_encoding::BASE64.encode(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap());
    let wrong = sha256(b"something else");
    let digest = format!("sha-256=:{base64}:");
    let send =
        |name: &str, headers: &[(&str, &str)]| daemon.request("POST", &format!("/files?name={name}"), headers, &bytes);
    send("f", &[("x-checksum-sha256", &wrong)]).expect_problem(422, "digest_mismatch");
    send("f", &[("x-checksum-sha256", "nonsense")]).expect_problem(400, "bad_request");
    daemon.post("/vault/lock", &serde_json::json!({})).expect(200);
    assert!(files_below(&daemon.path("cipher")).len() <= before);
    daemon.unlock();
    let file = send("f", &[("x-checksum-sha256", &hex)]).expect(201);
    assert_eq!(send("f", &[("content-digest", &digest)]).expect(200)["revision"], 2);
    let put = format!("/files/{}/content", id(&file));
    daemon.request("PUT", &put, &[("content-digest", &digest)], b"x").expect_problem(422, "digest_mismatch");
    assert_eq!(daemon.get(&format!("/files/{}", id(&file))).expect(200)["revision"], 2);
}

#[test]
fn a_file_moves_and_is_renamed_and_copied() {
    let daemon = Daemon::unlocked();
    let folder = id(&daemon.post("/folders", &serde_json::json!({ "name": "folder" })).expect(201));
    let [one, two] = ["one.txt", "two.txt"].map(|name| id(&daemon.upload(name, b"text").expect(201)));
    let place = |file: &str, body: serde_json::Value| daemon.send("PATCH", &format!("/files/{file}"), &body);
    let moved = place(&one, serde_json::json!({ "folder_id": folder, "name": "renamed.txt" })).expect(200);
    assert_eq!((moved["folder_id"].as_str(), moved["name"].as_str()), (Some(folder.as_str()), Some("renamed.txt")));
    assert_eq!(daemon.get(&format!("/files/{one}/content")).body, b"text");
    place(&two, serde_json::json!({ "folder_id": folder, "name": "renamed.txt" })).expect_problem(409, "name_taken");
    place(&two, serde_json::json!({ "name": "folder" })).expect_problem(409, "name_taken");
    place(&two, serde_json::json!({ "name": "" })).expect_problem(422, "invalid_field");
    let nobody = "01a1fd16-afea-707b-afb4-166dd8225dae";
    place(&two, serde_json::json!({ "folder_id": nobody })).expect_problem(404, "not_found");
    place(nobody, serde_json::json!({ "name": "x" })).expect_problem(404, "not_found");
    assert_eq!(place(&one, serde_json::json!({ "folder_id": null })).expect(200)["folder_id"], Value::Null);
    let copy = daemon.post(&format!("/files/{two}/copy"), &serde_json::json!({ "folder_id": folder })).expect(201);
    assert_eq!((copy["name"].as_str(), copy["revision"].as_u64()), (Some("two.txt"), Some(1)));
    daemon.post(&format!("/files/{two}/copy"), &serde_json::json!({})).expect_problem(409, "name_taken");
    daemon.request("PUT", &format!("/files/{two}/content"), &[], b"changed").expect(200);
    assert_eq!(daemon.get(&format!("/files/{}/content", id(&copy))).body, b"text");
}

#[test]
fn what_a_content_is_is_told_by_its_bytes_and_then_by_its_name() {
    let daemon = Daemon::unlocked();
    for (name, bytes, expected) in [
        ("picture.txt", &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
        ("page.txt", b"<!DOCTYPE html><script>alert(1)</script>", "text/html"),
        ("notes.md", b"# Notes\n", "text/markdown"),
        ("empty", b"", "application/octet-stream"),
        ("unknown", &[0, 1, 2, 3, 255], "application/octet-stream"),
    ] {
        assert_eq!(daemon.upload(name, bytes).expect(201)["media_type"], expected, "{name}");
    }
}

#[test]
fn a_quota_is_kept_before_and_while_bytes_come_in() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "writer");
    let quota = |value: Value| {
        daemon.send("PUT", &format!("/users/{}/storage", grace.id), &serde_json::json!({ "quota_bytes": value }))
    };
    quota(serde_json::json!(3_000_000)).expect(204);
    let upload = |name: &str, size: usize| {
        daemon.request_as(&grace.token, "POST", &format!("/files?name={name}"), &[], &content(size, 1))
    };
    let file = id(&upload("a", 2_000_000).expect(201));
    // Announced: not a byte is asked for.
    let token = format!("Bearer {}", grace.token);
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", token.as_str()), ("content-length", "1000001"), ("expect", "100-continue")];
    send_head(&mut stream, "POST", "/api/v1/files?name=b", &headers);
    read_reply(&mut stream).unwrap().expect_problem(507, "quota_exceeded");
    // Not announced: refused while it comes in.
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", token.as_str()), ("transfer-encoding", "chunked")];
    send_head(&mut stream, "POST", "/api/v1/files?name=b", &headers);
    let chunk = [b"200000\r\n".as_slice(), &content(0x0020_0000, 1), b"\r\n"].concat();
    let _ = stream.write_all(&[chunk.as_slice(), b"0\r\n\r\n"].concat());
    read_reply(&mut stream).unwrap().expect_problem(507, "quota_exceeded");
    // Revisions, the trash and copies count.
    upload("a", 1_000_000).expect(200);
    upload("c", 1).expect_problem(507, "quota_exceeded");
    let copy =
        daemon.send_as(&grace.token, "POST", &format!("/files/{file}/copy"), &serde_json::json!({ "name": "d" }));
    copy.expect_problem(507, "quota_exceeded");
    daemon.request_as(&grace.token, "DELETE", &format!("/files/{file}"), &[], b"").expect(204);
    upload("c", 1).expect_problem(507, "quota_exceeded");
    let own = daemon.get_as(&grace.token, "/users/me/storage").expect(200);
    assert_eq!(
        (&own["trash_bytes"], &own["quota_bytes"]),
        (&serde_json::json!(3_000_000), &serde_json::json!(3_000_000))
    );
    daemon.request_as(&grace.token, "DELETE", &format!("/trash/{file}"), &[], b"").expect(204);
    upload("c", 3_000_000).expect(201);
    // What the rules say holds for those who have none of their own.
    quota(Value::Null).expect(204);
    upload("d", 1).expect(201);
    let mut policy = daemon.get("/storage/policy").expect(200);
    policy["quota_bytes"] = serde_json::json!(10);
    daemon.send("PUT", "/storage/policy", &policy).expect(204);
    upload("e", 1).expect_problem(507, "quota_exceeded");
    let usage = daemon.get("/storage/usage").expect(200);
    assert_eq!(usage["users"][0]["total_bytes"], 3_000_001);
    for (field, value) in [("reserve_bytes", 1), ("trash_days", 36_501), ("keep_days", 36_501)] {
        let mut policy = policy.clone();
        policy[field] = serde_json::json!(value);
        daemon.send("PUT", "/storage/policy", &policy).expect_problem(422, "invalid_field");
    }
}

#[test]
fn files_are_listed_page_by_page() {
    let daemon = Daemon::unlocked();
    for number in 0..5 {
        daemon.upload(&format!("f{number}"), b"x").expect(201);
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("/files?limit=2{cursor}")).expect(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, ["f0", "f1", "f2", "f3", "f4"]);
}

#[test]
fn a_refused_upload_is_refused_before_its_body_is_read() {
    let daemon = Daemon::unlocked();
    daemon.post("/folders", &serde_json::json!({ "name": "folder" })).expect(201);
    let token = format!("Bearer {}", daemon.token);
    for (path, authorization, status) in [
        ("/api/v1/files?name=f", "Bearer nonsense", 401),
        ("/api/v1/files?name=folder", &token, 409),
        ("/api/v1/files?name=a%2Fb", &token, 422),
        ("/api/v1/files?name=f&folder_id=01a1fd16-afea-707b-afb4-166dd8225dae", &token, 404),
        ("/api/v1/files?name=f&unknown=1", &token, 400),
    ] {
        let mut stream = tcp(daemon.address);
        let headers = [("authorization", authorization), ("content-length", "1000000000"), ("expect", "100-continue")];
        send_head(&mut stream, "POST", path, &headers);
        // Not one byte of the body is sent, and none was asked for.
        let reply = read_reply(&mut stream).unwrap();
        assert_eq!(reply.status, status, "{path} {reply:?}");
    }
}

#[test]
fn a_client_that_goes_away_leaves_nothing_behind() {
    let daemon = Daemon::unlocked();
    let before = files_below(&daemon.path("cipher")).len();
    let token = format!("Bearer {}", daemon.token);
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", token.as_str()), ("content-length", "9000000")];
    send_head(&mut stream, "POST", "/api/v1/files?name=half", &headers);
    stream.write_all(&content(3_000_000, 1)).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let reply = read_reply(&mut stream);
    assert!(reply.is_none_or(|reply| reply.status == 400));
    assert_eq!(daemon.get("/files").expect(200)["items"], serde_json::json!([]));
    // Locking waits for the removal.
    daemon.post("/vault/lock", &serde_json::json!({})).expect(200);
    let blobs = files_below(&daemon.path("cipher")).len();
    assert!(blobs <= before, "{blobs} files on disk, {before} before");
}

#[test]
fn two_uploads_of_one_name_at_once_give_one_file() {
    let daemon = Daemon::unlocked();
    let bytes = content(2_000_000, 3);
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let uploads: Vec<_> = (0..4).map(|_| scope.spawn(|| daemon.upload("one", &bytes).status)).collect();
        uploads.into_iter().map(|upload| upload.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 3, "{codes:?}");
    let listed = daemon.get("/files").expect(200)["items"].clone();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["revision"]), (1, &serde_json::json!(4)));
}

#[test]
fn an_upload_of_unknown_length_is_stored_too() {
    let daemon = Daemon::unlocked();
    let token = format!("Bearer {}", daemon.token);
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", token.as_str()), ("transfer-encoding", "chunked")];
    send_head(&mut stream, "POST", "/api/v1/files?name=chunked", &headers);
    stream.write_all(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n").unwrap();
    let file = read_reply(&mut stream).unwrap().expect(201);
    assert_eq!(daemon.get(&format!("/files/{}/content", id(&file))).body, b"hello!");
}
