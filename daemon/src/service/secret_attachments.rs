//! What clients attach to the items of secrets vaults: sealed streams of any size, kept and handed out as they came.
//!
//! An attachment never changes. It is there before a revision of its item names it, and goes when a client removes it, or with
//! its item or vault. The bytes are a content as any other: a crash leaves at most a blob without a row, which is swept.

use std::sync::Arc;

use bytes::Bytes;
use coffer_crypto::secrets::grant::Role;
use futures_util::Stream;
use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::common::Common;
use super::files::{Allowance, Files};
use super::secrets::Secrets;
use super::transfer::{self, BodyError, Content, Piece, Progress, Received};
use super::tree::check_quota;
use super::unlocked::Lease;
use crate::model::file::{Revision, Sha256};
use crate::model::media_type;
use crate::model::role::Action;
use crate::model::sealing::{Blob, Seal};
use crate::model::secret::{AttachmentPlace, SecretAttachment};
use crate::repo::content_io::Protection;
use crate::repo::{audit, contents, policy, secret_attachments as repo, secrets};
use crate::storage::scope::Scope;

/// The longest attachment, sealed.
const MAX_BYTES: u64 = 4 << 30;
/// What is attached to the items of one vault, together.
const MAX_VAULT_BYTES: u64 = 16 << 30;
/// What may be attached to one item: as many as are told of at once.
const MAX_ATTACHMENTS: u32 = 200;

const ITEM: Error = Error::NotFound("item");
const ATTACHMENT: Error = Error::NotFound("attachment");

/// What a client says of an attachment before it sends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Option<Sha256>,
}

/// Keeps and hands out what clients attach to items.
pub(crate) struct SecretAttachments {
    common: Common,
    files: Arc<Files>,
    secrets: Arc<Secrets>,
}

impl SecretAttachments {
    /// A service.
    pub(crate) fn new(common: Common, files: Arc<Files>, secrets: Arc<Secrets>) -> Self {
        Self { common, files, secrets }
    }

    /// What is attached to an item, named by it or not.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        vault_id: Uuid,
        item_id: Uuid,
    ) -> Result<Vec<SecretAttachment>, Error> {
        let read = self.secrets.read(caller, move |scope| {
            secrets::find_item(scope, vault_id, item_id)?.ok_or(ITEM)?;
            Ok(repo::list(scope, vault_id, item_id)?)
        });
        read.await
    }

    /// One attachment.
    pub(crate) async fn get(&self, caller: &Caller, place: AttachmentPlace) -> Result<SecretAttachment, Error> {
        self.secrets.read(caller, move |scope| repo::find(scope, place)?.ok_or(ATTACHMENT)).await
    }

    /// Pieces of its bytes.
    pub(crate) async fn read(
        &self,
        caller: &Caller,
        attachment: &SecretAttachment,
        pieces: Vec<Piece>,
    ) -> Result<Content, Error> {
        caller.require(Action::Account).await?;
        let seal = Some(Seal::by_client(attachment.size_bytes));
        transfer::send(caller.lease(), Blob { id: attachment.blob.clone(), seal }, pieces).await
    }

    /// Attaches something. `body` is not polled before everything else was checked. The same bytes under the same id a second
    /// time are answered as the first time, and other bytes are refused.
    pub(crate) async fn put(
        &self,
        caller: &Caller,
        place: AttachmentPlace,
        announced: Announced,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<SecretAttachment, Error> {
        if announced.size_bytes > MAX_BYTES {
            return Err(Error::UploadTooLong { limit_bytes: MAX_BYTES });
        }
        let work = move |scope: &Scope<'_>| admit(scope, place, announced.size_bytes);
        let known = self.secrets.read(caller, work).await?;
        if let Some(known) = &known {
            let is_said_to_be_other = announced.sha256.is_some_and(|sha256| sha256 != known.sha256);
            if known.size_bytes != announced.size_bytes || is_said_to_be_other {
                return Err(taken());
            }
        }
        let allowance = self.files.allowance(caller).await?;
        let received = self.receive(caller, &allowance, announced, known.is_some(), body).await?;
        match known {
            Some(known) => compared(known, received),
            None => self.commit(caller, place, received).await,
        }
    }

    /// Takes one off.
    pub(crate) async fn delete(&self, caller: &Caller, place: AttachmentPlace) -> Result<(), Error> {
        let entry = self.secrets.entry(caller, "secret_attachment.removed", place.item_id);
        let entry = entry.with_detail(format!("attachment: {}", place.id));
        let work = move |scope: &Scope<'_>| Ok(((), vec![repo::delete(scope, place)?.ok_or(ATTACHMENT)?]));
        self.secrets.write_freeing(caller, entry, work, |()| true).await
    }

    /// Receives what fits onto the drive, and, unless it is there already, into the quota.
    async fn receive(
        &self,
        caller: &Caller,
        allowance: &Allowance,
        announced: Announced,
        is_known: bool,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<Received, Error> {
        let check = |announced_bytes, progress: Progress| {
            let received_bytes = if is_known { 0 } else { progress.received_bytes };
            self.files.check_room(allowance, announced_bytes, Progress { received_bytes, ..progress })
        };
        let free_bytes = transfer::free_bytes(caller.lease()).await?;
        let first_bytes = if is_known { 0 } else { announced.size_bytes };
        check(first_bytes, Progress { received_bytes: 0, free_bytes })?;
        let allow = |progress| check(0, progress);
        let received = transfer::receive(caller.lease(), Protection::Client, body, &allow).await?;
        let refused = if received.size_bytes != announced.size_bytes {
            Error::UploadCutShort
        } else if announced.sha256.is_some_and(|sha256| sha256 != received.sha256) {
            Error::DigestMismatch
        } else {
            return Ok(received);
        };
        received.abandon();
        Err(refused)
    }

    async fn commit(
        &self,
        caller: &Caller,
        place: AttachmentPlace,
        received: Received,
    ) -> Result<SecretAttachment, Error> {
        let (user_id, lease): (Uuid, &Lease) = (caller.user.id, caller.lease());
        let attachment = SecretAttachment {
            id: place.id,
            blob: received.stored.id().clone(),
            size_bytes: received.size_bytes,
            sha256: received.sha256,
            created_at: self.common.clock.now(),
            created_by: user_id,
        };
        let entry = self.secrets.entry(caller, "secret_attachment.added", place.item_id);
        let entry = entry.with_detail(format!("attachment: {}, bytes: {}", place.id, received.size_bytes));
        let (row, content) = (attachment.clone(), content(&attachment, received.seal.clone()));
        let committed = lease.store().database.write(move |transaction| -> Result<Option<SecretAttachment>, Error> {
            // The world may have changed while the bytes came in.
            let known = admit(&secrets::scope(transaction, user_id)?, place, row.size_bytes)?;
            if known.is_some() {
                return Ok(known);
            }
            let general_bytes = policy::storage(transaction)?.quota_bytes;
            check_quota(transaction, user_id, general_bytes, row.size_bytes)?;
            contents::insert(transaction, &content)?;
            repo::insert(&secrets::scope(transaction, user_id)?, place, &row)?;
            audit::insert(transaction, &entry)?;
            Ok(None)
        });
        match committed.await {
            Ok(Some(known)) => compared(known, received),
            committed => received.keep_if(lease, committed).map(|_| attachment),
        }
    }
}

/// What is there under an id already, if it is what came.
fn compared(known: SecretAttachment, received: Received) -> Result<SecretAttachment, Error> {
    let is_same = received.sha256 == known.sha256;
    received.abandon();
    if is_same { Ok(known) } else { Err(taken()) }
}

/// Refuses what is going to be refused, before a byte is read; gives what is there under that id already.
fn admit(scope: &Scope<'_>, place: AttachmentPlace, size_bytes: u64) -> Result<Option<SecretAttachment>, Error> {
    let vault = secrets::find_vault(scope, place.vault_id)?.ok_or(Error::NotFound("secrets vault"))?;
    let item = secrets::find_item(scope, place.vault_id, place.item_id)?;
    item.filter(|item| item.content.is_some()).ok_or(ITEM)?;
    if vault.role == Role::Viewer {
        return Err(Error::Forbidden);
    }
    if let Some(known) = repo::find(scope, place)? {
        return Ok(Some(known));
    }
    if repo::list(scope, place.vault_id, place.item_id)?.len() >= MAX_ATTACHMENTS as usize {
        return Err(Error::LimitReached { what: "attachments of this item", limit: MAX_ATTACHMENTS });
    }
    if repo::used_bytes(scope, place.vault_id)?.saturating_add(size_bytes) > MAX_VAULT_BYTES {
        return Err(Error::QuotaExceeded);
    }
    Ok(None)
}

fn taken() -> Error {
    Error::field("id", "it is taken: draw another one")
}

/// The row of its bytes.
fn content(attachment: &SecretAttachment, seal: Option<Seal>) -> Revision {
    Revision {
        number: 1,
        blob: attachment.blob.clone(),
        seal,
        size_bytes: attachment.size_bytes,
        sha256: attachment.sha256,
        media_type: media_type::UNKNOWN.to_owned(),
        created_at: attachment.created_at,
        created_by: attachment.created_by,
    }
}
