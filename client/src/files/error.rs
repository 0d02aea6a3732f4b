//! Why a command on files ends before it is done, and its exit code.

use std::{io, path::PathBuf};

use coffer_api::ProblemCode;

use super::path::{RemotePath, shown};
use crate::secrets::failure::Failure;

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The session, the box, or what it refuses.
    #[error(transparent)]
    Box(#[from] Failure),
    /// The text is no path at a box.
    #[error("{0:?} is no path at a box. One begins with a slash and has no . or .. in it, like /Photos/2026.")]
    NoPath(String),
    /// A sentence says why the command cannot be carried out as given.
    #[error("{0}")]
    Usage(String),
    /// There is nothing, or nothing of this account's.
    #[error("There is no {what} {path} at the box, or it is not yours to see.")]
    Nothing {
        /// A file, a folder, or either.
        what: &'static str,
        /// Where it should be.
        path: RemotePath,
    },
    /// There is another content at the box already.
    #[error("{0} is at the box already, with another content. --force replaces it; the old one stays as a revision.")]
    There(RemotePath),
    /// Somebody was faster.
    #[error("{0} has changed at the box meanwhile. Look at it, and run the same again.")]
    Changed(RemotePath),
    /// There is something on this machine already.
    #[error("{} is there already, and is not the same. --force replaces it.", shown(&.0.to_string_lossy()))]
    ThereLocally(PathBuf),
    /// What is sent changed while it was.
    #[error("{} changed while it was sent. Run the same again.", shown(&.0.to_string_lossy()))]
    SourceChanged(PathBuf),
    /// Another process does the same.
    #[error("Another `coffer` is moving {0} right now.")]
    Busy(String),
    /// The content is not what it was said to be.
    #[error(
        "The content of {0} is not what the box says that it is: on the way or at the box it was changed. It was not taken."
    )]
    Altered(RemotePath),
    /// What arrived at the box is not what was sent.
    #[error("What the box has at {0} now is not what was sent.")]
    Mangled(RemotePath),
    /// A name that no box gives.
    #[error("The box names something \"{}\": nothing is written under such a name.", shown(.0))]
    Name(String),
    /// Some files were moved, and others were not; why, was told of each.
    #[error("{count} could not be moved. Run the same again to go on.")]
    Partly {
        /// How many were not.
        count: usize,
        /// What the first of them ends the program with.
        code: u8,
    },
    /// Something on this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: String,
        /// Why it was not.
        source: io::Error,
    },
}

impl Error {
    /// What the program ends with; docs/client-files.md lists the codes.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Box(failure) => failure.exit_code(),
            Self::Io { .. } | Self::SourceChanged(_) => 1,
            Self::NoPath(_) | Self::Usage(_) | Self::ThereLocally(_) => 2,
            Self::There(_) | Self::Changed(_) | Self::Busy(_) => 7,
            Self::Nothing { .. } => 9,
            Self::Altered(_) | Self::Mangled(_) | Self::Name(_) => 25,
            Self::Partly { code, .. } => *code,
        }
    }

    /// Something on this machine went wrong.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Whether the next file of many would meet the same.
    pub fn is_of_all(&self) -> bool {
        match self {
            Self::Box(Failure::Refused(problem)) => {
                let code = problem.code;
                self.is_offline() || matches!(code, ProblemCode::Unauthenticated | ProblemCode::StorageFull)
            }
            Self::Box(_) => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => false,
        }
    }

    /// Whether the box is only out of reach.
    pub fn is_offline(&self) -> bool {
        matches!(self, Self::Box(failure) if failure.is_offline())
    }

    /// Whether the box refuses by this code.
    pub(super) fn is(&self, code: ProblemCode) -> bool {
        matches!(self, Self::Box(Failure::Refused(problem)) if problem.code == code)
    }
}
