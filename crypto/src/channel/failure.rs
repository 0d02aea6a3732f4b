//! Failures as the channel words them, and those of the session: what is said in clear, before anybody has proved anything.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A failure as JSON, in clear or inside of a sealed reply. A reader ignores fields that it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One of the closed lists of `docs/ble.md`, section 8.
    pub code: Cow<'static, str>,
    /// What the box did, in English, for showing.
    pub happened: Cow<'static, str>,
    /// What a person can do about it.
    #[serde(rename = "try")]
    pub advice: Cow<'static, str>,
    /// When waiting helps, how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

/// Why a box refuses a session, or ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The phone speaks another version.
    UnsupportedVersion,
    /// Frames that make no message.
    MalformedFrame,
    /// A message that is none.
    MalformedMessage,
    /// The proof was wrong.
    WrongCode {
        /// Until when the next attempt is refused, if it is.
        retry_after_s: Option<u32>,
    },
    /// Too many guesses, for now.
    Throttled {
        /// Until when.
        retry_after_s: u32,
    },
    /// Too many guesses, until somebody comes to the box.
    WindowClosed,
    /// The box has an owner, and no code is open.
    AlreadyClaimed,
    /// A key that the box does not know.
    NotEnrolled,
    /// Another phone has a session or a handshake.
    Busy,
    /// Idle, out of order, or replaced.
    SessionEnded,
    /// The storage service does not answer.
    StorageUnavailable,
}

impl Refusal {
    /// The failure's `code`.
    pub fn code(self) -> &'static str {
        self.words().0
    }

    /// The whole failure.
    pub fn failure(self) -> Failure {
        let (code, happened, advice) = self.words();
        let retry_after_s = match self {
            Self::WrongCode { retry_after_s } => retry_after_s,
            Self::Throttled { retry_after_s } => Some(retry_after_s),
            Self::UnsupportedVersion
            | Self::MalformedFrame
            | Self::MalformedMessage
            | Self::WindowClosed
            | Self::AlreadyClaimed
            | Self::NotEnrolled
            | Self::Busy
            | Self::SessionEnded
            | Self::StorageUnavailable => None,
        };
        Failure { code: code.into(), happened: happened.into(), advice: advice.into(), retry_after_s }
    }

    pub(super) fn to_json(self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "texts and a number always have a JSON form")]
        serde_json::to_vec(&self.failure()).expect("a failure as JSON")
    }

    /// Code, what happened, what to try.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::UnsupportedVersion => (
                "unsupported_version",
                "This app speaks another version of the set-up than the box.",
                "Update the app; if that does not help, update the box.",
            ),
            Self::MalformedFrame => ("malformed_frame", "The box could not put a message together.", "Connect again."),
            Self::MalformedMessage => {
                ("malformed_message", "The box did not understand a message.", "Connect again, or update the app.")
            }
            Self::WrongCode { retry_after_s: None } => (
                "wrong_code",
                "The code is not the one of this box.",
                "Compare the code with the label and type it again.",
            ),
            Self::WrongCode { retry_after_s: Some(_) } => (
                "wrong_code",
                "The code is not the one of this box. Too many were wrong, so it waits before it takes the next.",
                "Wait, compare the code with the label, and type it again.",
            ),
            Self::Throttled { .. } => {
                ("throttled", "Too many codes were wrong. The box did not look at this one.", "Wait, then try again.")
            }
            Self::WindowClosed => (
                "window_closed",
                "Twenty codes were wrong. The box takes no more.",
                "Press the power button of the box shortly, or start it again.",
            ),
            Self::AlreadyClaimed => {
                ("already_claimed", "The box has an owner, and takes no code.", "Ask its owner for a code.")
            }
            Self::NotEnrolled => (
                "not_enrolled",
                "The box does not know this phone.",
                "Ask the owner of the box for a code, and connect with it.",
            ),
            Self::Busy => ("busy", "The box talks with another phone.", "Try again when the other phone is done."),
            Self::SessionEnded => ("session_ended", "The box ended the session.", "Connect again."),
            Self::StorageUnavailable => (
                "storage_unavailable",
                "The storage service of the box does not answer. Nothing was counted.",
                "Wait a minute and try again; if that does not help, start the box again.",
            ),
        }
    }
}
