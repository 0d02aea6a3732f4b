//! The secrets vault, the part that only clients have: keys, sealed items, identities, sharing, and the proofs by which a
//! dishonest server is noticed. `docs/secrets.md` is the contract; this is its implementation.
//!
//! | Module | Owns |
//! |---|---|
//! | [`code`] | the Secret Key and the recovery key as they are printed |
//! | [`password`] | from what a person knows to two keys, and what a server may ask for on the way |
//! | [`keys`] | account key, vault keys with generations, item keys, and how one wraps the other |
//! | [`item`] | items and attachments, bound to their place and padded |
//! | [`identity`] | the key pairs of an account, fingerprints, and whom to trust |
//! | [`grant`] | a vault key for another member |
//! | [`manifest`] | the signed history of a vault, and what is wrong with what a server delivers |
//! | [`local`] | what a device keeps between two visits |
//! | [`drop_box`] | values that a rotation leaves for a vault that it cannot read |
//! | [`link`] | a secret for somebody without an account |
//!
//! Whatever comes from outside is measured before it is computed with; no input makes anything here panic.

pub mod code;
pub mod drop_box;
pub mod grant;
mod hpke_box;
pub mod identity;
pub mod item;
pub mod keys;
pub mod link;
pub mod local;
pub mod manifest;
pub mod password;

use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::envelope::{self, SecretKey as Key, chunked};

/// A key, sealed under another.
pub const WRAPPED_KEY_BYTES: usize = chunked::SEALED_KEY_BYTES;

/// Why something of the secrets vault is refused. It never tells which byte is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Everything has one length, or a largest one.
    #[error("{0} has a length that it cannot have")]
    Length(&'static str),
    /// Of the right length, and yet nothing that any version writes.
    #[error("{0} is not written as it should be")]
    Malformed(&'static str),
    /// The key is another one, it belongs to another place, or something was changed: these cannot be told apart.
    #[error("{0} does not open: the key is another one, it belongs elsewhere, or it is damaged")]
    NotAuthentic(&'static str),
    /// The signature is not that of the one who is said to have signed.
    #[error("the signature of {0} is wrong")]
    Signature(&'static str),
    /// It is signed and whole, and was made for somebody or something else.
    #[error("{0} was made for another place")]
    Elsewhere(&'static str),
}

/// Seals bytes under a key, bound to a context whose parts all have one length.
fn seal(key: &Key, context: &[&[u8]], message: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, Error> {
    chunked::seal_bytes(key, context, message, rng).map_err(|_| Error::Length("a content"))
}

/// Opens what [`seal`] made.
fn open(what: &'static str, key: &Key, context: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    chunked::open_bytes(key, context, sealed).map_err(|error| match error {
        envelope::Error::Truncated => Error::Length(what),
        _ => Error::NotAuthentic(what),
    })
}

fn wrap(
    key: &Key,
    context: &[&[u8]],
    secret: &Key,
    rng: &mut impl CryptoRng,
) -> Result<[u8; WRAPPED_KEY_BYTES], Error> {
    chunked::seal_key(key, context, secret, rng).map_err(|_| Error::Length("a key"))
}

fn unwrap(what: &'static str, key: &Key, context: &[&[u8]], wrapped: &[u8]) -> Result<Key, Error> {
    let wrapped = wrapped.try_into().map_err(|_| Error::Length(what))?;
    chunked::open_key(key, context, wrapped).map_err(|_| Error::NotAuthentic(what))
}

/// HKDF-SHA-256 with an empty salt: one purpose's key from a uniformly random secret.
fn derive(from: &[u8], purpose: &[&[u8]]) -> Key {
    expand(&Hkdf::<Sha256>::new(None, from), purpose)
}

fn expand(extracted: &Hkdf<Sha256>, purpose: &[&[u8]]) -> Key {
    let mut derived = Zeroizing::new([0; 32]);
    #[expect(clippy::expect_used, reason = "HKDF fails only above 255 * 32 bytes of output")]
    extracted.expand_multi_info(purpose, derived.as_mut_slice()).expect("32 bytes");
    Key::from_array(&derived)
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Reads records whose fields have fixed lengths. What is missing reads as an error, and so does what is left.
struct Fields<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(what: &'static str, bytes: &'a [u8], length: usize) -> Result<Self, Error> {
        if bytes.len() == length { Ok(Self { what, rest: bytes }) } else { Err(Error::Length(what)) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(Error::Length(self.what))?;
        self.rest = rest;
        Ok(*field)
    }

    fn uuid(&mut self) -> Result<uuid::Uuid, Error> {
        Ok(uuid::Uuid::from_bytes(self.take()?))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_be_bytes(self.take()?))
    }
}
