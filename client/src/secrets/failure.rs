//! Why a command on secrets vaults ends before it is done, and its exit code. What a box was caught at has a code for each
//! row of the table in docs/secrets.md, so that a script can tell a lie from a fault.

use std::{io, path::PathBuf};

use coffer_api::{Problem, ProblemCode};
use coffer_crypto::secrets::{
    self,
    identity::Fingerprint,
    manifest::{Fault, Finding},
    password::{CostError, NoMemory, ParametersError},
};
use uuid::Uuid;

use super::{
    remote::{AddressError, RemoteError},
    store::StoreError,
};

/// Why it is not done. No secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something on this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: String,
        /// Why it was not.
        source: io::Error,
    },
    /// The replica cannot be read or written.
    #[error("the replica in {}: {source}", .path.display())]
    Replica {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// Something that this program wrote does not read back.
    #[error(
        "{what} on this machine is damaged or of a newer version. `coffer logout` and `coffer login` fetch everything anew; edits that were not sent yet are lost by that."
    )]
    Damaged {
        /// What.
        what: &'static str,
    },
    /// A sentence says why the command cannot be carried out as given.
    #[error("{0}")]
    Usage(String),
    /// A question has no answer, and there is nobody to ask.
    #[error("{what} is missing, and nobody is here to be asked. Give {flag}.")]
    NoAnswer {
        /// What was asked for.
        what: &'static str,
        /// What to give.
        flag: &'static str,
    },
    /// Nobody is logged in on this machine.
    #[error("Nobody is logged in here. `coffer login URL` does it.")]
    LoggedOut,
    /// The account is locked.
    #[error("The secrets are locked. `coffer unlock` opens them.")]
    Locked,
    /// The password, or the Secret Key, is wrong.
    #[error("The password is wrong, or it does not belong to this Secret Key.")]
    WrongPassword,
    /// The box cannot be reached.
    #[error("The box at {url} cannot be reached: {cause}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// Why not.
        cause: String,
    },
    /// The box answers with what is no answer.
    #[error(
        "What answers at {url} does not speak as a box does ({what}). Is the address right, and are both up to date?"
    )]
    Protocol {
        /// Where it should be.
        url: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The box knows the verifier, or whatever answers does not.
    #[error("Whatever answers could not prove that it is the box. Nothing that it said was believed.")]
    NotTheBox,
    /// The box says no.
    #[error("{}: {}", .0.title, .0.detail)]
    Refused(Box<Problem>),
    /// The box has ended the session.
    #[error("The session with the box has ended. `coffer login` opens a new one; edits are kept.")]
    SessionEnded,
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The box keeps an account key that the right password does not open.
    #[error(
        "The password is right, and the box's copy of your keys does not open with it. Was the password changed on another device at the same time? `coffer login --recover` opens them with the recovery key."
    )]
    AccountKeys,
    /// The box has keys of this account already.
    #[error("The account has keys already. Log in with its Secret Key, or with --recover and its recovery key.")]
    HasKeys,
    /// The box has none.
    #[error("The account has no keys yet. Make them with `coffer login --first-time`.")]
    NoKeys,
    /// There is no such thing.
    #[error("There is no {what} {name:?}{hint}")]
    Unknown {
        /// A vault, an item, a field, a person.
        what: &'static str,
        /// As it was called.
        name: String,
        /// What to try.
        hint: &'static str,
    },
    /// There are several.
    #[error("Several {what} are called {name:?}: use the id, or a longer part of it. {choices}")]
    Ambiguous {
        /// Vaults, items.
        what: &'static str,
        /// As they were called.
        name: String,
        /// Their ids.
        choices: String,
    },
    /// The member may not do this.
    #[error("Your role in the vault {0:?} does not allow this. Ask one of its managers.")]
    Role(String),
    /// A newer program wrote it.
    #[error("The item {0} was written by a newer version. Update this program to change it.")]
    Newer(Uuid),
    /// What is sealed has a largest size.
    #[error("The item {0:?} is too large: at most 1 MiB fits. Attach longer things as files: `coffer attachment add`.")]
    TooLarge(String),
    /// Sealing failed.
    #[error("{0}")]
    Crypto(#[from] secrets::Error),
    /// Argon2 has not the memory.
    #[error("{0}: close other programs and try again")]
    NoMemory(#[from] NoMemory),
    /// The box wants another derivation.
    #[error("{cause}. Nothing was computed, and nothing was sent.{}", hint(.cause))]
    Parameters {
        /// What is wrong with it.
        cause: ParametersError,
    },
    /// The history of a vault is not what it has to be.
    #[error("The box lies about the vault {vault:?}: {fault}. Nothing of what it delivered was kept.")]
    History {
        /// Which vault.
        vault: String,
        /// What was found.
        fault: Fault,
    },
    /// Items are not what the history says.
    #[error("The box lies about the vault {vault:?}: {}. Nothing of what it delivered was kept.", told(.findings))]
    Items {
        /// Which vault.
        vault: String,
        /// What was found.
        findings: Vec<Finding>,
    },
    /// What is attached to an item is not what the item says.
    #[error("The box lies about {name:?}, attached to {title:?}: {fault}. Nothing of what it delivered was kept.")]
    Attachment {
        /// What the item is called.
        title: String,
        /// What is attached to it.
        name: String,
        /// What was found.
        fault: AttachmentFault,
    },
    /// A vault that this device knows is gone, though nobody was told so.
    #[error(
        "The box says that the vault {0:?} is none of yours any more. You were put out, it was deleted, or the box lies. `coffer vault forget` drops this device's copy of it."
    )]
    VaultGone(String),
    /// An account has other keys than before.
    #[error("The keys of {name} have changed. They were {}, they are said to be {} now. Ask {name}, by another way than this box, whether that is so; `coffer verify {name} --accept` takes the new ones.", words(.known), words(.named))]
    KeysChanged {
        /// Whose.
        name: String,
        /// What was known.
        known: Fingerprint,
        /// What the box names.
        named: Fingerprint,
    },
    /// The person shows other keys than the box names.
    #[error(
        "What {name} shows is not what the box names as the keys of {name}. The picture is of somebody else's code, or the box lies: share nothing before you know."
    )]
    OtherKeys {
        /// Whose they should be.
        name: String,
    },
    /// A key that should open does not.
    #[error(
        "The box delivers a key of the vault {vault:?} that is not one: {cause}. Nothing of what it delivered was kept."
    )]
    VaultKey {
        /// Which vault.
        vault: String,
        /// What is wrong.
        cause: secrets::Error,
    },
    /// A vault has got a key of which nothing proves that a member made it.
    #[error("The vault {vault:?} has got a new key from {name}, who has not written in it before, and whose keys nobody has compared here: perhaps the box has made this up. Ask {name}, by another way than this box, for the words ({}), confirm them by `coffer verify {name} --confirm`, and try again.", words(.named))]
    KeyOfStranger {
        /// Which vault.
        vault: String,
        /// Who is said to have given it.
        name: String,
        /// By which keys.
        named: Fingerprint,
    },
    /// The account itself is another one.
    #[error(
        "The box says that {name} is another account than before. It was set up anew, or it lies. `coffer logout` and `coffer login` begin again."
    )]
    AnotherAccount {
        /// The name that was logged in with.
        name: String,
    },
    /// What the box rotates was sealed to a key that is not the vault's.
    #[error(
        "What the box rotates in the vault {0:?} was to be sealed to a key that is none of the vault's: perhaps a manager's client is broken, or the box lies. A manager's `coffer sync` sets it right; what was rotated meanwhile may be lost to you."
    )]
    DropBox(String),
    /// What the box has left for an item is nothing of it.
    #[error(
        "What the box has left for the item {item} does not open, or is for nothing that a member has let it rotate. Nothing was changed. `coffer rotate rm` and `add` begin anew."
    )]
    DroppedValue {
        /// Which item.
        item: Uuid,
    },
    /// Others write as fast as this device.
    #[error("Others are writing to the vault {0:?} all the time. Try again in a moment; your edits are kept.")]
    Busy(String),
}

/// What a box was caught at with something that is attached to an item.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachmentFault {
    /// The item names it, and the box has nothing.
    #[error("dropped: it does not deliver it")]
    Dropped,
    /// It is sealed, whole, and another one.
    #[error("swapped: it delivers {0:?}")]
    Swapped(String),
    /// It ends too early.
    #[error("cut short: it delivers {delivered_bytes} of {sealed_bytes} bytes")]
    CutShort {
        /// What came.
        delivered_bytes: u64,
        /// What has to come.
        sealed_bytes: u64,
    },
    /// It is not what was attached.
    #[error("altered: nobody has attached what it delivers")]
    Altered,
}

/// What a failure is on the command line.
impl Failure {
    /// What the program ends with; docs/secrets-client.md lists the codes.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Replica { .. } | Self::Damaged { .. } | Self::Crypto(_) | Self::NoMemory(_) => 1,
            Self::Usage(_) | Self::NoAnswer { .. } | Self::TooLarge(_) | Self::Newer(_) | Self::Address(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::WrongPassword | Self::NotTheBox | Self::Protocol { .. } | Self::SessionEnded => 4,
            Self::Refused(problem) => refusal_code(problem.code),
            Self::Role(_) | Self::Busy(_) | Self::HasKeys | Self::NoKeys => 7,
            Self::LoggedOut | Self::Locked => 8,
            Self::Unknown { .. } | Self::Ambiguous { .. } => 9,
            Self::History { fault, .. } => fault_code(fault),
            Self::Items { findings, .. } => findings.first().map_or(25, finding_code),
            Self::Attachment { fault, .. } => attachment_code(fault),
            Self::KeyOfStranger { .. } => 23,
            Self::VaultKey { .. } | Self::AccountKeys | Self::DropBox(_) | Self::DroppedValue { .. } => 25,
            Self::KeysChanged { .. } | Self::OtherKeys { .. } | Self::AnotherAccount { .. } => 28,
            Self::Parameters { .. } => 29,
            Self::VaultGone(_) => 30,
        }
    }

    /// Something on this machine went wrong.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Whether the box is only out of reach, so that work goes on without it.
    pub fn is_offline(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(problem) => {
                matches!(problem.code, ProblemCode::VaultLocked | ProblemCode::Busy | ProblemCode::StorageUnavailable)
            }
            _ => false,
        }
    }

    /// Whether the box says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.code == ProblemCode::NotFound)
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Unreachable { url, source } => Self::Unreachable { url, cause: source.to_string() },
            RemoteError::NoBox { url } => Self::Protocol { url, what: "its reply is none that a box gives" },
            RemoteError::Refused(problem) => Self::Refused(problem),
            RemoteError::Stale(_) => Self::Busy(String::new()),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Locked | Failure::LoggedOut => Self::Locked,
            Failure::Role(vault) => Self::ReadOnly(vault),
            Failure::Newer(item) => Self::Newer(item),
            other => Self::Other(Box::new(other)),
        }
    }
}

fn refusal_code(code: ProblemCode) -> u8 {
    match code {
        ProblemCode::Unauthenticated | ProblemCode::WrongCredentials | ProblemCode::WrongSecondFactor => 4,
        ProblemCode::VaultLocked | ProblemCode::Busy | ProblemCode::StorageUnavailable => 3,
        _ => 7,
    }
}

fn fault_code(fault: &Fault) -> u8 {
    match fault {
        Fault::RolledBack { .. } => 20,
        Fault::Forked { .. } => 21,
        Fault::Dropped { .. } => 22,
        Fault::Link(_) | Fault::Stranger(_) | Fault::Outsider { .. } | Fault::Inconsistent { .. } => 23,
    }
}

fn finding_code(finding: &Finding) -> u8 {
    match finding {
        Finding::RolledBack(_) => 20,
        Finding::Dropped(_) => 22,
        Finding::Swapped(..) => 24,
        Finding::Altered(_) => 25,
        Finding::Revived(_) => 26,
        Finding::Invented(_) => 27,
    }
}

fn attachment_code(fault: &AttachmentFault) -> u8 {
    match fault {
        AttachmentFault::Dropped => 22,
        AttachmentFault::Swapped(_) => 24,
        AttachmentFault::CutShort { .. } | AttachmentFault::Altered => 25,
    }
}

fn told(findings: &[Finding]) -> String {
    let one = |finding: &Finding| match finding {
        Finding::RolledBack(item) => format!("rolled back: it delivers an older revision of the item {item}"),
        Finding::Dropped(item) => format!("dropped: it does not deliver the item {item}"),
        Finding::Swapped(item, other) => format!("swapped: it delivers the item {other} as the item {item}"),
        Finding::Altered(item) => format!("altered: nobody has written what it delivers as the item {item}"),
        Finding::Revived(item) => format!("revived: it delivers the item {item}, which was deleted"),
        Finding::Invented(item) => format!("invented: no member has ever written the item {item}"),
    };
    findings.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn words(fingerprint: &Fingerprint) -> String {
    fingerprint.words().join(" ")
}

fn hint(cause: &ParametersError) -> &'static str {
    match cause {
        ParametersError::Changed => {
            " If you changed the password, the Secret Key or the cost on another device, run `coffer login` with --password-changed; if not, the box lies."
        }
        ParametersError::Weakened | ParametersError::Cost(CostError::Cheap) => {
            " No change of a password does that: the box lies."
        }
        ParametersError::Cost(CostError::Dear) | ParametersError::Form(_) => "",
    }
}
