//! How an account comes to log in by SRP-6a, and how it stops to. The login itself: `srp_login.rs`.

use std::sync::Arc;

use coffer_crypto::secrets::password::Parameters;
use coffer_crypto::srp::Verifier;
use jiff::Timestamp;
use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::common::Common;
use super::ended_sessions::{Ending, tell};
use super::password_check::PasswordCheck;
use super::secrets::check_account;
use crate::model::role::Action;
use crate::model::secret::SecretAccount;
use crate::repo::audit::{self, Outcome};
use crate::repo::secrets;
use crate::repo::srp::{self, SrpRow};

/// What a client has made of a password.
pub(crate) struct NewVerifier {
    pub(crate) verifier: Verifier,
    pub(crate) parameters: Parameters,
    pub(crate) is_only: bool,
    /// The account's keys, wrapped for who knows what the verifier is of.
    pub(crate) keys: Option<SecretAccount>,
}

/// What everybody may know of their own account.
pub(crate) struct Enrolled {
    pub(crate) group_bits: u16,
    pub(crate) is_only: bool,
    pub(crate) created_at: Timestamp,
}

/// Sets and takes away verifiers.
pub(crate) struct SrpVerifiers {
    common: Common,
    password_check: Arc<PasswordCheck>,
}

impl SrpVerifiers {
    /// Which asks for the password again.
    pub(crate) fn new(common: Common, password_check: Arc<PasswordCheck>) -> Self {
        Self { common, password_check }
    }

    /// What the caller logs in with.
    pub(crate) async fn get(&self, caller: &Caller) -> Result<Enrolled, Error> {
        caller.require(Action::Account).await?;
        let user_id = caller.user.id;
        let found = caller.store().database.read(move |connection| srp::find(connection, user_id)).await?;
        found.as_ref().map(enrolled).ok_or(Error::NotFound("verifier"))
    }

    /// Sets the caller's verifier. As with a new password, all other sessions end.
    pub(crate) async fn set(&self, caller: &Caller, password: &str, new: NewVerifier) -> Result<Enrolled, Error> {
        caller.require(Action::Account).await?;
        self.password_check.require(caller, password).await?;
        if let Some(keys) = &new.keys {
            check_account(caller.user.id, keys)?;
        }
        let row = SrpRow {
            verifier: new.verifier,
            parameters: new.parameters,
            is_only: new.is_only,
            created_at: self.common.clock.now(),
        };
        let (reply, user_id) = (enrolled(&row), caller.user.id);
        let entry = self.common.auditor.entry(&caller.context, "user.srp_set", Outcome::Success, Some(user_id));
        let entry = entry.with_detail(format!("only: {}", new.is_only));
        let keys = new.keys;
        self.write(caller, move |transaction| {
            srp::set(transaction, user_id, &row)?;
            if let Some(keys) = &keys {
                secrets::set_account(&secrets::scope(transaction, user_id)?, keys)?;
            }
            Ok(audit::insert(transaction, &entry)?)
        })
        .await?;
        Ok(reply)
    }

    /// Takes the caller's verifier away; the password opens sessions again.
    pub(crate) async fn remove(&self, caller: &Caller, password: &str) -> Result<(), Error> {
        caller.require(Action::Account).await?;
        self.password_check.require(caller, password).await?;
        let user_id = caller.user.id;
        let entry = self.common.auditor.entry(&caller.context, "user.srp_removed", Outcome::Success, Some(user_id));
        self.write(caller, move |transaction| {
            if !srp::delete_of_user(transaction, user_id)? {
                return Err(Error::NotFound("verifier"));
            }
            Ok(audit::insert(transaction, &entry)?)
        })
        .await
    }

    async fn write(
        &self,
        caller: &Caller,
        change: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let (user_id, spared) = (caller.user.id, caller.session_id());
        let ending = Ending::new(&self.common, &caller.context, "login changed");
        let forget = caller.store().people_forgetter();
        let written = caller.store().database.write(move |transaction| -> Result<Vec<Uuid>, Error> {
            change(transaction)?;
            let ended = ending.of_user(transaction, user_id, spared)?;
            forget();
            Ok(ended)
        });
        tell(&self.common.events, &written.await?);
        Ok(())
    }
}

fn enrolled(row: &SrpRow) -> Enrolled {
    Enrolled { group_bits: srp::bits(row.verifier.group()), is_only: row.is_only, created_at: row.created_at }
}
