//! Resumable uploads: what is known of one between its parts.

use jiff::Timestamp;
use uuid::Uuid;

use super::file::BlobId;

/// gocryptfs encrypts blocks of this many bytes. One that is written a second time may be torn by a power cut.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// `client` in Base64, as the metadata of an upload has it.
const CLIENT_SEALED: &str = "encryption Y2xpZW50";

/// An upload that was begun.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: Uuid,
    pub(crate) owner_id: Uuid,
    pub(crate) kind: UploadKind,
    /// Where the file goes; the root when absent.
    pub(crate) folder_id: Option<Uuid>,
    /// What the file is called. Parts of another upload need no name.
    pub(crate) name: Option<String>,
    /// What the client says about it, as it came.
    pub(crate) metadata: String,
    pub(crate) length_bytes: u64,
    /// Absent once it has become a file.
    pub(crate) blob: Option<BlobId>,
    /// What is in the blob for good: whole blocks.
    pub(crate) stored_bytes: u64,
    /// What came behind the last whole block.
    pub(crate) tail: Vec<u8>,
    /// What it has become.
    pub(crate) file_id: Option<Uuid>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// What an upload is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UploadKind {
    /// It becomes a file.
    Whole,
    /// It becomes a part of another upload.
    Partial,
    /// It was put together from parts, which the client named like this.
    Final(String),
}

impl Upload {
    /// How many bytes are on disk.
    pub(crate) fn offset(&self) -> u64 {
        self.stored_bytes + self.tail.len() as u64
    }

    /// Whether the client says that it has sealed the content: its metadata has `encryption`, and `client` for it.
    pub(crate) fn client_sealed(&self) -> bool {
        self.metadata.split(',').any(|pair| pair.trim() == CLIENT_SEALED)
    }

    /// Whether nothing is missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.offset() == self.length_bytes
    }
}
