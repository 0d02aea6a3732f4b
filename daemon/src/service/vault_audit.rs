//! Writes down what is done to the vault itself: in its audit log, or in the journal beside it while it is locked.
//!
//! Nothing here can fail: the owner must get in, and the vault must lock, whatever becomes of a line about it.

use std::sync::Arc;
use std::time::Duration;

use log::warn;
use tokio::time::timeout;

use super::Error;
use super::audit::Context;
use super::error::KeyFileProblem;
use super::unlocked::Unlocked;
use super::vault::{LockReason, Vault};
use crate::model::audit::{Entry, Outcome};
use crate::repo::audit;
use crate::storage::database::DatabaseError;

/// How long locking waits for its row.
const WRITE_LIMIT: Duration = Duration::from_millis(300);

impl Vault {
    /// Writes down that something was done to the vault.
    pub(super) async fn note(&self, context: &Context, action: &str) {
        let entry = self.common.auditor.entry(context, action, Outcome::Success, None);
        self.write_down(self.unlocked().as_deref(), entry).await;
    }

    /// Writes down an attempt, when it was refused or failed.
    pub(super) async fn note_failure(&self, context: &Context, action: &str, error: Option<&Error>) {
        let Some((outcome, why)) = error.and_then(failure) else { return };
        let entry = self.common.auditor.entry(context, action, outcome, None).with_detail(why);
        self.write_down(self.unlocked().as_deref(), entry).await;
    }

    /// Writes down that an unlocked vault is being locked.
    pub(super) async fn note_lock(&self, unlocked: &Unlocked, reason: LockReason, context: &Context) {
        let entry = self.common.auditor.entry(context, "vault.locked", Outcome::Success, None);
        let entry = match lock_reason(reason) {
            Some(why) => entry.with_detail(why),
            None => entry,
        };
        self.write_down(Some(unlocked), entry).await;
    }

    /// Into the log when it can be reached, else into the journal. A row that comes too late is in both for a while,
    /// under one id.
    pub(super) async fn write_down(&self, unlocked: Option<&Unlocked>, mut entry: Entry) {
        if let Some(unlocked) = unlocked {
            entry.subject_id.get_or_insert(unlocked.vault_id);
            let row = entry.clone();
            let write = unlocked.store.database.write(move |transaction| audit::insert(transaction, &row));
            match timeout(WRITE_LIMIT, write).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => warn!(error:% = error; "the audit log cannot be written; the journal has it"),
                Err(_elapsed) => warn!("the audit log takes too long; the journal has it"),
            }
        }
        let journal = Arc::clone(&self.journal);
        // A panic there is logged by the runtime, and must not stop the vault.
        drop(tokio::task::spawn_blocking(move || journal.append(&entry)).await);
    }

    /// Moves the journal into the log of the vault that was just opened. What is there already, because the power
    /// went between the commit and the end of the journal, is not added again.
    pub(super) async fn merge_journal(&self, unlocked: &Unlocked) {
        let journal = Arc::clone(&self.journal);
        let Ok(pending) = tokio::task::spawn_blocking(move || journal.read()).await else { return };
        if pending.is_empty() {
            return;
        }
        let vault_id = Some(unlocked.vault_id);
        let report = self.common.auditor.entry(&Context::default(), "vault.events_merged", Outcome::Success, vault_id);
        let (dropped, unreadable) = (pending.dropped, pending.unreadable);
        let entries = pending.entries.clone();
        let merged = unlocked.store.database.write(move |transaction| -> Result<(), DatabaseError> {
            let mut added = 0;
            for entry in &entries {
                if !audit::contains(transaction, entry.id)? {
                    audit::insert(transaction, &Entry { subject_id: vault_id, ..entry.clone() })?;
                    added += 1;
                }
            }
            if added == 0 && !entries.is_empty() {
                return Ok(());
            }
            let detail = format!("events: {added}, dropped: {dropped}, unreadable: {unreadable}");
            audit::insert(transaction, &report.with_detail(detail))
        });
        if let Err(error) = merged.await {
            warn!(error:% = error; "the journal of the locked vault stays until the next unlock");
            return;
        }
        let journal = Arc::clone(&self.journal);
        drop(tokio::task::spawn_blocking(move || journal.forget(&pending)).await);
    }
}

/// What an error says about an attempt. Nothing for a slip of the pen, or a call that does not fit the state: nobody
/// tried to get at anything.
#[expect(clippy::too_many_lines, reason = "one table, one line an error")]
fn failure(error: &Error) -> Option<(Outcome, &'static str)> {
    match error {
        Error::WrongMasterSecret => Some((Outcome::Failed, "wrong master secret")),
        Error::WrongSetupCode => Some((Outcome::Failed, "wrong setup code")),
        Error::Lockdown => Some((Outcome::Refused, "lockdown")),
        Error::KeyFile(problem) => Some((Outcome::Refused, key_file(*problem))),
        Error::KeySlotNeeded => Some((Outcome::Refused, "the last master password must stay")),
        Error::StorageUnavailable { .. } | Error::StorageFull | Error::Damaged(_) | Error::DecryptionFailed(_) => {
            Some((Outcome::Failed, "the storage cannot be used"))
        }
        Error::Internal(..) => Some((Outcome::Failed, "internal fault")),
        Error::Unauthenticated
        | Error::WrongCredentials
        | Error::WrongPassword
        | Error::WrongSecondFactor
        | Error::WrongInvitation
        | Error::WrongDeviceToken
        | Error::Forbidden
        | Error::NotOnTheBox
        | Error::ReadOnlyFolder
        | Error::SecondFactorNeeded
        | Error::LastSecondFactor
        | Error::LastAdmin
        | Error::LastOwner
        | Error::OwnAccount
        | Error::OnlySealed
        | Error::NotAllSealed { .. }
        | Error::JobRunning
        | Error::UsernameTaken
        | Error::GroupNameTaken
        | Error::LinkTaken
        | Error::LimitReached { .. }
        | Error::RegistrationClosed
        | Error::SessionNeeded
        | Error::NotFound(_)
        | Error::NameTaken
        | Error::ThumbnailPending
        | Error::ThumbnailFailed { .. }
        | Error::NoThumbnail { .. }
        | Error::PictureNotTurned(_)
        | Error::PreconditionFailed
        | Error::PreconditionNeeded
        | Error::DigestMismatch
        | Error::IntoItself
        | Error::OriginGone
        | Error::CurrentRevision
        | Error::NotAText
        | Error::QuotaExceeded
        | Error::NotAllOfIt
        | Error::WriteProtected
        | Error::VaultExists
        | Error::VaultAbsent
        | Error::VaultState(_)
        | Error::InvalidField { .. }
        | Error::Locked
        | Error::TooManyAttempts { .. }
        | Error::Busy
        | Error::NetworkBusy
        | Error::SetupServiceUnavailable
        | Error::UpdateRunning
        | Error::UploadsRunning
        | Error::UpdaterUnavailable
        | Error::Channel(_)
        | Error::RequestTimeout
        | Error::UploadTooLong { .. }
        | Error::UploadBusy
        | Error::WrongOffset { .. }
        | Error::WrongChecksum
        | Error::FinalUpload
        | Error::PartIncomplete
        | Error::ArchiveTooLarge { .. }
        | Error::SharePassword { .. }
        | Error::ShareForbids
        | Error::ShareFull { .. }
        | Error::UploadCutShort => None,
    }
}

fn lock_reason(reason: LockReason) -> Option<&'static str> {
    match reason {
        LockReason::Asked => None,
        LockReason::Lockdown => Some("lockdown"),
        LockReason::KeyFile(problem) => Some(key_file(problem)),
        LockReason::GocryptfsEnded => Some("gocryptfs ended"),
        LockReason::FactoryReset => Some("factory reset"),
        LockReason::Stopping => Some("the program stops"),
    }
}

fn key_file(problem: KeyFileProblem) -> &'static str {
    match problem {
        KeyFileProblem::Missing => "key file missing",
        KeyFileProblem::Unreadable => "key file unreadable",
        KeyFileProblem::Damaged => "key file damaged",
        KeyFileProblem::Newer => "key file of a newer version",
        KeyFileProblem::Replaced => "key file replaced",
    }
}
