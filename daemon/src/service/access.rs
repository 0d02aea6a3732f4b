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
use crate::repo::{access, folders, groups, users};

/// The caller, as far as it decides what they see. A key of a lower role is no administrator, whosever it is.
pub(super) fn viewer(caller: &Caller) -> Viewer {
    Viewer {
        user_id: caller.user.id,
        sees_all: caller.role() == Role::Admin,
        may_write: role::allowed(caller.role(), Action::Add),
        scope: caller.scope(),
    }
}

/// What the viewer may do in a folder that is there for them.
pub(super) fn visible(connection: &Connection, viewer: &Viewer, folder_id: Option<Uuid>) -> Result<Access, Error> {
    access::access(connection, viewer, folder_id)?.ok_or(Error::NotFound("folder"))
}

/// Refuses unless the viewer may change what is in a folder. Whose account ended or was demoted since the call began,
/// may not.
pub(super) fn writable(connection: &Connection, viewer: &Viewer, folder_id: Option<Uuid>) -> Result<(), Error> {
    let user = users::find(connection, viewer.user_id)?.filter(|user| user.active).ok_or(Error::Unauthenticated)?;
    if !role::allowed(user.role, Action::Add) {
        return Err(Error::Forbidden);
    }
    match visible(connection, viewer, folder_id)? {
        Access::Write => Ok(()),
        Access::Read => Err(Error::ReadOnlyFolder),
    }
}

/// As [`writable`], for the folder that a file lies in.
pub(super) fn writable_file(connection: &Connection, viewer: &Viewer, file: &File) -> Result<(), Error> {
    writable(connection, viewer, file.folder_id).map_err(|error| match error {
        Error::NotFound(_) => Error::NotFound("file"),
        other => other,
    })
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
    if let Err(Error::Forbidden | Error::ReadOnlyFolder) = &result {
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
