//! Programs of whoever administers the box. They are run as hook programs are: by another process, as a user who can do nothing
//! else (`storage/hooks.rs`). Nobody names one over the network that is not in its directory.

use std::path::PathBuf;

use super::dialogue::{About, Dialogue, Step, applied, done};
use super::{Credential, Provider, Refusal};
use crate::storage::hooks::{self, AskError, Ending};

pub(super) struct Command {
    /// Of whoever runs it.
    pub(super) socket: Option<PathBuf>,
    pub(super) program: String,
    pub(super) dialogue: Dialogue,
}

/// Refuses what is no name of a program.
pub(super) fn check(program: &str) -> Result<(), (&'static str, String)> {
    if hooks::is_program_name(program) {
        return Ok(());
    }
    Err(("provider.program", "letters, digits, - and _, at most 64".to_owned()))
}

impl Command {
    /// Runs it once; gives what it printed.
    fn ask(&self, step: Step, about: About<'_>) -> Result<String, Refusal> {
        let Some(socket) = &self.socket else {
            return Err(Refusal::certain("this box runs no programs of its owner"));
        };
        let question = self.dialogue.question(step, Some(&self.program), about)?;
        let reports = hooks::ask(socket, &question).map_err(|error| match error {
            AskError::Unreachable(_) => Refusal::certain("nobody runs programs on this box"),
            AskError::Broken(_) => Refusal::uncertain("whoever runs programs did not say what became of it"),
        })?;
        if let Some(problem) = reports.problem {
            return Err(Refusal::certain(format!("the directory of programs {problem}")));
        }
        let Some(report) = reports.programs.into_iter().next() else {
            return Err(Refusal::certain("there is no such program"));
        };
        match report.ending {
            Ending::Code(0) => Ok(report.output),
            Ending::Code(code) => Err(Refusal::uncertain(format!("the program ended with {code}"))),
            Ending::Signal(signal) => Err(Refusal::uncertain(format!("the program was ended by signal {signal}"))),
            Ending::TimedOut => Err(Refusal::uncertain("the program took too long")),
            Ending::Refused(why) => Err(Refusal::certain(format!("the program is not run: {why}"))),
        }
    }
}

impl Provider for Command {
    fn apply(
        &self,
        made: Option<&Credential>,
        known: &[String],
        is_again: bool,
    ) -> Result<Option<Credential>, Refusal> {
        applied(self.ask(Step::Apply, About::new_one(made, known, is_again))?.as_bytes(), made)
    }

    fn verify(&self, credential: &Credential) -> Result<(), Refusal> {
        done(self.ask(Step::Verify, About::one(credential))?.as_bytes())
    }

    fn revoke(&self, handle: &str) -> Result<(), Refusal> {
        done(self.ask(Step::Revoke, About::old_one(handle))?.as_bytes())
    }
}
