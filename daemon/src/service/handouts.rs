//! Secrets behind one-time links: sealed by a client, handed to whoever has the link, a few times and not for ever.
//!
//! A visitor shows what was derived from behind the `#` of the link. A wrong one, a link that is used up and one that never
//! was are answered in the same way.

use std::sync::Arc;

use coffer_crypto::secrets::item::MAX_SEALED_ITEM_BYTES;
use jiff::{SignedDuration, Timestamp};
use log::warn;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Error;
use super::attempts::{Attempts, source};
use super::audit::{Context, page};
use super::caller::Caller;
use super::chores::daily;
use super::common::Common;
use super::secrets::Secrets;
use super::unlocked::Lease;
use super::vault::Vault;
use crate::model::secret::{Handout, NewHandout};
use crate::repo::audit::{self, Outcome};
use crate::repo::handouts::{self as repo, Opened};
use crate::storage::database::DatabaseError;
use crate::storage::scope::Scope;

/// Links that one person may have at a time, and the bytes behind them.
const MAX_HANDOUTS: u32 = 200;
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How often one may be opened, at most.
const MAX_VIEWS: u32 = 100;
/// How long one may wait.
const MAX_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Guesses from one source that cost nothing.
const FREE: u32 = 10;
/// Links that are told of at once.
const MAX_PAGE: u32 = 200;

const LINK: Error = Error::NotFound("link");

/// Keeps and hands out what clients have sealed for people without an account.
pub(crate) struct Handouts {
    vault: Arc<Vault>,
    common: Common,
    secrets: Arc<Secrets>,
    guesses: Arc<Attempts>,
}

impl Handouts {
    /// A service.
    pub(crate) fn new(vault: Arc<Vault>, common: Common, secrets: Arc<Secrets>) -> Self {
        let guesses = Attempts::new(&common, "handout_source", FREE);
        Self { vault, common, secrets, guesses }
    }

    /// Keeps one. The same wish a second time is answered as the first.
    pub(crate) async fn create(&self, caller: &Caller, new: NewHandout) -> Result<Handout, Error> {
        let now = self.common.clock.now();
        check(&new, now)?;
        let entry = self.secrets.entry(caller, "secret_handout.created", new.id);
        let entry = entry.with_detail(format!("views: {}, until: {}", new.views, new.expires_at));
        let work = move |scope: &Scope<'_>| {
            if repo::is_there(scope, new.id, &new.access_hash)? {
                return Ok((repo::find(scope, new.id)?.ok_or(LINK)?, false));
            }
            let (count, bytes) = repo::usage(scope)?;
            if count >= MAX_HANDOUTS {
                return Err(Error::LimitReached { what: "one-time links", limit: MAX_HANDOUTS });
            }
            if bytes.saturating_add(new.content.len() as u64) > MAX_BYTES {
                return Err(Error::QuotaExceeded);
            }
            repo::insert(scope, &new, now).map_err(|error| match error {
                DatabaseError::Conflict => Error::field("id", "it is taken: draw another one"),
                other => other.into(),
            })?;
            Ok((repo::find(scope, new.id)?.ok_or(LINK)?, true))
        };
        let (handout, _) = self.secrets.write_if(caller, entry, work, |(_, is_new)| *is_new).await?;
        Ok(handout)
    }

    /// A page of the caller's, and where the next one starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Handout>, Option<Uuid>), Error> {
        let limit = limit.clamp(1, MAX_PAGE);
        let read = self.secrets.read(caller, move |scope| Ok(repo::list(scope, after, limit + 1)?));
        Ok(page(read.await?, limit, |handout| handout.id))
    }

    /// Takes one back.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        let entry = self.secrets.entry(caller, "secret_handout.deleted", id);
        let work = move |scope: &Scope<'_>| if repo::delete(scope, id)? { Ok(()) } else { Err(LINK) };
        self.secrets.write_if(caller, entry, work, |()| true).await
    }

    /// Hands one out to whoever shows what opens it. The view is used up, on disk, before the content leaves.
    pub(crate) async fn open(&self, id: Uuid, access_token: &[u8], context: &Context) -> Result<Opened, Error> {
        let lease = self.vault.lease()?;
        let source = source(context.address);
        self.guesses.begin(&source)?;
        let (hash, now) = (Sha256::digest(access_token).into(), self.common.clock.now());
        let entry = self.common.auditor.entry(context, "secret_handout.opened", Outcome::Success, Some(id));
        let opened = lease.store().database.write(move |transaction| -> Result<Option<Opened>, DatabaseError> {
            let opened = repo::open(transaction, id, &hash, now)?;
            if let Some(opened) = &opened {
                audit::insert(transaction, &entry.with_detail(format!("views left: {}", opened.views_left)))?;
            }
            Ok(opened)
        });
        let opened = opened.await.inspect_err(|_| self.guesses.take_back(&source))?;
        if opened.is_some() {
            self.guesses.take_back(&source);
        } else {
            self.guesses.failed(&source);
        }
        opened.ok_or(LINK)
    }
}

fn check(new: &NewHandout, now: Timestamp) -> Result<(), Error> {
    if new.content.is_empty() || new.content.len() > MAX_SEALED_ITEM_BYTES {
        return Err(Error::field("content", format!("it should have 1 to {MAX_SEALED_ITEM_BYTES} bytes")));
    }
    if !(1..=MAX_VIEWS).contains(&new.views) {
        return Err(Error::field("views", format!("1 to {MAX_VIEWS}")));
    }
    let life = new.expires_at.duration_since(now);
    if life <= SignedDuration::ZERO || life > MAX_LIFE {
        return Err(Error::field("expires_at", "from now on, and within 30 days"));
    }
    Ok(())
}

/// Removes what has ended, until the vault is locked.
pub(crate) async fn keep(lease: Lease, common: Common) {
    daily(&lease, &common.clock, || async {
        let now = common.clock.now();
        let ended = lease.store().database.write(move |transaction| repo::delete_ended(transaction, now));
        if let Err(error) = ended.await {
            warn!(error:% = error; "one-time links that have ended were not removed");
        }
    })
    .await;
}
