//! Keys of items that sign for OpenSSH's own programs.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use coffer_client::{
    secrets::content::{Content, FieldKind, Kind},
    tools::{
        error::Error,
        ssh_agent::{self, Agent},
    },
};

use super::memory::Memory;
use coffer_client::secrets::store::Vaults;

struct Keys(tempfile::TempDir);

impl Keys {
    /// Made by `ssh-keygen`; the private ones are in the vault alone.
    fn make(names: &[(&str, &str, &str)], memory: &mut Memory) -> Self {
        let keys = Self(tempfile::tempdir().unwrap());
        let vault = memory.vaults().unwrap()[0].id;
        for (name, kind, bits) in names {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-N", "", "-t", kind, "-b", bits, "-f"])
                .arg(keys.path(name))
                .status();
            assert!(made.unwrap().success());
            let private = fs::read_to_string(keys.path(name)).unwrap();
            fs::remove_file(keys.path(name)).unwrap();
            let content = Content::new(Kind::SshKey, *name).with("private key", FieldKind::Secret, private.trim());
            memory.create(vault, vec![content]).unwrap();
        }
        keys
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn memory() -> Memory {
    let mut memory = Memory::default();
    memory.add_vault("Home");
    memory
}

/// Runs an agent while something is done with its socket, and gives the vaults back.
fn with_agent(mut memory: Memory, socket: &Path, work: impl FnOnce(&Path)) -> Memory {
    let agent = Agent::listen(socket).unwrap();
    let stop = agent.stopper();
    let thread = thread::spawn(move || {
        agent.run(&mut memory).unwrap();
        memory
    });
    work(socket);
    stop.stop();
    thread.join().unwrap()
}

fn ssh(program: &str, socket: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("SSH_AUTH_SOCK", socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn openssh_signs_with_every_kind_of_key() {
    let names = [
        ("ed", "ed25519", "256"),
        ("p256", "ecdsa", "256"),
        ("p384", "ecdsa", "384"),
        ("rsa", "rsa", "2048"),
        ("rsa3", "rsa", "3072"),
    ];
    let mut memory = memory();
    let keys = Keys::make(&names, &mut memory);
    assert_eq!(ssh_agent::unusable(&mut memory).unwrap(), []);
    let socket = keys.path("socket");
    with_agent(memory, &socket, |socket| {
        let mode = fs::metadata(socket).unwrap();
        assert!(mode.file_type().is_socket() && mode.permissions().mode() & 0o777 == 0o600);
        let listed = ssh("ssh-add", socket, &["-l"], b"");
        let listed = String::from_utf8(listed.stdout).unwrap();
        for (name, ..) in names {
            let public = keys.path(&format!("{name}.pub"));
            let fingerprint = Command::new("ssh-keygen").arg("-lf").arg(&public).output().unwrap().stdout;
            let fingerprint = String::from_utf8(fingerprint).unwrap();
            let fingerprint = fingerprint.split(' ').nth(1).unwrap();
            assert!(listed.lines().any(|line| line.contains(fingerprint) && line.contains(name)), "{listed}");
            // `ssh-keygen` uses the agent when it is given a public key; ten times, as numbers differ in their lengths.
            for round in 0..10 {
                let message = format!("message {round}");
                let arguments = ["-Y", "sign", "-n", "test", "-f", public.to_str().unwrap()];
                let signed = ssh("ssh-keygen", socket, &arguments, message.as_bytes());
                assert!(signed.status.success(), "{name}: {}", String::from_utf8_lossy(&signed.stderr));
                let signature = keys.path("signature");
                fs::write(&signature, signed.stdout).unwrap();
                fs::write(keys.path("allowed"), format!("me {}", fs::read_to_string(&public).unwrap())).unwrap();
                let allowed = keys.path("allowed");
                let arguments = [
                    "-Y",
                    "verify",
                    "-n",
                    "test",
                    "-I",
                    "me",
                    "-f",
                    allowed.to_str().unwrap(),
                    "-s",
                    signature.to_str().unwrap(),
                ];
                let verified = ssh("ssh-keygen", socket, &arguments, message.as_bytes());
                assert!(verified.status.success(), "{name}: {}", String::from_utf8_lossy(&verified.stderr));
            }
        }
    });
    assert!(!socket.exists());
}

#[test]
fn a_locked_vault_signs_nothing() {
    let mut memory = memory();
    let keys = Keys::make(&[("ed", "ed25519", "256")], &mut memory);
    memory.is_locked = true;
    with_agent(memory, &keys.path("socket"), |socket| {
        assert!(!ssh("ssh-add", socket, &["-l"], b"").status.success());
        let public = keys.path("ed.pub");
        let signed = ssh("ssh-keygen", socket, &["-Y", "sign", "-n", "x", "-f", public.to_str().unwrap()], b"message");
        assert!(!signed.status.success());
    });
}

#[test]
fn keys_that_cannot_be_used_are_told() {
    let mut memory = memory();
    let keys =
        Keys::make(&[("good", "ed25519", "256"), ("p521", "ecdsa", "521"), ("small", "rsa", "1024")], &mut memory);
    let vault = memory.vaults().unwrap()[0].id;
    let made =
        Command::new("ssh-keygen").args(["-q", "-N", "phrase", "-t", "ed25519", "-f"]).arg(keys.path("own")).status();
    assert!(made.unwrap().success());
    let own = fs::read_to_string(keys.path("own")).unwrap();
    for (title, private) in [
        ("own", own.as_str()),
        ("pem", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"),
        ("cut", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"),
        ("none", "password"),
    ] {
        memory.create(vault, vec![Content::new(Kind::SshKey, title).with("key", FieldKind::Secret, private)]).unwrap();
    }
    // A key in an item of another type is no business of the agent.
    memory.create(vault, vec![Content::new(Kind::Note, "note").with("key", FieldKind::Secret, own)]).unwrap();
    let unusable = ssh_agent::unusable(&mut memory).unwrap();
    let titles: Vec<_> = unusable.iter().map(|unusable| unusable.title.as_str()).collect();
    assert_eq!(titles, ["p521", "small", "own", "pem", "cut", "none"]);
    assert!(unusable[2].why.contains("pass phrase"));
}

#[test]
fn nonsense_ends_a_connection_and_not_the_agent() {
    let mut memory = memory();
    let keys = Keys::make(&[("ed", "ed25519", "256")], &mut memory);
    with_agent(memory, &keys.path("socket"), |socket| {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(&u32::MAX.to_be_bytes()).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        // An unknown request is answered with a failure, and the next one on the same connection as ever.
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(&[0, 0, 0, 1, 99]).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0, 0, 0, 1, 5]);
        stream.write_all(&[0, 0, 0, 1, 11]).unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[4], 12);
        assert!(ssh("ssh-add", socket, &["-l"], b"").status.success());
    });
}

#[test]
fn a_socket_in_use_is_left_alone_and_a_dead_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    with_agent(memory(), &socket, |socket| {
        assert!(matches!(Agent::listen(socket).err(), Some(Error::File { .. })));
        assert!(ssh("ssh-add", socket, &["-l"], b"").stdout.starts_with(b"The agent has no identities"));
    });
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
