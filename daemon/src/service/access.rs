//! Who sees which folder: the questions that other services ask, and the lists of private folders.
//!
//! What somebody does not see is answered exactly like what is not there. The answer is always given again inside of
//! the transaction that relies on it.

use log::info;
use rusqlite::Connection;
use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::common::Common;
use crate::model::access::{Access, AccessList, Grantee, Viewer};
use crate::model::event::Event;
use crate::model::file::File;
use crate::model::folder::Folder;
use crate::model::role::{self, Action, Role};
use crate::repo::audit::{self, Outcome};
use crate::repo::{access, files, folders, groups, tree, users};

/// The caller, as far as it decides what they see. A key of a lower role is no administrator, whosever it is.
pub(super) fn viewer(caller: &Caller) -> Viewer {
    Viewer {
        user_id: caller.user.id,
        sees_all: caller.role() == Role::Admin,
        may_write: role::allowed(caller.role(), Action::Add),
        edits_all: role::allowed(caller.role(), Action::Edit),
        scope: caller.scope(),
    }
}

/// What the viewer may do in a folder that is there for them.
pub(super) fn visible(connection: &Connection, viewer: &Viewer, folder_id: Option<Uuid>) -> Result<Access, Error> {
    access::access(connection, viewer, folder_id)?.ok_or(Error::NotFound("folder"))
}

/// Refuses unless the viewer may change what is in a folder. Whose account ended or was demoted since the call began,
/// may not; in a write-protected folder nobody may.
pub(super) fn writable(connection: &Connection, viewer: &Viewer, folder_id: Option<Uuid>) -> Result<(), Error> {
    writable_but_for_protection(connection, viewer, folder_id)?;
    if tree::is_protected(connection, folder_id)? { Err(Error::WriteProtected) } else { Ok(()) }
}

/// As [`writable`], to take the protection itself away.
pub(super) fn writable_but_for_protection(
    connection: &Connection,
    viewer: &Viewer,
    folder_id: Option<Uuid>,
) -> Result<(), Error> {
    acting(connection, viewer, Action::Add)?;
    match visible(connection, viewer, folder_id)? {
        Access::Write => Ok(()),
        Access::Read => Err(Error::ReadOnlyFolder),
    }
}

/// Refuses whoever may not change what that person made.
pub(super) fn editable(connection: &Connection, viewer: &Viewer, created_by: Uuid) -> Result<(), Error> {
    if created_by == viewer.user_id {
        return acting(connection, viewer, Action::EditOwn);
    }
    acting(connection, viewer, Action::Edit)?;
    if viewer.edits_all { Ok(()) } else { Err(Error::Forbidden) }
}

/// Refuses whose account ended since the call began, or does not allow this any more.
pub(super) fn acting(connection: &Connection, viewer: &Viewer, action: Action) -> Result<(), Error> {
    let user = users::find(connection, viewer.user_id)?.filter(|user| user.active).ok_or(Error::Unauthenticated)?;
    if role::allowed(user.role, action) { Ok(()) } else { Err(Error::Forbidden) }
}

/// A file that is there for the viewer.
pub(super) fn seen_file(connection: &Connection, viewer: &Viewer, id: Uuid) -> Result<File, Error> {
    let file = files::find(connection, id)?.filter(|file| file.trashed.is_none()).ok_or(Error::NotFound("file"))?;
    access::access(connection, viewer, file.folder_id)?.map(|_| file).ok_or(Error::NotFound("file"))
}

/// As [`seen_file`], for a viewer who may change it.
pub(super) fn editable_file(connection: &Connection, viewer: &Viewer, id: Uuid) -> Result<File, Error> {
    let file = seen_file(connection, viewer, id)?;
    writable(connection, viewer, file.folder_id)?;
    editable(connection, viewer, file.created_by)?;
    Ok(file)
}

/// As [`seen_folder`], for a viewer who may change the folder itself. A key for one folder may change what is in it.
pub(super) fn editable_folder(connection: &Connection, viewer: &Viewer, id: Uuid) -> Result<Folder, Error> {
    let (folder, _) = seen_folder(connection, viewer, id)?;
    writable(connection, viewer, Some(id))?;
    editable(connection, viewer, folder.created_by)?;
    if viewer.scope == Some(id) {
        return Err(Error::Forbidden);
    }
    // One who may write in a private folder may still only look at what is around it.
    writable(connection, viewer, folder.parent_id)?;
    Ok(folder)
}

/// A folder that is there for the viewer, and what they may do in it.
pub(super) fn seen_folder(connection: &Connection, viewer: &Viewer, id: Uuid) -> Result<(Folder, Access), Error> {
    let access = visible(connection, viewer, Some(id))?;
    let folder = folders::find(connection, id)?.ok_or(Error::NotFound("folder"))?;
    Ok((folder, access))
}

/// Audits a refusal that came up where the data were looked at; passes everything on.
pub(super) async fn audited<T>(
    common: &Common,
    caller: &Caller,
    action: Action,
    subject_id: Option<Uuid>,
    result: Result<T, Error>,
) -> Result<T, Error> {
    if let Err(Error::Forbidden | Error::ReadOnlyFolder | Error::NotAllOfIt | Error::WriteProtected) = &result {
        info!(user:% = caller.user.id, action = action.name(); "refused");
        let entry = common.auditor.entry(&caller.context, action.name(), Outcome::Refused, subject_id);
        common.auditor.record(caller.lease(), entry).await;
    }
    result
}

/// The lists of private folders.
pub(crate) struct Privacy {
    common: Common,
}

impl Privacy {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// Who a folder is open to. For who made it, and for administrators.
    pub(crate) async fn get(&self, caller: &Caller, folder_id: Uuid) -> Result<AccessList, Error> {
        let viewer = may_restrict(caller, folder_id).await?;
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let (folder, _) = seen_folder(connection, &viewer, folder_id)?;
            Ok(AccessList { private: folder.private, grants: access::grants(connection, folder_id)? })
        });
        read.await
    }

    /// Makes a folder private or open, with that list. Only an administrator can take themselves off a list.
    pub(crate) async fn set(&self, caller: &Caller, folder_id: Uuid, list: AccessList) -> Result<AccessList, Error> {
        let viewer = may_restrict(caller, folder_id).await?;
        let list = if viewer.sees_all { list } else { list.with_writer(caller.user.id) };
        let action = "folder.access_changed";
        let entry = self.common.auditor.entry(&caller.context, action, Outcome::Success, Some(folder_id));
        let forget = caller.store().privacy_forgetter();
        let changed = caller.store().database.write(move |transaction| -> Result<_, Error> {
            writable(transaction, &viewer, Some(folder_id))?;
            let (folder, _) = seen_folder(transaction, &viewer, folder_id)?;
            check_grantees(transaction, &list)?;
            if list.private != folder.private {
                // What is private is in the counts of nothing above it.
                let counts = folder.counts.of_folder();
                folders::count(transaction, folder.parent_id, if list.private { counts.negated() } else { counts })?;
            }
            access::set(transaction, folder_id, folder.parent_id, list.private, &list.grants)?;
            forget();
            audit::insert(transaction, &entry)?;
            Ok(AccessList { private: list.private, grants: access::grants(transaction, folder_id)? })
        });
        let subject = Some(folder_id);
        let list = audited(&self.common, caller, Action::RestrictOwn, subject, changed.await).await?;
        self.common.events.publish(&Event::FolderAccessChanged { folder_id });
        Ok(list)
    }
}

/// Refuses whoever neither made the folder nor is an administrator.
async fn may_restrict(caller: &Caller, folder_id: Uuid) -> Result<Viewer, Error> {
    caller.require(Action::RestrictOwn).await?;
    let viewer = viewer(caller);
    let read = caller.store().database.read(move |connection| seen_folder(connection, &viewer, folder_id));
    // Who made it never changes.
    let (folder, _) = read.await?;
    let own = folder.created_by == caller.user.id;
    caller.require(if own { Action::RestrictOwn } else { Action::Restrict }).await?;
    Ok(viewer)
}

fn check_grantees(connection: &Connection, list: &AccessList) -> Result<(), Error> {
    for (index, grant) in list.grants.iter().enumerate() {
        let (what, known) = match grant.grantee {
            Grantee::User(id) => ("user", users::find(connection, id)?.is_some()),
            Grantee::Group(id) => ("group", groups::find(connection, id)?.is_some()),
        };
        if !known {
            return Err(Error::field("grants", format!("entry {}: there is no such {what}", index + 1)));
        }
    }
    Ok(())
}
