//! Which old revisions stay: so many, for so long, as the nearest folder or else the vault says.

use jiff::{SignedDuration, Timestamp};
use log::{info, warn};
use rusqlite::Transaction;
use uuid::Uuid;

use super::chores::daily;
use super::common::Common;
use super::unlocked::Lease;
use super::{Error, sweep};
use crate::model::file::{BlobId, File};
use crate::model::usage::StoragePolicy;
use crate::repo::{contents, files, policy, revisions, tree};

/// Most revisions that are dropped at once; the rest follows.
const STEP: u32 = 200;

/// Drops old revisions of a file; tells which blobs are not needed any more.
pub(super) fn prune(
    transaction: &Transaction<'_>,
    file: &File,
    rules: StoragePolicy,
    now: Timestamp,
) -> Result<Vec<BlobId>, Error> {
    if file.revision <= 1 {
        return Ok(Vec::new());
    }
    let own = tree::retention(transaction, file.folder_id)?;
    let keep = own.keep_revisions.unwrap_or(rules.keep_revisions);
    let days = own.keep_days.unwrap_or(rules.keep_days);
    let dropped = revisions::prune(transaction, file.id, keep, days_before(now, days), STEP)?;
    Ok(contents::forget_unused(transaction, dropped)?)
}

/// So many days before; never, for none, or when the calendar does not go back that far.
pub(super) fn days_before(now: Timestamp, days: u32) -> Option<Timestamp> {
    if days == 0 {
        return None;
    }
    now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).ok()
}

/// Drops what has become too old, at once and then daily, until the vault is locked.
pub(crate) async fn keep(lease: Lease, common: Common) {
    let age = async || {
        if let Err(error) = prune_all(&lease, &common).await {
            warn!(error:% = error; "old revisions were not looked at; tomorrow again");
        }
    };
    daily(&lease, &common.clock, age).await;
}

async fn prune_all(lease: &Lease, common: &Common) -> Result<(), Error> {
    let (mut after, mut dropped) = (Uuid::nil(), 0);
    loop {
        if lease.is_ending() {
            return Ok(());
        }
        let now = common.clock.now();
        let step = lease.store().database.write(move |transaction| -> Result<_, Error> {
            let rules = policy::storage(transaction)?;
            let found = revisions::files_with_history(transaction, after, STEP)?;
            let mut unused = Vec::new();
            for id in &found {
                if let Some(file) = files::find(transaction, *id)? {
                    unused.extend(prune(transaction, &file, rules, now)?);
                }
            }
            Ok((found.last().copied(), unused))
        });
        let (last, unused) = step.await?;
        dropped += unused.len();
        sweep::remove(lease, unused).await;
        let Some(last) = last else { break };
        after = last;
    }
    if dropped > 0 {
        info!(dropped; "contents of old revisions were removed");
    }
    Ok(())
}
