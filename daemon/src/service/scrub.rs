//! Reading everything back: by itself every thirty days, or when an administrator asks for it.
//!
//! Throttled: after each content it rests for as long as the reading took. It goes on where it stopped after a lock or a
//! power cut. A content that does not read back is replaced by an identical one, if there is one that does; if not, it
//! stays as it is and is reported: half a film is better than none.

use std::io::{self, ErrorKind};
use std::time::Duration;

use jiff::SignedDuration;
use log::{error, info, warn};
use uuid::Uuid;

use super::bell::Bell;
use super::caller::Caller;
use super::common::Common;
use super::unlocked::Lease;
use super::{Error, sealing, sweep};
use crate::model::file::Sha256;
use crate::model::role::Action;
use crate::model::scrub::{ContentFault, Expected, Scrub};
use crate::model::sealing::{Blob, Seal};
use crate::repo::audit::{self, Outcome};
use crate::repo::blobs::Stored;
use crate::repo::content_io::{self, ContentReader, SealFault};
use crate::repo::{contents, scrubs, seals};
use crate::storage::database::DatabaseError;

/// How long after the last round the next one begins by itself.
const INTERVAL: SignedDuration = SignedDuration::from_hours(24 * 30);

/// How often the calendar is looked at.
const TICK: Duration = Duration::from_secs(5);

/// Contents whose verdicts are written in one transaction.
const STEP: u32 = 16;

/// Longest rest between two contents.
const MAX_REST: Duration = Duration::from_secs(2);

/// Largest page of a list of faults.
const MAX_PAGE: u32 = 500;

/// The rounds.
pub(crate) struct Scrubs {
    common: Common,
    bell: Bell,
}

/// A place in the list of faults: a file and the number of a revision.
pub(crate) type FaultCursor = (Uuid, u32);

impl Scrubs {
    /// A service.
    pub(crate) fn new(common: Common, bell: Bell) -> Self {
        Self { common, bell }
    }

    /// Begins a round, unless one goes on; gives the one that does.
    pub(crate) async fn begin(&self, caller: &Caller) -> Result<Scrub, Error> {
        caller.require(Action::ManageSettings).await?;
        let (id, now) = (self.common.ids.next(), self.common.clock.now());
        let entry = self.common.auditor.entry(&caller.context, "scrub.begun", Outcome::Success, Some(id));
        let begun = caller.store().database.write(move |transaction| -> Result<Option<Scrub>, DatabaseError> {
            match scrubs::begin(transaction, id, now) {
                Ok(()) => audit::insert(transaction, &entry)?,
                Err(DatabaseError::Conflict) => {}
                Err(error) => return Err(error),
            }
            scrubs::last(transaction)
        });
        let scrub = begun.await?.ok_or(Error::NotFound("scrub"))?;
        self.bell.ring();
        Ok(scrub)
    }

    /// The round that goes on, else the last one.
    pub(crate) async fn last(&self, caller: &Caller) -> Result<Option<Scrub>, Error> {
        caller.require(Action::ManageSettings).await?;
        Ok(caller.store().database.read(scrubs::last).await?)
    }

    /// A page of the revisions that did not read back, and where the next page starts.
    pub(crate) async fn faults(
        &self,
        caller: &Caller,
        after: Option<FaultCursor>,
        limit: u32,
    ) -> Result<(Vec<(Uuid, u32, ContentFault)>, Option<FaultCursor>), Error> {
        caller.require(Action::ManageSettings).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let after = after.unwrap_or((Uuid::nil(), 0));
        let read =
            caller.store().database.read(move |connection| scrubs::faulty_revisions(connection, after, limit + 1));
        let mut items = read.await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|(file_id, number, _)| (*file_id, *number));
        Ok((items, next))
    }
}

/// Goes on with a round, begins one when it is time, and waits to be asked for one, until the vault is locked.
pub(crate) async fn keep(lease: Lease, common: Common, bell: Bell) {
    let mut locking = std::pin::pin!(lease.locking());
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = &mut locking => return,
            () = bell.rung() => {}
            _ = ticks.tick() => {}
        }
        let round = async {
            if let Some(scrub) = due(&lease, &common).await? {
                run(&lease, &common, scrub).await?;
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = round.await
            && !matches!(error, Error::Locked)
        {
            warn!(error:% = error; "reading the contents back was interrupted; it goes on later");
        }
    }
}

/// The round that is to be gone on with, or one that is due.
async fn due(lease: &Lease, common: &Common) -> Result<Option<Scrub>, Error> {
    let (id, now) = (common.ids.next(), common.clock.now());
    let look = lease.store().database.write(move |transaction| -> Result<Option<Scrub>, DatabaseError> {
        let last = scrubs::last(transaction)?;
        if let Some(scrub) = last.filter(|scrub| scrub.finished_at.is_none()) {
            return Ok(Some(scrub));
        }
        // A vault is as young as its oldest content.
        let since = match scrubs::last_finished(transaction)? {
            Some(finished) => Some(finished),
            None => contents::oldest(transaction)?,
        };
        let since = since.and_then(|since| jiff::Timestamp::from_millisecond(since).ok());
        if since.is_none_or(|since| now.duration_since(since) < INTERVAL) {
            return Ok(None);
        }
        scrubs::begin(transaction, id, now)?;
        scrubs::last(transaction)
    });
    Ok(look.await?)
}

async fn run(lease: &Lease, common: &Common, mut scrub: Scrub) -> Result<(), Error> {
    loop {
        let after = scrub.after_blob_id.clone();
        let read = lease.store().database.read(move |connection| scrubs::contents_after(connection, &after, STEP));
        let batch = read.await?;
        if batch.is_empty() {
            break;
        }
        let mut verdicts = Vec::with_capacity(batch.len());
        for expected in batch {
            let fault = rest_after(lease, common, look_at(lease, expected.clone())).await?;
            scrub.after_blob_id = expected.blob.id.as_str().to_owned();
            scrub.checked += 1;
            scrub.checked_bytes += expected.size_bytes;
            if fault.is_some() {
                scrub.faults += 1;
                scrub.repaired += u64::from(repair(lease, common, &expected).await?);
            }
            verdicts.push((expected.blob.id, fault));
        }
        let (progress, now) = (scrub.clone(), common.clock.now());
        let noted = lease.store().database.write(move |transaction| -> Result<(), DatabaseError> {
            for (blob, fault) in &verdicts {
                scrubs::set_verdict(transaction, blob, *fault, now)?;
            }
            scrubs::update(transaction, &progress)
        });
        noted.await?;
    }
    scrub.orphans = sweep::sweep_all(lease, common).await?;
    let looker = lease.clone();
    let kept = tokio::task::spawn_blocking(move || looker.store().blobs.quarantined()).await;
    let kept = kept.map_err(|error| Error::internal("looking into quarantine", error))?;
    scrub.quarantined = kept.map_err(|error| Error::storage("looking into quarantine", error))?.len() as u64;
    scrub.finished_at = Some(common.clock.now());
    let entry =
        common.auditor.entry(&super::audit::Context::default(), "scrub.finished", Outcome::Success, Some(scrub.id));
    let detail = format!("checked: {}, faults: {}, repaired: {}", scrub.checked, scrub.faults, scrub.repaired);
    info!(checked = scrub.checked, faults = scrub.faults, repaired = scrub.repaired; "all contents were read back");
    let finished = lease.store().database.write(move |transaction| -> Result<(), DatabaseError> {
        scrubs::update(transaction, &scrub)?;
        audit::insert(transaction, &entry.with_detail(detail))
    });
    Ok(finished.await?)
}

/// Rests for as long as the work took, so that a round takes half of the drive at most.
async fn rest_after<T>(
    lease: &Lease,
    common: &Common,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let start = common.clock.monotonic();
    let done = work.await?;
    let rest = common.clock.monotonic().saturating_duration_since(start).min(MAX_REST);
    tokio::select! {
        biased;
        () = lease.locking() => Err(Error::Locked),
        () = tokio::time::sleep(rest) => Ok(done),
    }
}

/// What is wrong with a content, if something is.
async fn look_at(lease: &Lease, expected: Expected) -> Result<Option<ContentFault>, Error> {
    let reader = lease.clone();
    let looking = tokio::task::spawn_blocking(move || {
        match verdict(reader.store().content(&expected.blob), &expected, &|| reader.is_ending()) {
            Verdict::Stopped => Err(Error::Locked),
            Verdict::Whole => Ok(None),
            Verdict::Fault(fault) => Ok(Some(fault)),
        }
    });
    looking.await.map_err(|error| Error::internal("reading a content back", error))?
}

/// What reading a content back gave.
pub(crate) enum Verdict {
    /// It was stopped before that was known.
    Stopped,
    Whole,
    Fault(ContentFault),
}

/// Reads a content back and compares.
pub(crate) fn verdict(content: io::Result<ContentReader>, expected: &Expected, stop: &dyn Fn() -> bool) -> Verdict {
    let read = content.and_then(|mut content| {
        let digest = content_io::digest(&mut content, stop)?;
        Ok(digest.map(|digest| (content.content_bytes(), Sha256(digest))))
    });
    match read {
        Ok(None) => Verdict::Stopped,
        Ok(Some(found)) if found == (expected.size_bytes, expected.sha256) => Verdict::Whole,
        Ok(Some(_)) => Verdict::Fault(ContentFault::Changed),
        Err(error) if matches!(SealFault::of(&error), Some(SealFault::Refused(_))) => {
            Verdict::Fault(ContentFault::Changed)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Verdict::Fault(ContentFault::Missing),
        Err(error) => {
            error!(error:% = error, blob = expected.blob.id.as_str(); "a stored content does not read back");
            Verdict::Fault(ContentFault::Unreadable)
        }
    }
}

/// Replaces a content that does not read back by a fresh copy of an identical one. False when there is none.
async fn repair(lease: &Lease, common: &Common, expected: &Expected) -> Result<bool, Error> {
    let of = expected.clone();
    let twins = lease.store().database.read(move |connection| scrubs::twins(connection, &of)).await?;
    for twin in twins {
        let (reader, wanted) = (lease.clone(), expected.clone());
        let copying = tokio::task::spawn_blocking(move || copy(&reader, &twin, &wanted));
        let copied = copying.await.map_err(|error| Error::internal("repairing a content", error))?;
        let Some((stored, seal)) = copied else { continue };
        let (old, new) = (expected.blob.id.clone(), stored.id().clone());
        let entry = common.auditor.entry(&super::audit::Context::default(), "content.repaired", Outcome::Success, None);
        let forget = lease.store().all_files_forgetter();
        let replaced = lease.store().database.write(move |transaction| -> Result<bool, DatabaseError> {
            let replaced = seals::replace(transaction, &old, &new)?;
            if let Some(seal) = seal.as_ref().filter(|_| replaced) {
                seals::insert(transaction, &new, seal)?;
            }
            forget();
            audit::insert(transaction, &entry)?;
            Ok(replaced)
        });
        if replaced.await? {
            sweep::keep(lease, stored);
            sweep::remove(lease, vec![expected.blob.id.clone()]).await;
            return Ok(true);
        }
    }
    Ok(false)
}

/// A fresh blob of the content of another, sealed as the lost one was; when it is what is wanted.
fn copy(lease: &Lease, from: &Blob, wanted: &Expected) -> Option<(Stored, Option<Seal>)> {
    let store = lease.store();
    let copied = || -> std::io::Result<_> {
        let mut twin = store.content(from)?;
        let fresh = store.new_content(sealing::like(store, wanted.blob.seal.as_ref()))?;
        content_io::copy(&mut twin, fresh, &|| lease.is_ending())
    };
    let (stored, seal, sha256) = copied().ok().flatten()?;
    (Sha256(sha256) == wanted.sha256).then_some((stored, seal))
}
