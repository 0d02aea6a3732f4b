//! Keys of sealed contents: exchanged at every level, over kills, and destroyed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Daemon, MASTER_PASSWORD, PASSWORD, content};
use crate::sealing::{change_inside, count, id, job, sealing, set_mode, wait_for};

/// How many files a rotation is killed over, and how often: `COFFER_ROTATION=10000,50` for all of it.
fn extent() -> (u64, u32) {
    let text = std::env::var("COFFER_ROTATION").unwrap_or_default();
    text.split_once(',').map_or((200, 4), |(files, kills)| (files.parse().unwrap(), kills.parse().unwrap()))
}

fn keys(daemon: &Daemon) -> Vec<Value> {
    daemon.get("/encryption/keys").expect(200)["items"].as_array().unwrap().clone()
}

fn stored(daemon: &Daemon, number: u64) -> (String, u64) {
    // Most are short, some have a header that is written in place.
    let length = if number.is_multiple_of(20) { 1_100_000 } else { 500 };
    (id(&daemon.upload(&format!("f{number}"), &content(length, number)).expect(201)), number)
}

/// Before a session's token is too old, however long all of it takes.
fn log_in_in_time(daemon: &mut Daemon, number: u64) {
    if number.is_multiple_of(1000) {
        daemon.log_in();
    }
}

fn check(daemon: &mut Daemon, files: &[(String, u64)]) {
    for (file, number) in files {
        log_in_in_time(daemon, *number);
        let reply = daemon.get(&format!("/files/{file}/content"));
        assert_eq!(reply.status, 200, "file {number}: {reply:?}");
        let length = if number.is_multiple_of(20) { 1_100_000 } else { 500 };
        assert!(reply.body == content(length, *number), "file {number}");
    }
}

#[test]
fn a_rotation_that_is_killed_again_and_again_leaves_all_readable() {
    let (number, kills) = extent();
    let mut daemon = sealing("server");
    let mut files = Vec::new();
    for number in 0..number {
        log_in_in_time(&mut daemon, number);
        files.push(stored(&daemon, number));
    }
    let before = keys(&daemon);
    for kind in ["rewrap", "reencrypt"] {
        let begun = daemon.send_locally("POST", "/encryption/jobs", &json!({ "kind": kind })).expect(202);
        for kill in 0..kills {
            // Somewhere in it: how far it gets is chance, and what the machine makes of it.
            let wait = Duration::from_millis(u64::from(kill * 37 % 211));
            let start = std::time::Instant::now();
            while start.elapsed() < wait {
                std::thread::yield_now();
            }
            daemon = daemon.crash_and_restart();
            daemon.unlock();
            daemon.log_in();
        }
        let ended = wait_for(&daemon, &id(&begun));
        assert_eq!(count(&ended, "failed"), 0, "{ended}");
        // Whatever was interrupted, each content is counted once.
        assert_eq!((&ended["done"], &ended["total"]), (&json!(number), &json!(number)), "{ended}");
        if kind == "reencrypt" {
            assert_eq!(count(&ended, "sealed"), number, "{ended}");
        }
        check(&mut daemon, &files);
        let audit = job(&daemon, &json!({ "kind": "audit" }));
        assert_eq!((count(&audit, "sealed_v2"), &audit["findings"]), (number, &json!([])), "{audit}");
    }
    // Nothing needs the keys of before, and they are gone.
    let after = keys(&daemon);
    assert_eq!((before.len(), after.len()), (1, 1), "{after:?}");
    assert_eq!((&after[0]["key_id"], &after[0]["generation"]), (&before[0]["key_id"], &json!(3)));
    assert_eq!(after[0]["blobs"], number);
    assert_eq!(count(&job(&daemon, &json!({ "kind": "verify" })), "whole"), number);
}

#[test]
fn a_torn_header_is_written_again_at_the_next_unlock() {
    let mut daemon = sealing("server");
    let bytes = content(1_200_000, 3);
    let file = id(&daemon.upload("long", &bytes).expect(201));
    job(&daemon, &json!({ "kind": "rewrap" }));
    // As a cut leaves it: the journal has the new header, the file half of it.
    let script = format!(
        "
b = blob('{file}'); d = bytearray(read('{file}')); core = bytes(d[:192])
db.execute('INSERT INTO header_journal SELECT ?, ?, key_id, key_generation FROM sealed_blobs WHERE blob_id = ?', [b, core, b])
d[90:192] = bytes(102); write('{file}', bytes(d))
"
    );
    change_inside(&mut daemon, &script);
    assert!(daemon.get(&format!("/files/{file}/content")).body == bytes);
    let left = change_inside(&mut daemon, "print(db.execute('SELECT count(*) FROM header_journal').fetchone()[0])");
    assert_eq!(left.trim(), "0");
}

#[test]
fn another_root_key_wraps_every_key_and_the_old_key_file_opens_none() {
    let mut daemon = sealing("server-user");
    let file = id(&daemon.upload("kept", b"kept").expect(201));
    let old_file = std::fs::read(daemon.path("secrets/vault.keys")).unwrap();
    let before = change_inside(&mut daemon, "print(db.execute('SELECT hex(wrapped) FROM sealing_keys').fetchall())");
    let rotate = |daemon: &Daemon, password: &str| {
        daemon.anonymous("POST", "/encryption/root-key", &json!({ "master_password": password }))
    };
    rotate(&daemon, "wrong wrong wrong wrong").expect_problem(403, "wrong_master_secret");
    // A guess makes the next one wait.
    daemon.advance(Duration::from_secs(5));
    rotate(&daemon, MASTER_PASSWORD).expect(204);
    assert_eq!(daemon.get(&format!("/files/{file}/content")).body, b"kept");
    let after = change_inside(&mut daemon, "print(db.execute('SELECT hex(wrapped) FROM sealing_keys').fetchall())");
    assert_ne!(before, after);
    assert_eq!(daemon.get(&format!("/files/{file}/content")).body, b"kept");
    daemon.upload("more", b"more").expect(201);
    assert!(daemon.stop().success());
    std::fs::write(daemon.path("secrets/vault.keys"), old_file).unwrap();
    let mut daemon = daemon.restart_killed();
    daemon.unlock();
    daemon.log_in();
    daemon.get(&format!("/files/{file}/content")).expect_problem(500, "decryption_failed");
}

#[test]
fn a_kill_between_the_key_file_and_the_key_table_leaves_all_readable() {
    let mut daemon = sealing("server-user");
    let files = [id(&daemon.upload("short", b"short").expect(201)), id(&daemon.upload("long", &long()).expect(201))];
    let check = |daemon: &Daemon| {
        assert_eq!(daemon.get(&format!("/files/{}/content", files[0])).body, b"short");
        assert!(daemon.get(&format!("/files/{}/content", files[1])).body == long());
    };
    let key_file = daemon.path("secrets/vault.keys");
    let wrapped = "print(db.execute('SELECT hex(wrapped) FROM sealing_keys').fetchall())";
    let before = change_inside(&mut daemon, wrapped);
    let old = std::fs::read(&key_file).unwrap();
    // The vault's own process stands still: the key file is written, and the table cannot be.
    let gocryptfs = daemon.children()[0];
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &gocryptfs.to_string()]).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let mut stream = crate::client::tcp(daemon.address);
    let body = json!({ "master_password": MASTER_PASSWORD }).to_string();
    let length = body.len().to_string();
    let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
    crate::client::send_head(&mut stream, "POST", "/api/v1/encryption/root-key", &headers);
    std::io::Write::write_all(&mut stream, body.as_bytes()).unwrap();
    let start = std::time::Instant::now();
    while std::fs::read(&key_file).unwrap() == old {
        assert!(start.elapsed() < Duration::from_mins(1), "the key file is not written");
        crate::harness::pause();
    }
    let both = std::fs::read(&key_file).unwrap();
    daemon.kill();
    crate::crashes::wait_until_gone(gocryptfs);
    let mut daemon = daemon.restart_killed();
    daemon.unlock();
    daemon.log_in();
    check(&daemon);
    let after = change_inside(&mut daemon, wrapped);
    assert_ne!(before, after, "the unlock has finished what was begun");
    check(&daemon);
    // The other cut: the table is written, and the key file still has both.
    assert!(daemon.stop().success());
    std::fs::write(&key_file, both).unwrap();
    let mut daemon = daemon.restart_killed();
    daemon.unlock();
    daemon.log_in();
    check(&daemon);
    let again = json!({ "master_password": MASTER_PASSWORD });
    daemon.anonymous("POST", "/encryption/root-key", &again).expect(204);
    check(&daemon);
}

#[test]
fn a_damaged_key_record_takes_its_own_contents_and_not_the_vault() {
    let mut daemon = sealing("server-user");
    let ann = daemon.user("annika", "writer");
    let hers = id(&daemon.request_as(&ann.token, "POST", "/files?name=a", &[], b"hers").expect(201));
    let mine = id(&daemon.upload("mine", b"mine").expect(201));
    let script =
        format!("db.execute(\"UPDATE sealing_keys SET wrapped = zeroblob(104) WHERE owner_id = '{}'\")", ann.id);
    change_inside(&mut daemon, &script);
    let rotate = json!({ "master_password": MASTER_PASSWORD });
    daemon.anonymous("POST", "/encryption/root-key", &rotate).expect(204);
    crate::audit::lock(&daemon);
    daemon.unlock();
    daemon.log_in();
    assert_eq!(daemon.get(&format!("/files/{mine}/content")).body, b"mine");
    daemon.get(&format!("/files/{hers}/content")).expect_problem(500, "decryption_failed");
}

fn long() -> Vec<u8> {
    content(1_500_000, 11)
}

#[test]
fn destroying_the_key_of_a_person_takes_what_is_theirs_and_nothing_else() {
    let daemon = sealing("server-user");
    let [ann, ben] = ["annika", "benno"].map(|name| daemon.user(name, "writer"));
    let upload = |token: &str, name: &str, bytes: &[u8]| {
        id(&daemon.request_as(token, "POST", &format!("/files?name={name}"), &[], bytes).expect(201))
    };
    let hers =
        [upload(&ann.token, "a1", b"hers, unmistakably ocelot"), upload(&ann.token, "a2", &content(1_500_000, 1))];
    let his = [upload(&ben.token, "b1", b"his"), upload(&ben.token, "b2", &content(1_500_000, 2))];
    let listed = keys(&daemon);
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.iter().all(|key| key["blobs"] == 2 && key["active"] == true));
    daemon
        .send_as(&ann.token, "DELETE", &format!("/encryption/keys/{}", ben.id), &json!({}))
        .expect_problem(403, "forbidden");
    daemon.delete(&format!("/encryption/keys/{}", ann.id)).expect(204);
    daemon.delete(&format!("/encryption/keys/{}", ann.id)).expect_problem(404, "not_found");
    for file in &hers {
        daemon.get(&format!("/files/{file}/content")).expect_problem(500, "decryption_failed");
    }
    assert_eq!(daemon.get(&format!("/files/{}/content", his[0])).body, b"his");
    assert!(daemon.get(&format!("/files/{}/content", his[1])).body == content(1_500_000, 2));
    let audit = job(&daemon, &json!({ "kind": "audit" }));
    assert_eq!((count(&audit, "wrong_key"), count(&audit, "sealed_v2")), (2, 2), "{audit}");
    assert_eq!(daemon.get("/search?q=ocelot").expect(200)["items"], json!([]), "nor are the words kept");
    // She goes on, with another key.
    let again = upload(&ann.token, "a3", b"again");
    assert_eq!(daemon.get(&format!("/files/{again}/content")).body, b"again");
    assert!(!PASSWORD.is_empty());
}

#[test]
fn work_is_one_at_a_time_can_be_stopped_and_goes_on_after_a_lock() {
    let daemon = Daemon::unlocked();
    for number in 0..40 {
        daemon.upload(&format!("f{number}"), &content(200_000, number)).expect(201);
    }
    set_mode(&daemon, "server");
    let slow = json!({ "kind": "files", "bytes_per_s": 100_000 });
    let begun = daemon.post("/encryption/jobs", &slow).expect(202);
    daemon.post("/encryption/jobs", &json!({ "kind": "audit" })).expect_problem(409, "job_running");
    crate::audit::lock(&daemon);
    daemon.unlock();
    let mut daemon = daemon;
    daemon.log_in();
    assert_eq!(daemon.get(&format!("/encryption/jobs/{}", id(&begun))).expect(200)["state"], "running");
    daemon.delete(&format!("/encryption/jobs/{}", id(&begun))).expect(204);
    daemon.delete(&format!("/encryption/jobs/{}", id(&begun))).expect_problem(404, "not_found");
    assert_eq!(wait_for(&daemon, &id(&begun))["state"], "cancelled");
    assert_ne!(daemon.get("/encryption").expect(200)["plain"], 0);
    job(&daemon, &json!({ "kind": "files" }));
    assert_eq!(daemon.get("/encryption").expect(200)["plain"], 0);
}

#[test]
fn work_reads_no_faster_than_it_may_and_tells_how_far_it_is() {
    let daemon = sealing("server");
    for number in 0..3 {
        daemon.upload(&format!("f{number}"), &content(900_000, number)).expect(201);
    }
    let start = std::time::Instant::now();
    let begun = daemon.post("/encryption/jobs", &json!({ "kind": "verify", "bytes_per_s": 300_000 })).expect(202);
    assert_eq!((&begun["total"], &begun["done"], &begun["waits_for"]), (&json!(3), &json!(0), &json!(null)));
    let ended = wait_for(&daemon, &id(&begun));
    assert!(start.elapsed() >= Duration::from_secs(9), "three seconds for each: {:?}", start.elapsed());
    assert_eq!((&ended["done"], &ended["done_bytes"], count(&ended, "whole")), (&json!(3), &json!(2_700_000), 3));
}
