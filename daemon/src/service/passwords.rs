//! Account passwords: Argon2id, on a small pool so that a flood of logins cannot eat the memory.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::Error;
use crate::model::password::StrongPassword;

/// 64 MiB, three passes, one lane: the second choice of RFC 9106, section 4, for one core.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;

/// Hashes computed at the same time: 128 MiB together.
const AT_ONCE: usize = 2;
/// Hashes that may wait for their turn; more are turned away.
const WAITING: usize = 16;

/// A hash of nobody's password: comparing with it makes an unknown name cost what a known one does.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash("nobody has this password").unwrap_or_default());

/// Verifies passwords off the async threads.
pub(crate) struct Hasher {
    running: Semaphore,
    admitted: Semaphore,
}

impl Hasher {
    /// A pool.
    pub(crate) fn new() -> Self {
        Self { running: Semaphore::new(AT_ONCE), admitted: Semaphore::new(AT_ONCE + WAITING) }
    }

    /// Whether the password belongs to the hash; `None` stands for an unknown account and takes as long.
    pub(crate) async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool, Error> {
        let password = Zeroizing::new(password.to_owned());
        self.run(move || {
            let verified = verify(&password, hash.as_deref().unwrap_or(&NOBODY));
            verified && hash.is_some()
        })
        .await
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: &StrongPassword) -> Result<String, Error> {
        self.rehash(password.expose()).await
    }

    /// Hashes a password that was accepted before, whatever is asked of new ones today.
    pub(crate) async fn rehash(&self, password: &str) -> Result<String, Error> {
        let password = Zeroizing::new(password.to_owned());
        let hashed = self.run(move || hash(&password)).await?;
        hashed.map_err(|error| Error::internal("password hash", error))
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let _admitted = self.admitted.try_acquire().map_err(|_| Error::Busy)?;
        let _running = self.running.acquire().await.map_err(|_| Error::Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("password hash", error))
    }
}

/// Hashes a password. Blocks for about a tenth of a second and needs 64 MiB.
pub(crate) fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2.hash_password(password.as_bytes())?.to_string())
}

/// Whether a hash was made with the parameters of today.
pub(crate) fn is_current(hash: &str) -> bool {
    hash.starts_with(&format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"))
}

/// Whether the password belongs to the hash, with the parameters that the hash names. Blocks.
pub(crate) fn verify(password: &str, hash: &str) -> bool {
    let parsed = PasswordHash::new(hash);
    parsed.is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_names_its_parameters() {
        let hash = hash("violet kettle").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=65536,t=3,p=1$"), "{hash}");
        assert!(verify("violet kettle", &hash));
        assert!(!verify("violet kettles", &hash));
        assert!(!verify("violet kettle", "not a hash"));
        assert!(is_current(&hash));
        assert!(!is_current(&hash.replace("t=3", "t=2")));
    }

    #[tokio::test]
    async fn an_unknown_account_never_verifies() {
        let hasher = Hasher::new();
        assert!(!hasher.verify("nobody has this password", None).await.unwrap());
    }
}
