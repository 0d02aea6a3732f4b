//! How much is stored, and how much may be: the rules, the quotas, the figures.

use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::common::Common;
use super::transfer;
use crate::model::role::Action;
use crate::model::usage::{StoragePolicy, UsageOfFolder, UsageOfUser};
use crate::repo::audit::{self, Outcome};
use crate::repo::{policy, usage, users};

/// Most days that can be set.
const MAX_DAYS: u32 = 36_500;
/// Largest reserve and quota: an exbibyte is more than there is.
const MAX_BYTES: u64 = 1 << 60;

/// The rules and the figures of storage.
pub(crate) struct StorageRules {
    common: Common,
}

/// What a person stores, and may.
pub(crate) struct OwnUsage {
    pub(crate) usage: UsageOfUser,
    /// `None`: as much as fits.
    pub(crate) quota_bytes: Option<u64>,
}

/// What everybody stores.
pub(crate) struct Usage {
    pub(crate) users: Vec<UsageOfUser>,
    pub(crate) folders: Vec<UsageOfFolder>,
    /// The bytes of all blobs; what copies share counts once.
    pub(crate) stored_bytes: u64,
    pub(crate) free_bytes: u64,
}

impl StorageRules {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// The rules.
    pub(crate) async fn policy(&self, caller: &Caller) -> Result<StoragePolicy, Error> {
        caller.require(Action::ManageSettings).await?;
        Ok(caller.store().database.read(policy::storage).await?)
    }

    /// Sets the rules. What they make old goes at the next daily round.
    pub(crate) async fn set_policy(&self, caller: &Caller, rules: StoragePolicy) -> Result<(), Error> {
        caller.require(Action::ManageSettings).await?;
        for (field, value) in
            [("trash_days", rules.trash_days), ("keep_revisions", rules.keep_revisions), ("keep_days", rules.keep_days)]
        {
            if value > MAX_DAYS {
                return Err(Error::field(field, format!("at most {MAX_DAYS}")));
            }
        }
        if rules.quota_bytes > MAX_BYTES {
            return Err(Error::field("quota_bytes", "at most 2^60"));
        }
        let least = StoragePolicy::MIN_RESERVE_BYTES;
        if !(least..=MAX_BYTES).contains(&rules.reserve_bytes) {
            return Err(Error::field("reserve_bytes", format!("{least} to 2^60: the database needs room as well")));
        }
        let entry = self.common.auditor.entry(&caller.context, "storage.policy_changed", Outcome::Success, None);
        let changed = caller.store().database.write(move |transaction| -> Result<(), Error> {
            policy::set_storage(transaction, rules)?;
            Ok(audit::insert(transaction, &entry.with_detail(format!("{rules:?}")))?)
        });
        changed.await
    }

    /// Sets what a person may store; `None`: what the rules say.
    pub(crate) async fn set_quota(
        &self,
        caller: &Caller,
        user_id: Uuid,
        quota_bytes: Option<u64>,
    ) -> Result<(), Error> {
        caller.require(Action::ManagePeople).await?;
        if quota_bytes.is_some_and(|quota| quota > MAX_BYTES) {
            return Err(Error::field("quota_bytes", "at most 2^60"));
        }
        let entry = self.common.auditor.entry(&caller.context, "user.quota_changed", Outcome::Success, Some(user_id));
        let changed = caller.store().database.write(move |transaction| -> Result<(), Error> {
            users::find(transaction, user_id)?.ok_or(Error::NotFound("user"))?;
            usage::set_quota(transaction, user_id, quota_bytes)?;
            let detail = quota_bytes.map_or_else(|| "as the rules say".to_owned(), |quota| format!("{quota} bytes"));
            Ok(audit::insert(transaction, &entry.with_detail(detail))?)
        });
        changed.await
    }

    /// What the caller stores, and may.
    pub(crate) async fn own(&self, caller: &Caller) -> Result<OwnUsage, Error> {
        caller.require(Action::Read).await?;
        of_user(caller, caller.user.id).await
    }

    /// What a person stores, and may.
    pub(crate) async fn of_user(&self, caller: &Caller, user_id: Uuid) -> Result<OwnUsage, Error> {
        caller.require(Action::ManagePeople).await?;
        of_user(caller, user_id).await
    }

    /// What everybody stores.
    pub(crate) async fn usage(&self, caller: &Caller) -> Result<Usage, Error> {
        caller.require(Action::ManagePeople).await?;
        let free_bytes = transfer::free_bytes(caller.lease()).await?;
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            Ok(Usage {
                users: usage::by_user(connection, None)?,
                folders: usage::by_folder(connection)?,
                stored_bytes: usage::stored(connection)?,
                free_bytes,
            })
        });
        read.await
    }
}

async fn of_user(caller: &Caller, user_id: Uuid) -> Result<OwnUsage, Error> {
    let read = caller.store().database.read(move |connection| -> Result<_, Error> {
        users::find(connection, user_id)?.ok_or(Error::NotFound("user"))?;
        let nothing =
            UsageOfUser { user_id, files: 0, current_bytes: 0, revision_bytes: 0, trash_bytes: 0, attached_bytes: 0 };
        let general = Some(policy::storage(connection)?.quota_bytes).filter(|quota| *quota > 0);
        Ok(OwnUsage {
            usage: usage::by_user(connection, Some(user_id))?.pop().unwrap_or(nothing),
            quota_bytes: usage::quota(connection, user_id)?.or(general),
        })
    });
    read.await
}
