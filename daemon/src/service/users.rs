//! Accounts that exist: their own profile and password, and what administrators do with them.

use std::sync::Arc;

use rusqlite::Connection;
use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::common::Common;
use super::ended_sessions::{Ending, tell};
use super::error::password_field;
use super::folders::MAX_PAGE;
use super::password_check::PasswordCheck;
use super::passwords::{Asker, Hasher};
use crate::model::cursor::Cursor;
use crate::model::event::Event;
use crate::model::password::{Purpose, StrongPassword};
use crate::model::policy::Policy;
use crate::model::role::{self, Action, Role};
use crate::model::user::{About, DisplayName, User, UserFilter, UserOrder};
use crate::repo::audit::{self, Outcome};
use crate::repo::{
    access, api_keys, device_links, groups, handouts, invitations, policy, second_factors, shares, srp, users,
};
use crate::storage::database::DatabaseError;

/// What is to change of an account; what is absent stays.
#[derive(Default)]
pub(crate) struct UserChange {
    pub(crate) display_name: Option<DisplayName>,
    pub(crate) about: Option<About>,
    pub(crate) role: Option<Role>,
    pub(crate) active: Option<bool>,
}

/// A page of people that is asked for.
pub(crate) struct UserPage {
    pub(crate) filter: UserFilter,
    pub(crate) order: UserOrder,
    pub(crate) descending: bool,
    pub(crate) after: Option<Cursor>,
    pub(crate) limit: u32,
}

/// The accounts of the vault.
pub(crate) struct Users {
    common: Common,
    hasher: Arc<Hasher>,
    password_check: Arc<PasswordCheck>,
}

impl Users {
    /// A service.
    pub(crate) fn new(common: Common, hasher: Arc<Hasher>, password_check: Arc<PasswordCheck>) -> Self {
        Self { common, hasher, password_check }
    }

    /// The caller's own account.
    pub(crate) async fn me(&self, caller: &Caller) -> Result<User, Error> {
        caller.require(Action::Profile).await?;
        Ok(caller.user.clone())
    }

    /// Changes what others see of the caller.
    pub(crate) async fn change_profile(
        &self,
        caller: &Caller,
        display_name: Option<DisplayName>,
        about: Option<About>,
    ) -> Result<User, Error> {
        caller.require(Action::Account).await?;
        self.apply(caller, caller.user.id, UserChange { display_name, about, ..UserChange::default() }).await
    }

    /// Changes the caller's password, and ends their other sessions.
    pub(crate) async fn change_password(&self, caller: &Caller, current: &str, new: &str) -> Result<(), Error> {
        caller.require(Action::Account).await?;
        let new = strong(&caller.user, new)?;
        self.password_check.require(caller, current).await?;
        self.store_password(caller, caller.user.id, &new, "user.password_changed").await
    }

    /// A page of the accounts, and where the next one starts.
    pub(crate) async fn list(&self, caller: &Caller, wanted: UserPage) -> Result<(Vec<User>, Option<Cursor>), Error> {
        caller.require(Action::ManagePeople).await?;
        let limit = wanted.limit.clamp(1, MAX_PAGE);
        let (order, descending) = (wanted.order, wanted.descending);
        let read = caller.store().database.read(move |connection| {
            users::list(connection, &wanted.filter, order, descending, wanted.after.as_ref(), limit + 1)
        });
        let mut found = read.await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = if more { found.last().map(|user| users::cursor(user, order)) } else { None };
        Ok((found, next))
    }

    /// An account: one's own, or for administrators any.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<User, Error> {
        if id == caller.user.id {
            return self.me(caller).await;
        }
        caller.require(Action::ManagePeople).await?;
        let found = caller.store().database.read(move |connection| users::find(connection, id)).await?;
        found.ok_or(Error::NotFound("user"))
    }

    /// Changes an account. Whose rights change, their sessions end.
    pub(crate) async fn change(&self, caller: &Caller, id: Uuid, change: UserChange) -> Result<User, Error> {
        caller.require(Action::ManagePeople).await?;
        self.apply(caller, id, change).await
    }

    /// Gives somebody else a new password, ends their sessions and deletes their API keys: whoever had the old one may
    /// have made some.
    pub(crate) async fn reset_password(&self, caller: &Caller, id: Uuid, new: &str) -> Result<(), Error> {
        let user = self.somebody_else(caller, id).await?;
        let new = strong(&user, new)?;
        self.store_password(caller, id, &new, "user.password_reset").await
    }

    /// Takes somebody else's second factors away, who has lost them, and ends their sessions.
    pub(crate) async fn reset_second_factors(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        self.somebody_else(caller, id).await?;
        let ending = self.ending(caller, "second factors reset");
        let entry = self.common.auditor.entry(&caller.context, "user.second_factors_reset", Outcome::Success, Some(id));
        let forget = caller.store().people_forgetter();
        let stored = caller.store().database.write(move |transaction| -> Result<Vec<Uuid>, Error> {
            users::find(transaction, id)?.ok_or(Error::NotFound("user"))?;
            second_factors::delete_of_user(transaction, id)?;
            let ended = ending.of_user(transaction, id, None)?;
            forget();
            audit::insert(transaction, &entry)?;
            Ok(ended)
        });
        tell(&self.common.events, &stored.await?);
        Ok(())
    }

    /// Deletes somebody else's account. What they made stays, as a deleted user's.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        self.somebody_else(caller, id).await?;
        let now = self.common.clock.now();
        let ending = self.ending(caller, "account deleted");
        let entry = self.common.auditor.entry(&caller.context, "user.deleted", Outcome::Success, Some(id));
        let forget = caller.store().people_forgetter();
        let deleted = caller.store().database.write(move |transaction| -> Result<Vec<Uuid>, Error> {
            let user = users::find(transaction, id)?.ok_or(Error::NotFound("user"))?;
            the_last_admin_stays(transaction, &user)?;
            let ended = ending.of_user(transaction, id, None)?;
            take_rights(transaction, id)?;
            users::delete(transaction, id, now)?;
            forget();
            audit::insert(transaction, &entry)?;
            Ok(ended)
        });
        tell(&self.common.events, &deleted.await?);
        self.common.events.publish(&Event::UserDeleted { user_id: id });
        Ok(())
    }

    /// The rules for all accounts.
    pub(crate) async fn policy(&self, caller: &Caller) -> Result<Policy, Error> {
        caller.require(Action::ManagePeople).await?;
        Ok(caller.store().database.read(policy::get).await?)
    }

    /// Changes the rules for all accounts.
    pub(crate) async fn set_policy(&self, caller: &Caller, rules: Policy) -> Result<(), Error> {
        caller.require(Action::ManagePeople).await?;
        let detail = format!(
            "registration open: {}, second factor required: {}",
            rules.registration_open, rules.second_factor_required
        );
        let entry = self.common.auditor.entry(&caller.context, "policy.changed", Outcome::Success, None);
        let entry = entry.with_detail(detail);
        let forget = caller.store().people_forgetter();
        let stored = caller.store().database.write(move |transaction| -> Result<(), DatabaseError> {
            policy::set(transaction, rules)?;
            forget();
            audit::insert(transaction, &entry)
        });
        Ok(stored.await?)
    }

    async fn apply(&self, caller: &Caller, id: Uuid, change: UserChange) -> Result<User, Error> {
        let ending = self.ending(caller, "rights changed");
        let entry = self.common.auditor.entry(&caller.context, "user.changed", Outcome::Success, Some(id));
        let forget = caller.store().people_forgetter();
        let changed = caller.store().database.write(move |transaction| -> Result<(User, Vec<Uuid>), Error> {
            let user = users::find(transaction, id)?.ok_or(Error::NotFound("user"))?;
            let display_name = change.display_name.map_or_else(|| DisplayName::parse(&user.display_name), Ok)?;
            let about = change.about.map_or_else(|| About::parse(&user.about), Ok)?;
            users::set_profile(transaction, id, &display_name, &about)?;
            let (role, active) = (change.role.unwrap_or(user.role), change.active.unwrap_or(user.active));
            let (mut entry, mut ended) = (entry, Vec::new());
            if (role, active) != (user.role, user.active) {
                ended = change_rights(transaction, &user, role, active, &ending)?;
                entry = entry.with_detail(format!(
                    "role: {} -> {}, active: {} -> {active}",
                    role::name(user.role),
                    role::name(role),
                    user.active
                ));
            }
            forget();
            audit::insert(transaction, &entry)?;
            Ok((users::find(transaction, id)?.ok_or(Error::NotFound("user"))?, ended))
        });
        let (user, ended) = changed.await?;
        tell(&self.common.events, &ended);
        self.common.events.publish(&Event::UserChanged { user_id: id });
        Ok(user)
    }

    async fn store_password(
        &self,
        caller: &Caller,
        id: Uuid,
        new: &StrongPassword,
        action: &'static str,
    ) -> Result<(), Error> {
        let hash = self.hasher.hash(Asker::Known, new).await?;
        let ending = self.ending(caller, "password changed");
        let own = id == caller.user.id;
        let spared = if own { caller.session_id() } else { None };
        let entry = self.common.auditor.entry(&caller.context, action, Outcome::Success, Some(id));
        let forget = caller.store().people_forgetter();
        let stored = caller.store().database.write(move |transaction| -> Result<Vec<Uuid>, Error> {
            users::find(transaction, id)?.ok_or(Error::NotFound("user"))?;
            users::set_password_hash(transaction, id, &hash)?;
            let ended = ending.of_user(transaction, id, spared)?;
            if !own {
                api_keys::delete_of_user(transaction, id)?;
                // Who has lost what they log in with must not find the new password worth nothing.
                srp::delete_of_user(transaction, id)?;
            }
            forget();
            audit::insert(transaction, &entry)?;
            Ok(ended)
        });
        tell(&self.common.events, &stored.await?);
        Ok(())
    }

    /// Why the sessions of whom the caller changes end.
    fn ending(&self, caller: &Caller, why: &'static str) -> Ending {
        Ending::new(&self.common, &caller.context, why)
    }

    /// What administrators do to others only: on their own account it would pass by their password.
    async fn somebody_else(&self, caller: &Caller, id: Uuid) -> Result<User, Error> {
        caller.require(Action::ManagePeople).await?;
        if id == caller.user.id {
            return Err(Error::OwnAccount);
        }
        self.get(caller, id).await
    }
}

fn strong(user: &User, password: &str) -> Result<StrongPassword, Error> {
    let known = [user.username.as_str(), user.display_name.as_str(), "coffer"];
    StrongPassword::parse(password, Purpose::Account, &known).map_err(password_field("new_password"))
}

/// Returns the sessions that end by that.
fn change_rights(
    connection: &Connection,
    user: &User,
    role: Role,
    active: bool,
    ending: &Ending,
) -> Result<Vec<Uuid>, Error> {
    if role != Role::Admin || !active {
        the_last_admin_stays(connection, user)?;
    }
    users::set_rights(connection, user.id, role, active)?;
    Ok(ending.of_user(connection, user.id, None)?)
}

/// Refuses to take the last active administrator away.
fn the_last_admin_stays(connection: &Connection, user: &User) -> Result<(), Error> {
    let is_one = user.role == Role::Admin && user.active;
    if is_one && !users::has_other_active_admin(connection, user.id)? { Err(Error::LastAdmin) } else { Ok(()) }
}

/// Deletes everything that lets anybody act for an account, and takes it off all lists.
fn take_rights(connection: &Connection, id: Uuid) -> Result<(), DatabaseError> {
    api_keys::delete_of_user(connection, id)?;
    device_links::delete_of_user(connection, id)?;
    second_factors::delete_of_user(connection, id)?;
    srp::delete_of_user(connection, id)?;
    groups::delete_of_user(connection, id)?;
    access::delete_of_user(connection, id)?;
    shares::delete_of_user(connection, id)?;
    handouts::delete_of_user(connection, id)?;
    invitations::delete_of_user(connection, id)
}
