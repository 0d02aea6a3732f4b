//! Secrets stay where they belong.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::json;

use crate::harness::{ADMIN_PASSWORD, Daemon, MASTER_PASSWORD, files_below, recovery_key, setup_code};

#[test]
fn no_secret_and_no_name_reaches_the_log() {
    let mut daemon = Daemon::unlocked();
    daemon.upload("tax-return-2026.pdf", b"the plaintext itself").expect(201);
    daemon.post("/folders", &json!({ "name": "divorce papers" })).expect(201);
    daemon.post("/sessions", &json!({ "username": "mistyped-here", "password": ADMIN_PASSWORD }));
    daemon.get("/files?name=tax-return-2026.pdf");
    daemon.get("/no-such-route/tax-return-2026.pdf");
    let token = daemon.token.clone();
    daemon.stop();
    let log = daemon.log();
    assert!(log.contains("file.stored") && log.contains("/api/v1/files"), "the log works: {log}");
    let secrets = [
        MASTER_PASSWORD,
        ADMIN_PASSWORD,
        &recovery_key(),
        &token,
        "tax-return",
        "divorce",
        "mistyped",
        "plaintext itself",
    ];
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

#[test]
fn no_secret_reaches_the_command_line_or_the_environment_of_a_process() {
    let daemon = Daemon::unlocked();
    let keys = fs::read_to_string(daemon.path("secrets/vault.keys")).unwrap();
    assert!(!keys.contains(MASTER_PASSWORD));
    let gocryptfs = daemon.children()[0];
    let arguments = fs::read_to_string(format!("/proc/{gocryptfs}/cmdline")).unwrap();
    assert!(arguments.contains("-fg") && !arguments.contains("-extpass") && !arguments.contains("-passfile"));
    let environment = fs::read_to_string(format!("/proc/{gocryptfs}/environ")).unwrap();
    let names: Vec<&str> = environment.split('\0').filter_map(|v| Some(v.split_once('=')?.0)).collect();
    assert_eq!(names, ["HOME", "PATH"]);
}

#[test]
fn neither_process_dumps_core_and_the_daemon_cannot_be_traced() {
    let daemon = Daemon::unlocked();
    for pid in [daemon.pid(), daemon.children()[0]] {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    }
    // prctl(2), PR_SET_DUMPABLE: the files in /proc of an undumpable process belong to root.
    let owner = fs::metadata(format!("/proc/{}/mem", daemon.pid())).unwrap().uid();
    assert_eq!(owner, 0);
}

#[test]
fn where_it_may_the_daemon_keeps_its_memory_from_swap() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let state = directory.path().join("state");
    // As the unit does by LimitMEMLOCK=infinity; a person without that right gets a warning in the log instead.
    let unlimited = ["prlimit", "--memlock=unlimited:unlimited"];
    let allowed = Command::new(unlimited[0]).args([unlimited[1], "true"]).status().unwrap().success();
    let mut command = Command::new(if allowed { unlimited[0] } else { "env" });
    command.args(allowed.then_some(unlimited[1])).arg(crate::harness::COFFERD);
    command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(&state);
    let mut daemon = Daemon::spawn(command, state, &directory);
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap().trim();
    assert_eq!(locked != "0 kB", allowed, "{locked}");
    daemon.send_locally("POST", "/vault", &crate::harness::creation(None)).expect(201);
    assert_eq!(daemon.log().contains("memory is not locked"), !allowed);
}

#[test]
fn no_plaintext_touches_any_other_file() {
    let daemon = Daemon::unlocked();
    let marker = "MARKER-".repeat(200_000);
    daemon.upload("marked", marker.as_bytes()).expect(201);
    let open_elsewhere = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().filter_map(|entry| {
        let target = fs::read_link(entry.unwrap().path()).ok()?;
        (target.is_absolute() && target.starts_with("/tmp") && !target.starts_with(&daemon.state)).then_some(target)
    });
    assert_eq!(open_elsewhere.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
    for path in files_below(&daemon.state) {
        if path.ends_with("control.sock") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(14).any(|window| window == b"MARKER-MARKER-"), "{}", path.display());
    }
}

#[test]
fn the_setup_code_is_nowhere_but_in_its_file() {
    let mut daemon = Daemon::unclaimed();
    let code = setup_code(&daemon);
    daemon.stop();
    assert!(!daemon.log().contains(&code));
    for path in files_below(&daemon.path("device")) {
        assert!(!fs::read_to_string(&path).unwrap_or_default().contains(&code), "{}", path.display());
    }
}
