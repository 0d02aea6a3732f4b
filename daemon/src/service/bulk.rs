//! One thing done to many items, each by itself: what fails for one does not keep the others from it.

use std::sync::Arc;

use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::files::Files;
use super::folders::Folders;
use super::tags::Tags;
use super::trash::Trash;
use crate::model::folder::{FolderChange, Placement};
use crate::model::role::Action;
use crate::model::tag::TagName;

/// Most items of one call.
pub(crate) const MAX_ITEMS: usize = 500;

/// What is done to each item.
#[derive(Clone, Debug)]
pub(crate) enum BulkAction {
    /// Into that folder; the root when absent.
    Move(Option<Uuid>),
    /// Into that folder; the root when absent.
    Copy(Option<Uuid>),
    /// Into the trash.
    Trash,
    /// Back from the trash, to where each was.
    Restore,
    /// Out of the trash, for good.
    Delete,
    /// Gives each a tag.
    Tag(TagName),
    /// Takes a tag from each.
    Untag(TagName),
}

/// What became of one item.
pub(crate) struct BulkResult {
    pub(crate) id: Uuid,
    /// The item, or its copy.
    pub(crate) result: Result<Uuid, Error>,
}

/// The operations on many items.
pub(crate) struct Bulk {
    files: Arc<Files>,
    folders: Arc<Folders>,
    trash: Arc<Trash>,
    tags: Arc<Tags>,
}

impl Bulk {
    /// A service.
    pub(crate) fn new(files: Arc<Files>, folders: Arc<Folders>, trash: Arc<Trash>, tags: Arc<Tags>) -> Self {
        Self { files, folders, trash, tags }
    }

    /// Does it to every item, in that order.
    pub(crate) async fn run(
        &self,
        caller: &Caller,
        action: BulkAction,
        ids: &[Uuid],
    ) -> Result<Vec<BulkResult>, Error> {
        let needed = if matches!(action, BulkAction::Copy(_)) { Action::Add } else { Action::EditOwn };
        caller.require(needed).await?;
        if ids.is_empty() || ids.len() > MAX_ITEMS {
            return Err(Error::field("items", format!("1 to {MAX_ITEMS}")));
        }
        let mut results = Vec::with_capacity(ids.len());
        for &id in ids {
            let result = self.run_one(caller, &action, id).await;
            if let Err(error @ (Error::Locked | Error::Unauthenticated)) = result {
                return Err(error);
            }
            results.push(BulkResult { id, result });
        }
        Ok(results)
    }

    async fn run_one(&self, caller: &Caller, action: &BulkAction, id: Uuid) -> Result<Uuid, Error> {
        let into = |folder_id| Placement { name: None, folder_id: Some(folder_id) };
        match action {
            BulkAction::Restore => return Ok(self.trash.restore(caller, id, Placement::default()).await?.id()),
            BulkAction::Delete => return self.trash.delete(caller, id).await.map(|()| id),
            BulkAction::Tag(tag) => return self.tags.add(caller, id, tag.clone()).await.map(|()| id),
            BulkAction::Untag(tag) => return self.tags.remove(caller, id, tag.clone()).await.map(|()| id),
            BulkAction::Move(_) | BulkAction::Copy(_) | BulkAction::Trash => {}
        }
        // Identifiers are unique over both kinds.
        let is_file = match self.files.get(caller, id).await {
            Ok(_) => true,
            Err(Error::NotFound(_)) => false,
            Err(error) => return Err(error),
        };
        match (action, is_file) {
            (BulkAction::Move(folder_id), true) => Ok(self.files.change(caller, id, into(*folder_id)).await?.id),
            (BulkAction::Move(folder_id), false) => {
                let change = FolderChange { placement: into(*folder_id), ..FolderChange::default() };
                Ok(self.folders.change(caller, id, change).await?.0.id)
            }
            (BulkAction::Copy(folder_id), true) => Ok(self.files.copy(caller, id, into(*folder_id)).await?.id),
            (BulkAction::Copy(folder_id), false) => Ok(self.folders.copy(caller, id, into(*folder_id)).await?.0.id),
            (BulkAction::Trash, true) => self.files.trash(caller, id).await.map(|()| id),
            (BulkAction::Trash, false) => self.folders.trash(caller, id).await.map(|()| id),
            (BulkAction::Restore | BulkAction::Delete | BulkAction::Tag(_) | BulkAction::Untag(_), _) => {
                Err(Error::NotFound("item"))
            }
        }
    }
}
