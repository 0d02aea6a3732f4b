//! Contents on disk: `blobs/ab/<id>`, written once under a fresh name and never changed in place.
//!
//! A content that no row names yet says so itself: it has the sticky bit, which is taken off once its row is committed. So
//! what an interrupted upload left is told from what lost its row. The latter is never removed; it lies in `quarantine/`.
//!
//! Every call here blocks. The 256 directories are made once, when the vault is: no `mkdir` in the life of a store.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use log::warn;

use crate::model::clock::system_rng;
use crate::model::file::BlobId;
use crate::storage::durable;

/// The directory of contents inside the mount point.
const DIRECTORY: &str = "blobs";

/// Where contents lie that have no row, and of which nothing says that they may go.
const QUARANTINE: &str = "quarantine";

/// The mode of a content.
const STORED: u32 = 0o600;

/// The mode of a content that no row names yet. The sticky bit means nothing else on a file.
const NEW: u32 = STORED | STICKY;

const STICKY: u32 = 0o1000;

/// The contents of one mounted vault.
pub(crate) struct Blobs {
    root: PathBuf,
    quarantine: PathBuf,
    /// Blobs that are being written: they have no row yet and must not be taken for orphans.
    in_flight: Arc<Mutex<HashSet<BlobId>>>,
}

impl Blobs {
    /// The contents below that mount point.
    pub(crate) fn new(mount_point: &Path) -> Self {
        let [root, quarantine] = [DIRECTORY, QUARANTINE].map(|name| mount_point.join(name));
        Self { root, quarantine, in_flight: Arc::default() }
    }

    /// Makes the directories. The caller syncs the cipher directory's file system afterwards.
    pub(crate) fn make_directories(mount_point: &Path) -> io::Result<()> {
        let root = mount_point.join(DIRECTORY);
        fs::create_dir(&root)?;
        for number in 0..=u8::MAX {
            fs::create_dir(root.join(format!("{number:02x}")))?;
        }
        Ok(())
    }

    /// Makes the quarantine, unless it is there.
    pub(super) fn make_quarantine(&self) -> io::Result<()> {
        match fs::create_dir(&self.quarantine) {
            Ok(()) => durable::sync_parent(&self.quarantine),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Starts a new content.
    pub(crate) fn create(&self) -> io::Result<BlobWriter> {
        let id = BlobId::generate(&mut system_rng());
        let path = self.path(&id);
        lock(&self.in_flight).insert(id.clone());
        let reservation = Reservation { id, path, in_flight: Arc::clone(&self.in_flight), keep: false };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(NEW)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&reservation.path)?;
        Ok(BlobWriter { file, reservation })
    }

    /// Opens a content that is not complete, to go on behind its first `length` bytes. The rest is cut off.
    pub(crate) fn reopen(&self, id: &BlobId, length: u64) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).custom_flags(nix::libc::O_NOFOLLOW).open(self.path(id))?;
        if file.metadata()?.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.set_len(length)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    /// Takes a content that a row names already, for another row to name it. It stays, whatever becomes of that.
    pub(crate) fn adopt(&self, id: BlobId) -> Stored {
        let path = self.path(&id);
        lock(&self.in_flight).insert(id.clone());
        Stored { reservation: Reservation { id, path, in_flight: Arc::clone(&self.in_flight), keep: true } }
    }

    /// A row names this content.
    pub(crate) fn note_named(&self, id: &BlobId) -> io::Result<()> {
        note_named(&self.path(id))
    }

    /// Whether a content says that no row ever named it.
    pub(crate) fn is_new(&self, id: &BlobId) -> io::Result<bool> {
        Ok(fs::symlink_metadata(self.path(id))?.permissions().mode() & STICKY != 0)
    }

    /// Puts a content that no row names where nothing is removed.
    pub(crate) fn quarantine(&self, id: &BlobId) -> io::Result<()> {
        durable::rename(&self.path(id), &self.quarantine.join(id.as_str()))
    }

    /// What lies in quarantine.
    pub(crate) fn quarantined(&self) -> io::Result<Vec<BlobId>> {
        let mut ids = Vec::new();
        let entries = match fs::read_dir(&self.quarantine) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ids),
            Err(error) => return Err(error),
        };
        for entry in entries {
            ids.extend(entry?.file_name().to_str().and_then(BlobId::parse));
        }
        Ok(ids)
    }

    /// Opens what lies in quarantine.
    pub(super) fn open_quarantined(&self, id: &BlobId) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(nix::libc::O_NOFOLLOW).open(self.quarantine.join(id.as_str()))
    }

    /// Opens a content for reading.
    pub(crate) fn open(&self, id: &BlobId) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(self.path(id))
    }

    /// Opens a sealed content to write its header anew.
    pub(super) fn open_for_header(&self, id: &BlobId) -> io::Result<File> {
        OpenOptions::new().write(true).custom_flags(nix::libc::O_NOFOLLOW).open(self.path(id))
    }

    /// Puts other bytes in the place of a content: all of them, or none.
    pub(super) fn replace_whole(&self, id: &BlobId, bytes: &[u8]) -> io::Result<()> {
        lock(&self.in_flight).insert(id.clone());
        let replaced = durable::replace_file(&self.path(id), bytes);
        lock(&self.in_flight).remove(id);
        replaced
    }

    /// Those of the contents that are gone, also after a power cut.
    pub(crate) fn gone(&self, ids: Vec<BlobId>) -> io::Result<Vec<BlobId>> {
        let mut gone = Vec::new();
        for id in ids {
            if !fs::exists(self.path(&id))? {
                gone.push(id);
            }
        }
        let directories: HashSet<PathBuf> = gone.iter().map(|id| self.root.join(id.directory())).collect();
        directories.iter().try_for_each(|directory| durable::sync_directory(directory))?;
        Ok(gone)
    }

    /// Removes a content that no row names any more. One that is gone already is fine.
    pub(crate) fn remove(&self, id: &BlobId) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes what interrupted [`Blobs::replace_whole`]s left in one of the 256 directories.
    pub(crate) fn remove_replacements(&self, directory: u8) -> io::Result<()> {
        for entry in fs::read_dir(self.directory(directory))? {
            let entry = entry?;
            let replaced =
                entry.file_name().to_str().and_then(|name| name.strip_suffix(".new")).and_then(BlobId::parse);
            if let Some(id) = replaced {
                let in_flight = lock(&self.in_flight);
                if !in_flight.contains(&id) {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// The contents of one of the 256 directories that are not being written right now.
    pub(crate) fn settled(&self, directory: u8) -> io::Result<Vec<BlobId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(self.directory(directory))? {
            ids.extend(entry?.file_name().to_str().and_then(BlobId::parse));
        }
        // Looked at after the directory was read: a content that was begun later is not in the list, and one that
        // was finished in between has its row by the time the caller asks the database.
        let in_flight = lock(&self.in_flight);
        ids.retain(|id| !in_flight.contains(id));
        Ok(ids)
    }

    fn directory(&self, number: u8) -> PathBuf {
        self.root.join(format!("{number:02x}"))
    }

    fn path(&self, id: &BlobId) -> PathBuf {
        self.root.join(id.directory()).join(id.as_str())
    }
}

/// A content being written. Dropped before [`Stored::keep`], it leaves nothing behind.
pub(crate) struct BlobWriter {
    file: File,
    reservation: Reservation,
}

impl BlobWriter {
    /// Its name.
    pub(super) fn id(&self) -> &BlobId {
        &self.reservation.id
    }

    /// Appends. gocryptfs is fast only when this is large and starts at a multiple of 4096.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Brings the content to the disk, name and all.
    pub(crate) fn finish(self) -> io::Result<Stored> {
        self.file.sync_all()?;
        if let Some(directory) = self.reservation.path.parent() {
            durable::sync_directory(directory)?;
        }
        Ok(Stored { reservation: self.reservation })
    }
}

/// A content on disk that no row names yet. Dropped without [`Stored::keep`], it is removed.
pub(crate) struct Stored {
    reservation: Reservation,
}

impl Stored {
    /// Its name.
    pub(crate) fn id(&self) -> &BlobId {
        &self.reservation.id
    }

    /// Call this once the row is committed. From then on it stays; that it is named is still to be noted.
    pub(crate) fn keep(mut self) -> Named {
        self.reservation.keep = true;
        Named(self.reservation.path.clone())
    }
}

/// A content that a row names since a moment ago.
#[must_use]
pub(crate) struct Named(PathBuf);

impl Named {
    /// Lets the content say so. When this does not come about the sweep does it.
    pub(crate) fn note(self) -> io::Result<()> {
        note_named(&self.0)
    }
}

fn note_named(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & STICKY != 0 => {
            fs::set_permissions(path, Permissions::from_mode(STORED))
        }
        // It was deleted meanwhile.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

struct Reservation {
    id: BlobId,
    path: PathBuf,
    in_flight: Arc<Mutex<HashSet<BlobId>>>,
    keep: bool,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(error:% = error; "an abandoned upload was not removed; the next unlock will do it");
        }
        lock(&self.in_flight).remove(&self.id);
    }
}

fn lock(in_flight: &Mutex<HashSet<BlobId>>) -> MutexGuard<'_, HashSet<BlobId>> {
    in_flight.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs() -> (tempfile::TempDir, Blobs) {
        let dir = tempfile::tempdir().unwrap();
        Blobs::make_directories(dir.path()).unwrap();
        let blobs = Blobs::new(dir.path());
        (dir, blobs)
    }

    fn count(blobs: &Blobs) -> usize {
        (0..=u8::MAX).map(|directory| blobs.settled(directory).unwrap().len()).sum()
    }

    #[test]
    fn what_is_kept_stays_and_what_is_dropped_goes() {
        let (_dir, blobs) = blobs();
        let mut writer = blobs.create().unwrap();
        writer.write(b"content").unwrap();
        assert_eq!(count(&blobs), 0, "in flight is not settled");
        let stored = writer.finish().unwrap();
        let id = stored.id().clone();
        assert!(blobs.is_new(&id).unwrap());
        let named = stored.keep();
        assert!(blobs.is_new(&id).unwrap(), "a cut may come here");
        named.note().unwrap();
        blobs.note_named(&id).unwrap();
        assert!(!blobs.is_new(&id).unwrap());
        assert_eq!(fs::read(blobs.path(&id)).unwrap(), b"content");
        assert_eq!(count(&blobs), 1);

        drop(blobs.create().unwrap());
        drop(blobs.create().unwrap().finish().unwrap());
        assert_eq!(count(&blobs), 1);

        blobs.remove(&id).unwrap();
        blobs.remove(&id).unwrap();
        assert_eq!(count(&blobs), 0);
        assert_eq!(blobs.gone(vec![id.clone()]).unwrap(), vec![id.clone()]);
        blobs.note_named(&id).unwrap();
    }

    #[test]
    fn what_is_in_quarantine_is_whole_and_in_no_directory() {
        let (_dir, blobs) = blobs();
        blobs.make_quarantine().unwrap();
        blobs.make_quarantine().unwrap();
        let mut writer = blobs.create().unwrap();
        writer.write(b"content").unwrap();
        let stored = writer.finish().unwrap();
        let id = stored.id().clone();
        stored.keep().note().unwrap();
        assert_eq!(blobs.gone(vec![id.clone()]).unwrap(), []);
        blobs.quarantine(&id).unwrap();
        assert_eq!((count(&blobs), blobs.quarantined().unwrap()), (0, vec![id.clone()]));
        let mut content = String::new();
        io::Read::read_to_string(&mut blobs.open_quarantined(&id).unwrap(), &mut content).unwrap();
        assert_eq!(content, "content");
    }
}
