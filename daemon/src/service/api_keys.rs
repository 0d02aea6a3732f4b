//! API keys: how programs act for their owner.
//!
//! A key is shown once: `coffer_`, the key's id and its secret, both in base 64 without padding. Stored is the SHA-256
//! of the secret, which has 256 random bits.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::{SignedDuration, Timestamp};
use rand_core::Rng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::access::{self, visible};
use super::caller::Caller;
use super::common::Common;
use crate::model::api_key::ApiKey;
use crate::model::clock::system_rng;
use crate::model::role::{self, Action, Role};
use crate::model::user::DisplayName;
use crate::repo::api_keys;
use crate::repo::audit::{self, Outcome};

/// What every key begins with, so that a leaked one is recognised.
const PREFIX: &str = "coffer_";
/// Keys of one person.
const MAX_KEYS: u32 = 100;
/// The latest end that can be asked for.
const MAX_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);

/// A key as it came with a request.
pub(super) struct PresentedKey {
    pub(super) id: Uuid,
    secret: Zeroizing<[u8; 32]>,
}

/// Reads a key. `None` when it is something else.
pub(super) fn parse(token: &str) -> Option<PresentedKey> {
    let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(token.strip_prefix(PREFIX)?.as_bytes()).ok()?);
    let (id, secret) = bytes.split_at_checked(16)?;
    Some(PresentedKey { id: Uuid::from_slice(id).ok()?, secret: Zeroizing::new(secret.try_into().ok()?) })
}

impl PresentedKey {
    /// Whether its secret has that hash.
    pub(super) fn matches(&self, hash: &str) -> bool {
        hash_of(&self.secret).as_bytes().ct_eq(hash.as_bytes()).into()
    }
}

/// What a new key is asked to be.
pub(crate) struct NewApiKey {
    pub(crate) name: DisplayName,
    pub(crate) role: Role,
    pub(crate) folder_id: Option<Uuid>,
    pub(crate) expires_at: Option<Timestamp>,
}

/// The keys of the people.
pub(crate) struct ApiKeys {
    common: Common,
}

impl ApiKeys {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// Makes a key for the caller. The text is shown this once.
    pub(crate) async fn create(&self, caller: &Caller, new: NewApiKey) -> Result<(ApiKey, Zeroizing<String>), Error> {
        caller.require(Action::Account).await?;
        let now = self.common.clock.now();
        if new.role > caller.role() {
            let detail = format!("it may be at most your own role, {}", role::name(caller.role()));
            return Err(Error::field("role", detail));
        }
        if new.expires_at.is_some_and(|end| end <= now || end > now + MAX_LIFETIME) {
            return Err(Error::field("expires_at", "it must lie in the next ten years"));
        }
        let mut secret = Zeroizing::new([0; 32]);
        system_rng().fill_bytes(secret.as_mut_slice());
        let key = ApiKey {
            id: self.common.ids.next(),
            user_id: caller.user.id,
            name: new.name.as_str().to_owned(),
            role: new.role,
            folder_id: new.folder_id,
            created_at: now,
            expires_at: new.expires_at,
            last_used_at: None,
        };
        let bytes = Zeroizing::new([key.id.as_bytes().as_slice(), secret.as_slice()].concat());
        let text = Zeroizing::new(format!("{PREFIX}{}", *Zeroizing::new(BASE64URL_NOPAD.encode(&bytes))));
        let entry = self.common.auditor.entry(&caller.context, "api_key.created", Outcome::Success, Some(key.id));
        let (row, hash, viewer) = (key.clone(), hash_of(&secret), access::viewer(caller));
        let stored = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if api_keys::list(transaction, row.user_id)?.len() >= MAX_KEYS as usize {
                return Err(Error::LimitReached { what: "API keys of yours", limit: MAX_KEYS });
            }
            if row.folder_id.is_some() {
                visible(transaction, &viewer, row.folder_id)?;
            }
            api_keys::insert(transaction, &row, &hash)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        stored.await?;
        Ok((key, text))
    }

    /// The caller's keys, newest first.
    pub(crate) async fn list(&self, caller: &Caller) -> Result<Vec<ApiKey>, Error> {
        caller.require(Action::Account).await?;
        let user_id = caller.user.id;
        Ok(caller.store().database.read(move |connection| api_keys::list(connection, user_id)).await?)
    }

    /// Deletes one of the caller's keys; it is refused from then on.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::Account).await?;
        let user_id = caller.user.id;
        let entry = self.common.auditor.entry(&caller.context, "api_key.deleted", Outcome::Success, Some(id));
        let forget = caller.store().people_forgetter();
        let deleted = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if !api_keys::delete(transaction, id, user_id)? {
                return Err(Error::NotFound("API key"));
            }
            forget();
            Ok(audit::insert(transaction, &entry)?)
        });
        deleted.await
    }
}

fn hash_of(secret: &[u8; 32]) -> String {
    HEXLOWER.encode(&Sha256::digest(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_key_and_what_is_not() {
        let bytes = [[7; 16].as_slice(), &[9; 32]].concat();
        let text = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes));
        let key = parse(&text).unwrap();
        assert_eq!(key.id, Uuid::from_bytes([7; 16]));
        assert!(key.matches(&hash_of(&[9; 32])));
        assert!(!key.matches(&hash_of(&[8; 32])));
        assert!(!key.matches(""));
        let longer = format!("{text}AAAA");
        for bad in ["", "coffer_", "coffer_x", &text[..60], &longer, &text.replace("coffer_", "Coffer_")] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
