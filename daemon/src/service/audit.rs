//! Who did what. Rows are written in the transaction of the change they report; refusals get one of their own.

use std::net::IpAddr;
use std::sync::Arc;

use log::warn;
use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::unlocked::Lease;
use crate::model::clock::{Ids, SharedClock};
use crate::model::role::Action;
use crate::repo::audit::{self, Entry, Outcome};

/// Failed attempts to unlock that are written one by one; the journal has the count.
pub(crate) const MAX_REPORTED_FAILURES: u32 = 100;

/// Largest page of the log.
pub(crate) const MAX_PAGE: u32 = 500;

/// Who asks, from where, in which request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) actor_id: Option<Uuid>,
    pub(crate) session_id: Option<Uuid>,
    /// Absent on the control socket.
    pub(crate) address: Option<IpAddr>,
    pub(crate) request_id: String,
}

/// Makes rows of the audit log.
#[derive(Clone)]
pub(crate) struct Auditor {
    clock: SharedClock,
    ids: Arc<Ids>,
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
            action: action.to_owned(),
            outcome,
            subject_id,
            request_id: context.request_id.clone(),
        }
    }

    /// Writes what did not happen.
    pub(crate) async fn record(&self, lease: &Lease, entry: Entry) {
        let written = lease.store().database.write(move |transaction| audit::insert(transaction, &entry)).await;
        if let Err(error) = written {
            warn!(error:% = error; "a refusal was not written to the audit log");
        }
    }

    /// A page of the log, newest first, and where the next one starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Entry>, Option<Uuid>), Error> {
        caller.require(Action::ReadAudit).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| audit::list(connection, before, limit + 1));
        Ok(page(read.await?, limit, |entry| entry.id))
    }
}

/// Cuts off the one item too many that was read to see whether there are more.
pub(super) fn page<T>(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> Uuid) -> (Vec<T>, Option<Uuid>) {
    let limit = limit as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(id) } else { None };
    (items, next)
}
