//! Folders: create, look at, list, delete when empty.

use uuid::Uuid;

use super::Error;
use super::audit::page;
use super::caller::Caller;
use super::common::Common;
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
    ) -> Result<Folder, Error> {
        caller.require(Action::Add).await?;
        let folder = Folder {
            id: self.common.ids.next(),
            parent_id,
            name: name.as_str().to_owned(),
            created_at: self.common.clock.now(),
            created_by: caller.user.id,
        };
        let entry = self.common.auditor.entry(&caller.context, "folder.created", Outcome::Success, Some(folder.id));
        let row = folder.clone();
        let stored = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if let Some(parent_id) = parent_id {
                folders::find(transaction, parent_id)?.ok_or(Error::NotFound("folder"))?;
                if folders::depth(transaction, parent_id)? >= MAX_DEPTH {
                    return Err(Error::field("parent_id", format!("folders nest at most {MAX_DEPTH} deep")));
                }
            }
            if folders::name_is_taken(transaction, parent_id, &row.name)? {
                return Err(Error::NameTaken);
            }
            folders::insert(transaction, &row)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        stored.await?;
        self.common.events.publish(&Event::FolderCreated { folder_id: folder.id });
        Ok(folder)
    }

    /// One folder.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<Folder, Error> {
        caller.require(Action::Read).await?;
        let found = caller.store().database.read(move |connection| folders::find(connection, id)).await?;
        found.ok_or(Error::NotFound("folder"))
    }

    /// A page of the folders directly inside one, oldest first, and where the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        parent_id: Option<Uuid>,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Folder>, Option<Uuid>), Error> {
        caller.require(Action::Read).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            if let Some(parent_id) = parent_id {
                folders::find(connection, parent_id)?.ok_or(Error::NotFound("folder"))?;
            }
            Ok(folders::list(connection, parent_id, after, limit + 1)?)
        });
        Ok(page(read.await?, limit, |folder| folder.id))
    }

    /// Deletes an empty folder.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::Edit).await?;
        let entry = self.common.auditor.entry(&caller.context, "folder.deleted", Outcome::Success, Some(id));
        let deleted = caller.store().database.write(move |transaction| -> Result<(), Error> {
            folders::find(transaction, id)?.ok_or(Error::NotFound("folder"))?;
            if !folders::is_empty(transaction, id)? {
                return Err(Error::FolderNotEmpty);
            }
            folders::delete(transaction, id)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        deleted.await?;
        self.common.events.publish(&Event::FolderDeleted { folder_id: id });
        Ok(())
    }
}
