//! Logging in and out, and telling who calls.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use lru::LruCache;
use uuid::Uuid;

use super::Error;
use super::audit::Context;
use super::caller::{Caller, Credential};
use super::common::Common;
use super::passwords::Hasher;
use super::throttle::pause_after;
use super::tokens::{self, Claims};
use super::vault::Vault;
use crate::model::event::Event;
use crate::model::session::Session;
use crate::model::user::{User, Username};
use crate::repo::audit::{self, Outcome};
use crate::repo::{sessions, users};
use crate::storage::database::DatabaseError;

/// How long a session lasts.
const LIFETIME: SignedDuration = SignedDuration::from_hours(12);

/// Longest `User-Agent` that is kept.
const MAX_USER_AGENT: usize = 200;

/// Names whose failed logins are remembered; the least recent is forgotten first.
const REMEMBERED_NAMES: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// A session and the token that stands for it.
pub(crate) struct Opened {
    pub(crate) session: Session,
    pub(crate) user: User,
    pub(crate) token: String,
}

/// Opens, checks and ends sessions.
pub(crate) struct Sessions {
    vault: Arc<Vault>,
    common: Common,
    hasher: Hasher,
    /// By name, whether it exists or not: failures in a row, and when the next attempt is heard.
    failures: Mutex<LruCache<String, (u32, Instant)>>,
}

impl Sessions {
    /// For that vault.
    pub(crate) fn new(vault: Arc<Vault>, common: Common) -> Self {
        Self { vault, common, hasher: Hasher::new(), failures: Mutex::new(LruCache::new(REMEMBERED_NAMES)) }
    }

    /// Logs in by password. An unknown name, a wrong password and an inactive account look the same.
    pub(crate) async fn open(
        &self,
        username: &str,
        password: &str,
        user_agent: Option<String>,
        mut context: Context,
    ) -> Result<Opened, Error> {
        let lease = self.vault.lease()?;
        let name = Username::parse(username).map_err(|_| Error::WrongCredentials)?;
        self.begin_attempt(&name)?;
        let wanted = name.clone();
        let found = lease.store().database.read(move |connection| users::find_by_name(connection, &wanted)).await?;
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), Some(hash)));
        let correct = self.hasher.verify(password, hash).await?;
        context.actor_id = user.as_ref().map(|user| user.id);
        let Some(user) = user.filter(|user| correct && user.active) else {
            let entry = self.common.auditor.entry(&context, "session.open", Outcome::Failed, context.actor_id);
            self.common.auditor.record(&lease, entry).await;
            return Err(Error::WrongCredentials);
        };
        self.forget_failures(&name);
        context.actor_id = Some(user.id);
        let now = self.common.clock.now();
        let session = Session {
            id: self.common.ids.next(),
            user_id: user.id,
            created_at: now,
            expires_at: now + LIFETIME,
            revoked_at: None,
            user_agent: user_agent.map(|agent| agent.chars().take(MAX_USER_AGENT).collect()),
        };
        let claims = Claims {
            sub: user.id,
            sid: session.id,
            jti: self.common.ids.next(),
            iat: now.as_second(),
            exp: session.expires_at.as_second(),
        };
        let token = tokens::issue(&claims, lease.token_key())?;
        let entry = self.common.auditor.entry(&context, "session.opened", Outcome::Success, Some(session.id));
        let row = session.clone();
        let stored = lease.store().database.write(move |transaction| -> Result<(), DatabaseError> {
            sessions::insert(transaction, &row)?;
            audit::insert(transaction, &entry)
        });
        stored.await?;
        self.common.events.publish(&Event::SessionOpened { session_id: session.id, user_id: user.id });
        Ok(Opened { session, user, token })
    }

    /// Tells who calls, by their access token.
    pub(crate) async fn authenticate(&self, token: Option<&str>, mut context: Context) -> Result<Caller, Error> {
        let lease = self.vault.lease()?;
        let now = self.common.clock.now();
        let claims = tokens::read(token.ok_or(Error::Unauthenticated)?, lease.token_key(), now)?;
        let found = lease.store().session(claims.sid).await?;
        let (session, user) = found.ok_or(Error::Unauthenticated)?;
        if !session.is_valid(now) || !user.active || user.id != claims.sub {
            return Err(Error::Unauthenticated);
        }
        context.actor_id = Some(user.id);
        context.session_id = Some(session.id);
        let credential = Credential::Session { id: session.id, enrolment_only: false };
        Ok(Caller::new(user, credential, context, lease, self.common.auditor.clone()))
    }

    /// The caller's sessions, newest first.
    pub(crate) async fn list(&self, caller: &Caller) -> Result<Vec<Session>, Error> {
        let (user_id, now) = (caller.user.id, self.common.clock.now());
        let read = caller.store().database.read(move |connection| sessions::list_valid(connection, user_id, now));
        Ok(read.await?)
    }

    /// Logs the caller out.
    pub(crate) async fn revoke_current(&self, caller: &Caller) -> Result<(), Error> {
        self.revoke(caller, caller.session_id().ok_or(Error::SessionNeeded)?).await
    }

    /// Ends one of the caller's sessions at once.
    pub(crate) async fn revoke(&self, caller: &Caller, session_id: Uuid) -> Result<(), Error> {
        let (user_id, now) = (caller.user.id, self.common.clock.now());
        let entry = self.common.auditor.entry(&caller.context, "session.revoked", Outcome::Success, Some(session_id));
        let forget = caller.store().session_forgetter();
        let revoked = caller.store().database.write(move |transaction| -> Result<bool, DatabaseError> {
            if !sessions::revoke(transaction, session_id, user_id, now)? {
                return Ok(false);
            }
            forget(session_id);
            audit::insert(transaction, &entry)?;
            Ok(true)
        });
        if !revoked.await? {
            return Err(Error::NotFound("session"));
        }
        self.common.events.publish(&Event::SessionRevoked { session_id });
        Ok(())
    }

    /// Counts before the password is looked at, so that attempts at the same time count as well.
    fn begin_attempt(&self, name: &Username) -> Result<(), Error> {
        let now = self.common.clock.monotonic();
        let mut failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (count, not_before) = failures.get_or_insert_mut(name.as_str().to_owned(), || (0, now));
        let wait = not_before.saturating_duration_since(now);
        if !wait.is_zero() {
            return Err(Error::TooManyAttempts { retry_after: wait });
        }
        *count = count.saturating_add(1);
        // The first failures cost nothing extra: people mistype.
        *not_before = if *count > 3 { now + pause_after(*count) } else { now + Duration::ZERO };
        Ok(())
    }

    fn forget_failures(&self, name: &Username) {
        self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop(name.as_str());
    }
}
