//! What a drive loses is found, and what a kill leaves is whole.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{exchange, tcp};
use crate::harness::{COFFERD, Daemon, MASTER_PASSWORD, content, files_below, run};
use crate::recovery::passphrase;

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

fn on_disk(daemon: &Daemon) -> BTreeSet<PathBuf> {
    files_below(&daemon.path("cipher")).into_iter().collect()
}

/// Uploads a file; gives its id and the file of ciphertext that it became.
pub(crate) fn stored(daemon: &Daemon, name: &str, bytes: &[u8]) -> (String, PathBuf) {
    let before = on_disk(daemon);
    let file = id(&daemon.upload(name, bytes).expect(201));
    let mut new: Vec<PathBuf> = on_disk(daemon).difference(&before).cloned().collect();
    assert_eq!(new.len(), 1, "{new:?}");
    (file, new.remove(0))
}

/// Reads everything back, and gives what that found.
fn scrub(daemon: &Daemon) -> Value {
    let begun = daemon.post("/storage/scrub", &json!({})).expect(202);
    let start = Instant::now();
    loop {
        let scrub = daemon.get("/storage/scrub").expect(200);
        if scrub["id"] == begun["id"] && !scrub["finished_at"].is_null() {
            return scrub;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{scrub}");
        crate::harness::pause();
    }
}

#[test]
fn what_does_not_read_back_is_found_and_repaired_where_it_can_be() {
    let mut daemon = Daemon::unlocked();
    daemon.get("/storage/scrub").expect_problem(404, "not_found");
    let unique = |seed| content(300_000, seed);
    let (whole, _) = stored(&daemon, "whole", &unique(1));
    let (gone, gone_file) = stored(&daemon, "gone", &unique(2));
    let (torn, torn_file) = stored(&daemon, "torn", &unique(3));
    let (cut, cut_file) = stored(&daemon, "cut", &unique(4));
    let (twin, twin_file) = stored(&daemon, "twin", &unique(5));
    let (other, _) = stored(&daemon, "other", &unique(5));
    // A copy shares the bytes: it is lost and saved with them.
    let copy = id(&daemon.post(&format!("/files/{twin}/copy"), &json!({ "name": "copy" })).expect(201));
    let clean = scrub(&daemon);
    assert_eq!((&clean["checked"], &clean["faults"], &clean["orphans"]), (&json!(6), &json!(0), &json!(0)));

    assert!(daemon.stop().success());
    fs::remove_file(&gone_file).unwrap();
    for file in [&torn_file, &twin_file] {
        let mut bytes = fs::read(file).unwrap();
        bytes[150_000] ^= 1;
        fs::write(file, bytes).unwrap();
    }
    // At the end of a block gocryptfs cannot tell: a header of 18 bytes, blocks of 4096 and 32.
    fs::File::options().write(true).open(&cut_file).unwrap().set_len(18 + 4128).unwrap();
    let mut daemon = daemon.restart_killed();
    daemon.unlock();
    daemon.log_in();

    let found = scrub(&daemon);
    assert_eq!((&found["faults"], &found["repaired"]), (&json!(4), &json!(1)));
    // The fresh copy has a name of its own: whether it is read in the same round is chance.
    assert!([json!(6), json!(7)].contains(&found["checked"]), "{found}");
    let faults = daemon.get("/storage/faults").expect(200)["items"].clone();
    let expected = [(&gone, "missing"), (&torn, "unreadable"), (&cut, "changed")];
    let expected: Vec<Value> =
        expected.iter().map(|(file, fault)| json!({ "file_id": file, "number": 1, "fault": fault })).collect();
    assert_eq!(faults, json!(expected));
    for file in [&twin, &other, &copy] {
        assert!(daemon.get(&format!("/files/{file}/content")).body == unique(5));
    }
    assert!(daemon.get(&format!("/files/{whole}/content")).body == unique(1));
    assert!(!twin_file.exists());
    let page = daemon.get("/storage/faults?limit=2").expect(200);
    let rest = daemon.get(&format!("/storage/faults?limit=2&cursor={}", page["next_cursor"].as_str().unwrap()));
    assert_eq!(rest.expect(200)["items"], json!([expected[2]]));
    daemon.get("/storage/faults?cursor=nonsense").expect_problem(422, "invalid_field");
    let again = scrub(&daemon);
    assert_eq!((&again["faults"], &again["repaired"]), (&json!(3), &json!(0)));
}

#[test]
fn a_vault_is_checked_without_the_daemon() {
    let mut daemon = Daemon::unlocked();
    daemon.upload("whole", &content(200_000, 1)).expect(201);
    let (gone, gone_file) = stored(&daemon, "gone", &content(200_000, 2));
    daemon.upload("gone", &content(100, 3)).expect(200);
    assert!(daemon.stop().success());
    let check = || {
        let script = "mkdir -p \"$2\" && gocryptfs -q \"$1\" \"$2\" && \"$3\" check --vault \"$2\"; code=$?; \
                      fusermount3 -u \"$2\" || umount \"$2\"; exit $code";
        let (_, passphrase, _) = passphrase(&daemon.path("secrets"), MASTER_PASSWORD);
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command.arg(daemon.path("cipher")).arg(daemon.path("view")).arg(COFFERD);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{passphrase}\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, told, complaint) = check();
    assert_eq!(code, Some(0), "{told}{complaint}");
    assert_eq!(told, "checked 3 contents of 400100 bytes: 0 faults, 0 orphans\n");

    fs::remove_file(gone_file).unwrap();
    let (code, told, _) = check();
    assert_eq!(code, Some(74), "{told}");
    let lost = format!("missing file {gone} revision 1\n");
    assert_eq!(told, lost + "checked 3 contents of 400100 bytes: 1 faults, 0 orphans\n");

    let (code, _, complaint) = run(Command::new(COFFERD).args(["check", "--vault"]).arg(daemon.path("secrets")));
    assert_eq!(code, Some(66));
    assert!(complaint.contains("holds no coffer.db"), "{complaint}");
}

#[test]
fn a_round_goes_on_after_a_crash_and_begins_by_itself_after_a_month() {
    let mut daemon = Daemon::unlocked();
    for number in 0..40 {
        daemon.upload(&format!("f{number}"), &content(200_000, number)).expect(201);
    }
    let begun = daemon.post("/storage/scrub", &json!({})).expect(202);
    assert_eq!(daemon.post("/storage/scrub", &json!({})).expect(202)["id"], begun["id"]);
    let mut daemon_again = daemon.crash_and_restart();
    daemon_again.unlock();
    daemon_again.log_in();
    daemon = daemon_again;
    let finished = |daemon: &Daemon, of: &dyn Fn(&Value) -> bool| {
        let start = Instant::now();
        loop {
            let scrub = daemon.get("/storage/scrub").expect(200);
            if of(&scrub) && !scrub["finished_at"].is_null() {
                return scrub;
            }
            assert!(start.elapsed() < Duration::from_mins(1), "{scrub}");
            crate::harness::pause();
        }
    };
    let first = finished(&daemon, &|scrub| scrub["id"] == begun["id"]);
    assert_eq!((&first["checked"], &first["faults"]), (&json!(40), &json!(0)));
    daemon.advance(Duration::from_hours(24 * 31));
    daemon.log_in();
    let second = finished(&daemon, &|scrub| scrub["id"] != begun["id"]);
    assert_eq!(second["checked"], 40);
    let rows = daemon.get("/audit?action=scrub.finished").expect(200);
    assert_eq!(rows["items"].as_array().unwrap().len(), 2);
}

/// What was acknowledged in a life of the program.
#[derive(Default)]
struct Acknowledged {
    /// Files by name, with the seeds of their contents.
    files: BTreeSet<(String, u64)>,
    cycles: u32,
}

/// Uploads, moves and deletes until the program dies.
fn work(daemon: &Daemon, folder: &str, worker: u64, known: &mut Acknowledged) {
    let token = format!("Bearer {}", daemon.token);
    let json_type = ("content-type", "application/json");
    let ask = |method: &str, path: &str, body: &[u8]| -> Option<(u16, Value)> {
        let headers = [("authorization", token.as_str()), json_type];
        let call = || exchange(&mut tcp(daemon.address), method, &format!("/api/v1{path}"), &headers, body);
        let reply = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).ok()?;
        Some((reply.status, serde_json::from_slice(&reply.body).unwrap_or(Value::Null)))
    };
    for number in 0.. {
        let seed = worker * 1_000_000 + u64::from(known.cycles) * 1000 + number;
        let size = 1000 + usize::try_from(seed % 7).unwrap() * 60_000;
        let name = format!("w{worker}-{seed}");
        let Some((status, file)) = ask("POST", &format!("/files?name={name}"), &content(size, seed)) else { return };
        assert_eq!(status, 201, "{file}");
        known.files.insert((name.clone(), seed));
        known.cycles += 1;
        let path = format!("/files/{}", id(&file));
        let moved = json!({ "folder_id": folder, "name": format!("{name}-moved") }).to_string();
        // From here on it may have either name.
        known.files.remove(&(name.clone(), seed));
        let Some((status, _)) = ask("PATCH", &path, moved.as_bytes()) else { return };
        assert_eq!(status, 200);
        known.files.insert((format!("{name}-moved"), seed));
        if number % 2 == 0 {
            known.files.remove(&(format!("{name}-moved"), seed));
            if ask("DELETE", &path, b"").is_none() || ask("DELETE", &format!("/trash/{}", id(&file)), b"").is_none() {
                return;
            }
        }
    }
}

fn listed(daemon: &Daemon, folder: Option<&str>) -> Vec<Value> {
    let place = folder.map(|folder| format!("&folder_id={folder}")).unwrap_or_default();
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("/files?limit=500{place}{cursor}")).expect(200);
        items.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { return items };
        cursor = format!("&cursor={next}");
    }
}

#[test]
fn kills_in_two_hundred_cycles_leave_no_row_without_bytes_and_no_bytes_without_a_row() {
    let mut daemon = Daemon::unlocked();
    let empty = on_disk(&daemon).len();
    let folder = id(&daemon.post("/folders", &json!({ "name": "moved" })).expect(201));
    let mut known = [Acknowledged::default(), Acknowledged::default()];
    let mut round = 0_u64;
    while known.iter().map(|known| known.cycles).sum::<u32>() < 200 {
        round += 1;
        let moment = Duration::from_millis(40 + round * 7919 % 360);
        let process = daemon.pid();
        std::thread::scope(|scope| {
            for (worker, known) in known.iter_mut().enumerate() {
                let (daemon, folder) = (&daemon, folder.as_str());
                let worker = round * 10 + u64::try_from(worker).unwrap();
                scope.spawn(move || work(daemon, folder, worker, known));
            }
            let start = Instant::now();
            while start.elapsed() < moment {
                std::thread::yield_now();
            }
            let ended = std::process::Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
            assert!(ended.success());
        });
        daemon = daemon.restart_killed();
        daemon.unlock();
        daemon.log_in();
        let files = [listed(&daemon, None), listed(&daemon, Some(&folder))].concat();
        let names: BTreeSet<&str> = files.iter().map(|file| file["name"].as_str().unwrap()).collect();
        for (name, _) in known.iter().flat_map(|known| &known.files) {
            assert!(names.contains(name.as_str()), "round {round}: {name} is lost");
        }
        let scrub = scrub(&daemon);
        assert_eq!(scrub["faults"], 0, "round {round}: {scrub}");
        let trashed = daemon.get("/trash?limit=500").expect(200)["items"].as_array().unwrap().len();
        assert_eq!(on_disk(&daemon).len() - empty, files.len() + trashed, "round {round}");
    }
    for (name, seed) in known.iter().flat_map(|known| &known.files).take(50) {
        let files = [listed(&daemon, None), listed(&daemon, Some(&folder))].concat();
        let file = files.iter().find(|file| file["name"] == name.as_str()).unwrap();
        let bytes = daemon.get(&format!("/files/{}/content", id(file))).body;
        assert!(bytes == content(1000 + usize::try_from(seed % 7).unwrap() * 60_000, *seed), "{name}");
    }
}
