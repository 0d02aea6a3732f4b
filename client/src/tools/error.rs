//! Why a tool ends before it is done, and with which exit code.

use std::{io, path::PathBuf};

use super::{
    export::ExportError, generate::GenerateError, import::ImportError, inject::InjectError, otp::OtpError,
    reference::ReferenceError, run::RunError,
};
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
    /// Nothing was imported.
    #[error("{0}")]
    Import(#[from] ImportError),
    /// Nothing was exported.
    #[error("{0}")]
    Export(#[from] ExportError),
    /// There is none, or several are called so.
    #[error("{0}")]
    Vault(#[from] VaultError),
    /// A password that was typed twice.
    #[error("The two passwords differ.")]
    Differ,
    /// A question has nobody to answer it.
    #[error("There is no terminal to ask for the {what} on: use {flag}.")]
    NoAnswer {
        /// What is missing.
        what: &'static str,
        /// What gives it without a terminal.
        flag: &'static str,
    },
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

/// Why it is not clear which vault is meant.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// None is called so.
    #[error("There is no vault {0:?}.")]
    None(String),
    /// Say which.
    #[error("Several vaults are called {0:?}. Use the id of the one you mean.")]
    Several(String),
    /// There are several, and none was named.
    #[error("There are several vaults: {0}. Say which one is meant with --vault.")]
    Which(String),
}

impl Error {
    /// What the program ends with; docs/client-tools.md lists the codes.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Export(ExportError::Recipient(_) | ExportError::NoPassword)
            | Self::Generate(_)
            | Self::NoAnswer { .. }
            | Self::Differ
            | Self::Store(StoreError::Newer(_) | StoreError::TooLarge { .. }) => 2,
            Self::File { .. }
            | Self::Io { .. }
            | Self::Export(_)
            | Self::Store(StoreError::Io { .. } | StoreError::Other(_)) => 1,
            Self::Import(_) => 10,
            Self::Inject(error) => error.why.exit_code(),
            Self::Run(error) => error.exit_code(),
            Self::Otp(_)
            | Self::Reference(_)
            | Self::Vault(_)
            | Self::Store(StoreError::NoSuchVault(_) | StoreError::NoSuchItem(_)) => 9,
            Self::Store(StoreError::Locked) => 8,
            Self::Store(StoreError::ReadOnly(_) | StoreError::Changed { .. }) => 7,
        }
    }
}
