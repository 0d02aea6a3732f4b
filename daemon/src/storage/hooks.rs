//! Hook programs: programs of the owner that run when something happened, as a user who can do nothing else.
//!
//! The daemon never starts them: it has no right to change users, and should have none. It sends each event to a socket,
//! behind which another process with that user runs `cofferd run-hooks`: started by systemd on the appliance
//! (`coffer-hooks.socket`), and elsewhere by the daemon when it is started as root, before it makes its own namespaces.
//! So a program sees neither the plaintext nor any memory or descriptor of the daemon.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, User, geteuid};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The first argument by which this program becomes the listener; see [`listen`].
pub(crate) const LISTEN_ARGUMENT: &str = "__hooks";

/// What stands behind the name of a program that is run for every event.
const ANY: &str = "any";

/// What stands behind the name of a program that changes credentials, and the event by which one is asked for.
const ROTATION: &str = "rotation";
/// Longest name of such a program.
const MAX_NAME_BYTES: usize = 64;

/// How long a program may run.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Addresses that a program may take, in bytes.
const MEMORY_LIMIT: u64 = 512 * 1024 * 1024;
/// Largest file that it may write.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;
/// Descriptors that it may have open.
const DESCRIPTOR_LIMIT: u64 = 256;
/// Processes that its user may have.
const PROCESS_LIMIT: u64 = 256;
/// What is kept of what it prints.
const OUTPUT_LIMIT: usize = 4096;
/// The same, of one that was asked for an answer.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Programs that are run for one event; more in the directory are not looked at.
const PROGRAMS: usize = 32;
/// Longest event, and longest report of all programs.
const MESSAGE_LIMIT: u64 = 1024 * 1024;
/// How long the daemon waits for a report: for all programs at their limit, one after the other.
const REPORT_LIMIT: Duration = Duration::from_secs(30 * 33);

/// Why there can be no hook programs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HooksError {
    #[error("there is no user called {0}; make one for hook programs alone, or name another with --hooks-user")]
    NoUser(String),
    #[error("hook programs must not run as root or as the daemon's own user; name another user with --hooks-user")]
    OwnUser,
    #[error(
        "only root can start hook programs as another user; start cofferd as root, or let systemd start them and use \
         --hooks-socket (see coffer-hooks.socket)"
    )]
    NotRoot,
    #[error("the directory of hook programs, {0}, {1}")]
    Directory(PathBuf, &'static str),
    #[error("hook programs cannot be started: {0}")]
    Io(#[from] io::Error),
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It ran for too long and was killed.
    TimedOut,
    /// It was not started, for this reason.
    Refused(String),
}

/// What became of a program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) program: String,
    pub(crate) ending: Ending,
    /// The beginning of what it printed.
    pub(crate) output: String,
}

/// What became of all programs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reports {
    pub(crate) programs: Vec<Report>,
    /// Why the directory was not looked at.
    pub(crate) problem: Option<String>,
}

/// Starts the process that listens on a socket and runs the programs of a directory as a user. For the daemon, when it
/// was started as root; call it before the daemon enters its own namespaces. The process ends when what is returned is
/// closed, which the kernel does when the daemon ends.
pub(crate) fn start_listener(directory: &Path, user: &str, socket: &Path) -> Result<UnixStream, HooksError> {
    let found = User::from_name(user).map_err(io::Error::from)?;
    let found = found.ok_or_else(|| HooksError::NoUser(user.to_owned()))?;
    if !geteuid().is_root() {
        return Err(HooksError::NotRoot);
    }
    if found.uid.is_root() || found.uid == geteuid() {
        return Err(HooksError::OwnUser);
    }
    if let Some(problem) = problem_with_directory(directory) {
        return Err(HooksError::Directory(directory.to_owned(), problem));
    }
    super::durable::remove_file(socket)?;
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    let mut command = ourselves();
    // Setting the user drops all other groups, too.
    command.arg(LISTEN_ARGUMENT).arg(directory).uid(found.uid.as_raw()).gid(found.gid.as_raw());
    let (lifeline, held) = UnixStream::pair()?;
    command.stdin(OwnedFd::from(listener)).stdout(OwnedFd::from(held));
    command.spawn()?;
    Ok(lifeline)
}

/// What that process does: takes one connection after the other, and starts a process for each. Ends with the daemon.
pub(crate) fn listen(directory: &Path) -> i32 {
    let accept_all = || -> io::Result<()> {
        // Not a parent-death signal: from inside of its namespace the daemon may send none to another user.
        let mut lifeline = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
        thread::spawn(move || {
            // Nothing ever comes but the end.
            let _ = lifeline.read(&mut [0]);
            std::process::exit(0);
        });
        let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
        loop {
            let (connection, _) = listener.accept()?;
            let mut command = ourselves();
            command.arg("run-hooks").arg("--directory").arg(directory);
            command.stdin(OwnedFd::from(connection.try_clone()?)).stdout(OwnedFd::from(connection));
            command.status()?;
        }
    };
    i32::from(accept_all().is_err())
}

fn ourselves() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env_clear().current_dir("/");
    command
}

/// Why nobody said what became of the programs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("nobody runs hook programs: {0}")]
    Unreachable(io::Error),
    #[error("whoever runs hook programs did not say what became of them: {0}")]
    Broken(#[from] io::Error),
}

/// Sends an event to whoever runs the programs; gives what became of them. Blocks.
pub(crate) fn ask(socket: &Path, event: &str) -> Result<Reports, AskError> {
    let mut stream = UnixStream::connect(socket).map_err(AskError::Unreachable)?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    stream.set_read_timeout(Some(REPORT_LIMIT))?;
    stream.write_all(event.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut reply = Vec::new();
    stream.take(MESSAGE_LIMIT).read_to_end(&mut reply)?;
    Ok(serde_json::from_slice(&reply).map_err(io::Error::from)?)
}

/// Reads an event from standard input, runs the programs of a directory that are for it, and writes what became of them
/// to standard output. Limits itself first, and by that them.
pub(crate) fn run(directory: &Path) -> io::Result<()> {
    let mut event = String::new();
    BufReader::new(io::stdin().take(MESSAGE_LIMIT)).read_line(&mut event)?;
    let parsed: serde_json::Value = serde_json::from_str(&event)?;
    let name = parsed["event"].as_str().unwrap_or_default();
    prctl::set_no_new_privs()?;
    // What a program leaves behind becomes a child of this process, and is ended by it.
    prctl::set_child_subreaper(true)?;
    for (resource, limit) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_AS, MEMORY_LIMIT),
        (Resource::RLIMIT_FSIZE, FILE_LIMIT),
        (Resource::RLIMIT_NOFILE, DESCRIPTOR_LIMIT),
        (Resource::RLIMIT_NPROC, PROCESS_LIMIT),
        (Resource::RLIMIT_CPU, TIME_LIMIT.as_secs() * 2),
    ] {
        setrlimit(resource, limit, limit)?;
    }
    let mut reports = Reports::default();
    match problem_with_directory(directory) {
        Some(problem) => reports.problem = Some(problem.to_owned()),
        // Its answer may hold a credential, and is for whoever asked.
        None if name == ROTATION => {
            if let Some(program) = asked_for(directory, &parsed) {
                reports.programs.push(run_one(&program, &event, Output::Answer));
                end_what_is_left();
            }
        }
        None => {
            for program in programs(directory, name)? {
                reports.programs.push(run_one(&program, &event, Output::Beginning));
                end_what_is_left();
            }
        }
    }
    let text = serde_json::to_vec(&reports)?;
    io::stdout().write_all(&text)
}

/// Whether a program that changes credentials can have that name.
pub(crate) fn is_program_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain)
}

/// The one program that a question names, if it is there.
fn asked_for(directory: &Path, question: &serde_json::Value) -> Option<PathBuf> {
    let name = question["program"].as_str().filter(|name| is_program_name(name))?;
    let path = directory.join(format!("{name}.{ROTATION}"));
    fs::symlink_metadata(&path).is_ok().then_some(path)
}

/// The programs for an event, in the order of their names.
fn programs(directory: &Path, event: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_for(name, event)) {
            found.push(path);
        }
    }
    found.sort_unstable();
    found.truncate(PROGRAMS);
    Ok(found)
}

/// `NAME.EVENT`, as `10-scan.file.stored`, or `NAME.any`.
fn is_for(file_name: &str, event: &str) -> bool {
    file_name.split_once('.').is_some_and(|(name, wanted)| !name.is_empty() && (wanted == event || wanted == ANY))
}

/// What is wanted of what a program prints.
#[derive(Clone, Copy)]
enum Output {
    /// The beginning of all of it, for the log.
    Beginning,
    /// Its standard output, whole.
    Answer,
}

fn run_one(program: &Path, event: &str, wanted: Output) -> Report {
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (ending, output) = match problem_with_program(program) {
        Some(problem) => (Ending::Refused(problem.to_owned()), String::new()),
        None => {
            start(program, event, wanted).unwrap_or_else(|error| (Ending::Refused(error.to_string()), String::new()))
        }
    };
    Report { program: name, ending, output }
}

fn start(program: &Path, event: &str, wanted: Output) -> io::Result<(Ending, String)> {
    let (output, input) = io::pipe()?;
    let mut command = Command::new(program);
    command.env_clear().current_dir("/").process_group(0);
    command.stdin(Stdio::piped()).stdout(input.try_clone()?);
    let limit = match wanted {
        Output::Beginning => {
            command.stderr(input);
            OUTPUT_LIMIT
        }
        Output::Answer => {
            drop(input);
            command.stderr(Stdio::null());
            ANSWER_LIMIT
        }
    };
    let mut child = command.spawn()?;
    // It holds the writing ends of the pipe.
    drop(command);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let reader = thread::spawn(move || read_beginning(output, limit));
    if let Some(mut stdin) = child.stdin.take() {
        // A program need not read it, and what is long does not fit into the pipe: its time goes on meanwhile. The thread ends
        // when nobody is left who could read.
        let event = Zeroizing::new(event.to_owned());
        thread::spawn(move || drop(stdin.write_all(event.as_bytes())));
    }
    let (end, ended) = mpsc::sync_channel(1);
    thread::spawn(move || end.send(child.wait()));
    let ending = if let Ok(status) = ended.recv_timeout(TIME_LIMIT) { ending(status?) } else { Ending::TimedOut };
    // Whatever it started in its own group, and when it took too long itself. ESRCH: nothing is left.
    let _ = killpg(pid, Signal::SIGKILL);
    end_what_is_left();
    let output = reader.join().unwrap_or_default();
    Ok((ending, output))
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Code(code),
        (None, signal) => Ending::Signal(signal.unwrap_or_default()),
    }
}

/// Reads to the end, so that the program is never held up, and keeps the beginning.
fn read_beginning(mut output: impl Read, limit: usize) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = output.read(&mut buffer) {
        let room = limit - kept.len();
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Ends processes that a program left behind. They became our children when it ended.
fn end_what_is_left() {
    // Each round ends one generation; a program that forks for ever meets its limits.
    for _ in 0..1000 {
        let children = children();
        if children.is_empty() {
            return;
        }
        for child in children {
            let _ = kill(child, Signal::SIGKILL);
            // The program itself is waited for by a thread of its own.
            let _ = waitpid(child, Some(WaitPidFlag::empty()));
        }
    }
}

fn children() -> Vec<Pid> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok().map(Pid::from_raw)).collect::<Vec<_>>()
        })
        .collect()
}

/// Why programs of a directory are not run. Whoever can write to it, or to one around it, could put theirs in.
fn problem_with_directory(directory: &Path) -> Option<&'static str> {
    let Ok(whole) = directory.canonicalize() else { return Some("is missing or cannot be entered") };
    if !whole.is_dir() {
        return Some("is no directory");
    }
    for part in whole.ancestors() {
        let Ok(metadata) = fs::symlink_metadata(part) else { return Some("cannot be looked at") };
        // In a sticky directory as /tmp nobody can replace what belongs to somebody else.
        let sticky = part != whole && metadata.mode() & 0o1000 != 0;
        if metadata.uid() != 0 || (metadata.mode() & 0o022 != 0 && !sticky) {
            return Some(
                "or one around it can be changed by others than root: give it to root and take their rights away",
            );
        }
    }
    None
}

/// Why a program is not run.
fn problem_with_program(program: &Path) -> Option<&'static str> {
    let Ok(metadata) = fs::symlink_metadata(program) else { return Some("it cannot be looked at") };
    if !metadata.is_file() {
        return Some("it is no regular file");
    }
    if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        return Some("it can be changed by others than root");
    }
    (metadata.mode() & 0o111 == 0).then_some("it is not executable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_programs_are_for_an_event() {
        for (name, expected) in [
            ("scan.file.stored", true),
            ("10-scan.file.stored", true),
            ("log.any", true),
            ("scan.file.deleted", false),
            ("scan.file.stored.bak", false),
            ("scan.file.stored~", false),
            ("scan.file", false),
            ("file.stored", false),
            (".file.stored", false),
            ("scan", false),
            ("", false),
            (".any", false),
        ] {
            assert_eq!(is_for(name, "file.stored"), expected, "{name}");
        }
    }

    #[test]
    fn only_plain_names_are_names_of_programs() {
        for (name, expected) in [
            ("router", true),
            ("my-router_2", true),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
            ("", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("a.b", false),
            ("é", false),
        ] {
            assert_eq!(is_program_name(name), expected, "{name}");
        }
    }

    #[test]
    fn only_the_beginning_of_an_output_is_kept() {
        assert_eq!(read_beginning(&b"hello"[..], OUTPUT_LIMIT), "hello");
        let long = "x".repeat(100_000);
        assert_eq!(read_beginning(long.as_bytes(), OUTPUT_LIMIT), "x".repeat(OUTPUT_LIMIT));
    }
}
