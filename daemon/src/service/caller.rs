//! The one way to data: somebody with a valid credential on an unlocked vault.

use log::info;
use uuid::Uuid;

use super::Error;
use super::audit::{Auditor, Context};
use super::unlocked::Lease;
use crate::model::role::{self, Action, Role};
use crate::model::user::User;
use crate::repo::audit::Outcome;
use crate::repo::store::Store;

/// What a caller proved who they are with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A person logged in.
    Session {
        id: Uuid,
        /// The account must have a second factor and has none: it may set one up, and nothing else.
        enrolment_only: bool,
    },
    /// A program, with a key that its owner made: no more than this role, in this folder only when there is one.
    ApiKey { id: Uuid, role: Role, folder_id: Option<Uuid> },
    /// A token that the cloud issued for a linked account.
    DeviceToken,
}

/// All that a key for one folder can be used for.
const WITHIN_A_FOLDER: [Action; 6] =
    [Action::Profile, Action::Read, Action::Add, Action::EditOwn, Action::Edit, Action::Comment];

/// Who calls. Made by `Sessions::authenticate` only.
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) credential: Credential,
    pub(crate) context: Context,
    lease: Lease,
    auditor: Auditor,
}

impl Caller {
    pub(super) fn new(user: User, credential: Credential, context: Context, lease: Lease, auditor: Auditor) -> Self {
        Self { user, credential, context, lease, auditor }
    }

    /// What the caller may do, by role.
    pub(crate) fn role(&self) -> Role {
        match self.credential {
            Credential::ApiKey { role, .. } => role.min(self.user.role),
            Credential::Session { .. } | Credential::DeviceToken => self.user.role,
        }
    }

    /// The folder that the caller cannot leave.
    pub(crate) fn scope(&self) -> Option<Uuid> {
        match self.credential {
            Credential::ApiKey { folder_id, .. } => folder_id,
            Credential::Session { .. } | Credential::DeviceToken => None,
        }
    }

    /// The session of a person who logged in.
    pub(crate) fn session_id(&self) -> Option<Uuid> {
        match self.credential {
            Credential::Session { id, .. } => Some(id),
            Credential::ApiKey { .. } | Credential::DeviceToken => None,
        }
    }

    /// Refuses what the role or the credential does not allow, and audits the refusal.
    pub(crate) async fn require(&self, action: Action) -> Result<(), Error> {
        let Err(refusal) = may(self.role(), self.credential, action) else { return Ok(()) };
        info!(user:% = self.user.id, credential:? = self.credential, action = action.name(); "refused");
        let entry = self.auditor.entry(&self.context, action.name(), Outcome::Refused, None);
        self.auditor.record(&self.lease, entry).await;
        Err(refusal)
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

/// Whether such a credential of somebody in that role allows an action.
fn may(role: Role, credential: Credential, action: Action) -> Result<(), Error> {
    match credential {
        Credential::Session { enrolment_only: true, .. } if !matches!(action, Action::Profile | Action::Enrol) => {
            return Err(Error::SecondFactorNeeded);
        }
        // A stolen key must not become an account.
        Credential::ApiKey { .. } | Credential::DeviceToken if matches!(action, Action::Enrol | Action::Account) => {
            return Err(Error::SessionNeeded);
        }
        Credential::ApiKey { folder_id: Some(_), .. } if !WITHIN_A_FOLDER.contains(&action) => {
            return Err(Error::Forbidden);
        }
        Credential::Session { .. } | Credential::ApiKey { .. } | Credential::DeviceToken => {}
    }
    if role::allowed(role, action) { Ok(()) } else { Err(Error::Forbidden) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_credential_may_not_do_in_any_role() {
        use Action as A;
        let id = Uuid::nil();
        let enrolling = Credential::Session { id, enrolment_only: true };
        let session = Credential::Session { id, enrolment_only: false };
        let key = Credential::ApiKey { id, role: Role::Admin, folder_id: None };
        let scoped = Credential::ApiKey { id, role: Role::Admin, folder_id: Some(id) };
        for (action, expected) in [
            (A::Profile, [true; 5]),
            (A::Enrol, [true, true, false, false, false]),
            (A::Account, [false, true, false, false, false]),
            (A::Read, [false, true, true, true, true]),
            (A::Edit, [false, true, true, true, true]),
            (A::Comment, [false, true, true, true, true]),
            (A::RestrictOwn, [false, true, true, false, true]),
            (A::Share, [false, true, true, false, true]),
            (A::ManagePeople, [false, true, true, false, true]),
            (A::ManageVault, [false, true, true, false, true]),
        ] {
            let credentials = [enrolling, session, key, scoped, Credential::DeviceToken];
            let row = credentials.map(|credential| may(Role::Admin, credential, action).is_ok());
            assert_eq!(row, expected, "{}", action.name());
        }
    }
}
