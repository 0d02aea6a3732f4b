//! Invitations: who holds the link may make one account.

use jiff::Timestamp;
use uuid::Uuid;

use super::role::Role;

/// An invitation that was not used yet, as stored. The token in the link is not.
#[derive(Clone, Debug)]
pub(crate) struct Invitation {
    pub(crate) id: Uuid,
    /// What the new account may do.
    pub(crate) role: Role,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
    pub(crate) expires_at: Timestamp,
}
