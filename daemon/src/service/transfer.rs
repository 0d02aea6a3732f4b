//! Bytes in and bytes out: streams between a client and a blob that end at once when the vault is locked.
//!
//! A slow client costs a buffer, not a thread; and it cannot keep a file open, because the file belongs to a task of
//! ours and not to the connection.

use std::collections::VecDeque;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256 as Hasher};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::unlocked::Lease;
use super::{Error, sweep};
use crate::model::file::Sha256;
use crate::model::sealing::{Blob, Seal};
use crate::repo::blobs::Stored;
use crate::repo::content_io::{ContentReader, ContentWriter, Protection};
use crate::repo::store::Store;
use crate::storage::capacity;

/// What is written to gocryptfs at once. It is six times faster with 1 MiB than with 4 KiB, and must stay aligned.
pub(super) const WRITE_BYTES: usize = 1024 * 1024;

/// What is read at once; the kernel reads ahead. Each block changes threads twice, so small ones are slow.
pub(super) const READ_BYTES: usize = 512 * 1024;

/// What one step sends at most from the drive to a socket: others want the thread, too.
const SEND_BYTES: u64 = 16 * 1024 * 1024;

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
    pub(crate) seal: Option<Seal>,
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
    pub(crate) fn keep_if<T>(self, lease: &Lease, committed: Result<T, Error>) -> Result<T, Error> {
        match committed {
            Ok(done) => {
                sweep::keep(lease, self.stored);
                Ok(done)
            }
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Removes the content.
    pub(crate) fn abandon(self) {
        abandon(self.stored);
    }
}

/// Room that is left on the drive.
pub(crate) async fn free_bytes(lease: &Lease) -> Result<u64, Error> {
    let lease = lease.clone();
    step("looking for free space", move || capacity::free_bytes(lease.store().mount_point())).await
}

/// Whether an upload may go on, now that it has come so far.
type Allow<'a> = &'a (dyn Fn(Progress) -> Result<(), Error> + Sync);

/// Writes a body to a new blob, and syncs it. `allow` is asked after every buffer, and at the end.
///
/// A buffer is received while the one before it is written and hashed: a drive that waits for the network, and a network
/// that waits for the drive, would together be half as fast.
pub(crate) async fn receive(
    lease: &Lease,
    protection: Protection,
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    allow: Allow<'_>,
) -> Result<Received, Error> {
    let mut body = std::pin::pin!(body);
    let mut locking = std::pin::pin!(lease.locking());
    let mut sink = Sink::create(lease, protection);
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
                buffer = sink.write(buffer, allow).await?;
            }
        }
    }
    sink.write(buffer, allow).await?;
    sink.finish(allow).await
}

/// The blob being written, and its hash. There is always one step that runs, or has ended and was not looked at; it is off
/// the async threads, and has all there is.
struct Sink {
    /// Absent only after the end.
    step: Option<JoinHandle<std::io::Result<Inner>>>,
}

struct Inner {
    writer: ContentWriter,
    hasher: Hasher,
    progress: Progress,
    first_bytes: Vec<u8>,
    /// What was written last, to be filled again.
    spare: BytesMut,
    // Locking waits until a running step has ended, whether somebody still waits for its result or not.
    lease: Lease,
}

impl Sink {
    fn create(lease: &Lease, protection: Protection) -> Self {
        let lease = lease.clone();
        let create = move || {
            let progress =
                Progress { received_bytes: 0, free_bytes: capacity::free_bytes(lease.store().mount_point())? };
            let writer = lease.store().new_content(protection)?;
            Ok(Inner {
                writer,
                hasher: Hasher::new(),
                progress,
                first_bytes: Vec::new(),
                spare: BytesMut::new(),
                lease,
            })
        };
        Self { step: Some(tokio::task::spawn_blocking(create)) }
    }

    /// Waits for the step before, and begins to write this buffer. Gives back an empty one.
    async fn write(&mut self, buffer: BytesMut, allow: Allow<'_>) -> Result<BytesMut, Error> {
        let mut inner = self.settle(allow).await?;
        let mut spare = std::mem::take(&mut inner.spare);
        spare.clear();
        spare.reserve(WRITE_BYTES);
        self.step = Some(tokio::task::spawn_blocking(move || {
            inner.write(&buffer)?;
            inner.spare = buffer;
            Ok(inner)
        }));
        Ok(spare)
    }

    async fn finish(mut self, allow: Allow<'_>) -> Result<Received, Error> {
        let inner = self.settle(allow).await?;
        let finished = step("syncing a content", move || {
            let Inner { writer, hasher, progress, first_bytes, lease: _lease, .. } = inner;
            let sha256 = Sha256(hasher.finalize().into());
            let (stored, seal) = writer.finish()?;
            Ok(Received { stored, seal, size_bytes: progress.received_bytes, sha256, first_bytes })
        });
        finished.await
    }

    /// What the step leaves, if the upload may go on. An error is the end.
    async fn settle(&mut self, allow: Allow<'_>) -> Result<Inner, Error> {
        let operation = "writing a content";
        let step = self.step.as_mut().ok_or(Error::Internal(operation, None))?;
        let ended = step.await;
        self.step = None;
        let inner = ended
            .map_err(|error| Error::internal(operation, error))?
            .map_err(|error| Error::storage(operation, error))?;
        match allow(inner.progress) {
            Ok(()) => Ok(inner),
            Err(refused) => {
                abandon(inner);
                Err(refused)
            }
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(step) = self.step.take() {
            abandon(step);
        }
    }
}

/// Drops what an upload was made with. Removing the unfinished file blocks; the lease inside makes locking wait for it.
fn abandon(unfinished: impl Send + 'static) {
    drop(tokio::task::spawn_blocking(move || drop(unfinished)));
}

impl Inner {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<()> {
        if self.progress.received_bytes == 0 {
            self.first_bytes.extend_from_slice(buffer.get(..FIRST_BYTES).unwrap_or(buffer));
        }
        let Self { writer, hasher, .. } = self;
        if buffer.len() < WRITE_BYTES {
            hasher.update(buffer);
            writer.write(buffer)?;
        } else {
            // Who writes seals, and mostly waits for gocryptfs. To start a thread takes a hundredth of that.
            std::thread::scope(|scope| {
                let hashing = std::thread::Builder::new().spawn_scoped(scope, || hasher.update(buffer))?;
                writer.write(buffer)?;
                hashing.join().map_err(|_| std::io::Error::other("hashing failed"))
            })?;
        }
        self.progress.received_bytes += buffer.len() as u64;
        self.progress.free_bytes = capacity::free_bytes(self.lease.store().mount_point())?;
        Ok(())
    }
}

/// The bytes of a content on their way out.
pub(crate) enum Content {
    /// Short enough to be read at once.
    Whole(Bytes),
    /// Block after block. An error ends it: the client sees the connection break, and not a shorter file.
    Stream(mpsc::Receiver<Result<Bytes, std::io::Error>>),
    /// One part of what lies on the drive, too long to be read at once.
    OnDrive(OnDrive),
}

impl Content {
    /// Block after block, whatever it is.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
        stream::unfold(Some(self), |content| async move {
            let mut receiver = match content? {
                Self::Whole(bytes) => return Some((Ok(bytes), None)),
                Self::Stream(receiver) => receiver,
                Self::OnDrive(part) => part.read_ahead(),
            };
            receiver.recv().await.map(|block| (block, Some(Self::Stream(receiver))))
        })
    }
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
pub(crate) async fn send(lease: &Lease, blob: Blob, pieces: Vec<Piece>) -> Result<Content, Error> {
    let range = match pieces.as_slice() {
        [Piece::Part(range)] => Some(range.clone()),
        _ => None,
    };
    let open = move |store: &Store| Ok(Outgoing { content: store.content(&blob)?, pieces: pieces.into() });
    Ok(match (begin(lease, open).await?, range) {
        (Begun::Whole(bytes), _) => Content::Whole(bytes),
        // What is sealed has to pass through here; what is not need not.
        (Begun::More(source, first), Some(range)) if source.content.plain().is_some() => {
            Content::OnDrive(OnDrive::new(lease.clone(), source, first, range))
        }
        (Begun::More(source, first), _) => Content::Stream(read_ahead(lease.clone(), source, first)),
    })
}

/// A part of a content that was opened, and whose beginning reads back.
///
/// The file belongs to a task, which lets go of it when the vault is locked: also while nobody has begun to send yet, because the
/// client does not read.
pub(crate) struct OnDrive {
    begin: oneshot::Sender<Way>,
}

/// How a part is sent.
enum Way {
    Blocks(mpsc::Sender<Result<Bytes, std::io::Error>>),
    Socket { socket: Arc<TcpStream>, head: Vec<u8>, done: oneshot::Sender<std::io::Result<()>> },
}

impl OnDrive {
    fn new(lease: Lease, source: Outgoing, first: Bytes, range: Range<u64>) -> Self {
        let (begin, wish) = oneshot::channel();
        tokio::spawn(async move {
            let way = tokio::select! {
                biased;
                () = lease.locking() => return,
                way = wish => way,
            };
            match way {
                Ok(Way::Blocks(sender)) => pump(lease, source, first, sender).await,
                Ok(Way::Socket { socket, head, done }) => {
                    let sent = send_file(lease, source.content, range, &socket, &head).await;
                    // Before whoever waits is told: the socket is theirs again.
                    drop(socket);
                    let _gone = done.send(sent);
                }
                // Nobody wants it any more.
                Err(_) => {}
            }
        });
        Self { begin }
    }

    /// Read block after block.
    fn read_ahead(self) -> mpsc::Receiver<Result<Bytes, std::io::Error>> {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        // Without the task, because the vault is locked, there are no blocks.
        drop(self.begin.send(Way::Blocks(sender)));
        receiver
    }

    /// Sent straight to a socket behind `head`, without passing through this process. Ends early, by an error, when the vault
    /// is locked.
    pub(crate) async fn send_to(self, socket: &Arc<TcpStream>, head: Vec<u8>) -> std::io::Result<()> {
        let (done, sent) = oneshot::channel();
        drop(self.begin.send(Way::Socket { socket: Arc::clone(socket), head, done }));
        sent.await.unwrap_or_else(|_| Err(std::io::ErrorKind::ConnectionAborted.into()))
    }
}

async fn send_file(
    lease: Lease,
    content: ContentReader,
    mut range: Range<u64>,
    socket: &Arc<TcpStream>,
    mut head: &[u8],
) -> std::io::Result<()> {
    let content = Arc::new(content);
    let mut locking = std::pin::pin!(lease.locking());
    while !head.is_empty() || !range.is_empty() {
        tokio::select! {
            biased;
            () = &mut locking => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            writable = socket.writable() => writable?,
        }
        if !head.is_empty() {
            match socket.try_write(head) {
                Ok(written) => head = head.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            continue;
        }
        // What is not in memory yet has to be read and decrypted first, which blocks.
        let (content, socket, lease) = (Arc::clone(&content), Arc::clone(socket), lease.clone());
        let step = tokio::task::spawn_blocking(move || {
            let rest = match content.plain() {
                Some(file) => fill(&socket, file, range),
                None => Err(std::io::ErrorKind::Unsupported.into()),
            };
            // Locking waits until a running step has ended.
            drop((content, lease));
            rest
        });
        range = step.await.map_err(std::io::Error::other)?.inspect_err(|error| {
            if !is_of_the_client(error) {
                log::error!(error:% = error; "a stored content does not read back");
            }
        })?;
    }
    Ok(())
}

/// Whether it is the connection that has an error, and not the file.
fn is_of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | TimedOut)
}

/// Sends of a file what the socket takes, and gives what is left. Blocks the thread while the file is read.
fn fill(socket: &TcpStream, file: &std::fs::File, mut range: Range<u64>) -> std::io::Result<Range<u64>> {
    let until = range.end.min(range.start + SEND_BYTES);
    while range.start < until {
        let length = usize::try_from(until - range.start).map_err(std::io::Error::other)?;
        let sent = socket
            .try_io(Interest::WRITABLE, || Ok(rustix::fs::sendfile(socket, file, Some(&mut range.start), length)?));
        match sent {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(range)
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
    Ok(match begin(lease, open).await? {
        Begun::Whole(bytes) => Content::Whole(bytes),
        Begun::More(source, first) => Content::Stream(read_ahead(lease.clone(), source, first)),
    })
}

/// A source of which the first block was read.
enum Begun<S> {
    Whole(Bytes),
    More(S, Bytes),
}

async fn begin<S: Source>(
    lease: &Lease,
    open: impl FnOnce(&Store) -> std::io::Result<S> + Send + 'static,
) -> Result<Begun<S>, Error> {
    let reader = lease.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let mut source = open(reader.store())?;
        let block = source.block()?;
        Ok((source, block))
    });
    let opened = opened.await.map_err(|error| Error::internal("reading a content", error))?;
    let (source, first) = opened.map_err(Error::content)?;
    Ok(if source.is_done() { Begun::Whole(first) } else { Begun::More(source, first) })
}

fn read_ahead<S: Source>(lease: Lease, source: S, first: Bytes) -> mpsc::Receiver<Result<Bytes, std::io::Error>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    tokio::spawn(pump(lease, source, first, sender));
    receiver
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
    content: ContentReader,
    pieces: VecDeque<Piece>,
}

impl Source for Outgoing {
    fn block(&mut self) -> std::io::Result<Bytes> {
        let left: u64 = self.pieces.iter().map(Piece::length).fold(0, u64::saturating_add);
        let mut block = Vec::with_capacity(usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES));
        while block.len() < READ_BYTES {
            let Some(piece) = self.pieces.front_mut() else { break };
            match piece {
                Piece::Bytes(bytes) => block.extend_from_slice(bytes),
                Piece::Part(range) => {
                    let length = ((READ_BYTES - block.len()) as u64).min(range.end.saturating_sub(range.start));
                    read_into(&mut block, &mut self.content, range.start, length)?;
                    range.start += length;
                    if range.start < range.end {
                        continue;
                    }
                }
            }
            self.pieces.pop_front();
        }
        Ok(block.into())
    }

    fn is_done(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// Appends that part of a content to a buffer.
pub(super) fn read_into(
    block: &mut Vec<u8>,
    content: &mut ContentReader,
    start: u64,
    length: u64,
) -> std::io::Result<()> {
    let Some(file) = content.plain() else {
        let (before, length) = (block.len(), usize::try_from(length).map_err(std::io::Error::other)?);
        block.resize(before + length, 0);
        return content.read_at(start, &mut block[before..]);
    };
    read_plain_into(block, file, start, length)
}

/// The same, of a file as it is.
pub(super) fn read_plain_into(
    block: &mut Vec<u8>,
    file: &std::fs::File,
    start: u64,
    length: u64,
) -> std::io::Result<()> {
    let (before, length) = (block.len(), usize::try_from(length).map_err(std::io::Error::other)?);
    if block.capacity() - before != length {
        block.resize(before + length, 0);
        return file.read_exact_at(&mut block[before..], start);
    }
    // A block of one piece, as most are. Writing zeros first to what is filled anyhow would cost a tenth of all.
    while block.len() < before + length {
        let offset = start + (block.len() - before) as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(block), offset) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) async fn step<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal(operation, error))?;
    done.map_err(|error| Error::storage(operation, error))
}
