//! Notes on files and folders. Nobody overwrites by accident what somebody else has written.

use uuid::Uuid;

use super::Error;
use super::access::{self, audited};
use super::caller::Caller;
use super::common::Common;
use super::items::{editable, seen};
use crate::model::event::Event;
use crate::model::note::{Note, NoteText};
use crate::model::precondition::Precondition;
use crate::model::role::Action;
use crate::repo::audit::{self, Outcome};
use crate::repo::notes;

/// The notes of the vault.
pub(crate) struct Notes {
    common: Common,
}

/// What writing a note did.
pub(crate) struct Written {
    pub(crate) note: Note,
    /// There was none.
    pub(crate) created: bool,
}

impl Notes {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// The note on an item.
    pub(crate) async fn get(&self, caller: &Caller, item_id: Uuid) -> Result<Note, Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        let read = caller.store().database.read(move |connection| -> Result<Note, Error> {
            seen(connection, &viewer, item_id)?;
            notes::find(connection, item_id)?.ok_or(Error::NotFound("note"))
        });
        read.await
    }

    /// Writes the note on an item, new or not, when the precondition holds for what is there.
    pub(crate) async fn set(
        &self,
        caller: &Caller,
        item_id: Uuid,
        text: NoteText,
        precondition: Precondition,
    ) -> Result<Written, Error> {
        caller.require(Action::EditOwn).await?;
        let viewer = access::viewer(caller);
        let note = Note {
            item_id,
            text: text.into_string(),
            version: self.common.ids.next(),
            updated_at: self.common.clock.now(),
            updated_by: caller.user.id,
        };
        let entry = self.common.auditor.entry(&caller.context, "note.set", Outcome::Success, Some(item_id));
        let written = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let item = editable(transaction, &viewer, item_id)?;
            let before = notes::find(transaction, item_id)?;
            require(&precondition, before.as_ref())?;
            notes::set(transaction, &note)?;
            audit::insert(transaction, &entry)?;
            Ok((Written { note, created: before.is_none() }, item.place()))
        });
        let (written, place) = audited(&self.common, caller, Action::Edit, Some(item_id), written.await).await?;
        self.common.events.publish(&Event::ItemAnnotated { item_id, place });
        Ok(written)
    }

    /// Deletes the note on an item, when the precondition holds for it.
    pub(crate) async fn delete(&self, caller: &Caller, item_id: Uuid, precondition: Precondition) -> Result<(), Error> {
        caller.require(Action::EditOwn).await?;
        let viewer = access::viewer(caller);
        let entry = self.common.auditor.entry(&caller.context, "note.removed", Outcome::Success, Some(item_id));
        let deleted = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let item = editable(transaction, &viewer, item_id)?;
            let before = notes::find(transaction, item_id)?.ok_or(Error::NotFound("note"))?;
            require(&precondition, Some(&before))?;
            notes::delete(transaction, item_id)?;
            audit::insert(transaction, &entry)?;
            Ok(item.place())
        });
        let place = audited(&self.common, caller, Action::Edit, Some(item_id), deleted.await).await?;
        self.common.events.publish(&Event::ItemAnnotated { item_id, place });
        Ok(())
    }
}

fn require(precondition: &Precondition, current: Option<&Note>) -> Result<(), Error> {
    let version = current.map(|note| note.version.to_string());
    if precondition.holds(version.as_deref()) { Ok(()) } else { Err(Error::PreconditionFailed) }
}
