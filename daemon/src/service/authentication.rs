//! Tells who calls, by the credential of a request: an access token, an API key, or a token of the cloud.

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use log::warn;

use super::Error;
use super::api_keys;
use super::audit::Context;
use super::caller::{Caller, Credential};
use super::device::Device;
use super::sessions::Sessions;
use super::tokens::{self, AccessClaims, DeviceClaims};
use super::unlocked::Lease;
use crate::model::user::User;
use crate::repo::{self, device_links, users};
use crate::storage::database::DatabaseError;

/// How exactly "last used" is known: each note costs a commit.
const TOUCH_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// How far the cloud's clock may be ahead of ours.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(1);

/// Longest name of a person at the cloud.
const MAX_SUBJECT: usize = 255;

impl Sessions {
    /// Tells who calls, by what stands behind `Authorization: Bearer`.
    pub(crate) async fn authenticate(&self, token: Option<&str>, mut context: Context) -> Result<Caller, Error> {
        let lease = self.vault.lease()?;
        let token = token.ok_or(Error::Unauthenticated)?;
        let now = self.common.clock.now();
        let (user, credential) = if let Some(key) = api_keys::parse(token) {
            by_key(&lease, &key, now).await?
        } else if let Ok(claims) = tokens::read::<AccessClaims>(token, lease.token_key(), now) {
            by_session(&lease, &claims, &context, now).await?
        } else {
            let subject = subject(token, self.vault.device(), now)?;
            let linked = lease.store().database.read(move |connection| device_links::user(connection, &subject));
            (linked.await?.ok_or(Error::Unauthenticated)?, Credential::DeviceToken)
        };
        if !user.active {
            return Err(Error::Unauthenticated);
        }
        context.actor_id = Some(user.id);
        context.session_id = match credential {
            Credential::Session { id, .. } | Credential::ApiKey { id, .. } => Some(id),
            Credential::DeviceToken => None,
        };
        Ok(Caller::new(user, credential, context, lease, self.common.auditor.clone()))
    }
}

impl Sessions {
    /// Whether what a caller proved who they are with is still good for all that it was. For work that outlives a call.
    pub(super) async fn still_holds(&self, caller: &Caller) -> Result<bool, Error> {
        let (now, user_id) = (self.common.clock.now(), caller.user.id);
        let database = &caller.store().database;
        let (user, valid) = match caller.credential {
            Credential::Session { id, enrolment_only } => {
                let Some(found) = caller.store().session(id).await? else { return Ok(false) };
                let valid = found.session.is_valid(now) && found.must_enrol == enrolment_only;
                (Some(found.user), valid)
            }
            Credential::ApiKey { id, .. } => {
                let read = database.read(move |connection| -> Result<_, DatabaseError> {
                    Ok((users::find(connection, user_id)?, repo::api_keys::find(connection, id)?))
                });
                let (user, key) = read.await?;
                (user, key.is_some_and(|(key, _)| key.is_valid(now)))
            }
            Credential::DeviceToken => {
                let read = database.read(move |connection| -> Result<_, DatabaseError> {
                    Ok((users::find(connection, user_id)?, device_links::find(connection, user_id)?))
                });
                let (user, link) = read.await?;
                (user, link.is_some())
            }
        };
        Ok(valid && user.is_some_and(|user| user.active && user.role == caller.user.role))
    }
}

/// Whom a token of the cloud is for, when it is for this device.
pub(super) fn subject(token: &str, device: &Device, now: Timestamp) -> Result<String, Error> {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    let identity = device.read();
    let decoded = HEXLOWER.decode_mut(identity.shared_secret().as_bytes(), key.as_mut_slice());
    decoded.map_err(|_| Error::Unauthenticated)?;
    let claims: DeviceClaims = tokens::read(token, &key, now)?;
    let issued = Timestamp::from_second(claims.iat).map_err(|_| Error::Unauthenticated)?;
    let fits = (1..=MAX_SUBJECT).contains(&claims.sub.len()) && !claims.sub.chars().any(char::is_control);
    let ours = claims.device_id == identity.token_id() && issued <= now + MAX_SKEW;
    if fits && ours { Ok(claims.sub) } else { Err(Error::Unauthenticated) }
}

async fn by_session(
    lease: &Lease,
    claims: &AccessClaims,
    context: &Context,
    now: Timestamp,
) -> Result<(User, Credential), Error> {
    let found = lease.store().session(claims.sid).await?.ok_or(Error::Unauthenticated)?;
    if !found.session.is_valid(now) || found.user.id != claims.sub {
        return Err(Error::Unauthenticated);
    }
    let id = found.session.id;
    if now.duration_since(found.session.last_used_at) >= TOUCH_INTERVAL {
        let (forget, address) = (lease.store().session_forgetter(), context.address.map(|address| address.to_string()));
        note_use(lease, move |transaction| {
            forget(id);
            repo::sessions::touch(transaction, id, address.as_deref(), now)
        })
        .await;
    }
    Ok((found.user, Credential::Session { id, enrolment_only: found.must_enrol }))
}

async fn by_key(lease: &Lease, key: &api_keys::PresentedKey, now: Timestamp) -> Result<(User, Credential), Error> {
    let id = key.id;
    let read = lease.store().database.read(move |connection| -> Result<_, DatabaseError> {
        let Some((key, hash)) = repo::api_keys::find(connection, id)? else { return Ok(None) };
        Ok(users::find(connection, key.user_id)?.map(|user| (key, hash, user)))
    });
    let (stored, hash, user) = read.await?.ok_or(Error::Unauthenticated)?;
    if !key.matches(&hash) || !stored.is_valid(now) {
        return Err(Error::Unauthenticated);
    }
    if stored.last_used_at.is_none_or(|last| now.duration_since(last) >= TOUCH_INTERVAL) {
        note_use(lease, move |transaction| repo::api_keys::touch(transaction, id, now)).await;
    }
    Ok((user, Credential::ApiKey { id, role: stored.role, folder_id: stored.folder_id }))
}

/// On a full drive people must still be able to read.
async fn note_use(
    lease: &Lease,
    touch: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<(), DatabaseError> + Send + 'static,
) {
    if let Err(error) = lease.store().database.write(touch).await {
        warn!(error:% = error; "the use of a credential was not noted");
    }
}
