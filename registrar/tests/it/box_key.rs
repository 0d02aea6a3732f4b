//! A box's key, and what it signs.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair};

/// A box, as the registrar knows it.
pub(crate) struct BoxKey(Ed25519KeyPair);

impl BoxKey {
    /// The box with that number.
    pub(crate) fn new(number: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap())
    }

    pub(crate) fn public(&self) -> String {
        BASE64URL_NOPAD.encode(self.0.public_key().as_ref())
    }

    pub(crate) fn proof(&self, credential: &str) -> String {
        let message = format!("coffer-register-device-v1\n{credential}");
        BASE64URL_NOPAD.encode(self.0.sign(message.as_bytes()).as_ref())
    }
}
