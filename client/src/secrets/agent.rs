//! The process that holds the account key while the vaults are open, and what `coffer` says to it. The key is in its memory
//! and in no file; it ends when it is told to, or when nobody has asked for the key for a while (times of sleep count).
//!
//! A socket that only its owner can reach; both sides ask the kernel who the other one is. What runs as the same person
//! can ask for the key, as it could read what the person types: docs/secrets-client.md says what this does not hold against.

use std::{
    env,
    fs::{self, DirBuilder, File},
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::{
            fs::{DirBuilderExt, MetadataExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use coffer_crypto::secrets::keys::AccountKey;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::resource::{Resource, getrlimit, setrlimit},
    time::{ClockId, clock_gettime},
    unistd::{Uid, geteuid, setsid},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{failure::Failure, home::Home};

/// How long the other side may take for the few bytes of an exchange.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(2);
/// How often an agent looks at the clock, which goes on while the machine sleeps.
const TICK_MS: u16 = 10_000;
const KEY_BYTES: usize = 16 + 32;
const GIVE: u8 = b'K';
const LOCK: u8 = b'L';
const DONE: u8 = b'.';

/// Keeps this process's memory out of core dumps, and from other processes of the same person. What this program starts decides
/// for itself.
pub fn hide_memory() -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    let hidden = nix::sys::prctl::set_dumpable(false);
    // There only who is allowed to debug reads the memory of another process, and asks first.
    #[cfg(not(target_os = "linux"))]
    let hidden = nix::Result::Ok(());
    let hidden = hidden
        .and_then(|()| getrlimit(Resource::RLIMIT_CORE))
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_CORE, 0, most));
    hidden.map_err(|error| Failure::io("hiding the memory of this process")(error.into()))
}

/// The account key, if the vaults are open.
pub fn key(home: &Home) -> Result<Option<AccountKey>, Failure> {
    let Some(mut stream) = connect(home)? else { return Ok(None) };
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    let read = stream.write_all(&[GIVE]).and_then(|()| stream.read_exact(bytes.as_mut_slice()));
    read.map_err(Failure::io("asking the agent"))?;
    parse(&bytes).map(Some)
}

/// Ends the agent. False when there is none.
pub fn lock(home: &Home) -> Result<bool, Failure> {
    let Some(mut stream) = connect(home)? else { return Ok(false) };
    let ended = stream.write_all(&[LOCK]).and_then(|()| stream.read_exact(&mut [0]));
    ended.map_err(Failure::io("locking"))?;
    Ok(true)
}

/// Starts an agent in place of the one that there may be. It outlives this process.
pub fn start(home: &Home, key: &AccountKey, idle: Duration, program: &Path) -> Result<(), Failure> {
    lock(home)?;
    let started = (|| {
        let mut child = Command::new(program)
            .arg("agent")
            .arg("--socket")
            .arg(socket(home)?)
            .arg("--idle-s")
            .arg(idle.as_secs().to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(mut stdout)) = (stdin, stdout) else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        bytes[..16].copy_from_slice(key.account().as_bytes());
        bytes[16..].copy_from_slice(key.bytes());
        stdin.write_all(bytes.as_slice())?;
        drop(stdin);
        stdout.read_exact(&mut [0])
    })();
    started.map_err(Failure::io("starting the agent"))
}

/// The agent itself: takes the key from standard input, and returns when it has been locked or left alone.
pub fn run(socket: &Path, idle: Duration) -> Result<(), Failure> {
    hide_memory()?;
    let served = (|| {
        let mut key = Zeroizing::new(vec![0; KEY_BYTES]);
        // Keeps it out of swap. Where a person may lock nothing the agent serves all the same.
        let _locked = region::lock(key.as_ptr(), KEY_BYTES).ok();
        // Standard input as std reads it would leave a copy in its buffer.
        File::from(io::stdin().as_fd().try_clone_to_owned()?).read_exact(&mut key)?;
        // Whoever closes the terminal does not close the vaults.
        setsid()?;
        remove(socket)?;
        let listener = UnixListener::bind(socket)?;
        fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        io::stdout().write_all(&[DONE])?;
        io::stdout().flush()?;
        serve(&listener, &key, idle)?;
        remove(socket)
    })();
    served.map_err(Failure::io("the agent"))
}

fn serve(listener: &UnixListener, key: &[u8], idle: Duration) -> io::Result<()> {
    let mut last_use = since_boot()?;
    loop {
        let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let is_asked = poll(&mut ready, PollTimeout::from(TICK_MS)).map_err(io::Error::from)? > 0;
        let now = since_boot()?;
        if now.saturating_sub(last_use) >= idle {
            return Ok(());
        }
        if !is_asked {
            continue;
        }
        // One that goes away, or is somebody else's, is no reason to lock.
        let Ok((mut stream, _)) = listener.accept() else { continue };
        match answer(&mut stream, key) {
            Ok(LOCK) => return stream.write_all(&[DONE]),
            Ok(GIVE) => last_use = now,
            Ok(_) | Err(_) => {}
        }
    }
}

fn answer(stream: &mut UnixStream, key: &[u8]) -> io::Result<u8> {
    check_peer(stream)?;
    let mut asked = [0];
    stream.read_exact(&mut asked)?;
    if asked == [GIVE] {
        stream.write_all(key)?;
    }
    Ok(asked[0])
}

fn connect(home: &Home) -> Result<Option<UnixStream>, Failure> {
    let connected = socket(home).and_then(|path| match UnixStream::connect(path) {
        Ok(stream) => check_peer(&stream).map(|()| Some(stream)),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind()) => Ok(None),
        Err(error) => Err(error),
    });
    connected.map_err(Failure::io("reaching the agent"))
}

/// Who is at the other end, by the kernel's word.
fn check_peer(stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(EXCHANGE_LIMIT))?;
    stream.set_write_timeout(Some(EXCHANGE_LIMIT))?;
    if peer(stream)? == geteuid() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else is at the other end"))
    }
}

#[cfg(target_os = "linux")]
fn peer(stream: &UnixStream) -> nix::Result<Uid> {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
    Ok(Uid::from_raw(getsockopt(stream, PeerCredentials)?.uid()))
}

#[cfg(not(target_os = "linux"))]
fn peer(stream: &UnixStream) -> nix::Result<Uid> {
    Ok(nix::unistd::getpeereid(stream)?.0)
}

/// One socket for each directory of an account.
fn socket(home: &Home) -> io::Result<PathBuf> {
    let directory = directory()?;
    let home = fs::canonicalize(home.directory()).unwrap_or_else(|_| home.directory().to_owned());
    let hash = Sha256::digest(home.as_os_str().as_encoded_bytes());
    Ok(directory.join(format!("agent-{}", data_encoding::HEXLOWER.encode(&hash[..8]))))
}

/// A directory that is this person's and nobody else's: `/tmp` is everybody's, so that what is there is looked at first.
fn directory() -> io::Result<PathBuf> {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let path = match runtime {
        Some(runtime) => runtime.join("coffer"),
        None => PathBuf::from(format!("/tmp/coffer-{}", geteuid())),
    };
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let found = fs::symlink_metadata(&path)?;
    if found.is_dir() && found.uid() == geteuid().as_raw() && found.mode().trailing_zeros() >= 6 {
        Ok(path)
    } else {
        let refused = format!("{} is not a directory of yours alone", path.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, refused))
    }
}

fn remove(socket: &Path) -> io::Result<()> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Other than `Instant`, this goes on while the machine sleeps.
fn since_boot() -> io::Result<Duration> {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;
    Ok(clock_gettime(CLOCK)?.into())
}

fn parse(bytes: &[u8; KEY_BYTES]) -> Result<AccountKey, Failure> {
    let (account, key) = bytes.split_first_chunk::<16>().ok_or(Failure::Locked)?;
    let key = key.first_chunk::<32>().ok_or(Failure::Locked)?;
    Ok(AccountKey::from_bytes(Uuid::from_bytes(*account), key))
}
