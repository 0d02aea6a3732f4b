//! The boxes that this machine knows: for each a key of its own, and the box's key, by which it is known again.
//!
//! One file, which only its owner may read, replaced as a whole. A key is on disk before it is shown to a box: else a power
//! cut could leave a box with an owner whom nobody can be.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use coffer_api::SecretString;
use coffer_crypto::channel::{PublicKey, StaticKey};
use data_encoding::BASE64URL_NOPAD;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use uuid::Uuid;
use zeroize::Zeroizing;

const FILE: &str = "boxes.json";
const LOCK: &str = "boxes.lock";
const LAYOUT: u32 = 1;
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The file.
#[derive(Debug)]
pub struct Boxes {
    directory: PathBuf,
}

/// A box that was met.
#[derive(Clone)]
pub struct Known {
    /// Which.
    pub device_id: Uuid,
    /// Its name on the air, when it was met last.
    pub name: String,
    /// This machine's key for it.
    pub key: StaticKey,
    /// Its own; absent until there was a session.
    pub box_key: Option<PublicKey>,
}

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BoxesError {
    /// It cannot be read.
    #[error("reading {}: {source}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what this program wrote.
    #[error("{} is damaged, or of a newer version; it holds the keys of your boxes, so it was left alone", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("writing {}: {source}", .path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    layout: u32,
    boxes: Vec<StoredBox>,
}

#[derive(Serialize, Deserialize)]
struct StoredBox {
    device_id: Uuid,
    name: String,
    key: SecretString,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    box_key: Option<PublicKey>,
}

impl Boxes {
    /// Those that are kept in a directory, which is made when there is something to keep.
    pub fn in_directory(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// All of them.
    pub fn all(&self) -> Result<Vec<Known>, BoxesError> {
        let path = self.path();
        let bytes = match fs::metadata(&path).and_then(|metadata| read(&path, metadata.len())) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(BoxesError::Read { path, source }),
        };
        let stored: Option<Stored> = serde_json::from_slice(&bytes).ok();
        stored
            .filter(|stored| stored.layout == LAYOUT)
            .and_then(|stored| stored.boxes.into_iter().map(Known::from_stored).collect())
            .ok_or(BoxesError::Damaged { path })
    }

    /// The one with this id.
    pub fn get(&self, device_id: Uuid) -> Result<Option<Known>, BoxesError> {
        Ok(self.all()?.into_iter().find(|known| known.device_id == device_id))
    }

    /// The one with this id, which is made known if it is not.
    pub fn get_or_add(&self, device_id: Uuid, name: &str, rng: &mut impl CryptoRng) -> Result<Known, BoxesError> {
        let _lock = self.lock()?;
        let mut boxes = self.all()?;
        if let Some(known) = boxes.iter().find(|known| known.device_id == device_id) {
            return Ok(known.clone());
        }
        let known = Known { device_id, name: name.to_owned(), key: StaticKey::generate(rng), box_key: None };
        boxes.push(known.clone());
        self.replace(&boxes)?;
        Ok(known)
    }

    /// Remembers the key that a box showed.
    pub fn pin(&self, device_id: Uuid, name: &str, box_key: PublicKey) -> Result<(), BoxesError> {
        let _lock = self.lock()?;
        let mut boxes = self.all()?;
        for known in boxes.iter_mut().filter(|known| known.device_id == device_id) {
            known.box_key = Some(box_key);
            name.clone_into(&mut known.name);
        }
        self.replace(&boxes)
    }

    /// Forgets a box, and the key for it. False if it is not known.
    pub fn forget(&self, device_id: Uuid) -> Result<bool, BoxesError> {
        let _lock = self.lock()?;
        let mut boxes = self.all()?;
        let before = boxes.len();
        boxes.retain(|known| known.device_id != device_id);
        let was_known = boxes.len() < before;
        if was_known {
            self.replace(&boxes)?;
        }
        Ok(was_known)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Held while the file is read and replaced: two programs may run at once.
    fn lock(&self) -> Result<File, BoxesError> {
        let path = self.directory.join(LOCK);
        let open = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(|source| BoxesError::Write { path: path.clone(), source })
    }

    fn replace(&self, boxes: &[Known]) -> Result<(), BoxesError> {
        let path = self.path();
        self.write(boxes, &path).map_err(|source| BoxesError::Write { path, source })
    }

    fn write(&self, boxes: &[Known], path: &Path) -> io::Result<()> {
        let stored = Stored { layout: LAYOUT, boxes: boxes.iter().map(Known::to_stored).collect() };
        let json = Zeroizing::new(serde_json::to_vec_pretty(&stored)?);
        // Made with mode 0600, as `tempfile` does.
        let mut file = NamedTempFile::new_in(&self.directory)?;
        file.write_all(&json)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(&self.directory)?.sync_all()
    }
}

impl Known {
    fn from_stored(stored: StoredBox) -> Option<Self> {
        let key = Zeroizing::new(BASE64URL_NOPAD.decode(stored.key.expose().as_bytes()).ok()?);
        let key: Zeroizing<[u8; 32]> = Zeroizing::new(key.as_slice().try_into().ok()?);
        let StoredBox { device_id, name, box_key, .. } = stored;
        Some(Self { device_id, name, key: StaticKey::from(*key), box_key })
    }

    fn to_stored(&self) -> StoredBox {
        let key = SecretString::new(BASE64URL_NOPAD.encode(self.key.to_bytes().as_slice()));
        StoredBox { device_id: self.device_id, name: self.name.clone(), key, box_key: self.box_key }
    }
}

fn read(path: &Path, size_bytes: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    if size_bytes > MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    fs::read(path).map(Zeroizing::new)
}
