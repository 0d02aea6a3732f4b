//! The one way to data: somebody with a valid credential on an unlocked vault.

use jiff::Timestamp;
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
    Session { id: Uuid },
    /// A program, with a key that its owner made: no more than this role, in this folder only when there is one.
    ApiKey { id: Uuid, role: Role, folder_id: Option<Uuid> },
    /// A token that the cloud issued for a linked account, until then.
    DeviceToken { expires_at: Timestamp },
}

/// All that a key for one folder can be used for.
const WITHIN_A_FOLDER: [Action; 6] =
    [Action::Profile, Action::Read, Action::Add, Action::EditOwn, Action::Edit, Action::Comment];

/// Who a credential is of.
pub(super) struct Proved {
    pub(super) user: User,
    pub(super) credential: Credential,
    /// As in [`Caller`].
    pub(super) must_enrol: bool,
}

/// Who calls. Made by `Sessions::authenticate` only.
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) credential: Credential,
    /// The account must have a second factor and has none: it may set one up, and nothing else.
    pub(crate) must_enrol: bool,
    pub(crate) context: Context,
    lease: Lease,
    auditor: Auditor,
}

impl Caller {
    pub(super) fn new(proved: Proved, context: Context, lease: Lease, auditor: Auditor) -> Self {
        let Proved { user, credential, must_enrol } = proved;
        Self { user, credential, must_enrol, context, lease, auditor }
    }

    /// What the caller may do, by role.
    pub(crate) fn role(&self) -> Role {
        match self.credential {
            Credential::ApiKey { role, .. } => role.min(self.user.role),
            Credential::Session { .. } | Credential::DeviceToken { .. } => self.user.role,
        }
    }

    /// The folder that the caller cannot leave.
    pub(crate) fn scope(&self) -> Option<Uuid> {
        match self.credential {
            Credential::ApiKey { folder_id, .. } => folder_id,
            Credential::Session { .. } | Credential::DeviceToken { .. } => None,
        }
    }

    /// The session of a person who logged in.
    pub(crate) fn session_id(&self) -> Option<Uuid> {
        match self.credential {
            Credential::Session { id } => Some(id),
            Credential::ApiKey { .. } | Credential::DeviceToken { .. } => None,
        }
    }

    /// Refuses what the role or the credential does not allow, and audits the refusal.
    pub(crate) async fn require(&self, action: Action) -> Result<(), Error> {
        let Err(refusal) = may(self.role(), self.credential, self.must_enrol, action) else { return Ok(()) };
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
fn may(role: Role, credential: Credential, must_enrol: bool, action: Action) -> Result<(), Error> {
    // Also with a key or a token of before: it would be a way around the factor.
    if must_enrol && !matches!(action, Action::Profile | Action::Enrol) {
        return Err(Error::SecondFactorNeeded);
    }
    match credential {
        // A stolen key must not become an account.
        Credential::ApiKey { .. } | Credential::DeviceToken { .. }
            if matches!(action, Action::Enrol | Action::Account | Action::RotateSecrets) =>
        {
            return Err(Error::SessionNeeded);
        }
        Credential::ApiKey { folder_id: Some(_), .. } if !WITHIN_A_FOLDER.contains(&action) => {
            return Err(Error::Forbidden);
        }
        Credential::Session { .. } | Credential::ApiKey { .. } | Credential::DeviceToken { .. } => {}
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
        let session = Credential::Session { id };
        let key = Credential::ApiKey { id, role: Role::Admin, folder_id: None };
        let scoped = Credential::ApiKey { id, role: Role::Admin, folder_id: Some(id) };
        let token = Credential::DeviceToken { expires_at: Timestamp::MAX };
        for (action, expected) in [
            (A::Profile, [true; 4]),
            (A::Enrol, [true, false, false, false]),
            (A::Account, [true, false, false, false]),
            (A::RotateSecrets, [true, false, false, false]),
            (A::Read, [true, true, true, true]),
            (A::Edit, [true, true, true, true]),
            (A::Comment, [true, true, true, true]),
            (A::RestrictOwn, [true, true, false, true]),
            (A::Share, [true, true, false, true]),
            (A::ManagePeople, [true, true, false, true]),
            (A::ManageVault, [true, true, false, true]),
        ] {
            let row =
                [session, key, scoped, token].map(|credential| may(Role::Admin, credential, false, action).is_ok());
            assert_eq!(row, expected, "{}", action.name());
            // Without the factor that everybody must have, only what leads to one.
            let row =
                [session, key, scoped, token].map(|credential| may(Role::Admin, credential, true, action).is_ok());
            let leads_to_one = matches!(action, A::Profile | A::Enrol);
            assert_eq!(row, expected.map(|may| may && leads_to_one), "{} without a factor", action.name());
        }
    }
}
