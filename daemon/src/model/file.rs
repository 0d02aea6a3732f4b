//! Files: a row that names a blob.

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rand_core::CryptoRng;
use uuid::Uuid;

/// A file, as stored.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) id: Uuid,
    pub(crate) folder_id: Option<Uuid>,
    pub(crate) name: String,
    pub(crate) blob: BlobId,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Sha256,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
}

/// SHA-256 of a content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sha256(pub(crate) [u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a content on disk: 128 random bits as 32 hexadecimal digits, below a directory named by the first two.
///
/// Short, so that gocryptfs needs no side file for the name; never reused, so that a blob is written once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlobId(String);

impl BlobId {
    /// Draws a fresh name.
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(HEXLOWER.encode(&bytes))
    }

    /// Reads a name from the database or from the disk.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (text.len() == 32 && digits).then(|| Self(text.to_owned()))
    }

    /// The 32 digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory it lies in.
    pub(crate) fn directory(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }
}
