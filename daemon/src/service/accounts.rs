//! New accounts: what they are made from, who may make them, and invitations.

use std::sync::Arc;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::SignedDuration;
use rand_core::Rng;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::attempts::{Attempts, source};
use super::audit::{Context, page};
use super::caller::Caller;
use super::common::Common;
use super::error::password_field;
use super::folders::MAX_PAGE;
use super::passwords::{Asker, Hasher};
use super::vault::{MasterSecret, Origin, Vault};
use crate::model::clock::system_rng;
use crate::model::event::Event;
use crate::model::invitation::Invitation;
use crate::model::password::{Purpose, StrongPassword};
use crate::model::role::{self, Action, Role};
use crate::model::user::{DisplayName, User, Username};
use crate::repo::audit::{self, Outcome};
use crate::repo::{invitations, policy, users};
use crate::storage::database::DatabaseError;

/// Registrations from one source that cost no pause: a family signs up.
const FREE_REGISTRATIONS: u32 = 5;
/// Accounts that may wait to be activated: strangers must not fill the drive.
const MAX_WAITING: u32 = 100;
/// Invitations that may be open.
const MAX_INVITATIONS: u32 = 1000;
/// The longest that an invitation is good for.
const MAX_INVITATION: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What an account is made from, checked.
pub(crate) struct NewAccount {
    username: Username,
    display_name: DisplayName,
    password: StrongPassword,
}

/// What lets somebody register.
pub(crate) enum Entitlement {
    /// Nothing: an administrator will have to activate the account.
    None,
    /// The token of an invitation.
    Invitation(Zeroizing<String>),
    /// The master password of the vault: whoever has it can have everything.
    MasterPassword(Zeroizing<String>),
}

impl NewAccount {
    /// Checks every field.
    pub(crate) fn parse(username: &str, display_name: Option<&str>, password: &str) -> Result<Self, Error> {
        let username = Username::parse(username)?;
        let display_name = DisplayName::parse(display_name.unwrap_or(username.as_str()))?;
        let known = [username.as_str(), display_name.as_str(), "coffer"];
        let password = StrongPassword::parse(password, Purpose::Account, &known).map_err(password_field("password"))?;
        Ok(Self { username, display_name, password })
    }
}

/// Makes accounts.
pub(crate) struct Accounts {
    vault: Arc<Vault>,
    common: Common,
    hasher: Arc<Hasher>,
    registrations: Arc<Attempts>,
}

impl Accounts {
    /// For that vault.
    pub(crate) fn new(vault: Arc<Vault>, common: Common, hasher: Arc<Hasher>) -> Self {
        let registrations = Attempts::new(&common, "registration", FREE_REGISTRATIONS);
        Self { vault, common, hasher, registrations }
    }

    /// Registers somebody who has no account yet.
    pub(crate) async fn register(
        &self,
        new: NewAccount,
        entitlement: Entitlement,
        origin: Origin,
        context: Context,
    ) -> Result<User, Error> {
        let lease = self.vault.lease()?;
        let (role, active, invitation) = match entitlement {
            Entitlement::None => {
                let check = lease.store().database.read(may_register);
                check.await?;
                (Role::Reader, false, None)
            }
            Entitlement::Invitation(token) => {
                let hash = hash_of(&token);
                let now = self.common.clock.now();
                let found = lease.store().database.read(move |connection| invitations::find(connection, &hash)).await?;
                let found = found.filter(|invitation| now < invitation.expires_at).ok_or(Error::WrongInvitation)?;
                (found.role, true, Some(found.id))
            }
            Entitlement::MasterPassword(password) => {
                let secret = MasterSecret::Password(password);
                self.vault.check_secret(secret, origin, context.clone(), "user.registered").await?;
                (Role::Admin, true, None)
            }
        };
        let source = source(context.address);
        self.registrations.begin(&source)?;
        self.registrations.keep(&source);
        let hash = self.hasher.hash(Asker::Stranger, &new.password).await?;
        let user = self.user(&new, role, active);
        let mut context = context;
        context.actor_id = Some(user.id);
        let entry = self.common.auditor.entry(&context, "user.registered", Outcome::Success, Some(user.id));
        let entry = entry.with_detail(rights(&user));
        let row = user.clone();
        let stored = lease.store().database.write(move |transaction| -> Result<(), Error> {
            match invitation {
                // Once, also when two use it at the same time.
                Some(id) if !invitations::delete(transaction, id)? => return Err(Error::WrongInvitation),
                None if !active => may_register(transaction)?,
                Some(_) | None => {}
            }
            insert(transaction, &row, &hash)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        stored.await?;
        self.common.events.publish(&Event::UserCreated { user_id: user.id });
        Ok(user)
    }

    /// Makes an account for somebody else.
    pub(crate) async fn create(
        &self,
        caller: &Caller,
        new: NewAccount,
        role: Role,
        active: bool,
    ) -> Result<User, Error> {
        caller.require(Action::ManagePeople).await?;
        let hash = self.hasher.hash(Asker::Known, &new.password).await?;
        let user = self.user(&new, role, active);
        let entry = self.common.auditor.entry(&caller.context, "user.created", Outcome::Success, Some(user.id));
        let entry = entry.with_detail(rights(&user));
        let row = user.clone();
        let stored = caller.store().database.write(move |transaction| -> Result<(), Error> {
            insert(transaction, &row, &hash)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        stored.await?;
        self.common.events.publish(&Event::UserCreated { user_id: user.id });
        Ok(user)
    }

    /// Makes an invitation, and the token that goes into its link.
    pub(crate) async fn invite(
        &self,
        caller: &Caller,
        role: Role,
        good_for: SignedDuration,
    ) -> Result<(Invitation, Zeroizing<String>), Error> {
        caller.require(Action::ManagePeople).await?;
        if good_for < SignedDuration::from_mins(1) || good_for > MAX_INVITATION {
            return Err(Error::field("expires_in_s", "an invitation is good for one minute to 30 days"));
        }
        let mut secret = Zeroizing::new([0; 32]);
        system_rng().fill_bytes(secret.as_mut_slice());
        let token = Zeroizing::new(BASE64URL_NOPAD.encode(secret.as_slice()));
        let now = self.common.clock.now();
        let invitation = Invitation {
            id: self.common.ids.next(),
            role,
            created_at: now,
            created_by: caller.user.id,
            expires_at: now + good_for,
        };
        let entry =
            self.common.auditor.entry(&caller.context, "invitation.created", Outcome::Success, Some(invitation.id));
        let entry = entry.with_detail(format!("role: {}", role::name(role)));
        let (row, hash) = (invitation.clone(), hash_of(&token));
        let stored = caller.store().database.write(move |transaction| -> Result<(), Error> {
            invitations::delete_expired(transaction, now)?;
            if invitations::count(transaction)? >= MAX_INVITATIONS {
                return Err(Error::LimitReached { what: "open invitations", limit: MAX_INVITATIONS });
            }
            invitations::insert(transaction, &row, &hash)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        stored.await?;
        Ok((invitation, token))
    }

    /// A page of the open invitations, oldest first, and where the next page starts.
    pub(crate) async fn invitations(
        &self,
        caller: &Caller,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Invitation>, Option<Uuid>), Error> {
        caller.require(Action::ManagePeople).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| invitations::list(connection, after, limit + 1));
        Ok(page(read.await?, limit, |invitation| invitation.id))
    }

    /// Takes an invitation back.
    pub(crate) async fn revoke_invitation(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::ManagePeople).await?;
        let entry = self.common.auditor.entry(&caller.context, "invitation.revoked", Outcome::Success, Some(id));
        let deleted = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if !invitations::delete(transaction, id)? {
                return Err(Error::NotFound("invitation"));
            }
            Ok(audit::insert(transaction, &entry)?)
        });
        deleted.await
    }

    fn user(&self, new: &NewAccount, role: Role, active: bool) -> User {
        User {
            id: self.common.ids.next(),
            username: new.username.as_str().to_owned(),
            display_name: new.display_name.as_str().to_owned(),
            about: String::new(),
            role,
            active,
            created_at: self.common.clock.now(),
            last_login_at: None,
        }
    }
}

fn may_register(connection: &rusqlite::Connection) -> Result<(), Error> {
    if !policy::get(connection)?.registration_open {
        return Err(Error::RegistrationClosed);
    }
    if users::count_waiting(connection)? >= MAX_WAITING {
        return Err(Error::LimitReached { what: "accounts waiting to be activated", limit: MAX_WAITING });
    }
    Ok(())
}

fn insert(connection: &rusqlite::Connection, user: &User, hash: &str) -> Result<(), Error> {
    users::insert(connection, user, hash).map_err(|error| match error {
        DatabaseError::Conflict => Error::UsernameTaken,
        error => error.into(),
    })
}

/// For the audit.
fn rights(user: &User) -> String {
    format!("role: {}, active: {}", role::name(user.role), user.active)
}

/// The token has 256 random bits: nothing slower is needed.
fn hash_of(token: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(token.as_bytes()))
}
