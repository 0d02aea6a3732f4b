//! Questions to whoever uses this program, and what it tells them. Knows neither terminal nor files.

use std::{fmt, future::Future};

use coffer_api::SecretString;
use coffer_crypto::channel::Failure;
use serde::Serialize;
use uuid::Uuid;

use crate::wire::{Registration, Status};

/// What a question is about. Answers can be given on the command line by [`Topic::flag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the flags say what they are")]
pub enum Topic {
    Box,
    Code,
    Country,
    Network,
    NetworkName,
    Security,
    WifiPassword,
    Identity,
    AnonymousIdentity,
    EapMethod,
    ServerDomain,
    StayLocal,
    Reach,
    Registrar,
    Proof,
    Ticket,
    UserToken,
    Hostname,
    TunnelToken,
    MasterPassword,
    Username,
    DisplayName,
    AccountPassword,
    PhoneName,
    RecoveryKey,
    Sure,
}

impl Topic {
    /// The flag that answers it.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Box => "--box",
            Self::Code => "--code-file",
            Self::Country => "--country",
            Self::Network => "--wifi or --keep-network",
            Self::NetworkName => "--wifi",
            Self::Security => "--wifi-security",
            Self::WifiPassword => "--wifi-password-file",
            Self::Identity => "--wifi-identity",
            Self::AnonymousIdentity => "--wifi-anonymous-identity",
            Self::EapMethod => "--wifi-method",
            Self::ServerDomain => "--wifi-server-domain",
            Self::StayLocal => "--wifi-local-only",
            Self::Reach => "--registrar, --own-tunnel or --local-only",
            Self::Registrar => "--registrar",
            Self::Proof => "--ticket-file or --user-token-file",
            Self::Ticket => "--ticket-file",
            Self::UserToken => "--user-token-file",
            Self::Hostname => "--own-tunnel",
            Self::TunnelToken => "--tunnel-token-file",
            Self::MasterPassword => "--master-password-file",
            Self::Username => "--username",
            Self::DisplayName => "--display-name",
            Self::AccountPassword => "--account-password-file",
            Self::PhoneName => "--phone-name",
            Self::RecoveryKey => "--recovery-key-file",
            Self::Sure => "--yes",
        }
    }
}

/// How an answer is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing<'a> {
    /// For everybody to see. Nothing typed means the text here, if there is one.
    Open(Option<&'a str>),
    /// Without being shown.
    Hidden,
    /// Without being shown, and twice.
    HiddenTwice,
}

/// One of the answers to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What stands for it on a command line.
    pub value: String,
    /// What a person reads.
    pub label: String,
}

impl Choice {
    /// An answer to choose.
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into() }
    }
}

/// Whoever answers.
pub trait Dialogue {
    /// Asks for a text.
    fn ask(
        &mut self,
        topic: Topic,
        text: &str,
        typing: Typing<'_>,
    ) -> impl Future<Output = Result<SecretString, NoAnswer>>;

    /// Asks for one of several; returns its index. `usual` is the one for who does not care.
    fn choose(
        &mut self,
        topic: Topic,
        text: &str,
        choices: &[Choice],
        usual: Option<usize>,
    ) -> impl Future<Output = Result<usize, NoAnswer>>;

    /// Asks for a yes.
    fn confirm(&mut self, topic: Topic, text: &str) -> impl Future<Output = Result<bool, NoAnswer>>;

    /// Whether there is a way to hand over a recovery key: asked before there is one.
    fn can_keep_recovery_key(&self) -> Result<(), NoAnswer>;

    /// Hands over the recovery key, which is shown this once; returns when it is kept.
    fn keep_recovery_key(&mut self, key: &SecretString) -> impl Future<Output = Result<(), NoAnswer>>;

    /// Tells what happens.
    fn tell(&mut self, event: &Event);
}

/// A question that stays open.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// There is nobody to ask, and no (further) answer was given.
    #[error("there is no terminal to ask on, and no further answer was given: use {}", .0.flag())]
    Nobody(Topic),
    /// What was given is not one of the answers.
    #[error("{} gives an answer that is not possible here", .0.flag())]
    NotAChoice(Topic),
    /// Asking failed, or a file.
    #[error("{}: {source}", .topic.flag())]
    Io {
        /// What was asked.
        topic: Topic,
        /// Why.
        source: std::io::Error,
    },
    /// The person went away.
    #[error("stopped")]
    Stopped,
}

/// A part of the set-up that can fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Proving who is there.
    Session,
    /// Wi-Fi, and what it leads to.
    Network,
    /// How the box is reached from outside.
    Registration,
    /// Anything else that was asked of the box.
    Request,
}

/// What happens. With `--json` each is a line; none has a secret.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names and texts say it")]
pub enum Event {
    Looking,
    Connecting { name: String },
    NotReady,
    Reconnecting,
    Session { device_id: Uuid, device_name: String, version: String, claimed: bool, vault: String },
    Failed { part: Part, failure: Failure },
    Waiting { seconds: u64 },
    Scanning,
    Joining { ssid_text: String },
    Network { status: Status },
    Registration { registration: Registration },
    GoesOnByItself,
    Claiming,
    Claimed { vault_id: Uuid, user_id: Uuid },
    ClaimedBefore,
    Enrolled { phone_name: String },
    Done { url: Option<String>, local_url: Option<String> },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Looking => f.write_str("Looking for boxes…"),
            Self::Connecting { name } => write!(f, "Connecting with {name}…"),
            Self::NotReady => f.write_str("The box is starting, or needs attention. Asking again in some seconds."),
            Self::Reconnecting => f.write_str("The connection was lost. Connecting again…"),
            Self::Session { device_name, version, claimed, vault, .. } => {
                let owned = if *claimed { "owned" } else { "new" };
                write!(f, "Talking with {device_name} ({owned}, vault {vault}, version {version}).")
            }
            Self::Failed { failure, .. } => write!(f, "{}\n{}", failure.happened, failure.advice),
            Self::Waiting { seconds } => write!(f, "Waiting for {seconds} s."),
            Self::Scanning => f.write_str("The box looks for networks…"),
            Self::Joining { ssid_text } => write!(f, "The box joins {ssid_text:?}…"),
            Self::Network { status } => write!(f, "Network: {}", Described(status)),
            Self::Registration { registration } => write_registration(f, registration),
            Self::GoesOnByItself => f.write_str("The box goes on trying by itself."),
            Self::Claiming => f.write_str("The box makes its vault. This takes some seconds…"),
            Self::Claimed { .. } => f.write_str("The box is yours."),
            Self::ClaimedBefore => f.write_str(
                "The connection broke while the box was being claimed, and it is yours now. The recovery key was lost on the \
                 way: make a new one in the settings of the vault.",
            ),
            Self::Enrolled { phone_name } => write!(f, "The box knows this machine now, as {phone_name:?}."),
            Self::Done { url: Some(url), .. } => write!(f, "Done. Your box is at {url}"),
            Self::Done { url: None, local_url: Some(url) } => {
                write!(f, "Done. In the same network your box is at {url}")
            }
            Self::Done { url: None, local_url: None } => f.write_str("Done. The box has no network yet."),
        }
    }
}

/// A status in a few words.
struct Described<'a>(&'a Status);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { state, ssid_text, signal_percent, addresses, connectivity, wired } = self.0;
        match ssid_text {
            Some(name) => write!(f, "{state}, {name:?}")?,
            None => f.write_str(state)?,
        }
        if let Some(percent) = signal_percent {
            write!(f, ", signal {percent} %")?;
        }
        if *wired {
            f.write_str(", a cable")?;
        }
        if let Some(word) = connectivity {
            write!(f, ", internet: {word}")?;
        }
        for address in addresses {
            write!(f, ", {address}")?;
        }
        Ok(())
    }
}

fn write_registration(f: &mut fmt::Formatter<'_>, registration: &Registration) -> fmt::Result {
    use crate::wire::RegistrationState as State;
    match registration.state {
        State::None => f.write_str("Not registered."),
        State::Registering => match (&registration.error, registration.retry_after_s) {
            (Some(failure), Some(seconds)) => {
                write!(f, "{}\n{} The box tries again in {seconds} s.", failure.happened, failure.advice)
            }
            (Some(failure), None) => write!(f, "{}\n{}", failure.happened, failure.advice),
            (None, _) => write!(f, "Registering, attempt {}…", registration.attempt.max(1)),
        },
        State::Registered => f.write_str("Registered."),
        State::OwnTunnel => f.write_str("The box uses your tunnel."),
        State::LocalOnly => f.write_str("The box stays in the local network."),
        State::Failed => match &registration.error {
            Some(failure) => write!(f, "{}\n{}", failure.happened, failure.advice),
            None => f.write_str("The registration failed."),
        },
    }
}
