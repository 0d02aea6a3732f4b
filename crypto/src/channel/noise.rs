//! The two Noise handshakes, by `snow`, on primitives that wipe their keys and take their randomness from outside.
//!
//! `snow` brings primitives of its own, but those leave private keys in memory, ask the operating system for randomness, and
//! accept public keys that make every Diffie-Hellman zero. So it is given the ones here; the published vectors for both
//! handshakes hold the result. What `snow` itself derives (the chaining key, a copy of the psk) it frees unwiped: who reads the
//! memory of a running box may find the keys of a session that is over.

use blake2::Blake2s256;
use sha2::{Digest, Sha256};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::keys::{PublicKey, StaticKey};
use super::message::TAG_BYTES;
use super::sealed::{self, Sealed};
use crate::seal::{self, Key};
use crate::srp::{PROOF_BYTES, SessionKey};

const XX_PSK3: &str = "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s";
const IK: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
/// Where `psk3` stands: at the end of message 3.
const PSK_POSITION: usize = 3;
/// More than any message of the two patterns without payload.
const LARGEST_BYTES: usize = 128;
const HASH_BYTES: usize = 32;
const HASH_BLOCK_BYTES: usize = 64;

/// The handshake cannot go on: a message is not authentic, or the other side's key is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HandshakeFailed;

impl From<snow::Error> for HandshakeFailed {
    fn from(_: snow::Error) -> Self {
        Self
    }
}

/// A handshake under way. Payloads are always empty.
pub(super) struct Handshake(Box<HandshakeState>);

/// Which side of a handshake this is.
pub(super) enum Role<'a> {
    /// `XXpsk3`, the phone.
    CodePhone,
    /// `XXpsk3`, the box.
    CodeBox,
    /// `IK`, the phone, which knows the box.
    KeyPhone(&'a PublicKey),
    /// `IK`, the box.
    KeyBox,
}

impl Handshake {
    /// Begins; `ephemeral` is drawn for this handshake alone.
    pub(super) fn new(
        role: &Role<'_>,
        key: &StaticKey,
        prologue: &[u8],
        ephemeral: Key,
    ) -> Result<Self, HandshakeFailed> {
        let name = match role {
            Role::CodePhone | Role::CodeBox => XX_PSK3,
            Role::KeyPhone(_) | Role::KeyBox => IK,
        };
        let private = key.to_bytes();
        let builder = Builder::with_resolver(name.parse()?, Box::new(Primitives { ephemeral }));
        let builder = builder.local_private_key(private.as_slice())?.prologue(prologue)?;
        Ok(Self(Box::new(match role {
            Role::CodePhone => builder.build_initiator()?,
            Role::KeyPhone(theirs) => builder.remote_public_key(&theirs.0)?.build_initiator()?,
            Role::CodeBox | Role::KeyBox => builder.build_responder()?,
        })))
    }

    /// Gives `XXpsk3` its key, which it needs for message 3.
    pub(super) fn set_psk(&mut self, psk: &Key) -> Result<(), HandshakeFailed> {
        Ok(self.0.set_psk(PSK_POSITION, psk.as_slice())?)
    }

    /// The next message.
    pub(super) fn write(&mut self) -> Result<Vec<u8>, HandshakeFailed> {
        let mut message = vec![0; LARGEST_BYTES];
        let length = self.0.write_message(&[], &mut message)?;
        message.truncate(length);
        Ok(message)
    }

    /// Takes the other side's next message, which has no payload.
    pub(super) fn read(&mut self, message: &[u8]) -> Result<(), HandshakeFailed> {
        self.0.read_message(message, &mut []).map(|_| ()).map_err(HandshakeFailed::from)
    }

    /// The other side's static key, once it was sent.
    pub(super) fn theirs(&self) -> Result<PublicKey, HandshakeFailed> {
        let key = self.0.get_remote_static().and_then(|key| key.try_into().ok());
        key.map(PublicKey).ok_or(HandshakeFailed)
    }

    /// Ends the handshake; from here on messages are sealed.
    pub(super) fn split(mut self) -> Result<Sealed, HandshakeFailed> {
        if !self.0.is_handshake_finished() {
            return Err(HandshakeFailed);
        }
        let (first, second) = self.0.dangerously_get_raw_split();
        let (first, second) = (Zeroizing::new(first), Zeroizing::new(second));
        Ok(if self.0.is_initiator() { Sealed::new(first, second) } else { Sealed::new(second, first) })
    }
}

/// The prologue of a handshake by code: all that both sides have said before, `code_start` and `code_challenge` already hashed.
pub(super) fn code_prologue(transcript: Sha256, m1: &[u8; PROOF_BYTES], m2: &[u8; PROOF_BYTES]) -> Vec<u8> {
    let hash = transcript.chain_update(m1).chain_update(m2).finalize();
    [b"coffer ble 1".as_slice(), &hash].concat()
}

/// The prologue of a handshake by an enrolled key.
pub(super) fn key_prologue(device_id: &[u8; 16]) -> Vec<u8> {
    [b"coffer ble 1 resume".as_slice(), device_id].concat()
}

/// The key that a handshake by code takes from the code.
pub(super) fn code_psk(session_key: &SessionKey) -> Key {
    seal::derive(&Zeroizing::new(*session_key.as_bytes()), "coffer ble psk 1")
}

/// What `snow` gets its primitives from, and the one ephemeral key.
struct Primitives {
    ephemeral: Key,
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Drawn(Some(self.ephemeral.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519::from([0; 32])) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::Blake2s).then(|| Box::new(Blake2s::default()) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly).then(|| Box::new(ChaChaPoly::default()) as Box<dyn Cipher>)
    }
}

/// Randomness that was drawn before, and is good once.
struct Drawn(Option<Key>);

impl Random for Drawn {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        let drawn = self.0.take().filter(|drawn| drawn.len() == out.len()).ok_or(snow::Error::Rng)?;
        out.copy_from_slice(drawn.as_slice());
        Ok(())
    }
}

struct X25519 {
    private: StaticSecret,
    public: [u8; 32],
}

impl From<[u8; 32]> for X25519 {
    fn from(private: [u8; 32]) -> Self {
        let private = StaticSecret::from(private);
        let public = x25519_dalek::PublicKey::from(&private).to_bytes();
        Self { private, public }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        self.public.len()
    }

    fn priv_len(&self) -> usize {
        self.private.as_bytes().len()
    }

    fn set(&mut self, private: &[u8]) {
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(private);
        *self = Self::from(*bytes);
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(bytes.as_mut_slice())?;
        *self = Self::from(*bytes);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.private.as_bytes()
    }

    fn dh(&self, theirs: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        // `snow` keeps public keys in longer arrays.
        let theirs = theirs.first_chunk::<32>().ok_or(snow::Error::Dh)?;
        let shared = self.private.diffie_hellman(&x25519_dalek::PublicKey::from(*theirs));
        if !shared.was_contributory() {
            return Err(snow::Error::Dh);
        }
        out.first_chunk_mut::<32>().ok_or(snow::Error::Dh)?.copy_from_slice(shared.as_bytes());
        Ok(())
    }
}

#[derive(Default)]
struct Blake2s(Blake2s256);

impl Hash for Blake2s {
    fn name(&self) -> &'static str {
        "BLAKE2s"
    }

    fn block_len(&self) -> usize {
        HASH_BLOCK_BYTES
    }

    fn hash_len(&self) -> usize {
        HASH_BYTES
    }

    fn reset(&mut self) {
        self.0 = Blake2s256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash = std::mem::take(&mut self.0).finalize();
        out[..HASH_BYTES].copy_from_slice(&hash);
    }
}

#[derive(Default)]
struct ChaChaPoly(Key);

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        *self.0 = *key;
    }

    fn encrypt(&self, nonce: u64, ad: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let ciphertext = sealed::encrypt(&self.0, nonce, ad, plaintext);
        out[..ciphertext.len()].copy_from_slice(&ciphertext);
        ciphertext.len()
    }

    fn decrypt(&self, nonce: u64, ad: &[u8], ciphertext: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        let plaintext = sealed::decrypt(&self.0, nonce, ad, ciphertext).ok_or(snow::Error::Decrypt)?;
        out.get_mut(..plaintext.len()).ok_or(snow::Error::Decrypt)?.copy_from_slice(&plaintext);
        Ok(ciphertext.len() - TAG_BYTES)
    }
}

#[cfg(test)]
#[path = "noise_tests.rs"]
mod tests;
