//! What a secrets vault holds: sealed by clients, and never opened here.

use coffer_crypto::secrets::grant::Role;
use jiff::Timestamp;
use uuid::Uuid;

use super::file::{BlobId, Sha256};

/// What an account keeps here for its other devices, and its public keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretAccount {
    /// The account key, wrapped twice.
    pub(crate) by_password: Vec<u8>,
    pub(crate) by_recovery: Vec<u8>,
    /// The private keys, sealed.
    pub(crate) identity: Vec<u8>,
    pub(crate) public: Vec<u8>,
}

/// A secrets vault, as one of its members sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretVault {
    pub(crate) id: Uuid,
    /// The number of changes.
    pub(crate) sequence: u64,
    /// Of its key.
    pub(crate) generation: u32,
    /// What its revisions take.
    pub(crate) used_bytes: u64,
    /// The member's own.
    pub(crate) role: Role,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
}

/// Somebody who is in a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SecretMember {
    pub(crate) user_id: Uuid,
    pub(crate) role: Role,
}

/// A key of a vault, for one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretKey {
    pub(crate) generation: u32,
    /// Wrapped by the member, or granted by another.
    pub(crate) sealed: Vec<u8>,
}

/// The public keys of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretPeer {
    pub(crate) user_id: Uuid,
    /// `None` when the account is gone.
    pub(crate) username: Option<String>,
    pub(crate) public: Vec<u8>,
}

/// One state of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretRevision {
    pub(crate) revision: u64,
    /// Of the vault's key when it was written.
    pub(crate) generation: u32,
    /// `None` when it was deleted.
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) changed_at: Timestamp,
    pub(crate) changed_by: Uuid,
}

/// The newest revision of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretItem {
    pub(crate) vault_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) revision: u64,
    /// Of the vault's key when it was written.
    pub(crate) generation: u32,
    /// Of the vault's key that wraps the item's.
    pub(crate) key_generation: u32,
    pub(crate) wrapped_key: Vec<u8>,
    /// `None` when it was deleted.
    pub(crate) content: Option<Vec<u8>>,
    /// Of the change that made it so.
    pub(crate) sequence: u64,
    pub(crate) changed_at: Timestamp,
    pub(crate) changed_by: Uuid,
}

/// Which attachment of which item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttachmentPlace {
    pub(crate) vault_id: Uuid,
    pub(crate) item_id: Uuid,
    /// Drawn by a client.
    pub(crate) id: Uuid,
}

/// What is attached to an item: sealed as a whole, and never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretAttachment {
    pub(crate) id: Uuid,
    pub(crate) blob: BlobId,
    /// Of the sealed bytes.
    pub(crate) size_bytes: u64,
    /// Of the sealed bytes.
    pub(crate) sha256: Sha256,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
}

/// A secret for somebody without an account, that somebody hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewHandout {
    pub(crate) id: Uuid,
    /// SHA-256 of what opens it.
    pub(crate) access_hash: [u8; 32],
    pub(crate) content: Vec<u8>,
    /// How often it may be opened.
    pub(crate) views: u32,
    pub(crate) expires_at: Timestamp,
}

/// The same, as its maker sees it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handout {
    pub(crate) id: Uuid,
    pub(crate) views: u32,
    pub(crate) views_left: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}
