//! A private PostgreSQL, started once for all tests. It ends with them: a shell waits for the end of its input, which is ours.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes a cluster, starts it, and removes it. PostgreSQL does not run as root, so we become somebody else first.
const RUN: &str = r#"
    set -eu
    "$1/initdb" --pgdata "$2/data" --auth trust --username coffer --encoding UTF8 --locale C --no-sync >"$2/log"
    "$1/pg_ctl" --pgdata "$2/data" --log "$2/log" --wait --options "-k $2 -c listen_addresses='' -c fsync=off" start >>"$2/log"
    echo started
    read -r _ || true
    "$1/pg_ctl" --pgdata "$2/data" --mode immediate stop >>"$2/log"
    rm -rf "$2"
"#;

struct Server {
    // Its input is ours: it closes when we end.
    _shell: Child,
    directory: PathBuf,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let directory = tempfile::Builder::new().prefix("coffer-pg-").tempdir().unwrap().keep();
        let mut command = Command::new("sh");
        command.args(["-c", RUN, "sh"]).arg(programs()).arg(&directory).current_dir("/");
        if let Some((user, group)) = somebody_else() {
            chown(&directory, Some(user), Some(group)).unwrap();
            command.uid(user).gid(group);
        }
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert_eq!(line, "started\n", "PostgreSQL does not start: {log}");
        Server { _shell: shell, directory }
    })
}

/// A new database, in libpq's words.
pub(crate) fn new_database() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let directory = &server().directory;
    let made =
        Command::new(programs().join("createdb")).args(["-U", "coffer", "-h"]).arg(directory).arg(&name).status();
    assert!(made.unwrap().success());
    format!("host={} user=coffer dbname={name}", directory.display())
}

/// Runs a statement; gives what it prints.
pub(crate) fn run(database: &str, sql: &str) -> String {
    let run = Command::new(programs().join("psql")).args(["-X", "-A", "-t", "-c", sql, database]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

/// Everything in a database, as text.
pub(crate) fn dump(database: &str) -> Vec<u8> {
    let run = Command::new(programs().join("pg_dump")).args(["--inserts", "-d", database]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

/// Where the newest version's programs are. Debian keeps them out of PATH.
fn programs() -> PathBuf {
    let versions = Path::new("/usr/lib/postgresql").read_dir().unwrap().map(|entry| entry.unwrap().path().join("bin"));
    versions.filter(|bin| bin.join("initdb").exists()).max().unwrap()
}

/// Whom root becomes: the user that Debian's package makes.
fn somebody_else() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> u32 {
        let output = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}
