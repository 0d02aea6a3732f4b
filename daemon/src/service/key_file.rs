//! The detachable key: reading and replacing `vault.keys`, and noticing that it is gone or is not the one in use.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use coffer_crypto::vault_keys::{self, ParseError, VaultKeys};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::error::KeyFileProblem;
use super::key_stick::{KeyStick, check_mark};
use crate::storage::durable;

/// The file's name, in the secrets directory and on a stick.
pub(super) const NAME: &str = "vault.keys";

type Hash = [u8; 32];

/// The key file of this box: in its secrets directory, or else on a stick.
pub(crate) struct KeyFile {
    home: PathBuf,
    stick: KeyStick,
    in_use: Mutex<Option<InUse>>,
}

/// The file that the vault was unlocked with.
struct InUse {
    /// One hash; two while the file is being rewritten.
    accepted: Vec<Hash>,
    /// What the file looked like when its content was last compared.
    seen: Option<Fingerprint>,
}

/// Changes whenever somebody writes to the file or puts another in its place.
#[derive(PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl KeyFile {
    /// The key file in that secrets directory, or on that stick.
    pub(crate) fn new(secrets: &Path, stick: KeyStick) -> Self {
        Self { home: secrets.join(NAME), stick, in_use: Mutex::new(None) }
    }

    /// Whether there is one, usable or not; also when it is on a stick that is away. What strangers have on sticks does not
    /// count.
    pub(crate) fn exists(&self) -> bool {
        self.home.exists() || self.is_on_stick()
    }

    /// Where a new key file waits until its vault is complete.
    pub(crate) fn staging_path(&self) -> PathBuf {
        self.home.with_added_extension("creating")
    }

    /// The vault that the key file waiting there is for, when it is whole. Not authenticated.
    pub(crate) fn staged_for(&self) -> Option<Uuid> {
        let bytes = durable::read_small_file(&self.staging_path(), vault_keys::MAX_BYTES).ok()?;
        VaultKeys::parse(&bytes).ok().map(|keys| keys.vault_id())
    }

    /// Where it lies while it is on no stick.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Where it may be instead.
    pub(super) fn stick(&self) -> &KeyStick {
        &self.stick
    }

    /// Reads and parses it.
    pub(crate) fn read(&self) -> Result<VaultKeys, Error> {
        self.parse(&self.read_bytes().map_err(Error::KeyFile)?)
    }

    pub(super) fn parse(&self, bytes: &[u8]) -> Result<VaultKeys, Error> {
        let keys = VaultKeys::parse(bytes).map_err(|error| match error {
            ParseError::Version(_) => KeyFileProblem::Newer,
            ParseError::Shape | ParseError::Cost => KeyFileProblem::Damaged,
        });
        let keys = keys.map_err(Error::KeyFile)?;
        check_mark(&self.stick, &keys).map_err(Error::KeyFile)?;
        Ok(keys)
    }

    /// Replaces it durably. A watchdog that looks meanwhile accepts the old file and the new one.
    pub(crate) fn replace(&self, keys: &VaultKeys) -> Result<(), Error> {
        let path = self.place()?;
        let bytes = keys.to_bytes();
        let hash = hash(&bytes);
        if let Some(in_use) = self.lock().as_mut() {
            in_use.accepted.push(hash);
        }
        let written = durable::replace_file(&path, &bytes);
        if let Some(in_use) = self.lock().as_mut() {
            // After a failed write either file may be there; the next one sorts it out.
            if written.is_ok() {
                in_use.accepted.retain(|accepted| *accepted == hash);
            }
            in_use.seen = None;
        }
        written.map_err(|error| Error::storage("writing the key file", error))
    }

    /// From now on only this file is accepted.
    pub(crate) fn start_watch(&self, keys: &VaultKeys) {
        *self.lock() = Some(InUse { accepted: vec![hash(&keys.to_bytes())], seen: None });
    }

    /// The vault is locked: any file will do.
    pub(crate) fn end_watch(&self) {
        *self.lock() = None;
    }

    /// For every request: looks at the content again only when the file was touched.
    pub(crate) fn glance(&self) -> Result<(), KeyFileProblem> {
        let metadata = self.first(|path| fs::metadata(path)).map_err(|error| problem_of(&error))?;
        let now = Fingerprint::of(&metadata);
        match self.lock().as_ref() {
            None => return Ok(()),
            Some(in_use) if in_use.seen.as_ref() == Some(&now) => return Ok(()),
            Some(_) => {}
        }
        self.inspect()
    }

    /// For the watchdog: compares the content, as the medium has it and not as the page cache remembers it.
    pub(crate) fn inspect(&self) -> Result<(), KeyFileProblem> {
        let metadata = self.first(|path| fs::metadata(path)).map_err(|error| problem_of(&error))?;
        let bytes = self.read_bytes()?;
        let Some(in_use) = &mut *self.lock() else {
            let keys = VaultKeys::parse(&bytes).map_err(|_| KeyFileProblem::Damaged)?;
            return check_mark(&self.stick, &keys);
        };
        if in_use.accepted.contains(&hash(&bytes)) {
            in_use.seen = Some(Fingerprint::of(&metadata));
            Ok(())
        } else {
            in_use.seen = None;
            Err(KeyFileProblem::Replaced)
        }
    }

    fn read_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyFileProblem> {
        self.first(read_from_medium).map_err(|error| problem_of(&error))
    }

    /// Looks at the file in the box, and at the one on a stick when there is none. Each look decides anew: the file may be on
    /// its way from the one to the other.
    fn first<T>(&self, look: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
        match (look(&self.home), self.stick.file()) {
            (Err(error), Some(stick)) if problem_of(&error) == KeyFileProblem::Missing => look(&stick),
            (outcome, _) => outcome,
        }
    }

    /// Where it is to be written.
    fn place(&self) -> Result<PathBuf, Error> {
        let elsewhere = self.is_on_stick() || self.stick.file().is_some_and(|stick| stick.exists());
        if self.home.exists() || !elsewhere { Ok(self.home.clone()) } else { self.stick.inserted() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<InUse>> {
        self.in_use.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Reads a key file as its medium has it: from the page cache a stick that was pulled out would go on answering.
pub(super) fn read_from_medium(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    if let Ok(file) = fs::File::open(path) {
        // A file system that cannot drop its cache (tmpfs) has no stick to pull out either.
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
    durable::read_small_file(path, vault_keys::MAX_BYTES)
}

pub(super) fn problem_of(error: &std::io::Error) -> KeyFileProblem {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => KeyFileProblem::Missing,
        ErrorKind::FileTooLarge => KeyFileProblem::Damaged,
        _ => KeyFileProblem::Unreadable,
    }
}
