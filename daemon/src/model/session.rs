//! Sessions: what a token stands for.

use jiff::Timestamp;
use uuid::Uuid;

use super::user::User;

/// A session, as stored.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    /// What its owner calls it.
    pub(crate) name: String,
    pub(crate) user_agent: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
    /// Which refresh token is the current one.
    pub(crate) refresh_generation: u32,
}

impl Session {
    /// Whether a token of this session is accepted at that time.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// A session with all that is asked of it at each request.
#[derive(Clone, Debug)]
pub(crate) struct SessionOfUser {
    pub(crate) session: Session,
    pub(crate) user: User,
    /// The vault asks for a second factor, and the account has none.
    pub(crate) must_enrol: bool,
}
