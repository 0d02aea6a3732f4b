//! Keys with which programs act for their owner.

use jiff::Timestamp;
use uuid::Uuid;

use super::role::Role;

/// A key, as stored. The secret itself is not.
#[derive(Clone, Debug)]
pub(crate) struct ApiKey {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) name: String,
    /// The most that it may do; the owner's role limits it as well.
    pub(crate) role: Role,
    /// The folder that it cannot leave.
    pub(crate) folder_id: Option<Uuid>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it is accepted at that time.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}
