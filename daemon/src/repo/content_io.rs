//! The one way to the bytes of a content: opens what is sealed and seals what is to be, by what its row says.
//!
//! Every call here blocks. Nothing is given out before it was authenticated.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use coffer_crypto::envelope::keys::{KeyEncryptionKey, KeyId};
use coffer_crypto::envelope::v2::{self, Header, HeaderSize};
use coffer_crypto::envelope::{self, chunked, v1};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::blobs::{BlobWriter, Blobs, Stored};
use super::keyring::{Keyring, SealWith};
use crate::model::clock::system_rng;
use crate::model::file::BlobId;
use crate::model::sealing::{Blob, Seal};

/// What gocryptfs writes at once. A write that starts elsewhere makes it read first.
const BLOCK_BYTES: usize = 4096;

/// From here on a content is long enough for a header of its own block.
#[expect(clippy::cast_possible_truncation, reason = "a MiB")]
const LONG_BYTES: usize = HeaderSize::BLOCK_FROM_BYTES as usize;

/// Why a sealed content does not open. Never given out: its bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealFault {
    /// Its key was deleted, or never was here.
    #[error("its key is not there")]
    KeyGone,
    /// The file is sealed under a key of another name than its row says.
    #[error("it is not sealed under the key that it should be")]
    OtherKey,
    /// The row says that it is not sealed, and the vault holds sealed contents only.
    #[error("it is not sealed, and the vault holds sealed contents only")]
    NotSealed,
    /// It does not authenticate.
    #[error("{0}")]
    Refused(#[source] envelope::Error),
}

impl SealFault {
    /// The fault that an error is about, if it is about one.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<SealFault> for io::Error {
    fn from(fault: SealFault) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

/// What a reader of sealed files says, as an error of reading.
pub(super) fn fault(error: envelope::Error) -> io::Error {
    match error {
        envelope::Error::Io(error) => error,
        refused => SealFault::Refused(refused).into(),
    }
}

/// Tells whoever listens that a blob does not open.
#[derive(Clone)]
pub(crate) struct FaultReport {
    blob: BlobId,
    listener: mpsc::Sender<BlobId>,
}

impl FaultReport {
    /// For that blob.
    pub(super) fn new(blob: BlobId, listener: mpsc::Sender<BlobId>) -> Self {
        Self { blob, listener }
    }

    /// Passes an error on; reports it when it is about a seal.
    pub(super) fn pass(&self, error: io::Error) -> io::Error {
        if let Some(fault) = SealFault::of(&error) {
            log::error!(error:% = fault, blob = self.blob.as_str(); "a sealed content does not open");
            // Nobody listens any more when the vault is being locked; and a flood says no more than its beginning.
            drop(self.listener.try_send(self.blob.clone()));
        }
        error
    }
}

/// A content that was opened. One that is sealed keeps the keys of its own body, and no other.
pub(crate) struct ContentReader {
    file: File,
    how: How,
    content_bytes: u64,
    /// Where [`Read`] goes on.
    position: u64,
    report: Option<FaultReport>,
}

enum How {
    Plain,
    V1(Box<v1::Reader>),
    V2(Box<chunked::Reader>),
}

impl ContentReader {
    /// Opens the file of a blob as its row says. One of the first format is read as a whole for it.
    pub(crate) fn open(file: File, blob: &Blob, keys: &Keyring) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut source = |offset, out: &mut [u8]| file.read_exact_at(out, offset);
        let (how, content_bytes) = match &blob.seal {
            None => (How::Plain, length),
            Some(seal) if seal.is_clients() => (How::Plain, length),
            Some(seal) if seal.version == 1 => {
                let reader = v1::Reader::open(&key_of(seal, keys)?.as_v1(0), length, &mut source).map_err(fault)?;
                let content_bytes = reader.content_bytes();
                (How::V1(Box::new(reader)), content_bytes)
            }
            Some(seal) => {
                let header = Header::read(length, &mut source).map_err(fault)?;
                if seal.key_id.as_deref() != Some(header.key_id().as_str()) {
                    return Err(SealFault::OtherKey.into());
                }
                // The header says which generation: a rewrap may be between the row and the file.
                let key = keys.get(header.key_id(), header.generation()).ok_or(SealFault::KeyGone)?;
                let reader = header.open(&key, blob.id.uuid(), length, &mut source).map_err(fault)?;
                let content_bytes = reader.content_bytes();
                (How::V2(Box::new(reader)), content_bytes)
            }
        };
        Ok(Self { file, how, content_bytes, position: 0, report: None })
    }

    /// A file as it is.
    pub(crate) fn of_plain(file: File) -> io::Result<Self> {
        let content_bytes = file.metadata()?.len();
        Ok(Self { file, how: How::Plain, content_bytes, position: 0, report: None })
    }

    /// The same, and what does not open is reported.
    pub(super) fn reporting(self, report: FaultReport) -> Self {
        Self { report: Some(report), ..self }
    }

    /// How long the content is.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// The file itself, when its bytes are the content.
    pub(crate) fn plain(&self) -> Option<&File> {
        match &self.how {
            How::Plain => Some(&self.file),
            How::V1(_) | How::V2(_) => None,
        }
    }

    /// Fills `out` with what stands at that offset.
    pub(crate) fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let file = &self.file;
        let mut source = |offset, out: &mut [u8]| file.read_exact_at(out, offset);
        let read = match &mut self.how {
            How::Plain => source(offset, out),
            How::V1(reader) => reader.read_at(offset, out, &mut source).map_err(fault),
            How::V2(reader) => reader.read_at(offset, out, &mut source).map_err(fault),
        };
        read.map_err(|error| match &self.report {
            Some(report) => report.pass(error),
            None => error,
        })
    }

    /// A descriptor of the content, for another process. That of a sealed one lies in memory alone, and `None` says that it
    /// would take more of it than `limit_bytes`.
    pub(crate) fn into_descriptor(
        mut self,
        limit_bytes: u64,
        in_memory: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Option<File>> {
        if matches!(self.how, How::Plain) {
            return Ok(Some(self.file));
        }
        if self.content_bytes > limit_bytes {
            return Ok(None);
        }
        let mut copy = in_memory()?;
        io::copy(&mut self, &mut copy)?;
        copy.rewind()?;
        Ok(Some(copy))
    }
}

impl Read for ContentReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.content_bytes.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let length = left.min(out.len());
        self.read_at(self.position, &mut out[..length])?;
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for ContentReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.content_bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

fn key_of(seal: &Seal, keys: &Keyring) -> Result<Arc<KeyEncryptionKey>, SealFault> {
    let id = seal.key_id.as_deref().and_then(|id| KeyId::parse(id).ok());
    id.and_then(|id| keys.get(id, seal.key_generation)).ok_or(SealFault::KeyGone)
}

/// A new content, how it is sealed, and the digest of what it holds.
pub(crate) type Copied = (Stored, Option<Seal>, [u8; 32]);

/// Copies a content into a new one. Gives its digest as well; `None` when `stop` says so, which is asked after each MiB.
pub(crate) fn copy(
    from: &mut ContentReader,
    mut to: ContentWriter,
    stop: &dyn Fn() -> bool,
) -> io::Result<Option<Copied>> {
    let mut hasher = Sha256::new();
    let read = each_block(from, stop, |block| {
        hasher.update(block);
        to.write(block)
    })?;
    if !read {
        return Ok(None);
    }
    let (stored, seal) = to.finish()?;
    Ok(Some((stored, seal, hasher.finalize().into())))
}

/// Reads a content to its end: its SHA-256. `None` when `stop` says so, which is asked after each MiB.
pub(crate) fn digest(content: &mut ContentReader, stop: &dyn Fn() -> bool) -> io::Result<Option<[u8; 32]>> {
    let mut hasher = Sha256::new();
    let read = each_block(content, stop, |block| {
        hasher.update(block);
        Ok(())
    })?;
    Ok(read.then(|| hasher.finalize().into()))
}

fn each_block(
    content: &mut ContentReader,
    stop: &dyn Fn() -> bool,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let (mut block, mut place) = (Zeroizing::new(vec![0; LONG_BYTES]), 0);
    while place < content.content_bytes() {
        if stop() {
            return Ok(false);
        }
        let length = usize::try_from(content.content_bytes() - place).unwrap_or(LONG_BYTES).min(LONG_BYTES);
        content.read_at(place, &mut block[..length])?;
        take(&block[..length])?;
        place += length as u64;
    }
    Ok(true)
}

/// How a new content is stored.
#[derive(Clone)]
pub(crate) enum Protection {
    /// As it comes.
    None,
    /// As it comes: a client sealed it.
    Client,
    /// Sealed by the box.
    Seal(SealWith),
}

/// A content being written. Dropped before [`ContentWriter::finish`], it leaves nothing behind.
pub(crate) struct ContentWriter {
    writer: BlobWriter,
    sealing: Option<Sealing>,
    is_clients: bool,
    written_bytes: u64,
}

struct Sealing {
    with: SealWith,
    state: State,
    /// Sealed bytes that do not fill a block yet.
    out: Vec<u8>,
}

enum State {
    /// The header depends on how long the content gets.
    Undecided(Zeroizing<Vec<u8>>),
    Decided(Box<chunked::Sealer>),
    Ended,
}

impl ContentWriter {
    /// Starts a new content.
    pub(crate) fn create(blobs: &Blobs, protection: Protection) -> io::Result<Self> {
        let is_clients = matches!(protection, Protection::Client);
        let sealing = match protection {
            Protection::None | Protection::Client => None,
            Protection::Seal(with) => {
                Some(Sealing { with, state: State::Undecided(Zeroizing::default()), out: Vec::new() })
            }
        };
        Ok(Self { writer: blobs.create()?, sealing, is_clients, written_bytes: 0 })
    }

    /// Appends. Fast when this is a MiB, and the pieces before were.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(sealing) = &mut self.sealing else {
            self.written_bytes += bytes.len() as u64;
            return self.writer.write(bytes);
        };
        sealing.push(self.writer.id(), bytes)?;
        let whole = sealing.out.len() / BLOCK_BYTES * BLOCK_BYTES;
        self.writer.write(&sealing.out[..whole])?;
        self.written_bytes += whole as u64;
        sealing.out.drain(..whole);
        Ok(())
    }

    /// Brings the content to the disk, and tells how it is sealed.
    pub(crate) fn finish(mut self) -> io::Result<(Stored, Option<Seal>)> {
        let Some(mut sealing) = self.sealing.take() else {
            let seal = self.is_clients.then(|| Seal::by_client(self.written_bytes));
            return Ok((self.writer.finish()?, seal));
        };
        sealing.end(self.writer.id())?;
        self.writer.write(&sealing.out)?;
        self.written_bytes += sealing.out.len() as u64;
        let seal = Seal {
            method: sealing.with.method,
            version: 2,
            key_id: Some(sealing.with.key.id().as_str().to_owned()),
            key_generation: sealing.with.key.generation(),
            encrypted_bytes: self.written_bytes,
        };
        Ok((self.writer.finish()?, Some(seal)))
    }
}

impl Sealing {
    fn push(&mut self, id: &BlobId, bytes: &[u8]) -> io::Result<()> {
        match &mut self.state {
            State::Undecided(waiting) if waiting.len() + bytes.len() < LONG_BYTES => {
                // Growing would leave a copy behind, unwiped.
                if waiting.capacity() == 0 {
                    waiting.reserve_exact(LONG_BYTES);
                }
                waiting.extend_from_slice(bytes);
                Ok(())
            }
            State::Undecided(_) => {
                self.decide(id, HeaderSize::Block)?;
                self.push(id, bytes)
            }
            State::Decided(sealer) => sealer.seal(bytes, &mut self.out).map_err(fault),
            State::Ended => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn decide(&mut self, id: &BlobId, size: HeaderSize) -> io::Result<()> {
        let State::Undecided(waiting) = std::mem::replace(&mut self.state, State::Ended) else { return Ok(()) };
        let rng = &mut system_rng();
        let mut sealer = v2::seal(&self.with.key, id.uuid(), size, rng, &mut self.out).map_err(fault)?;
        sealer.seal(&waiting, &mut self.out).map_err(fault)?;
        self.state = State::Decided(Box::new(sealer));
        Ok(())
    }

    fn end(&mut self, id: &BlobId) -> io::Result<()> {
        if matches!(self.state, State::Undecided(_)) {
            self.decide(id, HeaderSize::Compact)?;
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Decided(sealer) => sealer.finish(&mut self.out).map_err(fault),
            State::Undecided(_) | State::Ended => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}
