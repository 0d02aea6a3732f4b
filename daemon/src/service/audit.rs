//! Who did what. Rows are written in the transaction of the change they report; refusals get one of their own.
//!
//! Reading the log is here too. It may be long, so whatever walks through it does so in steps between which others get
//! at the database.

use std::net::IpAddr;
use std::sync::Arc;

use log::warn;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::unlocked::Lease;
use crate::model::audit::{Filter, Record, Verification};
use crate::model::clock::{Ids, SharedClock};
use crate::model::role::Action;
use crate::repo::audit::{self, Entry, Found, Outcome, Walk};
use crate::repo::audit_chain::{self, Step};
use crate::storage::database::DatabaseError;

/// Largest page of the log.
pub(crate) const MAX_PAGE: u32 = 500;

/// Rows that are looked at before others get at the database: a few milliseconds.
const STEP: u32 = 1000;

/// Steps that one page may take. A filter that is rarer than one in so many rows gets a short page, and goes on.
const STEPS: u32 = 50;

/// Pages of an export that wait for the client to take them.
const READ_AHEAD: usize = 2;

/// Who asks, from where, in which request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) actor_id: Option<Uuid>,
    /// The session, or the API key.
    pub(crate) session_id: Option<Uuid>,
    /// Absent on the control socket.
    pub(crate) address: Option<IpAddr>,
    pub(crate) request_id: String,
}

/// Makes rows of the audit log, and reads them.
#[derive(Clone)]
pub(crate) struct Auditor {
    pub(super) clock: SharedClock,
    ids: Arc<Ids>,
}

/// A part of an export on its way out.
pub(crate) enum Exported {
    /// More rows.
    Rows(Vec<Record>),
    /// That was all. An export that stops without it is not complete.
    End,
}

impl Auditor {
    /// An auditor with that clock.
    pub(crate) fn new(clock: SharedClock, ids: Arc<Ids>) -> Self {
        Self { clock, ids }
    }

    /// A row.
    pub(crate) fn entry(&self, context: &Context, action: &str, outcome: Outcome, subject_id: Option<Uuid>) -> Entry {
        Entry {
            id: self.ids.next(),
            at: self.clock.now(),
            actor_id: context.actor_id,
            session_id: context.session_id,
            address: context.address,
            request_id: context.request_id.clone(),
            action: action.to_owned(),
            outcome,
            subject_id,
            detail: None,
        }
    }

    /// Writes what did not happen.
    pub(crate) async fn record(&self, lease: &Lease, entry: Entry) {
        if let Err(error) = write(lease, entry).await {
            warn!(error:% = error; "a refusal was not written to the audit log");
        }
    }

    /// A page of what the filter wants, newest first, and where the next one starts. When the filter is rare a page
    /// may hold less than asked for, and the log still go on.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        filter: Filter,
        cursor: Option<i64>,
        limit: u32,
    ) -> Result<(Vec<Record>, Option<i64>), Error> {
        caller.require(Action::ReadAudit).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let mut before = cursor.unwrap_or(i64::MAX);
        let mut records: Vec<Record> = Vec::new();
        for _ in 0..STEPS {
            // One too many tells whether there are more.
            let missing = limit + 1 - u32::try_from(records.len()).unwrap_or(limit);
            let found = search(caller.lease(), &filter, Walk::Back { before }, missing).await?;
            records.extend(found.records);
            if records.len() > limit as usize {
                records.truncate(limit as usize);
                let next = records.last().map(|record| record.seq);
                return Ok((records, next));
            }
            match found.last {
                Some(last) => before = last,
                None => return Ok((records, None)),
            }
        }
        Ok((records, Some(before)))
    }

    /// All that the filter wants, oldest first, up to the row that reports the export.
    pub(crate) async fn export(
        &self,
        caller: &Caller,
        filter: Filter,
        format: &'static str,
    ) -> Result<mpsc::Receiver<Exported>, Error> {
        caller.require(Action::ReadAudit).await?;
        let entry = self.entry(&caller.context, "audit.exported", Outcome::Success, None);
        write(caller.lease(), entry.with_detail(format!("format: {format}"))).await?;
        let head = caller.store().database.read(audit_chain::head).await?;
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        tokio::spawn(pump(caller.lease().clone(), filter, head.seq, sender));
        Ok(receiver)
    }

    /// Computes the chain of hashes anew and compares.
    pub(crate) async fn verify(&self, caller: &Caller) -> Result<Verification, Error> {
        caller.require(Action::ReadAudit).await?;
        let mut so_far = None;
        let verification = loop {
            let database = &going_on(caller.lease())?.store().database;
            match database.read(move |connection| audit_chain::verify(connection, so_far, STEP)).await? {
                Step::GoOn(state) => so_far = Some(state),
                Step::Done(verification) => break verification,
            }
        };
        let (outcome, detail) = match &verification.broken {
            None => (Outcome::Success, format!("rows: {}", verification.rows)),
            Some(broken) => {
                warn!(seq = broken.seq, why:? = broken.why; "the audit log is not as it was written");
                (Outcome::Failed, format!("row {} is not as it was written", broken.seq))
            }
        };
        let entry = self.entry(&caller.context, "audit.verified", outcome, None).with_detail(detail);
        write(caller.lease(), entry).await?;
        Ok(verification)
    }
}

/// Sends page after page until the client has gone or the vault is locked.
async fn pump(lease: Lease, filter: Filter, through: i64, sender: mpsc::Sender<Exported>) {
    let mut locking = std::pin::pin!(lease.locking());
    let mut next = Some(0);
    loop {
        let part = match next {
            None => Exported::End,
            Some(after) => match search(&lease, &filter, Walk::Forth { after, through }, MAX_PAGE).await {
                Ok(found) => {
                    next = found.last;
                    Exported::Rows(found.records)
                }
                Err(error) => {
                    warn!(error:% = error; "an export of the audit log ends early");
                    return;
                }
            },
        };
        let ends = matches!(part, Exported::End);
        let sent = tokio::select! {
            biased;
            () = &mut locking => return,
            sent = sender.send(part) => sent,
        };
        // An error from the channel means that the client has gone.
        if sent.is_err() || ends {
            return;
        }
    }
}

async fn search(lease: &Lease, filter: &Filter, walk: Walk, limit: u32) -> Result<Found, Error> {
    let filter = filter.clone();
    let database = &going_on(lease)?.store().database;
    Ok(database.read(move |connection| audit::search(connection, &filter, walk, limit, STEP)).await?)
}

pub(super) async fn write(lease: &Lease, entry: Entry) -> Result<(), DatabaseError> {
    lease.store().database.write(move |transaction| audit::insert(transaction, &entry)).await
}

/// A long walk ends when the vault is being locked.
pub(super) fn going_on(lease: &Lease) -> Result<&Lease, Error> {
    if lease.is_ending() { Err(Error::Locked) } else { Ok(lease) }
}

/// Cuts off the one item too many that was read to see whether there are more.
pub(super) fn page<T>(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> Uuid) -> (Vec<T>, Option<Uuid>) {
    let limit = limit as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(id) } else { None };
    (items, next)
}
