//! Sealed files: the second wall inside the vault. `docs/envelope.md` is the contract; this is its implementation.
//!
//! | Module | Owns |
//! |---|---|
//! | [`v2`] | our format: a header that can be wrapped anew, a body that never changes |
//! | [`v1`] | Storm Cloud's format: read as it is, written for export alone |
//! | [`chunked`] | C2SP chunked-encryption (Cobblestone-256), which v2 and the wrapping of keys are made of |
//! | [`keys`] | the root key, the keys that it wraps, and how a key is given |
//!
//! Nothing here opens, names or decides about files: whether a content is sealed says the caller's database, never the
//! first byte. Content is read through a [`Source`], a function that reads exactly at a place, and written into buffers of
//! the caller. So memory is bounded by construction: a window of a few chunks, whatever the size of the file.

pub mod chunked;
pub mod keys;
mod pieces;
mod secret_key;
pub mod v1;
pub mod v2;

use std::io;

pub use secret_key::{CheckValue, GivenKeyError, SecretKey};

/// Fills the whole buffer with what stands at that offset of the file, as `read_exact_at` does.
pub type Source<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>;

/// Why something sealed does not open, or cannot be sealed. It never tells which byte is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another kind of file.
    #[error("it does not begin as a sealed file does")]
    NotSealed,
    /// A suite or a flag that is not known here.
    #[error("it was sealed in a way that this version does not know")]
    Unsupported,
    /// The header is not what was written, although the key is the right one.
    #[error("its header is damaged")]
    DamagedHeader,
    /// The header names another key than the one that was tried.
    #[error("it is sealed under another key")]
    WrongKey,
    /// The content of another blob, whole and authentic.
    #[error("it is the sealed content of another blob")]
    OtherBlob,
    /// The key is another one, or something was changed: the format cannot tell these apart.
    #[error("it does not open under this key: the key is another one, or it is damaged")]
    NotAuthentic,
    /// No such content has this length, or the last piece is not the last piece.
    #[error("its end is missing or damaged")]
    Truncated,
    /// A piece is not what was written there, or the file changed while it was read.
    #[error("its content is damaged")]
    Damaged,
    /// More was asked for than there is.
    #[error("the range ends behind the content")]
    PastEnd,
    /// The format has no room for so much.
    #[error("it is too long for its format")]
    TooLong,
    /// As many v1 files were written under this key as are safe.
    #[error("too many files were sealed under this key")]
    KeyUsedUp,
    /// The file could not be read.
    #[error("reading the sealed file")]
    Io(#[source] io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        // Shorter than its caller said: it was cut while it was read.
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Truncated } else { Self::Io(error) }
    }
}
