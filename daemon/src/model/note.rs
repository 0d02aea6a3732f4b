//! Notes: a text on a file or a folder, for everybody who sees it.

use jiff::Timestamp;
use uuid::Uuid;

/// The text of a note, kept as it is.
#[derive(Clone, Debug)]
pub(crate) struct NoteText(String);

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoteTextError {
    #[error("the text is empty; delete the note instead")]
    Empty,
    #[error("the text has more than {} bytes", NoteText::MAX_BYTES)]
    TooLong,
}

impl NoteText {
    /// Longest text.
    pub(crate) const MAX_BYTES: usize = 64 * 1024;

    /// Checks a text.
    pub(crate) fn parse(text: String) -> Result<Self, NoteTextError> {
        if text.len() > Self::MAX_BYTES {
            return Err(NoteTextError::TooLong);
        }
        if text.trim().is_empty() { Err(NoteTextError::Empty) } else { Ok(Self(text)) }
    }

    /// The text.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// A note, as stored.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) item_id: Uuid,
    pub(crate) text: String,
    /// Another one after each change.
    pub(crate) version: Uuid,
    pub(crate) updated_at: Timestamp,
    pub(crate) updated_by: Uuid,
}
