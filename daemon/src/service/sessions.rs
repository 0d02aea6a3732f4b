//! Logging in and out: passwords, sessions, and the tokens that stand for them.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use log::warn;
use lru::LruCache;
use rusqlite::Transaction;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::attempts::{Attempts, source};
use super::audit::Context;
use super::caller::Caller;
use super::challenges::{self, Challenges};
use super::common::Common;
use super::ended_sessions::{Ending, tell};
use super::passwords::{self, Asker, Hasher};
use super::second_factors::SecondFactors;
use super::second_step::{Challenge, Waiting};
use super::srp_login::{self, Handshake};
use super::tokens::{self, AccessClaims, RefreshClaims};
use super::unlocked::Lease;
use super::vault::Vault;
use crate::model::event::Event;
use crate::model::role::Action;
use crate::model::session::Session;
use crate::model::user::{DisplayName, User, Username};
use crate::repo::audit::{self, Outcome};
use crate::repo::{sessions, srp, users};
use crate::storage::database::DatabaseError;

/// How long an access token is good for.
const ACCESS_LIFETIME: SignedDuration = SignedDuration::from_mins(15);
/// How long a session lasts that is not refreshed.
const SESSION_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Sessions of one person; the one that was not used for the longest time makes room.
const MAX_SESSIONS: u32 = 100;

/// Longest `User-Agent` that is kept.
const MAX_USER_AGENT: usize = 200;

/// Wrong passwords in a row for one name that cost nothing: people mistype.
const FREE_FOR_A_NAME: u32 = 3;
/// Failed logins from one source that cost nothing: several people share one.
const FREE_FOR_A_SOURCE: u32 = 10;

/// Names and sources that are remembered as belonging together.
const REMEMBERED_HOMES: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The label of the key that signs refresh tokens.
const REFRESH_LABEL: &str = "coffer refresh token v1";

/// A session and the tokens that stand for it.
pub(crate) struct Opened {
    pub(crate) session: Session,
    pub(crate) user: User,
    pub(crate) access_token: Zeroizing<String>,
    pub(crate) access_expires_at: jiff::Timestamp,
    pub(crate) refresh_token: Zeroizing<String>,
}

/// Who wants to log in, on what.
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: Zeroizing<String>,
    /// What the person wants to call the session.
    pub(crate) session_name: Option<DisplayName>,
    pub(crate) user_agent: Option<String>,
}

/// Opens, checks and ends sessions.
pub(crate) struct Sessions {
    pub(super) vault: Arc<Vault>,
    pub(super) common: Common,
    pub(super) hasher: Arc<Hasher>,
    names: Arc<Attempts>,
    sources: Arc<Attempts>,
    /// Names with the sources that they have logged in from.
    homes: Mutex<LruCache<String, ()>>,
    pub(super) second_factors: Arc<SecondFactors>,
    pub(super) challenges: Challenges<Waiting>,
    pub(super) handshakes: Challenges<Handshake>,
}

/// What a right password leads to.
pub(crate) enum LoggedIn {
    Session(Box<Opened>),
    /// The account has a second factor, which is asked for now.
    Challenge(Challenge),
}

/// What a person has proved to know. The marks tell it from what is set meanwhile.
pub(super) enum Proof {
    /// The password: the digest of its hash.
    Password([u8; 32]),
    /// What a verifier was made of: the digest of the verifier.
    Srp([u8; 32]),
}

/// A person whose password was right.
pub(super) struct Verified {
    pub(super) user_id: Uuid,
    proof: Proof,
    session_name: Option<DisplayName>,
    user_agent: Option<String>,
}

impl Verified {
    /// Who wants a session, on what.
    pub(super) fn new(
        user_id: Uuid,
        proof: Proof,
        session_name: Option<DisplayName>,
        user_agent: Option<String>,
    ) -> Self {
        let user_agent = user_agent.map(|agent| agent.chars().take(MAX_USER_AGENT).collect());
        Self { user_id, proof, session_name, user_agent }
    }
}

/// A login that was counted before it was looked at.
pub(super) struct Attempt {
    pub(super) name: Username,
    pub(super) asker: Asker,
    by_name: String,
    by_source: String,
}

impl Sessions {
    /// For that vault.
    pub(crate) fn new(
        vault: Arc<Vault>,
        common: Common,
        hasher: Arc<Hasher>,
        second_factors: Arc<SecondFactors>,
    ) -> Self {
        Self {
            names: Attempts::new(&common, "login_name", FREE_FOR_A_NAME),
            sources: Attempts::new(&common, "login_source", FREE_FOR_A_SOURCE),
            homes: Mutex::new(LruCache::new(REMEMBERED_HOMES)),
            challenges: Challenges::new(Arc::clone(&common.clock), challenges::LIFETIME),
            handshakes: Challenges::new(Arc::clone(&common.clock), srp_login::LIFETIME),
            vault,
            common,
            hasher,
            second_factors,
        }
    }

    /// Logs in by password. An unknown name, a wrong password and an inactive account look the same.
    /// Who has a second factor is asked for it next.
    pub(crate) async fn open(&self, login: Login, mut context: Context) -> Result<LoggedIn, Error> {
        let lease = self.vault.lease()?;
        let by_source = self.count_source(&lease, &context).await?;
        let Ok(name) = Username::parse(&login.username) else {
            // Nobody can have that name, so there is nobody to be hidden by a hash.
            self.sources.failed(&by_source);
            return Err(self.failed(&lease, &context).await);
        };
        let attempt = self.count_name(&lease, name, by_source, &context).await?;
        let wanted = attempt.name.clone();
        let found = lease.store().database.read(move |connection| find_with_password(connection, &wanted)).await?;
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
        let verified = self.hasher.verify(attempt.asker, &login.password, hash.clone()).await;
        let correct = verified.inspect_err(|_| self.was_unheard(&attempt))?;
        context.actor_id = user.as_ref().map(|user| user.id);
        let known = user.filter(|user| correct && user.active).zip(hash);
        let Some((user, password_hash)) = known else {
            self.was_wrong(&attempt);
            return Err(self.failed(&lease, &context).await);
        };
        self.was_right(&attempt, &context);
        let password_hash = self.rehashed(&lease, &user, password_hash, &login.password).await;
        let proof = Proof::Password(mark_of(&password_hash));
        let verified = Verified::new(user.id, proof, login.session_name, login.user_agent);
        self.go_on(&lease, verified, context).await
    }

    /// Counts a login from there, or refuses it.
    pub(super) async fn count_source(&self, lease: &Lease, context: &Context) -> Result<String, Error> {
        let by_source = source(context.address);
        if let Err(refusal) = self.sources.begin(&by_source) {
            let is_first = self.sources.is_first_refusal(&by_source);
            return Err(self.refused(lease, context, refusal, is_first).await);
        }
        Ok(by_source)
    }

    /// Counts a login with that name, or refuses it.
    pub(super) async fn count_name(
        &self,
        lease: &Lease,
        name: Username,
        by_source: String,
        context: &Context,
    ) -> Result<Attempt, Error> {
        let (asker, by_name) = self.key_of(&name, context);
        if let Err(refusal) = self.names.begin(&by_name) {
            self.sources.take_back(&by_source);
            let is_first = self.names.is_first_refusal(&by_name);
            return Err(self.refused(lease, context, refusal, is_first).await);
        }
        Ok(Attempt { name, asker, by_name, by_source })
    }

    /// Turned away unheard: that was no guess.
    pub(super) fn was_unheard(&self, attempt: &Attempt) {
        self.names.take_back(&attempt.by_name);
        self.sources.take_back(&attempt.by_source);
    }

    /// The next one has to wait.
    pub(super) fn was_wrong(&self, attempt: &Attempt) {
        self.names.failed(&attempt.by_name);
        self.sources.failed(&attempt.by_source);
    }

    /// The name has its free attempts again, and is at home there.
    pub(super) fn was_right(&self, attempt: &Attempt, context: &Context) {
        self.names.forget(&attempt.by_name);
        self.sources.take_back(&attempt.by_source);
        self.remember_home(&attempt.name, context);
    }

    /// A login that failed, written down.
    pub(super) async fn failed(&self, lease: &Lease, context: &Context) -> Error {
        let entry = self.common.auditor.entry(context, "session.opened", Outcome::Failed, context.actor_id);
        self.common.auditor.record(lease, entry).await;
        Error::WrongCredentials
    }

    /// A login that was not looked at, written down when it is the first since the last one that was.
    pub(super) async fn refused(&self, lease: &Lease, context: &Context, refusal: Error, is_first: bool) -> Error {
        if is_first {
            let entry = self.common.auditor.entry(context, "session.opened", Outcome::Refused, context.actor_id);
            self.common.auditor.record(lease, entry.with_detail("too many attempts")).await;
        }
        refusal
    }

    /// Exchanges a refresh token for fresh tokens. One that was exchanged before ends the session: somebody else has
    /// it too, and nobody can tell who of the two is the thief.
    pub(crate) async fn refresh(&self, token: &str, mut context: Context) -> Result<Opened, Error> {
        let lease = self.vault.lease()?;
        let now = self.common.clock.now();
        let claims: RefreshClaims = tokens::read(token, &*refresh_key(&lease)?, now)?;
        let id = claims.sid;
        let found = lease.store().session(id).await?.ok_or(Error::Unauthenticated)?;
        context.actor_id = Some(found.user.id);
        context.session_id = Some(id);
        let reuse = self.common.auditor.entry(&context, "session.refresh_reused", Outcome::Refused, Some(id));
        let ending = Ending::new(&self.common, &context, "refresh token reused");
        let forget = lease.store().session_forgetter();
        let expires_at = now + SESSION_LIFETIME;
        let advanced = lease.store().database.write(move |transaction| -> Result<_, DatabaseError> {
            let Some(session) = sessions::find(transaction, id)?.filter(|session| session.is_valid(now)) else {
                return Ok((None, Vec::new()));
            };
            forget(id);
            if session.refresh_generation != claims.generation {
                let ended = ending.of(transaction, id, session.user_id)?;
                audit::insert(transaction, &reuse)?;
                return Ok((None, ended));
            }
            sessions::advance(transaction, id, now, expires_at)?;
            Ok((sessions::find(transaction, id)?, Vec::new()))
        });
        let (session, ended) = advanced.await?;
        tell(&self.common.events, &ended);
        let session = session.ok_or(Error::Unauthenticated)?;
        if !found.user.active {
            return Err(Error::Unauthenticated);
        }
        self.with_tokens(&lease, session, found.user)
    }

    /// The caller's sessions, newest first.
    pub(crate) async fn list(&self, caller: &Caller) -> Result<Vec<Session>, Error> {
        caller.require(Action::Account).await?;
        let (user_id, now) = (caller.user.id, self.common.clock.now());
        let read = caller.store().database.read(move |connection| sessions::list_valid(connection, user_id, now));
        Ok(read.await?)
    }

    /// Logs the caller out.
    pub(crate) async fn revoke_current(&self, caller: &Caller) -> Result<(), Error> {
        caller.require(Action::Profile).await?;
        self.end(caller, caller.session_id().ok_or(Error::SessionNeeded)?).await
    }

    /// Ends one of the caller's sessions at once.
    pub(crate) async fn revoke(&self, caller: &Caller, session_id: Uuid) -> Result<(), Error> {
        caller.require(Action::Account).await?;
        self.end(caller, session_id).await
    }

    /// Ends all of the caller's sessions but this one.
    pub(crate) async fn revoke_others(&self, caller: &Caller) -> Result<(), Error> {
        caller.require(Action::Account).await?;
        let (user_id, spared) = (caller.user.id, caller.session_id());
        let ending = Ending::new(&self.common, &caller.context, "all others");
        let entry =
            self.common.auditor.entry(&caller.context, "session.others_revoked", Outcome::Success, Some(user_id));
        let forget = caller.store().people_forgetter();
        let revoked = caller.store().database.write(move |transaction| -> Result<Vec<Uuid>, DatabaseError> {
            let ended = ending.of_user(transaction, user_id, spared)?;
            forget();
            audit::insert(transaction, &entry)?;
            Ok(ended)
        });
        tell(&self.common.events, &revoked.await?);
        Ok(())
    }

    async fn end(&self, caller: &Caller, session_id: Uuid) -> Result<(), Error> {
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

    /// Opens the session of somebody who proved all that is asked of them.
    pub(super) async fn start(&self, lease: &Lease, verified: Verified, mut context: Context) -> Result<Opened, Error> {
        let now = self.common.clock.now();
        let session = Session {
            id: self.common.ids.next(),
            user_id: verified.user_id,
            name: verified.session_name.as_ref().map_or("unnamed", DisplayName::as_str).to_owned(),
            user_agent: verified.user_agent,
            address: context.address.map(|address| address.to_string()),
            created_at: now,
            last_used_at: now,
            expires_at: now + SESSION_LIFETIME,
            revoked_at: None,
            refresh_generation: 0,
        };
        context.actor_id = Some(session.user_id);
        context.session_id = Some(session.id);
        let entry = self.common.auditor.entry(&context, "session.opened", Outcome::Success, Some(session.id));
        let ending = Ending::new(&self.common, &context, "makes room");
        let (row, forget, proof) = (session.clone(), lease.store().people_forgetter(), verified.proof);
        let stored = lease.store().database.write(move |transaction| -> Result<(User, Vec<Uuid>), Error> {
            // Somebody may have deactivated the account or changed the password meanwhile.
            let user = users::find(transaction, row.user_id)?.filter(|user| user.active);
            let holds = still_holds(transaction, row.user_id, &proof)?;
            let Some(user) = user.filter(|_| holds) else { return Err(Error::WrongCredentials) };
            let mut ended = Vec::new();
            if sessions::count_valid(transaction, row.user_id, now)? >= MAX_SESSIONS {
                ended = ending.least_used(transaction, row.user_id)?;
                forget();
            }
            sessions::insert(transaction, &row)?;
            users::set_last_login(transaction, row.user_id, now)?;
            audit::insert(transaction, &entry)?;
            Ok((user, ended))
        });
        let (user, ended) = stored.await?;
        tell(&self.common.events, &ended);
        self.common.events.publish(&Event::SessionOpened { session_id: session.id, user_id: user.id });
        self.with_tokens(lease, session, user)
    }

    fn with_tokens(&self, lease: &Lease, session: Session, user: User) -> Result<Opened, Error> {
        let now = self.common.clock.now();
        let access_expires_at = now + ACCESS_LIFETIME;
        let access = AccessClaims {
            sub: user.id,
            sid: session.id,
            jti: self.common.ids.next(),
            iat: now.as_second(),
            exp: access_expires_at.as_second(),
        };
        let generation = session.refresh_generation;
        let refresh = RefreshClaims { sid: session.id, generation, exp: session.expires_at.as_second() };
        Ok(Opened {
            access_token: tokens::issue(&access, lease.token_key())?.into(),
            access_expires_at,
            refresh_token: tokens::issue(&refresh, &*refresh_key(lease)?)?.into(),
            session,
            user,
        })
    }

    /// The hash with the parameters of today. The login succeeds all the same when that fails.
    async fn rehashed(&self, lease: &Lease, user: &User, old: String, password: &str) -> String {
        if passwords::is_current(&old) {
            return old;
        }
        let Ok(new) = self.hasher.rehash(Asker::Known, password).await else { return old };
        let (user_id, from, to) = (user.id, old.clone(), new.clone());
        let write = move |transaction: &Transaction<'_>| users::replace_password_hash(transaction, user_id, &from, &to);
        match lease.store().database.write(write).await {
            Ok(()) => new,
            Err(error) => {
                warn!(error:% = error; "a password was not hashed anew");
                old
            }
        }
    }

    /// Where a person has logged in from before, strangers' guesses from elsewhere do not slow them down.
    fn key_of(&self, name: &Username, context: &Context) -> (Asker, String) {
        let home = home(name, context);
        let known = self.homes.lock().unwrap_or_else(PoisonError::into_inner).get(&home).is_some();
        if known { (Asker::Known, home) } else { (Asker::Stranger, name.as_str().to_owned()) }
    }

    fn remember_home(&self, name: &Username, context: &Context) {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner).put(home(name, context), ());
    }
}

/// An account with the hash of its password, when that opens sessions.
fn find_with_password(
    connection: &rusqlite::Connection,
    name: &Username,
) -> Result<Option<(User, Option<String>)>, DatabaseError> {
    let Some((user, hash)) = users::find_by_name(connection, name)? else { return Ok(None) };
    let hash = if srp::is_only(connection, user.id)? { None } else { Some(hash) };
    Ok(Some((user, hash)))
}

/// Whether what was right a moment ago still is.
fn still_holds(connection: &rusqlite::Connection, user_id: Uuid, proof: &Proof) -> Result<bool, DatabaseError> {
    match proof {
        Proof::Password(mark) => {
            let hash = users::password_hash(connection, user_id)?;
            Ok(hash.is_some_and(|hash| mark_of(&hash) == *mark) && !srp::is_only(connection, user_id)?)
        }
        Proof::Srp(mark) => {
            let found = srp::find(connection, user_id)?;
            Ok(found.is_some_and(|srp| srp_login::mark_of(&srp.verifier) == *mark))
        }
    }
}

fn mark_of(password_hash: &str) -> [u8; 32] {
    Sha256::digest(password_hash.as_bytes()).into()
}

fn home(name: &Username, context: &Context) -> String {
    format!("{}@{}", name.as_str(), source(context.address))
}

fn refresh_key(lease: &Lease) -> Result<Zeroizing<[u8; 32]>, Error> {
    tokens::subkey(lease.token_key(), REFRESH_LABEL)
}
