//! Hook programs, run by the real thing as another user. Needs root, as switching users does.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{COFFERD, Daemon, run};
use crate::webhooks::wait_until;

/// A user that is on every machine and can do nothing.
const USER: &str = "nobody";

/// A directory of programs, and one that they may write to.
pub(crate) struct Hooks {
    directory: tempfile::TempDir,
}

impl Hooks {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        for (name, mode) in [("hooks", 0o755), ("out", 0o777)] {
            fs::create_dir(directory.path().join(name)).unwrap();
            fs::set_permissions(directory.path().join(name), Permissions::from_mode(mode)).unwrap();
        }
        Self { directory }
    }

    fn programs(&self) -> PathBuf {
        self.directory.path().join("hooks")
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.directory.path().join("out").join(name)
    }

    /// Puts a program in; `OUT` in it is a directory that it may write to.
    pub(crate) fn add(&self, name: &str, script: &str) -> PathBuf {
        let path = self.programs().join(name);
        let out = self.directory.path().join("out");
        fs::write(&path, format!("#!/bin/sh\n{script}\n").replace("OUT", out.to_str().unwrap())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        let directory = self.programs().to_str().unwrap().to_owned();
        ["--hooks-directory".to_owned(), directory, "--hooks-user".to_owned(), USER.to_owned()].to_vec()
    }

    pub(crate) fn daemon(&self) -> Daemon {
        let arguments = self.arguments();
        Daemon::unlocked_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn wait_for(&self, name: &str) -> String {
        wait_until(name, || self.out(name).exists());
        // Written in one go, by the shell's redirection of a command that has ended.
        let read = || fs::read_to_string(self.out(name)).unwrap();
        wait_until(name, || read().ends_with('\n'));
        read()
    }
}

fn wait_for_log(daemon: &mut Daemon, parts: &[&str]) -> String {
    let start = Instant::now();
    loop {
        let log = daemon.log();
        if let Some(line) = log.lines().find(|line| parts.iter().all(|part| line.contains(part))) {
            return line.to_owned();
        }
        assert!(start.elapsed() < Duration::from_mins(1), "the log does not say {parts:?}: {log}");
        crate::harness::pause();
    }
}

#[test]
fn a_program_runs_for_its_event_as_somebody_who_can_do_nothing() {
    let hooks = Hooks::new();
    hooks.add("look.file.stored", "
        cat > OUT/event
        (id -u; id -G; wc -c < /proc/$$/environ; pwd; ulimit -v; ulimit -c; grep NoNewPrivs /proc/self/status) > OUT/look
        ls -l /proc/$$/fd > OUT/descriptors
        echo looked; echo around >&2");
    hooks.add("other.file.deleted", "echo > OUT/other");
    let mut daemon = hooks.daemon();
    let file = daemon.upload("tax-return", b"content").expect(201);
    let event: Value = serde_json::from_str(&hooks.wait_for("event")).unwrap();
    assert_eq!((&event["event"], &event["subject"]), (&json!("file.stored"), &file["id"]));
    assert_eq!((&event["size_bytes"], &event["revision"]), (&json!(7), &json!(1)));
    assert!(!event.to_string().contains("tax-return"));
    let line = wait_for_log(&mut daemon, &["a hook program ran", "look.file.stored"]);
    assert!(line.contains("looked\\naround"), "{line}");
    let look = hooks.wait_for("look");
    let look: Vec<&str> = look.lines().collect();
    let (_, uid, _) = run(Command::new("id").args(["-u", USER]));
    let (_, gid, _) = run(Command::new("id").args(["-g", USER]));
    assert_eq!(look[..4], [uid.trim(), gid.trim(), "0", "/"], "user, groups, environment, directory");
    assert_eq!(look[4..6], ["524288", "0"], "memory, core");
    assert!(look[6].ends_with('1'), "{look:?}");
    let descriptors = hooks.wait_for("descriptors");
    assert!(!descriptors.contains("socket:") && !descriptors.contains("state"), "{descriptors}");
    assert!(!hooks.out("other").exists(), "that is for another event");
    daemon.delete(&format!("/files/{}", file["id"].as_str().unwrap())).expect(204);
    wait_until("the deletion is waited for", || daemon.get("/metrics").expect(200)["events"]["file.trashed"] == 1);
    assert!(!hooks.out("other").exists(), "in the trash is not deleted");
}

#[test]
fn programs_run_in_the_order_of_their_names_and_of_the_events() {
    let hooks = Hooks::new();
    for name in ["20-b.any", "10-a.any"] {
        hooks.add(name, &format!("read event; echo {name} $event | cut -c 1-9 >> OUT/order"));
    }
    hooks.add("fails.folder.created", "echo broken; exit 3");
    let mut daemon = hooks.daemon();
    daemon.post("/folders", &json!({ "name": "a" })).expect(201);
    daemon.post("/folders", &json!({ "name": "b" })).expect(201);
    let line = wait_for_log(&mut daemon, &["a hook program failed", "fails.folder.created"]);
    assert!(line.contains("Code(3)") && line.contains("broken"), "{line}");
    // Somebody logged in, too.
    wait_until("all ran", || fs::read_to_string(hooks.out("order")).unwrap_or_default().lines().count() >= 6);
    let order = fs::read_to_string(hooks.out("order")).unwrap();
    assert_eq!(order.lines().take(4).collect::<Vec<_>>(), ["10-a.any ", "20-b.any ", "10-a.any ", "20-b.any "]);
}

#[test]
fn what_others_could_have_changed_is_not_run() {
    let hooks = Hooks::new();
    let script = "echo > OUT/ran";
    fs::set_permissions(hooks.add("group.file.stored", script), Permissions::from_mode(0o775)).unwrap();
    fs::set_permissions(hooks.add("world.file.stored", script), Permissions::from_mode(0o757)).unwrap();
    fs::set_permissions(hooks.add("data.file.stored", script), Permissions::from_mode(0o644)).unwrap();
    chown(hooks.add("theirs.file.stored", script), Some(65534), None).unwrap();
    symlink("/bin/true", hooks.programs().join("link.file.stored")).unwrap();
    let mut daemon = hooks.daemon();
    daemon.upload("a", b"content").expect(201);
    for (name, why) in [
        ("group.file.stored", "changed by others"),
        ("world.file.stored", "changed by others"),
        ("theirs.file.stored", "changed by others"),
        ("data.file.stored", "not executable"),
        ("link.file.stored", "no regular file"),
    ] {
        let line = wait_for_log(&mut daemon, &["a hook program failed", name]);
        assert!(line.contains("Refused") && line.contains(why), "{line}");
    }
    fs::set_permissions(hooks.programs(), Permissions::from_mode(0o777)).unwrap();
    hooks.add("good.file.stored", script);
    daemon.upload("b", b"content").expect(201);
    wait_for_log(&mut daemon, &["no hook program was run", "changed by others than root"]);
    assert!(!hooks.out("ran").exists());
}

#[test]
fn a_program_that_does_not_end_is_ended_with_all_that_it_started() {
    let hooks = Hooks::new();
    hooks.add("1-leaves.file.stored", "setsid sleep 98761 > /dev/null 2>&1 & sleep 98762 & echo left");
    hooks.add("2-hangs.file.stored", "sleep 98763 & setsid sleep 98764 & yes | head -c 1000000; exec sleep 98765");
    hooks.add("3-goes-on.file.stored", "echo > OUT/went-on");
    let mut daemon = hooks.daemon();
    daemon.upload("a", b"content").expect(201);
    let line = wait_for_log(&mut daemon, &["2-hangs.file.stored", "TimedOut"]);
    assert!(line.len() < 10_000, "{}", line.len());
    hooks.wait_for("went-on");
    let left = run(Command::new("pgrep").args(["-f", "sleep 9876[1-5]"])).1;
    assert_eq!(left, "", "processes are left");
}

#[test]
fn what_happens_while_no_program_can_be_run_waits() {
    let hooks = Hooks::new();
    hooks.add("count.file.stored", "read event; echo \"$event\" >> OUT/events");
    let nowhere = hooks.out("no.sock");
    let mut daemon = Daemon::unlocked_with(&["--hooks-socket", nowhere.to_str().unwrap()]);
    let file = daemon.upload("a", b"content").expect(201);
    wait_for_log(&mut daemon, &["hook programs cannot be run"]);
    let start = Instant::now();
    daemon.post("/vault/lock", &json!({})).expect(200);
    assert!(start.elapsed() < Duration::from_secs(3));
    daemon.arguments = hooks.arguments();
    let mut daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.log_in();
    assert!(hooks.wait_for("events").contains(file["id"].as_str().unwrap()));
    // Without programs nothing is kept for them.
    daemon.arguments.clear();
    let mut daemon = daemon.crash_and_restart();
    daemon.unlock();
    daemon.log_in();
    daemon.upload("b", b"content").expect(201);
    let metrics = daemon.get("/metrics").expect(200);
    let queue = metrics["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == "hook_programs").unwrap();
    assert_eq!(queue["waiting"], 0, "{metrics}");
}

#[test]
fn the_programs_end_with_the_daemon() {
    let hooks = Hooks::new();
    let mut daemon = hooks.daemon();
    let listener = || run(Command::new("pgrep").args(["-f", &format!("__hooks {}", hooks.programs().display())])).1;
    assert_ne!(listener(), "");
    daemon.kill();
    wait_until("the listener ends", || listener().is_empty());
}

#[test]
fn a_daemon_that_cannot_run_programs_safely_does_not_start() {
    let hooks = Hooks::new();
    let state = tempfile::tempdir().unwrap();
    let start = |directory: &str, user: &str| {
        let mut command = Command::new(COFFERD);
        command.args(["serve", "--listen", "127.0.0.1:0", "--hooks-directory", directory, "--hooks-user", user]);
        let (code, _, complaint) = run(command.arg("--state").arg(state.path()));
        (code, complaint)
    };
    let programs = hooks.programs();
    let programs = programs.to_str().unwrap();
    for (directory, user, part) in [
        (programs, "root", "must not run as root"),
        (programs, "no-such-user", "no user called no-such-user"),
        ("/no/such/directory", USER, "is missing"),
        (hooks.out("").to_str().unwrap(), USER, "changed by others than root"),
    ] {
        let (code, complaint) = start(directory, user);
        assert_eq!(code, Some(77), "{complaint}");
        assert!(complaint.contains(part), "{complaint}");
    }
    let (code, _, _) = run(Command::new(COFFERD).args(["serve", "--state", "x", "--hooks-directory", programs]));
    assert_eq!(code, Some(2), "a directory without a user");
}
