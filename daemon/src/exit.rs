//! Why the program ends: exit codes are a contract, listed in docs/operations.md.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::service::device::DeviceError;
use crate::service::given_key::GivenKeyRefusal;
use crate::storage::hooks::HooksError;
use crate::storage::namespace::NamespaceError;

/// A reason not to start, or not to go on. Its text says what, where, and what to try.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(
        "{directory} cannot be used: {cause}. Create it, give it to the user that runs cofferd, and check that the storage is mounted and writable."
    )]
    Directory { directory: PathBuf, cause: std::io::Error },
    #[error("{0} is in use: something is mounted there. Unmount it first (fusermount3 -u, or umount).")]
    MountPoint(PathBuf),
    #[error("cannot listen on {address}: {cause}. Another program may use the port; choose another with --listen.")]
    Listen { address: String, cause: std::io::Error },
    #[error("another cofferd uses {0}. Stop it first.")]
    AlreadyRunning(PathBuf),
    #[error("{0}")]
    Namespace(#[from] NamespaceError),
    #[error("{0}")]
    Device(#[from] DeviceError),
    #[error("this box has no identity yet: run `cofferd first-boot --device {0}` once.")]
    NoIdentity(PathBuf),
    #[error("{0}")]
    KeyFile(String),
    #[error("the master password or recovery key is wrong")]
    WrongSecret,
    #[error("{0}")]
    Check(String),
    #[error(
        "{faults} contents do not read back. Restore them from a backup; docs/recovery.md tells how to save the rest."
    )]
    Lost { faults: u64 },
    #[error("{0}")]
    GivenKey(#[from] GivenKeyRefusal),
    #[error("{0}")]
    Daemon(String),
    #[error("{0}")]
    Hooks(#[from] HooksError),
    #[error("the box was reset. Start cofferd again: it begins as a new one.")]
    Reset,
    #[error("the certificates in {file} cannot be used: {cause}")]
    Certificates { file: PathBuf, cause: std::io::Error },
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

impl Failure {
    /// The exit code. 2 is the command line's (clap); below 64 nothing is ours, see `sysexits.h`.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::WrongSecret => 65,
            Self::KeyFile(_) | Self::Check(_) => 66,
            Self::Listen { .. } => 69,
            Self::Runtime(_) => 70,
            Self::Namespace(_) => 71,
            Self::Directory { .. } | Self::MountPoint(_) => 73,
            Self::Lost { .. } | Self::Daemon(_) => 74,
            Self::AlreadyRunning(_) => 75,
            Self::Reset => 76,
            Self::Hooks(_) => 77,
            Self::Device(_) | Self::NoIdentity(_) | Self::Certificates { .. } | Self::GivenKey(_) => 78,
        })
    }
}
