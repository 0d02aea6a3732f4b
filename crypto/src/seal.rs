//! The three primitives of the key file, with their parameters fixed: AES-256-GCM, HKDF-SHA-256, HMAC-SHA-256.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A 256-bit key, wiped when dropped.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// Length of an AES-GCM nonce (NIST SP 800-38D, section 5.2.1.1).
pub(crate) const NONCE_BYTES: usize = 12;

/// The ciphertext does not belong to this key, nonce and associated data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// Encrypts under AES-256-GCM; the 16-byte tag is appended.
pub(crate) fn seal(key: &Key, nonce: &[u8; NONCE_BYTES], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "AES-GCM fails only above 64 GiB; a key file is a few hundred bytes")]
    cipher(key).encrypt(&Nonce::from(*nonce), Payload { msg: plaintext, aad }).expect("short plaintext")
}

/// Opens what [`seal`] made.
pub(crate) fn open(
    key: &Key,
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
    let opened = cipher(key).decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad });
    opened.map(Zeroizing::new).map_err(|_| NotAuthentic)
}

/// Derives one purpose's key from a uniformly random one (RFC 5869; the extract step runs with an empty salt).
pub(crate) fn derive(from: &Key, purpose: &str) -> Key {
    let mut key = Key::default();
    #[expect(clippy::expect_used, reason = "HKDF fails only above 255 * 32 bytes of output")]
    Hkdf::<Sha256>::new(None, from.as_slice()).expand(purpose.as_bytes(), key.as_mut_slice()).expect("32 bytes");
    key
}

/// HMAC-SHA-256 of `message`.
pub(crate) fn mac(key: &Key, message: &[u8]) -> [u8; 32] {
    hmac(key, message).finalize().into_bytes().into()
}

/// Compares in constant time.
pub(crate) fn mac_is(key: &Key, message: &[u8], expected: &[u8; 32]) -> bool {
    hmac(key, message).verify_slice(expected).is_ok()
}

fn cipher(key: &Key) -> Aes256Gcm {
    Aes256Gcm::new(&(**key).into())
}

fn hmac(key: &Key, message: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut hmac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key.as_slice()).expect("any length");
    hmac.update(message);
    hmac
}
