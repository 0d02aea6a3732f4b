//! Writes the bytes of a resumable upload so that what was saved survives a power cut.
//!
//! gocryptfs writes a block anew when a part of it changes, and a cut then may tear bytes that were synced long ago. So
//! only whole blocks go to the blob, each once; what does not fill one is kept for the row. The last block of an upload
//! may be shorter: nothing follows it.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256 as Hasher};

use super::Error;
use super::transfer::{FIRST_BYTES, WRITE_BYTES, step};
use super::unlocked::Lease;
use crate::model::file::Sha256;
use crate::model::upload::{BLOCK_BYTES, Upload};
use crate::storage::capacity;

/// An upload that is being written to. Each step runs off the async threads, and takes the file with it.
pub(super) struct UploadWriter {
    /// Absent only while a step runs.
    inner: Option<Inner>,
    /// What came behind the last block that was written.
    buffer: BytesMut,
    stored_bytes: u64,
}

struct Inner {
    file: File,
    /// Of what is in the file. Absent when it was begun in another life of the program.
    hasher: Option<Hasher>,
    // Locking waits until a running step has ended.
    lease: Lease,
}

/// What can be relied on after a power cut.
pub(super) struct Saved {
    pub(super) stored_bytes: u64,
    pub(super) tail: Vec<u8>,
    /// Of the stored bytes.
    pub(super) hasher: Option<Hasher>,
}

/// An upload all of which is on disk.
pub(super) struct Complete {
    pub(super) size_bytes: u64,
    pub(super) sha256: Sha256,
    pub(super) first_bytes: Vec<u8>,
}

impl UploadWriter {
    /// Goes on where an upload stands. Whatever was written behind that, and not saved, is cut off.
    pub(super) async fn open(lease: &Lease, upload: &Upload, hasher: Option<Hasher>) -> Result<Self, Error> {
        let blob = upload.blob.clone().ok_or(Error::Internal("upload without a content", None))?;
        let (lease, stored_bytes) = (lease.clone(), upload.stored_bytes);
        let opened = tokio::task::spawn_blocking(move || {
            let file = lease.store().blobs.reopen(&blob, stored_bytes)?;
            Ok(Inner { file, hasher, lease })
        });
        let opened = opened.await.map_err(|error| Error::internal("opening an upload", error))?;
        let inner = opened.map_err(|error: std::io::Error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::UnexpectedEof => Error::Damaged(error),
            _ => Error::storage("opening an upload", error),
        })?;
        let buffer = BytesMut::from(upload.tail.as_slice());
        Ok(Self { inner: Some(inner), buffer, stored_bytes })
    }

    /// Up to where bytes came.
    pub(super) fn offset(&self) -> u64 {
        self.stored_bytes + self.buffer.len() as u64
    }

    /// Takes bytes. When some of them went to the file, tells what room is left on the drive.
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<Option<u64>, Error> {
        self.buffer.extend_from_slice(&bytes);
        if self.buffer.len() < WRITE_BYTES { Ok(None) } else { self.write_blocks().await.map(Some) }
    }

    /// Brings all whole blocks to the disk.
    pub(super) async fn save(&mut self) -> Result<Saved, Error> {
        self.write_blocks().await?;
        let hasher = self.step("syncing an upload", |inner| {
            inner.file.sync_data()?;
            Ok(inner.hasher.clone())
        });
        let hasher = hasher.await?;
        Ok(Saved { stored_bytes: self.stored_bytes, tail: self.buffer.to_vec(), hasher })
    }

    /// Brings everything to the disk, as the end of the upload.
    pub(super) async fn finish(mut self) -> Result<Complete, Error> {
        let rest = self.buffer.split().freeze();
        let size_bytes = self.stored_bytes + rest.len() as u64;
        let finished = self.step("finishing an upload", move |inner| {
            inner.write(&rest)?;
            inner.file.sync_all()?;
            let sha256 = match inner.hasher.take() {
                Some(hasher) => hasher,
                None => inner.read_back(size_bytes)?,
            };
            let length = usize::try_from(size_bytes).unwrap_or(FIRST_BYTES).min(FIRST_BYTES);
            let mut first_bytes = vec![0; length];
            inner.file.read_exact_at(&mut first_bytes, 0)?;
            Ok(Complete { size_bytes, sha256: Sha256(sha256.finalize().into()), first_bytes })
        });
        finished.await
    }

    async fn write_blocks(&mut self) -> Result<u64, Error> {
        let whole = self.buffer.len() / BLOCK_BYTES * BLOCK_BYTES;
        let blocks = self.buffer.split_to(whole).freeze();
        self.stored_bytes += whole as u64;
        let written = self.step("writing an upload", move |inner| {
            inner.write(&blocks)?;
            capacity::free_bytes(inner.lease.store().mount_point())
        });
        written.await
    }

    async fn step<T: Send + 'static>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&mut Inner) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let mut inner = self.inner.take().ok_or(Error::Internal("upload step", None))?;
        let done = step(operation, move || {
            let result = work(&mut inner)?;
            Ok((inner, result))
        });
        let (inner, result) = done.await?;
        self.inner = Some(inner);
        Ok(result)
    }
}

impl Inner {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    /// The hash of a file whose beginning was written in another life of the program.
    fn read_back(&self, size_bytes: u64) -> std::io::Result<Hasher> {
        let mut hasher = Hasher::new();
        let mut block = vec![0; WRITE_BYTES];
        let mut place = 0;
        while place < size_bytes {
            if self.lease.is_ending() {
                return Err(ErrorKind::Interrupted.into());
            }
            let length = usize::try_from(size_bytes - place).unwrap_or(WRITE_BYTES).min(WRITE_BYTES);
            self.file.read_exact_at(&mut block[..length], place)?;
            hasher.update(&block[..length]);
            place += length as u64;
        }
        Ok(hasher)
    }
}
