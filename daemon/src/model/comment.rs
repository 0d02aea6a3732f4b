//! Comments: what people say about files and folders, with what they said before.

use jiff::Timestamp;
use uuid::Uuid;

/// Most comments on one item.
pub(crate) const MAX_COMMENTS: u32 = 1000;

/// How often a comment can be edited: its history is kept.
pub(crate) const MAX_EDITS: u32 = 100;

/// The text of a comment, kept as it is.
#[derive(Clone, Debug)]
pub(crate) struct CommentText(String);

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommentTextError {
    #[error("the text is empty")]
    Empty,
    #[error("the text has more than {} bytes", CommentText::MAX_BYTES)]
    TooLong,
}

impl CommentText {
    /// Longest text.
    pub(crate) const MAX_BYTES: usize = 8 * 1024;

    /// Checks a text.
    pub(crate) fn parse(text: String) -> Result<Self, CommentTextError> {
        if text.len() > Self::MAX_BYTES {
            return Err(CommentTextError::TooLong);
        }
        if text.trim().is_empty() { Err(CommentTextError::Empty) } else { Ok(Self(text)) }
    }

    /// The text.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// A comment, as stored.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) id: Uuid,
    pub(crate) item_id: Uuid,
    pub(crate) text: String,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
    pub(crate) edited_at: Option<Timestamp>,
    /// How often it was edited.
    pub(crate) edits: u32,
}

impl Comment {
    /// When its present text was written.
    pub(crate) fn written_at(&self) -> Timestamp {
        self.edited_at.unwrap_or(self.created_at)
    }
}

/// What a comment said for some time.
#[derive(Clone, Debug)]
pub(crate) struct CommentVersion {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) text: String,
    pub(crate) written_at: Timestamp,
}
