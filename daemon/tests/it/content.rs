//! Downloads beyond the plain one: several parts at once, and contents that a browser may show.

use serde_json::Value;

use crate::audit::rows;
use crate::client::Reply;
use crate::harness::{Daemon, content};

fn path(file: &Value) -> String {
    format!("/files/{}/content", file["id"].as_str().unwrap())
}

/// The parts of a `multipart/byteranges` body, each with its `Content-Range`.
fn parts(reply: &Reply) -> Vec<(String, Vec<u8>)> {
    let boundary = reply.header("content-type").split_once("boundary=").unwrap().1.to_owned();
    let find = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).position(|window| window == needle);
    let delimiter = format!("--{boundary}");
    let mut rest = reply.body.as_slice();
    assert!(rest.starts_with(delimiter.as_bytes()), "nothing stands before the first boundary");
    let mut parts = Vec::new();
    loop {
        rest = &rest[delimiter.len()..];
        if rest == b"--\r\n" {
            return parts;
        }
        let head_end = find(rest, b"\r\n\r\n").unwrap();
        let head = String::from_utf8(rest[..head_end].to_vec()).unwrap();
        let range = head.lines().find_map(|line| line.strip_prefix("content-range: ")).unwrap().to_owned();
        rest = &rest[head_end + 4..];
        let end = find(rest, format!("\r\n{delimiter}").as_bytes()).unwrap();
        parts.push((range, rest[..end].to_vec()));
        rest = &rest[end + 2..];
    }
}

#[test]
fn several_parts_come_as_they_were_asked_for() {
    let daemon = Daemon::unlocked();
    let bytes = content(2_000_000, 5);
    let file = daemon.upload("f", &bytes).expect(201);
    let get = |method: &str, range: &str| daemon.request(method, &path(&file), &[("range", range)], b"");
    let reply = get("GET", "bytes=1000000-1700000, 0-9,-7");
    assert_eq!(reply.status, 206);
    assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    assert_eq!(reply.header("content-range"), "", "each part has its own");
    let expected = [
        ("bytes 1000000-1700000/2000000".to_owned(), bytes[1_000_000..=1_700_000].to_vec()),
        ("bytes 0-9/2000000".to_owned(), bytes[..10].to_vec()),
        ("bytes 1999993-1999999/2000000".to_owned(), bytes[1_999_993..].to_vec()),
    ];
    assert!(parts(&reply) == expected);
    let head = get("HEAD", "bytes=1000000-1700000, 0-9,-7");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (206, reply.header("content-length"), 0));

    let one = get("GET", "bytes=100-199,150-299,5000000-");
    assert_eq!((one.status, one.header("content-range")), (206, "bytes 100-299/2000000"));
    assert!(one.body == bytes[100..300]);
    get("GET", "bytes=2000000-,3000000-").expect_problem(416, "range_not_satisfiable");
    let many: Vec<String> = (0..1000).map(|n| format!("{}-{}", n * 1000, n * 1000)).collect();
    let whole = get("GET", &format!("bytes={}", many.join(",")));
    assert_eq!((whole.status, whole.body.len()), (200, 2_000_000), "absurdly many");
    let stale = [("range", "bytes=0-1,1000-1001"), ("if-range", "\"of another content\"")];
    assert_eq!(daemon.request("GET", &path(&file), &stale, b"").status, 200);
}

#[test]
fn several_parts_are_one_download() {
    let daemon = Daemon::unlocked();
    let file = daemon.upload("f", &content(100_000, 5)).expect(201);
    for range in ["bytes=5000-5999,0-9", "bytes=20000-20009,10000-10009"] {
        assert_eq!(daemon.request("GET", &path(&file), &[("range", range)], b"").status, 206);
    }
    assert_eq!(rows(&daemon, "action=file.downloaded").len(), 1);
}

#[test]
fn only_safe_contents_are_shown_in_the_browser() {
    let daemon = Daemon::unlocked();
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0";
    for (name, bytes, shown) in [
        ("a.png", &png[..], Some("image/png")),
        ("a.txt", b"words", Some("text/plain; charset=utf-8")),
        ("a.pdf", b"%PDF-1.7\n", Some("application/pdf")),
        ("a.html", b"<!DOCTYPE html><script>alert(1)</script>", None),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", None),
        ("a.xml", b"<?xml version='1.0'?><a/>", None),
        ("a", b"\x7fELF\x02\0\0\0", None),
    ] {
        let file = daemon.upload(name, bytes).expect(201);
        let reply = daemon.get(&format!("{}?disposition=inline", path(&file)));
        let (kind, disposition) =
            shown.map_or(("application/octet-stream", "attachment"), |media_type| (media_type, "inline"));
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), kind, "{name}");
        assert!(reply.header("content-disposition").starts_with(&format!("{disposition};")), "{name}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{name}: {policy}");
        assert!(!policy.contains("allow-scripts") && !policy.contains("script-src"), "{name}: {policy}");
        for query in ["", "?disposition=attachment"] {
            let reply = daemon.get(&format!("{}{query}", path(&file)));
            assert_eq!(reply.header("content-type"), "application/octet-stream", "{name}");
            assert!(reply.header("content-disposition").starts_with("attachment;"), "{name}");
        }
    }
    let file = daemon.upload("b.txt", b"words").expect(201);
    daemon.get(&format!("{}?disposition=here", path(&file))).expect_problem(400, "bad_request");
}
