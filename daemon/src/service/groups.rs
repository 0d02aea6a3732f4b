//! Groups: make, rename, delete, and say who is in them. What a member sees changes with the next call.

use uuid::Uuid;

use super::Error;
use super::audit::page;
use super::caller::Caller;
use super::common::Common;
use crate::model::group::{Group, GroupName, Member};
use crate::model::role::Action;
use crate::repo::audit::{self, Entry, Outcome};
use crate::repo::{groups, users};
use crate::storage::database::DatabaseError;

/// Largest page of a list.
pub(crate) const MAX_PAGE: u32 = 500;

/// How many groups there may be.
const MAX_GROUPS: u32 = 1000;

/// The groups of the vault.
pub(crate) struct Groups {
    common: Common,
}

impl Groups {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// Makes a group.
    pub(crate) async fn create(&self, caller: &Caller, name: GroupName) -> Result<Group, Error> {
        caller.require(Action::ManageGroups).await?;
        let (id, now) = (self.common.ids.next(), self.common.clock.now());
        let entry = self.entry(caller, "group.created", id);
        let group = Group { id, name: name.as_str().to_owned(), created_at: now };
        let stored = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if groups::count(transaction)? >= MAX_GROUPS {
                return Err(Error::LimitReached { what: "groups", limit: MAX_GROUPS });
            }
            groups::insert(transaction, id, &name, now).map_err(name_taken)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        stored.await?;
        Ok(group)
    }

    /// One group.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<Group, Error> {
        caller.require(Action::ManageGroups).await?;
        let found = caller.store().database.read(move |connection| groups::find(connection, id)).await?;
        found.ok_or(Error::NotFound("group"))
    }

    /// A page of the groups, oldest first, and where the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Group>, Option<Uuid>), Error> {
        caller.require(Action::ManageGroups).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| groups::list(connection, after, limit + 1));
        Ok(page(read.await?, limit, |group| group.id))
    }

    /// Gives a group another name.
    pub(crate) async fn rename(&self, caller: &Caller, id: Uuid, name: GroupName) -> Result<Group, Error> {
        caller.require(Action::ManageGroups).await?;
        let entry = self.entry(caller, "group.renamed", id);
        let renamed = caller.store().database.write(move |transaction| -> Result<Group, Error> {
            let group = groups::find(transaction, id)?.ok_or(Error::NotFound("group"))?;
            groups::rename(transaction, id, &name).map_err(name_taken)?;
            audit::insert(transaction, &entry)?;
            Ok(Group { name: name.as_str().to_owned(), ..group })
        });
        renamed.await
    }

    /// Deletes a group. It goes from the lists of folders; these stay private, with whoever else is on their list.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::ManageGroups).await?;
        let entry = self.entry(caller, "group.deleted", id);
        let deleted = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if !groups::delete(transaction, id)? {
                return Err(Error::NotFound("group"));
            }
            Ok(audit::insert(transaction, &entry)?)
        });
        deleted.await
    }

    /// A page of the members of a group, by their ids, and where the next page starts.
    pub(crate) async fn members(
        &self,
        caller: &Caller,
        id: Uuid,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Member>, Option<Uuid>), Error> {
        caller.require(Action::ManageGroups).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            groups::find(connection, id)?.ok_or(Error::NotFound("group"))?;
            Ok(groups::members(connection, id, after, limit + 1)?)
        });
        Ok(page(read.await?, limit, |member| member.user_id))
    }

    /// Puts somebody into a group. No change when they are in it.
    pub(crate) async fn add_member(&self, caller: &Caller, id: Uuid, user_id: Uuid) -> Result<(), Error> {
        caller.require(Action::ManageGroups).await?;
        let now = self.common.clock.now();
        let entry = self.entry(caller, "group.member_added", user_id).with_detail(format!("group: {id}"));
        let added = caller.store().database.write(move |transaction| -> Result<(), Error> {
            groups::find(transaction, id)?.ok_or(Error::NotFound("group"))?;
            users::find(transaction, user_id)?.ok_or(Error::NotFound("user"))?;
            if groups::add_member(transaction, id, user_id, now)? {
                audit::insert(transaction, &entry)?;
            }
            Ok(())
        });
        added.await
    }

    /// Takes somebody out of a group. No change when they are not in it.
    pub(crate) async fn remove_member(&self, caller: &Caller, id: Uuid, user_id: Uuid) -> Result<(), Error> {
        caller.require(Action::ManageGroups).await?;
        let entry = self.entry(caller, "group.member_removed", user_id).with_detail(format!("group: {id}"));
        let removed = caller.store().database.write(move |transaction| -> Result<(), Error> {
            groups::find(transaction, id)?.ok_or(Error::NotFound("group"))?;
            users::find(transaction, user_id)?.ok_or(Error::NotFound("user"))?;
            if groups::remove_member(transaction, id, user_id)? {
                audit::insert(transaction, &entry)?;
            }
            Ok(())
        });
        removed.await
    }

    fn entry(&self, caller: &Caller, action: &str, subject_id: Uuid) -> Entry {
        self.common.auditor.entry(&caller.context, action, Outcome::Success, Some(subject_id))
    }
}

fn name_taken(error: DatabaseError) -> Error {
    match error {
        DatabaseError::Conflict => Error::GroupNameTaken,
        error @ (DatabaseError::Closed
        | DatabaseError::Busy
        | DatabaseError::Full
        | DatabaseError::Refused(_)
        | DatabaseError::Corrupt(_)
        | DatabaseError::Sqlite(_)
        | DatabaseError::Value(_)
        | DatabaseError::Newer
        | DatabaseError::Panicked
        | DatabaseError::NotCommitted) => error.into(),
    }
}
