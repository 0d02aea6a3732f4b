//! How long the audit log is kept: the setting, and removing what is older.
//!
//! What is old is decided by the clock of the box: one that was set far ahead makes everything old. The setting has a
//! minimum, so that nobody empties the log of what they did today.

use jiff::SignedDuration;
use log::{info, warn};

use super::Error;
use super::audit::{Auditor, Context, going_on};
use super::caller::Caller;
use super::chores::daily;
use super::unlocked::Lease;
use crate::model::role::Action;
use crate::repo::audit::{self, Outcome};
use crate::repo::settings::{self, AUDIT_RETENTION_DAYS};
use crate::storage::database::DatabaseError;

/// Fewest days, and most.
const DAYS: std::ops::RangeInclusive<u32> = 30..=36_500;

/// Rows that are removed in one transaction: some ten milliseconds.
const STEP: u32 = 1000;

impl Auditor {
    /// For how many days the log is kept; 0 for ever.
    pub(crate) async fn retention_days(&self, caller: &Caller) -> Result<u32, Error> {
        caller.require(Action::ReadAudit).await?;
        Ok(caller.store().database.read(days).await?)
    }

    /// Sets for how many days the log is kept, 0 for ever, and removes what is older.
    pub(crate) async fn set_retention_days(&self, caller: &Caller, wanted: u32) -> Result<(), Error> {
        caller.require(Action::ManageAudit).await?;
        if wanted != 0 && !DAYS.contains(&wanted) {
            return Err(Error::field("days", "30 to 36500, or 0 to keep the log for ever"));
        }
        let entry = self.entry(&caller.context, "audit.retention_changed", Outcome::Success, None);
        let changed = caller.store().database.write(move |transaction| -> Result<(), DatabaseError> {
            let before = days(transaction)?;
            settings::set(transaction, AUDIT_RETENTION_DAYS, &wanted.to_string())?;
            audit::insert(transaction, &entry.with_detail(format!("days: {before} -> {wanted}")))
        });
        changed.await?;
        self.shorten(caller.lease()).await
    }

    /// Removes what is older than the setting allows. Each step reports itself.
    async fn shorten(&self, lease: &Lease) -> Result<(), Error> {
        loop {
            let now = self.clock.now();
            let entry = self.entry(&Context::default(), "audit.trimmed", Outcome::Success, None);
            let step = going_on(lease)?.store().database.write(move |transaction| -> Result<_, DatabaseError> {
                let days = days(transaction)?;
                // The calendar ends before the longest time does when the clock stands near its beginning.
                let cutoff = now.checked_sub(SignedDuration::from_hours(24 * i64::from(days)));
                let (1.., Ok(cutoff)) = (days, cutoff) else { return Ok(None) };
                let trimmed = audit::trim(transaction, cutoff, STEP)?;
                if let Some(trimmed) = trimmed {
                    let detail = format!("rows: {}, through: {}", trimmed.rows, trimmed.through_seq);
                    audit::insert(transaction, &entry.with_detail(detail))?;
                }
                Ok(trimmed)
            });
            let Some(trimmed) = step.await? else { return Ok(()) };
            info!(rows = trimmed.rows, through = trimmed.through_seq; "old rows of the audit log were removed");
            if trimmed.rows < STEP as usize {
                return Ok(());
            }
        }
    }
}

/// Shortens the log at once and then daily, until the vault is locked.
pub(crate) async fn keep(lease: Lease, auditor: Auditor) {
    let shorten = async || {
        if let Err(error) = auditor.shorten(&lease).await {
            warn!(error:% = error; "the audit log was not shortened; tomorrow again");
        }
    };
    daily(&lease, &auditor.clock, shorten).await;
}

fn days(connection: &rusqlite::Connection) -> Result<u32, DatabaseError> {
    let text = settings::get(connection, AUDIT_RETENTION_DAYS)?;
    text.map_or(Ok(0), |text| text.parse().map_err(|_| DatabaseError::Value("audit retention")))
}
