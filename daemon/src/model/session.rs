//! Sessions: what a token stands for.

use jiff::Timestamp;
use uuid::Uuid;

/// A session, as stored.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) user_agent: Option<String>,
}

impl Session {
    /// Whether a token of this session is accepted at that time.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}
