//! The child of `coffer run`: started, signalled, waited for; what it writes goes through the masker.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, IsTerminal, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use futures_util::future::{join_all, select_all};
use nix::{
    sys::signal::{self, Signal},
    unistd::{Pid, getpgrp, tcgetpgrp},
};
use tokio::{
    process::Command,
    signal::unix::{Signal as Arrivals, SignalKind, signal as arrivals},
};
use zeroize::Zeroizing;

use super::{
    Environment, RunError,
    masker::{Masker, Secrets},
    pty::{self, Pty},
};
use crate::tools::error::Error;

const PIECE_BYTES: usize = 64 << 10;

/// What is passed on to the child; the others end or stop both anyway, or cannot be caught.
const FORWARDED: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// Runs a program to its end, and returns its exit code; 128 and the signal if one killed it.
///
/// With `is_masked` its output goes through pipes, or through a terminal made for it where ours is one. Else it inherits ours.
pub async fn run(
    program: OsString,
    arguments: Vec<OsString>,
    environment: Environment,
    is_masked: bool,
) -> Result<u8, Error> {
    // Before there is a child, so that no signal in between ends us alone.
    let mut signals = Signals::listen()?;
    let mut command = Command::new(&program);
    command.args(arguments).envs(environment.variables.iter().map(|(name, value)| (name, value.as_str())));
    let terminal = if is_masked { redirect(&mut command)? } else { None };
    let mut child = command.spawn().map_err(|source| RunError::Spawn { program, source })?;
    // With it goes our copy of what the child writes to: reading ends when the child has closed its own.
    drop(command);
    let secrets = Arc::new(environment.secrets());
    drop(environment);

    let mut pumps = Vec::new();
    let mut start = |from: File, to: Box<dyn Write + Send>| {
        let secrets = Arc::clone(&secrets);
        pumps.push(tokio::task::spawn_blocking(move || pump(from, to, &secrets)));
    };
    if let Some(stdout) = child.stdout.take() {
        start(File::from(stdout.into_owned_fd().map_err(piping)?), Box::new(io::stdout()));
    }
    if let Some(stderr) = child.stderr.take() {
        start(File::from(stderr.into_owned_fd().map_err(piping)?), Box::new(io::stderr()));
    }
    if let Some((terminal, output)) = &terminal {
        let to: Box<dyn Write + Send> = match output {
            Output::Stdout => Box::new(io::stdout()),
            Output::Stderr => Box::new(io::stderr()),
        };
        start(terminal.try_clone().map_err(piping)?, to);
    }
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(|source| Error::Io { what: "waiting for the program", source })?,
            signal = signals.next() => {
                if let (Signal::SIGWINCH, Some((terminal, output))) = (signal, &terminal) {
                    // The child asks for the size again when the signal reaches it.
                    output.resize(terminal);
                }
                if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok())
                    && !comes_from_our_terminal(signal)
                {
                    // It fails only if the child is gone, which the next turn finds out.
                    signal::kill(Pid::from_raw(pid), signal).ok();
                }
            }
        }
    };
    // Children of the child may still write, as behind any pipe; a signal is for us now.
    tokio::select! {
        _ = join_all(pumps) => {}
        _ = signals.next() => {}
    }
    Ok(exit_code(status))
}

/// Where a terminal of ours is.
enum Output {
    Stdout,
    Stderr,
}

impl Output {
    /// A size that stays wrong is no reason to stop.
    fn resize(&self, terminal: &File) {
        match self {
            Self::Stdout => pty::resize(terminal, &io::stdout()).ok(),
            Self::Stderr => pty::resize(terminal, &io::stderr()).ok(),
        };
    }
}

/// Leads what the child writes to us. What would have gone to a terminal goes to one: to the same, so that it stays in order.
fn redirect(command: &mut Command) -> Result<Option<(File, Output)>, Error> {
    let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
    let (pty, output) = match (out, err) {
        (true, _) => (Some(Pty::open(&io::stdout()).map_err(piping)?), Output::Stdout),
        (false, true) => (Some(Pty::open(&io::stderr()).map_err(piping)?), Output::Stderr),
        (false, false) => (None, Output::Stdout),
    };
    let to = |is_terminal: bool| match &pty {
        Some(pty) if is_terminal => pty.theirs.try_clone().map(Stdio::from),
        _ => Ok(Stdio::piped()),
    };
    command.stdout(to(out).map_err(piping)?).stderr(to(err).map_err(piping)?);
    Ok(pty.map(|pty| (pty.ours, output)))
}

fn piping(source: io::Error) -> Error {
    Error::Io { what: "reading what the program writes", source }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Ctrl-C and Ctrl-\ reach all programs in the foreground of a terminal: the child has it already.
fn comes_from_our_terminal(signal: Signal) -> bool {
    let in_foreground = || File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(&terminal) == Ok(getpgrp()));
    matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && in_foreground()
}

/// Until there is nothing more to read, or nobody who reads: then the child learns it by the closed pipe.
fn pump(mut from: File, mut to: Box<dyn Write + Send>, secrets: &Secrets) {
    let mut masker = Masker::new(secrets);
    let mut piece = Zeroizing::new(vec![0; PIECE_BYTES]);
    let mut out = Vec::new();
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The end of a terminal that nobody writes to any more is an error.
            Err(_) => break,
        };
        masker.push(&piece[..read], &mut out);
        if to.write_all(&out).and_then(|()| to.flush()).is_err() {
            return;
        }
        out.clear();
    }
    masker.finish(&mut out);
    // At the end there is nobody left to tell.
    to.write_all(&out).and_then(|()| to.flush()).ok();
}

struct Signals(Vec<(Signal, Arrivals)>);

impl Signals {
    fn listen() -> Result<Self, Error> {
        let listen = |signal: Signal| Ok((signal, arrivals(SignalKind::from_raw(signal as i32))?));
        let all: io::Result<Vec<_>> = FORWARDED.into_iter().map(listen).collect();
        all.map(Self).map_err(|source| Error::Io { what: "listening for signals", source })
    }

    async fn next(&mut self) -> Signal {
        let next = self.0.iter_mut().map(|(signal, arrivals)| {
            Box::pin(async move {
                arrivals.recv().await;
                *signal
            })
        });
        select_all(next).await.0
    }
}
