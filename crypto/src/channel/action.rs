//! What a [`Device`](super::Device) and its caller say to each other.

use sha2::Sha256;
use zeroize::Zeroizing;

use super::failure::Refusal;
use super::keys::{CodeVerifier, PublicKey};
use super::noise::Handshake;
use super::{Channel, Peer};
use crate::srp::{self, PROOF_BYTES};

/// Frames that a characteristic notifies, in order and all of them before any others of this characteristic.
#[derive(Debug, PartialEq, Eq)]
pub struct Notification {
    /// For whom they are. A stack that notifies everybody who subscribed may do so.
    pub peer: Peer,
    /// On which characteristic.
    pub channel: Channel,
    /// The frames.
    pub frames: Vec<Vec<u8>>,
}

/// What the caller has to do, in the order of the list.
pub enum Action {
    /// Send this.
    Notify(Notification),
    /// A phone wants to prove a code. Answer with [`super::Device::answer_code`].
    AskCode(CodeRequest),
    /// A phone sent its proof. Count a guess where a power cut does not take it back, then call [`super::Device::check`].
    CountGuess(Proof),
    /// The proof was right: set the count back.
    GuessWasRight(CodeKind),
    /// A phone says that it is enrolled. Answer with [`super::Device::answer_phone`].
    AskPhone(Resumption),
    /// A session began: send `welcome`. By an enrolled key this may be a recording, until the first request came:
    /// change nothing for it.
    Began(Session),
    /// A request of the session, a JSON object as it was sent.
    Request {
        /// Where it was written, and where the reply goes.
        channel: Channel,
        /// May hold secrets.
        json: Zeroizing<Vec<u8>>,
    },
    /// The session is over.
    Ended(SessionEnd),
}

/// How a session came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Of which connection.
    pub peer: Peer,
    /// The phone's long-term key: enrolled, or to be enrolled.
    pub phone: PublicKey,
    /// What the phone proved.
    pub entrance: Entrance,
}

/// What a phone proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// It knows the code that is open.
    Code(CodeKind),
    /// It is enrolled.
    EnrolledKey,
}

/// Which code is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeKind {
    /// That of a box which nobody owns.
    Setup,
    /// One that an enrolled phone asked for.
    Invitation,
    /// One made after the phones were lost.
    Recovery,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The connection is gone.
    Disconnected,
    /// Nothing valid came for [`super::IDLE_TIME`].
    Idle,
    /// The same phone began another handshake.
    Replaced,
    /// Something came that is not authentic, repeats, or is not a JSON object.
    Invalid,
    /// More messages were sealed than there are numbers.
    Exhausted,
    /// [`super::Device::end_session`] was called.
    Closed,
}

/// A phone that wants to prove a code; see [`Action::AskCode`].
pub struct CodeRequest {
    pub(super) attempt: Attempt,
    pub(super) client_public: Vec<u8>,
    pub(super) transcript: Sha256,
}

/// The answer to [`Action::AskCode`].
pub enum CodeAnswer {
    /// Let it try this one.
    Open(CodeKind, CodeVerifier),
    /// No: there is none, or guesses have to wait, or nobody knows.
    Refuse(Refusal),
}

/// A proof that was not looked at yet; see [`Action::CountGuess`].
pub struct Proof {
    pub(super) attempt: Attempt,
    pub(super) challenge: Box<Challenge>,
    pub(super) m1: [u8; PROOF_BYTES],
    pub(super) noise: Vec<u8>,
}

/// The answer to [`Action::CountGuess`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// It is counted, on disk. What to say of waiting if the proof is wrong.
    Counted {
        /// Until when the next attempt is refused, if it is.
        retry_after_s: Option<u32>,
    },
    /// It could not be counted, or is not allowed any more; the proof is thrown away.
    Refused(Refusal),
}

/// A phone that says it is enrolled; see [`Action::AskPhone`].
pub struct Resumption {
    pub(super) attempt: Attempt,
    pub(super) phone: PublicKey,
    pub(super) handshake: Handshake,
}

impl Resumption {
    /// The key to be looked up.
    pub fn phone(&self) -> &PublicKey {
        &self.phone
    }
}

/// The answer to [`Action::AskPhone`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneAnswer {
    /// The key is on the list.
    Enrolled,
    /// No, mostly because it is not.
    Refuse(Refusal),
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nobody is there to read it.
    #[error("there is no session")]
    NoSession,
    /// It is empty, or longer than [`super::MAX_PLAINTEXT_BYTES`].
    #[error("the message is empty or too long")]
    Length,
    /// The session has used up its numbers. Call [`super::Device::end_session`].
    #[error("the session has used up its numbers")]
    Exhausted,
}

/// The number of a handshake, so that an answer which comes late is not taken for another's.
pub(super) type Attempt = u64;

/// What a box remembers between B and M1.
pub(super) struct Challenge {
    pub(super) kind: CodeKind,
    pub(super) server: srp::Server,
    pub(super) client_public: Vec<u8>,
    pub(super) transcript: Sha256,
}
