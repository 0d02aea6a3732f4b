//! Contents on disk: `blobs/ab/<id>`, written once under a fresh name and never changed in place.
//!
//! Every call here blocks. The 256 directories are made once, when the vault is: no `mkdir` in the life of a store.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use log::warn;

use crate::model::clock::system_rng;
use crate::model::file::BlobId;
use crate::storage::durable;

/// The directory of contents inside the mount point.
const DIRECTORY: &str = "blobs";

/// The contents of one mounted vault.
pub(crate) struct Blobs {
    root: PathBuf,
    /// Blobs that are being written: they have no row yet and must not be taken for orphans.
    in_flight: Arc<Mutex<HashSet<BlobId>>>,
}

impl Blobs {
    /// The contents below that mount point.
    pub(crate) fn new(mount_point: &Path) -> Self {
        Self { root: mount_point.join(DIRECTORY), in_flight: Arc::default() }
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

    /// Whether a content is being written.
    pub(crate) fn is_writing(&self) -> bool {
        !lock(&self.in_flight).is_empty()
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
            .mode(0o600)
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

    /// Removes a content that no row names any more. One that is gone already is fine.
    pub(crate) fn remove(&self, id: &BlobId) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The contents of one of the 256 directories that are not being written right now. What an interrupted
    /// [`Blobs::replace_whole`] left is removed.
    pub(crate) fn settled(&self, directory: u8) -> io::Result<Vec<BlobId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(self.root.join(format!("{directory:02x}")))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            ids.extend(BlobId::parse(name));
            if let Some(id) = name.strip_suffix(".new").and_then(BlobId::parse) {
                let in_flight = lock(&self.in_flight);
                if !in_flight.contains(&id) {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        // Looked at after the directory was read: a content that was begun later is not in the list, and one that
        // was finished in between has its row by the time the caller asks the database.
        let in_flight = lock(&self.in_flight);
        ids.retain(|id| !in_flight.contains(id));
        Ok(ids)
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

    /// Call this once the row is committed.
    pub(crate) fn keep(mut self) {
        self.reservation.keep = true;
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
        stored.keep();
        assert_eq!(fs::read(blobs.path(&id)).unwrap(), b"content");
        assert_eq!(count(&blobs), 1);

        drop(blobs.create().unwrap());
        drop(blobs.create().unwrap().finish().unwrap());
        assert_eq!(count(&blobs), 1);

        blobs.remove(&id).unwrap();
        blobs.remove(&id).unwrap();
        assert_eq!(count(&blobs), 0);
    }
}
