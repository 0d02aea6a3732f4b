//! Files: a row that names a blob.

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rand_core::CryptoRng;
use uuid::Uuid;

use super::sealing::{Blob, Seal};
use super::thumbnail::Thumbnail;

/// A file, as stored, with its current revision.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) id: Uuid,
    /// Where it lies; the root when absent.
    pub(crate) folder_id: Option<Uuid>,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
    /// The number of the current revision, from 1. Never used again, also when the revision is gone.
    pub(crate) revision: u32,
    pub(crate) blob: BlobId,
    /// How the content is sealed, if it is.
    pub(crate) seal: Option<Seal>,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Sha256,
    pub(crate) media_type: String,
    /// What became of the small pictures of the current content; none when its kind has none.
    pub(crate) thumbnail: Option<Thumbnail>,
    /// When the current revision, the name or the place came to be.
    pub(crate) modified_at: Timestamp,
    pub(crate) modified_by: Uuid,
    /// Set while it is in the trash by itself. A folder above it may be there all the same.
    pub(crate) trashed: Option<Trashed>,
}

/// When something was put into the trash, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trashed {
    pub(crate) at: Timestamp,
    pub(crate) by: Uuid,
}

/// One state of a file's content.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) number: u32,
    pub(crate) blob: BlobId,
    /// How the content is sealed, if it is.
    pub(crate) seal: Option<Seal>,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Sha256,
    pub(crate) media_type: String,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
}

impl File {
    /// Where the content of the current revision lies.
    pub(crate) fn content(&self) -> Blob {
        Blob { id: self.blob.clone(), seal: self.seal.clone() }
    }
}

impl Revision {
    /// Adds this state to a file, as its current one.
    pub(crate) fn becomes_current(&self, file: &mut File) {
        file.revision = self.number;
        file.blob = self.blob.clone();
        file.seal.clone_from(&self.seal);
        file.size_bytes = self.size_bytes;
        file.sha256 = self.sha256;
        file.media_type.clone_from(&self.media_type);
        file.modified_at = self.created_at;
        file.modified_by = self.created_by;
    }
}

/// What a list of files is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileOrder {
    Name,
    CreatedAt,
    ModifiedAt,
    SizeBytes,
}

/// A file, by its place in the tree.
pub(crate) struct PlacedFile {
    /// From the top, with `/` between the names.
    pub(crate) path: String,
    pub(crate) blob: Blob,
    pub(crate) sha256: Sha256,
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

    /// As the header of a sealed file names it.
    pub(crate) fn uuid(&self) -> Uuid {
        Uuid::parse_str(&self.0).unwrap_or_default()
    }

    /// The directory it lies in.
    pub(crate) fn directory(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }
}
