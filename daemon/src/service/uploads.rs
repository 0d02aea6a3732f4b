//! Resumable uploads: bytes that come in many requests, over restarts and locks, and become a file at the end.
//!
//! What a client was told to be there is on disk. Each upload belongs to who began it, and is written to by one request
//! at a time. Nothing of it is seen before it is complete; then it is stored as any other content.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use log::{info, warn};
use lru::LruCache;
use sha2::{Digest, Sha256 as Hasher};
use tokio::time::timeout;
use uuid::Uuid;

use super::access::{self, visible};
use super::audit::Context;
use super::caller::Caller;
use super::chores::every;
use super::common::Common;
use super::files::{self, Allowance, Files, Target};
use super::transfer::{self, BodyError, Progress, Received, SILENCE_LIMIT};
use super::unlocked::Lease;
use super::upload_checksum::Checksum;
use super::upload_writer::UploadWriter;
use super::{Error, sweep};
use crate::model::file::BlobId;
use crate::model::name::FileName;
use crate::model::precondition::Precondition;
use crate::model::role::Action;
use crate::model::sealing::{Blob, Seal};
use crate::model::upload::{Upload, UploadKind};
use crate::repo::audit::{self, Outcome};
use crate::repo::blobs::Stored;
use crate::repo::content_io::Protection;
use crate::repo::keyring::SealWith;
use crate::repo::uploads;

/// Longest upload: no file of the file systems below may be longer than 16 TiB.
pub(crate) const MAX_BYTES: u64 = 8 << 40;

/// How long an upload is kept after its last bytes came.
const PAUSE_LIMIT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How often uploads that nobody went on with are looked for.
const SWEEP_PAUSE: Duration = Duration::from_hours(1);

/// Most uploads that one person may have begun.
const MAX_UNFINISHED: u32 = 1000;

/// Bytes after which what came is saved, within one request. Bounds what a power cut or a lock takes, and how long the
/// sync takes that locking may have to wait for.
const SAVE_BYTES: u64 = 16 * 1024 * 1024;

/// Uploads whose hash is remembered between requests; that of a forgotten one is computed anew at its end.
const HASHES: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Resumable uploads.
pub(crate) struct Uploads {
    common: Common,
    files: Arc<Files>,
    /// Those that a request is writing to.
    busy: Arc<Mutex<HashSet<Uuid>>>,
    hashes: Mutex<LruCache<Uuid, Hashed>>,
}

/// The hash of the first bytes of an upload.
struct Hashed {
    stored_bytes: u64,
    hasher: Hasher,
}

/// An upload that somebody wants to begin.
pub(crate) struct NewUpload {
    /// It becomes a part of another one.
    pub(crate) is_partial: bool,
    pub(crate) folder_id: Option<Uuid>,
    /// Needed unless it is a part.
    pub(crate) name: Option<FileName>,
    /// As it came.
    pub(crate) metadata: String,
    pub(crate) length_bytes: u64,
    /// Of the file that is there, as the request that begins finds it.
    pub(crate) precondition: Precondition,
}

/// Bytes that are about to come.
pub(crate) struct NextBytes {
    /// Where they go.
    pub(crate) offset: u64,
    /// How many the client promised, if it did.
    pub(crate) announced_bytes: Option<u64>,
    pub(crate) checksum: Option<Checksum>,
    /// Of the file that is there, before the bytes come and when the upload becomes the next one.
    pub(crate) precondition: Precondition,
}

/// What was found good before the first byte.
struct Admitted {
    upload: Upload,
    allowance: Allowance,
    turn: Turn,
}

impl Uploads {
    /// A service.
    pub(crate) fn new(common: Common, files: Arc<Files>) -> Self {
        Self { common, files, busy: Arc::default(), hashes: Mutex::new(LruCache::new(HASHES)) }
    }

    /// Begins an upload.
    pub(crate) async fn create(&self, caller: &Caller, new: NewUpload) -> Result<Upload, Error> {
        caller.require(Action::Add).await?;
        if new.length_bytes > MAX_BYTES {
            return Err(Error::UploadTooLong { limit_bytes: MAX_BYTES });
        }
        let kind = if new.is_partial { UploadKind::Partial } else { UploadKind::Whole };
        let mut upload = self.begun(caller, kind, &new)?;
        let allowance = self.allowance(caller, &upload, &new.precondition).await?;
        self.check_room(caller, &allowance, new.length_bytes, new.length_bytes).await?;
        let lease = caller.lease().clone();
        let stored = transfer::step("creating an upload", move || lease.store().blobs.create()?.finish()).await?;
        upload.blob = Some(stored.id().clone());
        let row = upload.clone();
        let entry = self.common.auditor.entry(&caller.context, "upload.created", Outcome::Success, Some(row.id));
        let inserted = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if uploads::count_unfinished(transaction, row.owner_id)? >= MAX_UNFINISHED {
                return Err(Error::LimitReached { what: "unfinished uploads", limit: MAX_UNFINISHED });
            }
            uploads::insert(transaction, &row)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        match inserted.await {
            Ok(()) => sweep::keep(caller.lease(), stored),
            Err(error) => {
                drop(tokio::task::spawn_blocking(move || drop(stored)));
                return Err(error);
            }
        }
        Ok(upload)
    }

    /// An upload of the caller's.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<Upload, Error> {
        caller.require(Action::Add).await?;
        self.find(caller, id).await
    }

    /// Takes bytes. `body` is not polled before everything else was checked. What came before a break is kept, unless
    /// there is a check sum to wait for.
    pub(crate) async fn append(
        self: &Arc<Self>,
        caller: Caller,
        id: Uuid,
        next: NextBytes,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    ) -> Result<Upload, Error> {
        caller.require(Action::Add).await?;
        let admitted = self.admit(&caller, id, &next).await?;
        let uploads = Arc::clone(self);
        // A task of its own: it outlives the connection, to save what came before that broke.
        let appended = tokio::spawn(async move { uploads.take(&caller, admitted, next, body).await });
        appended.await.map_err(|error| Error::internal("receiving an upload", error))?
    }

    /// Makes one file of uploads that are complete, in that order. `named` is how the client named them.
    pub(crate) async fn concatenate(
        &self,
        caller: &Caller,
        ids: &[Uuid],
        named: String,
        new: NewUpload,
    ) -> Result<Upload, Error> {
        caller.require(Action::Add).await?;
        let (mut parts, mut turns, mut length_bytes) = (Vec::new(), Vec::new(), 0_u64);
        for &id in ids {
            turns.push(self.take_turn(caller, id).await?);
            let part = self.find(caller, id).await?;
            if part.kind != UploadKind::Partial || !part.is_complete() {
                return Err(Error::PartIncomplete);
            }
            length_bytes = length_bytes.saturating_add(part.length_bytes);
            parts.push(part);
        }
        if length_bytes > MAX_BYTES {
            return Err(Error::UploadTooLong { limit_bytes: MAX_BYTES });
        }
        let new = NewUpload { length_bytes, ..new };
        let upload = self.begun(caller, UploadKind::Final(named), &new)?;
        let allowance = self.allowance(caller, &upload, &new.precondition).await?;
        self.check_room(caller, &allowance, length_bytes, length_bytes).await?;
        let blobs: Vec<BlobId> = parts.iter().filter_map(|part| part.blob.clone()).collect();
        let body = super::upload_parts::read(caller.lease(), parts).await?;
        let allow = |progress| self.files.check_room(&allowance, 0, progress);
        let wanted = wanted(&upload, new.precondition)?;
        let protection = self.files.protection(caller, &wanted, &allowance).await?;
        let received = transfer::receive(caller.lease(), protection, body, &allow).await?;
        if received.size_bytes != length_bytes {
            return Err(Error::UploadCutShort);
        }
        let (mut row, ids) = (upload.clone(), ids.to_vec());
        let also = move |transaction: &rusqlite::Transaction<'_>, file_id: Uuid| -> Result<(), Error> {
            row.file_id = Some(file_id);
            row.stored_bytes = row.length_bytes;
            uploads::insert(transaction, &row)?;
            for id in ids {
                uploads::delete(transaction, id)?;
            }
            Ok(())
        };
        let saved = self.files.commit_with(caller, wanted, received, also).await?;
        remove(caller.lease(), blobs).await;
        Ok(Upload { file_id: Some(saved.file.id), stored_bytes: upload.length_bytes, ..upload })
    }

    /// Forgets an upload. The file that it has become stays.
    pub(crate) async fn terminate(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::Add).await?;
        let _turn = self.take_turn(caller, id).await?;
        let upload = self.find(caller, id).await?;
        let entry = self.common.auditor.entry(&caller.context, "upload.deleted", Outcome::Success, Some(id));
        let deleted = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if !uploads::delete(transaction, id)? {
                return Err(Error::NotFound("upload"));
            }
            Ok(audit::insert(transaction, &entry)?)
        });
        deleted.await?;
        lock(&self.hashes).pop(&id);
        remove(caller.lease(), upload.blob.into_iter().collect()).await;
        Ok(())
    }

    fn begun(&self, caller: &Caller, kind: UploadKind, new: &NewUpload) -> Result<Upload, Error> {
        if kind != UploadKind::Partial && new.name.is_none() {
            return Err(Error::field("filename", "Upload-Metadata has to name the file"));
        }
        let now = self.common.clock.now();
        Ok(Upload {
            id: self.common.ids.next(),
            owner_id: caller.user.id,
            kind,
            folder_id: new.folder_id,
            name: new.name.as_ref().map(|name| name.as_str().to_owned()),
            metadata: new.metadata.clone(),
            length_bytes: new.length_bytes,
            blob: None,
            stored_bytes: 0,
            tail: Vec::new(),
            file_id: None,
            created_at: now,
            expires_at: expiry(now),
        })
    }

    /// What would be refused at the end is refused now: the folder, the name, the quota, another file than expected.
    async fn allowance(
        &self,
        caller: &Caller,
        upload: &Upload,
        precondition: &Precondition,
    ) -> Result<Allowance, Error> {
        if upload.kind != UploadKind::Partial {
            return self.files.admit(caller, &wanted(upload, precondition.clone())?).await;
        }
        self.check_visible(caller, upload.folder_id).await?;
        self.files.allowance(caller).await
    }

    /// All of an upload has to fit into the quota, what comes next onto the drive.
    async fn check_room(
        &self,
        caller: &Caller,
        allowance: &Allowance,
        all_bytes: u64,
        next_bytes: u64,
    ) -> Result<(), Error> {
        let free_bytes = transfer::free_bytes(caller.lease()).await?;
        self.files.check_room(allowance, next_bytes, Progress { received_bytes: all_bytes, free_bytes })
    }

    async fn check_visible(&self, caller: &Caller, folder_id: Option<Uuid>) -> Result<(), Error> {
        let viewer = access::viewer(caller);
        let read = caller.store().database.read(move |connection| visible(connection, &viewer, folder_id));
        read.await.map(drop)
    }

    /// An upload that is the caller's, as long as the folder is there for them that it goes to.
    async fn find(&self, caller: &Caller, id: Uuid) -> Result<Upload, Error> {
        let (viewer, now) = (access::viewer(caller), self.common.clock.now());
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let upload = uploads::find(connection, id)?;
            let upload = upload.filter(|upload| upload.owner_id == viewer.user_id && upload.expires_at > now);
            let upload = upload.ok_or(Error::NotFound("upload"))?;
            visible(connection, &viewer, upload.folder_id).map_err(|error| match error {
                Error::NotFound(_) => Error::NotFound("upload"),
                other => other,
            })?;
            Ok(upload)
        });
        read.await
    }

    async fn take_turn(&self, caller: &Caller, id: Uuid) -> Result<Turn, Error> {
        // Nobody learns that somebody else's upload is in use.
        self.find(caller, id).await?;
        if lock(&self.busy).insert(id) { Ok(Turn { busy: Arc::clone(&self.busy), id }) } else { Err(Error::UploadBusy) }
    }

    async fn admit(&self, caller: &Caller, id: Uuid, next: &NextBytes) -> Result<Admitted, Error> {
        let turn = self.take_turn(caller, id).await?;
        let upload = self.find(caller, id).await?;
        if matches!(upload.kind, UploadKind::Final(_)) {
            return Err(Error::FinalUpload);
        }
        let offset = upload.offset();
        if next.offset != offset {
            return Err(Error::WrongOffset { offset });
        }
        let left = upload.length_bytes - offset;
        if next.announced_bytes.is_some_and(|announced| announced > left) {
            return Err(Error::UploadTooLong { limit_bytes: left });
        }
        if upload.file_id.is_some() {
            // Nothing is missing, and nothing comes: left is 0.
            return Ok(Admitted { allowance: self.files.allowance(caller).await?, upload, turn });
        }
        let allowance = self.allowance(caller, &upload, &next.precondition).await?;
        self.check_room(caller, &allowance, upload.length_bytes, next.announced_bytes.unwrap_or(0)).await?;
        Ok(Admitted { upload, allowance, turn })
    }

    async fn take(
        &self,
        caller: &Caller,
        admitted: Admitted,
        mut next: NextBytes,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<Upload, Error> {
        let Admitted { mut upload, allowance, turn } = admitted;
        if upload.file_id.is_some() {
            return Ok(upload);
        }
        let mut writer = UploadWriter::open(caller.lease(), &upload, self.hash_so_far(&upload)).await?;
        let received = self.receive(caller, &mut upload, &mut writer, &allowance, &mut next.checksum, body).await;
        match (received, next.checksum) {
            (Err(error), None) => {
                // While locking there is no time for it: the client goes on from what was saved last.
                if !matches!(error, Error::Locked)
                    && let Err(error) = self.save(caller, &mut upload, &mut writer).await
                {
                    warn!(error:% = error; "what came of an upload was not saved");
                }
                return Err(error);
            }
            (Err(error), Some(_)) => return Err(error),
            (Ok(()), Some(checksum)) => {
                if !checksum.matches() {
                    return Err(Error::WrongChecksum);
                }
            }
            (Ok(()), None) => {}
        }
        if writer.offset() == upload.length_bytes && upload.kind == UploadKind::Whole {
            self.finish(caller, upload, writer, &allowance, next.precondition).await
        } else {
            self.save(caller, &mut upload, &mut writer).await?;
            drop(turn);
            Ok(upload)
        }
    }

    async fn receive(
        &self,
        caller: &Caller,
        upload: &mut Upload,
        writer: &mut UploadWriter,
        allowance: &Allowance,
        checksum: &mut Option<Checksum>,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<(), Error> {
        let mut body = std::pin::pin!(body);
        let mut locking = std::pin::pin!(caller.lease().locking());
        loop {
            let frame = tokio::select! {
                biased;
                () = &mut locking => return Err(Error::Locked),
                frame = timeout(SILENCE_LIMIT, body.next()) => frame.map_err(|_| Error::RequestTimeout)?,
            };
            let Some(frame) = frame else { return Ok(()) };
            let frame = frame.map_err(|BodyError| Error::UploadCutShort)?;
            let left = upload.length_bytes - writer.offset();
            if frame.len() as u64 > left {
                return Err(Error::UploadTooLong { limit_bytes: left });
            }
            if let Some(checksum) = checksum {
                checksum.update(&frame);
            }
            if let Some(free_bytes) = writer.push(frame).await? {
                self.files.check_room(allowance, 0, Progress { received_bytes: writer.offset(), free_bytes })?;
            }
            if checksum.is_none() && writer.offset() - upload.offset() >= SAVE_BYTES {
                self.save(caller, upload, writer).await?;
            }
        }
    }

    /// Makes what came so far certain, and notes it.
    async fn save(&self, caller: &Caller, upload: &mut Upload, writer: &mut UploadWriter) -> Result<(), Error> {
        let saved = writer.save().await?;
        upload.expires_at = expiry(self.common.clock.now());
        (upload.stored_bytes, upload.tail) = (saved.stored_bytes, saved.tail);
        let (id, tail, stored_bytes, expires_at) =
            (upload.id, upload.tail.clone(), upload.stored_bytes, upload.expires_at);
        let noted = caller
            .store()
            .database
            .write(move |transaction| uploads::set_progress(transaction, id, stored_bytes, &tail, expires_at));
        noted.await.map_err(Error::from)?;
        match saved.hasher {
            Some(hasher) => drop(lock(&self.hashes).put(id, Hashed { stored_bytes, hasher })),
            None => drop(lock(&self.hashes).pop(&id)),
        }
        Ok(())
    }

    /// Makes a complete upload a file. When that is refused the upload stands where it was saved last, and its last
    /// bytes may be sent again.
    async fn finish(
        &self,
        caller: &Caller,
        mut upload: Upload,
        writer: UploadWriter,
        allowance: &Allowance,
        precondition: Precondition,
    ) -> Result<Upload, Error> {
        let blob = upload.blob.take().ok_or(Error::Internal("upload without a content", None))?;
        let wanted = wanted(&upload, precondition)?;
        let complete =
            writer.finish().await.map_err(|error| if caller.lease().is_ending() { Error::Locked } else { error })?;
        let (stored, seal, left_over) = match self.files.protection(caller, &wanted, allowance).await? {
            Protection::None => (caller.store().blobs.adopt(blob), None, Vec::new()),
            Protection::Client => {
                (caller.store().blobs.adopt(blob), Some(Seal::by_client(complete.size_bytes)), Vec::new())
            }
            Protection::Seal(with) => {
                let (stored, seal) = seal(caller.lease(), blob.clone(), with).await?;
                (stored, seal, vec![blob])
            }
        };
        let received = Received {
            stored,
            seal,
            size_bytes: complete.size_bytes,
            sha256: complete.sha256,
            first_bytes: complete.first_bytes,
        };
        let (id, expires_at) = (upload.id, expiry(self.common.clock.now()));
        let also = move |transaction: &rusqlite::Transaction<'_>, file_id: Uuid| -> Result<(), Error> {
            Ok(uploads::set_finished(transaction, id, file_id, expires_at)?)
        };
        let saved = self.files.commit_with(caller, wanted, received, also).await?;
        remove(caller.lease(), left_over).await;
        lock(&self.hashes).pop(&id);
        (upload.stored_bytes, upload.tail) = (upload.length_bytes, Vec::new());
        (upload.file_id, upload.expires_at) = (Some(saved.file.id), expires_at);
        Ok(upload)
    }

    fn hash_so_far(&self, upload: &Upload) -> Option<Hasher> {
        if upload.stored_bytes == 0 {
            return Some(Hasher::new());
        }
        let hashed = lock(&self.hashes).pop(&upload.id);
        hashed.filter(|hashed| hashed.stored_bytes == upload.stored_bytes).map(|hashed| hashed.hasher)
    }

    /// Removes the uploads that nobody went on with.
    async fn expire(&self, lease: &Lease) -> Result<(), Error> {
        let now = self.common.clock.now();
        let read = lease.store().database.read(move |connection| uploads::expired(connection, now, MAX_UNFINISHED));
        let mut removed = 0_u32;
        for upload in read.await? {
            let (id, unfinished) = (upload.id, upload.file_id.is_none());
            if lease.is_ending() || !lock(&self.busy).insert(id) {
                continue;
            }
            let _turn = Turn { busy: Arc::clone(&self.busy), id };
            let entry = self.common.auditor.entry(&Context::default(), "upload.expired", Outcome::Success, Some(id));
            let deleted = lease.store().database.write(move |transaction| -> Result<bool, Error> {
                let is_expired = uploads::find(transaction, id)?.is_some_and(|upload| upload.expires_at <= now);
                if is_expired && uploads::delete(transaction, id)? && unfinished {
                    audit::insert(transaction, &entry)?;
                }
                Ok(is_expired)
            });
            if deleted.await? {
                remove(lease, upload.blob.into_iter().collect()).await;
                removed += u32::from(unfinished);
            }
        }
        if removed > 0 {
            info!(removed; "uploads that nobody went on with were removed");
        }
        Ok(())
    }
}

/// Removes uploads that expired, at once and then every hour; forgets the hashes when the vault is locked.
pub(crate) async fn keep(lease: Lease, uploads: Arc<Uploads>) {
    let expire = async || {
        if let Err(error) = uploads.expire(&lease).await {
            warn!(error:% = error; "expired uploads were not removed; in an hour again");
        }
    };
    every(SWEEP_PAUSE, &lease, &uploads.common.clock, expire).await;
    lock(&uploads.hashes).clear();
}

/// Seals a complete upload. It was not while it came: what is sent again after a break may be other bytes, and no key may seal
/// two contents.
async fn seal(lease: &Lease, blob: BlobId, with: SealWith) -> Result<(Stored, Option<Seal>), Error> {
    let lease = lease.clone();
    let sealing = transfer::step("sealing an upload", move || {
        let whole = Blob { id: blob, seal: None };
        lease.store().sealed.seal_upload(&lease.store().blobs, &whole, with, &|| lease.is_ending())
    });
    let (stored, seal, _) = sealing.await?.ok_or(Error::Locked)?;
    Ok((stored, seal))
}

/// The right to write to an upload, which one request has at a time.
struct Turn {
    busy: Arc<Mutex<HashSet<Uuid>>>,
    id: Uuid,
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.busy).remove(&self.id);
    }
}

/// What an upload asks the files for.
fn wanted(upload: &Upload, precondition: Precondition) -> Result<files::Upload, Error> {
    let name = FileName::parse(upload.name.as_deref().unwrap_or_default())?;
    Ok(files::Upload {
        target: Target::Name { folder_id: upload.folder_id, name },
        announced_bytes: Some(upload.length_bytes),
        sha256: None,
        precondition,
        client_sealed: upload.client_sealed(),
    })
}

fn expiry(now: Timestamp) -> Timestamp {
    now.saturating_add(PAUSE_LIMIT).unwrap_or(Timestamp::MAX)
}

/// Removes blobs that no row names any more. The sweep at the next unlock finds what is left.
async fn remove(lease: &Lease, blobs: Vec<BlobId>) {
    let lease = lease.clone();
    let removed =
        tokio::task::spawn_blocking(move || blobs.iter().try_for_each(|blob| lease.store().blobs.remove(blob)));
    if !matches!(removed.await, Ok(Ok(()))) {
        warn!("the bytes of an upload were not removed; the next unlock will do it");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
