//! What the set-up service remembers over restarts: its key, the phones that it knows, the guesses at its codes. One
//! file, replaced as a whole; knows nothing of sessions.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use coffer_crypto::channel::StaticKey;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{guesses::Guesses, phones::Phones};

const FILE: &str = "ble.json";
const VERSION: u32 = 1;
/// Far above what a box with as many phones as it takes has.
const MAX_BYTES: u64 = 64 * 1024;

/// What is remembered.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    version: u32,
    key: SecretKey,
    phones: Phones,
    guesses: Guesses,
    /// A factory reset was begun, and is to be finished whatever happens.
    resetting: bool,
    /// Apps that speak Improv may join a network. Left out while it is off, as versions have it that do not know it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    improv: bool,
}

/// The private half of the box's long-term X25519 key.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
struct SecretKey([u8; 32]);

impl SecretKey {
    fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

/// Why nothing is remembered, or cannot be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The file system refused.
    #[error("{doing} {}: {source}. Is the data partition mounted and writable?", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is not one of ours.
    #[error("{} is damaged, or of a newer version; remove it to forget all phones", .0.display())]
    Damaged(PathBuf),
}

/// The memory, and its file.
pub(crate) struct Store {
    path: PathBuf,
    memory: Memory,
}

impl Store {
    /// Reads the file in `directory`, or begins one.
    pub(crate) fn open(directory: &Path, rng: &mut impl CryptoRng) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let store = Self { path, memory: Memory::new(rng) };
                store.write(&store.memory)?;
                return Ok(store);
            }
            Err(source) => return Err(StoreError::Io { doing: "reading", path, source }),
        };
        match serde_json::from_slice::<Memory>(&bytes) {
            Ok(memory) if memory.version == VERSION => Ok(Self { path, memory }),
            Ok(_) | Err(_) => Err(StoreError::Damaged(path)),
        }
    }

    /// The box's key, for handshakes.
    pub(crate) fn key(&self) -> StaticKey {
        StaticKey::from(self.memory.key.0)
    }

    /// The phones that may come back without a code.
    pub(crate) fn phones(&self) -> &Phones {
        &self.memory.phones
    }

    /// The wrong guesses.
    pub(crate) fn guesses(&self) -> &Guesses {
        &self.memory.guesses
    }

    /// Remembers other guesses; on disk when it returns.
    pub(crate) fn set_guesses(&mut self, guesses: Guesses) -> Result<(), StoreError> {
        if self.memory.guesses == guesses {
            return Ok(());
        }
        self.replace(Memory { guesses, ..self.memory.clone() })
    }

    /// Remembers other phones; on disk when it returns.
    pub(crate) fn set_phones(&mut self, phones: Phones) -> Result<(), StoreError> {
        if self.memory.phones == phones {
            return Ok(());
        }
        self.replace(Memory { phones, ..self.memory.clone() })
    }

    /// Whether apps that speak Improv may join a network.
    pub(crate) fn has_improv(&self) -> bool {
        self.memory.improv
    }

    /// Remembers whether they may; on disk when it returns.
    pub(crate) fn set_improv(&mut self, improv: bool) -> Result<(), StoreError> {
        if self.memory.improv == improv {
            return Ok(());
        }
        self.replace(Memory { improv, ..self.memory.clone() })
    }

    /// Whether a factory reset was begun and not finished.
    pub(crate) fn is_resetting(&self) -> bool {
        self.memory.resetting
    }

    /// From here on the box is to be reset, also after a power cut. [`Store::forget`] is the end of it.
    pub(crate) fn begin_reset(&mut self) -> Result<(), StoreError> {
        self.replace(Memory { resetting: true, ..self.memory.clone() })
    }

    /// Forgets everything, and takes another key: nobody knows this box any more.
    pub(crate) fn forget(&mut self, rng: &mut impl CryptoRng) -> Result<(), StoreError> {
        self.replace(Memory::new(rng))
    }

    /// What is in memory changes only once it is on disk.
    fn replace(&mut self, memory: Memory) -> Result<(), StoreError> {
        self.write(&memory)?;
        self.memory = memory;
        Ok(())
    }

    fn write(&self, memory: &Memory) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io { doing: "writing", path: self.path.clone(), source };
        let bytes = Zeroizing::new(serde_json::to_vec(memory).map_err(|error| failed(error.into()))?);
        replace_file(&self.path, &bytes).map_err(failed)
    }
}

impl Memory {
    fn new(rng: &mut impl CryptoRng) -> Self {
        Self {
            version: VERSION,
            key: SecretKey::generate(rng),
            phones: Phones::default(),
            guesses: Guesses::default(),
            resetting: false,
            improv: false,
        }
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let mut bytes =
        Zeroizing::new(Vec::with_capacity(usize::try_from(file.metadata()?.len().min(MAX_BYTES)).unwrap_or(0)));
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Readers see the old bytes or the new ones, also after a power cut. The file is for its user alone.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let mut staged = tempfile::NamedTempFile::new_in(directory)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    staged.persist(path).map_err(|error| error.error)?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use coffer_crypto::channel::PublicKey;
    use getrandom::SysRng;
    use jiff::Timestamp;
    use rand_core::UnwrapErr;

    use super::*;
    use crate::phones::PhoneName;

    fn open(directory: &Path) -> Result<Store, StoreError> {
        Store::open(directory, &mut UnwrapErr(SysRng))
    }

    fn with_a_phone() -> Phones {
        let mut phones = Phones::default();
        let name = PhoneName::try_from("Ada's".to_owned()).unwrap();
        phones.enrol(PublicKey([7; 32]), name, Timestamp::UNIX_EPOCH).unwrap();
        phones
    }

    #[test]
    fn what_is_remembered_survives_and_is_for_its_user_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path()).unwrap();
        let (key, phones) = (store.key().public(), with_a_phone());
        store.set_phones(phones.clone()).unwrap();
        drop(store);

        let store = open(directory.path()).unwrap();
        assert_eq!((store.key().public(), store.phones()), (key, &phones));
        let file = directory.path().join(FILE);
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn improv_is_off_until_it_is_switched_on_and_then_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path()).unwrap();
        assert!(!store.has_improv());
        store.set_improv(true).unwrap();
        assert!(open(directory.path()).unwrap().has_improv());
        store.set_improv(false).unwrap();
        assert!(!open(directory.path()).unwrap().has_improv());
        let bytes = fs::read_to_string(directory.path().join(FILE)).unwrap();
        assert!(!bytes.contains("improv"), "versions that do not know it can read this");
    }

    #[test]
    fn a_reset_is_remembered_until_everything_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path()).unwrap();
        let key = store.key().public();
        store.set_phones(with_a_phone()).unwrap();
        store.begin_reset().unwrap();
        assert!(open(directory.path()).unwrap().is_resetting());
        store.forget(&mut UnwrapErr(SysRng)).unwrap();

        let store = open(directory.path()).unwrap();
        assert!(!store.is_resetting());
        assert_eq!(store.phones(), &Phones::default());
        assert_ne!(store.key().public(), key);
    }

    #[test]
    fn what_is_no_memory_of_ours_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        for bytes in [&b"not json"[..], b"{}", br#"{"version": 2}"#] {
            fs::write(directory.path().join(FILE), bytes).unwrap();
            assert!(matches!(open(directory.path()), Err(StoreError::Damaged(_))));
            assert_eq!(fs::read(directory.path().join(FILE)).unwrap(), bytes);
        }
    }

    #[test]
    fn what_cannot_be_stored_is_not_believed_either() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path()).unwrap();
        let gone = directory.path().to_owned();
        directory.close().unwrap();
        assert!(store.set_phones(with_a_phone()).is_err());
        assert_eq!(store.phones(), &Phones::default());
        assert!(!gone.exists());
    }
}
