//! Revisions of a file: list, look at, restore, delete.

use uuid::Uuid;

use super::access::{self, editable_file, seen_file};
use super::caller::Caller;
use super::files::{Files, Saved, add_revision};
use super::{Error, sweep};
use crate::model::event::Event;
use crate::model::file::{File, Revision};
use crate::model::precondition::Precondition;
use crate::model::role::Action;
use crate::repo::audit::{self, Outcome};
use crate::repo::{contents, revisions};

/// Largest page of a list.
const MAX_PAGE: u32 = 500;

impl Files {
    /// A page of the revisions of a file, newest first, and the number behind which the next page starts.
    pub(crate) async fn revisions(
        &self,
        caller: &Caller,
        id: Uuid,
        before: Option<u32>,
        limit: u32,
    ) -> Result<(Vec<Revision>, Option<u32>), Error> {
        caller.require(Action::Read).await?;
        let (viewer, limit) = (access::viewer(caller), limit.clamp(1, MAX_PAGE));
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            seen_file(connection, &viewer, id)?;
            Ok(revisions::list(connection, id, before, limit + 1)?)
        });
        let mut items = read.await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|revision| revision.number);
        Ok((items, next))
    }

    /// A revision, and the file as it was then: with today's name and place.
    pub(crate) async fn revision(&self, caller: &Caller, id: Uuid, number: u32) -> Result<(Revision, File), Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let mut file = seen_file(connection, &viewer, id)?;
            let revision = revisions::find(connection, id, number)?.ok_or(Error::NotFound("revision"))?;
            revision.becomes_current(&mut file);
            Ok((revision, file))
        });
        read.await
    }

    /// Makes an old revision the content again: as a new revision, which shares its bytes.
    pub(crate) async fn restore_revision(
        &self,
        caller: &Caller,
        id: Uuid,
        number: u32,
        precondition: Precondition,
    ) -> Result<Saved, Error> {
        caller.require(Action::EditOwn).await?;
        let (now, viewer) = (self.common.clock.now(), access::viewer(caller));
        let entry = self.common.auditor.entry(&caller.context, "file.revision_restored", Outcome::Success, Some(id));
        let forget = caller.store().file_forgetter();
        let restored = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let file = editable_file(transaction, &viewer, id)?;
            if !precondition.holds(Some(&file.sha256.to_string())) {
                return Err(Error::PreconditionFailed);
            }
            let old = revisions::find(transaction, id, number)?.ok_or(Error::NotFound("revision"))?;
            let revision = Revision { created_at: now, created_by: viewer.user_id, ..old };
            let (file, unused) = add_revision(transaction, file, revision)?;
            forget(id);
            let detail = format!("revision: {number} as {}", file.revision);
            audit::insert(transaction, &entry.with_detail(detail))?;
            Ok((file, unused))
        });
        let restored = restored.await;
        let (file, unused) = access::audited(&self.common, caller, Action::Edit, Some(id), restored).await?;
        let File { folder_id, revision, size_bytes, .. } = file;
        self.common.events.publish(&Event::FileStored { file_id: id, folder_id, revision, size_bytes });
        sweep::remove(caller.lease(), unused).await;
        Ok(Saved { file, created: false })
    }

    /// Deletes an old revision for good.
    pub(crate) async fn delete_revision(&self, caller: &Caller, id: Uuid, number: u32) -> Result<(), Error> {
        caller.require(Action::EditOwn).await?;
        let viewer = access::viewer(caller);
        let entry = self.common.auditor.entry(&caller.context, "file.revision_deleted", Outcome::Success, Some(id));
        let deleted = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let file = editable_file(transaction, &viewer, id)?;
            if file.revision == number {
                return Err(Error::CurrentRevision);
            }
            let blobs = revisions::delete(transaction, id, number)?;
            if blobs.is_empty() {
                return Err(Error::NotFound("revision"));
            }
            audit::insert(transaction, &entry.with_detail(format!("revision: {number}")))?;
            Ok((file.folder_id, contents::forget_unused(transaction, blobs)?))
        });
        let deleted = deleted.await;
        let (folder_id, unused) = access::audited(&self.common, caller, Action::Edit, Some(id), deleted).await?;
        self.common.events.publish(&Event::FileChanged { file_id: id, folder_id });
        sweep::remove(caller.lease(), unused).await;
        Ok(())
    }
}
