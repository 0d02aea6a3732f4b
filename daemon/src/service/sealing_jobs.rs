//! Work on all that is stored: begun by an administrator or on the box, one at a time, and gone on with after a lock or a
//! power cut.
//!
//! Every step leaves each content readable, under its old name or its new one. What is done twice is the same as once.

use std::time::Duration;

use coffer_crypto::envelope::keys::KeyRecord;
use log::{info, warn};
use uuid::Uuid;

use super::Error;
use super::audit::Context;
use super::bell::Bell;
use super::caller::Caller;
use super::common::Common;
use super::sealing_work::{self, Outcome};
use super::unlocked::Lease;
use super::{sealing_audit, stormcloud, sweep};
use crate::model::role::Action;
use crate::model::sealing::KeyOwner;
use crate::model::sealing_job::{Finding, Job, JobKind, JobState, JobWait, kind_name};
use crate::repo::audit;
use crate::repo::{sealing_jobs, seals};
use crate::storage::database::DatabaseError;

/// When to look whether there is something to do though nobody rang: there may be room again.
const NAP: Duration = Duration::from_secs(5);

/// Blobs between which progress is written down.
const STEP: u32 = 16;

/// The same for headers, which are journalled together.
const HEADERS: u32 = 64;

/// The jobs.
pub(crate) struct SealingJobs {
    common: Common,
    bell: Bell,
}

/// What somebody wants to be done.
pub(crate) struct NewJob {
    pub(crate) kind: JobKind,
    pub(crate) dry_run: bool,
    pub(crate) bytes_per_s: Option<u64>,
    pub(crate) directory: Option<String>,
}

impl SealingJobs {
    /// A service.
    pub(crate) fn new(common: Common, bell: Bell) -> Self {
        Self { common, bell }
    }

    /// Begins a job for an administrator.
    pub(crate) async fn begin(&self, caller: &Caller, new: NewJob) -> Result<Job, Error> {
        caller.require(Action::ManageSettings).await?;
        if new.kind == JobKind::ImportStormcloud {
            // It reads directories of the box, as the daemon may.
            return Err(Error::NotOnTheBox);
        }
        self.begin_for(caller.lease(), &caller.context, new).await
    }

    /// Begins a job for whoever was let in already.
    pub(crate) async fn begin_for(&self, lease: &Lease, context: &Context, new: NewJob) -> Result<Job, Error> {
        if (new.kind == JobKind::ImportStormcloud) != new.directory.is_some() {
            return Err(Error::field("directory", "for import-stormcloud, and for nothing else"));
        }
        if new.bytes_per_s == Some(0) {
            return Err(Error::field("bytes_per_s", "at least 1"));
        }
        let (id, now) = (self.common.ids.next(), self.common.clock.now());
        let job = Job {
            id,
            kind: new.kind,
            dry_run: new.dry_run,
            bytes_per_s: new.bytes_per_s,
            directory: new.directory,
            started_at: now,
            finished_at: None,
            state: JobState::Running,
            waits_for: None,
            after: String::new(),
            total: 0,
            done: 0,
            done_bytes: 0,
            counts: std::collections::BTreeMap::new(),
        };
        let entry = self.common.auditor.entry(context, "encryption.job_begun", audit::Outcome::Success, Some(id));
        let entry = entry.with_detail(format!("{}{}", kind_name(job.kind), if job.dry_run { ", dry run" } else { "" }));
        let needs_keys = matches!(job.kind, JobKind::Rewrap | JobKind::Reencrypt) && !job.dry_run;
        let keeper = lease.clone();
        let begun = lease.store().database.write(move |transaction| -> Result<_, Error> {
            sealing_jobs::begin(transaction, &job).map_err(|error| match error {
                DatabaseError::Conflict => Error::JobRunning,
                other => other.into(),
            })?;
            audit::insert(transaction, &entry)?;
            let mut fresh = Vec::new();
            if needs_keys {
                let keyring = &keeper.store().sealed.keyring;
                let kept = seals::keys(transaction)?;
                let active = kept.iter().map(|kept| &kept.record).filter(|record| seals::is_active(record));
                for record in active {
                    fresh.push(keyring.next(transaction, seals::owner(record), Some(record), now)?);
                }
            }
            let begun = sealing_jobs::find(transaction, id)?.ok_or(Error::NotFound("job"))?;
            Ok((begun, fresh))
        });
        let (begun, fresh) = begun.await?;
        for record in &fresh {
            let opened = lease.store().sealed.keyring.add(record);
            opened.map_err(|error| Error::internal("opening a sealing key", error))?;
        }
        self.bell.ring();
        Ok(begun)
    }

    /// The last job of each kind, the newest first.
    pub(crate) async fn list(&self, lease: &Lease) -> Result<Vec<(Job, Vec<Finding>)>, Error> {
        let read = lease.store().database.read(|connection| -> Result<_, DatabaseError> {
            let jobs = sealing_jobs::list(connection)?;
            jobs.into_iter().map(|job| sealing_jobs::findings(connection, job.id).map(|found| (job, found))).collect()
        });
        Ok(read.await?)
    }

    /// How far a job has come.
    pub(crate) async fn get(&self, lease: &Lease, id: Uuid) -> Result<(Job, Vec<Finding>), Error> {
        let read = lease.store().database.read(move |connection| -> Result<_, Error> {
            let job = sealing_jobs::find(connection, id)?.ok_or(Error::NotFound("job"))?;
            Ok((job, sealing_jobs::findings(connection, id)?))
        });
        read.await
    }

    /// Stops a job. What it has done stays done.
    pub(crate) async fn cancel(&self, lease: &Lease, context: &Context, id: Uuid) -> Result<(), Error> {
        let now = self.common.clock.now();
        let entry = self.common.auditor.entry(context, "encryption.job_cancelled", audit::Outcome::Success, Some(id));
        let cancelled = lease.store().database.write(move |transaction| -> Result<(), Error> {
            if !sealing_jobs::cancel(transaction, id, now)? {
                return Err(Error::NotFound("running job"));
            }
            Ok(audit::insert(transaction, &entry)?)
        });
        cancelled.await
    }
}

/// Goes on with a job, and waits for the next one, until the vault is locked. A chore.
pub(crate) async fn keep(lease: Lease, common: Common, bell: Bell) {
    let mut locking = std::pin::pin!(lease.locking());
    loop {
        match run(&lease, &common).await {
            Ok(()) | Err(Error::Locked) => {}
            Err(error) => {
                warn!(error:% = error; "work on sealed files was interrupted; it goes on later");
                let wait = if matches!(error, Error::StorageFull) { JobWait::StorageFull } else { JobWait::Fault };
                let noted =
                    lease.store().database.write(move |transaction| sealing_jobs::set_waiting(transaction, wait));
                // On a drive that is full there may be no room for it either.
                drop(noted.await);
            }
        }
        tokio::select! {
            biased;
            () = &mut locking => return,
            () = bell.rung() => {}
            () = tokio::time::sleep(NAP) => {}
        }
    }
}

async fn run(lease: &Lease, common: &Common) -> Result<(), Error> {
    while let Some(job) = lease.store().database.read(sealing_jobs::running).await? {
        let ended = match job.kind {
            JobKind::ImportStormcloud => stormcloud::import(lease, common, job).await?,
            JobKind::Audit
            | JobKind::Files
            | JobKind::Upgrade
            | JobKind::Rewrap
            | JobKind::Reencrypt
            | JobKind::Verify => over_all(lease, common, job).await?,
        };
        let Some(job) = ended else { continue };
        if matches!(job.kind, JobKind::Rewrap | JobKind::Reencrypt) && !job.dry_run {
            forget_unused_keys(lease).await?;
        }
        let entry =
            common.auditor.entry(&Context::default(), "encryption.job_finished", audit::Outcome::Success, Some(job.id));
        let entry = entry.with_detail(format!("{}: {:?}", kind_name(job.kind), job.counts));
        info!(kind = kind_name(job.kind), counts:? = job.counts; "work on sealed files has ended");
        let (state, now) = (JobState::Finished, common.clock.now());
        let ended = Job { state, finished_at: Some(now), ..job };
        lease
            .store()
            .database
            .write(move |transaction| -> Result<(), DatabaseError> {
                // Or somebody stopped it in this very moment.
                if sealing_jobs::update(transaction, &ended)? { audit::insert(transaction, &entry) } else { Ok(()) }
            })
            .await?;
    }
    Ok(())
}

/// Goes over all blobs. `None` when somebody stopped the job.
async fn over_all(lease: &Lease, common: &Common, mut job: Job) -> Result<Option<Job>, Error> {
    let step = if job.kind == JobKind::Rewrap { HEADERS } else { STEP };
    loop {
        let (id, after) = (job.id, job.after.clone());
        let read = lease.store().database.read(move |connection| seals::blobs_after(connection, id, &after, step));
        let batch = read.await?;
        let Some((last, ..)) = batch.last() else { break };
        job.after = last.id.as_str().to_owned();
        let outcomes = sealing_work::batch(lease, common, &job, batch).await?;
        if !note(lease, &mut job, outcomes).await? {
            return Ok(None);
        }
    }
    if job.kind == JobKind::Audit {
        // Counted with the end of the job: what is interrupted here is not counted twice.
        let findings = count(&mut job, sealing_audit::strays(lease).await?);
        let id = job.id;
        let told = lease.store().database.write(move |transaction| -> Result<(), DatabaseError> {
            findings.iter().try_for_each(|finding| sealing_jobs::add_finding(transaction, id, finding))
        });
        told.await?;
    }
    // What came or went meanwhile is in no count of the beginning.
    job.total = job.done;
    Ok(Some(job))
}

/// Writes down what became of a batch. False when somebody stopped the job.
pub(super) async fn note(lease: &Lease, job: &mut Job, outcomes: Vec<Outcome>) -> Result<bool, Error> {
    let findings = count(job, outcomes);
    let progress = job.clone();
    let noted = lease.store().database.write(move |transaction| -> Result<bool, DatabaseError> {
        for finding in &findings {
            sealing_jobs::add_finding(transaction, progress.id, finding)?;
        }
        sealing_jobs::update(transaction, &progress)
    });
    Ok(noted.await?)
}

fn count(job: &mut Job, outcomes: Vec<Outcome>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Outcome { kind, bytes, finding } in outcomes {
        job.count(kind, bytes);
        findings.extend(finding);
    }
    findings
}

/// Destroys the keys that nothing is sealed with any more.
async fn forget_unused_keys(lease: &Lease) -> Result<(), Error> {
    let keeper = lease.clone();
    let forgotten = lease.store().database.write(move |transaction| -> Result<_, DatabaseError> {
        let unused = |record: &KeyRecord| !keeper.store().sealed.keyring.is_in_use(record.id, record.generation);
        for kept in seals::keys(transaction)?.into_iter().filter(|kept| unused(&kept.record)) {
            seals::delete_unused_key(transaction, kept.record.id, kept.record.generation)?;
        }
        Ok(seals::keys(transaction)?.iter().map(|kept| (kept.record.id, kept.record.generation)).collect::<Vec<_>>())
    });
    lease.store().sealed.keyring.retain(&forgotten.await?);
    Ok(())
}

/// Destroys the keys of a person: what is sealed with them does not open any more.
pub(crate) async fn destroy_keys(caller: &Caller, common: &Common, owner_id: Uuid) -> Result<(), Error> {
    caller.require(Action::ManageSettings).await?;
    let entry =
        common.auditor.entry(&caller.context, "encryption.keys_destroyed", audit::Outcome::Success, Some(owner_id));
    let destroyed = caller.store().database.write(move |transaction| -> Result<_, Error> {
        seals::forget_words(transaction, KeyOwner::User(owner_id))?;
        if seals::delete_keys(transaction, KeyOwner::User(owner_id))? == 0 {
            return Err(Error::NotFound("key"));
        }
        audit::insert(transaction, &entry)?;
        Ok(seals::keys(transaction)?.iter().map(|kept| (kept.record.id, kept.record.generation)).collect::<Vec<_>>())
    });
    let kept = destroyed.await?;
    caller.store().sealed.keyring.retain(&kept);
    caller.store().small_pictures.clear();
    Ok(())
}

/// Removes what a blob was replaced by; readers that have it open keep it.
pub(super) async fn remove(lease: &Lease, blobs: Vec<crate::model::file::BlobId>) {
    sweep::remove(lease, blobs).await;
}
