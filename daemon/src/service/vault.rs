//! The life of the vault: unlock, lock, lockdown. One transition at a time, each carried to its end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use coffer_api::VaultState;
use coffer_crypto::code::RecoveryKey;
use coffer_crypto::vault_keys::{OpenError, OpenKeys, SlotSecret};
use log::{error, info, warn};
use nix::unistd::{AccessFlags, access};
use tokio::sync::{Mutex, MutexGuard, mpsc};
use zeroize::Zeroizing;

use super::Error;
use super::audit::Context;
use super::chores::Chore;
use super::common::Common;
use super::creation_mark::CreationMark;
use super::device::Device;
use super::error::KeyFileProblem;
use super::factory_reset;
use super::given_key::GivenKey;
use super::key_file::KeyFile;
use super::key_stick::KeyStick;
use super::throttle::Throttle;
use super::unlocked::{Lease, Unlocked};
use super::vault_journal::VaultJournal;
use super::vault_sealing::roots;
use crate::model::clock::system_rng;
use crate::model::event::Event;
use crate::repo::audit::{self, Outcome};
use crate::repo::store::Store;
use crate::repo::{sessions, settings};
use crate::storage::database::DatabaseError;
use crate::storage::durable;
use crate::storage::gocryptfs::{self, Mount};

/// Where the parts of a vault lie.
#[derive(Clone, Debug)]
pub(crate) struct VaultPaths {
    /// Holds `vault.keys`; may be a stick that is taken away.
    pub(crate) secrets: PathBuf,
    /// Holds the identity and the counts of attempts; always there.
    pub(crate) device: PathBuf,
    /// The ciphertext.
    pub(crate) cipher: PathBuf,
    /// Where the plaintext appears, to this process alone.
    pub(crate) mount_point: PathBuf,
    /// Where a stick appears that may carry `vault.keys` instead.
    pub(crate) key_stick: Option<PathBuf>,
    /// Shows the setup code until the box is claimed; where the daemon itself may remove it.
    pub(crate) setup_code_file: Option<PathBuf>,
}

/// Where a call came from. Guesses from either side do not slow the other down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Anybody who can reach the port.
    Network,
    /// The control socket, which its file permissions guard.
    Local,
}

/// What opens the vault.
pub(crate) enum MasterSecret {
    Password(Zeroizing<String>),
    RecoveryKey(Zeroizing<String>),
}

/// Why the vault is locked, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockReason {
    Asked,
    Lockdown,
    KeyFile(KeyFileProblem),
    GocryptfsEnded,
    FactoryReset,
    Stopping,
}

/// The vault of this box.
pub(crate) struct Vault {
    pub(super) paths: VaultPaths,
    pub(super) common: Common,
    chores: Vec<Chore>,
    pub(super) device: Arc<Device>,
    pub(super) key_file: KeyFile,
    pub(super) creation_mark: CreationMark,
    pub(super) setup_code_guesses: Arc<Throttle>,
    pub(super) journal: Arc<VaultJournal>,
    /// A key for sealed files that came from outside.
    pub(super) given_key: Option<Arc<GivenKey>>,
    network_guesses: Arc<Throttle>,
    local_guesses: Arc<Throttle>,
    state: RwLock<State>,
    /// Held by whoever changes the state or verifies a master secret.
    turn: Mutex<()>,
    unlocks: AtomicU64,
    gocryptfs_ended: mpsc::UnboundedSender<u64>,
}

enum State {
    Locked,
    Unlocking,
    Unlocked(Arc<Unlocked>),
    Locking,
}

impl Vault {
    /// A locked vault, or none yet. Starts the task that locks it when gocryptfs ends by itself.
    pub(crate) fn start(
        paths: VaultPaths,
        common: Common,
        device: Arc<Device>,
        given_key: Option<GivenKey>,
        chores: Vec<Chore>,
    ) -> Arc<Self> {
        let throttle = |name: &str| {
            let path = paths.device.join(format!("attempts-{name}.json"));
            Arc::new(Throttle::load(path, Arc::clone(&common.clock)))
        };
        let journal = VaultJournal::load(paths.device.join("vault-journal.jsonl"), Arc::clone(&common.clock));
        let (gocryptfs_ended, ended) = mpsc::unbounded_channel();
        let vault = Arc::new(Self {
            key_file: KeyFile::new(&paths.secrets, KeyStick::new(paths.key_stick.as_deref(), &paths.device)),
            creation_mark: CreationMark::new(&paths.device),
            setup_code_guesses: throttle("setup-code"),
            journal: Arc::new(journal),
            given_key: given_key.map(Arc::new),
            network_guesses: throttle("network"),
            local_guesses: throttle("local"),
            paths,
            common,
            chores,
            device,
            state: RwLock::new(State::Locked),
            turn: Mutex::new(()),
            unlocks: AtomicU64::new(0),
            gocryptfs_ended,
        });
        vault.key_file.finish_move();
        tokio::spawn(lock_when_gocryptfs_ends(Arc::clone(&vault), ended));
        vault
    }

    /// The identity of the box.
    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Where the vault is in its life.
    pub(crate) fn state(&self) -> VaultState {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Locked if !self.exists() => VaultState::Absent,
            State::Locked => VaultState::Locked,
            State::Unlocking => VaultState::Unlocking,
            State::Unlocked(_) => VaultState::Unlocked,
            State::Locking => VaultState::Locking,
        }
    }

    /// Whether a vault was ever made here, key at hand or not.
    pub(crate) fn exists(&self) -> bool {
        self.key_file.exists() || (gocryptfs::is_initialised(&self.paths.cipher) && !self.creation_is_unfinished())
    }

    /// Whether what lies in the cipher directory is the rest of an interrupted creation, and never was a vault: both
    /// marks are there, and name the same vault.
    pub(super) fn creation_is_unfinished(&self) -> bool {
        let marked = self.creation_mark.vault_id();
        marked.is_some() && self.key_file.staged_for() == marked
    }

    /// Whether the drive for the ciphertext is there: with the vault on it, or ready for one.
    pub(crate) fn storage_present(&self) -> bool {
        let cipher = &self.paths.cipher;
        let writable = |path: &Path| access(path, AccessFlags::W_OK).is_ok();
        gocryptfs::is_initialised(cipher) || (!self.key_file.exists() && cipher.parent().is_some_and(writable))
    }

    /// The right to use the unlocked vault. Notices a missing or exchanged key file, and locks.
    pub(crate) fn lease(self: &Arc<Self>) -> Result<Lease, Error> {
        let lease = match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Unlocked(unlocked) => unlocked.lease()?,
            State::Locked if !self.exists() => return Err(Error::VaultAbsent),
            State::Locked | State::Unlocking | State::Locking if self.lockdown() => return Err(Error::Lockdown),
            State::Locked | State::Unlocking | State::Locking => return Err(Error::Locked),
        };
        if let Err(problem) = self.key_file.glance() {
            drop(lease);
            let vault = Arc::clone(self);
            tokio::spawn(async move { vault.lock(LockReason::KeyFile(problem), Context::default()).await });
            return Err(Error::KeyFile(problem));
        }
        Ok(lease)
    }

    /// Where the ciphertext lies, whether or not there is any.
    pub(super) fn drive(&self) -> PathBuf {
        self.paths.cipher.clone()
    }

    /// The process that serves the files, while the vault is unlocked.
    pub(super) fn gocryptfs_pid(&self) -> Option<u32> {
        self.unlocked().and_then(|unlocked| unlocked.gocryptfs_pid())
    }

    /// The detachable key, as it is now. Blocks.
    pub(crate) fn inspect_key_file(&self) -> Result<(), KeyFileProblem> {
        self.key_file.inspect()
    }

    /// Unlocks the vault.
    pub(crate) async fn unlock(
        self: &Arc<Self>,
        secret: MasterSecret,
        origin: Origin,
        context: Context,
    ) -> Result<(), Error> {
        let vault = Arc::clone(self);
        to_its_end(async move {
            let _turn = vault.turn()?;
            let opened = vault.verify_and_open(secret, origin).await;
            vault.note_failure(&context, "vault.unlocked", opened.as_ref().err()).await;
            opened?;
            vault.report_unlock(&context).await
        })
        .await
    }

    async fn verify_and_open(self: &Arc<Self>, secret: MasterSecret, origin: Origin) -> Result<(), Error> {
        if self.lockdown() {
            return Err(Error::Lockdown);
        }
        self.is_not_being_reset()?;
        match self.state() {
            VaultState::Unlocked => return Err(Error::VaultState("the vault is unlocked already")),
            VaultState::Absent => return Err(Error::VaultAbsent),
            VaultState::Locked | VaultState::Unlocking | VaultState::Locking => {}
        }
        let keys = self.verify(secret, origin).await?;
        self.open(keys).await
    }

    /// Locks the vault: when this returns `Ok`, no plaintext can be read. Locking a locked vault is fine.
    pub(crate) async fn lock(self: &Arc<Self>, reason: LockReason, context: Context) -> Result<(), Error> {
        let vault = Arc::clone(self);
        to_its_end(async move {
            let _turn = vault.turn.lock().await;
            vault.close(reason, &context).await
        })
        .await
    }

    /// Checks a master secret without changing anything: the credential of an operation, which the audit names when
    /// the secret is wrong.
    pub(crate) async fn check_secret(
        self: &Arc<Self>,
        secret: MasterSecret,
        origin: Origin,
        context: Context,
        action: &'static str,
    ) -> Result<(), Error> {
        let vault = Arc::clone(self);
        to_its_end(async move {
            let _turn = vault.turn()?;
            let verified = vault.verify(secret, origin).await;
            vault.note_failure(&context, action, verified.as_ref().err()).await;
            verified.map(|_| ())
        })
        .await
    }

    /// Whether the owner has shut the vault against unlocking.
    pub(crate) fn lockdown(&self) -> bool {
        self.lockdown_path().exists()
    }

    /// Ends every session, locks, and refuses to unlock until [`Vault::end_lockdown`]; also after a restart.
    pub(crate) async fn begin_lockdown(self: &Arc<Self>, context: Context) -> Result<(), Error> {
        let vault = Arc::clone(self);
        to_its_end(async move {
            let _turn = vault.turn.lock().await;
            let path = vault.lockdown_path();
            durable::replace_file(&path, b"").map_err(|error| Error::storage("writing the lockdown mark", error))?;
            let unlocked = vault.unlocked();
            let vault_id = unlocked.as_ref().map(|unlocked| unlocked.vault_id);
            let entry = vault.common.auditor.entry(&context, "vault.lockdown_begun", Outcome::Success, vault_id);
            match unlocked {
                Some(unlocked) => {
                    let (now, row) = (vault.common.clock.now(), entry.clone());
                    let ended = unlocked.store.database.write(move |transaction| -> Result<(), DatabaseError> {
                        sessions::revoke_all(transaction, now)?;
                        audit::insert(transaction, &row)
                    });
                    if let Err(error) = ended.await {
                        warn!(error:% = error; "the sessions were not ended; they end by themselves");
                        vault.write_down(None, entry).await;
                    }
                }
                None => vault.write_down(None, entry).await,
            }
            vault.close(LockReason::Lockdown, &context).await
        })
        .await
    }

    /// Allows unlocking again. The vault stays locked.
    pub(crate) async fn end_lockdown(
        self: &Arc<Self>,
        secret: MasterSecret,
        origin: Origin,
        context: Context,
    ) -> Result<(), Error> {
        let vault = Arc::clone(self);
        to_its_end(async move {
            let _turn = vault.turn()?;
            let verified = vault.verify(secret, origin).await;
            vault.note_failure(&context, "vault.lockdown_ended", verified.as_ref().err()).await;
            verified?;
            durable::remove_file(&vault.lockdown_path())
                .map_err(|error| Error::storage("removing the lockdown mark", error))?;
            vault.note(&context, "vault.lockdown_ended").await;
            Ok(())
        })
        .await
    }

    /// Waits for whatever happens to the vault to end; nothing happens to it while this is held.
    pub(super) async fn wait_for_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Refuses while the box is being made nobody's.
    pub(super) fn is_not_being_reset(&self) -> Result<(), Error> {
        let marked = factory_reset::is_marked(&self.paths.device);
        if marked { Err(Error::VaultState("the box is being reset")) } else { Ok(()) }
    }

    /// One at a time: who comes second is told to come again, and has not guessed.
    pub(super) fn turn(&self) -> Result<MutexGuard<'_, ()>, Error> {
        self.turn.try_lock().map_err(|_| Error::TooManyAttempts { retry_after: Duration::from_secs(1) })
    }

    /// Opens the key file with a secret. Counts the attempt on disk first.
    pub(super) async fn verify(&self, secret: MasterSecret, origin: Origin) -> Result<OpenKeys, Error> {
        let guesses = Arc::clone(match origin {
            Origin::Network => &self.network_guesses,
            Origin::Local => &self.local_guesses,
        });
        let file = self.key_file.read()?;
        blocking("master secret", move || {
            let recovery_key = match &secret {
                MasterSecret::Password(_) => None,
                // A slip of the pen is not a guess.
                MasterSecret::RecoveryKey(typed) => {
                    Some(RecoveryKey::parse(typed).map_err(|error| Error::field("recovery_key", error.to_string()))?)
                }
            };
            guesses.begin().map_err(|retry_after| Error::TooManyAttempts { retry_after })?;
            let opened = match (&secret, &recovery_key) {
                (_, Some(key)) => file.open(&SlotSecret::RecoveryKey(key)),
                (MasterSecret::Password(secret) | MasterSecret::RecoveryKey(secret), None) => {
                    file.open(&SlotSecret::MasterPassword(secret))
                }
            };
            let keys = opened.map_err(|error| match error {
                OpenError::WrongSecret => {
                    guesses.failed();
                    Error::WrongMasterSecret
                }
                OpenError::Tampered => Error::KeyFile(KeyFileProblem::Damaged),
            })?;
            let failed = guesses.succeeded();
            if failed > 0 {
                warn!(failed; "the right master secret came after failed attempts");
            }
            Ok(keys)
        })
        .await
    }

    /// Mounts and opens the store with the keys. The caller has the turn.
    pub(super) async fn open(self: &Arc<Self>, mut keys: OpenKeys) -> Result<(), Error> {
        self.set_state(State::Unlocking);
        self.key_file.start_watch(keys.file());
        let number = self.unlocks.fetch_add(1, Ordering::Relaxed) + 1;
        let vault = Arc::clone(self);
        let opened = blocking("unlock", move || vault.mount_and_open(&mut keys, number)).await;
        match opened {
            Ok(unlocked) => {
                let unlocked = Arc::new(unlocked);
                self.merge_journal(&unlocked).await;
                if let Err(error) = self.take_given_key(&unlocked).await {
                    error!(error:% = error; "the given encryption key was not taken into the vault");
                }
                self.common.guards.remember(&unlocked.lease()?).await;
                for chore in &self.chores {
                    tokio::spawn(chore(unlocked.lease()?));
                }
                self.set_state(State::Unlocked(unlocked));
                info!("the vault is unlocked");
                Ok(())
            }
            Err(error) => {
                self.key_file.end_watch();
                self.set_state(State::Locked);
                Err(error)
            }
        }
    }

    pub(super) fn mount(&self, cipher: &Path, passphrase: &str, number: u64) -> Result<Mount, Error> {
        gocryptfs::check_usable()?;
        let ended = self.gocryptfs_ended.clone();
        // Nobody listens any more when the daemon stops.
        let on_exit = move || {
            let _ = ended.send(number);
        };
        durable::make_directory(&self.paths.mount_point)
            .map_err(|error| Error::storage("making the mount point", error))?;
        Ok(Mount::open(cipher, &self.paths.mount_point, passphrase, on_exit)?)
    }

    fn mount_and_open(&self, keys: &mut OpenKeys, number: u64) -> Result<Unlocked, Error> {
        if !gocryptfs::is_initialised(&self.paths.cipher) {
            let detail = "the cipher directory is missing; is the storage drive attached?".to_owned();
            return Err(Error::StorageUnavailable { detail, source: None });
        }
        let mount = self.mount(&self.paths.cipher, &keys.payload().gocryptfs_passphrase, number)?;
        // On an error below the mount is dropped, which ends gocryptfs.
        let store = Store::open(&self.paths.mount_point, roots(keys)?)?;
        if keys.payload().previous_envelope_root_key.is_some() {
            // The exchange that was interrupted is finished now.
            keys.forget_previous_root_key(&mut system_rng());
            self.key_file.replace(keys.file())?;
        }
        // Its creation is finished, also when the power went before the mark did.
        self.creation_mark.clear();
        Ok(Unlocked::new(keys, number, store, mount))
    }

    /// The state becomes `Locked` whatever happens: a failure to unmount is reported, and gocryptfs is dead.
    pub(super) async fn close(&self, reason: LockReason, context: &Context) -> Result<(), Error> {
        let unlocked = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut *state, State::Locking) {
                State::Unlocked(unlocked) => unlocked,
                other @ (State::Locked | State::Unlocking | State::Locking) => {
                    *state = other;
                    return Ok(());
                }
            }
        };
        info!(reason:? = reason; "the vault is being locked");
        self.note_lock(&unlocked, reason, context).await;
        let closed = unlocked.close().await;
        self.key_file.end_watch();
        self.set_state(State::Locked);
        match &closed {
            Ok(()) => info!("the vault is locked"),
            Err(error) => error!(error:% = error; "the vault is locked, but not cleanly"),
        }
        closed
    }

    async fn report_unlock(&self, context: &Context) -> Result<(), Error> {
        let Some(unlocked) = self.unlocked() else { return Ok(()) };
        let vault_id = unlocked.vault_id;
        let now = self.common.clock.now();
        let entry = |action| self.common.auditor.entry(context, action, Outcome::Success, Some(vault_id));
        let (opened, rolled_back) = (entry("vault.unlocked"), entry("vault.older_key_file_accepted"));
        let generation = unlocked.key_generation;
        unlocked
            .store
            .database
            .write(move |transaction| -> Result<(), DatabaseError> {
                sessions::delete_expired(transaction, now)?;
                audit::insert(transaction, &opened)?;
                let noted: Option<u64> =
                    settings::get(transaction, settings::KEY_GENERATION)?.and_then(|text| text.parse().ok());
                if noted.is_some_and(|noted| generation < noted) {
                    // Legitimate after restoring a backup; but a removed way in may work again.
                    warn!(generation; "the key file is older than the one used before");
                    audit::insert(transaction, &rolled_back)?;
                }
                note_generation(transaction, generation)
            })
            .await?;
        self.common.events.publish(&Event::VaultUnlocked { vault_id });
        Ok(())
    }

    pub(super) fn unlocked(&self) -> Option<Arc<Unlocked>> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Unlocked(unlocked) => Some(Arc::clone(unlocked)),
            State::Locked | State::Unlocking | State::Locking => None,
        }
    }

    fn set_state(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn lockdown_path(&self) -> PathBuf {
        self.paths.device.join("lockdown")
    }
}

async fn lock_when_gocryptfs_ends(vault: Arc<Vault>, mut ended: mpsc::UnboundedReceiver<u64>) {
    while let Some(number) = ended.recv().await {
        // The end of an orderly lock is no news: by then the vault holds another unlocking, or none.
        if vault.unlocked().is_some_and(|unlocked| unlocked.number == number) {
            error!("gocryptfs ended unexpectedly");
            // Already logged there.
            drop(vault.lock(LockReason::GocryptfsEnded, Context::default()).await);
        }
    }
}

/// Runs on, when the client that asked has gone: a vault must not stop half-way.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.map_err(|error| Error::internal("vault", error))?
}

/// Runs off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal(operation, error))?
}

/// Writes the generation of the key file into the vault, so that an older key file is noticed.
pub(super) fn note_generation(connection: &rusqlite::Connection, generation: u64) -> Result<(), DatabaseError> {
    settings::set(connection, settings::KEY_GENERATION, &generation.to_string())
}
