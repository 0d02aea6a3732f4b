//! How a content is sealed inside the vault, and what the administrators want for new ones. docs/envelope.md has the formats.

use uuid::Uuid;

use super::file::BlobId;

pub(crate) use coffer_api::{EncryptionMethod, EncryptionMode};

/// How a blob is sealed. What has none is stored as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) method: SealMethod,
    /// Which format: 1 is Storm Cloud's, 2 is ours; 0 is the client's own.
    pub(crate) version: u8,
    pub(crate) key_id: Option<String>,
    pub(crate) key_generation: u32,
    /// The length of the blob.
    pub(crate) encrypted_bytes: u64,
}

/// Who can open a sealed blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealMethod {
    /// The box, with the key of what is shared.
    Server,
    /// The box, with the key of the person whose file it was first.
    ServerUser,
    /// The client that sent it, and nobody here.
    Client,
}

impl SealMethod {
    const ALL: [Self; 3] = [Self::Server, Self::ServerUser, Self::Client];

    /// The name under which it is stored.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::ServerUser => "server-user",
            Self::Client => "client",
        }
    }

    /// Reads a stored name.
    pub(crate) fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == text)
    }
}

impl Seal {
    /// What a client sealed by itself, which took so many bytes.
    pub(crate) fn by_client(encrypted_bytes: u64) -> Self {
        Self { method: SealMethod::Client, version: 0, key_id: None, key_generation: 0, encrypted_bytes }
    }

    /// Whether the bytes are served as they lie there: nobody here can open them.
    pub(crate) fn is_clients(&self) -> bool {
        self.method == SealMethod::Client
    }
}

/// Who can open a content, as the API says it.
pub(crate) fn method(seal: Option<&Seal>) -> EncryptionMethod {
    match seal.map(|seal| seal.method) {
        None => EncryptionMethod::None,
        Some(SealMethod::Server) => EncryptionMethod::Server,
        Some(SealMethod::ServerUser) => EncryptionMethod::ServerUser,
        Some(SealMethod::Client) => EncryptionMethod::Client,
    }
}

/// A blob, and how it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) id: BlobId,
    pub(crate) seal: Option<Seal>,
}

/// Whose key a new content is sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyOwner {
    /// What several people share, and all of it when there are no keys for each person.
    Shared,
    User(Uuid),
}

impl KeyOwner {
    /// The person, if it is one's.
    pub(crate) fn user(self) -> Option<Uuid> {
        match self {
            Self::Shared => None,
            Self::User(id) => Some(id),
        }
    }
}

/// The name under which the mode is stored.
pub(crate) fn mode_name(mode: EncryptionMode) -> &'static str {
    match mode {
        EncryptionMode::Off => "off",
        EncryptionMode::Server => "server",
        EncryptionMode::ServerUser => "server-user",
    }
}

/// Reads a stored mode.
pub(crate) fn mode_named(text: &str) -> Option<EncryptionMode> {
    let all = [EncryptionMode::Off, EncryptionMode::Server, EncryptionMode::ServerUser];
    all.into_iter().find(|mode| mode_name(*mode) == text)
}
