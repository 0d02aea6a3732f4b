//! Why a tool ends before it is done, and with which exit code.

use std::{io, path::PathBuf};

use super::{generate::GenerateError, inject::InjectError, otp::OtpError, reference::ReferenceError, run::RunError};
use crate::secrets::store::StoreError;

/// Why a tool ends. No secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A wish that cannot be granted.
    #[error("{0}")]
    Generate(#[from] GenerateError),
    /// No one-time password comes of it.
    #[error("{0}")]
    Otp(#[from] OtpError),
    /// It stands for nothing, or for too much.
    #[error("{0}")]
    Reference(#[from] ReferenceError),
    /// A template.
    #[error("{0}")]
    Inject(#[from] InjectError),
    /// A program.
    #[error("{0}")]
    Run(#[from] RunError),
    /// The vaults.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A file.
    #[error("{what} {}: {source}", .path.display())]
    File {
        /// What was done with it.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
    /// Something else that belongs to this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: &'static str,
        /// Why it was not.
        source: io::Error,
    },
}

impl Error {
    /// What the program ends with; docs/client-tools.md lists the codes.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Io { .. } => 1,
            Self::Generate(_) => 2,
            Self::Inject(error) => error.why.exit_code(),
            Self::Run(error) => error.exit_code(),
            Self::Otp(_) | Self::Reference(_) => 8,
            Self::Store(_) => 9,
        }
    }
}
