//! The audit log: what is written, finding it again, taking it out, and noticing that somebody changed it.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Reply;
use crate::harness::{ADMIN, Daemon, MASTER_PASSWORD};
use crate::recovery::passphrase;

const DAY: Duration = Duration::from_hours(24);

/// All that a query finds, newest first.
pub(crate) fn rows(daemon: &Daemon, query: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.get(&format!("/audit?{query}{cursor}")).expect(200);
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// Action, outcome and detail of what a query finds, oldest first.
fn told(daemon: &Daemon, query: &str) -> Vec<String> {
    let tell = |row: &Value| {
        let words = ["action", "outcome", "detail"].map(|field| row[field].as_str().unwrap_or_default().to_owned());
        words.join(" ").trim().to_owned()
    };
    rows(daemon, query).iter().rev().map(tell).collect()
}

fn about_the_vault(daemon: &Daemon) -> Vec<String> {
    told(daemon, "").into_iter().filter(|told| told.starts_with("vault.")).collect()
}

fn folder(daemon: &Daemon, name: &str) -> Reply {
    daemon.post("/folders", &json!({ "name": name }))
}

fn verify(daemon: &Daemon) -> Value {
    daemon.post("/audit/verify", &json!({})).expect(200)
}

pub(crate) fn lock(daemon: &Daemon) {
    daemon.post("/vault/lock", &json!({})).expect(200);
}

/// Runs SQL on the database of the locked vault, as somebody does who has the passphrase: with gocryptfs and sqlite3.
/// Gives what it printed.
pub(crate) fn tamper(daemon: &Daemon, sql: &str) -> Result<String, String> {
    let (_, passphrase, _) = passphrase(&daemon.path("secrets"), MASTER_PASSWORD);
    let view = tempfile::tempdir().unwrap();
    let script = "set -eu; gocryptfs -q \"$0\" \"$1\"; trap 'fusermount3 -u \"$1\" || umount \"$1\"' EXIT
                  sqlite3 -bail \"$1/coffer.db\" \"$2\"";
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(daemon.path("cipher"))
        .arg(view.path())
        .arg(sql)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{passphrase}\n").as_bytes()).unwrap();
    let run = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if run.status.success() { Ok(text(run.stdout)) } else { Err(text(run.stderr)) }
}

#[test]
fn a_row_tells_who_did_what_from_where_in_which_session_and_request() {
    let daemon = Daemon::unlocked();
    let headers =
        [("content-type", "application/json"), ("x-request-id", "made_by-a-Test"), ("cf-connecting-ip", "192.0.2.7")];
    let made = daemon.request("POST", "/folders", &headers, b"{\"name\":\"x\"}").expect(201);
    let me = daemon.get("/users/me").expect(200);
    let session = daemon.get("/sessions").expect(200)[0]["id"].clone();
    let row = rows(&daemon, "limit=1").remove(0);
    assert_eq!(
        (&row["action"], &row["outcome"], &row["detail"]),
        (&json!("folder.created"), &json!("success"), &json!(null))
    );
    assert_eq!((&row["actor_id"], &row["session_id"], &row["subject_id"]), (&me["id"], &session, &made["id"]));
    assert_eq!((&row["address"], &row["request_id"]), (&json!("192.0.2.7"), &json!("made_by-a-Test")));
    assert_eq!(row["hash"].as_str().unwrap().len(), 64);
}

#[test]
fn rows_are_found_by_every_condition_and_by_several() {
    let daemon = Daemon::unlocked();
    let [a, b] = ["a", "b"].map(|name| folder(&daemon, name).expect(201)["id"].as_str().unwrap().to_owned());
    daemon.request("DELETE", &format!("/folders/{a}"), &[("x-request-id", "the-one")], b"").expect(204);
    daemon.post("/sessions", &json!({ "username": ADMIN, "password": "not the password" })).expect(401);
    let me = daemon.get("/users/me").expect(200)["id"].as_str().unwrap().to_owned();
    let nobody = "01a1fd16-afea-707b-afb4-166dd8225dae";

    assert_eq!(told(&daemon, "action=folder.created").len(), 2);
    assert_eq!(told(&daemon, "action__eq=folder.created&limit=1").len(), 2, "page after page");
    assert_eq!(told(&daemon, &format!("subject_id={a}")), ["folder.created success", "folder.trashed success"]);
    assert_eq!(told(&daemon, &format!("subject_id__eq={a}&action=folder.trashed")), ["folder.trashed success"]);
    assert_eq!(told(&daemon, "request_id=the-one"), ["folder.trashed success"]);
    assert_eq!(told(&daemon, "outcome=failed").len(), 1);
    assert_eq!(told(&daemon, "outcome=refused"), [""; 0]);
    assert_eq!(told(&daemon, &format!("actor_id={me}&outcome=success&action=folder.created")).len(), 2);
    assert_eq!(told(&daemon, &format!("actor_id={nobody}")), [""; 0]);
    assert_eq!(told(&daemon, &format!("subject_id={b}&action=folder.trashed")), [""; 0]);
    assert_eq!(told(&daemon, "action=no.such"), [""; 0]);
}

#[test]
fn rows_are_found_by_time_from_inclusive_until_exclusive() {
    let daemon = Daemon::unlocked();
    folder(&daemon, "early").expect(201);
    daemon.advance(Duration::from_mins(10));
    folder(&daemon, "late").expect(201);
    let both = rows(&daemon, "action=folder.created");
    let [late, early] = [0, 1].map(|index: usize| both[index]["at"].as_str().unwrap());
    let count = |query: String| rows(&daemon, &format!("action=folder.created&{query}")).len();
    assert_eq!(count(format!("at__gte={early}")), 2);
    assert_eq!(count(format!("at__gte={late}")), 1);
    assert_eq!(count(format!("at__lt={late}")), 1);
    assert_eq!(count(format!("at__lt={early}")), 0);
    assert_eq!(count(format!("at__gte={early}&at__lt={late}")), 1);
}

#[test]
fn a_condition_that_is_none_is_refused() {
    let daemon = Daemon::unlocked();
    for query in
        ["actor=x", "actor_id=x", "outcome=good", "at__gte=yesterday", "at__gt=1", "cursor=x", "action=a&action__eq=b"]
    {
        daemon.get(&format!("/audit?{query}")).expect_problem(400, "bad_request");
        daemon.get(&format!("/audit/export?format=csv&{query}")).expect_problem(400, "bad_request");
    }
    for format in ["", "?format=pdf", "?format=csv&limit=1"] {
        daemon.get(&format!("/audit/export{format}")).expect_problem(400, "bad_request");
    }
    for query in ["action=".to_owned(), format!("request_id={}", "x".repeat(65))] {
        daemon.get(&format!("/audit?{query}")).expect_problem(422, "invalid_field");
    }
    for cursor in ["0", "-5", "9223372036854775807", "-9223372036854775808"] {
        daemon.get(&format!("/audit?cursor={cursor}")).expect(200);
    }
}

#[test]
fn the_log_is_exported_whole_and_the_export_is_its_last_row() {
    let daemon = Daemon::unlocked();
    let file = daemon.upload("f", b"x").expect(201)["id"].as_str().unwrap().to_owned();
    // More than one page.
    for _ in 0..600 {
        assert_eq!(daemon.get(&format!("/files/{file}/content")).status, 200);
    }
    let reply = daemon.request("GET", "/audit/export?format=jsonl", &[("x-request-id", "-1")], b"");
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/jsonl"));
    assert_eq!(reply.header("content-disposition"), "attachment; filename=\"audit.jsonl\"");
    let lines = |reply: &Reply| dechunked(reply).lines().map(ToOwned::to_owned).collect::<Vec<_>>();
    let exported: Vec<Value> = lines(&reply).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sequence: Vec<i64> = exported.iter().map(|row| row["seq"].as_i64().unwrap()).collect();
    assert_eq!(sequence, (1..=i64::try_from(exported.len()).unwrap()).collect::<Vec<_>>());
    let mut listed = rows(&daemon, "limit=500");
    listed.reverse();
    assert!(listed == exported, "an export says what the list says");
    assert_eq!(told(&daemon, "action=audit.exported"), ["audit.exported success format: jsonl"]);
    assert_eq!(exported.last().unwrap()["request_id"], "-1");

    let reply = daemon.get("/audit/export?format=csv&action=audit.exported");
    assert_eq!(reply.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(reply.header("content-disposition"), "attachment; filename=\"audit.csv\"");
    let text = dechunked(&reply);
    assert!(text.ends_with("\r\n"));
    let table: Vec<Vec<&str>> = text.split_terminator("\r\n").map(|line| line.split(',').collect()).collect();
    assert_eq!(table.len(), 3, "{text}");
    assert_eq!(
        table[0].join(","),
        "seq,id,at,actor_id,session_id,address,request_id,action,outcome,subject_id,detail,hash"
    );
    assert_eq!((table[1][6], table[1][7], table[1][10]), ("'-1", "audit.exported", "format: jsonl"));
    assert_eq!(table[2][10], "format: csv");
    assert_eq!(verify(&daemon)["ok"], true);
}

/// The body of a reply in chunks, which must have its end.
fn dechunked(reply: &Reply) -> String {
    assert_eq!(reply.header("transfer-encoding"), "chunked");
    let (mut rest, mut text) = (reply.body.as_slice(), Vec::new());
    loop {
        let line_end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a chunk");
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line_end]).unwrap(), 16).unwrap();
        if length == 0 {
            return String::from_utf8(text).unwrap();
        }
        text.extend(&rest[line_end + 2..line_end + 2 + length]);
        rest = &rest[line_end + 4 + length..];
    }
}

#[test]
fn an_untouched_log_is_good_and_its_head_stays() {
    let daemon = Daemon::unlocked();
    folder(&daemon, "x").expect(201);
    let first = verify(&daemon);
    assert_eq!((&first["ok"], &first["broken"]), (&json!(true), &json!(null)));
    assert_eq!(first["rows"], first["head"]["seq"]);
    let second = verify(&daemon);
    assert_eq!(second["rows"].as_u64(), first["rows"].as_u64().map(|rows| rows + 1), "verifying is audited");
    let head = rows(&daemon, "").into_iter().find(|row| row["seq"] == first["head"]["seq"]).unwrap();
    assert_eq!(head["hash"], first["head"]["hash"]);
}

#[test]
fn audit_chain_verify_finds_a_changed_row() {
    let daemon = Daemon::unlocked();
    for name in ["a", "b", "c"] {
        folder(&daemon, name).expect(201);
    }
    let victim = rows(&daemon, "action=folder.created")[1].clone();
    lock(&daemon);
    let seq = &victim["seq"];
    tamper(&daemon, &format!("DROP TRIGGER audit_is_not_changed; UPDATE audit SET actor_id = NULL WHERE seq = {seq};"))
        .unwrap();
    daemon.unlock();
    let verification = verify(&daemon);
    assert_eq!(verification["ok"], false);
    assert_eq!(verification["broken"], json!({ "seq": seq, "id": victim["id"], "why": "changed" }));
    assert_eq!(verification["rows"], seq.as_u64().unwrap() - 1);
    let expected = format!("audit.verified failed row {seq} is not as it was written");
    assert_eq!(told(&daemon, "action=audit.verified"), [expected]);

    let removed = seq.as_u64().unwrap() - 1;
    lock(&daemon);
    tamper(
        &daemon,
        &format!("DROP TRIGGER audit_is_deleted_by_retention_only; DELETE FROM audit WHERE seq = {removed};"),
    )
    .unwrap();
    daemon.unlock();
    assert_eq!(verify(&daemon)["broken"], json!({ "seq": removed, "id": null, "why": "missing" }));
}

#[test]
fn the_database_itself_refuses_to_change_the_log() {
    let daemon = Daemon::unlocked();
    lock(&daemon);
    for statement in ["UPDATE audit SET action = 'x'", "DELETE FROM audit", "DELETE FROM audit WHERE seq = 1"] {
        let refusal = tamper(&daemon, statement).unwrap_err();
        assert!(refusal.contains("the audit log is not"), "{refusal}");
    }
    daemon.unlock();
    assert_eq!(verify(&daemon)["ok"], true);
}

#[test]
fn retention_has_a_minimum_and_is_audited() {
    let daemon = Daemon::unlocked();
    let set = |body: Value| daemon.send("PUT", "/audit/retention", &body);
    assert_eq!(daemon.get("/audit/retention").expect(200), json!({ "days": 0 }));
    for days in [1, 29, 36_501] {
        let problem = set(json!({ "days": days })).expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["field"], "days");
    }
    set(json!({ "days": -1 })).expect_problem(422, "invalid_field");
    set(json!({})).expect_problem(422, "invalid_field");
    assert_eq!(set(json!({ "days": 30 })).expect(200), json!({ "days": 30 }));
    assert_eq!(set(json!({ "days": 36_500 })).expect(200), json!({ "days": 36_500 }));
    assert_eq!(set(json!({ "days": 0 })).expect(200), json!({ "days": 0 }));
    assert_eq!(daemon.get("/audit/retention").expect(200), json!({ "days": 0 }));
    let told = told(&daemon, "action=audit.retention_changed");
    let changed = |days: &str| format!("audit.retention_changed success days: {days}");
    assert_eq!(told, ["0 -> 30", "30 -> 36500", "36500 -> 0"].map(changed));
    assert_eq!(rows(&daemon, "action=audit.trimmed"), [json!(null); 0]);
}

#[test]
fn what_is_older_is_removed_when_the_retention_is_set() {
    let mut daemon = Daemon::unlocked();
    folder(&daemon, "old").expect(201);
    let last_old = rows(&daemon, "limit=1")[0]["seq"].as_i64().unwrap();
    daemon.advance(31 * DAY);
    daemon.log_in();
    folder(&daemon, "new").expect(201);
    daemon.send("PUT", "/audit/retention", &json!({ "days": 32 })).expect(200);
    assert_eq!(rows(&daemon, "").last().unwrap()["seq"], 1, "nothing is that old");
    daemon.send("PUT", "/audit/retention", &json!({ "days": 30 })).expect(200);
    let left = rows(&daemon, "");
    assert_eq!(left.last().unwrap()["seq"], last_old + 1);
    assert_eq!(left[0]["detail"], format!("rows: {last_old}, through: {last_old}"));
    assert_eq!((&left[0]["action"], &left[0]["actor_id"]), (&json!("audit.trimmed"), &json!(null)));
    let verification = verify(&daemon);
    assert_eq!((&verification["ok"], &verification["rows"]), (&json!(true), &json!(left.len())));
}

/// Waits until the first row of the log is gone.
fn wait_for_trimming(daemon: &Daemon) {
    let start = Instant::now();
    while rows(daemon, "").last().unwrap()["seq"] == 1 {
        assert!(start.elapsed() < Duration::from_mins(1), "the log was not shortened");
    }
    assert_eq!(verify(daemon)["ok"], true);
}

#[test]
fn what_has_become_older_is_removed_daily_and_at_unlock() {
    let mut daemon = Daemon::unlocked();
    daemon.send("PUT", "/audit/retention", &json!({ "days": 30 })).expect(200);
    daemon.advance(31 * DAY);
    daemon.log_in();
    wait_for_trimming(&daemon);

    let mut daemon = Daemon::unlocked();
    daemon.send("PUT", "/audit/retention", &json!({ "days": 30 })).expect(200);
    let daemon = {
        daemon.stop();
        daemon.advance(31 * DAY);
        let mut daemon = daemon.restart_killed();
        daemon.unlock();
        daemon.log_in();
        daemon
    };
    wait_for_trimming(&daemon);
}

#[test]
fn what_happens_to_the_locked_vault_is_in_the_log_after_the_next_unlock() {
    let daemon = Daemon::locked();
    let secret = json!({ "master_password": MASTER_PASSWORD });
    let wrong = json!({ "master_password": "a wrong master password" });
    let next = || daemon.advance(Duration::from_mins(2));
    daemon
        .request(
            "POST",
            "/vault/unlock",
            &[("content-type", "application/json"), ("x-request-id", "guess")],
            wrong.to_string().as_bytes(),
        )
        .expect_problem(403, "wrong_master_secret");
    next();
    daemon.post("/vault/unlock", &json!({ "recovery_key": "not even one" })).expect_problem(422, "invalid_field");
    daemon.post("/vault/lock", &wrong).expect_problem(403, "wrong_master_secret");
    next();
    daemon.post("/vault/lock", &secret).expect(200);
    daemon.send("PUT", "/vault/lockdown", &secret).expect(200);
    for _ in 0..3 {
        daemon.post("/vault/unlock", &secret).expect_problem(423, "lockdown");
    }
    daemon.send("DELETE", "/vault/lockdown", &wrong).expect_problem(403, "wrong_master_secret");
    next();
    daemon.send("DELETE", "/vault/lockdown", &secret).expect(200);
    daemon.post("/vault/key-slots/list", &secret).expect(200);
    daemon.post("/vault/recovery-key", &wrong).expect_problem(403, "wrong_master_secret");
    next();
    daemon.post("/vault/recovery-key", &secret).expect(201);
    let keys = daemon.path("secrets/vault.keys");
    fs::rename(&keys, daemon.path("away")).unwrap();
    daemon.post("/vault/unlock", &secret).expect_problem(423, "key_file");
    fs::rename(daemon.path("away"), &keys).unwrap();

    let journal = fs::read_to_string(daemon.path("device/vault-journal.jsonl")).unwrap();
    assert!(journal.contains("\"request_id\":\"guess\""), "{journal}");
    for private in ["127.0.0.1", "address", "actor", "session", ADMIN] {
        assert!(!journal.contains(private), "{private}: {journal}");
    }
    // Power cuts, before and after.
    let mut daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.log_in();
    assert!(!daemon.path("device/vault-journal.jsonl").exists());
    let expected = [
        "vault.unlocked failed wrong master secret",
        "vault.locked failed wrong master secret",
        "vault.lockdown_begun success",
        "vault.unlocked refused lockdown",
        "vault.lockdown_ended failed wrong master secret",
        "vault.lockdown_ended success",
        "vault.key_slots_listed success",
        "vault.recovery_key_replaced failed wrong master secret",
        "vault.recovery_key_replaced success",
        "vault.unlocked refused key file missing",
        "vault.events_merged success events: 10, dropped: 0, unreadable: 0",
        "vault.unlocked success",
    ];
    let of_the_test = about_the_vault(&daemon).len() - expected.len();
    assert_eq!(about_the_vault(&daemon)[of_the_test..], expected);
    let guess = rows(&daemon, "request_id=guess").remove(0);
    assert_eq!((&guess["address"], &guess["outcome"]), (&json!(null), &json!("failed")));
    // Not as texts: a fraction of a second is as short as it can be.
    let time = |row: &Value| row["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let times: Vec<_> = rows(&daemon, "").iter().map(time).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    assert_eq!(verify(&daemon)["ok"], true);
}

#[test]
fn a_journal_that_was_merged_but_not_removed_is_not_merged_again() {
    let daemon = Daemon::locked();
    let wrong = json!({ "master_password": "a wrong master password" });
    daemon.send_locally("POST", "/vault/unlock", &wrong).expect_problem(403, "wrong_master_secret");
    let path = daemon.path("device/vault-journal.jsonl");
    let journal = fs::read(&path).unwrap();
    daemon.unlock();
    let mut daemon = daemon;
    daemon.log_in();
    let before = about_the_vault(&daemon);
    daemon.kill();
    fs::write(&path, &journal).unwrap();
    let mut daemon = daemon.restart_killed();
    daemon.unlock();
    daemon.log_in();
    assert!(!path.exists());
    assert_eq!(about_the_vault(&daemon), [&before[..], &["vault.unlocked success".to_owned()]].concat());

    // A line more came between the two.
    daemon.kill();
    let line = String::from_utf8(journal.clone()).unwrap();
    let other = line.replace(&line[7..43], "01a1fd16-afea-707b-afb4-166dd8225dae");
    fs::write(&path, line + &other + "{\"id\":").unwrap();
    let mut daemon = daemon.restart_killed();
    daemon.unlock();
    daemon.log_in();
    let news = about_the_vault(&daemon).split_off(before.len() + 1);
    let expected = [
        "vault.unlocked failed wrong master secret",
        "vault.events_merged success events: 1, dropped: 0, unreadable: 1",
        "vault.unlocked success",
    ];
    assert_eq!(news, expected);
}

#[test]
fn a_journal_that_cannot_be_written_keeps_nobody_out() {
    let mut daemon = Daemon::locked();
    fs::create_dir(daemon.path("device/vault-journal.jsonl")).unwrap();
    let wrong = json!({ "master_password": "a wrong master password" });
    daemon.send_locally("POST", "/vault/unlock", &wrong).expect_problem(403, "wrong_master_secret");
    daemon.unlock();
    daemon.log_in();
    lock(&daemon);
    daemon.unlock();
    assert!(daemon.log().contains("the journal of the locked vault cannot be written"));
    assert_eq!(verify(&daemon)["ok"], true);
}

#[test]
fn guesses_at_the_setup_code_are_in_the_log_of_the_vault_made_later() {
    let mut daemon = Daemon::unclaimed();
    daemon.post("/vault", &crate::harness::creation(None)).expect_problem(403, "wrong_setup_code");
    daemon.post("/vault", &crate::harness::creation(Some("0000-0000-1010"))).expect_problem(403, "wrong_setup_code");
    daemon.send_locally("POST", "/vault", &crate::harness::creation(None)).expect(201);
    daemon.log_in();
    let expected = [
        "vault.created success",
        "vault.created failed wrong setup code",
        "vault.events_merged success events: 1, dropped: 0, unreadable: 0",
    ];
    assert_eq!(about_the_vault(&daemon), expected);
}

#[test]
fn locking_an_unlocked_vault_tells_who_and_why() {
    let daemon = Daemon::unlocked();
    let skip = about_the_vault(&daemon).len();
    let me = daemon.get("/users/me").expect(200)["id"].clone();
    lock(&daemon);
    daemon.unlock();
    daemon.send_locally("POST", "/vault/lock", &json!({})).expect(200);
    daemon.unlock();
    let keys = daemon.path("secrets/vault.keys");
    fs::rename(&keys, daemon.path("away")).unwrap();
    daemon.wait_for_vault("locked", Duration::from_secs(20));
    fs::rename(daemon.path("away"), &keys).unwrap();
    daemon.unlock();
    daemon.send("PUT", "/vault/lockdown", &json!({})).expect(200);
    daemon.send("DELETE", "/vault/lockdown", &json!({ "master_password": MASTER_PASSWORD })).expect(200);
    let mut daemon = daemon.stop_and_restart();
    daemon.unlock();
    daemon = daemon.stop_and_restart();
    daemon.unlock();
    daemon.log_in();
    let expected = [
        "vault.locked success",
        "vault.unlocked success",
        "vault.locked success",
        "vault.unlocked success",
        "vault.locked success key file missing",
        "vault.unlocked success",
        "vault.lockdown_begun success",
        "vault.locked success lockdown",
        "vault.lockdown_ended success",
        "vault.events_merged success events: 1, dropped: 0, unreadable: 0",
        "vault.unlocked success",
        "vault.locked success the program stops",
        "vault.unlocked success",
    ];
    assert_eq!(about_the_vault(&daemon)[skip..], expected);
    let locks = rows(&daemon, "action=vault.locked");
    let actors: Vec<&Value> = locks.iter().map(|row| &row["actor_id"]).collect();
    assert_eq!(actors[..5], [&json!(null), &me, &json!(null), &json!(null), &me], "newest first");
    assert!(locks.iter().all(|row| row["subject_id"].is_string()));
}

#[test]
fn a_vault_whose_gocryptfs_dies_is_locked_in_the_log_too() {
    let mut daemon = Daemon::unlocked();
    for pid in daemon.children() {
        assert!(Command::new("kill").arg("-9").arg(pid.to_string()).status().unwrap().success());
    }
    daemon.wait_for_vault("locked", Duration::from_secs(20));
    daemon.unlock();
    daemon.log_in();
    assert_eq!(told(&daemon, "action=vault.locked").last().unwrap(), "vault.locked success gocryptfs ended");
    assert_eq!(verify(&daemon)["ok"], true);
}

#[test]
fn nobody_reads_the_log_without_a_token_or_while_locked() {
    let mut daemon = Daemon::unlocked();
    let token = std::mem::take(&mut daemon.token);
    let everything = |daemon: &Daemon, status: u16, code: &str| {
        daemon.get("/audit").expect_problem(status, code);
        daemon.get("/audit/export?format=csv").expect_problem(status, code);
        daemon.post("/audit/verify", &json!({})).expect_problem(status, code);
        daemon.get("/audit/retention").expect_problem(status, code);
        daemon.send("PUT", "/audit/retention", &json!({ "days": 0 })).expect_problem(status, code);
    };
    everything(&daemon, 401, "unauthenticated");
    daemon.token = token;
    lock(&daemon);
    everything(&daemon, 423, "vault_locked");
}
