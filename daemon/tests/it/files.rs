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
    assert_eq!(blobs(), before + 1);
    let path = format!("/files/{}", id(&file));
    daemon.delete(&path).expect(204);
    assert_eq!(blobs(), before);
    daemon.delete(&path).expect_problem(404, "not_found");
    daemon.get(&path).expect_problem(404, "not_found");
    daemon.get(&format!("{path}/content")).expect_problem(404, "not_found");
    daemon.upload("f", b"the name is free again").expect(201);
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
    daemon.upload("taken", b"x").expect(201);
    let token = format!("Bearer {}", daemon.token);
    for (path, authorization, status) in [
        ("/api/v1/files?name=f", "Bearer nonsense", 401),
        ("/api/v1/files?name=taken", &token, 409),
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
    assert_eq!(codes.iter().filter(|code| **code == 409).count(), 3, "{codes:?}");
    assert_eq!(daemon.get("/files").expect(200)["items"].as_array().unwrap().len(), 1);
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
