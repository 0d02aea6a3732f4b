//! Runs a program that reads a content of the vault: without network, without other files, within limits.
//!
//! Such programs (for films, documents, new picture formats) parse what strangers made, in C. Each runs in user,
//! network and process namespaces of its own, may read its libraries and its standard input and write to its standard
//! output, which is a pipe to us; Landlock bars every other file, the vault's first of all. It gets the content as a
//! descriptor, never a copy. A kernel that cannot do this runs no program.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getegid, geteuid};

/// The first argument by which this program becomes the warden of another one; see [`keep_watch`].
pub(crate) const SHIM_ARGUMENT: &str = "__sandbox";

/// The first argument by which this program becomes the other one; see [`become_program`].
pub(crate) const INNER_ARGUMENT: &str = "__sandboxed";

/// This program, whatever happened to its file.
pub(crate) const OURSELVES: &str = "/proc/self/exe";

/// The content, as the program may open it.
pub(crate) const INPUT: &str = "/proc/self/fd/0";

/// Exit code of the shims when the kernel cannot confine the program (`EX_OSERR`, `sysexits.h`).
const EXIT_NO_SANDBOX: i32 = 71;

/// Exit code of the shims when the program cannot be started.
const EXIT_NOT_STARTED: i32 = 127;

/// Nobody, in the namespace: whoever is 0 there keeps capabilities over it.
const INNER_ID: u32 = 65534;

/// Processes and threads of the program. Counted in its own user namespace only.
const PROCESSES: u64 = 64;
/// Descriptors of the program.
const DESCRIPTORS: u64 = 128;

/// How often somebody who wants it to stop is asked.
const STOP_INTERVAL_MS: u8 = 25;
/// How long the end of a killed program is waited for.
const END_LIMIT: Duration = Duration::from_millis(500);
/// What is read at once.
const READ_BYTES: usize = 64 * 1024;

/// What a program may read apart from its input: programs, libraries, fonts.
const READABLE: [&str; 14] = [
    "/usr",
    "/bin",
    "/lib",
    "/lib64",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/var/cache/fontconfig",
    "/proc/cpuinfo",
    "/sys/devices/system/cpu",
    "/dev/urandom",
    "/dev/zero",
];

/// What to run, and within which limits.
pub(crate) struct Job<'a> {
    /// Looked for in PATH.
    pub(crate) program: &'a str,
    pub(crate) arguments: &'a [&'a str],
    /// Its standard input; it may open [`INPUT`] as well.
    pub(crate) input: File,
    /// Address space of each of its processes.
    pub(crate) memory_bytes: u64,
    /// Processor time of each of its processes.
    pub(crate) cpu_s: u64,
    /// Time until it is killed.
    pub(crate) patience: Duration,
    /// How much it may say.
    pub(crate) output_bytes: usize,
    /// What to do when it says more.
    pub(crate) excess: Excess,
}

/// What to do with a program that says more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// The beginning is worth nothing.
    Refuse,
    /// The beginning is worth something.
    Cut,
}

/// Why a program gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error("{0} is not installed")]
    NotInstalled(String),
    #[error("this kernel cannot confine a program (Landlock and user namespaces are needed)")]
    NotConfined,
    #[error("the program took too long")]
    TimedOut,
    #[error("the program gave more than it may")]
    TooMuch,
    #[error("the program was stopped")]
    Stopped,
    #[error("the program ended with {0}")]
    Failed(ExitStatus),
    #[error("the program cannot be run")]
    Io(#[from] io::Error),
}

/// Runs a program to its end and gives what it wrote. Blocks; ends soon after `stop` says so.
pub(crate) fn run(job: Job<'_>, stop: &dyn Fn() -> bool) -> Result<Vec<u8>, SandboxError> {
    let mut output = Vec::new();
    let mut collect = |piece: &[u8]| {
        output.extend_from_slice(piece);
        Ok(())
    };
    run_into(job, &mut collect, stop)?;
    Ok(output)
}

/// As [`run`], for an output that is too long to be held.
pub(crate) fn run_into(
    job: Job<'_>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    stop: &dyn Fn() -> bool,
) -> Result<(), SandboxError> {
    let path = find(job.program).ok_or_else(|| SandboxError::NotInstalled(job.program.to_owned()))?;
    let deadline = Instant::now() + job.patience;
    let mut command = Command::new(OURSELVES);
    command.arg(SHIM_ARGUMENT).arg(job.memory_bytes.to_string()).arg(job.cpu_s.to_string());
    command.arg(path).args(job.arguments);
    // What it complains of may quote the content.
    command.env_clear().stdin(job.input).stdout(Stdio::piped()).stderr(Stdio::null());
    command.process_group(0);
    let mut running = Running { child: command.spawn()?, ended: false };
    // Our copy of the content's descriptor went into the command.
    drop(command);
    match running.read(job.output_bytes, sink, deadline, stop) {
        Err(SandboxError::TooMuch) if job.excess == Excess::Cut => return Ok(()),
        other => other?,
    }
    let status = running.end(deadline)?;
    match status.code() {
        Some(0) => Ok(()),
        Some(EXIT_NO_SANDBOX) => Err(SandboxError::NotConfined),
        Some(_) | None => Err(SandboxError::Failed(status)),
    }
}

/// Where a program lies.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    if program == OURSELVES {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| {
        path.is_absolute() && path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
    })
}

/// A program that runs, with its warden. Dropped, it is killed with all that it started.
struct Running {
    child: Child,
    ended: bool,
}

impl Running {
    /// Reads until the program closes its output.
    fn read(
        &mut self,
        limit: usize,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
        deadline: Instant,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), SandboxError> {
        let Some(mut pipe) = self.child.stdout.take() else { return Ok(()) };
        let mut buffer = vec![0; READ_BYTES];
        let mut left = limit;
        loop {
            if stop() {
                return self.give_up(pipe, SandboxError::Stopped);
            }
            if Instant::now() > deadline {
                return self.give_up(pipe, SandboxError::TimedOut);
            }
            if !readable(&pipe)? {
                continue;
            }
            let read = pipe.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            let piece = buffer.get(..read.min(left)).unwrap_or_default();
            left -= piece.len();
            if let Err(error) = sink(piece) {
                return self.give_up(pipe, SandboxError::Io(error));
            }
            if piece.len() < read {
                return self.give_up(pipe, SandboxError::TooMuch);
            }
        }
    }

    /// Kills the program, and waits until no process of it holds our pipe, and so none the content.
    fn give_up<T>(&mut self, mut pipe: impl Read + AsFd, why: SandboxError) -> Result<T, SandboxError> {
        self.kill();
        let deadline = Instant::now() + END_LIMIT;
        let mut buffer = vec![0; READ_BYTES];
        while Instant::now() < deadline {
            if readable(&pipe)? && pipe.read(&mut buffer)? == 0 {
                break;
            }
        }
        Err(why)
    }

    /// Waits for the end of a program that has nothing more to say.
    fn end(&mut self, deadline: Instant) -> Result<ExitStatus, SandboxError> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(SandboxError::TimedOut);
            }
            // It has closed its output and is about to end. Of no descriptors none gets ready: this passes a moment.
            poll(&mut [], PollTimeout::from(1_u8)).ok();
        }
    }

    /// The warden and the program are one process group, and the end of the program, the first process of its
    /// namespace, is the end of all that it started, whatever group they went to.
    fn kill(&self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // ESRCH: it ended meanwhile, which is what we want.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            if let Err(error) = self.child.wait() {
                log::warn!(error:% = error; "cannot wait for a confined program");
            }
        }
    }
}

/// Whether there is something to read, or the end. Waits a moment for it.
fn readable(pipe: &impl AsFd) -> io::Result<bool> {
    let mut wanted = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    match poll(&mut wanted, PollTimeout::from(STOP_INTERVAL_MS)) {
        Ok(ready) => Ok(ready > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What the first child does instead of ours: `cofferd __sandbox MEMORY CPU PROGRAM ARGUMENTS…`.
///
/// It makes the namespaces and starts the second child in them, which becomes the program. It stays, because only a
/// parent outside can end a process namespace as a whole: it dies with us, and the other with it.
pub(crate) fn keep_watch(arguments: &[OsString]) -> i32 {
    let confined = prctl::set_pdeathsig(Signal::SIGKILL).is_ok() && enter_namespaces().is_ok();
    if !confined {
        return EXIT_NO_SANDBOX;
    }
    match Command::new(OURSELVES).arg(INNER_ARGUMENT).args(arguments).env_clear().status() {
        Ok(status) => status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(EXIT_NOT_STARTED),
        Err(_) => EXIT_NO_SANDBOX,
    }
}

fn enter_namespaces() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{INNER_ID} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{INNER_ID} {gid} 1"))
}

/// What the second child does: it takes everything from itself that the program does not need, and becomes it.
pub(crate) fn become_program(arguments: &[OsString]) -> i32 {
    let number = |at: usize| arguments.get(at).and_then(|text| text.to_str()?.parse().ok());
    let (Some(memory_bytes), Some(cpu_s), Some(program)) = (number(0), number(1), arguments.get(2)) else {
        return EXIT_NOT_STARTED;
    };
    let program = Path::new(program);
    let confined = prctl::set_pdeathsig(Signal::SIGKILL).is_ok()
        && prctl::set_no_new_privs().is_ok()
        && limit(memory_bytes, cpu_s).is_ok()
        && matches!(bar_files(program), Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced));
    if !confined {
        return EXIT_NO_SANDBOX;
    }
    let error = Command::new(program).args(arguments.get(3..).unwrap_or_default()).env_clear().exec();
    if error.kind() == ErrorKind::OutOfMemory { EXIT_NO_SANDBOX } else { EXIT_NOT_STARTED }
}

fn limit(memory_bytes: u64, cpu_s: u64) -> nix::Result<()> {
    for (resource, most) in [
        (Resource::RLIMIT_CORE, 0),
        // Not one byte into any file; pipes do not count.
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NOFILE, DESCRIPTORS),
        (Resource::RLIMIT_NPROC, PROCESSES),
        (Resource::RLIMIT_CPU, cpu_s),
        (Resource::RLIMIT_AS, memory_bytes),
    ] {
        setrlimit(resource, most, most)?;
    }
    Ok(())
}

/// Landlock: all rights to files are taken away, those to read what is listed given back. What a newer kernel can take
/// away as well, TCP and the sockets and processes of others, it takes.
fn bar_files(program: &Path) -> Result<RulesetStatus, RulesetError> {
    let look = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(READABLE, look))?
        .add_rules(path_beneath_rules([program], look))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?;
    // This one file, however it is called. One that lies in memory has no place in the tree and needs no rule.
    let in_memory = fs::read_link(INPUT).is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"/memfd:"));
    if !in_memory && let Ok(input) = PathFd::new(INPUT) {
        rules = rules.add_rule(PathBeneath::new(input, AccessFs::ReadFile))?;
    }
    Ok(rules.restrict_self()?.ruleset)
}
