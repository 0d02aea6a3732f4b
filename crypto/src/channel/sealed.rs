//! Sealed messages: the keys of a session, and the counters that keep a message from being repeated or moved.
//!
//! The cipher is Noise's (`ChaChaPoly`, revision 34, section 12.3) with the counter as nonce, and the characteristic as
//! associated data. `snow`'s transport states take no associated data, so they are not used: a handshake gives its keys away
//! (see [`super::noise`]) and they are used here.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::frame::MAX_MESSAGE_BYTES;
use super::message::{self, SEALED_EXTRA_BYTES, SealedMessage};
use super::{Channel, PerChannel};
use crate::seal::Key;

/// The longest plaintext that fits into a message.
pub const MAX_PLAINTEXT_BYTES: usize = MAX_MESSAGE_BYTES - SEALED_EXTRA_BYTES;

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SealError {
    /// Empty, or longer than [`MAX_PLAINTEXT_BYTES`].
    Length,
    /// All numbers are used.
    Exhausted,
}

/// Why a sealed message was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// It repeats, or falls behind, what this characteristic has seen.
    Behind,
    /// Another key, another characteristic, another counter, or changed on the way.
    NotAuthentic,
    /// It is not a JSON object.
    NotJson,
}

/// One side of a session.
pub(super) struct Sealed {
    send: Key,
    receive: Key,
    next: Option<u32>,
    /// The least counter that is still accepted.
    expected: PerChannel<u64>,
}

impl Sealed {
    pub(super) fn new(send: Key, receive: Key) -> Self {
        Self { send, receive, next: Some(0), expected: PerChannel::default() }
    }

    /// Makes a message of a JSON object, for this characteristic.
    pub(super) fn seal(&mut self, channel: Channel, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        if !(1..=MAX_PLAINTEXT_BYTES).contains(&plaintext.len()) {
            return Err(SealError::Length);
        }
        let counter = self.next.ok_or(SealError::Exhausted)?;
        self.next = counter.checked_add(1);
        Ok(message::sealed(counter, &encrypt(&self.send, counter.into(), &[channel.number()], plaintext)))
    }

    /// Opens a message that this characteristic carried.
    pub(super) fn open(
        &mut self,
        channel: Channel,
        sealed: SealedMessage<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let counter = u64::from(sealed.counter);
        let expected = self.expected.of(channel);
        if counter < *expected {
            return Err(OpenError::Behind);
        }
        let opened = decrypt(&self.receive, counter, &[channel.number()], sealed.ciphertext);
        let plaintext = Zeroizing::new(opened.ok_or(OpenError::NotAuthentic)?);
        *expected = counter + 1;
        if is_json_object(&plaintext) { Ok(plaintext) } else { Err(OpenError::NotJson) }
    }
}

/// Encrypts as Noise does; 16 bytes are added.
pub(super) fn encrypt(key: &Key, nonce: u64, ad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "it fails only above 256 GiB")]
    cipher(key).encrypt(&noise_nonce(nonce), Payload { msg: plaintext, aad: ad }).expect("short plaintext")
}

/// Decrypts what [`encrypt`] made; nothing if it is not authentic.
pub(super) fn decrypt(key: &Key, nonce: u64, ad: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    cipher(key).decrypt(&noise_nonce(nonce), Payload { msg: ciphertext, aad: ad }).ok()
}

fn cipher(key: &Key) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&(**key).into())
}

fn noise_nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce.into()
}

fn is_json_object(bytes: &[u8]) -> bool {
    // The parser would not look at the encoding of strings that nobody asks for.
    let text = str::from_utf8(bytes).ok().filter(|text| text.trim_ascii_start().starts_with('{'));
    text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}
