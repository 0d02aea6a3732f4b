//! Bytes in and bytes out: streams between a client and a blob that end at once when the vault is locked.
//!
//! A slow client costs a buffer, not a thread; and it cannot keep a file open, because the file belongs to a task of
//! ours and not to the connection.

use std::collections::VecDeque;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256 as Hasher};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Error;
use super::unlocked::Lease;
use crate::model::file::{BlobId, Sha256};
use crate::repo::blobs::{BlobWriter, Stored};
use crate::repo::store::Store;
use crate::storage::capacity;

/// What is written to gocryptfs at once. It is six times faster with 1 MiB than with 4 KiB, and must stay aligned.
pub(super) const WRITE_BYTES: usize = 1024 * 1024;

/// What is read at once; the kernel reads ahead.
pub(super) const READ_BYTES: usize = 256 * 1024;

/// Blocks that wait for a client to take them.
const READ_AHEAD: usize = 2;

/// What is kept of a content in memory, to look at its kind.
pub(crate) const FIRST_BYTES: usize = 4096;

/// How long a client may stay silent in the middle of an upload.
pub(crate) const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// The connection broke, or the client sent something else than it announced.
#[derive(Debug, thiserror::Error)]
#[error("the request body ended early")]
pub(crate) struct BodyError;

/// A content that is on disk and has no row yet.
pub(crate) struct Received {
    pub(crate) stored: Stored,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Sha256,
    /// Where it tells its kind: its first [`FIRST_BYTES`], or all of it.
    pub(crate) first_bytes: Vec<u8>,
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) received_bytes: u64,
    /// Room that is left on the drive.
    pub(crate) free_bytes: u64,
}

impl Received {
    /// Keeps the content when its row was committed, and removes it otherwise.
    pub(crate) fn keep_if<T>(self, committed: Result<T, Error>) -> Result<T, Error> {
        match committed {
            Ok(done) => {
                self.stored.keep();
                Ok(done)
            }
            Err(error) => {
                drop(tokio::task::spawn_blocking(move || drop(self.stored)));
                Err(error)
            }
        }
    }
}

/// Room that is left on the drive.
pub(crate) async fn free_bytes(lease: &Lease) -> Result<u64, Error> {
    let lease = lease.clone();
    step("looking for free space", move || capacity::free_bytes(lease.store().mount_point())).await
}

/// Writes a body to a new blob and syncs it. `allow` is asked after every buffer, and at the end.
pub(crate) async fn receive(
    lease: &Lease,
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    allow: &(dyn Fn(Progress) -> Result<(), Error> + Sync),
) -> Result<Received, Error> {
    let mut body = std::pin::pin!(body);
    let mut locking = std::pin::pin!(lease.locking());
    let mut sink = Sink::create(lease).await?;
    let mut buffer = BytesMut::with_capacity(WRITE_BYTES);
    loop {
        let frame = tokio::select! {
            biased;
            () = &mut locking => return Err(Error::Locked),
            frame = timeout(SILENCE_LIMIT, body.next()) => frame.map_err(|_| Error::RequestTimeout)?,
        };
        let Some(frame) = frame else { break };
        let mut frame = frame.map_err(|BodyError| Error::UploadCutShort)?;
        while !frame.is_empty() {
            let room = WRITE_BYTES - buffer.len();
            buffer.extend_from_slice(&frame.split_to(room.min(frame.len())));
            if buffer.len() == WRITE_BYTES {
                let progress;
                (buffer, progress) = sink.write(buffer).await?;
                allow(progress)?;
            }
        }
    }
    let (_, progress) = sink.write(buffer).await?;
    allow(progress)?;
    sink.finish().await
}

/// The blob being written, and its hash. Each step runs off the async threads, and takes the whole with it.
struct Sink {
    /// Absent only while a step runs.
    inner: Option<Inner>,
}

struct Inner {
    writer: BlobWriter,
    hasher: Hasher,
    size_bytes: u64,
    first_bytes: Vec<u8>,
    // Locking waits until a running step has ended, whether somebody still waits for its result or not.
    lease: Lease,
}

impl Sink {
    async fn create(lease: &Lease) -> Result<Self, Error> {
        let lease = lease.clone();
        let inner = step("creating a content", move || {
            let writer = lease.store().blobs.create()?;
            Ok(Inner { writer, hasher: Hasher::new(), size_bytes: 0, first_bytes: Vec::new(), lease })
        });
        Ok(Self { inner: Some(inner.await?) })
    }

    /// Writes the buffer, gives it back empty, and tells how far it has come.
    async fn write(&mut self, mut buffer: BytesMut) -> Result<(BytesMut, Progress), Error> {
        let mut inner = self.inner.take().ok_or(Error::Internal("upload step", None))?;
        let written = step("writing a content", move || {
            inner.writer.write(&buffer)?;
            inner.hasher.update(&buffer);
            if inner.size_bytes == 0 {
                inner.first_bytes.extend_from_slice(buffer.get(..FIRST_BYTES).unwrap_or(&buffer));
            }
            inner.size_bytes += buffer.len() as u64;
            buffer.clear();
            let free_bytes = capacity::free_bytes(inner.lease.store().mount_point())?;
            let progress = Progress { received_bytes: inner.size_bytes, free_bytes };
            Ok((inner, buffer, progress))
        });
        let (inner, buffer, progress) = written.await?;
        self.inner = Some(inner);
        Ok((buffer, progress))
    }

    async fn finish(mut self) -> Result<Received, Error> {
        let inner = self.inner.take().ok_or(Error::Internal("upload step", None))?;
        let finished = step("syncing a content", move || {
            let sha256 = Sha256(inner.hasher.finalize().into());
            let Inner { writer, size_bytes, first_bytes, .. } = inner;
            Ok(Received { stored: writer.finish()?, size_bytes, sha256, first_bytes })
        });
        finished.await
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Removing the unfinished file blocks; the lease inside makes locking wait for it.
        if let Some(inner) = self.inner.take() {
            drop(tokio::task::spawn_blocking(move || drop(inner)));
        }
    }
}

/// The bytes of a content on their way out.
pub(crate) enum Content {
    /// Short enough to be read at once.
    Whole(Bytes),
    /// Block after block. An error ends it: the client sees the connection break, and not a shorter file.
    Stream(mpsc::Receiver<Result<Bytes, std::io::Error>>),
}

/// What is sent, one after the other.
#[derive(Debug)]
pub(crate) enum Piece {
    /// These bytes, which stand between parts.
    Bytes(Bytes),
    /// A part of the content.
    Part(Range<u64>),
}

impl Piece {
    /// How many bytes of the reply it makes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Part(range) => range.end.saturating_sub(range.start),
        }
    }
}

/// Where the first part of the content begins.
pub(crate) fn start(pieces: &[Piece]) -> u64 {
    let parts = pieces.iter().filter_map(|piece| match piece {
        Piece::Bytes(_) => None,
        Piece::Part(range) => Some(range.start),
    });
    parts.min().unwrap_or(0)
}

/// Opens a content and sends pieces of it.
pub(crate) async fn send(lease: &Lease, blob: BlobId, pieces: Vec<Piece>) -> Result<Content, Error> {
    stream(lease, move |store| Ok(Outgoing { file: store.blobs.open(&blob)?, pieces: pieces.into() })).await
}

/// What bytes are read from, block by block. Blocks the thread.
pub(super) trait Source: Send + 'static {
    /// The next block, of about [`READ_BYTES`].
    fn block(&mut self) -> std::io::Result<Bytes>;
    /// Whether there is none.
    fn is_done(&self) -> bool;
}

/// Opens a source and reads it for a client. An unreadable first block is an error of the call, not of the stream.
pub(super) async fn stream<S: Source>(
    lease: &Lease,
    open: impl FnOnce(&Store) -> std::io::Result<S> + Send + 'static,
) -> Result<Content, Error> {
    let reader = lease.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let mut source = open(reader.store())?;
        let block = source.block()?;
        Ok((source, block))
    });
    let opened = opened.await.map_err(|error| Error::internal("reading a content", error))?;
    let (source, block) = opened.map_err(Error::Damaged)?;
    if source.is_done() {
        return Ok(Content::Whole(block));
    }
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    tokio::spawn(pump(lease.clone(), source, block, sender));
    Ok(Content::Stream(receiver))
}

async fn pump<S: Source>(
    lease: Lease,
    mut source: S,
    first: Bytes,
    sender: mpsc::Sender<Result<Bytes, std::io::Error>>,
) {
    let mut locking = std::pin::pin!(lease.locking());
    let mut next = first;
    loop {
        let sent = tokio::select! {
            biased;
            () = &mut locking => return,
            sent = sender.send(Ok(next)) => sent,
        };
        // An error from the channel means that the client has gone.
        if sent.is_err() || source.is_done() {
            return;
        }
        let read = tokio::task::spawn_blocking(move || source.block().map(|block| (source, block))).await;
        match read.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok((same, block)) => (source, next) = (same, block),
            Err(error) => {
                log::error!(error:% = error; "a stored content does not read back");
                // The channel takes the file's place only until the error has been sent.
                drop(sender.send(Err(error)).await);
                return;
            }
        }
    }
}

/// A content being read, and what of it is still to be sent.
struct Outgoing {
    file: std::fs::File,
    pieces: VecDeque<Piece>,
}

impl Source for Outgoing {
    fn block(&mut self) -> std::io::Result<Bytes> {
        let left: u64 = self.pieces.iter().map(Piece::length).fold(0, u64::saturating_add);
        let mut block = BytesMut::with_capacity(usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES));
        while block.len() < READ_BYTES {
            let Some(piece) = self.pieces.front_mut() else { break };
            match piece {
                Piece::Bytes(bytes) => block.extend_from_slice(bytes),
                Piece::Part(range) => {
                    let length = ((READ_BYTES - block.len()) as u64).min(range.end.saturating_sub(range.start));
                    read_into(&mut block, &self.file, range.start, length)?;
                    range.start += length;
                    if range.start < range.end {
                        continue;
                    }
                }
            }
            self.pieces.pop_front();
        }
        Ok(block.freeze())
    }

    fn is_done(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// Appends that part of a file to a buffer.
pub(super) fn read_into(block: &mut BytesMut, file: &std::fs::File, start: u64, length: u64) -> std::io::Result<()> {
    let before = block.len();
    block.resize(before + usize::try_from(length).map_err(std::io::Error::other)?, 0);
    file.read_exact_at(&mut block[before..], start)
}

pub(super) async fn step<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal(operation, error))?;
    done.map_err(|error| Error::storage(operation, error))
}
