//! Folders: create, look at, list, delete when empty.

use uuid::Uuid;

use super::Error;
use super::access::{self, visible, writable};
use super::audit::page;
use super::caller::Caller;
use super::common::Common;
use crate::model::access::Access;
use crate::model::event::Event;
use crate::model::folder::{Folder, MAX_DEPTH};
use crate::model::name::FileName;
use crate::model::role::Action;
use crate::repo::audit::{self, Outcome};
use crate::repo::folders;

/// Largest page of a list.
pub(crate) const MAX_PAGE: u32 = 500;

/// The folders of the vault.
pub(crate) struct Folders {
    common: Common,
}

impl Folders {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// Makes a folder.
    pub(crate) async fn create(
        &self,
        caller: &Caller,
        parent_id: Option<Uuid>,
        name: &FileName,
    ) -> Result<(Folder, Access), Error> {
        caller.require(Action::Add).await?;
        let folder = Folder {
            id: self.common.ids.next(),
            parent_id,
            name: name.as_str().to_owned(),
            created_at: self.common.clock.now(),
            created_by: caller.user.id,
            private: false,
        };
        let entry = self.common.auditor.entry(&caller.context, "folder.created", Outcome::Success, Some(folder.id));
        let (row, viewer) = (folder.clone(), access::viewer(caller));
        let stored = caller.store().database.write(move |transaction| -> Result<(), Error> {
            writable(transaction, &viewer, parent_id)?;
            if let Some(parent_id) = parent_id
                && folders::depth(transaction, parent_id)? >= MAX_DEPTH
            {
                return Err(Error::field("parent_id", format!("folders nest at most {MAX_DEPTH} deep")));
            }
            if folders::name_is_taken(transaction, parent_id, &row.name)? {
                return Err(Error::NameTaken);
            }
            folders::insert(transaction, &row)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        access::audited(&self.common, caller, Action::Add, parent_id, stored.await).await?;
        self.common.events.publish(&Event::FolderCreated { folder_id: folder.id });
        Ok((folder, Access::Write))
    }

    /// One folder, and what the caller may do in it.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<(Folder, Access), Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        caller.store().database.read(move |connection| access::seen_folder(connection, &viewer, id)).await
    }

    /// A page of the folders directly inside one, oldest first, and where the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        parent_id: Option<Uuid>,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<(Folder, Access)>, Option<Uuid>), Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let inside = visible(connection, &viewer, parent_id)?;
            Ok(folders::list(connection, &viewer, parent_id, inside, after, limit + 1)?)
        });
        Ok(page(read.await?, limit, |(folder, _)| folder.id))
    }

    /// Deletes an empty folder. A key for one folder may empty it, but not delete it.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::EditOwn).await?;
        let viewer = access::viewer(caller);
        let read = caller.store().database.read(move |connection| access::seen_folder(connection, &viewer, id));
        // Who made it never changes; all else is looked at again below.
        caller.require_edit(read.await?.0.created_by).await?;
        let entry = self.common.auditor.entry(&caller.context, "folder.deleted", Outcome::Success, Some(id));
        let forget = caller.store().privacy_forgetter();
        let deleted = caller.store().database.write(move |transaction| -> Result<(), Error> {
            writable(transaction, &viewer, Some(id))?;
            if viewer.scope == Some(id) {
                return Err(Error::Forbidden);
            }
            if !folders::is_empty(transaction, id)? {
                return Err(Error::FolderNotEmpty);
            }
            folders::delete(transaction, id)?;
            forget();
            Ok(audit::insert(transaction, &entry)?)
        });
        access::audited(&self.common, caller, Action::Edit, Some(id), deleted.await).await?;
        self.common.events.publish(&Event::FolderDeleted { folder_id: id });
        Ok(())
    }
}
