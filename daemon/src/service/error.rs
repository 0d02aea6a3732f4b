//! The one list of refusals and failures. `http/problem.rs` turns each into a status; nothing else does.

use std::time::Duration;

use crate::model::access::AccessListError;
use crate::model::group::GroupNameError;
use crate::model::name::NameError;
use crate::model::password::PasswordError;
use crate::model::second_factor::PasskeyNameError;
use crate::model::tag::TagNameError;
use crate::model::user::{AboutError, DisplayNameError, UsernameError};
use crate::model::variable::VariableNameError;
use crate::model::webhook::{UnknownEvent, WebhookUrlError};
use crate::repo::content_io::SealFault;
use crate::repo::store::StoreError;
use crate::storage::database::DatabaseError;
use crate::storage::gocryptfs::GocryptfsError;
use crate::storage::update_channel::ChannelError;

/// What is wrong with the key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFileProblem {
    /// It is not there: the detachable key is detached.
    Missing,
    /// It is there but cannot be read.
    Unreadable,
    /// It is not a key file, or it was changed or damaged.
    Damaged,
    /// Another version of this program wrote it.
    Newer,
    /// It is not the one that the vault was unlocked with.
    Replaced,
}

/// Why a call was refused or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("not authenticated")]
    Unauthenticated,
    #[error("wrong user name or password")]
    WrongCredentials,
    #[error("wrong password")]
    WrongPassword,
    #[error("wrong second factor, or the login took too long")]
    WrongSecondFactor,
    #[error("wrong setup code")]
    WrongSetupCode,
    #[error("wrong master password or recovery key")]
    WrongMasterSecret,
    #[error("the role does not allow this")]
    Forbidden,
    #[error("only on the control socket")]
    NotOnTheBox,
    #[error("the folder may be looked into, but not changed")]
    ReadOnlyFolder,
    #[error("there is something in it that the caller may not change")]
    NotAllOfIt,
    #[error("the folder is write-protected")]
    WriteProtected,
    #[error("a second factor is needed first")]
    SecondFactorNeeded,
    #[error("the last second factor must stay")]
    LastSecondFactor,
    #[error("only a person who logged in may do this")]
    SessionNeeded,
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("the small picture is not made yet")]
    ThumbnailPending,
    #[error("no small picture could be made")]
    ThumbnailFailed { reason: Option<String> },
    #[error("there is no small picture of this kind of file")]
    NoThumbnail { reason: Option<String> },
    #[error("the picture cannot be turned: {0}")]
    PictureNotTurned(&'static str),
    #[error("the name is taken")]
    NameTaken,
    #[error("the user name is taken")]
    UsernameTaken,
    #[error("registration is closed")]
    RegistrationClosed,
    #[error("the invitation is not valid")]
    WrongInvitation,
    #[error("the last active administrator must stay")]
    LastAdmin,
    #[error("the last owner must stay")]
    LastOwner,
    #[error("not on one's own account")]
    OwnAccount,
    #[error("the device token is not valid")]
    WrongDeviceToken,
    #[error("the subject is linked to another account")]
    LinkTaken,
    #[error("there are {limit} {what} already")]
    LimitReached { what: &'static str, limit: u32 },
    #[error("the name of the group is taken")]
    GroupNameTaken,
    #[error("it is not what the caller has seen")]
    PreconditionFailed,
    #[error("there is no precondition")]
    PreconditionNeeded,
    #[error("the content is not what its digest says")]
    DigestMismatch,
    #[error("a folder cannot lie in itself")]
    IntoItself,
    #[error("where it came from is not there")]
    OriginGone,
    #[error("the current revision must stay")]
    CurrentRevision,
    #[error("the file is not a text")]
    NotAText,
    #[error("the owner of the file may not store so much")]
    QuotaExceeded,
    #[error("the share link has a password")]
    SharePassword { wrong: bool },
    #[error("the share link is for something else")]
    ShareForbids,
    #[error("the share link takes {left_bytes} more bytes")]
    ShareFull { left_bytes: u64 },
    #[error("there is a vault already")]
    VaultExists,
    #[error("there is no vault yet")]
    VaultAbsent,
    #[error("{0}")]
    VaultState(&'static str),
    #[error("the last master password must stay")]
    KeySlotNeeded,
    #[error("field {field}: {detail}")]
    InvalidField { field: &'static str, detail: String },
    #[error("the vault is locked")]
    Locked,
    #[error("the vault is in lockdown")]
    Lockdown,
    #[error("the key file is {0:?}")]
    KeyFile(KeyFileProblem),
    #[error("too many attempts")]
    TooManyAttempts { retry_after: Duration },
    #[error("too much to do")]
    Busy,
    #[error("another change of the network is under way")]
    NetworkBusy,
    #[error("the set-up service does not fetch orders")]
    SetupServiceUnavailable,
    #[error("an update is on its way")]
    UpdateRunning,
    #[error("contents are being written")]
    UploadsRunning,
    #[error("the system does not install updates")]
    UpdaterUnavailable,
    #[error("nothing came from the channel of updates")]
    Channel(#[source] ChannelError),
    #[error("the storage cannot be used: {detail}")]
    StorageUnavailable {
        /// For people: what to look at. Without paths.
        detail: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    #[error("the drive is full")]
    StorageFull,
    #[error("the client stopped sending")]
    RequestTimeout,
    #[error("the upload ended early")]
    UploadCutShort,
    #[error("there is more to come than {limit_bytes} bytes")]
    UploadTooLong { limit_bytes: u64 },
    #[error("the upload is being written to")]
    UploadBusy,
    #[error("the upload stands at {offset}")]
    WrongOffset { offset: u64 },
    #[error("the bytes are not what their check sum says")]
    WrongChecksum,
    #[error("an upload that was put together takes no bytes")]
    FinalUpload,
    #[error("a part of the upload is not complete")]
    PartIncomplete,
    #[error("an archive holds at most {entries} entries")]
    ArchiveTooLarge { entries: usize },
    #[error("a stored content does not read back")]
    Damaged(#[source] std::io::Error),
    #[error("a sealed content does not open")]
    DecryptionFailed(#[source] std::io::Error),
    #[error("not everything is sealed")]
    NotAllSealed { plain: Option<u64> },
    #[error("work on sealed files goes on already")]
    JobRunning,
    #[error("only sealed contents are accepted")]
    OnlySealed,
    #[error("internal fault: {0}")]
    Internal(&'static str, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
}

impl Error {
    /// A fault of ours, with its cause for the log.
    pub(crate) fn internal(operation: &'static str, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(operation, Some(Box::new(cause)))
    }

    /// A field with a value that is not accepted.
    pub(crate) fn field(field: &'static str, detail: impl Into<String>) -> Self {
        Self::InvalidField { field, detail: detail.into() }
    }

    /// A stored content that does not read back.
    pub(crate) fn content(cause: std::io::Error) -> Self {
        match SealFault::of(&cause) {
            Some(_) => Self::DecryptionFailed(cause),
            None => Self::Damaged(cause),
        }
    }

    /// A failed file-system operation on the vault or beside it.
    pub(crate) fn storage(operation: &'static str, cause: std::io::Error) -> Self {
        use std::io::ErrorKind;
        if SealFault::of(&cause).is_some() {
            return Self::DecryptionFailed(cause);
        }
        match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::StorageFull,
            kind => {
                let detail = match kind {
                    ErrorKind::ReadOnlyFilesystem => format!("{operation}: the storage is read-only"),
                    ErrorKind::PermissionDenied => format!("{operation}: the daemon's user may not write there"),
                    ErrorKind::NotFound => format!("{operation}: the directory is missing; is the drive attached?"),
                    _ => format!("{operation}: an input/output error; check the drive"),
                };
                Self::StorageUnavailable { detail, source: Some(Box::new(cause)) }
            }
        }
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Closed => Self::Locked,
            DatabaseError::Busy => Self::Busy,
            DatabaseError::Full => Self::StorageFull,
            DatabaseError::Conflict => Self::NameTaken,
            DatabaseError::Newer => {
                let detail = "a newer version of this box has changed the vault; install that again".to_owned();
                Self::StorageUnavailable { detail, source: None }
            }
            DatabaseError::Refused("role") => Self::Forbidden,
            DatabaseError::Refused("owner") => Self::LastOwner,
            error @ (DatabaseError::Refused(_)
            | DatabaseError::Corrupt(_)
            | DatabaseError::Sqlite(_)
            | DatabaseError::Value(_)
            | DatabaseError::Panicked
            | DatabaseError::NotCommitted) => Self::internal("database", error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io(error) => Self::storage("opening the vault", error),
            StoreError::Database(error) => error.into(),
        }
    }
}

impl From<GocryptfsError> for Error {
    fn from(error: GocryptfsError) -> Self {
        let detail = error.to_string();
        Self::StorageUnavailable { detail, source: Some(Box::new(error)) }
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::field("name", error.to_string())
    }
}

impl From<AccessListError> for Error {
    fn from(error: AccessListError) -> Self {
        Self::field("grants", error.to_string())
    }
}

impl From<GroupNameError> for Error {
    fn from(error: GroupNameError) -> Self {
        Self::field("name", error.to_string())
    }
}

impl From<TagNameError> for Error {
    fn from(error: TagNameError) -> Self {
        Self::field("tag", error.to_string())
    }
}

impl From<PasskeyNameError> for Error {
    fn from(error: PasskeyNameError) -> Self {
        Self::field("name", error.to_string())
    }
}

impl From<UsernameError> for Error {
    fn from(error: UsernameError) -> Self {
        Self::field("username", error.to_string())
    }
}

impl From<DisplayNameError> for Error {
    fn from(error: DisplayNameError) -> Self {
        Self::field("display_name", error.to_string())
    }
}

impl From<AboutError> for Error {
    fn from(error: AboutError) -> Self {
        Self::field("about", error.to_string())
    }
}

impl From<VariableNameError> for Error {
    fn from(error: VariableNameError) -> Self {
        let field = match error {
            VariableNameError::Namespace => "namespace",
            VariableNameError::Key => "key",
        };
        Self::field(field, error.to_string())
    }
}

impl From<WebhookUrlError> for Error {
    fn from(error: WebhookUrlError) -> Self {
        Self::field("url", error.to_string())
    }
}

impl From<UnknownEvent> for Error {
    fn from(error: UnknownEvent) -> Self {
        Self::field("events", error.to_string())
    }
}

/// A refused password, with the name of its field.
pub(crate) fn password_field(field: &'static str) -> impl Fn(PasswordError) -> Error {
    move |error| Error::field(field, error.to_string())
}
