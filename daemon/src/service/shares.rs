//! Share links, for who makes them: make, list, change, take back. What visitors do with one is in `share_visits.rs`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::access::{self, seen_file, seen_folder, writable};
use super::caller::Caller;
use super::common::Common;
use super::passwords::{Asker, Hasher};
use crate::model::clock::system_rng;
use crate::model::role::{Action, Role};
use crate::model::share::{Share, ShareFilter, ShareKind, ShareToken, ShareUse, SharedId};
use crate::model::user::DisplayName;
use crate::repo::audit::{self, Outcome};
use crate::repo::shares;

/// Largest page of a list.
const MAX_PAGE: u32 = 500;
/// Links of one person.
const MAX_SHARES: u32 = 1000;
/// The latest end that can be asked for.
const MAX_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 366 * 24);
/// Most downloads that a limit can name.
const MAX_DOWNLOADS: u32 = 1_000_000;
/// Most bytes that a limit can name: what SQLite and JSON in browsers can count.
const MAX_UPLOAD_BYTES: u64 = 1 << 53;

/// Lengths of passwords. Their strength is not measured: guesses are slowed down, and only who has the link can guess.
const PASSWORD_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=1024;

/// What a new link is asked to be.
pub(crate) struct NewShare {
    pub(crate) kind: ShareKind,
    pub(crate) item: SharedId,
    pub(crate) name: Option<DisplayName>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) password: Option<Zeroizing<String>>,
    pub(crate) max_downloads: Option<u32>,
    pub(crate) max_upload_bytes: Option<u64>,
}

/// What of a link is to be another. Absent fields stay; `Some(None)` takes away.
#[derive(Default)]
#[expect(clippy::option_option, reason = "absent, taken away, and set are three things")]
pub(crate) struct ShareChange {
    pub(crate) name: Option<Option<DisplayName>>,
    pub(crate) expires_at: Option<Option<Timestamp>>,
    pub(crate) password: Option<Option<Zeroizing<String>>>,
    pub(crate) max_downloads: Option<Option<u32>>,
    pub(crate) max_upload_bytes: Option<Option<u64>>,
}

/// The links of the people.
pub(crate) struct Shares {
    common: Common,
    hasher: Arc<Hasher>,
}

impl Shares {
    /// A service.
    pub(crate) fn new(common: Common, hasher: Arc<Hasher>) -> Self {
        Self { common, hasher }
    }

    /// Makes a link to something that the caller sees; for a drop, to a folder that they may write in.
    pub(crate) async fn create(&self, caller: &Caller, new: NewShare) -> Result<(Share, ShareToken), Error> {
        caller.require(Action::Share).await?;
        let now = self.common.clock.now();
        check_end(new.expires_at, now)?;
        check_limits(new.kind, new.max_downloads, new.max_upload_bytes)?;
        if let (ShareKind::Drop, SharedId::File(_)) = (new.kind, new.item) {
            return Err(Error::field("file_id", "files are dropped into a folder"));
        }
        let token = ShareToken::generate(&mut system_rng());
        let share = Share {
            id: self.common.ids.next(),
            kind: new.kind,
            item: new.item,
            role: caller.role(),
            name: new.name.map(|name| name.as_str().to_owned()),
            created_at: now,
            created_by: caller.user.id,
            expires_at: new.expires_at,
            password_hash: self.hashed(new.password).await?,
            max_downloads: new.max_downloads,
            max_upload_bytes: new.max_upload_bytes,
            used: ShareUse::default(),
        };
        let item_id = match share.item {
            SharedId::File(id) | SharedId::Folder(id) => id,
        };
        let entry = self.common.auditor.entry(&caller.context, "share.created", Outcome::Success, Some(share.id));
        let entry = entry.with_detail(format!("to: {item_id}"));
        let (row, hash, viewer) = (share.clone(), token.hash(), access::viewer(caller));
        let stored = caller.store().database.write(move |transaction| -> Result<(), Error> {
            match row.item {
                SharedId::File(id) => drop(seen_file(transaction, &viewer, id)?),
                SharedId::Folder(id) => {
                    seen_folder(transaction, &viewer, id)?;
                    if row.kind == ShareKind::Drop {
                        writable(transaction, &viewer, Some(id))?;
                    }
                }
            }
            if shares::count_of_user(transaction, row.created_by)? >= MAX_SHARES {
                return Err(Error::LimitReached { what: "share links of yours", limit: MAX_SHARES });
            }
            shares::insert(transaction, &row, &hash)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        access::audited(&self.common, caller, Action::Share, Some(item_id), stored.await).await?;
        Ok((share, token))
    }

    /// A page of the caller's links, or for an administrator of all, newest first, and where the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        mut filter: ShareFilter,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Share>, Option<Uuid>), Error> {
        caller.require(Action::Share).await?;
        if caller.role() != Role::Admin {
            // Those of others are not there.
            if filter.created_by.is_some_and(|id| id != caller.user.id) {
                return Ok((Vec::new(), None));
            }
            filter.created_by = Some(caller.user.id);
        }
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| shares::list(connection, filter, before, limit + 1));
        let mut items = read.await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|share| share.id);
        Ok((items, next))
    }

    /// One of the caller's links, or for an administrator any.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<Share, Error> {
        caller.require(Action::Share).await?;
        let whose = Whose::of(caller);
        caller.store().database.read(move |connection| whose.find(connection, id)).await
    }

    /// Changes a link.
    pub(crate) async fn change(&self, caller: &Caller, id: Uuid, change: ShareChange) -> Result<Share, Error> {
        caller.require(Action::Share).await?;
        check_end(change.expires_at.flatten(), self.common.clock.now())?;
        let password_hash = match change.password {
            None => None,
            Some(password) => {
                // Nobody has a password hashed for a link that is not theirs.
                self.get(caller, id).await?;
                Some(self.hashed(password).await?)
            }
        };
        let entry = self.common.auditor.entry(&caller.context, "share.changed", Outcome::Success, Some(id));
        let whose = Whose::of(caller);
        let changed = caller.store().database.write(move |transaction| -> Result<Share, Error> {
            let mut share = whose.find(transaction, id)?;
            check_limits(share.kind, change.max_downloads.flatten(), change.max_upload_bytes.flatten())?;
            if let Some(name) = change.name {
                share.name = name.map(|name| name.as_str().to_owned());
            }
            share.expires_at = change.expires_at.unwrap_or(share.expires_at);
            share.max_downloads = change.max_downloads.unwrap_or(share.max_downloads);
            share.max_upload_bytes = change.max_upload_bytes.unwrap_or(share.max_upload_bytes);
            share.password_hash = password_hash.unwrap_or(share.password_hash);
            shares::update(transaction, &share)?;
            audit::insert(transaction, &entry)?;
            Ok(share)
        });
        changed.await
    }

    /// Takes a link back: it is not there from then on.
    pub(crate) async fn revoke(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::Share).await?;
        let entry = self.common.auditor.entry(&caller.context, "share.revoked", Outcome::Success, Some(id));
        let whose = Whose::of(caller);
        let revoked = caller.store().database.write(move |transaction| -> Result<(), Error> {
            whose.find(transaction, id)?;
            shares::delete(transaction, id)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        revoked.await
    }

    async fn hashed(&self, password: Option<Zeroizing<String>>) -> Result<Option<String>, Error> {
        let Some(password) = password else { return Ok(None) };
        if !PASSWORD_CHARACTERS.contains(&password.chars().count()) {
            let (least, most) = (PASSWORD_CHARACTERS.start(), PASSWORD_CHARACTERS.end());
            return Err(Error::field("password", format!("it needs {least} to {most} characters")));
        }
        Ok(Some(self.hasher.rehash(Asker::Known, &password).await?))
    }
}

/// Whose links are there for a caller.
#[derive(Clone, Copy)]
enum Whose {
    Everybodys,
    Of(Uuid),
}

impl Whose {
    fn of(caller: &Caller) -> Self {
        if caller.role() == Role::Admin { Self::Everybodys } else { Self::Of(caller.user.id) }
    }

    fn find(self, connection: &Connection, id: Uuid) -> Result<Share, Error> {
        let theirs = |share: &Share| match self {
            Self::Everybodys => true,
            Self::Of(user_id) => share.created_by == user_id,
        };
        shares::find(connection, id)?.filter(theirs).ok_or(Error::NotFound("share link"))
    }
}

fn check_end(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    if expires_at.is_some_and(|end| end <= now || end > now + MAX_LIFETIME) {
        return Err(Error::field("expires_at", "it must lie in the next ten years"));
    }
    Ok(())
}

fn check_limits(kind: ShareKind, max_downloads: Option<u32>, max_upload_bytes: Option<u64>) -> Result<(), Error> {
    let is_drop = kind == ShareKind::Drop;
    if max_downloads.is_some() && is_drop {
        return Err(Error::field("max_downloads", "nothing is downloaded from a drop"));
    }
    if max_downloads.is_some_and(|limit| !(1..=MAX_DOWNLOADS).contains(&limit)) {
        return Err(Error::field("max_downloads", format!("1 to {MAX_DOWNLOADS}")));
    }
    if max_upload_bytes.is_some() && !is_drop {
        return Err(Error::field("max_upload_bytes", "only a drop takes uploads"));
    }
    if max_upload_bytes.is_some_and(|limit| !(1..=MAX_UPLOAD_BYTES).contains(&limit)) {
        return Err(Error::field("max_upload_bytes", format!("1 to {MAX_UPLOAD_BYTES}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_fit_a_kind() {
        use ShareKind as K;
        for (kind, downloads, bytes, fits) in [
            (K::Download, None, None, true),
            (K::Download, Some(1), None, true),
            (K::View, Some(MAX_DOWNLOADS), None, true),
            (K::Download, Some(0), None, false),
            (K::Download, Some(MAX_DOWNLOADS + 1), None, false),
            (K::Download, None, Some(1), false),
            (K::Drop, None, Some(1), true),
            (K::Drop, None, Some(MAX_UPLOAD_BYTES), true),
            (K::Drop, None, Some(0), false),
            (K::Drop, None, Some(MAX_UPLOAD_BYTES + 1), false),
            (K::Drop, Some(1), None, false),
        ] {
            assert_eq!(check_limits(kind, downloads, bytes).is_ok(), fits, "{kind:?} {downloads:?} {bytes:?}");
        }
    }

    #[test]
    fn an_end_lies_ahead_and_not_too_far() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let second = SignedDuration::from_secs(1);
        for (end, fits) in [
            (None, true),
            (Some(now), false),
            (Some(now + second), true),
            (Some(now + MAX_LIFETIME), true),
            (Some(now + MAX_LIFETIME + second), false),
        ] {
            assert_eq!(check_end(end, now).is_ok(), fits, "{end:?}");
        }
    }
}
