//! `coffer run`: a program gets values of items in its environment, and does not show them.
//!
//! References are looked for in the environment and in files of variables, never in arguments, which everybody on the machine
//! can read. What other programs of the same user can read of the child (`/proc/…/environ`) is theirs to read.

pub mod child;
pub mod env_file;
pub mod masker;
mod pty;

use std::{
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
};

use jiff::Timestamp;
use zeroize::Zeroizing;

use self::masker::{MIN_SECRET_BYTES, Secrets};
use super::{
    error::Error,
    private_file,
    reference::{Reference, Resolver, SCHEME},
};
use crate::secrets::store::Vaults;

const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a child gets beside what it inherits.
#[derive(Default)]
pub struct Environment {
    /// Variables, some of which replace inherited ones.
    variables: Vec<(OsString, Zeroizing<String>)>,
    /// What must not be seen.
    hidden: Vec<Zeroizing<String>>,
    /// Names of variables whose values must not be seen, and are too short to be looked for.
    pub too_short: Vec<String>,
}

/// Why a program is not run, or could not be.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file of variables.
    #[error("{}, {misread}", .path.display())]
    EnvFile {
        /// Which.
        path: PathBuf,
        /// Which line, and why.
        misread: env_file::Misread,
    },
    /// Environments are strings of C.
    #[error("The value for {0} has a zero byte in it, which no environment can hold.")]
    ZeroByte(String),
    /// The program does not start.
    #[error("{program:?} does not start: {source}")]
    Spawn {
        /// Which.
        program: OsString,
        /// Why.
        source: io::Error,
    },
}

impl RunError {
    /// As shells have it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Spawn { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Spawn { .. } => 126,
            Self::EnvFile { .. } | Self::ZeroByte(_) => 2,
        }
    }
}

impl Environment {
    /// Resolves what is inherited, and what is in files; later ones win. Without references no vault is asked.
    pub fn resolve(
        vaults: &mut dyn Vaults,
        now: Timestamp,
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
        files: &[PathBuf],
    ) -> Result<Self, Error> {
        let mut resolver = Resolver::new(vaults, now);
        let mut environment = Self::default();
        for (name, value) in inherited {
            if let Some(text) = value.to_str().filter(|text| text.starts_with(SCHEME)) {
                environment.add(&mut resolver, &name, Zeroizing::new(text.to_owned()))?;
            }
        }
        for path in files {
            let text = private_file::read_text(path, MAX_FILE_BYTES)?;
            let variables = env_file::parse(&text);
            let variables = variables.map_err(|misread| RunError::EnvFile { path: path.clone(), misread })?;
            for (name, value) in variables {
                environment.add(&mut resolver, OsStr::new(&name), value)?;
            }
        }
        Ok(environment)
    }

    fn add(&mut self, resolver: &mut Resolver<'_>, name: &OsStr, text: Zeroizing<String>) -> Result<(), Error> {
        let value = if text.starts_with(SCHEME) {
            let meant = resolver.resolve(&text.parse::<Reference>()?)?;
            if meant.is_hidden && meant.value.len() >= MIN_SECRET_BYTES {
                self.hidden.push(meant.value.clone());
            } else if meant.is_hidden && !meant.value.is_empty() {
                self.too_short.push(name.display().to_string());
            }
            meant.value
        } else {
            text
        };
        if value.contains('\0') {
            return Err(RunError::ZeroByte(name.display().to_string()).into());
        }
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value));
        Ok(())
    }

    fn secrets(&self) -> Secrets {
        Secrets::new(self.hidden.iter().map(|secret| secret.as_bytes()))
    }
}
