//! gocryptfs, the file system that encrypts: made, mounted and ended as a child process.
//!
//! The passphrase goes through a pipe: gocryptfs reads it from standard input when that is not a terminal. Exit codes
//! are its stable contract (`gocryptfs(1)`, EXIT CODES) and become [`GocryptfsError`]. Standard error goes to the log.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use log::{info, warn};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, Flock, FlockArg, OFlag, fcntl};
use nix::mount::{MntFlags, umount2};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::namespace;

/// The first argument by which this program becomes gocryptfs; see [`become_gocryptfs`].
pub(crate) const SHIM_ARGUMENT: &str = "__gocryptfs";

/// The oldest version that knows every flag we use (`-deterministic-names`) and is tested.
const MIN_VERSION: (u32, u32) = (2, 3);

/// The file that makes a directory a gocryptfs cipher directory.
const CONFIG_FILE: &str = "gocryptfs.conf";

/// The passphrase has 256 random bits, so stretching it adds nothing; this is the least that gocryptfs takes.
const SCRYPT_LOG_N: &str = "10";

/// Exit code of the shim when the cipher directory is in use (`EX_TEMPFAIL`, `sysexits.h`; gocryptfs ends at 31).
const EXIT_IN_USE: i32 = 75;

/// How long gocryptfs may take to mount. It needs well under a second.
const MOUNT_LIMIT: Duration = Duration::from_secs(30);

/// How often a condition of another process is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Why gocryptfs could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GocryptfsError {
    #[error("gocryptfs is not installed, or not in PATH")]
    NotInstalled,
    #[error("gocryptfs {found} is too old, {}.{} or newer is needed", MIN_VERSION.0, MIN_VERSION.1)]
    Version { found: String },
    #[error("FUSE is not usable: /dev/fuse is missing or may not be opened")]
    NoFuse,
    #[error("the cipher directory is missing or not readable")]
    CipherDirectory,
    #[error("the cipher directory's configuration is missing or damaged")]
    Config,
    #[error("the mount point is missing, not empty or not writable")]
    MountPoint,
    #[error("the passphrase does not belong to this cipher directory")]
    WrongPassphrase,
    #[error("another process still serves this cipher directory")]
    InUse,
    #[error("gocryptfs did not answer in time")]
    TimedOut,
    #[error("gocryptfs ended with {status}")]
    Failed { status: ExitStatus },
    #[error("cannot run gocryptfs")]
    Io(#[from] std::io::Error),
}

/// Whether a directory holds a gocryptfs file system.
pub(crate) fn is_initialised(cipher: &Path) -> bool {
    cipher.join(CONFIG_FILE).exists()
}

/// Checks that gocryptfs and FUSE can be used at all.
pub(crate) fn check_usable() -> Result<(), GocryptfsError> {
    let output = match bare("gocryptfs").arg("-version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(GocryptfsError::NotInstalled),
        other => other?,
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if parse_version(&text).is_none_or(|version| version < MIN_VERSION) {
        let found = text.split(';').next().unwrap_or_default().trim_start_matches("gocryptfs ").to_owned();
        return Err(GocryptfsError::Version { found });
    }
    let fuse = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    fuse.map(|_| ()).map_err(|_| GocryptfsError::NoFuse)
}

/// Makes an empty directory a gocryptfs file system.
///
/// `-deterministic-names`: without it every directory has a side file that gocryptfs does not sync, and a power cut
/// makes the directory unreadable. Names on our disk are random and unique, so equal names leak nothing.
pub(crate) fn initialise(cipher: &Path, passphrase: &str) -> Result<(), GocryptfsError> {
    let mut command = shim(cipher);
    command.args(["-init", "-q", "-deterministic-names", "-scryptn", SCRYPT_LOG_N, "--"]).arg(cipher);
    let mut child = command.spawn()?;
    give_passphrase(&mut child, passphrase)?;
    let stderr = child.stderr.take().map(|pipe| thread::spawn(move || log_lines(pipe)));
    let status = child.wait()?;
    drop(stderr);
    if status.success() { Ok(()) } else { Err(error_of(status)) }
}

/// Takes away what a gocryptfs that no longer lives left at the mount point, before this process has a namespace of
/// its own. Our own mounts end with that namespace; this is for one that was made by hand, to recover files.
///
/// One that lives is left alone: somebody is using it. It is reported as [`GocryptfsError::MountPoint`].
pub(crate) fn clear_stale_mount(mount_point: &Path) -> Result<(), GocryptfsError> {
    if !namespace::is_mount_point(mount_point)? {
        return Ok(());
    }
    let dead = fs::metadata(mount_point).is_err_and(|error| error.kind() == ErrorKind::NotConnected);
    if !dead {
        return Err(GocryptfsError::MountPoint);
    }
    warn!("a dead mount is cleaned up");
    if umount2(mount_point, MntFlags::MNT_DETACH).is_err() {
        // Not root: the setuid program unmounts what its caller had mounted.
        bare("fusermount3").args(["-u", "-z", "--"]).arg(mount_point).status()?;
    }
    if namespace::is_mount_point(mount_point)? { Err(GocryptfsError::MountPoint) } else { Ok(()) }
}

/// A mounted gocryptfs. Dropping it kills the process; [`Mount::unmount`] is the orderly way.
pub(crate) struct Mount {
    point: PathBuf,
    pid: Pid,
    ended: Receiver<ExitStatus>,
}

impl Mount {
    /// Mounts and waits until the file system answers. `on_exit` is called once, when the process has ended for
    /// whatever reason, on a thread of its own.
    pub(crate) fn open(
        cipher: &Path,
        mount_point: &Path,
        passphrase: &str,
        on_exit: impl FnOnce() + Send + 'static,
    ) -> Result<Self, GocryptfsError> {
        if namespace::is_mount_point(mount_point)? {
            return Err(GocryptfsError::MountPoint);
        }
        let mut command = shim(cipher);
        // -kernel_cache: we are the only writer, so cached pages stay true across opens (5 times faster re-reads).
        command.args(["-fg", "-q", "-nosyslog", "-kernel_cache", "-nodev", "-nosuid", "-noexec", "--"]);
        command.arg(cipher).arg(mount_point);
        let (pid, ended) = supervise(command, passphrase.to_owned().into(), on_exit)?;
        let mount = Self { point: mount_point.to_owned(), pid, ended };
        mount.wait_until_served()?;
        info!(pid = pid.as_raw(); "gocryptfs is mounted");
        Ok(mount)
    }

    /// The process.
    pub(crate) fn pid(&self) -> Option<u32> {
        u32::try_from(self.pid.as_raw()).ok()
    }

    /// Unmounts and waits until the process is gone, and its key with it.
    ///
    /// Every descriptor must be closed before: a lazy unmount would leave them readable. When some are still open
    /// after `patience`, the process is killed, which makes them useless, and the dead mount is detached.
    pub(crate) fn unmount(self, patience: Duration) -> Result<(), GocryptfsError> {
        let deadline = Instant::now() + patience;
        loop {
            match umount2(&self.point, MntFlags::empty()) {
                // EINVAL: not mounted (any more), because the process ended by itself.
                Ok(()) | Err(Errno::EINVAL) => break,
                Err(_) if Instant::now() < deadline => {
                    if let Ok(_status) = self.ended.recv_timeout(POLL_INTERVAL) {
                        break;
                    }
                }
                Err(error) => {
                    warn!(error:% = error; "the vault is still in use; gocryptfs is killed");
                    break;
                }
            }
        }
        let grace = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(200));
        if self.ended.recv_timeout(grace) == Err(RecvTimeoutError::Timeout) {
            self.kill();
        }
        self.wait_until_gone()
    }

    fn wait_until_served(&self) -> Result<(), GocryptfsError> {
        let deadline = Instant::now() + MOUNT_LIMIT;
        while !namespace::is_mount_point(&self.point)? {
            match self.ended.recv_timeout(POLL_INTERVAL) {
                Ok(status) => return Err(error_of(status)),
                Err(RecvTimeoutError::Disconnected) => return Err(GocryptfsError::TimedOut),
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => return Err(GocryptfsError::TimedOut),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        // The first request waits in the kernel until gocryptfs serves it.
        fs::metadata(&self.point)?;
        Ok(())
    }

    fn wait_until_gone(&self) -> Result<(), GocryptfsError> {
        // Gone already when the channel is closed: its one message was taken above.
        if self.ended.recv_timeout(MOUNT_LIMIT) == Err(RecvTimeoutError::Timeout) {
            return Err(GocryptfsError::TimedOut);
        }
        if namespace::is_mount_point(&self.point)? {
            umount2(&self.point, MntFlags::MNT_DETACH).map_err(std::io::Error::from)?;
        }
        info!(pid = self.pid.as_raw(); "gocryptfs is gone");
        Ok(())
    }

    /// Ends the process at once. Open descriptors on the mount become useless.
    pub(crate) fn kill(&self) {
        // ESRCH: it ended meanwhile, which is what we want.
        if let Err(error) = kill(self.pid, Signal::SIGKILL)
            && error != Errno::ESRCH
        {
            warn!(error:% = error; "cannot kill gocryptfs");
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // After an orderly unmount the channel is closed; the process id must not be used any more.
        if self.ended.try_recv() == Err(mpsc::TryRecvError::Empty) {
            self.kill();
            if let Err(error) = umount2(&self.point, MntFlags::MNT_DETACH) {
                warn!(error:% = error; "cannot detach the vault's mount point");
            }
        }
    }
}

/// What the child does instead of ours: `cofferd __gocryptfs CIPHERDIR ARGUMENTS…`.
///
/// It locks the cipher directory for as long as gocryptfs lives (an inherited `flock(2)`), so that a second mount is
/// impossible even when the daemon was killed; ties gocryptfs' life to the daemon's; forbids core dumps; and becomes
/// gocryptfs. Only a separate, single-threaded process can do these things for itself without unsafe code.
pub(crate) fn become_gocryptfs(arguments: &[std::ffi::OsString]) -> i32 {
    let Some((cipher, arguments)) = arguments.split_first() else { return EXIT_IN_USE };
    let prepared = (|| -> nix::Result<()> {
        let directory = nix::fcntl::open(Path::new(cipher), OFlag::O_DIRECTORY, nix::sys::stat::Mode::empty())?;
        let lock = Flock::lock(File::from(directory), FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)?;
        // Without O_CLOEXEC the descriptor, and so the lock, stays open in gocryptfs.
        fcntl(&*lock, FcntlArg::F_SETFD(FdFlag::empty()))?;
        std::mem::forget(lock);
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0)
    })();
    match prepared {
        Ok(()) => {
            let error = Command::new("gocryptfs").args(arguments).exec();
            if error.kind() == ErrorKind::NotFound { 127 } else { 126 }
        }
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => 6,
        Err(_) => EXIT_IN_USE,
    }
}

/// A command with our environment reduced to what it needs: a key may have been given in ours.
fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", "/");
    command
}

/// The command that becomes gocryptfs.
fn shim(cipher: &Path) -> Command {
    let mut command = bare("/proc/self/exe");
    command.arg(SHIM_ARGUMENT).arg(cipher);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Starts the process and waits for it on one thread: the parent-death signal is tied to the thread that spawned.
fn supervise(
    mut command: Command,
    passphrase: zeroize::Zeroizing<String>,
    on_exit: impl FnOnce() + Send + 'static,
) -> Result<(Pid, Receiver<ExitStatus>), GocryptfsError> {
    let (started, start) = mpsc::sync_channel(1);
    let (end, ended) = mpsc::sync_channel(1);
    thread::Builder::new().name("gocryptfs".to_owned()).spawn(move || {
        let spawned = command.spawn().and_then(|mut child| {
            give_passphrase(&mut child, &passphrase)?;
            Ok(child)
        });
        drop(passphrase);
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => return drop(started.send(Err(error))),
        };
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        // The receivers live in `open`; when one is gone, so is whoever wanted to know.
        drop(started.send(Ok(pid)));
        if let Some(stderr) = child.stderr.take() {
            log_lines(stderr);
        }
        match child.wait() {
            Ok(status) => drop(end.send(status)),
            Err(error) => warn!(error:% = error; "cannot wait for gocryptfs"),
        }
        drop(end);
        on_exit();
    })?;
    let pid = start.recv().map_err(|_| GocryptfsError::TimedOut)??;
    Ok((pid, ended))
}

fn give_passphrase(child: &mut Child, passphrase: &str) -> std::io::Result<()> {
    let Some(mut stdin) = child.stdin.take() else { return Ok(()) };
    match stdin.write_all(passphrase.as_bytes()).and_then(|()| stdin.write_all(b"\n")) {
        // It ended before reading; its exit code says why.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn log_lines(stderr: ChildStderr) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        info!(line:% = line; "gocryptfs says");
    }
}

fn error_of(status: ExitStatus) -> GocryptfsError {
    match status.code() {
        Some(6) => GocryptfsError::CipherDirectory,
        Some(8 | 23) => GocryptfsError::Config,
        Some(10) => GocryptfsError::MountPoint,
        Some(12) => GocryptfsError::WrongPassphrase,
        Some(19) => GocryptfsError::NoFuse,
        Some(EXIT_IN_USE) => GocryptfsError::InUse,
        Some(127) => GocryptfsError::NotInstalled,
        Some(_) | None => GocryptfsError::Failed { status },
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let version = text.strip_prefix("gocryptfs ")?.trim_start_matches('v');
    let (major, rest) = version.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn versions_as_distributions_print_them() {
        let bookworm = "gocryptfs 2.3; go-fuse 2.1.0+git20220822.58a7e14; 2023-04-09 go1.19.8 linux/amd64";
        assert_eq!(parse_version(bookworm), Some((2, 3)));
        assert_eq!(parse_version("gocryptfs v2.6.1; go-fuse v2.8.0"), Some((2, 6)));
        assert_eq!(parse_version("gocryptfs v1.8.0-rc1"), Some((1, 8)));
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn exit_codes_become_typed_errors() {
        let error = |code: i32| error_of(ExitStatus::from_raw(code << 8));
        assert!(matches!(error(6), GocryptfsError::CipherDirectory));
        assert!(matches!(error(10), GocryptfsError::MountPoint));
        assert!(matches!(error(12), GocryptfsError::WrongPassphrase));
        assert!(matches!(error(19), GocryptfsError::NoFuse));
        assert!(matches!(error(23), GocryptfsError::Config));
        assert!(matches!(error(75), GocryptfsError::InUse));
        assert!(matches!(error(11), GocryptfsError::Failed { .. }));
        assert!(matches!(error_of(ExitStatus::from_raw(9)), GocryptfsError::Failed { .. }), "killed");
    }
}
