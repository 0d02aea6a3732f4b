//! Resumable uploads: what was acknowledged is there, over breaks, restarts and locks, and becomes one file.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::audit::rows;
use crate::client::{Reply, Stream, read_reply, send_head, tcp};
use crate::harness::{Daemon, content, files_below, sha256};

const VERSION: (&str, &str) = ("tus-resumable", "1.0.0");
const BYTES: (&str, &str) = ("content-type", "application/offset+octet-stream");
const UNKNOWN: &str = "/uploads/01890000-0000-7000-8000-000000000000";
const LIMIT: Duration = Duration::from_secs(30);

fn encoded(text: &str) -> String {
    data_encoding::BASE64.encode(text.as_bytes())
}

fn metadata(name: &str) -> String {
    format!("filename {}", encoded(name))
}

/// Begins an upload; gives its path below `/api/v1`.
fn begin(daemon: &Daemon, token: &str, name: &str, length: usize) -> String {
    let headers = [VERSION, ("upload-length", &length.to_string()), ("upload-metadata", &metadata(name))];
    path(&daemon.request_as(token, "POST", "/uploads", &headers, b""))
}

#[track_caller]
fn path(reply: &Reply) -> String {
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(reply.header("tus-resumable"), "1.0.0");
    reply.header("location").strip_prefix("/api/v1").unwrap().to_owned()
}

fn patch(daemon: &Daemon, path: &str, offset: usize, bytes: &[u8]) -> Reply {
    patch_with(daemon, path, offset, bytes, &[])
}

fn patch_with(daemon: &Daemon, path: &str, offset: usize, bytes: &[u8], more: &[(&str, &str)]) -> Reply {
    let offset = offset.to_string();
    let mut headers = vec![VERSION, BYTES, ("upload-offset", offset.as_str())];
    headers.extend_from_slice(more);
    daemon.request("PATCH", path, &headers, bytes)
}

fn offset(daemon: &Daemon, path: &str) -> usize {
    let reply = daemon.request("HEAD", path, &[VERSION], b"");
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"));
    reply.header("upload-offset").parse().unwrap()
}

#[track_caller]
fn expect_file(daemon: &Daemon, reply: &Reply, bytes: &[u8]) -> Value {
    let id = reply.header("coffer-file");
    assert!(!id.is_empty(), "{reply:?}");
    let file = daemon.get(&format!("/files/{id}")).expect(200);
    assert_eq!((&file["size_bytes"], &file["sha256"]), (&json!(bytes.len()), &json!(sha256(bytes))));
    assert!(daemon.get(&format!("/files/{id}/content")).body == bytes);
    file
}

fn blobs(daemon: &Daemon) -> usize {
    files_below(&daemon.path("cipher")).len()
}

#[test]
fn the_server_says_what_it_can() {
    let mut daemon = Daemon::locked();
    daemon.token.clear();
    let reply = daemon.request("OPTIONS", "/uploads", &[], b"");
    assert_eq!(reply.status, 204);
    assert_eq!((reply.header("tus-resumable"), reply.header("tus-version")), ("1.0.0", "1.0.0"));
    let extensions = "creation,creation-with-upload,termination,checksum,expiration,concatenation";
    assert_eq!(reply.header("tus-extension"), extensions);
    assert_eq!(reply.header("tus-checksum-algorithm"), "sha1,sha256");
    assert_eq!(reply.header("tus-max-size"), (8_u64 << 40).to_string());
}

#[test]
fn bytes_that_come_in_pieces_of_any_length_become_the_file() {
    let daemon = Daemon::unlocked();
    for pieces in [
        &[0_usize][..],
        &[1],
        &[4096],
        &[1000, 1000, 1000, 1000, 1000, 1000],
        &[4095, 1, 4097, 0, 3],
        &[1 << 20, 1, (1 << 20) - 1],
        &[3_000_000, 40_000_000, 123],
    ] {
        let length = pieces.iter().sum();
        let bytes = content(length, length as u64);
        let headers = [VERSION, ("upload-length", &length.to_string()), ("upload-metadata", &metadata("f"))];
        let mut reply = daemon.request("POST", "/uploads", &headers, b"");
        let path = path(&reply);
        let mut place = 0;
        for piece in pieces.iter().filter(|_| length > 0) {
            assert_eq!(offset(&daemon, &path), place, "{pieces:?}");
            assert_eq!(reply.header("coffer-file"), "", "nothing is seen before it is whole");
            assert_eq!(daemon.get("/files").expect(200)["items"], json!([]));
            reply = patch(&daemon, &path, place, &bytes[place..place + piece]);
            place += piece;
            assert_eq!((reply.status, reply.header("upload-offset")), (204, place.to_string().as_str()), "{pieces:?}");
        }
        let file = expect_file(&daemon, &reply, &bytes);
        assert_eq!(file["name"], "f");
        // Whoever missed the last reply asks, and asks again.
        for _ in 0..2 {
            assert_eq!(offset(&daemon, &path), length);
            assert_eq!(daemon.get(&path).expect(200)["file_id"], file["id"]);
        }
        assert_eq!(patch(&daemon, &path, length, b"").header("coffer-file"), file["id"].as_str().unwrap());
        patch(&daemon, &path, length, b"x").expect_problem(413, "too_large");
        let stored = rows(&daemon, &format!("action=file.stored&subject_id={}", file["id"].as_str().unwrap()));
        assert_eq!(stored.len(), 1);
        daemon.delete(&format!("/files/{}", file["id"].as_str().unwrap())).expect(204);
    }
}

#[test]
fn a_client_that_can_only_post_says_what_it_means() {
    let daemon = Daemon::unlocked();
    let upload = begin(&daemon, &daemon.token, "f", 5);
    let send = |method: &str, bytes: &[u8]| {
        let headers = [VERSION, BYTES, ("upload-offset", "0"), ("x-http-method-override", method)];
        daemon.request("POST", &upload, &headers, bytes)
    };
    send("PUT", b"12345").expect_problem(405, "method_not_allowed");
    expect_file(&daemon, &send("PATCH", b"12345"), b"12345");
    assert_eq!(send("DELETE", b"").status, 204);
    daemon.get(&upload).expect_problem(404, "not_found");
}

#[test]
fn bytes_may_come_with_the_request_that_begins() {
    let daemon = Daemon::unlocked();
    let bytes = content(10_000, 1);
    let metadata = format!("{},folder_id {},filetype dGV4dA==", metadata("Gr\u{fc}\u{df}e"), encoded(""));
    let headers = [VERSION, BYTES, ("upload-length", "10000"), ("upload-metadata", &metadata)];
    let reply = daemon.request("POST", "/uploads", &headers, &bytes[..6000]);
    assert_eq!(reply.header("upload-offset"), "6000");
    let upload = path(&reply);
    let head = daemon.request("HEAD", &upload, &[VERSION], b"");
    assert_eq!((head.header("upload-metadata"), head.header("upload-length")), (metadata.as_str(), "10000"));
    assert!(head.header("upload-expires").ends_with(" GMT"), "{head:?}");
    let reply = patch(&daemon, &upload, 6000, &bytes[6000..]);
    assert_eq!(expect_file(&daemon, &reply, &bytes)["name"], "Gr\u{fc}\u{df}e");
    let folder = daemon.post("/folders", &json!({ "name": "inner" })).expect(201)["id"].as_str().unwrap().to_owned();
    let metadata = format!("filename {},folder_id {}", encoded("all"), encoded(&folder));
    let headers = [VERSION, BYTES, ("upload-length", "10000"), ("upload-metadata", &metadata)];
    let reply = daemon.request("POST", "/uploads", &headers, &bytes);
    assert_eq!(reply.status, 201);
    assert_eq!(expect_file(&daemon, &reply, &bytes)["folder_id"], json!(folder));
}

#[test]
fn what_was_acknowledged_survives_a_crash_a_stop_and_a_lock() {
    let mut daemon = Daemon::unlocked();
    let bytes = content(5_000_000, 9);
    let upload = begin(&daemon, &daemon.token, "f", bytes.len());
    let mut place = 0;
    for (number, piece) in [1_500_001, 999, 4096, 2_000_000].into_iter().enumerate() {
        assert_eq!(patch(&daemon, &upload, place, &bytes[place..place + piece]).status, 204);
        place += piece;
        match number {
            0 | 3 => {
                daemon = daemon.crash_and_restart();
                daemon.unlock();
            }
            1 => {
                daemon = daemon.stop_and_restart();
                daemon.unlock();
            }
            _ => {
                daemon.post("/vault/lock", &json!({})).expect(200);
                patch(&daemon, &upload, place, b"x").expect_problem(423, "vault_locked");
                daemon.unlock();
            }
        }
        daemon.log_in();
        assert_eq!(offset(&daemon, &upload), place);
    }
    let reply = patch(&daemon, &upload, place, &bytes[place..]);
    expect_file(&daemon, &reply, &bytes);
}

#[test]
fn what_came_before_a_break_is_kept_and_what_is_behind_it_is_cut_off() {
    let mut daemon = Daemon::unlocked();
    let bytes = content(30_000_000, 2);
    let upload = begin(&daemon, &daemon.token, "f", bytes.len());
    let token = format!("Bearer {}", daemon.token);
    let send = |daemon: &Daemon, from: usize, to: usize| {
        let mut stream = tcp(daemon.address);
        let (from_text, length) = (from.to_string(), (bytes.len() - from).to_string());
        let headers =
            [VERSION, BYTES, ("authorization", &token), ("upload-offset", &from_text), ("content-length", &length)];
        send_head(&mut stream, "PATCH", &format!("/api/v1{upload}"), &headers);
        stream.write_all(&bytes[from..to]).unwrap();
        stream
    };
    drop(send(&daemon, 0, 2_345_678));
    wait_until(&daemon, &upload, 2_345_678);
    // The request that broke may hold the upload for another moment.
    let start = Instant::now();
    while patch(&daemon, &upload, 2_345_678, b"").status == 423 {
        assert!(start.elapsed() < LIMIT, "the upload stays busy");
        crate::harness::pause();
    }
    // A kill in the middle: what was saved on the way is there, what was written behind it is not.
    let stream = send(&daemon, 2_345_678, 25_000_000);
    wait_until(&daemon, &upload, 2_345_678 + 16 * 1024 * 1024);
    daemon = daemon.crash_and_restart();
    drop(stream);
    daemon.unlock();
    daemon.log_in();
    let place = offset(&daemon, &upload);
    assert!((2_345_678 + 16 * 1024 * 1024..=25_000_000).contains(&place), "{place}");
    let reply = patch(&daemon, &upload, place, &bytes[place..]);
    expect_file(&daemon, &reply, &bytes);
}

fn wait_until(daemon: &Daemon, upload: &str, least: usize) {
    let start = Instant::now();
    while offset(daemon, upload) < least {
        assert!(start.elapsed() < LIMIT, "the offset stays at {}", offset(daemon, upload));
        crate::harness::pause();
    }
}

#[test]
fn a_lock_in_the_middle_takes_only_what_was_not_acknowledged() {
    let mut daemon = Daemon::unlocked();
    let bytes = content(3_000_000, 4);
    let upload = begin(&daemon, &daemon.token, "f", bytes.len());
    assert_eq!(patch(&daemon, &upload, 0, &bytes[..1_000_000]).status, 204);
    let mut stream = halfway(&daemon, &upload, 1_000_000, &bytes[1_000_000..2_000_000], &[]);
    let start = Instant::now();
    daemon.post("/vault/lock", &json!({})).expect(200);
    assert!(start.elapsed() < Duration::from_secs(15));
    let reply = read_reply(&mut stream);
    assert!(reply.is_none_or(|reply| reply.status == 423));
    daemon.unlock();
    daemon.log_in();
    assert_eq!(offset(&daemon, &upload), 1_000_000);
    let reply = patch(&daemon, &upload, 1_000_000, &bytes[1_000_000..]);
    expect_file(&daemon, &reply, &bytes);
}

/// A request whose body has begun, and does not end.
fn halfway(daemon: &Daemon, upload: &str, offset: usize, bytes: &[u8], more: &[(&str, &str)]) -> impl Stream + use<> {
    let mut stream = tcp(daemon.address);
    let (token, offset) = (format!("Bearer {}", daemon.token), offset.to_string());
    let length = (bytes.len() + 1).to_string();
    let mut headers = vec![
        VERSION,
        BYTES,
        ("authorization", &token),
        ("upload-offset", &offset),
        ("content-length", &length),
        ("expect", "100-continue"),
    ];
    headers.extend_from_slice(more);
    send_head(&mut stream, "PATCH", &format!("/api/v1{upload}"), &headers);
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(bytes).unwrap();
    stream
}

#[test]
fn one_request_writes_at_a_time() {
    let daemon = Daemon::unlocked();
    let bytes = content(2_000_000, 4);
    let upload = begin(&daemon, &daemon.token, "f", bytes.len());
    let mut first = halfway(&daemon, &upload, 0, &bytes[..bytes.len() - 1], &[]);
    patch(&daemon, &upload, 0, &bytes).expect_problem(423, "upload_busy");
    daemon.request("DELETE", &upload, &[VERSION], b"").expect_problem(423, "upload_busy");
    assert_eq!(offset(&daemon, &upload), 0);
    first.write_all(&bytes[bytes.len() - 1..]).unwrap();
    expect_file(&daemon, &read_reply(&mut first).unwrap(), &bytes);
}

#[test]
fn bytes_with_another_check_sum_are_not_kept() {
    let daemon = Daemon::unlocked();
    let bytes = content(100_000, 6);
    let upload = begin(&daemon, &daemon.token, "f", bytes.len());
    let sum = |algorithm: &str, bytes: &[u8]| {
        use sha2::Digest;
        let digest = match algorithm {
            "sha1" => sha1::Sha1::digest(bytes).to_vec(),
            _ => sha2::Sha256::digest(bytes).to_vec(),
        };
        format!("{algorithm} {}", data_encoding::BASE64.encode(&digest))
    };
    let send = |from: usize, to: usize, sum: &str| {
        patch_with(&daemon, &upload, from, &bytes[from..to], &[("upload-checksum", sum)])
    };
    assert_eq!(send(0, 10_000, &sum("sha1", &bytes[..10_000])).status, 204);
    for algorithm in ["sha1", "sha256"] {
        send(10_000, 100_000, &sum(algorithm, &bytes[10_000..99_999])).expect_problem(460, "wrong_checksum");
        assert_eq!(offset(&daemon, &upload), 10_000);
    }
    for bad in ["md5 AAAA", "sha1", "sha1 ?"] {
        send(10_000, 20_000, bad).expect_problem(400, "bad_request");
    }
    assert_eq!(send(10_000, 20_000, &sum("sha256", &bytes[10_000..20_000])).status, 204);
    expect_file(&daemon, &send(20_000, 100_000, &sum("sha1", &bytes[20_000..])), &bytes);
}

#[test]
fn what_is_refused_is_refused_before_its_body_is_read() {
    let daemon = Daemon::unlocked();
    let reader = daemon.user("the_reader", "reader");
    let writer = daemon.user("the_writer", "writer");
    let upload = begin(&daemon, &daemon.token, "f", 1_000_000);
    let parts =
        daemon.request("POST", "/uploads", &[VERSION, ("upload-length", "5"), ("upload-concat", "partial")], b"");
    let part = path(&parts);
    assert_eq!(patch(&daemon, &part, 0, b"part!").status, 204);
    let concat = format!("final;/api/v1{part}");
    let named = metadata("whole");
    let whole = [VERSION, ("upload-concat", concat.as_str()), ("upload-metadata", &named)];
    let whole = path(&daemon.request("POST", "/uploads", &whole, b""));
    let (huge, named) = ((9_u64 << 40).to_string(), metadata("g"));
    let nowhere = format!("{named},folder_id {}", encoded("01890000-0000-7000-8000-000000000000"));
    let other_type = ("content-type", "application/json");
    let (zero, five, other_version) = (("upload-offset", "0"), ("upload-offset", "5"), ("tus-resumable", "0.2.2"));
    let long = ("content-length", "1000001");
    for (token, method, path, headers, status) in [
        ("nonsense", "PATCH", upload.as_str(), &[VERSION, BYTES, zero][..], 401),
        (&reader.token, "PATCH", &upload, &[VERSION, BYTES, zero], 403),
        (&writer.token, "PATCH", &upload, &[VERSION, BYTES, zero], 404),
        (&daemon.token, "PATCH", UNKNOWN, &[VERSION, BYTES, zero], 404),
        (&daemon.token, "PATCH", &upload, &[VERSION, BYTES, five], 409),
        (&daemon.token, "PATCH", &upload, &[VERSION, BYTES, zero, long], 413),
        (&daemon.token, "PATCH", &upload, &[VERSION, BYTES], 400),
        (&daemon.token, "PATCH", &upload, &[VERSION, other_type, zero], 415),
        (&daemon.token, "PATCH", &upload, &[other_version, BYTES, zero], 412),
        (&daemon.token, "PATCH", &whole, &[VERSION, BYTES, five], 403),
        (&reader.token, "POST", "/uploads", &[VERSION, BYTES, ("upload-length", "5")], 403),
        (&daemon.token, "POST", "/uploads", &[VERSION, BYTES, ("upload-length", "5")], 422),
        (&daemon.token, "POST", "/uploads", &[VERSION, BYTES, ("upload-metadata", &named)], 400),
        (&daemon.token, "POST", "/uploads", &[VERSION, ("upload-length", &huge), ("upload-metadata", &named)], 413),
        (&daemon.token, "POST", "/uploads", &[VERSION, ("upload-length", "5"), ("upload-metadata", &nowhere)], 404),
        (&daemon.token, "POST", "/uploads", &[other_version, ("upload-length", "5"), ("upload-metadata", &named)], 412),
        (
            &daemon.token,
            "POST",
            "/uploads",
            &[VERSION, ("upload-length", "4000000000000"), ("upload-metadata", &named)],
            507,
        ),
    ] {
        let mut stream = tcp(daemon.address);
        let authorization = format!("Bearer {token}");
        let mut all = vec![("authorization", authorization.as_str()), ("expect", "100-continue")];
        all.extend_from_slice(headers);
        if !headers.contains(&long) {
            all.push(("content-length", "5"));
        }
        send_head(&mut stream, method, &format!("/api/v1{path}"), &all);
        // Not one byte of the body is sent, and none was asked for.
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        let reply = String::from_utf8(reply).unwrap().to_lowercase();
        assert!(reply.starts_with(&format!("http/1.1 {status}")), "{method} {path} {headers:?}: {reply}");
        assert!(reply.contains("tus-resumable: 1.0.0"), "{reply}");
        assert_eq!(reply.contains("tus-version: 1.0.0"), status == 412, "{reply}");
    }
}

#[test]
fn parts_that_came_at_once_become_one_file() {
    let daemon = Daemon::unlocked();
    let bytes = content(2_500_000, 7);
    let before = blobs(&daemon);
    let borders = [0, 1_000_001, 1_000_001, 2_300_000, 2_500_000];
    let uploads: Vec<String> = std::thread::scope(|scope| {
        let parts = borders.windows(2).map(|pair| {
            let (daemon, part) = (&daemon, &bytes[pair[0]..pair[1]]);
            scope.spawn(move || {
                let length = part.len().to_string();
                let headers = [VERSION, BYTES, ("upload-length", length.as_str()), ("upload-concat", "partial")];
                let reply = daemon.request("POST", "/uploads", &headers, part);
                assert_eq!((reply.header("upload-offset"), reply.header("coffer-file")), (length.as_str(), ""));
                path(&reply)
            })
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().map(|part| part.join().unwrap()).collect()
    });
    assert_eq!(daemon.request("HEAD", &uploads[0], &[VERSION], b"").header("upload-concat"), "partial");
    assert_eq!(daemon.get("/files").expect(200)["items"], json!([]));
    let join = |name: &str, uploads: &[String]| {
        let addresses: Vec<String> = uploads.iter().map(|upload| format!("/api/v1{upload}")).collect();
        let concat = format!("final;{}", addresses.join(" "));
        let headers = [VERSION, ("upload-concat", concat.as_str()), ("upload-metadata", &metadata(name))];
        (daemon.request("POST", "/uploads", &headers, b""), concat)
    };
    let open = begin(&daemon, &daemon.token, "open", 5);
    join("f", std::slice::from_ref(&open)).0.expect_problem(409, "part_incomplete");
    daemon.request("DELETE", &open, &[VERSION], b"").expect(204);
    join("f", &[UNKNOWN.to_owned()]).0.expect_problem(404, "not_found");
    let (reply, concat) = join("f", &uploads);
    expect_file(&daemon, &reply, &bytes);
    let whole = path(&reply);
    let head = daemon.request("HEAD", &whole, &[VERSION], b"");
    assert_eq!((head.header("upload-concat"), head.header("upload-offset")), (concat.as_str(), "2500000"));
    for part in &uploads {
        daemon.get(part).expect_problem(404, "not_found");
    }
    assert_eq!(blobs(&daemon), before + 1, "the parts are gone");
    join("g", &uploads).0.expect_problem(404, "not_found");
}

#[test]
fn an_upload_that_was_given_up_leaves_nothing_behind() {
    let daemon = Daemon::unlocked();
    let before = blobs(&daemon);
    let upload = begin(&daemon, &daemon.token, "f", 100_000);
    assert_eq!(patch(&daemon, &upload, 0, &content(50_000, 1)).status, 204);
    assert_eq!(blobs(&daemon), before + 1);
    let writer = daemon.user("the_writer", "writer");
    daemon.request_as(&writer.token, "DELETE", &upload, &[VERSION], b"").expect_problem(404, "not_found");
    daemon.request("DELETE", &upload, &[VERSION], b"").expect(204);
    assert_eq!(blobs(&daemon), before);
    daemon.request("DELETE", &upload, &[VERSION], b"").expect_problem(404, "not_found");
    patch(&daemon, &upload, 50_000, b"x").expect_problem(404, "not_found");
    assert_eq!(rows(&daemon, "action=upload.deleted").len(), 1);
}

#[test]
fn an_upload_that_nobody_goes_on_with_expires() {
    let mut daemon = Daemon::unlocked();
    // Access tokens end long before.
    let key = daemon.post("/api-keys", &json!({ "name": "a", "role": "admin" })).expect(201);
    daemon.token = key["key"].as_str().unwrap().to_owned();
    let before = blobs(&daemon);
    let [kept, left] = ["kept", "left"].map(|name| begin(&daemon, &daemon.token, name, 100_000));
    for upload in [&kept, &left] {
        assert_eq!(patch(&daemon, upload, 0, &content(50_000, 1)).status, 204);
    }
    daemon.advance(Duration::from_hours(6 * 24));
    assert_eq!(patch(&daemon, &kept, 50_000, b"x").status, 204);
    daemon.advance(Duration::from_hours(2 * 24));
    daemon.get(&left).expect_problem(404, "not_found");
    assert_eq!(offset(&daemon, &kept), 50_001, "bytes that come keep it");
    let start = Instant::now();
    while blobs(&daemon) != before + 1 {
        assert!(start.elapsed() < LIMIT, "the bytes of the expired upload stay");
        crate::harness::pause();
    }
    assert_eq!(rows(&daemon, "action=upload.expired").len(), 1);
}

#[test]
fn an_upload_ends_with_the_folder_it_goes_to() {
    let daemon = Daemon::unlocked();
    let writer = daemon.user("the_writer", "writer");
    let folder = daemon.post("/folders", &json!({ "name": "a" })).expect(201)["id"].as_str().unwrap().to_owned();
    let metadata = format!("{},folder_id {}", metadata("f"), encoded(&folder));
    let headers = [VERSION, ("upload-length", "10"), ("upload-metadata", metadata.as_str())];
    let upload = path(&daemon.request_as(&writer.token, "POST", "/uploads", &headers, b""));
    let send = |offset, bytes: &[u8]| {
        let headers = [VERSION, BYTES, ("upload-offset", offset)];
        daemon.request_as(&writer.token, "PATCH", &upload, &headers, bytes)
    };
    assert_eq!(send("0", b"12345").status, 204);
    let access = |grants: Value| {
        let list = json!({ "private": true, "grants": grants });
        daemon.send("PUT", &format!("/folders/{folder}/access"), &list).expect(200);
    };
    access(json!([{ "user_id": writer.id, "access": "read" }]));
    send("5", b"67890").expect_problem(403, "forbidden");
    access(json!([]));
    send("5", b"67890").expect_problem(404, "not_found");
    access(json!([{ "user_id": writer.id, "access": "write" }]));
    assert_eq!(send("5", b"67890").status, 204);
}

#[test]
fn the_same_name_again_is_the_next_revision() {
    let daemon = Daemon::unlocked();
    let first = daemon.upload("f", b"first").expect(201);
    let upload = begin(&daemon, &daemon.token, "f", 6);
    assert_eq!(daemon.get(&format!("/files/{}/content", first["id"].as_str().unwrap())).body, b"first");
    let file = expect_file(&daemon, &patch(&daemon, &upload, 0, b"second"), b"second");
    assert_eq!((&file["id"], &file["revision"]), (&first["id"], &json!(2)));
    assert_eq!(file["media_type"], "text/plain");
}

#[test]
fn what_was_allowed_at_the_beginning_has_to_be_allowed_at_the_end() {
    let daemon = Daemon::unlocked();
    let writer = daemon.user("the_writer", "writer");
    let bytes = content(2000, 1);
    let folder = daemon.post("/folders", &json!({ "name": "a" })).expect(201)["id"].as_str().unwrap().to_owned();
    let metadata = format!("{},folder_id {}", metadata("f"), encoded(&folder));
    let begin = |length: &str| {
        let headers = [VERSION, ("upload-length", length), ("upload-metadata", metadata.as_str())];
        daemon.request_as(&writer.token, "POST", "/uploads", &headers, b"")
    };
    let upload = path(&begin("2000"));
    let send = || {
        let headers = [VERSION, BYTES, ("upload-offset", "0")];
        daemon.request_as(&writer.token, "PATCH", &upload, &headers, &bytes)
    };
    let protect = |protected: bool| {
        daemon.send("PATCH", &format!("/folders/{folder}"), &json!({ "protected": protected })).expect(200);
    };
    protect(true);
    send().expect_problem(423, "write_protected");
    begin("5").expect_problem(423, "write_protected");
    protect(false);
    let quota = |bytes: u64| {
        let path = format!("/users/{}/storage", writer.id);
        daemon.send("PUT", &path, &json!({ "quota_bytes": bytes })).expect(204);
    };
    quota(1999);
    send().expect_problem(507, "quota_exceeded");
    begin("2000").expect_problem(507, "quota_exceeded");
    quota(2000);
    expect_file(&daemon, &send(), &bytes);
    begin("1").expect_problem(507, "quota_exceeded");
    daemon.request_as(&writer.token, "DELETE", &upload, &[VERSION], b"").expect(204);
    assert_eq!(daemon.get(&format!("/files?folder_id={folder}")).expect(200)["items"][0]["name"], "f");
}

#[test]
fn nobody_overwrites_by_an_upload_what_they_have_not_seen() {
    let daemon = Daemon::unlocked();
    let bytes = content(100_000, 3);
    let (only_new, there) = (("if-none-match", "*"), metadata("there"));
    let first = daemon.upload("there", b"first").expect(201);
    let seen = format!("\"{}\"", sha256(b"first"));
    let begin_if = |name: &str, condition| {
        let headers = [VERSION, ("upload-length", "100000"), ("upload-metadata", name), condition];
        daemon.request("POST", "/uploads", &headers, b"")
    };
    let refused = begin_if(&there, only_new);
    assert_eq!(refused.header("tus-version"), "", "the version of tus is the right one");
    refused.expect_problem(412, "precondition_failed");
    begin_if(&metadata("absent"), ("if-match", "*")).expect_problem(412, "precondition_failed");
    begin_if(&there, ("if-match", "first")).expect_problem(400, "bad_request");
    assert_eq!(rows(&daemon, "action=upload.created").len(), 0);

    // It was new when it began, and when the first bytes came.
    let upload = path(&begin_if(&metadata("new"), only_new));
    assert_eq!(patch_with(&daemon, &upload, 0, &bytes[..50_000], &[only_new]).status, 204);
    let other = daemon.upload("new", b"faster").expect(201);
    patch_with(&daemon, &upload, 50_000, &bytes[50_000..], &[only_new]).expect_problem(412, "precondition_failed");
    assert_eq!(offset(&daemon, &upload), 50_000);
    let faster = format!("\"{}\"", sha256(b"faster"));
    let reply = patch_with(&daemon, &upload, 50_000, &bytes[50_000..], &[("if-match", &faster)]);
    assert_eq!(expect_file(&daemon, &reply, &bytes)["id"], other["id"]);
    // Whoever missed that reply sends the same again.
    let again = patch_with(&daemon, &upload, 100_000, b"", &[("if-match", &faster)]);
    assert_eq!(again.header("coffer-file"), other["id"].as_str().unwrap());

    // The file changes while the last bytes come.
    let upload = path(&begin_if(&there, ("if-match", &seen)));
    let mut stream = halfway(&daemon, &upload, 0, &bytes[..bytes.len() - 1], &[("if-match", &seen)]);
    daemon.upload("there", b"second").expect(200);
    stream.write_all(&bytes[bytes.len() - 1..]).unwrap();
    read_reply(&mut stream).unwrap().expect_problem(412, "precondition_failed");
    let content = format!("/files/{}/content", first["id"].as_str().unwrap());
    assert_eq!(daemon.get(&content).body, b"second");
    assert_eq!(offset(&daemon, &upload), 0);

    let part = [VERSION, BYTES, only_new, ("upload-length", "5"), ("upload-concat", "partial")];
    let part = format!("final;/api/v1{}", path(&daemon.request("POST", "/uploads", &part, b"whole")));
    let join = |name: &str| {
        let headers = [VERSION, only_new, ("upload-concat", part.as_str()), ("upload-metadata", name)];
        daemon.request("POST", "/uploads", &headers, b"")
    };
    join(&there).expect_problem(412, "precondition_failed");
    expect_file(&daemon, &join(&metadata("joined")), b"whole");
}
