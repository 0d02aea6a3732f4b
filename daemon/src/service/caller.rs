//! The one way to data: a person with a valid session on an unlocked vault.

use log::info;

use super::Error;
use super::audit::{Auditor, Context};
use super::unlocked::Lease;
use crate::model::role::{self, Action};
use crate::model::user::User;
use crate::repo::audit::Outcome;
use crate::repo::store::Store;
use uuid::Uuid;

/// Who calls. Made by `Sessions::authenticate` only.
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) session_id: Uuid,
    pub(crate) context: Context,
    lease: Lease,
    auditor: Auditor,
}

impl Caller {
    pub(super) fn new(user: User, session_id: Uuid, context: Context, lease: Lease, auditor: Auditor) -> Self {
        Self { user, session_id, context, lease, auditor }
    }

    /// Refuses what the role does not allow, and audits the refusal.
    pub(crate) async fn require(&self, action: Action) -> Result<(), Error> {
        if role::allows(self.user.role, action) {
            return Ok(());
        }
        let (user, session) = (self.user.id, self.session_id);
        info!(user:% = user, session:% = session, action:? = action; "refused by role");
        let entry = self.auditor.entry(&self.context, &format!("{action:?}"), Outcome::Refused, None);
        self.auditor.record(&self.lease, entry).await;
        Err(Error::Forbidden)
    }

    /// The data.
    pub(crate) fn store(&self) -> &Store {
        self.lease.store()
    }

    /// The right to the data, for work that outlives the call.
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }
}
