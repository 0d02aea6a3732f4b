//! What counts as one download in the audit log.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::audit::rows;
use crate::harness::{Daemon, content};

#[test]
fn one_row_a_download_and_not_one_a_range() {
    let mut daemon = Daemon::unlocked();
    // Access tokens end before an hour has passed.
    let key = daemon.post("/api-keys", &json!({ "name": "a", "role": "admin" })).expect(201);
    daemon.token = key["key"].as_str().unwrap().to_owned();
    let bytes = content(1_000_000, 4);
    let file = daemon.upload("f", &bytes).expect(201);
    let path = format!("/files/{}/content", file["id"].as_str().unwrap());
    let get = |headers: &[(&str, &str)]| daemon.request("GET", &path, headers, b"").status;
    let downloads = || rows(&daemon, "action=file.downloaded").len();
    let etag = format!("\"{}\"", file["sha256"].as_str().unwrap());

    assert_eq!(daemon.request("HEAD", &path, &[], b"").status, 200);
    assert_eq!(get(&[("if-none-match", &etag)]), 304);
    assert_eq!(get(&[("range", "bytes=2000000-")]), 416);
    assert_eq!(downloads(), 0, "nothing was sent");
    assert_eq!(get(&[]), 200);
    assert_eq!(downloads(), 1);
    assert_eq!(get(&[("range", "bytes=0-9")]), 206);
    assert_eq!(downloads(), 2, "whoever starts at the beginning starts a download");
    for range in ["bytes=10-19", "bytes=500000-", "bytes=-1"] {
        assert_eq!(get(&[("range", range)]), 206);
    }
    assert_eq!(downloads(), 2, "parts of the one that was begun");
    daemon.advance(Duration::from_mins(59));
    assert_eq!(get(&[("range", "bytes=20-29")]), 206);
    daemon.advance(Duration::from_mins(59));
    assert_eq!(get(&[("range", "bytes=30-39")]), 206);
    assert_eq!(downloads(), 2, "each part keeps it going");
    daemon.advance(Duration::from_mins(61));
    assert_eq!(get(&[("range", "bytes=40-49")]), 206);
    assert_eq!(downloads(), 3, "after an hour it is another");
    let row = rows(&daemon, "action=file.downloaded&limit=1").remove(0);
    assert_eq!(row["subject_id"], file["id"]);
}

#[test]
fn a_part_without_a_beginning_is_a_download_of_each_session_and_each_file() {
    let mut daemon = Daemon::unlocked();
    let [a, b] = ["a", "b"].map(|name| daemon.upload(name, b"the same").expect(201)["id"].as_str().unwrap().to_owned());
    let part = |daemon: &Daemon, file: &str| {
        let headers = [("range", "bytes=2-3")];
        assert_eq!(daemon.request("GET", &format!("/files/{file}/content"), &headers, b"").status, 206);
    };
    part(&daemon, &a);
    part(&daemon, &a);
    part(&daemon, &b);
    assert_eq!(rows(&daemon, "action=file.downloaded").len(), 2);
    daemon.log_in();
    part(&daemon, &a);
    let downloads = rows(&daemon, "action=file.downloaded");
    let sessions: BTreeSet<&str> = downloads.iter().map(|row| row["session_id"].as_str().unwrap()).collect();
    assert_eq!((downloads.len(), sessions.len()), (3, 2));
}

#[test]
fn parts_asked_for_at_once_are_one_download() {
    let daemon = Daemon::unlocked();
    let file = daemon.upload("f", &content(100_000, 5)).expect(201)["id"].as_str().unwrap().to_owned();
    std::thread::scope(|scope| {
        for part in 1..=16 {
            let (daemon, file) = (&daemon, &file);
            scope.spawn(move || {
                let range = format!("bytes={}-{}", part * 1000, part * 1000 + 999);
                let reply = daemon.request("GET", &format!("/files/{file}/content"), &[("range", &range)], b"");
                assert_eq!(reply.status, 206);
            });
        }
    });
    assert_eq!(rows(&daemon, "action=file.downloaded").len(), 1);
}
