//! Tells hook programs what happens, while the vault is unlocked: one event after the other, in their order.
//!
//! The queue is in the database, as that of webhooks. An event leaves it when all programs for it have ended, however
//! they did; when the vault is locked before, they are run again after the next unlock.

use std::path::PathBuf;
use std::time::Duration;

use log::{info, warn};

use super::Error;
use super::bell::Bell;
use super::unlocked::Lease;
use super::vault::blocking;
use crate::repo::hooks;
use crate::storage::database::DatabaseError;
use crate::storage::hooks::{AskError, Ending, Report, Reports, ask};

/// Events that may wait; of more the oldest are dropped.
const MAX_WAITING: u32 = 10_000;
/// How often an event is tried for which nobody says what became of its programs.
const MAX_FAILURES: u32 = 5;
/// Pause after whoever runs the programs could not be reached, and between looks when nobody rings.
const PAUSE: Duration = Duration::from_secs(5);

/// Where the programs are run.
pub(crate) struct HookPrograms {
    /// None when there are no programs.
    socket: Option<PathBuf>,
    bell: Bell,
}

impl HookPrograms {
    /// With the socket of whoever runs the programs.
    pub(crate) fn new(socket: Option<PathBuf>, bell: Bell) -> Self {
        Self { socket, bell }
    }

    /// Works until the vault is locked.
    pub(crate) async fn run(self: std::sync::Arc<Self>, lease: Lease) {
        if let Err(error) = enable(&lease, self.socket.is_some()).await {
            warn!(error:% = error; "the queue of hook programs cannot be used");
        }
        let Some(socket) = self.socket.clone() else { return };
        let mut locking = std::pin::pin!(lease.locking());
        let mut failures = 0;
        loop {
            let step = tokio::select! {
                biased;
                // The programs end by themselves; they hold nothing of the vault.
                () = &mut locking => return,
                step = next(&lease, socket.clone(), failures >= MAX_FAILURES) => step,
            };
            match step {
                Ok(true) => {
                    failures = 0;
                    continue;
                }
                Ok(false) => failures = 0,
                Err(error) => {
                    if failures == 0 {
                        warn!(error:% = error; "hook programs cannot be run; what happens waits for them");
                    }
                    failures += 1;
                }
            }
            tokio::select! {
                biased;
                () = &mut locking => return,
                () = self.bell.rung(), if failures == 0 => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

async fn enable(lease: &Lease, enabled: bool) -> Result<(), DatabaseError> {
    lease.store().database.write(move |transaction| hooks::enable(transaction, enabled)).await
}

/// Has the programs for one event run. False when none waits. On request it gives an event up for which that could not
/// be done, when it is not for want of somebody to do it: no event may hold up all others.
async fn next(lease: &Lease, socket: PathBuf, give_up: bool) -> Result<bool, Error> {
    let first = lease.store().database.write(move |transaction| -> Result<_, DatabaseError> {
        if hooks::waiting(transaction)? > MAX_WAITING {
            let dropped = hooks::shorten(transaction, MAX_WAITING)?;
            warn!(dropped; "too much waits for hook programs; the oldest events are dropped");
        }
        hooks::first(transaction)
    });
    let Some((seq, told)) = first.await? else { return Ok(false) };
    let line = told.to_json() + "\n";
    let reports = match blocking("hook programs", move || Ok(ask(&socket, &line))).await? {
        Err(error @ AskError::Broken(_)) if give_up => {
            warn!(event = told.event.as_str(), error:% = error; "hook programs never ended for an event; it is dropped");
            Reports::default()
        }
        asked => asked.map_err(|error| Error::internal("hook programs", error))?,
    };
    if let Some(problem) = reports.problem {
        warn!(event = told.event.as_str(), problem:% = problem; "no hook program was run: the directory");
    }
    for report in reports.programs {
        log_report(&told.event, &report);
    }
    lease.store().database.write(move |transaction| hooks::remove(transaction, seq)).await?;
    Ok(true)
}

fn log_report(event: &str, report: &Report) {
    let Report { program, ending, output } = report;
    // In one line, whatever the program prints.
    let output = output.trim_end().escape_debug().to_string();
    if *ending == Ending::Code(0) {
        info!(program:% = program, event, output:% = output; "a hook program ran");
    } else {
        warn!(program:% = program, event, ending:? = ending, output:% = output; "a hook program failed");
    }
}
