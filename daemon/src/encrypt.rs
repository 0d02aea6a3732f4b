//! `cofferd encrypt`: asks the running daemon, on its control socket, to work on what is stored; shows how far it is, and what
//! came of it.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use coffer_api::{BeginSealingJob, SealingJob, SealingJobKind, SealingJobState};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::cli::{Encrypt, EncryptCommand, JobOptions};
use crate::control::exchange;
use crate::exit::Failure;
use crate::passphrase;

/// How often progress is asked for.
const PAUSE: Duration = Duration::from_millis(200);

/// Kinds that say that something is wrong.
const WRONG: [&str; 6] = ["ambiguous", "wrong_key", "corrupt", "missing", "orphan", "failed"];

/// Does what the command line says.
#[expect(clippy::print_stdout, reason = "its result is what this command is for")]
pub(crate) fn run(options: &Encrypt) -> Result<(), Failure> {
    let socket = options.daemon.control_socket();
    let (kind, options, directory) = match &options.command {
        EncryptCommand::Audit(options) => (SealingJobKind::Audit, options, None),
        EncryptCommand::Files(options) => (SealingJobKind::Files, options, None),
        EncryptCommand::Upgrade(options) => (SealingJobKind::Upgrade, options, None),
        EncryptCommand::Rewrap(options) => (SealingJobKind::Rewrap, options, None),
        EncryptCommand::Reencrypt(options) => (SealingJobKind::Reencrypt, options, None),
        EncryptCommand::Verify(options) => (SealingJobKind::Verify, options, None),
        EncryptCommand::ImportStormcloud { directory, options } => {
            let directory = std::path::absolute(directory).map_err(Failure::Runtime)?;
            (SealingJobKind::ImportStormcloud, options, Some(directory.display().to_string()))
        }
        EncryptCommand::Seal => {
            call::<()>(&socket, "POST", "/encryption/seal", None)?;
            println!("From now on this vault refuses contents that are not sealed.");
            return Ok(());
        }
        EncryptCommand::RotateRoot => {
            let master_password = passphrase::read_secret().map_err(Failure::Runtime)?;
            let quoted = serde_json::to_string(master_password.as_str()).map(Zeroizing::new);
            let quoted = quoted.map_err(|error| Failure::Daemon(error.to_string()))?;
            let body = Zeroizing::new(format!("{{\"master_password\":{}}}", quoted.as_str()));
            exchange(&socket, "POST", "/api/v1/encryption/root-key", &body)?;
            println!("Every key is wrapped under another root key. Copies of the old vault.keys open no sealed file.");
            return Ok(());
        }
    };
    let JobOptions { dry_run, json, bytes_per_s } = *options;
    let begin = BeginSealingJob { kind, dry_run, bytes_per_s, directory };
    let mut job: SealingJob = reply(&call(&socket, "POST", "/encryption/jobs", Some(&begin))?)?;
    let shows = std::io::stderr().is_terminal();
    while job.state == SealingJobState::Running {
        if shows {
            // Nobody may look any more.
            let _ = write!(std::io::stderr(), "\r{} of {}", job.done, job.total);
        }
        std::thread::park_timeout(PAUSE);
        job = reply(&call::<()>(&socket, "GET", &format!("/encryption/jobs/{}", job.id), None)?)?;
    }
    if shows {
        let _ = writeln!(std::io::stderr());
    }
    if json {
        println!("{}", serde_json::to_string(&job).map_err(|error| Failure::Daemon(error.to_string()))?);
    } else {
        println!("{}", summary(&job.counts, job.done));
        for finding in &job.findings {
            println!("{}: {}", finding.subject, finding.finding);
        }
    }
    let wrong: u64 = WRONG.iter().filter_map(|kind| job.counts.get(*kind)).sum();
    match (job.state, wrong) {
        (SealingJobState::Cancelled, _) => {
            Err(Failure::Daemon("somebody stopped it; what was done stays done".to_owned()))
        }
        (_, 0) => Ok(()),
        (_, wrong) => Err(Failure::Daemon(format!("{wrong} need attention: see above"))),
    }
}

fn summary(counts: &BTreeMap<String, u64>, done: u64) -> String {
    let parts: Vec<String> = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    format!("{done} in all: {}", if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") })
}

fn call<B: Serialize>(socket: &Path, method: &str, path: &str, body: Option<&B>) -> Result<Vec<u8>, Failure> {
    let body = body.map(serde_json::to_string).transpose().map_err(|error| Failure::Daemon(error.to_string()))?;
    exchange(socket, method, &format!("/api/v1{path}"), body.as_deref().unwrap_or_default())
}

fn reply<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::Daemon("the daemon is of another version".to_owned()))
}
