//! Account passwords: Argon2id, on a small pool so that a flood of logins cannot eat the memory.

use std::sync::Arc;

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

/// Places of these that strangers cannot take: in a flood of guesses, who was here before is still heard.
const RESERVED: usize = 4;

/// The hash of no password: comparing with it makes an unknown name cost what a known one does. Written down, because
/// one that was computed when it is first needed would make the first unknown name after a start cost twice.
const NOBODY: &str =
    "$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Who wants a password hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Somebody with a session, or who has logged in from there before.
    Known,
    /// Anybody.
    Stranger,
}

/// Verifies passwords off the async threads.
pub(crate) struct Hasher {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Hasher {
    /// A pool.
    pub(crate) fn new() -> Self {
        let places = [AT_ONCE, AT_ONCE + WAITING, AT_ONCE + WAITING - RESERVED];
        let [running, admitted, strangers] = places.map(|places| Arc::new(Semaphore::new(places)));
        Self { running, admitted, strangers }
    }

    /// Whether the password belongs to the hash; `None` stands for an unknown account and takes as long.
    pub(crate) async fn verify(&self, asker: Asker, password: &str, hash: Option<String>) -> Result<bool, Error> {
        let password = Zeroizing::new(password.to_owned());
        self.run(asker, move || {
            let verified = verify(&password, hash.as_deref().unwrap_or(NOBODY));
            verified && hash.is_some()
        })
        .await
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, asker: Asker, password: &StrongPassword) -> Result<String, Error> {
        self.rehash(asker, password.expose()).await
    }

    /// Hashes a password that was accepted before, whatever is asked of new ones today.
    pub(crate) async fn rehash(&self, asker: Asker, password: &str) -> Result<String, Error> {
        let password = Zeroizing::new(password.to_owned());
        let hashed = self.run(asker, move || hash(&password)).await?;
        hashed.map_err(|error| Error::internal("password hash", error))
    }

    /// Does work that takes a while, in its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let stranger = match asker {
            Asker::Known => None,
            Asker::Stranger => Some(Arc::clone(&self.strangers).try_acquire_owned().map_err(|_| Error::Busy)?),
        };
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| Error::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Error::Busy)?;
        let hashing = tokio::task::spawn_blocking(move || {
            // The places go with the work, which nobody can stop: a client that hangs up gives no place to the next.
            let _places = (stranger, admitted, running);
            work()
        });
        hashing.await.map_err(|error| Error::internal("password hash", error))
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

    #[test]
    fn an_unknown_account_costs_what_a_known_one_does() {
        assert!(is_current(NOBODY) && PasswordHash::new(NOBODY).is_ok());
        let length = |hash: &str| PasswordHash::new(hash).unwrap().hash.unwrap().as_bytes().len();
        assert_eq!(length(NOBODY), length(&hash("violet kettle").unwrap()));
    }

    #[tokio::test]
    async fn an_unknown_account_never_verifies() {
        let hasher = Hasher::new();
        assert!(!hasher.verify(Asker::Known, "", None).await.unwrap());
    }

    #[tokio::test]
    async fn who_hangs_up_does_not_make_room_for_more_work_at_the_same_time() {
        let hasher = Hasher::new();
        let mut gates = Vec::new();
        for _ in 0..AT_ONCE {
            let (gate, wait) = std::sync::mpsc::channel::<()>();
            let (tell, begun) = tokio::sync::oneshot::channel();
            let work = hasher.run(Asker::Known, move || {
                tell.send(()).unwrap();
                // Fails when the gate is dropped.
                let _ = wait.recv();
            });
            // Polled until the work runs, and then dropped, as the server drops a call whose client has gone.
            tokio::select! {
                _ = work => panic!("it waits for the gate"),
                begun = begun => begun.unwrap(),
            }
            gates.push(gate);
        }
        assert_eq!(hasher.running.available_permits(), 0);
        assert_eq!(hasher.admitted.available_permits(), WAITING);
        drop(gates);
        hasher.run(Asker::Known, || ()).await.unwrap();
    }
}
