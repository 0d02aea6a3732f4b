//! The trash: look into it, take things back, delete them for good, and what does so by itself after some time.

use log::{info, warn};
use rusqlite::{Connection, Transaction};
use uuid::Uuid;

use super::access::{self, editable, visible, writable};
use super::audit::Context;
use super::caller::Caller;
use super::chores::daily;
use super::common::Common;
use super::folders::recount;
use super::retention::days_before;
use super::tree::{check_file_fits, check_folder_fits, check_inside};
use super::unlocked::Lease;
use super::{Error, sweep};
use crate::model::access::Viewer;
use crate::model::cursor::{Cursor, Key};
use crate::model::event::Event;
use crate::model::file::{BlobId, File, Trashed};
use crate::model::folder::{Counts, Folder, Placement};
use crate::model::item::Item;
use crate::model::name::FileName;
use crate::model::role::Action;
use crate::repo::audit::{self, Outcome};
use crate::repo::{access as lists, contents, files, folders, policy, trash, tree};

/// Largest page of a list.
const MAX_PAGE: u32 = 500;

/// Tops that are looked at for one page, at most; the cursor goes on behind them.
const MAX_LOOKED_AT: u32 = 5000;

/// Files and folders that are deleted in one transaction.
const STEP: u32 = 200;

/// Numbers that are tried to make a name free.
const MAX_NUMBER: u32 = 1000;

/// The trash of the vault.
pub(crate) struct Trash {
    common: Common,
}

impl Trash {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// A page of what was put into the trash, last first, and where the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Item>, Option<Cursor>), Error> {
        caller.require(Action::Read).await?;
        let (viewer, limit) = (access::viewer(caller), limit.clamp(1, MAX_PAGE));
        let read = caller.store().database.read(move |connection| page(connection, &viewer, after, limit));
        read.await
    }

    /// Takes an item back: to where it was or to another folder, under its name or another. A name that is taken there,
    /// and was not asked for, gets a number.
    pub(crate) async fn restore(&self, caller: &Caller, id: Uuid, placement: Placement) -> Result<Item, Error> {
        caller.require(Action::EditOwn).await?;
        let viewer = access::viewer(caller);
        let auditor = (self.common.auditor.clone(), caller.context.clone());
        let (forget, forget_privacy) = (caller.store().file_forgetter(), caller.store().privacy_forgetter());
        let restored = caller.store().database.write(move |transaction| -> Result<Item, Error> {
            let item = editable_item(transaction, &viewer, id)?;
            let folder_id = placement.folder_id.unwrap_or(item.folder_id());
            if placement.folder_id.is_none() && visible(transaction, &viewer, folder_id).is_err() {
                return Err(Error::OriginGone);
            }
            writable(transaction, &viewer, folder_id)?;
            let action = match &item {
                Item::File(_) => "file.restored",
                Item::Folder(_) => "folder.restored",
            };
            let restored = put_back(transaction, item, folder_id, placement.name.as_ref())?;
            forget(id);
            forget_privacy();
            audit::insert(transaction, &auditor.0.entry(&auditor.1, action, Outcome::Success, Some(id)))?;
            Ok(restored)
        });
        let item = access::audited(&self.common, caller, Action::Edit, Some(id), restored.await).await?;
        self.common.events.publish(&match &item {
            Item::File(file) => Event::FileRestored { file_id: id, folder_id: file.folder_id },
            Item::Folder(folder) => Event::FolderRestored { folder_id: id, parent_id: folder.parent_id },
        });
        Ok(item)
    }

    /// Deletes an item for good, a folder with all that is in it.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::EditOwn).await?;
        let viewer = access::viewer(caller);
        let read = caller.store().database.read(move |connection| -> Result<Item, Error> {
            let item = editable_item(connection, &viewer, id)?;
            if let Item::Folder(folder) = &item {
                check_inside(connection, &viewer, folder.id)?;
            }
            Ok(item)
        });
        let item = access::audited(&self.common, caller, Action::Edit, Some(id), read.await).await?;
        delete_for_good(caller.lease(), &self.common, caller.context.clone(), item).await
    }

    /// Deletes everything for good that the caller may delete; tells how many items that were.
    pub(crate) async fn empty(&self, caller: &Caller) -> Result<u32, Error> {
        caller.require(Action::EditOwn).await?;
        let (mut after, mut deleted) = (None, 0);
        loop {
            let (items, next) = self.list(caller, after, MAX_PAGE).await?;
            for item in items {
                match self.delete(caller, item.id()).await {
                    Ok(()) => deleted += 1,
                    Err(Error::Forbidden | Error::NotAllOfIt | Error::WriteProtected | Error::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            let Some(next) = next else { return Ok(deleted) };
            after = Some(next);
        }
    }
}

/// What the viewer sees in the trash, as if it lay where it came from.
fn page(
    connection: &Connection,
    viewer: &Viewer,
    mut after: Option<Cursor>,
    limit: u32,
) -> Result<(Vec<Item>, Option<Cursor>), Error> {
    let (mut found, mut looked_at) = (Vec::new(), 0);
    loop {
        let batch = trash::list(connection, after.as_ref(), limit)?;
        let is_last = batch.len() < limit as usize;
        for item in batch {
            after = item.trashed().map(|trashed| cursor(&item, trashed));
            looked_at += 1;
            if is_seen(connection, viewer, &item)? {
                found.push(item);
            }
            if found.len() == limit as usize {
                return Ok((found, after));
            }
        }
        if is_last {
            return Ok((found, None));
        }
        if looked_at >= MAX_LOOKED_AT {
            return Ok((found, after));
        }
    }
}

fn cursor(item: &Item, trashed: Trashed) -> Cursor {
    Cursor { key: Key::Number(trashed.at.as_millisecond()), id: item.id() }
}

fn is_seen(connection: &Connection, viewer: &Viewer, item: &Item) -> Result<bool, Error> {
    let place = match item {
        Item::File(file) => file.folder_id,
        Item::Folder(folder) => Some(folder.id),
    };
    Ok(lists::access_before_trash(connection, viewer, place)?.is_some())
}

/// An item in the trash that is there for the viewer, who may take it back or delete it: it is theirs, or they put it
/// there, or they may change everything.
fn editable_item(connection: &Connection, viewer: &Viewer, id: Uuid) -> Result<Item, Error> {
    const WHAT: &str = "item in the trash";
    let item = trash::find(connection, id)?.ok_or(Error::NotFound(WHAT))?;
    let trashed = item.trashed().ok_or(Error::NotFound(WHAT))?;
    if trash::is_being_deleted(connection, id)? || !is_seen(connection, viewer, &item)? {
        return Err(Error::NotFound(WHAT));
    }
    let owner_id = if trashed.by == viewer.user_id { trashed.by } else { item.created_by() };
    editable(connection, viewer, owner_id)?;
    // Where it came from may have been protected since.
    if tree::is_protected(connection, item.folder_id())? {
        return Err(Error::WriteProtected);
    }
    Ok(item)
}

fn put_back(
    transaction: &Transaction<'_>,
    item: Item,
    folder_id: Option<Uuid>,
    name: Option<&FileName>,
) -> Result<Item, Error> {
    let free = |own: &str| free_name(transaction, folder_id, own, name);
    match item {
        Item::File(mut file) => {
            file.name = free(&file.name)?;
            check_file_fits(transaction, folder_id, &file.name)?;
            (file.folder_id, file.trashed) = (folder_id, None);
            files::update(transaction, &file)?;
            folders::count(transaction, folder_id, Counts::of_file(file.size_bytes))?;
            Ok(Item::File(file))
        }
        Item::Folder(mut folder) => {
            folder.name = free(&folder.name)?;
            if tree::is_within(transaction, folder_id, folder.id)? {
                return Err(Error::IntoItself);
            }
            check_folder_fits(transaction, folder_id, &folder.name, tree::extent(transaction, folder.id)?)?;
            (folder.parent_id, folder.trashed) = (folder_id, None);
            folders::update(transaction, &folder)?;
            recount(transaction, &folder)?;
            Ok(Item::Folder(folder))
        }
    }
}

/// The name that was asked for, when it is free; else its own, if need be with a number.
fn free_name(
    connection: &Connection,
    folder_id: Option<Uuid>,
    own: &str,
    wanted: Option<&FileName>,
) -> Result<String, Error> {
    let is_taken = |name: &str| tree::name_is_taken(connection, folder_id, name);
    if let Some(wanted) = wanted {
        return if is_taken(wanted.as_str())? { Err(Error::NameTaken) } else { Ok(wanted.as_str().to_owned()) };
    }
    if !is_taken(own)? {
        return Ok(own.to_owned());
    }
    for number in 2..MAX_NUMBER {
        let name = FileName::numbered(own, number);
        if !is_taken(&name)? {
            return Ok(name);
        }
    }
    Err(Error::NameTaken)
}

/// Deletes an item of the trash. Once this has begun, it goes on without the caller, and after a power cut at the next
/// unlock.
async fn delete_for_good(lease: &Lease, common: &Common, context: Context, item: Item) -> Result<(), Error> {
    match item {
        Item::File(file) => delete_file(lease, common, context, file.id).await,
        Item::Folder(folder) => {
            let (lease, common) = (lease.clone(), common.clone());
            let deleting = tokio::spawn(async move { delete_folder(&lease, &common, context, &folder).await });
            deleting.await.map_err(|error| Error::internal("deleting a folder", error))?
        }
    }
}

async fn delete_file(lease: &Lease, common: &Common, context: Context, id: Uuid) -> Result<(), Error> {
    let entry = common.auditor.entry(&context, "file.deleted", Outcome::Success, Some(id));
    let forget = lease.store().file_forgetter();
    let deleted = lease.store().database.write(move |transaction| -> Result<_, Error> {
        let file = files::find(transaction, id)?.filter(|file| file.trashed.is_some());
        let file = file.ok_or(Error::NotFound("item in the trash"))?;
        let unused = delete_rows(transaction, std::slice::from_ref(&file))?;
        forget(id);
        audit::insert(transaction, &entry)?;
        Ok((file.folder_id, unused))
    });
    let (folder_id, unused) = deleted.await?;
    common.events.publish(&Event::FileDeleted { file_id: id, folder_id });
    sweep::remove(lease, unused).await;
    Ok(())
}

async fn delete_folder(lease: &Lease, common: &Common, context: Context, folder: &Folder) -> Result<(), Error> {
    let id = folder.id;
    let entry = common.auditor.entry(&context, "folder.deleted", Outcome::Success, Some(id));
    let begun = lease.store().database.write(move |transaction| -> Result<(), Error> {
        let folder = folders::find(transaction, id)?.filter(|folder| folder.trashed.is_some());
        folder.ok_or(Error::NotFound("item in the trash"))?;
        trash::begin_deletion(transaction, id)?;
        Ok(audit::insert(transaction, &entry)?)
    });
    begun.await?;
    common.events.publish(&Event::FolderDeleted { folder_id: id, parent_id: folder.parent_id });
    finish_deletion(lease, id).await
}

/// Deletes what is left of a folder, from below.
async fn finish_deletion(lease: &Lease, id: Uuid) -> Result<(), Error> {
    loop {
        if lease.is_ending() {
            return Err(Error::Locked);
        }
        let forget_privacy = lease.store().privacy_forgetter();
        let step = lease.store().database.write(move |transaction| -> Result<_, Error> {
            let mut lowest = id;
            while let Some(inner) = folders::inside(transaction, lowest, 1)?.pop() {
                lowest = inner.id;
            }
            let doomed = files::inside(transaction, lowest, STEP)?;
            let unused = delete_rows(transaction, &doomed)?;
            let is_empty = doomed.len() < STEP as usize;
            if is_empty {
                folders::delete(transaction, lowest)?;
                forget_privacy();
            }
            Ok((unused, is_empty && lowest == id))
        });
        let (unused, is_done) = step.await?;
        sweep::remove(lease, unused).await;
        if is_done {
            return Ok(());
        }
    }
}

fn delete_rows(transaction: &Transaction<'_>, doomed: &[File]) -> Result<Vec<BlobId>, Error> {
    let mut blobs = Vec::new();
    for file in doomed {
        blobs.extend(files::delete(transaction, file.id)?);
    }
    Ok(contents::forget_unused(transaction, blobs)?)
}

/// Finishes deletions that were cut short, and deletes what has been in the trash for too long: at once and then daily,
/// until the vault is locked.
pub(crate) async fn keep(lease: Lease, common: Common) {
    let age = async || {
        if let Err(error) = purge(&lease, &common).await
            && !matches!(error, Error::Locked)
        {
            warn!(error:% = error; "the trash was not looked at; tomorrow again");
        }
    };
    daily(&lease, &common.clock, age).await;
}

async fn purge(lease: &Lease, common: &Common) -> Result<(), Error> {
    for id in lease.store().database.read(trash::deletions).await? {
        finish_deletion(lease, id).await?;
    }
    let now = common.clock.now();
    let mut purged = 0;
    loop {
        let read = lease.store().database.read(move |connection| -> Result<_, Error> {
            let Some(cutoff) = days_before(now, policy::storage(connection)?.trash_days) else { return Ok(Vec::new()) };
            let mut items: Vec<Item> =
                files::trashed_before(connection, cutoff, STEP)?.into_iter().map(Item::File).collect();
            items.extend(folders::trashed_before(connection, cutoff, STEP)?.into_iter().map(Item::Folder));
            Ok(items)
        });
        let items = read.await?;
        if items.is_empty() {
            break;
        }
        for item in items {
            match delete_for_good(lease, common, Context::default(), item).await {
                // Somebody took it back, or it went with the folder that it lay in.
                Ok(()) | Err(Error::NotFound(_)) => purged += 1,
                Err(error) => return Err(error),
            }
        }
    }
    if purged > 0 {
        info!(purged; "items that were in the trash for too long were deleted");
    }
    Ok(())
}
