//! What a job does with one blob after the other: seals it, seals it anew, gives it another header, looks whether it opens.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coffer_crypto::envelope::keys::KeyEncryptionKey;
use coffer_crypto::envelope::v2::{self, HeaderSize};

use super::common::Common;
use super::sealing::{self, Plan};
use super::unlocked::Lease;
use super::{Error, sealing_audit, sealing_jobs, sweep};
use crate::model::file::BlobId;
use crate::model::sealing::{Blob, KeyOwner, Seal, SealMethod};
use crate::model::sealing_job::{Finding, Job, JobKind, SEALED};
use crate::repo::keyring::SealWith;
use crate::repo::sealed::NewHeader;
use crate::repo::seals::JournalledHeader;
use crate::repo::{policy, scrubs, sealing_jobs as jobs, seals};
use crate::storage::capacity;
use crate::storage::database::DatabaseError;

/// A pause within a content, so that locking never waits for a long one.
const NAP: Duration = Duration::from_millis(50);

/// Longest rest between two contents that only gives others a turn.
const MAX_REST: Duration = Duration::from_secs(2);

/// What a blob is counted as that was not read.
const UNREAD: [&str; 3] = ["unchanged", "client", "would_be_sealed"];

/// What became of one blob.
pub(super) struct Outcome {
    /// The name under which it is counted.
    pub(super) kind: &'static str,
    pub(super) bytes: u64,
    pub(super) finding: Option<Finding>,
}

/// A blob, and the length and digest that its content should have.
pub(super) type Item = (Blob, u64, String);

/// Does the job's work on some blobs; on fewer when somebody stops it.
pub(super) async fn batch(lease: &Lease, common: &Common, job: &Job, items: Vec<Item>) -> Result<Vec<Outcome>, Error> {
    if job.kind == JobKind::Rewrap {
        return rewrap(lease, job, items).await;
    }
    let mut outcomes = Vec::with_capacity(items.len());
    let mut pace = Pace::new(common, job, lease);
    for item in items {
        let (begun, size_bytes) = (common.clock.monotonic(), item.1);
        let outcome = one(lease, common, job, item, pace.clone()).await?;
        if !UNREAD.contains(&outcome.kind) {
            pace.add(size_bytes);
        }
        outcomes.push(outcome);
        let worked = common.clock.monotonic().saturating_duration_since(begun);
        rest(lease, worked.min(MAX_REST)).await?;
        if !pace.keep(job).await? {
            break;
        }
    }
    Ok(outcomes)
}

async fn rest(lease: &Lease, pause: Duration) -> Result<(), Error> {
    tokio::select! {
        biased;
        () = lease.locking() => Err(Error::Locked),
        () = tokio::time::sleep(pause) => Ok(()),
    }
}

async fn one(lease: &Lease, common: &Common, job: &Job, item: Item, pace: Pace) -> Result<Outcome, Error> {
    let (blob, bytes) = (item.0.clone(), item.1);
    let seal = blob.seal.as_ref();
    let wanted = match job.kind {
        JobKind::Audit | JobKind::Verify => {
            let (reader, kind) = (lease.clone(), job.kind);
            let look = move || {
                if kind == JobKind::Audit {
                    sealing_audit::classify(reader.store(), &item)
                } else {
                    sealing_audit::verify(reader.store(), &item, &pace.within_content())
                }
            };
            let looked = tokio::task::spawn_blocking(look).await;
            let (kind, why) = looked.map_err(|error| Error::internal("looking at a content", error))?;
            if lease.is_ending() {
                return Err(Error::Locked);
            }
            let finding = match why {
                Some(why) => Some(Finding { subject: subject(lease, &blob.id).await?, finding: why }),
                None => None,
            };
            return Ok(Outcome { kind, bytes, finding });
        }
        JobKind::Files => seal.is_none(),
        JobKind::Upgrade => seal.is_some_and(|seal| seal.version == 1),
        JobKind::Reencrypt => seal.is_some_and(|seal| !seal.is_clients() && is_old(lease, seal)),
        JobKind::Rewrap | JobKind::ImportStormcloud => false,
    };
    if !wanted {
        let kind = if seal.is_some_and(Seal::is_clients) { "client" } else { "unchanged" };
        return Ok(Outcome { kind, bytes, finding: None });
    }
    if job.dry_run {
        return Ok(Outcome { kind: "would_be_sealed", bytes, finding: None });
    }
    let with = seal_with(lease, common, &blob).await?;
    match seal_anew(lease, job, item, with, pace).await {
        Ok(()) => Ok(Outcome { kind: SEALED, bytes, finding: None }),
        Err(error @ (Error::Damaged(_) | Error::DecryptionFailed(_))) => {
            let finding = Finding { subject: subject(lease, &blob.id).await?, finding: error.to_string() };
            Ok(Outcome { kind: "failed", bytes, finding: Some(finding) })
        }
        Err(other) => Err(other),
    }
}

/// Whether a newer key of that name is there.
fn is_old(lease: &Lease, seal: &Seal) -> bool {
    let newest = seal.key_id.as_deref().and_then(|id| lease.store().sealed.keyring.newest(id));
    newest.is_some_and(|newest| newest.generation() > seal.key_generation)
}

/// What an old content is to be sealed with: as it is, or as a new one of its owner would be.
async fn seal_with(lease: &Lease, common: &Common, blob: &Blob) -> Result<SealWith, Error> {
    let of = blob.id.clone();
    let planned = lease.store().database.read(move |connection| -> Result<Plan, DatabaseError> {
        match seals::owner_of(connection, &of)? {
            Some((owner_id, folder_id)) => sealing::plan(connection, owner_id, folder_id),
            None => Ok(Plan(None)),
        }
    });
    let newest = |seal: &Seal| lease.store().sealed.keyring.newest(seal.key_id.as_deref()?);
    if let Some(seal) = &blob.seal
        && let Some(key) = newest(seal)
    {
        return Ok(SealWith { key, method: seal.method });
    }
    let (owner, method) = planned.await?.0.unwrap_or((KeyOwner::Shared, SealMethod::Server));
    Ok(SealWith { key: sealing::active_key(lease, &common.clock, owner).await?, method })
}

/// Seals a content under a fresh name, and lets everything name that one. It is readable all the while.
async fn seal_anew(lease: &Lease, job: &Job, item: Item, with: SealWith, pace: Pace) -> Result<(), Error> {
    let (blob, size_bytes, sha256) = item;
    let (worker, old, room) = (lease.clone(), blob.clone(), room_for(lease, size_bytes).await?);
    let working = tokio::task::spawn_blocking(move || {
        room.check()?;
        worker.store().sealed.seal_anew(&worker.store().blobs, &old, with, &pace.within_content())
    });
    let outcome = working.await.map_err(|error| Error::internal("sealing a content", error))?;
    let outcome = outcome.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Damaged(error),
        io::ErrorKind::StorageFull => Error::StorageFull,
        _ => Error::content(error),
    })?;
    let (stored, seal, digest) = outcome.ok_or(Error::Locked)?;
    if data_encoding::HEXLOWER.encode(&digest) != sha256 {
        drop(tokio::task::spawn_blocking(move || drop(stored)));
        return Err(Error::Damaged(io::Error::new(io::ErrorKind::InvalidData, "its digest is another one")));
    }
    let (old, new) = (blob.id.clone(), Blob { id: stored.id().clone(), seal });
    let (from, to) = (old.clone(), new.clone());
    let (forget, job_id) = (lease.store().all_files_forgetter(), job.id);
    let replaced = lease.store().database.write(move |transaction| -> Result<bool, DatabaseError> {
        let replaced = seals::replace(transaction, &from, &to.id)?;
        if let Some(seal) = to.seal.as_ref().filter(|_| replaced) {
            seals::insert(transaction, &to.id, seal)?;
            seals::set_job(transaction, &to.id, job_id)?;
            jobs::count_sealed(transaction, job_id, size_bytes)?;
        }
        forget();
        Ok(replaced)
    });
    if !replaced.await? {
        // It was deleted meanwhile.
        drop(tokio::task::spawn_blocking(move || drop(stored)));
        return Ok(());
    }
    log::debug!(size_bytes; "a content was sealed");
    sweep::keep(lease, stored);
    lease.store().sealed.note_move(old.clone(), new);
    sealing_jobs::remove(lease, vec![old]).await;
    Ok(())
}

/// What a header becomes.
struct Rewrapped {
    blob: BlobId,
    new: NewHeader,
}

/// Gives blobs new headers: journalled together, written, noted together.
async fn rewrap(lease: &Lease, job: &Job, items: Vec<Item>) -> Result<Vec<Outcome>, Error> {
    let (maker, dry_run) = (lease.clone(), job.dry_run);
    let made = tokio::task::spawn_blocking(move || {
        let store = maker.store();
        let mut made = Vec::new();
        for (blob, ..) in items {
            if maker.is_ending() {
                break;
            }
            let newest = newest_for(&maker, &blob);
            let new = newest.map(|key| store.sealed.rewrapped(&store.blobs, &blob, &key));
            made.push((blob, new.transpose().map(Option::flatten)));
        }
        made
    });
    let made = made.await.map_err(|error| Error::internal("making headers", error))?;
    if lease.is_ending() {
        return Err(Error::Locked);
    }
    let (mut outcomes, mut headers) = (Vec::new(), Vec::new());
    for (blob, new) in made {
        let (kind, finding) = match new {
            Ok(None) if blob.seal.as_ref().is_some_and(Seal::is_clients) => ("client", None),
            Ok(None) => ("unchanged", None),
            Ok(Some(_)) if dry_run => ("would_be_rewrapped", None),
            Ok(Some(new)) => {
                headers.push(Rewrapped { blob: blob.id, new });
                ("rewrapped", None)
            }
            Err(error) => {
                let subject = subject(lease, &blob.id).await?;
                ("failed", Some(Finding { subject, finding: error.to_string() }))
            }
        };
        outcomes.push(Outcome { kind, bytes: 0, finding });
    }
    write_headers(lease, headers).await?;
    Ok(outcomes)
}

/// The key that a blob is to be wrapped under, when it is not yet.
fn newest_for(lease: &Lease, blob: &Blob) -> Option<Arc<KeyEncryptionKey>> {
    let seal = blob.seal.as_ref().filter(|seal| seal.version == 2)?;
    let newest = lease.store().sealed.keyring.newest(seal.key_id.as_deref()?)?;
    (newest.generation() != seal.key_generation).then_some(newest)
}

async fn write_headers(lease: &Lease, headers: Vec<Rewrapped>) -> Result<(), Error> {
    let journal: Vec<JournalledHeader> = headers
        .iter()
        .filter(|rewrapped| rewrapped.new.is_written_in_place())
        .map(|rewrapped| JournalledHeader {
            blob: rewrapped.blob.clone(),
            core: rewrapped.new.header.core().to_vec(),
            key_id: rewrapped.new.seal.key_id.clone().unwrap_or_default(),
            key_generation: rewrapped.new.seal.key_generation,
        })
        .collect();
    let journalled = lease.store().database.write(move |transaction| -> Result<(), DatabaseError> {
        journal.iter().try_for_each(|header| seals::journal(transaction, header))
    });
    journalled.await?;
    let writer = lease.clone();
    let writing = tokio::task::spawn_blocking(move || -> io::Result<Vec<Rewrapped>> {
        let store = writer.store();
        for rewrapped in headers.iter().filter(|rewrapped| !rewrapped.new.is_there) {
            match store.sealed.write_header(&store.blobs, &rewrapped.blob, &rewrapped.new.header) {
                // It was deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(headers)
    });
    let written = writing.await.map_err(|error| Error::internal("writing headers", error))?;
    let written = written.map_err(|error| Error::storage("writing headers", error))?;
    let forget = lease.store().all_files_forgetter();
    let noted = lease.store().database.write(move |transaction| -> Result<(), DatabaseError> {
        forget();
        written.iter().try_for_each(|Rewrapped { blob, new }| {
            let key_id = new.seal.key_id.as_deref().unwrap_or_default();
            seals::header_written(transaction, blob, key_id, new.seal.key_generation)
        })
    });
    Ok(noted.await?)
}

/// How people find a blob: by the files and revisions that it belongs to.
pub(super) async fn subject(lease: &Lease, blob: &BlobId) -> Result<String, Error> {
    let of = blob.clone();
    let revisions = lease.store().database.read(move |connection| scrubs::revisions_of(connection, &of)).await?;
    let named: Vec<String> = revisions.iter().map(|(file, number)| format!("file {file} revision {number}")).collect();
    Ok(if named.is_empty() { format!("blob {}", blob.as_str()) } else { named.join(", ") })
}

/// Room for one more content on the drive, beside what is kept free.
pub(super) struct Room {
    lease: Lease,
    needed_bytes: u64,
}

/// Asks for room for a content of that length.
pub(super) async fn room_for(lease: &Lease, size_bytes: u64) -> Result<Room, Error> {
    let rules = lease.store().database.read(policy::storage).await?;
    let sealed_bytes = v2::sealed_bytes(HeaderSize::for_content(size_bytes), size_bytes);
    Ok(Room { lease: lease.clone(), needed_bytes: sealed_bytes.saturating_add(rules.reserve_bytes) })
}

impl Room {
    /// Whether it is there. Blocks.
    pub(super) fn check(&self) -> io::Result<()> {
        let free_bytes = capacity::free_bytes(self.lease.store().mount_point())?;
        if free_bytes < self.needed_bytes { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

/// Slows reading down to what a job may read in a second.
#[derive(Clone)]
pub(super) struct Pace {
    common: Common,
    lease: Lease,
    bytes_per_s: Option<u64>,
    begun: Instant,
    /// Since then, less what is being read.
    read_bytes: u64,
}

impl Pace {
    pub(super) fn new(common: &Common, job: &Job, lease: &Lease) -> Self {
        Self {
            common: common.clone(),
            lease: lease.clone(),
            bytes_per_s: job.bytes_per_s,
            begun: common.clock.monotonic(),
            read_bytes: 0,
        }
    }

    /// More was read.
    pub(super) fn add(&mut self, bytes: u64) {
        self.read_bytes = self.read_bytes.saturating_add(bytes);
    }

    /// How long it is until that much more may have been read.
    fn due_in(&self, more_bytes: u64) -> Duration {
        let Some(bytes_per_s) = self.bytes_per_s else { return Duration::ZERO };
        let bytes = u128::from(self.read_bytes) + u128::from(more_bytes);
        let due = u64::try_from(bytes * 1000 / u128::from(bytes_per_s.max(1))).unwrap_or(u64::MAX);
        Duration::from_millis(due).saturating_sub(self.common.clock.monotonic().saturating_duration_since(self.begun))
    }

    /// Waits until it is time for the next content. False when somebody stopped the job.
    pub(super) async fn keep(&self, job: &Job) -> Result<bool, Error> {
        let id = job.id;
        loop {
            if !self.lease.store().database.read(move |connection| jobs::is_running(connection, id)).await? {
                return Ok(false);
            }
            let left = self.due_in(0);
            if left.is_zero() {
                return Ok(true);
            }
            rest(&self.lease, left.min(MAX_REST)).await?;
        }
    }

    /// Waits until it is time for the next MiB of a content. True when the vault is being locked. Blocks.
    fn stop(&self, pieces: &AtomicU64) -> bool {
        let pieces = pieces.fetch_add(1, Ordering::Relaxed);
        while !self.lease.is_ending() && !self.due_in(pieces << 20).is_zero() {
            std::thread::park_timeout(NAP);
        }
        self.lease.is_ending()
    }

    /// What a reader of one content asks after each MiB: whether it is to stop.
    pub(super) fn within_content(self) -> impl Fn() -> bool {
        let pieces = AtomicU64::new(0);
        move || self.stop(&pieces)
    }
}
