//! A PostgreSQL server of one test, on this machine's own network, whose roles log in with passwords alone. It ends with its
//! value, or with the tests: a shell waits for the end of its input, which is ours.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// Makes a cluster, starts it, and removes it. PostgreSQL does not run as root, so we become somebody else first.
const RUN: &str = r#"
    set -eu
    "$1/initdb" --pgdata "$2/data" --auth-local trust --auth-host scram-sha-256 --username postgres --no-sync >"$2/log"
    "$1/pg_ctl" --pgdata "$2/data" --log "$2/log" --wait \
        --options "-k $2 -c listen_addresses=127.0.0.1 -c port=$3 -c fsync=off -c log_statement=all" start >>"$2/log"
    echo started
    read -r _ || true
    "$1/pg_ctl" --pgdata "$2/data" --mode immediate stop >>"$2/log"
    rm -rf "$2"
"#;

pub(super) struct Server {
    shell: Child,
    directory: PathBuf,
    pub(super) port: String,
}

impl Server {
    pub(super) fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("coffer-pg-").tempdir().unwrap().keep();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let mut command = Command::new("sh");
        command.args(["-c", RUN, "sh"]).arg(programs()).arg(&directory).arg(&port).current_dir("/");
        if let Some((user, group)) = somebody_else() {
            chown(&directory, Some(user), Some(group)).unwrap();
            command.uid(user).gid(group);
        }
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert_eq!(line, "started\n", "PostgreSQL does not start: {log}");
        Self { shell, directory, port }
    }

    /// Runs a statement as its administrator.
    pub(super) fn run(&self, sql: &str) {
        let directory = self.directory.to_str().unwrap();
        let done = self.psql(&["-h", directory, "-U", "postgres"], "", sql);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Whether a role may log in with that password.
    pub(super) fn lets_in(&self, role: &str, password: &str) -> bool {
        self.psql(&["-h", "127.0.0.1", "-U", role], password, "SELECT 1").status.success()
    }

    /// What it has written down, with every statement.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap()
    }

    fn psql(&self, arguments: &[&str], password: &str, sql: &str) -> Output {
        let mut command = Command::new(programs().join("psql"));
        command.args(["-X", "-w", "-p", &self.port, "-d", "postgres", "-c", sql]).args(arguments);
        command.env("PGPASSWORD", password).output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
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
