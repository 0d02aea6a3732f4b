//! Secrets at rest: AES-256-GCM under a key that is kept apart from the database.
//!
//! A sealed secret says in its associated data what it is and whose, so that one row's secret is of no use in another.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use data_encoding::BASE64;
use rand_core::Rng;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use crate::clock::system_rng;
use crate::store::database::{Database, Transaction};
use crate::store::settings;

/// Length of an AES-GCM nonce (NIST SP 800-38D, section 5.2.1.1). Random ones are good for 2^32 secrets of one key.
const NONCE_BYTES: usize = 12;

/// Says in the database whether this is the key that it was written with.
const CHECK: &str = "sealing_key_check";
const CHECK_TEXT: &[u8] = b"coffer-registrar";

/// Seals and opens.
pub(crate) struct Sealer {
    key: Zeroizing<[u8; 32]>,
}

impl Sealer {
    /// With that key.
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self { key }
    }

    /// Whether what is in the database was sealed with this key. A new database takes any.
    pub(crate) async fn fits(&self, database: &Database) -> Result<bool, Error> {
        let fresh = self.seal(CHECK, CHECK_TEXT)?;
        let look = move |transaction: &mut Transaction<'_>| -> Result<Option<String>, Error> {
            let stored = settings::get(transaction, CHECK)?;
            if stored.is_none() {
                settings::add(transaction, CHECK, &fresh)?;
            }
            Ok(stored)
        };
        let stored = database.run(look).await?;
        Ok(stored.is_none_or(|sealed| self.open(CHECK, &sealed).is_ok()))
    }

    /// Seals the shared secret of a box.
    pub(crate) fn seal_secret(&self, device: Uuid, secret: &[u8; 32]) -> Result<String, Error> {
        self.seal(&purpose(device), secret)
    }

    /// Opens what [`Sealer::seal_secret`] made for that box.
    pub(crate) fn open_secret(&self, device: Uuid, sealed: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
        let opened = self.open(&purpose(device), sealed)?;
        let mut secret = Zeroizing::new([0; 32]);
        if opened.len() != secret.len() {
            return Err(Error::Internal("opening a secret"));
        }
        secret.copy_from_slice(&opened);
        Ok(secret)
    }

    fn seal(&self, purpose: &str, secret: &[u8]) -> Result<String, Error> {
        let mut nonce = [0; NONCE_BYTES];
        system_rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: secret, aad: purpose.as_bytes() };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| Error::Internal("sealing a secret"))?;
        Ok(BASE64.encode(&[&nonce[..], &sealed].concat()))
    }

    fn open(&self, purpose: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let damaged = || Error::Internal("opening a secret");
        let bytes = BASE64.decode(sealed.as_bytes()).map_err(|_| damaged())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
        let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
        let opened = self.cipher().decrypt(&Nonce::from(*nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| damaged())
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*self.key).into())
    }
}

fn purpose(device: Uuid) -> String {
    format!("shared secret of {device}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_its_key_for_its_box_alone() {
        let (ours, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let with_key = Sealer::new(Zeroizing::new([7; 32]));
        let sealed = with_key.seal_secret(ours, &[9; 32]).unwrap();
        assert_eq!(*with_key.open_secret(ours, &sealed).unwrap(), [9; 32]);
        assert!(with_key.open_secret(other, &sealed).is_err());
        assert!(Sealer::new(Zeroizing::new([8; 32])).open_secret(ours, &sealed).is_err());
        assert!(with_key.open_secret(ours, "").is_err());
        assert!(with_key.open_secret(ours, &sealed[..sealed.len() - 4]).is_err());
        assert_ne!(sealed, with_key.seal_secret(ours, &[9; 32]).unwrap(), "a nonce is used once");
    }
}
