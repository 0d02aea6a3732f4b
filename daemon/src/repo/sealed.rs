//! Which blobs are sealed in one unlocked vault, by whom they are opened, and what became of those that were sealed anew.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use coffer_crypto::envelope::keys::{KeyEncryptionKey, RootKey};
use coffer_crypto::envelope::v2::{Header, HeaderSize};
use coffer_crypto::envelope::{self, v1};
use lru::LruCache;
use rusqlite::Connection;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::blobs::Blobs;
use super::content_io::{self, ContentReader, ContentWriter, Copied, FaultReport, Protection, SealFault, fault};
use super::keyring::{Keyring, SealWith};
use super::{seals, settings};
use crate::model::clock::system_rng;
use crate::model::file::BlobId;
use crate::model::sealing::{Blob, Seal, SealMethod};
use crate::storage::database::DatabaseError;

/// Blobs that were sealed anew under another name while this vault is unlocked; whoever has the old name, and opens it late,
/// gets the new one. About 200 bytes each.
const MOVED: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// Faults that wait to be written down; more are only logged.
const FAULTS: usize = 64;

/// The setting by which contents that are not sealed are refused.
pub(crate) const ONLY_SEALED: &str = "only_sealed";

/// Sealed blobs of an unlocked vault.
pub(crate) struct Sealed {
    pub(crate) keyring: Keyring,
    refuses_plain: AtomicBool,
    moved: Mutex<LruCache<BlobId, Blob>>,
    /// A header is read as it is written, whole.
    headers: RwLock<()>,
    faults: mpsc::Sender<BlobId>,
    heard: Mutex<Option<mpsc::Receiver<BlobId>>>,
}

/// The new header of a blob, which is not written yet.
pub(crate) struct NewHeader {
    pub(crate) header: Header,
    pub(crate) seal: Seal,
    /// It is in the file already; only the row does not say so.
    pub(crate) is_there: bool,
}

impl NewHeader {
    /// Whether it is written over the old one, which a power cut may tear.
    pub(crate) fn is_written_in_place(&self) -> bool {
        !self.is_there && self.header.size() == HeaderSize::Block
    }
}

/// What the bytes of a blob without a row look like. Only what authenticates is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    /// It opens under one of our keys, as the blob of that name.
    Ours,
    /// It opens under one of the keys that are kept, as a file of Storm Cloud's.
    StormClouds,
    /// It begins as a sealed file, and opens under no key.
    LooksSealed,
    Other,
}

impl Sealed {
    /// Opens the keys.
    pub(crate) fn load(connection: &Connection, root: RootKey) -> Result<Self, DatabaseError> {
        let keyring = Keyring::load(connection, root)?;
        let refuses_plain = settings::get(connection, ONLY_SEALED)?.as_deref() == Some("true");
        let (faults, heard) = mpsc::channel(FAULTS);
        let sealed = Self {
            keyring,
            refuses_plain: AtomicBool::new(refuses_plain),
            moved: Mutex::new(LruCache::new(MOVED)),
            headers: RwLock::new(()),
            faults,
            heard: Mutex::new(Some(heard)),
        };
        Ok(sealed)
    }

    /// Brings headers to the disk that a power cut may have torn. Nobody else may use the vault yet.
    pub(crate) fn repair_headers(connection: &Connection, blobs: &Blobs) -> Result<(), DatabaseError> {
        for header in seals::journalled(connection)? {
            // One that cannot be written stays in the journal: the next unlock tries again.
            match blobs.open_for_header(&header.blob).and_then(|file| write_core(&file, &header.core)) {
                Ok(()) => seals::header_written(connection, &header.blob, &header.key_id, header.key_generation)?,
                Err(error) => log::error!(error:% = error, blob = header.blob.as_str(); "a header was not repaired"),
            }
        }
        Ok(())
    }

    /// Opens a content for reading, wherever it lies by now.
    pub(crate) fn open(&self, blobs: &Blobs, blob: &Blob) -> io::Result<ContentReader> {
        let mut wanted = blob.clone();
        loop {
            match self.open_there(blobs, &wanted) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    wanted = self.moved(&wanted.id).ok_or(error)?;
                }
                other => return other,
            }
        }
    }

    fn open_there(&self, blobs: &Blobs, blob: &Blob) -> io::Result<ContentReader> {
        let report = FaultReport::new(blob.id.clone(), self.faults.clone());
        let file = blobs.open(&blob.id)?;
        if blob.seal.is_none() && self.refuses_plain() {
            return Err(report.pass(SealFault::NotSealed.into()));
        }
        // The first format is read as a whole, and has no header that changes.
        let is_ours = blob.seal.as_ref().is_some_and(|seal| seal.version == 2);
        let _whole = is_ours.then(|| self.headers.read().unwrap_or_else(PoisonError::into_inner));
        ContentReader::open(file, blob, &self.keyring)
            .map(|reader| reader.reporting(report.clone()))
            .map_err(|error| report.pass(error))
    }

    /// Starts a new content.
    pub(crate) fn create(&self, blobs: &Blobs, protection: Protection) -> io::Result<ContentWriter> {
        if matches!(protection, Protection::None) && self.refuses_plain() {
            return Err(SealFault::NotSealed.into());
        }
        ContentWriter::create(blobs, protection)
    }

    /// Whether contents that are not sealed are refused.
    pub(crate) fn refuses_plain(&self) -> bool {
        self.refuses_plain.load(Ordering::Relaxed)
    }

    /// From now on contents that are not sealed are refused.
    pub(crate) fn refuse_plain(&self) {
        self.refuses_plain.store(true, Ordering::Relaxed);
    }

    /// Whoever asks for the old blob gets the new one.
    pub(crate) fn note_move(&self, old: BlobId, new: Blob) {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).put(old, new);
    }

    fn moved(&self, old: &BlobId) -> Option<Blob> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).get(old).cloned()
    }

    /// The blobs that do not open, as they are found. For one listener.
    pub(crate) fn faults(&self) -> Option<mpsc::Receiver<BlobId>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The header of a blob under another key, when it has one of ours.
    pub(crate) fn rewrapped(
        &self,
        blobs: &Blobs,
        blob: &Blob,
        new: &KeyEncryptionKey,
    ) -> io::Result<Option<NewHeader>> {
        let Some(seal) = blob.seal.as_ref().filter(|seal| seal.version == 2) else { return Ok(None) };
        let file = blobs.open(&blob.id)?;
        let length = file.metadata()?.len();
        let mut source = |offset, out: &mut [u8]| file.read_exact_at(out, offset);
        let old = Header::read(length, &mut source).map_err(fault)?;
        let seal =
            Seal { key_id: Some(new.id().as_str().to_owned()), key_generation: new.generation(), ..seal.clone() };
        if (old.key_id(), old.generation()) == (new.id(), new.generation()) {
            return Ok(Some(NewHeader { header: old, seal, is_there: true }));
        }
        let key = self.keyring.get(old.key_id(), old.generation()).ok_or(SealFault::KeyGone)?;
        // The body is opened as well: what is damaged is not given another header.
        old.open(&key, blob.id.uuid(), length, &mut source).map_err(fault)?;
        let header = old.rewrap(&key, new, &mut system_rng()).map_err(fault)?;
        Ok(Some(NewHeader { header, seal, is_there: false }))
    }

    /// What the bytes of a blob look like, whatever its row says.
    pub(crate) fn guess(&self, blobs: &Blobs, id: &BlobId) -> io::Result<Guess> {
        let file = blobs.open(id)?;
        self.guess_file(&file, Some(id.uuid()))
    }

    /// The same of a blob in quarantine; and its length.
    pub(crate) fn guess_quarantined(&self, blobs: &Blobs, id: &BlobId) -> io::Result<(Guess, u64)> {
        let file = blobs.open_quarantined(id)?;
        Ok((self.guess_file(&file, Some(id.uuid()))?, file.metadata()?.len()))
    }

    /// What the bytes of a file look like. Of our own format only the blob of that id is accepted, if one is given.
    pub(crate) fn guess_file(&self, file: &File, blob_id: Option<Uuid>) -> io::Result<Guess> {
        let length = file.metadata()?.len();
        let mut source = |offset, out: &mut [u8]| file.read_exact_at(out, offset);
        match Header::read(length, &mut source) {
            Ok(header) => {
                let key = self.keyring.get(header.key_id(), header.generation());
                let blob_id = blob_id.unwrap_or_else(|| header.blob_id());
                let opened = key.is_some_and(|key| header.open(&key, blob_id, length, &mut source).is_ok());
                return Ok(if opened { Guess::Ours } else { Guess::LooksSealed });
            }
            Err(envelope::Error::Io(error)) => return Err(error),
            Err(envelope::Error::NotSealed) => {}
            Err(_) => return Ok(Guess::LooksSealed),
        }
        let mut first = [0];
        if length < v1::OVERHEAD_BYTES || file.read_exact_at(&mut first, 0).is_err() || first != [1] {
            return Ok(Guess::Other);
        }
        let keys = self.keyring.all();
        let opens = keys.iter().any(|key| v1::Reader::open(&key.as_v1(0), length, &mut source).is_ok());
        Ok(if opens { Guess::StormClouds } else { Guess::LooksSealed })
    }

    /// What the row of a file of Storm Cloud's says that opens under a key of ours.
    pub(crate) fn v1_seal(&self, file: &File) -> io::Result<Option<Seal>> {
        let length = file.metadata()?.len();
        let mut source = |offset, out: &mut [u8]| file.read_exact_at(out, offset);
        let keys = self.keyring.all();
        let key = keys.iter().find(|key| v1::Reader::open(&key.as_v1(0), length, &mut source).is_ok());
        Ok(key.map(|key| Seal {
            method: SealMethod::Server,
            version: 1,
            key_id: Some(key.id().as_str().to_owned()),
            key_generation: key.generation(),
            encrypted_bytes: length,
        }))
    }

    /// Brings a new header to the disk. One that shares its block with the body makes a new file of the same name; any other
    /// is written in its place, and has to be in the journal.
    pub(crate) fn write_header(&self, blobs: &Blobs, blob: &BlobId, header: &Header) -> io::Result<()> {
        let core = header.core();
        match header.size() {
            HeaderSize::Block => {
                let file = blobs.open_for_header(blob)?;
                let whole = self.headers.write().unwrap_or_else(PoisonError::into_inner);
                file.write_all_at(&core, 0)?;
                drop(whole);
                file.sync_data()
            }
            HeaderSize::Compact => {
                let mut bytes = Vec::new();
                io::Read::read_to_end(&mut blobs.open(blob)?, &mut bytes)?;
                bytes.get_mut(..core.len()).ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(&core);
                blobs.replace_whole(blob, &bytes)
            }
        }
    }

    /// A fresh blob of the same content, sealed with that. Nobody names it yet. `None` when `stop` says so.
    pub(crate) fn seal_anew(
        &self,
        blobs: &Blobs,
        blob: &Blob,
        with: SealWith,
        stop: &dyn Fn() -> bool,
    ) -> io::Result<Option<Copied>> {
        let mut reader = self.open(blobs, blob)?;
        content_io::copy(&mut reader, ContentWriter::create(blobs, Protection::Seal(with))?, stop)
    }

    /// The same, of an upload that is complete. It is not a content yet, and need not be sealed.
    pub(crate) fn seal_upload(
        &self,
        blobs: &Blobs,
        blob: &Blob,
        with: SealWith,
        stop: &dyn Fn() -> bool,
    ) -> io::Result<Option<Copied>> {
        let mut reader = ContentReader::open(blobs.open(&blob.id)?, blob, &self.keyring)?;
        content_io::copy(&mut reader, ContentWriter::create(blobs, Protection::Seal(with))?, stop)
    }

    /// Forgets every key.
    pub(crate) fn clear(&self) {
        self.keyring.clear();
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn write_core(file: &File, core: &[u8]) -> io::Result<()> {
    file.write_all_at(core, 0)?;
    file.sync_data()
}
