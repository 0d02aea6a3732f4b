//! A key of 256 bits, how it is written down, and what is derived from it.

use data_encoding::{Encoding, Specification};
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use sha2::Sha512;
use zeroize::Zeroizing;

/// Length of every key.
pub(super) const KEY_BYTES: usize = 32;

const CHECK_LABEL: &[u8] = b"coffer.envelope.v2/kcv";

/// 256 uniformly random bits, wiped when dropped. In a box, so that moving it leaves no copy behind.
pub struct SecretKey(Box<Zeroizing<[u8; KEY_BYTES]>>);

/// Tells keys apart without telling anything else about them; not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckValue(pub [u8; 8]);

/// Why a text is not a key. The text is not repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenKeyError {
    /// Something that is neither base64 nor base64url.
    #[error("the key is not base64")]
    NotBase64,
    /// Base64 of another number of bytes.
    #[error("the key has {0} bytes instead of 32")]
    Length(usize),
}

impl SecretKey {
    /// Draws a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = Self(Box::default());
        rng.fill_bytes(key.0.as_mut_slice());
        key
    }

    /// Takes 32 bytes, and no other number of them.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, GivenKeyError> {
        bytes.try_into().map(Self::from_array).map_err(|_| GivenKeyError::Length(bytes.len()))
    }

    /// Takes 32 bytes.
    pub(crate) fn from_array(bytes: &[u8; KEY_BYTES]) -> Self {
        let mut key = Self(Box::default());
        key.0.copy_from_slice(bytes);
        key
    }

    pub(super) fn clone_secret(&self) -> Self {
        let mut copy = Self(Box::default());
        copy.0.copy_from_slice(self.bytes());
        copy
    }

    /// Reads a key as it is given in `STORMCLOUD_ENCRYPTION_KEY` or a credential: base64 or base64url, padded or not,
    /// with white space around it.
    pub fn parse(text: &str) -> Result<Self, GivenKeyError> {
        let text = text.trim();
        let unpadded = text.trim_end_matches('=');
        if unpadded.len() != text.len() && !(text.len().is_multiple_of(4) && text.len() - unpadded.len() <= 2) {
            return Err(GivenKeyError::NotBase64);
        }
        let encoding = given_base64();
        let length = encoding.decode_len(unpadded.len()).map_err(|_| GivenKeyError::NotBase64)?;
        let mut bytes = Zeroizing::new(vec![0; length]);
        encoding.decode_mut(unpadded.as_bytes(), &mut bytes).map_err(|_| GivenKeyError::NotBase64)?;
        Self::from_slice(&bytes)
    }

    /// Tells this key from others.
    pub fn check_value(&self) -> CheckValue {
        let mut value = [0; 8];
        self.expand(&[CHECK_LABEL], &mut value);
        CheckValue(value)
    }

    /// HKDF-Expand with SHA-512 (RFC 5869, section 2.3) of the parts of `info`, joined.
    ///
    /// The crate `hkdf` refuses a pseudorandom key shorter than the hash; this one has half of its length, as the
    /// specification of chunked encryption wants it.
    pub(super) fn expand(&self, info: &[&[u8]], out: &mut [u8]) {
        let mut previous = Zeroizing::new([0; 64]);
        for (counter, block) in (1_u8..).zip(out.chunks_mut(64)) {
            #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
            let mut hmac = Hmac::<Sha512>::new_from_slice(self.bytes()).expect("any length");
            if counter > 1 {
                hmac.update(previous.as_slice());
            }
            for part in info {
                hmac.update(part);
            }
            hmac.update(&[counter]);
            previous.copy_from_slice(&hmac.finalize().into_bytes());
            block.copy_from_slice(&previous[..block.len()]);
        }
    }

    /// The key itself, to be kept where secrets are kept.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

/// Both alphabets, and spare bits at the end that are not zero: what Python reads, which made those keys.
fn given_base64() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    specification.translate.from.push_str("-_");
    specification.translate.to.push_str("+/");
    specification.check_trailing_bits = false;
    #[expect(clippy::expect_used, reason = "64 different symbols, and two more for two of them")]
    specification.encoding().expect("a sound alphabet")
}
