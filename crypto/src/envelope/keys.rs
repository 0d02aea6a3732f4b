//! The root key, and the keys that it wraps: one for each person, and one for what they share.
//!
//! A key-encryption key wraps data keys and nothing else; a data key seals one blob and never leaves [`super::v2`]. The
//! caller keeps [`KeyRecord`]s; without the root key they are worth nothing, and a blob without its record neither.
//! Destroying a person's records is destroying the contents.

use rand_core::CryptoRng;
use uuid::Uuid;

use super::Error;
use super::chunked::{self, SEALED_KEY_BYTES};
use super::secret_key::{CheckValue, SecretKey};
use super::v1;

const CONTEXT: &[u8] = b"coffer.envelope.v2/kek\0";

/// How long the name of a key may be.
pub const KEY_ID_BYTES: usize = 16;

/// The name of a key, as a person may have chosen it: 1 to 16 visible ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

/// The text does not name a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id has 1 to 16 visible ASCII characters")]
pub struct KeyIdError;

impl KeyId {
    /// Reads what somebody wrote.
    pub fn parse(text: &str) -> Result<Self, KeyIdError> {
        let mut label = [0; KEY_ID_BYTES];
        label.get_mut(..text.len()).ok_or(KeyIdError)?.copy_from_slice(text.as_bytes());
        // What stands behind an end of its own is not dropped in silence.
        Self::from_label(label).filter(|id| id.as_str().len() == text.len()).ok_or(KeyIdError)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0[..length(&self.0)]).unwrap_or_default()
    }

    pub(super) fn from_label(label: [u8; KEY_ID_BYTES]) -> Option<Self> {
        let (text, rest) = label.split_at(length(&label));
        let is_sound = !text.is_empty() && rest.iter().all(|byte| *byte == 0);
        is_sound.then_some(Self(label))
    }

    pub(super) fn label(&self) -> &[u8; KEY_ID_BYTES] {
        &self.0
    }
}

fn length(label: &[u8]) -> usize {
    label.iter().take_while(|byte| byte.is_ascii_graphic()).count()
}

/// Who has a key-encryption key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The box, which opens the blob for whoever may read it.
    Box,
    /// A person's own devices; the box stores what it cannot open.
    Client,
}

/// Wraps data keys. Has a name, because a file says under which one it is sealed.
pub struct KeyEncryptionKey {
    id: KeyId,
    generation: u32,
    holder: Holder,
    check: CheckValue,
    secret: SecretKey,
}

impl KeyEncryptionKey {
    /// Takes a key that exists.
    pub fn new(id: KeyId, generation: u32, holder: Holder, secret: SecretKey) -> Self {
        Self { id, generation, holder, check: secret.check_value(), secret }
    }

    /// Draws a key for the box.
    pub fn generate(id: KeyId, generation: u32, rng: &mut impl CryptoRng) -> Self {
        Self::new(id, generation, Holder::Box, SecretKey::generate(rng))
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Grows when the key is replaced by a new one of the same name.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Who has it.
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// Tells it from other keys.
    pub fn check_value(&self) -> CheckValue {
        self.check
    }

    /// Seals this key under the root key, to be kept.
    pub fn wrap(
        &self,
        owner: Owner,
        state: KeyState,
        root: &RootKey,
        rng: &mut impl CryptoRng,
    ) -> Result<KeyRecord, Error> {
        let mut record = KeyRecord {
            id: self.id,
            generation: self.generation,
            owner,
            check: self.check,
            state,
            wrapped: [0; SEALED_KEY_BYTES],
        };
        record.wrapped = chunked::seal_key(&root.0, &[CONTEXT, &record.bound()], &self.secret, rng)?;
        Ok(record)
    }

    /// The same key as one of Storm Cloud's, under which so many files were written.
    pub fn as_v1(&self, writes: u64) -> v1::Key {
        v1::Key::new(self.secret.clone_secret(), writes)
    }

    pub(super) fn secret(&self) -> &SecretKey {
        &self.secret
    }
}

/// Wraps key-encryption keys. Part of the vault's key file.
pub struct RootKey(SecretKey);

impl RootKey {
    /// Takes a key that exists.
    pub fn new(secret: SecretKey) -> Self {
        Self(secret)
    }

    /// Tells it from other keys: whether the configured key is the one that a store was sealed with.
    pub fn check_value(&self) -> CheckValue {
        self.0.check_value()
    }
}

/// Whose contents a key-encryption key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// What several people share.
    Shared,
    /// The account.
    User(Uuid),
}

impl Owner {
    fn bytes(self) -> [u8; 17] {
        let (kind, id) = match self {
            Self::Shared => (0, Uuid::nil()),
            Self::User(id) => (1, id),
        };
        let mut bytes = [kind; 17];
        bytes[1..].copy_from_slice(id.as_bytes());
        bytes
    }
}

/// What a key-encryption key is used for. A destroyed one has no record any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// New blobs are sealed under it.
    Active,
    /// It opens what was sealed before.
    Retired,
}

/// A wrapped key-encryption key. Everything but the state is authenticated: the state changes without the root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key's name.
    pub id: KeyId,
    /// Which key of that name.
    pub generation: u32,
    /// Whose contents it is for.
    pub owner: Owner,
    /// Tells it from other keys.
    pub check: CheckValue,
    /// What it is used for.
    pub state: KeyState,
    /// The key under the root key.
    pub wrapped: [u8; SEALED_KEY_BYTES],
}

impl KeyRecord {
    /// Gets the key back. [`Error::NotAuthentic`] when the root key is another one, or the record was changed.
    pub fn open(&self, root: &RootKey) -> Result<KeyEncryptionKey, Error> {
        let secret = chunked::open_key(&root.0, &[CONTEXT, &self.bound()], &self.wrapped)?;
        let key = KeyEncryptionKey::new(self.id, self.generation, Holder::Box, secret);
        if key.check == self.check { Ok(key) } else { Err(Error::NotAuthentic) }
    }

    /// What the wrapping binds, all of fixed length.
    fn bound(&self) -> [u8; 45] {
        let mut bound = [0; 45];
        bound[..16].copy_from_slice(self.id.label());
        bound[16..20].copy_from_slice(&self.generation.to_be_bytes());
        bound[20..37].copy_from_slice(&self.owner.bytes());
        bound[37..].copy_from_slice(&self.check.0);
        bound
    }
}
