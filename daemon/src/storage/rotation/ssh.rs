//! A key by which SSH lets somebody in: a line of `authorized_keys` of an account on another machine. There can be any number, so the
//! old one is taken out last.
//!
//! OpenSSH does the talking. The private key by which it logs in goes to its agent through a pipe, and is on no disk and in no argument;
//! the agent ends with the one connection.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use ring::signature::{Ed25519KeyPair, KeyPair};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{LineEnding, PrivateKey, PublicKey};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Credential, Provider, Refusal};
use crate::storage::outbound::Outbound;

/// How long a connection may take, with all that is done in it.
const LIMIT: Duration = Duration::from_secs(30);
/// What is kept of what OpenSSH complains of.
const MAX_COMPLAINT_BYTES: u64 = 4096;
/// Where its programs are found.
const PATH: &str = "/usr/bin:/bin";
/// What the host is called beside its key, whatever address it has.
const ALIAS: &str = "coffer-rotation";
/// Longest name of an account.
const MAX_USER_BYTES: usize = 32;
/// Complaints after which nothing was done there for sure.
const CERTAIN: [&str; 6] = [
    "Permission denied",
    "Connection refused",
    "Connection timed out",
    "No route to host",
    "Host key verification failed",
    "Network is unreachable",
];

/// Gives the key on standard input to an agent, and connects by it. The host's key stands in a file meanwhile: OpenSSH takes it from
/// nowhere else in a user namespace such as the daemon's, where it cannot set groups for the command that would tell it.
const CONNECT: &str = r#"ssh-add -q - 2>/dev/null || { echo "the admin credential is no private key that OpenSSH reads" >&2; exit 254; }
    umask 077
    known=$(mktemp) || exit 254
    trap 'rm -f "$known"' EXIT
    echo "$1" > "$known" || exit 254
    shift
    ssh -o "UserKnownHostsFile=$known" "$@" </dev/null"#;
/// What the shell above ends with when nothing was connected to.
const NO_KEY: i32 = 254;

/// An account on another machine.
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) host_key: String,
}

pub(super) struct AuthorizedKey {
    pub(super) outbound: Arc<Outbound>,
    pub(super) rotation_id: Uuid,
    pub(super) place: Place,
    pub(super) admin: Zeroizing<String>,
}

/// Refuses what could not work, and what a shell or OpenSSH would take for something else.
pub(super) fn check(user: &str, host_key: &str) -> Result<(), (&'static str, String)> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_user = (1..=MAX_USER_BYTES).contains(&user.len()) && user.bytes().all(is_plain) && !user.starts_with('-');
    if !is_user {
        return Err(("provider.user", format!("letters, digits, - _ and ., at most {MAX_USER_BYTES}")));
    }
    match plain_key(host_key) {
        Some(_) => Ok(()),
        None => {
            Err(("provider.host_key", "the host's public key, as `ssh-keyscan` prints it without the name".to_owned()))
        }
    }
}

/// Algorithm and key, without anything else that stands in the line.
fn plain_key(line: &str) -> Option<String> {
    let key = PublicKey::from_openssh(line.trim()).ok()?;
    PublicKey::new(key.key_data().clone(), "").to_openssh().ok().map(|text| text.trim_end().to_owned())
}

impl AuthorizedKey {
    /// What stands behind the keys of this rotation.
    fn mark(&self) -> String {
        format!("coffer-{}", self.rotation_id)
    }

    /// Runs a script there, with a private key.
    fn run(&self, key: &str, script: &str) -> Result<(), Refusal> {
        let Place { host, port, user, host_key } = &self.place;
        let address = self.outbound.resolve(host, *port).map_err(|error| Refusal::certain(error.to_string()))?;
        let host_key = plain_key(host_key).ok_or_else(|| Refusal::certain("the host's key is not understood"))?;
        let mut command = Command::new("ssh-agent");
        command.args(["sh", "-c", CONNECT, "sh", &format!("{ALIAS} {host_key}"), "-F", "none", "-T", "-a", "-x"]);
        for option in [
            "BatchMode=yes",
            "PreferredAuthentications=publickey",
            "IdentityFile=none",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=none",
            "UpdateHostKeys=no",
            "ConnectTimeout=10",
            "LogLevel=ERROR",
            &format!("HostKeyAlias={ALIAS}"),
        ] {
            command.args(["-o", option]);
        }
        command.args(["-p", &port.to_string(), "-l", user, "--", &address.ip().to_string(), script]);
        command.env_clear().env("PATH", PATH).current_dir("/").process_group(0);
        let (code, complaint) =
            wait(command, key).map_err(|_| Refusal::certain("OpenSSH is not installed on this box"))?;
        let last = complaint.lines().last().unwrap_or_default().to_owned();
        match code {
            Some(0) => Ok(()),
            Some(code) => {
                let is_certain = code == NO_KEY || CERTAIN.iter().any(|known| complaint.contains(known));
                let text = if last.is_empty() { format!("OpenSSH ended with {code}") } else { last };
                Err(Refusal { text, is_certain })
            }
            None => Err(Refusal::uncertain("the connection took too long")),
        }
    }

    /// Writes the list of keys anew: without those of some lines, and with others.
    fn rewrite(&self, without: &str, with: &[&str]) -> Result<(), Refusal> {
        let lines = with.iter().map(|line| format!("echo {}", quoted(line))).collect::<Vec<_>>().join("\n");
        let script = format!(
            "set -eu\numask 077\nmkdir -p \"$HOME/.ssh\"\ncd \"$HOME/.ssh\"\ntouch authorized_keys\n\
             {{ grep -vF -e {} authorized_keys || [ $? -eq 1 ]\n{lines}\n}} > authorized_keys.coffer\n\
             mv authorized_keys.coffer authorized_keys",
            quoted(without)
        );
        self.run(&self.admin, &script)
    }
}

impl Provider for AuthorizedKey {
    fn make(&self, random: &[u8; 32]) -> Result<Option<Credential>, Refusal> {
        let failed = |_| Refusal::certain("no key could be made");
        let pair = Ed25519KeyPair::from_seed_unchecked(random).map_err(|_| Refusal::certain("no key could be made"))?;
        let public = Ed25519PublicKey::try_from(pair.public_key().as_ref()).map_err(failed)?;
        let pair = Ed25519Keypair { public, private: Ed25519PrivateKey::from_bytes(random) };
        let key = PrivateKey::new(KeypairData::Ed25519(pair), self.mark()).map_err(failed)?;
        let handle = key.public_key().to_openssh().map_err(failed)?.trim_end().to_owned();
        let value = key.to_openssh(LineEnding::LF).map_err(failed)?;
        Ok(Some(Credential { value, handle: Some(handle) }))
    }

    fn apply(&self, made: Option<&Credential>, known: &[String], _: bool) -> Result<Option<Credential>, Refusal> {
        let handle = made.and_then(|made| made.handle.as_deref());
        let Some(handle) = handle else { return Err(Refusal::certain("nothing was made")) };
        // Keys of this rotation that nobody knows any more go; other people's stay.
        let mark = self.mark();
        let ours =
            known.iter().map(String::as_str).filter(|known| known.ends_with(&mark) && plain_key(known).is_some());
        let with: Vec<&str> = ours.chain([handle]).collect();
        self.rewrite(&mark, &with).map(|()| None)
    }

    fn verify(&self, credential: &Credential) -> Result<(), Refusal> {
        self.run(&credential.value, "exit 0")
    }

    fn revoke(&self, handle: &str) -> Result<(), Refusal> {
        // By the key itself, whatever options and comment stand in its line.
        let plain = plain_key(handle).ok_or_else(|| Refusal::certain("the old public key is not understood"))?;
        let key = plain.split(' ').nth(1).unwrap_or_default().to_owned();
        if key.is_empty() {
            return Err(Refusal::certain("the old public key is not understood"));
        }
        self.rewrite(&key, &[])
    }
}

/// As one word of a shell. A line of a key has no quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', ""))
}

/// Runs a command with a text on its standard input; gives its exit code, or none when it took too long, and what it complained of.
fn wait(mut command: Command, input: &str) -> io::Result<(Option<i32>, String)> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read it says why.
        let _ = stdin.write_all(input.as_bytes()).and_then(|()| stdin.write_all(b"\n"));
    }
    let stderr = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut complaint = Vec::new();
        let read = stderr.map(|stderr| stderr.take(MAX_COMPLAINT_BYTES).read_to_end(&mut complaint));
        drop(read);
        String::from_utf8_lossy(&complaint).into_owned()
    });
    let (end, ended) = mpsc::sync_channel(1);
    thread::spawn(move || end.send(child.wait()));
    let status = ended.recv_timeout(LIMIT);
    // Whatever it has started. ESRCH: nothing is left.
    let _ = killpg(pid, Signal::SIGKILL);
    let complaint = reader.join().unwrap_or_default();
    match status {
        Ok(status) => Ok((status?.code(), complaint)),
        Err(_) => Ok((None, complaint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn what_a_shell_would_take_for_something_else_is_refused() {
        for (user, host_key, expected) in [
            ("app", KEY, None),
            ("app.user-1", &format!("{KEY} root@host"), None),
            ("", KEY, Some("provider.user")),
            ("-oProxyCommand=x", KEY, Some("provider.user")),
            ("a b", KEY, Some("provider.user")),
            ("app", "ssh-ed25519", Some("provider.host_key")),
            ("app", "x; reboot", Some("provider.host_key")),
        ] {
            assert_eq!(check(user, host_key).err().map(|(member, _)| member), expected, "{user} {host_key}");
        }
        assert_eq!(plain_key(&format!(" {KEY} root@host\n")).as_deref(), Some(KEY));
    }
}
