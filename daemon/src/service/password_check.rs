//! Asks for the password again before something that a stolen session must not do.

use std::sync::Arc;

use super::Error;
use super::attempts::Attempts;
use super::audit::Auditor;
use super::caller::Caller;
use super::common::Common;
use super::passwords::{Asker, Hasher};
use crate::repo::audit::Outcome;
use crate::repo::users;

/// Wrong passwords in a row that cost nothing: people mistype.
const FREE: u32 = 3;

/// Checks the caller's own password.
pub(crate) struct PasswordCheck {
    hasher: Arc<Hasher>,
    attempts: Arc<Attempts>,
    auditor: Auditor,
}

impl PasswordCheck {
    /// On that pool.
    pub(crate) fn new(common: &Common, hasher: Arc<Hasher>) -> Self {
        Self { hasher, attempts: Attempts::new(common, "own_password", FREE), auditor: common.auditor() }
    }

    /// Refuses a wrong password, and audits it.
    pub(crate) async fn require(&self, caller: &Caller, password: &str) -> Result<(), Error> {
        let user_id = caller.user.id;
        let key = user_id.to_string();
        self.attempts.begin(&key)?;
        let hash = caller.store().database.read(move |connection| users::password_hash(connection, user_id)).await?;
        // Turned away unheard: that was no guess.
        let verified =
            self.hasher.verify(Asker::Known, password, hash).await.inspect_err(|_| self.attempts.take_back(&key))?;
        if verified {
            self.attempts.forget(&key);
            return Ok(());
        }
        self.attempts.failed(&key);
        let entry = self.auditor.entry(&caller.context, "user.password_checked", Outcome::Failed, Some(user_id));
        self.auditor.record(caller.lease(), entry).await;
        Err(Error::WrongPassword)
    }
}
