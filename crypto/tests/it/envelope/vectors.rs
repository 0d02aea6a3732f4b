//! `vectors/envelope.json`, written by `make_envelope.py`, an implementation of its own: the same randomness makes the same
//! bytes, so each side reads what the other wrote.

use coffer_crypto::envelope::keys::{Holder, KeyEncryptionKey, KeyId, KeyRecord, KeyState, Owner, RootKey};
use coffer_crypto::envelope::v2::{self, Header, HeaderSize};
use coffer_crypto::envelope::{CheckValue, SecretKey, v1};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::support::{File, open, open_v1, pattern};
use crate::support::Script;

const VECTORS: &str = include_str!("../../../vectors/envelope.json");

#[derive(Deserialize)]
struct Vectors {
    kek: String,
    other_kek: String,
    root: String,
    data_key: String,
    wrap_salt: String,
    other_wrap_salt: String,
    body_salt: String,
    blob_id: Uuid,
    v1_nonce: String,
    check_values: std::collections::HashMap<String, String>,
    v1: Vec<Shown>,
    v2: Vec<V2>,
    rewrapped: Rewrapped,
    key_records: Vec<Record>,
}

/// A file, whole or by its hash.
#[derive(Deserialize)]
struct Shown {
    content: Option<String>,
    file: Option<String>,
    pattern_bytes: Option<usize>,
    file_bytes: Option<usize>,
    sha256: Option<String>,
}

impl Shown {
    fn content(&self) -> Vec<u8> {
        self.content.as_ref().map_or_else(|| pattern(self.pattern_bytes.unwrap()), |hex| bytes(hex))
    }

    fn is(&self, file: &[u8]) -> bool {
        self.file.as_ref().map_or_else(
            || self.file_bytes == Some(file.len()) && self.sha256 == Some(HEXLOWER.encode(&Sha256::digest(file))),
            |hex| bytes(hex) == file,
        )
    }
}

#[derive(Deserialize)]
struct V2 {
    key_id: String,
    generation: u32,
    client: bool,
    header_bytes: u16,
    #[serde(flatten)]
    shown: Shown,
}

#[derive(Deserialize)]
struct Rewrapped {
    key_id: String,
    generation: u32,
    content: String,
    header: String,
}

#[derive(Deserialize)]
struct Record {
    key_id: String,
    generation: u32,
    user: Option<Uuid>,
    wrapped: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

fn secret(hex: &str) -> SecretKey {
    SecretKey::from_slice(&bytes(hex)).unwrap()
}

fn key(id: &str, generation: u32, holder: Holder, hex: &str) -> KeyEncryptionKey {
    KeyEncryptionKey::new(KeyId::parse(id).unwrap(), generation, holder, secret(hex))
}

#[test]
fn check_values_are_the_same() {
    for (key, check) in vectors().check_values {
        assert_eq!(secret(&key).check_value().0.as_slice(), bytes(&check));
    }
}

#[test]
fn v1_files_are_the_same() {
    let vectors = vectors();
    for vector in &vectors.v1 {
        let mut key = v1::Key::new(secret(&vectors.kek), 0);
        let mut file = Vec::new();
        let mut sealer = v1::Sealer::new(&mut key, &mut Script::new(&[bytes(&vectors.v1_nonce)]), &mut file).unwrap();
        sealer.seal(&vector.content(), &mut file).unwrap();
        sealer.finish(&mut file).unwrap();
        assert!(vector.is(&file));
        assert!(open_v1(&key, &file).unwrap() == vector.content());
    }
}

#[test]
fn v2_files_are_the_same() {
    let vectors = vectors();
    for vector in &vectors.v2 {
        let holder = if vector.client { Holder::Client } else { Holder::Box };
        let key = key(&vector.key_id, vector.generation, holder, &vectors.kek);
        let size = if vector.header_bytes == 192 { HeaderSize::Compact } else { HeaderSize::Block };
        assert_eq!(size.bytes(), vector.header_bytes);
        let drawn = [&vectors.data_key, &vectors.wrap_salt, &vectors.body_salt].map(|hex| bytes(hex));
        let mut file = Vec::new();
        let mut sealer = v2::seal(&key, vectors.blob_id, size, &mut Script::new(&drawn), &mut file).unwrap();
        sealer.seal(&vector.shown.content(), &mut file).unwrap();
        sealer.finish(&mut file).unwrap();
        assert!(vector.shown.is(&file), "{} bytes", vector.shown.content().len());
        assert!(open(&key, vectors.blob_id, &file).unwrap() == vector.shown.content());
    }
}

#[test]
fn a_new_header_is_the_same() {
    let vectors = vectors();
    let expected = &vectors.rewrapped;
    let old = vectors.v2.iter().find(|vector| vector.shown.content.as_ref() == Some(&expected.content)).unwrap();
    let mut file = File::new(&bytes(old.shown.file.as_ref().unwrap()));
    let length = file.length();
    let header = Header::read(length, &mut |offset, out| file.read(offset, out)).unwrap();
    let (from, to) = (
        key(&old.key_id, old.generation, Holder::Box, &vectors.kek),
        key(&expected.key_id, expected.generation, Holder::Box, &vectors.other_kek),
    );
    let new = header.rewrap(&from, &to, &mut Script::new(&[bytes(&vectors.other_wrap_salt)])).unwrap();
    assert_eq!(new.core().as_slice(), bytes(&expected.header));
    file.bytes[..v2::CORE_BYTES].copy_from_slice(&new.core());
    assert_eq!(open(&to, vectors.blob_id, &file.bytes).unwrap(), bytes(&expected.content));
}

#[test]
fn wrapped_keys_are_the_same() {
    let vectors = vectors();
    let root = RootKey::new(secret(&vectors.root));
    for vector in &vectors.key_records {
        let key = key(&vector.key_id, vector.generation, Holder::Box, &vectors.kek);
        let owner = vector.user.map_or(Owner::Shared, Owner::User);
        let mut script = Script::new(&[bytes(&vectors.wrap_salt)]);
        let record = key.wrap(owner, KeyState::Active, &root, &mut script).unwrap();
        assert_eq!(record.wrapped.as_slice(), bytes(&vector.wrapped));
        let foreign = KeyRecord {
            id: KeyId::parse(&vector.key_id).unwrap(),
            generation: vector.generation,
            owner,
            check: CheckValue(bytes(&vectors.check_values[&vectors.kek]).try_into().unwrap()),
            state: KeyState::Retired,
            wrapped: bytes(&vector.wrapped).try_into().unwrap(),
        };
        assert_eq!(foreign.open(&root).unwrap().check_value(), key.check_value());
    }
}
