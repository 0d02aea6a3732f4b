//! A USB stick that carries the key file instead of the box: whoever pulls it out locks the vault. Moves the file there and
//! back.
//!
//! The file in the box goes before the one on the stick, so a stick that somebody brings disturbs nobody; and a mark in the
//! device directory says whose file the stick has to hold, also while it is away. Each step is on its medium before the next:
//!
//! | To the stick | When the power goes behind it | Back to the box | When the power goes behind it |
//! |---|---|---|---|
//! | copied, and read back from the medium | the box's is used; moving again goes on | copied, and read back | the box's is used; moving back again goes on |
//! | the mark is set | the same | the mark goes | the same |
//! | the box's gets a name that nobody reads | the stick's is used | the stick's is wiped | the box's is used |
//! | that is wiped | | | |

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coffer_crypto::vault_keys::{self, VaultKeys};
use log::{info, warn};
use nix::unistd::geteuid;
use uuid::Uuid;

use super::Error;
use super::audit::Context;
use super::error::KeyFileProblem;
use super::key_file::{self, KeyFile};
use super::vault::{MasterSecret, Origin, Vault, blocking, to_its_end};
use crate::storage::{durable, namespace};

/// The mark in the device directory: the id of the vault whose key file was moved.
const MARK: &str = "key-stick";
const MAX_MARK_BYTES: u64 = 64;

/// Where the key file is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    Stick,
    Box,
}

/// Where sticks appear, and the mark.
pub(crate) struct KeyStick {
    /// A stick is mounted here, or nothing.
    directory: Option<PathBuf>,
    /// Absent for who looks at a key file apart from its box.
    mark: Option<PathBuf>,
}

impl KeyStick {
    /// With the mark in that device directory. Without a `directory` this box takes no sticks.
    pub(crate) fn new(directory: Option<&Path>, device: &Path) -> Self {
        Self { directory: directory.map(Path::to_owned), mark: Some(device.join(MARK)) }
    }

    /// For a key file apart from its box.
    pub(crate) fn none() -> Self {
        Self { directory: None, mark: None }
    }

    /// The key file on a stick, there or not.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(key_file::NAME))
    }

    /// The vault whose key file is on a stick, wherever the stick is.
    pub(super) fn vault_id(&self) -> Option<Uuid> {
        let bytes = durable::read_small_file(self.mark.as_ref()?, MAX_MARK_BYTES).ok()?;
        std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
    }

    /// The key file on the stick that is there.
    pub(super) fn inserted(&self) -> Result<PathBuf, Error> {
        let missing = Error::VaultState("there is no stick with the label COFFERKEY in the box");
        let (Some(directory), Some(file)) = (&self.directory, self.file()) else { return Err(missing) };
        let failed = |error| Error::storage("looking for a stick", error);
        // Without a stick the directory is there as well, in memory; and systemd, which keeps it writable for this process
        // alone, mounts it over itself. But then it is root's, while a stick is mounted as this process's own.
        if !namespace::is_mount_point(directory).map_err(failed)? {
            return Err(missing);
        }
        let owner = fs::metadata(directory).map_err(failed)?.uid();
        if owner == geteuid().as_raw() { Ok(file) } else { Err(missing) }
    }

    /// Overwrites and removes the key file of that vault, if the stick that is there holds it.
    pub(super) fn erase(&self, vault_id: Uuid) -> io::Result<()> {
        let Some(file) = self.file() else { return Ok(()) };
        if vault_on(&file)? == Some(vault_id) {
            durable::erase_file(&file)?;
            durable::sync_file_system(file.parent().unwrap_or(&file))?;
        }
        Ok(())
    }

    fn set_mark(&self, vault_id: Uuid) -> io::Result<()> {
        self.mark.as_ref().map_or(Ok(()), |mark| durable::replace_file(mark, vault_id.to_string().as_bytes()))
    }

    fn clear_mark(&self) -> io::Result<()> {
        self.mark.as_deref().map_or(Ok(()), durable::remove_file)
    }
}

/// The vault that a key file is for; none where there is no file. What is no key file is nobody's.
fn vault_on(file: &Path) -> io::Result<Option<Uuid>> {
    match durable::read_small_file(file, vault_keys::MAX_BYTES) {
        Ok(bytes) => Ok(Some(VaultKeys::parse(&bytes).map_or(Uuid::nil(), |keys| keys.vault_id()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => Ok(Some(Uuid::nil())),
        Err(error) => Err(error),
    }
}

impl KeyFile {
    /// Whether the file was moved to a stick, which may be away.
    pub(crate) fn is_on_stick(&self) -> bool {
        !self.home().exists() && self.stick().vault_id().is_some()
    }

    /// Wipes what a power cut left of a move: the stick has the file.
    pub(super) fn finish_move(&self) {
        if self.is_on_stick()
            && let Err(error) = durable::erase_file(&self.moved_path())
        {
            warn!(error:% = error; "the old copy of the key file was not wiped; the next start tries again");
        }
    }

    fn move_to(&self, place: KeyPlace) -> Result<(), Error> {
        match place {
            KeyPlace::Stick => self.move_to_stick(),
            KeyPlace::Box => self.move_to_box(),
        }
    }

    fn move_to_stick(&self) -> Result<(), Error> {
        let stick = self.stick().inserted()?;
        if !self.home().exists() {
            return Err(Error::VaultState("the key file is not in the box: it was moved already, or is missing"));
        }
        let (bytes, vault_id) = self.genuine(self.home())?;
        let held = vault_on(&stick).map_err(|error| on_stick("it cannot be read", error))?;
        if held.is_some_and(|held| held != vault_id) {
            return Err(Error::VaultState("the stick holds the key file of another box, or something of that name"));
        }
        let unwritable = |error| on_stick("it cannot be written. Is it full, or write-protected?", error);
        copy(&bytes, &stick).map_err(unwritable)?;
        let failed = |error| Error::storage("moving the key file", error);
        self.stick().set_mark(vault_id).map_err(failed)?;
        // Under its name it must not be wiped: who looks meanwhile would find it damaged.
        durable::rename(self.home(), &self.moved_path()).map_err(failed)?;
        durable::erase_file(&self.moved_path()).map_err(failed)
    }

    fn move_to_box(&self) -> Result<(), Error> {
        let stick = self.stick().inserted()?;
        let in_box = self.home().exists();
        let (bytes, vault_id) = self.genuine(if in_box { self.home() } else { &stick })?;
        let failed = |error| Error::storage("moving the key file", error);
        if !in_box {
            copy(&bytes, self.home()).map_err(failed)?;
        }
        self.stick().clear_mark().map_err(failed)?;
        let wiped = self.stick().erase(vault_id);
        wiped.map_err(|error| on_stick("the key file is in the box again, but could not be wiped there", error))
    }

    /// The content of a file that is this vault's.
    fn genuine(&self, file: &Path) -> Result<(zeroize::Zeroizing<Vec<u8>>, Uuid), Error> {
        let bytes = key_file::read_from_medium(file).map_err(|error| Error::KeyFile(key_file::problem_of(&error)))?;
        let keys = self.parse(&bytes)?;
        let vault_id = keys.vault_id();
        Ok((bytes, vault_id))
    }

    fn moved_path(&self) -> PathBuf {
        self.home().with_added_extension("moved")
    }
}

/// Writes a file, and looks whether it is on the medium.
fn copy(bytes: &[u8], to: &Path) -> io::Result<()> {
    durable::replace_file(to, bytes)?;
    durable::sync_file_system(to.parent().unwrap_or(to))?;
    if *key_file::read_from_medium(to)? == bytes {
        return Ok(());
    }
    fs::remove_file(to)?;
    Err(io::Error::other("what was written reads back as something else"))
}

fn on_stick(what: &str, error: io::Error) -> Error {
    Error::StorageUnavailable { detail: format!("the stick: {what}"), source: Some(Box::new(error)) }
}

impl Vault {
    /// Whether the vault waits for its stick, or would if it were locked.
    pub(crate) fn key_is_on_stick(&self) -> bool {
        self.key_file.is_on_stick()
    }

    /// Moves the key file to the stick that is in the box, or back. An open vault stays open.
    pub(crate) async fn move_key(
        self: &Arc<Self>,
        place: KeyPlace,
        secret: MasterSecret,
        origin: Origin,
        context: Context,
    ) -> Result<(), Error> {
        let action = match place {
            KeyPlace::Stick => "vault.key_moved_to_stick",
            KeyPlace::Box => "vault.key_moved_to_box",
        };
        let vault = Arc::clone(self);
        to_its_end(async move {
            let _turn = vault.turn()?;
            let moved = vault.verify_and_move(place, secret, origin, action).await;
            vault.note_failure(&context, action, moved.as_ref().err()).await;
            moved?;
            info!(action; "the key file was moved");
            vault.note(&context, action).await;
            Ok(())
        })
        .await
    }

    async fn verify_and_move(
        self: &Arc<Self>,
        place: KeyPlace,
        secret: MasterSecret,
        origin: Origin,
        action: &'static str,
    ) -> Result<(), Error> {
        self.is_not_being_reset()?;
        if !self.exists() {
            return Err(Error::VaultAbsent);
        }
        drop(self.verify(secret, origin).await?);
        let vault = Arc::clone(self);
        blocking(action, move || vault.key_file.move_to(place)).await
    }
}

/// For a factory reset: the key file on the stick, if it is there and this vault's.
pub(super) fn erase_on_stick(directory: Option<&Path>, device: &Path) -> io::Result<()> {
    let stick = KeyStick::new(directory, device);
    stick.vault_id().map_or(Ok(()), |vault_id| stick.erase(vault_id))
}

/// What a key file says that is another vault's than the one that was moved.
pub(super) fn check_mark(stick: &KeyStick, keys: &VaultKeys) -> Result<(), KeyFileProblem> {
    let is_ours = stick.vault_id().is_none_or(|vault_id| vault_id == keys.vault_id());
    if is_ours { Ok(()) } else { Err(KeyFileProblem::Replaced) }
}
