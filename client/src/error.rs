//! Everything that ends the program, and its exit code.

use coffer_crypto::channel::Failure;

use crate::{
    boxes::BoxesError,
    dialogue::{NoAnswer, Part},
    label::LabelError,
    link::RadioError,
    session::Trouble,
    tools,
};

/// Why the program ends before it is done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No box was heard.
    #[error(
        "No box is in reach. A new box can be found as soon as it runs; one that has an owner when it is offline, or for ten minutes after its power button was pressed."
    )]
    NoBox,
    /// Boxes were heard, and not this one.
    #[error("{wanted} is not in reach, only {others}.")]
    NotThatBox {
        /// What was asked for.
        wanted: String,
        /// What was found.
        others: String,
    },
    /// A box is known, or heard, under no such name.
    #[error("This machine does not know a box {0:?}. `coffer box list` tells which it knows.")]
    UnknownBox(String),
    /// The box knows no such phone.
    #[error("The box does not know a phone {0:?}. `coffer box phones` tells which it knows.")]
    NoSuchPhone(String),
    /// A name says too little.
    #[error("Several phones are called {0:?}. Use the id of the one you mean.")]
    SeveralPhones(String),
    /// The label is of another box.
    #[error("The QR code belongs to another box than the one in reach.")]
    OtherLabel,
    /// The connection breaks off again and again.
    #[error("The connection with the box breaks off again and again. Bring this machine nearer to it, and try again.")]
    Unreachable,
    /// The box does not come so far that it can be talked to.
    #[error(
        "The box is in reach, but its storage service does not answer. Wait some minutes; if that does not help, start the box again."
    )]
    NotReady,
    /// The box has an owner, whom it does not take this machine for.
    #[error("The box has an owner already. Ask its owner for a code (`coffer box invite`), and try again with it.")]
    AlreadyOwned,
    /// It is not the box, or not the same.
    #[error(
        "The box shows another key than when this machine met it first. Either it was reset to factory settings since, or something else pretends to be it. If you know that it was reset, run `coffer box forget {0}` and set it up again."
    )]
    AnotherKey(String),
    /// Someone else answered.
    #[error(
        "Whatever answered could not prove that it is the box. Make sure that nothing else pretends to be it, and try again."
    )]
    NotTheBox,
    /// The box is of no version that is understood.
    #[error(
        "The box does not keep to the protocol, or something was changed on the way. Update this program and the box, and try again."
    )]
    Protocol,
    /// The box said no, and nothing more can be done here.
    #[error("{}\n{}", .failure.happened, .failure.advice)]
    Failed {
        /// To what.
        part: Part,
        /// Its words.
        failure: Failure,
        /// They were told already.
        told: bool,
    },
    /// A question stays open.
    #[error("{cause}")]
    NoAnswer {
        /// Why.
        cause: NoAnswer,
        /// What went wrong with the answer before.
        after: Option<Part>,
    },
    /// By Ctrl-C.
    #[error("Stopped. What is settled so far stays; run the same again to go on.")]
    Interrupted,
    /// Bluetooth.
    #[error("{0}")]
    Radio(#[from] RadioError),
    /// The file of keys.
    #[error("{0}")]
    Boxes(#[from] BoxesError),
    /// The picture of a label.
    #[error("{0}")]
    Label(#[from] LabelError),
    /// A tool of the secrets vault.
    #[error("{0}")]
    Tool(#[from] tools::error::Error),
    /// Something that belongs to this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: &'static str,
        /// Why it was not.
        source: std::io::Error,
    },
    /// Caught and mended before it gets here, by connecting again.
    #[error("the connection with the box was lost")]
    Lost,
}

impl Error {
    /// What the program ends with; docs/setup.md lists the codes.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Tool(error) => error.exit_code(),
            Self::Interrupted | Self::Radio(_) | Self::Boxes(_) | Self::Label(_) | Self::Io { .. } => 1,
            Self::UnknownBox(_)
            | Self::NoSuchPhone(_)
            | Self::SeveralPhones(_)
            | Self::NoAnswer { after: None, .. } => 2,
            Self::NoBox
            | Self::NotThatBox { .. }
            | Self::OtherLabel
            | Self::Unreachable
            | Self::NotReady
            | Self::Lost => 3,
            Self::AlreadyOwned | Self::AnotherKey(_) | Self::NotTheBox | Self::Protocol => 4,
            Self::Failed { part, .. } | Self::NoAnswer { after: Some(part), .. } => match part {
                Part::Session => 4,
                Part::Network => 5,
                Part::Registration => 6,
                Part::Request => 7,
            },
        }
    }

    /// What a request met, as an end.
    pub(crate) fn of(part: Part) -> impl Fn(Trouble) -> Self {
        move |trouble| match trouble {
            Trouble::Lost => Self::Lost,
            Trouble::Refused(failure) | Trouble::Failed(failure) => Self::Failed { part, failure, told: false },
            Trouble::NotTheBox => Self::NotTheBox,
            Trouble::Protocol => Self::Protocol,
        }
    }
}

impl From<NoAnswer> for Error {
    fn from(cause: NoAnswer) -> Self {
        Self::NoAnswer { cause, after: None }
    }
}
