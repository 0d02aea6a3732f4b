//! The keys of the channel: long-term X25519 keys, and the verifier of a code.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::code::SetupCode;
use crate::srp::{self, Credentials, Group, SrpError};

/// A long-term X25519 key, wiped when dropped. A box has one; a phone has one for each box.
#[derive(Clone)]
pub struct StaticKey(StaticSecret);

impl StaticKey {
    /// Draws a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from(*random(rng))
    }

    /// The bytes, for keeping them.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// What the other side may know, and remembers.
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519_dalek::PublicKey::from(&self.0).to_bytes())
    }
}

impl From<[u8; 32]> for StaticKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(StaticSecret::from(bytes))
    }
}

/// The public half of a [`StaticKey`]. As text it is base64url without padding; with `{:x}`, hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

/// A text is not 32 bytes of base64url without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a public key")]
pub struct KeyError;

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", BASE64URL_NOPAD.encode_display(&self.0))
    }
}

impl fmt::LowerHex for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", HEXLOWER.encode_display(&self.0))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| KeyError)?;
        bytes.try_into().map(Self).map_err(|_| KeyError)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// What a box keeps of a code. The code cannot be read out of it, but 50 bits can be searched for by who has it: it is
/// a secret, and wiped when dropped.
pub struct CodeVerifier(pub(super) srp::Verifier);

impl CodeVerifier {
    /// Makes the verifier of a code, for this box alone.
    pub fn enrol(device_id: &[u8; 16], code: &SetupCode, rng: &mut impl CryptoRng) -> Self {
        let payload = code.secret();
        let credentials = Credentials { identity: device_id, password: payload.as_bytes() };
        Self(srp::Verifier::enrol(GROUP, &credentials, rng))
    }

    /// Reads a verifier from its parts, as they were kept.
    pub fn from_parts(salt: &[u8], value: &[u8]) -> Result<Self, SrpError> {
        srp::Verifier::from_parts(GROUP, salt, value).map(Self)
    }

    /// The salt, to be kept.
    pub fn salt(&self) -> &[u8; srp::SALT_BYTES] {
        self.0.salt()
    }

    /// The verifier itself, to be kept where nobody reads it.
    pub fn value(&self) -> &[u8] {
        self.0.value()
    }
}

/// The group in which codes are proved.
pub(super) const GROUP: Group = Group::Bits4096;

pub(super) fn random(rng: &mut impl CryptoRng) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    rng.fill_bytes(bytes.as_mut_slice());
    bytes
}
