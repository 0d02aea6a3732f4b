//! `vault.keys`: key slots around one random unlock key, and what that key seals.
//!
//! The file is one line of JSON. Each slot wraps the same 256-bit unlock key under a key that scrypt (RFC 7914) makes
//! from something a person has: the master password, or the printed recovery key. The unlock key seals the payload
//! (the gocryptfs passphrase, the token key, the envelope root key) and authenticates the file as a whole, so that no
//! slot can be added, removed or exchanged by somebody who cannot open one. Changing slots never touches the payload; a new root key changes nothing else.
//!
//! | Step | Definition |
//! |---|---|
//! | slot key | `scrypt(NFC(secret), salt, 2^log_n, r, p)`, 32 bytes |
//! | slot | AES-256-GCM(slot key, nonce, unlock key), associated data `coffer/vault-keys/1/slot` NUL vault id NUL slot id NUL kind NUL `log_n,r,p` |
//! | payload key | HKDF-SHA-256(unlock key, info `coffer/vault-keys/1/payload`) |
//! | payload | AES-256-GCM(payload key, nonce, JSON), associated data `coffer/vault-keys/1/payload` NUL vault id |
//! | mac | HMAC-SHA-256 under HKDF(unlock key, info `coffer/vault-keys/1/mac`) of the whole line with `mac` empty |
//!
//! GCM alone does not commit to its key; the mac does, because every opening verifies it before anything is believed.

use data_encoding::BASE64;
use jiff::Timestamp;
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::code::RecoveryKey;
use crate::seal::{self, Key, NONCE_BYTES};

const FORMAT: &str = "coffer-vault-keys";
const VERSION: u32 = 1;
const SLOT_CONTEXT: &str = "coffer/vault-keys/1/slot";
const PAYLOAD_CONTEXT: &str = "coffer/vault-keys/1/payload";
const MAC_CONTEXT: &str = "coffer/vault-keys/1/mac";

/// The largest file that is read: a hundred slots would fit.
pub const MAX_BYTES: u64 = 64 * 1024;

/// scrypt cost, as `log2(N)`; memory is `128 * r * N` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScryptCost {
    /// `log2(N)`, between [`ScryptCost::MIN_LOG_N`] and [`ScryptCost::MAX_LOG_N`].
    pub log_n: u8,
    r: u32,
    p: u32,
}

impl ScryptCost {
    /// 128 MiB; the least that OWASP's password storage cheat sheet accepts.
    pub const MIN_LOG_N: u8 = 17;
    /// 512 MiB: what a box with 2 GiB of memory can spare. A file that asks for more is refused.
    pub const MAX_LOG_N: u8 = 19;

    /// A cost with `r = 8`, `p = 1`; `log_n` is brought into the accepted range.
    pub fn new(log_n: u8) -> Self {
        Self { log_n: log_n.clamp(Self::MIN_LOG_N, Self::MAX_LOG_N), r: 8, p: 1 }
    }

    fn check(self) -> Result<scrypt::Params, ParseError> {
        let accepted = (Self::MIN_LOG_N..=Self::MAX_LOG_N).contains(&self.log_n) && self.r == 8 && self.p == 1;
        let params = scrypt::Params::new(self.log_n, self.r, self.p);
        params.ok().filter(|_| accepted).ok_or(ParseError::Cost)
    }
}

/// What a slot is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// The password that the owner chose.
    MasterPassword,
    /// The key that was printed once.
    RecoveryKey,
}

impl SlotKind {
    fn name(self) -> &'static str {
        match self {
            Self::MasterPassword => "master_password",
            Self::RecoveryKey => "recovery_key",
        }
    }
}

/// What a person offers to open the vault with.
pub enum SlotSecret<'a> {
    /// The master password; normalised to NFC, so that it may be typed on any system.
    MasterPassword(&'a str),
    /// The recovery key, already read by [`RecoveryKey::parse`].
    RecoveryKey(&'a RecoveryKey),
}

impl SlotSecret<'_> {
    /// Which slots this can open.
    pub fn kind(&self) -> SlotKind {
        match self {
            Self::MasterPassword(_) => SlotKind::MasterPassword,
            Self::RecoveryKey(_) => SlotKind::RecoveryKey,
        }
    }

    fn bytes(&self) -> Zeroizing<String> {
        match self {
            Self::MasterPassword(password) => Zeroizing::new(password.nfc().collect()),
            Self::RecoveryKey(key) => key.secret(),
        }
    }
}

/// The file's bytes are not a usable `vault.keys`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON of the right shape: cut short, damaged, or another file.
    #[error("it is not a vault.keys file, or it is damaged")]
    Shape,
    /// Written by a newer Coffer.
    #[error("it was written by a newer version (format version {0})")]
    Version(u32),
    /// scrypt parameters outside the accepted range.
    #[error("it asks for an scrypt cost that is not accepted")]
    Cost,
}

/// Why the file did not open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No slot opens with this secret. A slot damaged by hand looks the same.
    #[error("no key slot opens with this secret")]
    WrongSecret,
    /// A slot opened, but the file as a whole is not what was written: it was changed or damaged.
    #[error("the key file was changed or is damaged")]
    Tampered,
}

/// Why a slot cannot be removed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// There is no slot with that id.
    #[error("there is no such key slot")]
    Unknown,
    /// The master password is the way in that must remain.
    #[error("the last master password cannot be removed")]
    LastMasterPassword,
}

/// The secrets of a vault, wiped from memory when dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// What gocryptfs derives its key from: 64 hexadecimal digits, 256 random bits.
    pub gocryptfs_passphrase: String,
    /// Signs access tokens (HMAC-SHA-256).
    #[serde(with = "base64_array")]
    pub token_key: [u8; 32],
    /// Wraps the keys of sealed files.
    #[serde(with = "base64_array")]
    pub envelope_root_key: [u8; 32],
    /// The one before, while keys are being wrapped anew: some may be under this one still.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_key")]
    pub previous_envelope_root_key: Option<[u8; 32]>,
}

impl Payload {
    fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut passphrase = Key::default();
        rng.fill_bytes(passphrase.as_mut_slice());
        let mut payload = Self {
            gocryptfs_passphrase: data_encoding::HEXLOWER.encode(passphrase.as_slice()),
            token_key: [0; 32],
            envelope_root_key: [0; 32],
            previous_envelope_root_key: None,
        };
        rng.fill_bytes(&mut payload.token_key);
        rng.fill_bytes(&mut payload.envelope_root_key);
        payload
    }
}

/// One way to open the vault, as it may be shown to an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// Names the slot.
    pub id: Uuid,
    /// What opens it.
    pub kind: SlotKind,
    /// When it was made.
    pub created_at: Timestamp,
    /// What opening it costs.
    pub cost: ScryptCost,
}

/// A parsed, not yet authenticated, key file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultKeys {
    format: String,
    version: u32,
    vault_id: Uuid,
    /// Counts the rewrites of the file, from 1.
    generation: u64,
    slots: Vec<Slot>,
    payload: Sealed,
    #[serde(with = "optional_mac")]
    mac: Option<[u8; 32]>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slot {
    id: Uuid,
    kind: SlotKind,
    created_at: Timestamp,
    scrypt: ScryptCost,
    #[serde(with = "base64_array")]
    salt: [u8; 32],
    wrapped: Sealed,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    #[serde(with = "base64_array")]
    nonce: [u8; NONCE_BYTES],
    #[serde(with = "base64_vec")]
    ciphertext: Vec<u8>,
}

/// An opened key file: the secrets, and the right to change the slots.
pub struct OpenKeys {
    file: VaultKeys,
    unlock_key: Key,
    payload: Payload,
}

impl VaultKeys {
    /// Reads the file's bytes. Nothing in it is believed before [`VaultKeys::open`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|_| ParseError::Shape)?;
        if head.format != FORMAT {
            return Err(ParseError::Shape);
        }
        if head.version != VERSION {
            return Err(ParseError::Version(head.version));
        }
        let file: Self = serde_json::from_slice(bytes).map_err(|_| ParseError::Shape)?;
        for slot in &file.slots {
            slot.scrypt.check()?;
        }
        Ok(file)
    }

    /// The file's bytes: one line.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.canonical();
        bytes.push(b'\n');
        bytes
    }

    /// The vault that this file belongs to.
    pub fn vault_id(&self) -> Uuid {
        self.vault_id
    }

    /// Tries the slots that `secret` can open, and then authenticates the whole file.
    ///
    /// Costs one scrypt for each slot of that kind.
    pub fn open(&self, secret: &SlotSecret<'_>) -> Result<OpenKeys, OpenError> {
        let mut candidates = self.slots.iter().filter(|slot| slot.kind == secret.kind());
        let opened = candidates.find_map(|slot| slot.open(self.vault_id, secret));
        let unlock_key = opened.ok_or(OpenError::WrongSecret)?;
        let mac = self.mac.ok_or(OpenError::Tampered)?;
        let unsigned = Self { mac: None, ..self.clone() };
        if !seal::mac_is(&seal::derive(&unlock_key, MAC_CONTEXT), &unsigned.canonical(), &mac) {
            return Err(OpenError::Tampered);
        }
        let payload_key = seal::derive(&unlock_key, PAYLOAD_CONTEXT);
        let aad = payload_aad(self.vault_id);
        let opened = seal::open(&payload_key, &self.payload.nonce, &aad, &self.payload.ciphertext)
            .map_err(|_| OpenError::Tampered)?;
        let payload = serde_json::from_slice(&opened).map_err(|_| OpenError::Tampered)?;
        Ok(OpenKeys { file: self.clone(), unlock_key, payload })
    }

    fn canonical(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "no map keys and no fallible serializers in this tree")]
        serde_json::to_vec(self).expect("serializes")
    }
}

impl OpenKeys {
    /// Makes the keys of a new vault, with one slot for the master password.
    #[expect(clippy::missing_panics_doc, reason = "it serializes three strings and arrays, which cannot fail")]
    pub fn create(
        vault_id: Uuid,
        now: Timestamp,
        master_password: &str,
        cost: ScryptCost,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let mut unlock_key = Key::default();
        rng.fill_bytes(unlock_key.as_mut_slice());
        let payload = Payload::generate(rng);
        #[expect(clippy::expect_used, reason = "three strings and arrays")]
        let json = Zeroizing::new(serde_json::to_vec(&payload).expect("serializes"));
        let nonce = random(rng);
        let sealed = seal::seal(&seal::derive(&unlock_key, PAYLOAD_CONTEXT), &nonce, &payload_aad(vault_id), &json);
        let file = VaultKeys {
            format: FORMAT.to_owned(),
            version: VERSION,
            vault_id,
            generation: 0,
            slots: Vec::new(),
            payload: Sealed { nonce, ciphertext: sealed },
            mac: None,
        };
        let mut keys = Self { file, unlock_key, payload };
        keys.add_slot(&SlotSecret::MasterPassword(master_password), now, cost, rng);
        keys
    }

    /// The authenticated file, to be written.
    pub fn file(&self) -> &VaultKeys {
        &self.file
    }

    /// The secrets.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// How often the file has been rewritten. It grows; an older file of the same vault has a smaller one.
    pub fn generation(&self) -> u64 {
        self.file.generation
    }

    /// The ways to open the vault.
    pub fn slots(&self) -> Vec<SlotInfo> {
        let info =
            |slot: &Slot| SlotInfo { id: slot.id, kind: slot.kind, created_at: slot.created_at, cost: slot.scrypt };
        self.file.slots.iter().map(info).collect()
    }

    /// Adds a way to open the vault.
    pub fn add_slot(
        &mut self,
        secret: &SlotSecret<'_>,
        now: Timestamp,
        cost: ScryptCost,
        rng: &mut impl CryptoRng,
    ) -> Uuid {
        let id = uuid::Builder::from_random_bytes(random(rng)).into_uuid();
        let slot = Slot::new(self.file.vault_id, id, &self.unlock_key, secret, now, cost, rng);
        self.file.slots.push(slot);
        self.sign();
        id
    }

    /// Replaces every slot of that kind by one new.
    pub fn replace_slots(
        &mut self,
        secret: &SlotSecret<'_>,
        now: Timestamp,
        cost: ScryptCost,
        rng: &mut impl CryptoRng,
    ) -> Uuid {
        self.file.slots.retain(|slot| slot.kind != secret.kind());
        self.add_slot(secret, now, cost, rng)
    }

    /// Removes a way to open the vault.
    pub fn remove_slot(&mut self, id: Uuid) -> Result<(), SlotError> {
        let slots = &self.file.slots;
        let slot = slots.iter().find(|slot| slot.id == id).ok_or(SlotError::Unknown)?;
        let same_kind = slots.iter().filter(|other| other.kind == slot.kind).count();
        if slot.kind == SlotKind::MasterPassword && same_kind == 1 {
            return Err(SlotError::LastMasterPassword);
        }
        self.file.slots.retain(|slot| slot.id != id);
        self.sign();
        Ok(())
    }

    /// Draws another root key for sealed files, and keeps the one before until
    /// [`OpenKeys::forget_previous_root_key`]. An unfinished exchange has to be finished first.
    pub fn rotate_root_key(&mut self, rng: &mut impl CryptoRng) {
        self.payload.previous_envelope_root_key = Some(self.payload.envelope_root_key);
        rng.fill_bytes(&mut self.payload.envelope_root_key);
        self.seal_payload(rng);
    }

    /// No key is wrapped under the root key before any more.
    pub fn forget_previous_root_key(&mut self, rng: &mut impl CryptoRng) {
        self.payload.previous_envelope_root_key.zeroize();
        self.payload.previous_envelope_root_key = None;
        self.seal_payload(rng);
    }

    fn seal_payload(&mut self, rng: &mut impl CryptoRng) {
        #[expect(clippy::expect_used, reason = "strings and arrays")]
        let json = Zeroizing::new(serde_json::to_vec(&self.payload).expect("serializes"));
        let (nonce, aad) = (random(rng), payload_aad(self.file.vault_id));
        let ciphertext = seal::seal(&seal::derive(&self.unlock_key, PAYLOAD_CONTEXT), &nonce, &aad, &json);
        self.file.payload = Sealed { nonce, ciphertext };
        self.sign();
    }

    fn sign(&mut self) {
        self.file.generation += 1;
        self.file.mac = None;
        self.file.mac = Some(seal::mac(&seal::derive(&self.unlock_key, MAC_CONTEXT), &self.file.canonical()));
    }
}

impl Slot {
    fn new(
        vault_id: Uuid,
        id: Uuid,
        unlock_key: &Key,
        secret: &SlotSecret<'_>,
        now: Timestamp,
        scrypt: ScryptCost,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let empty = Sealed { nonce: random(rng), ciphertext: Vec::new() };
        let mut slot = Self { id, kind: secret.kind(), created_at: now, scrypt, salt: random(rng), wrapped: empty };
        // A cost made by `ScryptCost::new` always passes; a parsed one was checked by `VaultKeys::parse`.
        if let Some(key) = slot.key(secret) {
            slot.wrapped.ciphertext = seal::seal(&key, &slot.wrapped.nonce, &slot.aad(vault_id), unlock_key.as_slice());
        }
        slot
    }

    fn open(&self, vault_id: Uuid, secret: &SlotSecret<'_>) -> Option<Key> {
        let key = self.key(secret)?;
        let opened = seal::open(&key, &self.wrapped.nonce, &self.aad(vault_id), &self.wrapped.ciphertext).ok()?;
        <[u8; 32]>::try_from(opened.as_slice()).ok().map(Zeroizing::new)
    }

    fn key(&self, secret: &SlotSecret<'_>) -> Option<Key> {
        let mut key = Key::default();
        let params = self.scrypt.check().ok()?;
        scrypt::scrypt(secret.bytes().as_bytes(), &self.salt, &params, key.as_mut_slice()).ok()?;
        Some(key)
    }

    fn aad(&self, vault_id: Uuid) -> Vec<u8> {
        let ScryptCost { log_n, r, p } = self.scrypt;
        format!("{SLOT_CONTEXT}\0{vault_id}\0{}\0{}\0{log_n},{r},{p}", self.id, self.kind.name()).into_bytes()
    }
}

fn payload_aad(vault_id: Uuid) -> Vec<u8> {
    format!("{PAYLOAD_CONTEXT}\0{vault_id}").into_bytes()
}

fn random<const N: usize>(rng: &mut impl CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

mod base64_vec {
    use super::{BASE64, Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
        BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

mod base64_array {
    use super::{Deserializer, Serializer, base64_vec};

    pub(super) fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
        base64_vec::serialize(bytes, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
        let bytes = zeroize::Zeroizing::new(base64_vec::deserialize(deserializer)?);
        bytes.as_slice().try_into().map_err(serde::de::Error::custom)
    }
}

mod optional_key {
    use super::{BASE64, Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(key: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
        match key {
            Some(key) => serializer.serialize_str(&zeroize::Zeroizing::new(BASE64.encode(key))),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = zeroize::Zeroizing::new(BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)?);
        bytes.as_slice().try_into().map(Some).map_err(serde::de::Error::custom)
    }
}

mod optional_mac {
    use super::{BASE64, Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(mac: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&mac.map(|mac| BASE64.encode(&mac)).unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        bytes.as_slice().try_into().map(Some).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "vault_keys_tests.rs"]
mod tests;
