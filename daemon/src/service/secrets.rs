//! Secrets vaults: who may have which sealed bytes, and in which order they change. None of it can be read here.
//!
//! Every read and write goes through a scope of the database, which shows a person what is theirs and nothing else. What
//! is asked here besides is what a database cannot know: that a change says of itself what it is.

use coffer_crypto::secrets::grant::Role;
use coffer_crypto::secrets::identity::PublicIdentity;
use coffer_crypto::secrets::item::MAX_SEALED_ITEM_BYTES;
use coffer_crypto::secrets::manifest::{Change, Claim, Entry};
use rusqlite::Transaction;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Error;
use super::audit::page;
use super::caller::Caller;
use super::common::Common;
use super::sweep;
use crate::model::event::Event;
use crate::model::file::BlobId;
use crate::model::group::GroupName;
use crate::model::precondition::Precondition;
use crate::model::role::Action;
use crate::model::secret::{
    SecretAccount, SecretItem, SecretKey, SecretMember, SecretPeer, SecretRevision, SecretVault,
};
use crate::model::user::Username;
use crate::repo::audit::{self, Entry as AuditEntry, Outcome};
use crate::repo::{contents, groups, secret_attachments, secrets, users};
use crate::storage::database::DatabaseError;
use crate::storage::scope::Scope;

/// Vaults that one person may be in.
const MAX_VAULTS: u32 = 200;
/// What all revisions of a vault's items may take.
const MAX_VAULT_BYTES: u64 = 256 * 1024 * 1024;
/// Items that are told of at once; with their contents they fill a reply.
const MAX_ITEMS: u32 = 200;
/// What the contents of one reply may take together, but for the last one.
const MAX_REPLY_BYTES: usize = 4 * 1024 * 1024;
/// Revisions of an item that are told of at once.
const MAX_REVISIONS: u32 = 50;
/// Links that are told of at once.
const MAX_LINKS: u32 = 10_000;

const VAULT: Error = Error::NotFound("secrets vault");

/// What a client makes of an item.
pub(crate) struct NewRevision {
    pub(crate) key_generation: u32,
    pub(crate) wrapped_key: Vec<u8>,
    /// `None` deletes it.
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) link: Vec<u8>,
}

/// What became of a change.
pub(crate) enum Written {
    Stored(SecretItem),
    /// Somebody was faster: this is what there is now.
    Stale(Option<SecretItem>),
}

/// The next key of a vault.
pub(crate) struct Rotation {
    pub(crate) link: Vec<u8>,
    pub(crate) keys: Vec<(Uuid, Vec<u8>)>,
    pub(crate) items: Vec<(Uuid, Vec<u8>)>,
}

/// What a client has missed.
pub(crate) struct Changes {
    pub(crate) sequence: u64,
    pub(crate) links: Vec<Vec<u8>>,
    pub(crate) items: Vec<SecretItem>,
    pub(crate) more: bool,
}

/// Keeps and hands out what clients have sealed.
pub(crate) struct Secrets {
    common: Common,
}

impl Secrets {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// What the caller's other devices need.
    pub(crate) async fn account(&self, caller: &Caller) -> Result<SecretAccount, Error> {
        self.read(caller, |scope| secrets::account(scope)?.ok_or(Error::NotFound("keys"))).await
    }

    /// Keeps what the caller's other devices need.
    pub(crate) async fn set_account(&self, caller: &Caller, account: SecretAccount) -> Result<(), Error> {
        let user_id = caller.user.id;
        check_account(user_id, &account)?;
        let entry = self.entry(caller, "secrets.keys_set", user_id);
        self.write(caller, entry, move |scope| Ok(secrets::set_account(scope, &account)?)).await
    }

    /// The public keys of somebody, who may be gone: what they have signed is still there.
    pub(crate) async fn identity(&self, caller: &Caller, user_id: Uuid) -> Result<SecretPeer, Error> {
        let public =
            self.read(caller, move |scope| secrets::public(scope, user_id)?.ok_or(Error::NotFound("keys"))).await?;
        let known = caller.store().database.read(move |connection| users::find(connection, user_id)).await?;
        Ok(SecretPeer { user_id, username: known.map(|user| user.username.as_str().to_owned()), public })
    }

    /// The public keys of the account with exactly that name, to share with it.
    pub(crate) async fn person(&self, caller: &Caller, name: &str) -> Result<SecretPeer, Error> {
        const NOBODY: Error = Error::NotFound("person with keys");
        caller.require(Action::Account).await?;
        let wanted = Username::parse(name).map_err(|_| NOBODY)?;
        let found = caller.store().database.read(move |connection| users::find_by_name(connection, &wanted)).await?;
        let (user, _) = found.filter(|(user, _)| user.active).ok_or(NOBODY)?;
        let user_id = user.id;
        let public = self.read(caller, move |scope| secrets::public(scope, user_id)?.ok_or(NOBODY)).await?;
        Ok(SecretPeer { user_id, username: Some(user.username.as_str().to_owned()), public })
    }

    /// The public keys of everybody in the caller's group of that name, and who has none yet.
    pub(crate) async fn group(&self, caller: &Caller, name: &str) -> Result<(Vec<SecretPeer>, Vec<String>), Error> {
        const GROUP: Error = Error::NotFound("group of yours");
        caller.require(Action::Account).await?;
        let (name, user_id) = (GroupName::parse(name).map_err(|_| GROUP)?, caller.user.id);
        let database = &caller.store().database;
        let fellows = database.read(move |connection| groups::fellows(connection, &name, user_id)).await?;
        if fellows.is_empty() {
            return Err(GROUP);
        }
        self.read(caller, move |scope| {
            let (mut peers, mut without) = (Vec::new(), Vec::new());
            for (user_id, username) in fellows {
                match secrets::public(scope, user_id)? {
                    Some(public) => peers.push(SecretPeer { user_id, username: Some(username), public }),
                    None => without.push(username),
                }
            }
            Ok((peers, without))
        })
        .await
    }

    /// Makes a vault with its first key. The same wish a second time is answered as the first.
    pub(crate) async fn create(&self, caller: &Caller, id: Uuid, key: Vec<u8>) -> Result<SecretVault, Error> {
        has_length("key", key.len(), &[104])?;
        let (user_id, now) = (caller.user.id, self.common.clock.now());
        let entry = self.entry(caller, "secret_vault.created", id);
        let work = move |scope: &Scope<'_>| {
            if let Some(vault) = secrets::find_vault(scope, id)?
                && secrets::keys(scope, id)?.first().is_some_and(|first| first.sealed == key)
            {
                return Ok((vault, false));
            }
            if secrets::count_vaults(scope)? >= MAX_VAULTS {
                return Err(Error::LimitReached { what: "secrets vaults", limit: MAX_VAULTS });
            }
            secrets::create_vault(scope, id, now).map_err(|error| match error {
                DatabaseError::Conflict => Error::field("id", "it is taken: draw another one"),
                other => other.into(),
            })?;
            secrets::put_key(scope, id, user_id, 1, &key)?;
            Ok((secrets::find_vault(scope, id)?.ok_or(VAULT)?, true))
        };
        let (vault, _) = self.write_if(caller, entry, work, |(_, is_new)| *is_new).await?;
        Ok(vault)
    }

    /// A page of the caller's vaults, and where the next one starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<SecretVault>, Option<Uuid>), Error> {
        let limit = limit.clamp(1, MAX_VAULTS);
        let read = self.read(caller, move |scope| Ok(secrets::vaults(scope, after, limit + 1)?));
        Ok(page(read.await?, limit, |vault| vault.id))
    }

    /// One of the caller's vaults.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<SecretVault, Error> {
        self.read(caller, move |scope| secrets::find_vault(scope, id)?.ok_or(VAULT)).await
    }

    /// Deletes a vault with all that is in it.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        let entry = self.entry(caller, "secret_vault.deleted", id);
        let work = move |scope: &Scope<'_>| {
            let attached = secret_attachments::delete_of_vault(scope, id)?;
            if secrets::delete_vault(scope, id)? { Ok(((), attached)) } else { Err(VAULT) }
        };
        self.write_freeing(caller, entry, work, |()| true).await
    }

    /// The caller's keys of a vault.
    pub(crate) async fn keys(&self, caller: &Caller, id: Uuid) -> Result<Vec<SecretKey>, Error> {
        self.read(caller, move |scope| {
            secrets::find_vault(scope, id)?.ok_or(VAULT)?;
            Ok(secrets::keys(scope, id)?)
        })
        .await
    }

    /// Who is in a vault.
    pub(crate) async fn members(&self, caller: &Caller, id: Uuid) -> Result<Vec<SecretMember>, Error> {
        self.read(caller, move |scope| {
            secrets::find_vault(scope, id)?.ok_or(VAULT)?;
            Ok(secrets::members(scope, id)?)
        })
        .await
    }

    /// Lets somebody in, or gives a member another role. It counts for the member's next call.
    pub(crate) async fn put_member(
        &self,
        caller: &Caller,
        id: Uuid,
        user_id: Uuid,
        role: Role,
        keys: Vec<SecretKey>,
    ) -> Result<(), Error> {
        keys.iter().try_for_each(|key| has_length("keys", key.sealed.len(), &[237]))?;
        let known = caller.store().database.read(move |connection| users::find(connection, user_id)).await?;
        let entry = self.entry(caller, "secret_vault.member_set", id);
        let entry = entry.with_detail(format!("member: {user_id}, role: {}", name(role)));
        let sequence = self
            .write(caller, entry, move |scope| {
                let vault = secrets::find_vault(scope, id)?.ok_or(VAULT)?;
                if secrets::set_role(scope, id, user_id, role)? {
                    return Ok(vault.sequence);
                }
                known.filter(|user| user.active).ok_or(Error::NotFound("user"))?;
                secrets::add_member(scope, id, user_id, role)?;
                for key in &keys {
                    secrets::put_key(scope, id, user_id, key.generation, &key.sealed)?;
                }
                Ok(vault.sequence)
            })
            .await?;
        self.tell(id, sequence);
        Ok(())
    }

    /// Puts a member out. What the member knows already, only new keys and new credentials take back.
    pub(crate) async fn remove_member(&self, caller: &Caller, id: Uuid, user_id: Uuid) -> Result<(), Error> {
        let entry = self.entry(caller, "secret_vault.member_removed", id);
        let entry = entry.with_detail(format!("member: {user_id}"));
        let removed = self.write(caller, entry, move |scope| {
            let vault = secrets::find_vault(scope, id)?.ok_or(VAULT)?;
            let was_there = secrets::remove_member(scope, id, user_id)?;
            if was_there { Ok(vault.sequence) } else { Err(Error::NotFound("member")) }
        });
        self.tell(id, removed.await?);
        Ok(())
    }

    /// Gives a vault its next key: for exactly its members, with every item's key wrapped under it. The same wish a second
    /// time is answered as the first.
    pub(crate) async fn rotate(&self, caller: &Caller, id: Uuid, rotation: Rotation) -> Result<SecretVault, Error> {
        for (_, sealed) in &rotation.keys {
            has_length("keys", sealed.len(), &[104, 237])?;
        }
        for (_, wrapped) in &rotation.items {
            has_length("items", wrapped.len(), &[104])?;
        }
        let user_id = caller.user.id;
        let entry = self.entry(caller, "secret_vault.key_replaced", id);
        let work = move |scope: &Scope<'_>| {
            let vault = secrets::find_vault(scope, id)?.ok_or(VAULT)?;
            if vault.sequence > 0 && secrets::links_from(scope, id, vault.sequence, 1)?.first() == Some(&rotation.link)
            {
                return Ok((vault, false));
            }
            let claim = next_link(scope, &vault, &rotation.link, user_id)?.ok_or(Error::PreconditionFailed)?;
            let generation = vault.generation.saturating_add(1);
            if (claim.change, claim.generation) != (Change::NewKey, generation) {
                return Err(Error::field("link", "it does not say that there is a new key"));
            }
            secrets::next_generation(scope, id)?;
            let members = secrets::members(scope, id)?;
            let all = |member: &SecretMember| rotation.keys.iter().any(|(user_id, _)| *user_id == member.user_id);
            if rotation.keys.len() != members.len() || !members.iter().all(all) {
                return Err(Error::field("keys", "each member gets one, and nobody else"));
            }
            for (user_id, sealed) in &rotation.keys {
                secrets::put_key(scope, id, *user_id, generation, sealed)?;
            }
            for (item, wrapped) in &rotation.items {
                if !secrets::rewrap(scope, id, *item, generation, wrapped)? {
                    return Err(Error::field("items", "there is no such item"));
                }
            }
            if secrets::is_any_left(scope, id, generation)? {
                return Err(Error::field("items", "the key of every item is wrapped anew"));
            }
            secrets::append_link(scope, id, claim.sequence, &rotation.link)?;
            Ok((secrets::find_vault(scope, id)?.ok_or(VAULT)?, true))
        };
        let (vault, _) = self.write_if(caller, entry, work, |(_, is_new)| *is_new).await?;
        self.tell(id, vault.sequence);
        Ok(vault)
    }

    /// One item.
    pub(crate) async fn item(&self, caller: &Caller, vault_id: Uuid, id: Uuid) -> Result<SecretItem, Error> {
        self.read(caller, move |scope| secrets::find_item(scope, vault_id, id)?.ok_or(Error::NotFound("item"))).await
    }

    /// States of an item before a revision, newest first, and where the rest begins.
    pub(crate) async fn revisions(
        &self,
        caller: &Caller,
        vault_id: Uuid,
        id: Uuid,
        before: Option<u64>,
    ) -> Result<(Vec<SecretRevision>, Option<u64>), Error> {
        self.read(caller, move |scope| {
            secrets::find_item(scope, vault_id, id)?.ok_or(Error::NotFound("item"))?;
            let before = before.unwrap_or(i64::MAX.unsigned_abs());
            let mut revisions = secrets::revisions_before(scope, vault_id, id, before, MAX_REVISIONS)?;
            let fitting = fitting(revisions.iter().map(|revision| revision.content.as_ref().map_or(0, Vec::len)));
            revisions.truncate(fitting);
            let last = revisions.last().map(|revision| revision.revision);
            Ok((revisions, last.filter(|revision| *revision > 1)))
        })
        .await
    }

    /// Writes the next revision of an item. The same change a second time is answered as the first.
    pub(crate) async fn put_item(
        &self,
        caller: &Caller,
        vault_id: Uuid,
        id: Uuid,
        precondition: Precondition,
        new: NewRevision,
    ) -> Result<Written, Error> {
        has_length("wrapped_key", new.wrapped_key.len(), &[104])?;
        if new.content.as_ref().is_some_and(|content| content.len() > MAX_SEALED_ITEM_BYTES) {
            return Err(Error::field("content", format!("it may have {MAX_SEALED_ITEM_BYTES} bytes")));
        }
        if precondition == Precondition::default() {
            return Err(Error::PreconditionNeeded);
        }
        let (user_id, now) = (caller.user.id, self.common.clock.now());
        let entry = self.entry(caller, "secret_item.written", id);
        let work = move |scope: &Scope<'_>| {
            let vault = secrets::find_vault(scope, vault_id)?.ok_or(VAULT)?;
            let current = secrets::find_item(scope, vault_id, id)?;
            if let Some(item) = &current
                && secrets::links_from(scope, vault_id, item.sequence, 1)?.first() == Some(&new.link)
            {
                return Ok((Written::Stored(item.clone()), Vec::new()));
            }
            let revision = current.as_ref().map(|item| item.revision.to_string());
            if !precondition.holds(revision.as_deref()) {
                return Ok((Written::Stale(current), Vec::new()));
            }
            let Some(claim) = next_link(scope, &vault, &new.link, user_id)? else {
                return Ok((Written::Stale(current), Vec::new()));
            };
            let revision = current.as_ref().map_or(0, |item| item.revision).saturating_add(1);
            let content = new.content.as_ref().map(|content| Sha256::digest(content).into());
            if claim.change != Change::Item(id, Entry { revision, content }) {
                return Err(Error::field("link", "it is not about this revision of this item"));
            }
            if claim.generation != vault.generation || new.key_generation != vault.generation {
                return Err(Error::field("key_generation", "the vault has another key"));
            }
            let size = new.content.as_ref().map_or(0, Vec::len) as u64;
            if vault.used_bytes.saturating_add(size) > MAX_VAULT_BYTES {
                return Err(Error::QuotaExceeded);
            }
            let item = SecretItem {
                vault_id,
                id,
                revision,
                generation: vault.generation,
                key_generation: new.key_generation,
                wrapped_key: new.wrapped_key,
                content: new.content,
                sequence: claim.sequence,
                changed_at: now,
                changed_by: user_id,
            };
            secrets::append_link(scope, vault_id, claim.sequence, &new.link)?;
            if current.is_some() {
                secrets::update_item(scope, &item)?;
            } else {
                secrets::insert_item(scope, &item)?;
            }
            // A deleted item has nothing attached any more, whichever of its states comes back.
            let attached = match item.content {
                Some(_) => Vec::new(),
                None => secret_attachments::delete_of_item(scope, vault_id, id)?,
            };
            Ok((Written::Stored(item), attached))
        };
        let is_stored = |written: &Written| matches!(written, Written::Stored(_));
        let written = self.write_freeing(caller, entry, work, is_stored).await?;
        if let Written::Stored(item) = &written {
            self.tell(vault_id, item.sequence);
        }
        Ok(written)
    }

    /// What changed after a change, with the history from that change on. Nothing is ever too old to be asked for.
    pub(crate) async fn changes(&self, caller: &Caller, vault_id: Uuid, since: u64) -> Result<Changes, Error> {
        self.read(caller, move |scope| {
            let vault = secrets::find_vault(scope, vault_id)?.ok_or(VAULT)?;
            let links = secrets::links_from(scope, vault_id, since, MAX_LINKS)?;
            let mut items = secrets::items_since(scope, vault_id, since, MAX_ITEMS)?;
            let fitting = fitting(items.iter().map(|item| item.content.as_ref().map_or(0, Vec::len)));
            let more = fitting < items.len() || items.len() == MAX_ITEMS as usize || links.len() == MAX_LINKS as usize;
            items.truncate(fitting);
            Ok(Changes { sequence: vault.sequence, links, items, more })
        })
        .await
    }

    /// Members who listen come and look.
    fn tell(&self, vault_id: Uuid, sequence: u64) {
        self.common.events.publish(&Event::SecretVaultChanged { vault_id, sequence });
    }

    pub(super) fn entry(&self, caller: &Caller, action: &'static str, subject: Uuid) -> AuditEntry {
        self.common.auditor.entry(&caller.context, action, Outcome::Success, Some(subject))
    }

    /// Reads as the caller.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        caller: &Caller,
        work: impl FnOnce(&Scope<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        caller.require(Action::Account).await?;
        let user_id = caller.user.id;
        caller.store().database.read(move |connection| work(&secrets::scope(connection, user_id)?)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        caller: &Caller,
        entry: AuditEntry,
        work: impl FnOnce(&Scope<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.write_if(caller, entry, work, |_| true).await
    }

    pub(super) async fn write_if<T: Send + 'static>(
        &self,
        caller: &Caller,
        entry: AuditEntry,
        work: impl FnOnce(&Scope<'_>) -> Result<T, Error> + Send + 'static,
        is_change: fn(&T) -> bool,
    ) -> Result<T, Error> {
        self.write_freeing(caller, entry, move |scope| Ok((work(scope)?, Vec::new())), is_change).await
    }

    /// Writes as the caller. The audit, and what becomes of contents that `work` tells to be attached to nothing any more, is not
    /// the person's to write: it comes when their scope is over; the audit, when something was changed.
    pub(super) async fn write_freeing<T: Send + 'static>(
        &self,
        caller: &Caller,
        entry: AuditEntry,
        work: impl FnOnce(&Scope<'_>) -> Result<(T, Vec<BlobId>), Error> + Send + 'static,
        is_change: fn(&T) -> bool,
    ) -> Result<T, Error> {
        caller.require(Action::Account).await?;
        let user_id = caller.user.id;
        let written = caller.store().database.write(move |transaction: &Transaction<'_>| -> Result<_, Error> {
            let (result, attached) = work(&secrets::scope(transaction, user_id)?)?;
            let unused = contents::forget_unused(transaction, attached)?;
            if is_change(&result) {
                audit::insert(transaction, &entry)?;
            }
            Ok((result, unused))
        });
        let (result, unused) = written.await?;
        sweep::remove(caller.lease(), unused).await;
        Ok(result)
    }
}

/// What the next link of a vault says; `None` when it is not the next one any more. Who signed it is for members to check,
/// who know one another's keys; that it fits what is here keeps a broken client from breaking the chain for all.
fn next_link(scope: &Scope<'_>, vault: &SecretVault, link: &[u8], writer: Uuid) -> Result<Option<Claim>, Error> {
    let read = |link: &[u8]| Claim::read(vault.id, link).map_err(|error| Error::field("link", error.to_string()));
    let claim = read(link)?;
    let last = match vault.sequence {
        0 => [0; 32],
        sequence => {
            let links = secrets::links_from(scope, vault.id, sequence, 1)?;
            links.first().map(|link| read(link)).transpose()?.map_or([0; 32], |claim| claim.hash)
        }
    };
    if claim.sequence != vault.sequence.saturating_add(1) || claim.previous != last {
        return Ok(None);
    }
    if claim.writer != writer {
        return Err(Error::field("link", "it is said to be written by somebody else"));
    }
    Ok(Some(claim))
}

/// How many contents of these lengths one reply takes: the first one in any case.
fn fitting(lengths: impl Iterator<Item = usize>) -> usize {
    let mut total = 0;
    let fitting = lengths.take_while(|length| {
        let fits = total <= MAX_REPLY_BYTES;
        total += length;
        fits
    });
    fitting.count()
}

/// Refuses what no client of this account has made.
pub(super) fn check_account(user_id: Uuid, account: &SecretAccount) -> Result<(), Error> {
    for (field, found, length) in [
        ("by_password", account.by_password.len(), 104),
        ("by_recovery", account.by_recovery.len(), 104),
        ("identity", account.identity.len(), 136),
    ] {
        has_length(field, found, &[length])?;
    }
    let public = PublicIdentity::parse(user_id, &account.public);
    public.map(drop).map_err(|error| Error::field("public", error.to_string()))
}

fn has_length(field: &'static str, found: usize, allowed: &[usize]) -> Result<(), Error> {
    if allowed.contains(&found) {
        Ok(())
    } else {
        Err(Error::field(field, format!("it should have {allowed:?} bytes")))
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Editor => "editor",
        Role::Manager => "manager",
        Role::Owner => "owner",
    }
}
