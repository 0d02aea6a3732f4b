//! Everything that is stored in one mounted vault: the database, the caches in front of it, the blobs.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use coffer_crypto::envelope::keys::RootKey;
use lru::LruCache;
use rusqlite::Connection;
use tokio::sync::watch;
use uuid::Uuid;

use super::blobs::Blobs;
use super::byte_cache::ByteCache;
use super::content_io::{ContentReader, ContentWriter, Protection};
use super::sealed::Sealed;
use super::{access, files, keyring, migrate, policy, sessions, users};
use crate::model::access::Viewer;
use crate::model::file::File;
use crate::model::sealing::Blob;
use crate::model::session::SessionOfUser;
use crate::storage::database::{self, Database, DatabaseError};
use crate::storage::journal;

/// File rows kept in memory, about 300 bytes each.
const FILES: NonZeroUsize = NonZeroUsize::new(8192).unwrap();
/// Sessions kept in memory; each request needs one.
const SESSIONS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Small pictures kept in memory: some hundreds of both sizes.
const SMALL_PICTURES_BYTES: usize = 16 * 1024 * 1024;

/// The database file inside the mount point.
const DATABASE: &str = "coffer.db";

/// What the keys of sealed blobs are wrapped under.
pub(crate) struct Roots {
    pub(crate) current: RootKey,
    /// Only when an exchange was interrupted: some keys may be under this one still.
    pub(crate) previous: Option<RootKey>,
}

/// The store of an unlocked vault.
pub(crate) struct Store {
    /// The connection. Writes that change a cached row go through the methods below.
    pub(crate) database: Database,
    /// The contents.
    pub(crate) blobs: Blobs,
    /// What of them is sealed.
    pub(crate) sealed: Sealed,
    /// Contents of small pictures.
    pub(crate) small_pictures: ByteCache,
    mount_point: PathBuf,
    // Filled and emptied by the database's thread alone, so that a row which is read just before it changes cannot
    // be put into the cache just after.
    files: Arc<Mutex<LruCache<Uuid, File>>>,
    sessions: Arc<Mutex<LruCache<Uuid, SessionOfUser>>>,
    // Whether anything is private; unknown at first and after a change. Kept by the same rule.
    anything_private: Arc<Mutex<Option<bool>>>,
    people_changed: watch::Sender<()>,
}

impl Store {
    /// Lays out a new vault and lets `fill` put the first rows in. The vault must be mounted and empty.
    pub(crate) fn create(
        mount_point: &Path,
        fill: impl FnOnce(&Connection) -> Result<(), DatabaseError>,
    ) -> Result<(), StoreError> {
        Blobs::make_directories(mount_point)?;
        let mut connection = database::connect(&mount_point.join(DATABASE))?;
        migrate(&mut connection)?;
        fill(&connection)?;
        connection.close().map_err(|(_, error)| DatabaseError::from(error))?;
        Ok(())
    }

    /// Opens the store of a mounted vault, repairing what a power cut may have torn.
    pub(crate) fn open(mount_point: &Path, roots: Roots) -> Result<Self, StoreError> {
        let path = mount_point.join(DATABASE);
        let repair = journal::repair(&path)?;
        let mut connection = database::connect(&path)?;
        if repair.happened() {
            database::check_integrity(&connection)?;
        }
        database::empty_the_log(&connection)?;
        migrate(&mut connection)?;
        let blobs = Blobs::new(mount_point);
        blobs.make_quarantine()?;
        if let Some(previous) = &roots.previous {
            let transaction = connection.transaction().map_err(DatabaseError::from)?;
            keyring::rewrap(&transaction, &[&roots.current, previous], &roots.current)?;
            transaction.commit().map_err(DatabaseError::from)?;
        }
        let sealed = Sealed::load(&connection, roots.current)?;
        Sealed::repair_headers(&connection, &blobs)?;
        Ok(Self {
            database: Database::start(connection)?,
            blobs,
            sealed,
            small_pictures: ByteCache::new(SMALL_PICTURES_BYTES),
            mount_point: mount_point.to_owned(),
            files: Arc::new(Mutex::new(LruCache::new(FILES))),
            sessions: Arc::new(Mutex::new(LruCache::new(SESSIONS))),
            anything_private: Arc::new(Mutex::new(None)),
            people_changed: watch::Sender::new(()),
        })
    }

    /// Opens a content for reading, as its row says.
    pub(crate) fn content(&self, blob: &Blob) -> io::Result<ContentReader> {
        self.sealed.open(&self.blobs, blob)
    }

    /// Starts a new content.
    pub(crate) fn new_content(&self, protection: Protection) -> io::Result<ContentWriter> {
        self.sealed.create(&self.blobs, protection)
    }

    /// Where the vault is mounted, to ask for its free space.
    pub(crate) fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// Finds a file by its id, when it is there for that viewer. Asks the database only for what is not in memory, and
    /// for who may see it as long as something in the vault is private.
    pub(crate) async fn file(&self, id: Uuid, viewer: Viewer) -> Result<Option<File>, DatabaseError> {
        let cached = lock(&self.files).get(&id).cloned();
        // In this order: nothing was private after the row was read.
        if let Some(file) = cached
            && viewer.scope.is_none()
            && (viewer.sees_all || *lock(&self.anything_private) == Some(false))
        {
            return Ok(Some(file));
        }
        let (cache, anything_private) = (Arc::clone(&self.files), Arc::clone(&self.anything_private));
        self.database
            .read(move |connection| {
                if lock(&anything_private).is_none() {
                    let found = access::is_anything_private(connection)?;
                    *lock(&anything_private) = Some(found);
                }
                let cached = lock(&cache).get(&id).cloned();
                let is_cached = cached.is_some();
                let file = if is_cached { cached } else { files::find(connection, id)? };
                let Some(file) = file.filter(|file| file.trashed.is_none()) else { return Ok(None) };
                if access::access(connection, &viewer, file.folder_id)?.is_none() {
                    return Ok(None);
                }
                // Only what somebody sees is kept, so that nothing is which lies in a folder in the trash.
                if !is_cached {
                    lock(&cache).put(id, file.clone());
                }
                Ok(Some(file))
            })
            .await
    }

    /// Finds a session, valid or not, with the person whose it is.
    pub(crate) async fn session(&self, id: Uuid) -> Result<Option<SessionOfUser>, DatabaseError> {
        if let Some(found) = lock(&self.sessions).get(&id) {
            return Ok(Some(found.clone()));
        }
        let cache = Arc::clone(&self.sessions);
        self.database
            .read(move |connection| {
                let Some(session) = sessions::find(connection, id)? else { return Ok(None) };
                let Some(user) = users::find(connection, session.user_id)? else { return Ok(None) };
                let must_enrol = policy::must_enrol(connection, user.id)?;
                let found = SessionOfUser { session, user, must_enrol };
                lock(&cache).put(id, found.clone());
                Ok(Some(found))
            })
            .await
    }

    /// For use inside a transaction that deletes a file or changes it.
    pub(crate) fn file_forgetter(&self) -> impl Fn(Uuid) + Send + use<> {
        let cache = Arc::clone(&self.files);
        move |id| drop(lock(&cache).pop(&id))
    }

    /// For use inside a transaction that puts a folder into the trash: what lies below it is not there any more, whatever
    /// its rows say.
    pub(crate) fn all_files_forgetter(&self) -> impl Fn() + Send + use<> {
        let cache = Arc::clone(&self.files);
        move || lock(&cache).clear()
    }

    /// For use inside a transaction that makes a folder private or open, or deletes a private one.
    pub(crate) fn privacy_forgetter(&self) -> impl Fn() + Send + use<> {
        let anything_private = Arc::clone(&self.anything_private);
        move || *lock(&anything_private) = None
    }

    /// For use inside a transaction that changes a session.
    pub(crate) fn session_forgetter(&self) -> impl Fn(Uuid) + Send + use<> {
        let (cache, people_changed) = (Arc::clone(&self.sessions), self.people_changed.clone());
        move |id| {
            drop(lock(&cache).pop(&id));
            people_changed.send_replace(());
        }
    }

    /// For use inside a transaction that changes an account, its factors, its sessions or the rules: that is rare, and
    /// to find the sessions that it concerns is not worth the risk of missing one.
    pub(crate) fn people_forgetter(&self) -> impl Fn() + Send + use<> {
        let (cache, people_changed) = (Arc::clone(&self.sessions), self.people_changed.clone());
        move || {
            lock(&cache).clear();
            people_changed.send_replace(());
        }
    }

    /// Hears whenever a forgetter of sessions or people is used: what somebody may do could be another by now. It is
    /// told before the change is committed, and whoever asks the database then is answered after.
    pub(crate) fn people_changed(&self) -> watch::Receiver<()> {
        self.people_changed.subscribe()
    }

    /// How large the database is.
    pub(crate) async fn figures(&self) -> Result<StoreFigures, DatabaseError> {
        let log = database::journal_path(&self.mount_point.join(DATABASE));
        self.database
            .read(move |connection| {
                let (size_bytes, free_bytes) = database::size(connection)?;
                let log_bytes = std::fs::metadata(log).map_or(0, |metadata| metadata.len());
                Ok(StoreFigures { size_bytes, free_bytes, log_bytes })
            })
            .await
    }

    /// What the caches hold, and what they can hold.
    pub(crate) fn cache_fill(&self) -> [(&'static str, usize, usize); 2] {
        [("files", lock(&self.files).len(), FILES.get()), ("sessions", lock(&self.sessions).len(), SESSIONS.get())]
    }

    /// Closes the database and empties the caches. Blocks.
    pub(crate) fn close(&self) {
        self.database.close();
        self.small_pictures.clear();
        self.sealed.clear();
        lock(&self.files).clear();
        lock(&self.sessions).clear();
        *lock(&self.anything_private) = None;
    }
}

/// Sizes of the database.
#[expect(clippy::struct_field_names, reason = "the unit is part of the name")]
pub(crate) struct StoreFigures {
    pub(crate) size_bytes: u64,
    /// Of which so much is not used.
    pub(crate) free_bytes: u64,
    /// The write-ahead log.
    pub(crate) log_bytes: u64,
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the vault's directories cannot be read or written")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use coffer_crypto::envelope::SecretKey;

    use super::*;
    use crate::storage::database::journal_path;

    fn roots() -> Roots {
        Roots { current: RootKey::new(SecretKey::from_slice(&[7; 32]).unwrap()), previous: None }
    }

    #[test]
    fn nothing_is_ever_written_behind_commits_of_an_earlier_life() {
        let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        Store::create(first.path(), |_| Ok(())).unwrap();
        let [old, new] = [&first, &second].map(|dir| dir.path().join(DATABASE));
        let connection = database::connect(&old).unwrap();
        connection.execute_batch("INSERT INTO settings VALUES ('kept', 'yes')").unwrap();
        // As a power cut leaves it: the commit is in the log alone.
        fs::copy(&old, &new).unwrap();
        fs::copy(journal_path(&old), journal_path(&new)).unwrap();

        let store = Store::open(second.path(), roots()).unwrap();
        assert_eq!(fs::metadata(journal_path(&new)).unwrap().len(), 0);
        store.close();
        let kept: String = Connection::open(&new)
            .unwrap()
            .query_row("SELECT value FROM settings WHERE key = 'kept'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, "yes");
    }

    #[tokio::test]
    async fn a_known_file_costs_no_query_while_nothing_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let (user, folder, file) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        Store::create(directory.path(), |connection| {
            let sql = format!(
                "INSERT INTO users (id, username, display_name, password_hash, role, active, created_at)
                     VALUES ('{user}', 'bob_', 'bob', '', 'writer', 1, 0);
                 INSERT INTO folders (id, name, created_at, created_by) VALUES ('{folder}', 'f', 0, '{user}');
                 INSERT INTO contents (blob_id, size_bytes, sha256, media_type, created_at)
                 VALUES ('{blob}', 0, '{sha256}', '', 0);
                 INSERT INTO files VALUES ('{file}', '{folder}', 'f', 0, '{user}', 1, '{blob}', 0, '{sha256}', '', 0, '{user}',
                                           NULL, NULL);",
                blob = "0".repeat(32),
                sha256 = "0".repeat(64)
            );
            Ok(connection.execute_batch(&sql)?)
        })
        .unwrap();
        let viewer = Viewer { user_id: user, sees_all: false, may_write: true, edits_all: false, scope: None };
        let admin = Viewer { sees_all: true, ..viewer };
        let scoped = Viewer { scope: Some(folder), ..viewer };
        let answers = async |store: &Store| {
            let mut answers = Vec::new();
            for viewer in [viewer, admin, scoped] {
                answers.push(store.file(file, viewer).await.map(|file| file.is_some()).ok());
            }
            answers
        };
        let set = async |store: &Store, private| {
            let forget = store.privacy_forgetter();
            let set = store.database.write(move |transaction| {
                forget();
                access::set(transaction, folder, None, private, &[])
            });
            set.await.unwrap();
        };

        let store = Store::open(directory.path(), roots()).unwrap();
        assert_eq!(answers(&store).await, [Some(true); 3]);
        set(&store, true).await;
        assert_eq!(answers(&store).await, [Some(false), Some(true), Some(false)]);
        set(&store, false).await;
        assert_eq!(answers(&store).await, [Some(true); 3]);
        // Only what needs no query is answered now.
        store.database.close();
        assert_eq!(answers(&store).await, [Some(true), Some(true), None]);

        let store = Store::open(directory.path(), roots()).unwrap();
        set(&store, true).await;
        assert_eq!(answers(&store).await, [Some(false), Some(true), Some(false)]);
        store.database.close();
        assert_eq!(answers(&store).await, [None, Some(true), None]);
    }
}
