//! Files as age seals them (age-encryption.org/v1), for a pass phrase or for public keys.
//!
//! The crate `age` brings fifty others, second versions of most ciphers here among them, to read what this only has to write.

use std::io::{self, Write};

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

use super::{ExportError, archive::writing};
use crate::tools::error::Error;

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

/// A file that is sealed while it is written. Without [`Sealing::finish`] it is cut short, which whoever opens it notices.
pub(super) struct Sealing<'a> {
    key: Zeroizing<[u8; 32]>,
    index: u64,
    /// What is not sealed yet, because it may be the last chunk.
    chunk: Zeroizing<Vec<u8>>,
    out: &'a mut dyn Write,
}

impl<'a> Sealing<'a> {
    /// Writes the header.
    pub(super) fn begin(to: &To, rng: &mut impl CryptoRng, out: &'a mut dyn Write) -> Result<Self, Error> {
        let mut file_key = Zeroizing::new([0; 16]);
        rng.fill_bytes(file_key.as_mut_slice());
        let header = header(&file_key, to, rng)?;
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        out.write_all(&header).and_then(|()| out.write_all(&nonce)).map_err(writing)?;
        let key = derive(file_key.as_slice(), &nonce, "payload")?;
        Ok(Self { key, index: 0, chunk: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)), out })
    }

    /// Writes the last chunk; it is empty only if everything is.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.write_chunk(true).map_err(writing)
    }

    /// Chunks count, and the last one says that it is the last.
    fn write_chunk(&mut self, is_last: bool) -> io::Result<()> {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.index.to_be_bytes());
        nonce[11] = u8::from(is_last);
        let sealed = encrypt(&self.key, nonce, &self.chunk).map_err(io::Error::other)?;
        self.index += 1;
        self.chunk.clear();
        self.out.write_all(&sealed)
    }
}

impl Write for Sealing<'_> {
    fn write(&mut self, clear: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_BYTES && !clear.is_empty() {
            self.write_chunk(false)?;
        }
        let length = clear.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&clear[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn header(file_key: &[u8; 16], to: &To, rng: &mut impl CryptoRng) -> Result<Vec<u8>, ExportError> {
    let mut header = "age-encryption.org/v1\n".to_owned();
    match to {
        To::PassPhrase(phrase) if phrase.expose().is_empty() => return Err(ExportError::NoPassword),
        To::PassPhrase(phrase) => header.push_str(&for_phrase(file_key, phrase, rng)?),
        To::Recipients(recipients) => {
            for recipient in recipients {
                header.push_str(&for_key(file_key, recipient, rng)?);
            }
        }
    }
    header.push_str("---");
    let mac_key = derive(file_key.as_slice(), &[], "header")?;
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(mac_key.as_slice()).map_err(|_| ExportError::Seal)?;
    let mac = mac.chain_update(&header).finalize().into_bytes();
    Ok(format!("{header} {}\n", BASE64_NOPAD.encode(&mac)).into_bytes())
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

fn encrypt(key: &[u8; 32], nonce: [u8; 12], clear: &[u8]) -> Result<Vec<u8>, ExportError> {
    let cipher = ChaCha20Poly1305::new_from_slice(key).map_err(|_| ExportError::Seal)?;
    let nonce: Array<u8, U12> = nonce.into();
    let nonce: Nonce = nonce;
    cipher.encrypt(&nonce, clear).map_err(|_| ExportError::Seal)
}
