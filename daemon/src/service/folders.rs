//! Folders: create, look at, list, rename, move, copy, protect, put into the trash.

use rusqlite::{Connection, Transaction};
use uuid::Uuid;

use super::Error;
use super::access::{self, editable, editable_folder, seen_folder, visible, writable, writable_but_for_protection};
use super::caller::Caller;
use super::common::Common;
use super::files::add_file;
use super::tree::{check_folder_fits, check_free, check_inside};
use crate::model::access::{Access, Viewer};
use crate::model::clock::Ids;
use crate::model::cursor::{Cursor, Key};
use crate::model::event::Event;
use crate::model::file::{Revision, Trashed};
use crate::model::folder::{Counts, Folder, FolderChange, FolderOrder, Placement};
use crate::model::name::FileName;
use crate::model::role::Action;
use crate::repo::audit::{self, Outcome};
use crate::repo::tree::{self, Extent};
use crate::repo::{access as lists, files, folders};

/// Largest page of a list.
pub(crate) const MAX_PAGE: u32 = 500;

/// Most files and folders that are copied at once: half a second of the database's time.
const MAX_COPIED: u32 = 10_000;

/// Most days and revisions that a folder can ask for.
const MAX_KEPT: u32 = 36_500;

/// The folders of the vault.
pub(crate) struct Folders {
    common: Common,
}

/// Which folders, in which order.
pub(crate) struct FolderList {
    pub(crate) parent_id: Option<Uuid>,
    pub(crate) order: FolderOrder,
    pub(crate) descending: bool,
    pub(crate) after: Option<Cursor>,
    pub(crate) limit: u32,
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
        let (id, now) = (self.common.ids.next(), self.common.clock.now());
        let folder = Folder::new(id, parent_id, name.as_str().to_owned(), now, caller.user.id);
        let entry = self.common.auditor.entry(&caller.context, "folder.created", Outcome::Success, Some(id));
        let (row, viewer) = (folder.clone(), access::viewer(caller));
        let stored = caller.store().database.write(move |transaction| -> Result<(), Error> {
            writable(transaction, &viewer, parent_id)?;
            check_free(transaction, parent_id, &row.name)?;
            check_folder_fits(transaction, parent_id, &row.name, Extent::default())?;
            folders::insert(transaction, &row)?;
            folders::count(transaction, parent_id, Counts::default().of_folder())?;
            Ok(audit::insert(transaction, &entry)?)
        });
        access::audited(&self.common, caller, Action::Add, parent_id, stored.await).await?;
        self.common.events.publish(&Event::FolderCreated { folder_id: id, parent_id });
        Ok((folder, Access::Write))
    }

    /// One folder, and what the caller may do in it.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<(Folder, Access), Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        caller.store().database.read(move |connection| seen_folder(connection, &viewer, id)).await
    }

    /// A page of the folders directly inside one, and where the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        wanted: FolderList,
    ) -> Result<(Vec<(Folder, Access)>, Option<Cursor>), Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        let limit = wanted.limit.clamp(1, MAX_PAGE);
        let (order, descending) = (wanted.order, wanted.descending);
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let inside = visible(connection, &viewer, wanted.parent_id)?;
            let place = (wanted.parent_id, inside);
            Ok(folders::list(connection, &viewer, place, (order, descending), wanted.after.as_ref(), limit + 1)?)
        });
        let mut items = read.await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let key = |folder: &Folder| match order {
            FolderOrder::Name => Key::Text(folder.name.clone()),
            FolderOrder::CreatedAt => Key::Text(String::new()),
        };
        let next = items.last().filter(|_| more).map(|(folder, _)| Cursor { key: key(folder), id: folder.id });
        Ok((items, next))
    }

    /// Gives a folder another name, place or setting. One who may take the protection away must do it first, by itself.
    pub(crate) async fn change(
        &self,
        caller: &Caller,
        id: Uuid,
        change: FolderChange,
    ) -> Result<(Folder, Access), Error> {
        caller.require(Action::EditOwn).await?;
        for (field, value) in [("keep_revisions", change.keep_revisions), ("keep_days", change.keep_days)] {
            if value.flatten().is_some_and(|value| value > MAX_KEPT) {
                return Err(Error::field(field, format!("at most {MAX_KEPT}")));
            }
        }
        let (now, viewer) = (self.common.clock.now(), access::viewer(caller));
        let auditor = (self.common.auditor.clone(), caller.context.clone());
        let changed = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let mut folder = if change.only_unprotects() {
                unprotectable_folder(transaction, &viewer, id)?
            } else {
                editable_folder(transaction, &viewer, id)?
            };
            let action = place(transaction, &viewer, &mut folder, &change.placement)?;
            folder.protected = change.protected.unwrap_or(folder.protected);
            folder.retention.keep_revisions = change.keep_revisions.unwrap_or(folder.retention.keep_revisions);
            folder.retention.keep_days = change.keep_days.unwrap_or(folder.retention.keep_days);
            (folder.modified_at, folder.modified_by) = (now, viewer.user_id);
            folders::update(transaction, &folder)?;
            let action = match (action, change.protected) {
                (_, Some(true)) => "folder.protected",
                (_, Some(false)) => "folder.unprotected",
                (Some(action), None) => action,
                (None, None) => "folder.changed",
            };
            let entry = auditor.0.entry(&auditor.1, action, Outcome::Success, Some(id));
            audit::insert(transaction, &entry)?;
            seen_folder(transaction, &viewer, id)
        });
        let (folder, access) = access::audited(&self.common, caller, Action::Edit, Some(id), changed.await).await?;
        self.common.events.publish(&Event::FolderChanged { folder_id: id, parent_id: folder.parent_id });
        Ok((folder, access))
    }

    /// Copies a folder with all that the caller sees in it. Private folders stay private, with the same lists.
    pub(crate) async fn copy(
        &self,
        caller: &Caller,
        id: Uuid,
        placement: Placement,
    ) -> Result<(Folder, Access), Error> {
        caller.require(Action::Add).await?;
        let (now, viewer) = (self.common.clock.now(), access::viewer(caller));
        let ids = std::sync::Arc::clone(&self.common.ids);
        let copy_id = ids.next();
        let entry = self.common.auditor.entry(&caller.context, "folder.copied", Outcome::Success, Some(copy_id));
        let forget = caller.store().privacy_forgetter();
        let copied = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let (folder, _) = seen_folder(transaction, &viewer, id)?;
            let parent_id = placement.folder_id.unwrap_or(folder.parent_id);
            let name = placement.name.map_or_else(|| folder.name.clone(), |name| name.as_str().to_owned());
            writable(transaction, &viewer, parent_id)?;
            if tree::is_within(transaction, parent_id, id)? {
                return Err(Error::IntoItself);
            }
            check_free(transaction, parent_id, &name)?;
            let extent = tree::extent(transaction, id)?;
            if extent.items > MAX_COPIED {
                let detail = format!("it holds {} items; at most {MAX_COPIED} are copied at once", extent.items);
                return Err(Error::field("id", detail));
            }
            check_folder_fits(transaction, parent_id, &name, extent)?;
            let copier = Copier { transaction, viewer: &viewer, ids: &ids, now };
            copier.copy(&folder, Folder::new(copy_id, parent_id, name, now, viewer.user_id))?;
            forget();
            audit::insert(transaction, &entry.with_detail(format!("of: {id}")))?;
            seen_folder(transaction, &viewer, copy_id)
        });
        let (folder, access) = access::audited(&self.common, caller, Action::Add, Some(id), copied.await).await?;
        self.common.events.publish(&Event::FolderCreated { folder_id: copy_id, parent_id: folder.parent_id });
        Ok((folder, access))
    }

    /// Puts a folder into the trash, with all that is in it.
    pub(crate) async fn trash(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::EditOwn).await?;
        let (now, viewer) = (self.common.clock.now(), access::viewer(caller));
        let entry = self.common.auditor.entry(&caller.context, "folder.trashed", Outcome::Success, Some(id));
        let (forget_privacy, forget_files) = (caller.store().privacy_forgetter(), caller.store().all_files_forgetter());
        let trashed = caller.store().database.write(move |transaction| -> Result<Option<Uuid>, Error> {
            let mut folder = editable_folder(transaction, &viewer, id)?;
            check_inside(transaction, &viewer, id)?;
            folder.trashed = Some(Trashed { at: now, by: viewer.user_id });
            uncount(transaction, &folder)?;
            folders::update(transaction, &folder)?;
            forget_privacy();
            forget_files();
            audit::insert(transaction, &entry)?;
            Ok(folder.parent_id)
        });
        let parent_id = access::audited(&self.common, caller, Action::Edit, Some(id), trashed.await).await?;
        self.common.events.publish(&Event::FolderTrashed { folder_id: id, parent_id });
        Ok(())
    }
}

impl FolderChange {
    fn only_unprotects(&self) -> bool {
        let Placement { name, folder_id } = &self.placement;
        self.protected == Some(false)
            && name.is_none()
            && folder_id.is_none()
            && self.keep_revisions.is_none()
            && self.keep_days.is_none()
    }
}

/// As [`editable_folder`], for a folder that is protected by itself, and by nothing above it.
fn unprotectable_folder(connection: &Connection, viewer: &Viewer, id: Uuid) -> Result<Folder, Error> {
    let (folder, _) = seen_folder(connection, viewer, id)?;
    writable_but_for_protection(connection, viewer, Some(id))?;
    editable(connection, viewer, folder.created_by)?;
    if viewer.scope == Some(id) {
        return Err(Error::Forbidden);
    }
    writable(connection, viewer, folder.parent_id)?;
    Ok(folder)
}

/// Puts a folder where it is wanted; tells what that is in the audit.
fn place(
    transaction: &Transaction<'_>,
    viewer: &Viewer,
    folder: &mut Folder,
    placement: &Placement,
) -> Result<Option<&'static str>, Error> {
    let parent_id = placement.folder_id.unwrap_or(folder.parent_id);
    let name = placement.name.as_ref().map_or(folder.name.as_str(), FileName::as_str).to_owned();
    if (parent_id, &name) == (folder.parent_id, &folder.name) {
        return Ok(None);
    }
    if parent_id != folder.parent_id {
        writable(transaction, viewer, parent_id)?;
        if tree::is_within(transaction, parent_id, folder.id)? {
            return Err(Error::IntoItself);
        }
        // Whoever moves it decides who sees it from now on.
        check_inside(transaction, viewer, folder.id)?;
    }
    check_free(transaction, parent_id, &name)?;
    check_folder_fits(transaction, parent_id, &name, tree::extent(transaction, folder.id)?)?;
    uncount(transaction, folder)?;
    (folder.parent_id, folder.name) = (parent_id, name);
    recount(transaction, folder)?;
    Ok(Some("folder.moved"))
}

/// Takes a folder out of the counts above it. A private one is in none.
pub(super) fn uncount(transaction: &Transaction<'_>, folder: &Folder) -> Result<(), Error> {
    let counts = if folder.private { Counts::default() } else { folder.counts.of_folder() };
    Ok(folders::count(transaction, folder.parent_id, counts.negated())?)
}

/// Puts a folder into the counts above it.
pub(super) fn recount(transaction: &Transaction<'_>, folder: &Folder) -> Result<(), Error> {
    let counts = if folder.private { Counts::default() } else { folder.counts.of_folder() };
    Ok(folders::count(transaction, folder.parent_id, counts)?)
}

/// Copies a tree inside of one transaction.
struct Copier<'a> {
    transaction: &'a Transaction<'a>,
    viewer: &'a Viewer,
    ids: &'a Ids,
    now: jiff::Timestamp,
}

impl Copier<'_> {
    /// Makes `copy` a copy of `folder`. As deep as folders nest, which is bounded.
    fn copy(&self, folder: &Folder, copy: Folder) -> Result<(), Error> {
        let (id, by, transaction) = (copy.id, self.viewer.user_id, self.transaction);
        folders::insert(transaction, &copy)?;
        if folder.private {
            let grants = lists::grants(transaction, folder.id)?;
            lists::set(transaction, id, copy.parent_id, true, &grants)?;
        }
        recount(transaction, &Folder { private: folder.private, ..copy })?;
        let everything = MAX_COPIED + 1;
        for file in files::inside(transaction, folder.id, everything)? {
            if file.trashed.is_some() {
                continue;
            }
            let revision = Revision {
                number: 1,
                blob: file.blob,
                seal: file.seal,
                size_bytes: file.size_bytes,
                sha256: file.sha256,
                media_type: file.media_type,
                created_at: self.now,
                created_by: by,
            };
            add_file(transaction, self.ids.next(), Some(id), &file.name, &revision)?;
        }
        let (place, order) = ((Some(folder.id), Access::Read), (FolderOrder::CreatedAt, false));
        for (inner, _) in folders::list(transaction, self.viewer, place, order, None, everything)? {
            let copy = Folder::new(self.ids.next(), Some(id), inner.name.clone(), self.now, by);
            self.copy(&inner, copy)?;
        }
        Ok(())
    }
}
