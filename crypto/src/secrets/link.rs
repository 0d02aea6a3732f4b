//! A secret for somebody without an account: everything that opens it stands behind the `#` of a link, where no server
//! sees it.

use data_encoding::BASE64URL_NOPAD;
use rand_core::CryptoRng;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::item::{MAX_SEALED_ITEM_BYTES, pad, unpad};
use super::{Error, Key, derive, hash, open, seal};

const WHAT: &str = "a link";
const SECRET_BYTES: usize = 32;
const TEXT_BYTES: usize = 43;
const ACCESS: &[u8] = b"coffer/secrets/1/link/access\0";
const CONTENT: &[u8] = b"coffer/secrets/1/link/content\0";

/// What stands behind the `#`: 256 random bits.
pub struct LinkSecret {
    link: Uuid,
    secret: Key,
}

impl LinkSecret {
    /// Draws one for a new link.
    pub fn generate(link: Uuid, rng: &mut impl CryptoRng) -> Self {
        Self { link, secret: Key::generate(rng) }
    }

    /// Reads what stands behind the `#`.
    pub fn parse(link: Uuid, fragment: &str) -> Result<Self, Error> {
        if fragment.len() != TEXT_BYTES {
            return Err(Error::Length(WHAT));
        }
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        let decoded = BASE64URL_NOPAD.decode_mut(fragment.as_bytes(), secret.as_mut_slice());
        decoded.map_err(|_| Error::Malformed(WHAT))?;
        Ok(Self { link, secret: Key::from_array(&secret) })
    }

    /// The link that it is of.
    pub fn link(&self) -> Uuid {
        self.link
    }

    /// What is put behind the `#`.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64URL_NOPAD.encode(self.secret.bytes()))
    }

    /// What is shown to the server to be given the content, as it is sent: only who has the link uses up a view.
    pub fn access_text(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64URL_NOPAD.encode(self.access_token().bytes()))
    }

    fn access_token(&self) -> Key {
        derive(self.secret.bytes(), &[ACCESS, self.link.as_bytes()])
    }

    /// What the server keeps, to know the access token by.
    pub fn access_hash(&self) -> [u8; 32] {
        hash(&[self.access_token().bytes()])
    }

    /// Seals the content.
    pub fn seal(&self, content: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, Error> {
        seal(&self.content_key(), &[CONTENT, self.link.as_bytes()], &pad(content)?, rng)
    }

    /// Opens it.
    pub fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        if sealed.len() > MAX_SEALED_ITEM_BYTES {
            return Err(Error::Length(WHAT));
        }
        unpad(open(WHAT, &self.content_key(), &[CONTENT, self.link.as_bytes()], sealed)?)
    }

    fn content_key(&self) -> Key {
        derive(self.secret.bytes(), &[CONTENT, self.link.as_bytes()])
    }
}
