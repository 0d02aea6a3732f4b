//! Files as age seals them (age-encryption.org/v1), for a pass phrase or for public keys.
//!
//! The crate `age` brings fifty others, second versions of most ciphers here among them, to read what this only has to write.

use aes::cipher::consts::U12;
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit, Nonce,
    aead::{Aead, array::Array},
};
use coffer_api::SecretString;
use data_encoding::BASE64_NOPAD;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand_core::CryptoRng;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::ExportError;

/// As much work as age itself asks for: 256 MiB and about a second.
const LOG_N: u8 = 18;
const CHUNK_BYTES: usize = 64 << 10;

/// Who can open an archive.
pub enum To {
    /// Who knows it.
    PassPhrase(SecretString),
    /// Who has the private key of one of them.
    Recipients(Vec<Recipient>),
}

/// A public key of age, `age1…`.
#[derive(Clone, Debug)]
pub struct Recipient(PublicKey);

impl Recipient {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (prefix, key) = bech32::decode(text).ok()?;
        let key = <[u8; 32]>::try_from(key).ok().filter(|_| prefix.as_str() == "age")?;
        Some(Self(PublicKey::from(key)))
    }
}

pub(super) fn seal(clear: &[u8], to: &To, rng: &mut impl CryptoRng) -> Result<Vec<u8>, ExportError> {
    let mut file_key = Zeroizing::new([0; 16]);
    rng.fill_bytes(file_key.as_mut_slice());
    let mut header = "age-encryption.org/v1\n".to_owned();
    match to {
        To::PassPhrase(phrase) if phrase.expose().is_empty() => return Err(ExportError::NoPassword),
        To::PassPhrase(phrase) => header.push_str(&for_phrase(&file_key, phrase, rng)?),
        To::Recipients(recipients) => {
            for recipient in recipients {
                header.push_str(&for_key(&file_key, recipient, rng)?);
            }
        }
    }
    header.push_str("---");
    let mac_key = derive(file_key.as_slice(), &[], "header")?;
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(mac_key.as_slice()).map_err(|_| ExportError::Seal)?;
    let mac = mac.chain_update(&header).finalize().into_bytes();
    let mut sealed = format!("{header} {}\n", BASE64_NOPAD.encode(&mac)).into_bytes();
    let mut nonce = [0; 16];
    rng.fill_bytes(&mut nonce);
    sealed.extend_from_slice(&nonce);
    payload(clear, &*derive(file_key.as_slice(), &nonce, "payload")?, &mut sealed)?;
    Ok(sealed)
}

fn for_phrase(file_key: &[u8; 16], phrase: &SecretString, rng: &mut impl CryptoRng) -> Result<String, ExportError> {
    let mut random = [0; 16];
    rng.fill_bytes(&mut random);
    let salt = [b"age-encryption.org/v1/scrypt".as_slice(), &random].concat();
    let params = scrypt::Params::new(LOG_N, 8, 1).map_err(|_| ExportError::Seal)?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(phrase.expose().as_bytes(), &salt, &params, key.as_mut_slice()).map_err(|_| ExportError::Seal)?;
    let body = wrap(&key, file_key)?;
    Ok(format!("-> scrypt {} {LOG_N}\n{}\n", BASE64_NOPAD.encode(&random), BASE64_NOPAD.encode(&body)))
}

fn for_key(file_key: &[u8; 16], recipient: &Recipient, rng: &mut impl CryptoRng) -> Result<String, ExportError> {
    let mut random = Zeroizing::new([0; 32]);
    rng.fill_bytes(random.as_mut_slice());
    let ephemeral = StaticSecret::from(*random);
    let share = PublicKey::from(&ephemeral);
    let shared = ephemeral.diffie_hellman(&recipient.0);
    if !shared.was_contributory() {
        return Err(ExportError::Seal);
    }
    let salt = [share.as_bytes().as_slice(), recipient.0.as_bytes()].concat();
    let key = derive(shared.as_bytes(), &salt, "age-encryption.org/v1/X25519")?;
    let body = wrap(&key, file_key)?;
    Ok(format!("-> X25519 {}\n{}\n", BASE64_NOPAD.encode(share.as_bytes()), BASE64_NOPAD.encode(&body)))
}

fn derive(secret: &[u8], salt: &[u8], label: &str) -> Result<Zeroizing<[u8; 32]>, ExportError> {
    let mut key = Zeroizing::new([0; 32]);
    let expander = Hkdf::<Sha256>::new(Some(salt), secret);
    expander.expand(label.as_bytes(), key.as_mut_slice()).map_err(|_| ExportError::Seal)?;
    Ok(key)
}

fn wrap(key: &[u8; 32], file_key: &[u8; 16]) -> Result<Vec<u8>, ExportError> {
    encrypt(key, [0; 12], file_key)
}

/// Chunks that count, of which the last one says that it is the last; it is empty only if everything is.
fn payload(clear: &[u8], key: &[u8; 32], sealed: &mut Vec<u8>) -> Result<(), ExportError> {
    let count = clear.len().div_ceil(CHUNK_BYTES).max(1);
    for index in 0..count {
        let chunk = &clear[index * CHUNK_BYTES..clear.len().min((index + 1) * CHUNK_BYTES)];
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&(index as u64).to_be_bytes());
        nonce[11] = u8::from(index + 1 == count);
        sealed.extend(encrypt(key, nonce, chunk)?);
    }
    Ok(())
}

fn encrypt(key: &[u8; 32], nonce: [u8; 12], clear: &[u8]) -> Result<Vec<u8>, ExportError> {
    let cipher = ChaCha20Poly1305::new_from_slice(key).map_err(|_| ExportError::Seal)?;
    let nonce: Array<u8, U12> = nonce.into();
    let nonce: Nonce = nonce;
    cipher.encrypt(&nonce, clear).map_err(|_| ExportError::Seal)
}
