//! The child of `coffer run`: started, signalled, waited for; what it writes goes through the masker.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
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
};
use crate::tools::error::Error;

const PIECE_BYTES: usize = 64 << 10;

/// What is passed on to the child; the others end, stop or resize both anyway, or cannot be caught.
const FORWARDED: [Signal; 6] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2];

/// Runs a program to its end, and returns its exit code; 128 and the signal if one killed it.
///
/// With `is_masked` its output goes through pipes: it does not see a terminal. Else it inherits ours.
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
    if is_masked {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let mut child = command.spawn().map_err(|source| RunError::Spawn { program, source })?;
    drop(command);
    let secrets = Arc::new(environment.secrets());
    drop(environment);

    let mut pumps = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let from = stdout.into_owned_fd().map_err(piping)?;
        let secrets = Arc::clone(&secrets);
        pumps.push(tokio::task::spawn_blocking(move || pump(from, io::stdout(), &secrets)));
    }
    if let Some(stderr) = child.stderr.take() {
        let from = stderr.into_owned_fd().map_err(piping)?;
        pumps.push(tokio::task::spawn_blocking(move || pump(from, io::stderr(), &secrets)));
    }
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(|source| Error::Io { what: "waiting for the program", source })?,
            signal = signals.next() => {
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
fn pump(from: OwnedFd, mut to: impl Write, secrets: &Secrets) {
    let mut from = File::from(from);
    let mut masker = Masker::new(secrets);
    let mut piece = Zeroizing::new(vec![0; PIECE_BYTES]);
    let mut out = Vec::new();
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
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
