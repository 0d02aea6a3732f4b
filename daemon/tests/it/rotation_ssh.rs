//! Rotation of a key that SSH lets in, at a real sshd. Needs root, as that does; what it changes is in a directory of the test.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::harness::run;
use crate::rotations::Rig;
use crate::webhooks::wait_until;

/// Its program: what tests/fetch-files has fetched, without the service that the package would start; or what is installed.
fn program() -> PathBuf {
    let cache = std::env::var_os("COFFER_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/coffer")));
    let fetched = cache.map(|cache| cache.join("programs/openssh-server/usr/sbin/sshd")).filter(|path| path.exists());
    fetched.unwrap_or_else(|| PathBuf::from("/usr/sbin/sshd"))
}

/// A server whose one account has its home in a directory of ours.
struct Sshd {
    child: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl Sshd {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        for key in ["host", "admin", "first"] {
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", &path(key)]));
        }
        fs::create_dir(path(".ssh")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nUsePAM no\nPasswordAuthentication no\n\
             PermitRootLogin prohibit-password\nStrictModes no\nAuthorizedKeysFile {}\nSetEnv HOME={}\n",
            path("host"),
            path(".ssh/authorized_keys"),
            directory.path().display(),
        );
        // Since OpenSSH 9.8 the server is several programs, which know each other by where they are installed.
        let session = program().with_file_name("../lib/openssh/sshd-session");
        let more = if session.exists() { format!("SshdSessionPath {}\n", session.display()) } else { String::new() };
        fs::write(path("config"), text + &more).unwrap();
        // What it is when it knows nobody yet: a user of its own, which its package would make, in a directory of its own.
        fs::create_dir_all("/run/sshd").unwrap();
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let own = if users.contains("\nsshd:") { "" } else { "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n" };
        fs::write(path("passwd"), users + own).unwrap();
        fs::set_permissions(path("passwd"), Permissions::from_mode(0o644)).unwrap();
        let script = "mount --bind \"$1\" /etc/passwd && shift && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh", &path("passwd")]).arg(program());
        let child = command.args(["-D", "-e", "-f", &path("config")]).stderr(Stdio::null()).spawn().unwrap();
        let sshd = Self { child, directory, port };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_until("it listens", || TcpStream::connect(address).is_ok());
        let both = [sshd.public("admin"), "# a comment\n".to_owned(), sshd.public("first")].concat();
        fs::write(sshd.keys_file(), both).unwrap();
        sshd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn keys_file(&self) -> PathBuf {
        self.path(".ssh/authorized_keys")
    }

    fn public(&self, key: &str) -> String {
        fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap()
    }

    fn keys(&self) -> Vec<String> {
        fs::read_to_string(self.keys_file()).unwrap().lines().map(str::to_owned).collect()
    }

    /// Whether it lets in whoever has a private key.
    fn lets_in(&self, private: &str) -> bool {
        let file = self.path("tried");
        fs::write(&file, private).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let (port, hosts) = (self.port.to_string(), self.path("known"));
        fs::write(&hosts, format!("[127.0.0.1]:{port} {}", self.public("host"))).unwrap();
        let known = format!("UserKnownHostsFile={}", hosts.display());
        let mut command = Command::new("ssh");
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            &known,
            "-p",
            &port,
            "-i",
        ]);
        command.arg(file).args(["root@127.0.0.1", "true"]).stdin(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    }

    fn rig(&self, admin: &str) -> Rig {
        let rig = Rig::with("", &["--allow-local-rotations"]);
        let provider = json!({
            "kind": "ssh_authorized_key", "host": "127.0.0.1", "port": self.port, "user": "root",
            "host_key": self.public("host").trim_end(),
        });
        let admin = fs::read_to_string(self.path(admin)).unwrap();
        let more = json!({ "provider": provider, "admin": admin, "handle": self.public("first").trim_end() });
        rig.create(&more).expect(201);
        rig.set_drop_box().expect(204);
        rig
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_key_of_an_account_is_replaced_and_other_peoples_stay() {
    let sshd = Sshd::start();
    let first = fs::read_to_string(sshd.path("first")).unwrap();
    assert!(sshd.lets_in(&first));
    let mut rig = sshd.rig("admin");
    rig.run();
    rig.wait_for("verified");
    let (second, public) = rig.value();
    let public = public.unwrap();
    assert!(public.starts_with("ssh-ed25519 AAAA") && public.contains(" coffer-"), "{public}");
    assert!(sshd.lets_in(&second) && sshd.lets_in(&first), "both, until a member has the new one");
    rig.take();
    rig.wait_for("old_revoked");
    assert!(sshd.lets_in(&second) && !sshd.lets_in(&first));
    assert_eq!(sshd.keys(), [sshd.public("admin").trim_end(), "# a comment", &public]);
    rig.run();
    wait_until("another one", || sshd.keys().len() == 4);
    rig.wait_for("verified");
    let (third, _) = rig.value();
    rig.take();
    rig.wait_for("old_revoked");
    assert!(sshd.lets_in(&third) && !sshd.lets_in(&second));
    assert_eq!(sshd.keys().len(), 3);
}

#[test]
fn a_key_that_lets_nobody_in_or_another_host_changes_nothing() {
    let sshd = Sshd::start();
    fs::write(sshd.keys_file(), sshd.public("first")).unwrap();
    let rig = sshd.rig("admin");
    rig.run();
    let state = rig.wait_for_problem();
    let problem = state["problem"].as_str().unwrap();
    assert!(state["state"] == "idle" && problem.contains("Permission denied"), "{state}");
    fs::copy(sshd.path("first.pub"), sshd.path("host.pub")).unwrap();
    let rig = sshd.rig("first");
    rig.run();
    let state = rig.wait_for_problem();
    let problem = state["problem"].as_str().unwrap();
    assert!(state["state"] == "idle" && problem.contains("Host key verification failed"), "{state}");
    assert_eq!(sshd.keys(), [sshd.public("first").trim_end()]);
}
