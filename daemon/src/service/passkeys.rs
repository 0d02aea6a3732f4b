//! Passkeys (WebAuthn level 2): keys that a phone, a computer or a security key signs with, each for one site alone.
//!
//! A ceremony has two halves: we ask with a fresh challenge, and the browser answers with something signed. What we
//! asked is kept in memory between the halves, for a few minutes and for one answer.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coffer_crypto::recovery_codes::RecoveryCodeKey;
use jiff::Timestamp;
use log::{info, warn};
use lru::LruCache;
use rusqlite::Connection;
use serde_json::Value;
use uuid::Uuid;
pub(crate) use webauthn_rs::prelude::PublicKeyCredential;
use webauthn_rs::prelude::{
    AuthenticationResult, Passkey as Credential, PasskeyAuthentication, PasskeyRegistration,
    RegisterPublicKeyCredential, Url, Webauthn, WebauthnBuilder, WebauthnError,
};

use super::Error;
use super::audit::Context;
use super::caller::Caller;
use super::recovery_codes::{self, ShownCodes};
use super::second_factors::{self, SecondFactors};
use super::unlocked::Lease;
use crate::model::clock::SharedClock;
use crate::model::role::Action;
use crate::model::second_factor::{Passkey, PasskeyName};
use crate::repo::audit::{self, Outcome};
use crate::repo::second_factors::{self as repo, PasskeyRow};
use crate::storage::database::DatabaseError;

/// Passkeys of an account.
const MAX_PASSKEYS: u32 = 20;

/// How long an answer is waited for.
const CEREMONY: Duration = Duration::from_mins(5);

/// Registrations that wait for their answer; the oldest is forgotten first.
const REGISTRATIONS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Who we are to authenticators: the address under which people reach this box.
#[derive(Clone)]
pub(crate) struct RelyingParty(Webauthn);

/// The address cannot have passkeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be https://NAME or https://NAME:PORT; http is for localhost alone, and passkeys need a name, no number"
)]
pub(crate) struct PublicUrlError;

impl RelyingParty {
    /// Reads the address, as it stands in a browser.
    pub(crate) fn parse(public_url: &str) -> Result<Self, PublicUrlError> {
        let url = Url::parse(public_url).map_err(|_| PublicUrlError)?;
        let host = url.domain().ok_or(PublicUrlError)?;
        let local = host == "localhost" || host.ends_with(".localhost");
        let secure = url.scheme() == "https" || (url.scheme() == "http" && local);
        // Nothing but scheme, host and port: that is what an origin is.
        if !secure || format!("{}/", url.origin().ascii_serialization()) != url.as_str() {
            return Err(PublicUrlError);
        }
        let builder = WebauthnBuilder::new(host, &url).map_err(|_| PublicUrlError)?;
        builder.rp_name("Coffer").timeout(CEREMONY).build().map(Self).map_err(|_| PublicUrlError)
    }

    /// Asks for a new passkey, by an authenticator that holds none of these.
    fn ask_to_register(
        &self,
        user_id: Uuid,
        username: &str,
        display_name: &str,
        known: &[PasskeyRow],
    ) -> Result<(Value, PasskeyRegistration), Error> {
        let known = known.iter().map(|row| row.credential_id.clone()).collect();
        let asked = self.0.start_passkey_registration(user_id, username, display_name, Some(known));
        let (options, state) = asked.map_err(|error| Error::internal("passkey", error))?;
        Ok((json(&options.public_key)?, state))
    }

    /// Asks for a signature by one of these passkeys.
    fn ask_to_sign(&self, user_id: Uuid, known: &[PasskeyRow]) -> Result<(Value, PasskeyCeremony), Error> {
        let known: Vec<Credential> = known.iter().map(credential).collect::<Result<_, _>>()?;
        let asked = self.0.start_passkey_authentication(&known);
        let (options, state) = asked.map_err(|error| Error::internal("passkey", error))?;
        Ok((json(&options.public_key)?, PasskeyCeremony { user_id, state }))
    }

    /// Checks a signature against what was asked.
    fn check(&self, answer: &PublicKeyCredential, ceremony: &PasskeyCeremony) -> Result<Signed, WebauthnError> {
        // WebAuthn level 2, section 7.2, step 6: the one thing that the library leaves to us.
        if answer.get_user_unique_id().is_some_and(|id| id != ceremony.user_id.as_bytes()) {
            return Err(WebauthnError::InvalidUserUniqueId);
        }
        match self.0.finish_passkey_authentication(answer, &ceremony.state) {
            Ok(result) => Ok(Signed::Fresh(result)),
            Err(WebauthnError::CredentialPossibleCompromise) => Ok(Signed::Behind),
            Err(error) => Err(error),
        }
    }
}

/// A signature that is right.
enum Signed {
    /// As far as was known when it was asked for.
    Fresh(AuthenticationResult),
    /// But the authenticator counts less than it did before.
    Behind,
}

/// What an account's passkeys were asked. It cannot be copied, and is good for one answer.
pub(crate) struct PasskeyCeremony {
    user_id: Uuid,
    state: PasskeyAuthentication,
}

/// Registrations that wait for their answer.
pub(super) struct Registrations {
    clock: SharedClock,
    waiting: Mutex<LruCache<Uuid, Registration>>,
}

struct Registration {
    user_id: Uuid,
    name: PasskeyName,
    state: PasskeyRegistration,
    /// Which unlocking of the vault it belongs to: it does not outlive it.
    unlocking: u64,
    expires: Instant,
}

impl Registrations {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock, waiting: Mutex::new(LruCache::new(REGISTRATIONS)) }
    }

    fn put(&self, id: Uuid, lease: &Lease, user_id: Uuid, name: PasskeyName, state: PasskeyRegistration) {
        let expires = self.clock.monotonic() + CEREMONY;
        let registration = Registration { user_id, name, state, unlocking: lease.unlocking(), expires };
        self.lock().put(id, registration);
    }

    /// Takes one of that person out. It is gone then, whatever becomes of it.
    fn take(&self, id: Uuid, lease: &Lease, user_id: Uuid) -> Option<Registration> {
        let mut waiting = self.lock();
        if waiting.peek(&id)?.user_id != user_id {
            return None;
        }
        let taken = waiting.pop(&id)?;
        (taken.unlocking == lease.unlocking() && self.clock.monotonic() < taken.expires).then_some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Uuid, Registration>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SecondFactors {
    /// Asks for a new passkey. Returns the id that it will have, and what the browser needs.
    pub(crate) async fn begin_registration(
        &self,
        caller: &Caller,
        password: &str,
        name: PasskeyName,
    ) -> Result<(Uuid, Value), Error> {
        caller.require(Action::Enrol).await?;
        self.passwords.require(caller, password).await?;
        let user_id = caller.user.id;
        let known = caller.store().database.read(move |connection| repo::passkeys(connection, user_id)).await?;
        check_room(&known)?;
        let user = &caller.user;
        let asked = self.relying_party.ask_to_register(user_id, &user.username, &user.display_name, &known);
        let (options, state) = asked?;
        let id = self.common.ids.next();
        self.registrations.put(id, caller.lease(), user_id, name, state);
        Ok((id, options))
    }

    /// Stores a new passkey. The first second factor of an account brings its recovery codes.
    pub(crate) async fn finish_registration(
        &self,
        caller: &Caller,
        id: Uuid,
        answer: Value,
    ) -> Result<(Passkey, Option<ShownCodes>), Error> {
        caller.require(Action::Enrol).await?;
        let user_id = caller.user.id;
        let answer: RegisterPublicKeyCredential = serde_json::from_value(answer).map_err(|_| not_an_answer())?;
        let begun = self.registrations.take(id, caller.lease(), user_id);
        let begun = begun.ok_or(Error::NotFound("registration; it may have expired"))?;
        let made = self.relying_party.0.finish_passkey_registration(&answer, &begun.state);
        let made = made.map_err(|error| wrong_answer(&error))?;
        let row = PasskeyRow {
            passkey: Passkey {
                id,
                name: begun.name.to_string(),
                created_at: self.common.clock.now(),
                last_used_at: None,
            },
            credential_id: made.cred_id().clone(),
            credential: text(&made)?,
        };
        let entry = self.entry(caller, "second_factor.passkey_added", id);
        let key = RecoveryCodeKey::derive(caller.lease().token_key());
        let (passkey, forget) = (row.passkey.clone(), caller.store().people_forgetter());
        let stored = caller.store().database.write(move |transaction| -> Result<_, Error> {
            check_room(&repo::passkeys(transaction, user_id)?)?;
            let codes = recovery_codes::for_the_first_factor(transaction, &key, user_id)?;
            match repo::insert_passkey(transaction, user_id, &row) {
                Err(DatabaseError::Conflict) => {
                    return Err(Error::field("credential", "this passkey is known already"));
                }
                stored => stored?,
            }
            forget();
            audit::insert(transaction, &entry)?;
            Ok(codes)
        });
        Ok((passkey, stored.await?))
    }

    /// Gives a passkey another name.
    pub(crate) async fn rename_passkey(&self, caller: &Caller, id: Uuid, name: PasskeyName) -> Result<Passkey, Error> {
        caller.require(Action::Account).await?;
        let user_id = caller.user.id;
        let entry = self.entry(caller, "second_factor.passkey_renamed", id);
        let renamed = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let renamed = repo::rename_passkey(transaction, user_id, id, &name.to_string())?;
            let renamed = renamed.ok_or(Error::NotFound("passkey"))?;
            audit::insert(transaction, &entry)?;
            Ok(renamed)
        });
        renamed.await
    }

    /// Takes a passkey away.
    pub(crate) async fn remove_passkey(&self, caller: &Caller, id: Uuid, password: &str) -> Result<(), Error> {
        caller.require(Action::Account).await?;
        self.passwords.require(caller, password).await?;
        let user_id = caller.user.id;
        let entry = self.entry(caller, "second_factor.passkey_removed", id);
        let forget = caller.store().people_forgetter();
        let removed = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if !repo::delete_passkey(transaction, user_id, id)? {
                return Err(Error::NotFound("passkey"));
            }
            second_factors::after_removal(transaction, user_id)?;
            forget();
            Ok(audit::insert(transaction, &entry)?)
        });
        removed.await
    }

    /// Asks for a signature by one of the account's passkeys: what the browser needs, and what to check its answer by.
    pub(crate) async fn begin_passkey(&self, lease: &Lease, user_id: Uuid) -> Result<(Value, PasskeyCeremony), Error> {
        let known = lease.store().database.read(move |connection| repo::passkeys(connection, user_id)).await?;
        if known.is_empty() {
            return Err(Error::NotFound("passkey"));
        }
        self.relying_party.ask_to_sign(user_id, &known)
    }

    pub(super) async fn verify_passkey(
        &self,
        lease: &Lease,
        context: &Context,
        user_id: Uuid,
        answer: &PublicKeyCredential,
        ceremony: &PasskeyCeremony,
    ) -> Result<bool, Error> {
        if ceremony.user_id != user_id {
            return Ok(false);
        }
        let signed = match self.relying_party.check(answer, ceremony) {
            Ok(signed) => signed,
            Err(error) => {
                info!(user:% = user_id, error:% = error; "a passkey's answer was refused");
                return Ok(false);
            }
        };
        let context = Context { actor_id: Some(user_id), ..context.clone() };
        let auditor = self.common.auditor.clone();
        let (id, now) = (answer.get_credential_id().to_vec(), self.common.clock.now());
        let noted = lease.store().database.write(move |transaction| -> Result<bool, Error> {
            match note(transaction, user_id, &id, &signed, now)? {
                Noted::Accepted => Ok(true),
                Noted::Gone => Ok(false),
                Noted::Behind(passkey_id) => {
                    warn!(user:% = user_id, passkey:% = passkey_id; "there seems to be a copy of a passkey; refused");
                    let action = "second_factor.passkey_copied";
                    let entry = auditor.entry(&context, action, Outcome::Refused, Some(passkey_id));
                    audit::insert(transaction, &entry)?;
                    Ok(false)
                }
            }
        });
        noted.await
    }
}

/// Reads what a browser answers when it is asked to sign.
pub(crate) fn parse_answer(answer: Value) -> Result<Box<PublicKeyCredential>, Error> {
    serde_json::from_value(answer).map(Box::new).map_err(|_| not_an_answer())
}

/// What a signature means by what is stored now, which may be more than when it was asked for.
#[derive(Debug, PartialEq, Eq)]
enum Noted {
    Accepted,
    /// The passkey was removed in the meantime.
    Gone,
    /// The authenticator has counted no further than at the last login: somebody has a copy of it.
    Behind(Uuid),
}

fn note(
    connection: &Connection,
    user_id: Uuid,
    credential_id: &[u8],
    signed: &Signed,
    now: Timestamp,
) -> Result<Noted, Error> {
    let known = repo::passkeys(connection, user_id)?;
    let Some(row) = known.iter().find(|row| row.credential_id == credential_id) else { return Ok(Noted::Gone) };
    let Signed::Fresh(result) = signed else { return Ok(Noted::Behind(row.passkey.id)) };
    let mut stored = credential(row)?;
    // Keeps its counter, and whether it is backed up.
    stored.update_credential(result);
    let advanced = repo::advance_passkey(connection, row.passkey.id, &text(&stored)?, result.counter(), now)?;
    Ok(if advanced { Noted::Accepted } else { Noted::Behind(row.passkey.id) })
}

fn credential(row: &PasskeyRow) -> Result<Credential, Error> {
    serde_json::from_str(&row.credential).map_err(|error| Error::internal("stored passkey", error))
}

fn text(credential: &Credential) -> Result<String, Error> {
    serde_json::to_string(credential).map_err(|error| Error::internal("passkey", error))
}

fn json(options: &impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(options).map_err(|error| Error::internal("passkey", error))
}

fn check_room(known: &[PasskeyRow]) -> Result<(), Error> {
    let full = known.len() >= MAX_PASSKEYS as usize;
    if full { Err(Error::LimitReached { what: "passkeys of yours", limit: MAX_PASSKEYS }) } else { Ok(()) }
}

fn not_an_answer() -> Error {
    Error::field("credential", "it is not what a browser answers (PublicKeyCredential.toJSON)")
}

fn wrong_answer(error: &WebauthnError) -> Error {
    info!(error:% = error; "a new passkey was refused");
    Error::field("credential", "it does not answer what was asked; begin again, at the box's own address")
}

#[cfg(test)]
#[path = "passkeys_tests.rs"]
mod tests;
