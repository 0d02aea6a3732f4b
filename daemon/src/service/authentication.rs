//! Tells who calls, by the credential of a request: an access token, an API key, or a token of the cloud.

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use log::warn;

use super::Error;
use super::api_keys;
use super::audit::Context;
use super::caller::{Caller, Credential, Proved};
use super::device::Device;
use super::sessions::Sessions;
use super::tokens::{self, AccessClaims, DeviceClaims};
use super::unlocked::Lease;
use crate::model::user::User;
use crate::repo::{self, device_links, policy, users};
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
        let proved = if let Some(key) = api_keys::parse(token) {
            by_key(&lease, &key, now).await?
        } else if let Ok(claims) = tokens::read::<AccessClaims>(token, lease.token_key(), now) {
            by_session(&lease, &claims, &context, now).await?
        } else {
            by_device_token(&lease, device_claims(token, self.vault.device(), now)?).await?
        };
        if !proved.user.active {
            return Err(Error::Unauthenticated);
        }
        context.actor_id = Some(proved.user.id);
        context.session_id = match proved.credential {
            Credential::Session { id } | Credential::ApiKey { id, .. } => Some(id),
            Credential::DeviceToken { .. } => None,
        };
        Ok(Caller::new(proved, context, lease, self.common.auditor.clone()))
    }
}

impl Sessions {
    /// Whether what a caller proved who they are with is still good for all that it was. For work that outlives a call.
    pub(super) async fn still_holds(&self, caller: &Caller) -> Result<bool, Error> {
        let (now, user_id) = (self.common.clock.now(), caller.user.id);
        let database = &caller.store().database;
        let (user, must_enrol, valid) = match caller.credential {
            Credential::Session { id } => {
                let Some(found) = caller.store().session(id).await? else { return Ok(false) };
                (Some(found.user), found.must_enrol, found.session.is_valid(now))
            }
            Credential::ApiKey { id, .. } => {
                let read = database.read(move |connection| -> Result<_, DatabaseError> {
                    let key = repo::api_keys::find(connection, id)?;
                    Ok((users::find(connection, user_id)?, policy::must_enrol(connection, user_id)?, key))
                });
                let (user, must_enrol, key) = read.await?;
                (user, must_enrol, key.is_some_and(|(key, _)| key.is_valid(now)))
            }
            Credential::DeviceToken { expires_at } => {
                let read = database.read(move |connection| -> Result<_, DatabaseError> {
                    let link = device_links::find(connection, user_id)?;
                    Ok((users::find(connection, user_id)?, policy::must_enrol(connection, user_id)?, link))
                });
                let (user, must_enrol, link) = read.await?;
                (user, must_enrol, link.is_some() && now < expires_at)
            }
        };
        let same = |user: User| user.active && user.role == caller.user.role && must_enrol == caller.must_enrol;
        Ok(valid && user.is_some_and(same))
    }
}

/// What a token of the cloud says, when it is for this device.
pub(super) fn device_claims(token: &str, device: &Device, now: Timestamp) -> Result<DeviceClaims, Error> {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    let identity = device.read();
    let decoded = HEXLOWER.decode_mut(identity.shared_secret().as_bytes(), key.as_mut_slice());
    decoded.map_err(|_| Error::Unauthenticated)?;
    let claims: DeviceClaims = tokens::read(token, &key, now)?;
    let issued = Timestamp::from_second(claims.iat).map_err(|_| Error::Unauthenticated)?;
    let fits = (1..=MAX_SUBJECT).contains(&claims.sub.len()) && !claims.sub.chars().any(char::is_control);
    let ours = claims.device_id == identity.token_id() && issued <= now + MAX_SKEW;
    if fits && ours { Ok(claims) } else { Err(Error::Unauthenticated) }
}

async fn by_device_token(lease: &Lease, claims: DeviceClaims) -> Result<Proved, Error> {
    let expires_at = Timestamp::from_second(claims.exp).map_err(|_| Error::Unauthenticated)?;
    let read = lease.store().database.read(move |connection| -> Result<_, DatabaseError> {
        let Some(user) = device_links::user(connection, &claims.sub)? else { return Ok(None) };
        let must_enrol = policy::must_enrol(connection, user.id)?;
        Ok(Some(Proved { user, credential: Credential::DeviceToken { expires_at }, must_enrol }))
    });
    read.await?.ok_or(Error::Unauthenticated)
}

async fn by_session(lease: &Lease, claims: &AccessClaims, context: &Context, now: Timestamp) -> Result<Proved, Error> {
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
    Ok(Proved { user: found.user, credential: Credential::Session { id }, must_enrol: found.must_enrol })
}

async fn by_key(lease: &Lease, key: &api_keys::PresentedKey, now: Timestamp) -> Result<Proved, Error> {
    let id = key.id;
    let read = lease.store().database.read(move |connection| -> Result<_, DatabaseError> {
        let Some((key, hash)) = repo::api_keys::find(connection, id)? else { return Ok(None) };
        let Some(user) = users::find(connection, key.user_id)? else { return Ok(None) };
        let must_enrol = policy::must_enrol(connection, user.id)?;
        Ok(Some((key, hash, user, must_enrol)))
    });
    let (stored, hash, user, must_enrol) = read.await?.ok_or(Error::Unauthenticated)?;
    if !key.matches(&hash) || !stored.is_valid(now) {
        return Err(Error::Unauthenticated);
    }
    if stored.last_used_at.is_none_or(|last| now.duration_since(last) >= TOUCH_INTERVAL) {
        note_use(lease, move |transaction| repo::api_keys::touch(transaction, id, now)).await;
    }
    let credential = Credential::ApiKey { id, role: stored.role, folder_id: stored.folder_id };
    Ok(Proved { user, credential, must_enrol })
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
