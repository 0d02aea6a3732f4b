//! Second factors: what an account has, and whether somebody who knows its password has it too.
//!
//! Each kind has a file of its own (`totp.rs`, `recovery_codes.rs`, `passkeys.rs`); this one holds what they share.

use std::sync::Arc;

use coffer_crypto::code::RecoveryCode;
use coffer_crypto::recovery_codes::RecoveryCodeKey;
use rusqlite::Connection;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::attempts::Attempts;
use super::audit::Context;
use super::caller::Caller;
use super::common::Common;
use super::passkeys::{PasskeyCeremony, PublicKeyCredential, Registrations, RelyingParty};
use super::password_check::PasswordCheck;
use super::unlocked::Lease;
use super::{Error, recovery_codes, totp};
use crate::model::role::Action;
use crate::model::second_factor::SecondFactorList;
use crate::repo::audit::{self, Entry, Outcome};
use crate::repo::{policy, second_factors as repo};
use crate::storage::database::DatabaseError;

/// Wrong codes in a row that cost no pause. A code has a million values, of which three are right at a time.
const FREE_GUESSES: u32 = 4;

/// What an account could prove itself by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Available {
    pub(crate) totp: bool,
    pub(crate) recovery_codes: bool,
    pub(crate) passkeys: bool,
}

impl Available {
    /// Whether the account has a second factor. Recovery codes stand in for one, and are none.
    pub(crate) fn any(self) -> bool {
        self.totp || self.passkeys
    }
}

/// What somebody proves themselves by.
pub(crate) enum Proof {
    /// The code that an authenticator app shows.
    Totp(Zeroizing<String>),
    /// One of the codes on paper.
    RecoveryCode(Zeroizing<String>),
    /// A passkey's answer, and what it was asked. Asked once, answered once: the ceremony is used up.
    Passkey(Box<PublicKeyCredential>, PasskeyCeremony),
}

/// The second factors of all accounts.
pub(crate) struct SecondFactors {
    pub(super) common: Common,
    pub(super) passwords: Arc<PasswordCheck>,
    pub(super) relying_party: RelyingParty,
    pub(super) registrations: Registrations,
    /// Of codes, by account.
    guesses: Arc<Attempts>,
}

impl SecondFactors {
    /// For passkeys of that relying party.
    pub(crate) fn new(common: Common, passwords: Arc<PasswordCheck>, relying_party: RelyingParty) -> Self {
        Self {
            passwords,
            registrations: Registrations::new(Arc::clone(&common.clock)),
            guesses: Attempts::new(&common, "second_factor", FREE_GUESSES),
            relying_party,
            common,
        }
    }

    /// What the caller has.
    pub(crate) async fn list(&self, caller: &Caller) -> Result<SecondFactorList, Error> {
        caller.require(Action::Enrol).await?;
        let user_id = caller.user.id;
        Ok(caller.store().database.read(move |connection| repo::list(connection, user_id)).await?)
    }

    /// What an account could prove itself by.
    pub(crate) async fn available(&self, lease: &Lease, user_id: Uuid) -> Result<Available, Error> {
        let list = lease.store().database.read(move |connection| repo::list(connection, user_id)).await?;
        Ok(Available {
            totp: list.totp_since.is_some(),
            recovery_codes: list.recovery_codes_left > 0,
            passkeys: !list.passkeys.is_empty(),
        })
    }

    /// Whether the proof is good. What can be used once is used up by that. Codes are guesses, and have to wait when
    /// too many were wrong; passkeys cannot be guessed, and never wait.
    pub(crate) async fn verify(
        &self,
        lease: &Lease,
        context: &Context,
        user_id: Uuid,
        proof: Proof,
    ) -> Result<bool, Error> {
        match proof {
            Proof::Totp(code) => self.verify_totp(lease, user_id, &code).await,
            Proof::RecoveryCode(code) => self.verify_recovery_code(lease, context, user_id, &code).await,
            Proof::Passkey(answer, ceremony) => self.verify_passkey(lease, context, user_id, &answer, &ceremony).await,
        }
    }

    async fn verify_totp(&self, lease: &Lease, user_id: Uuid, code: &str) -> Result<bool, Error> {
        let (code, now) = (totp::digits(code), self.common.clock.now());
        self.guess(user_id, async {
            let database = &lease.store().database;
            Ok(database.write(move |transaction| totp::accept(transaction, user_id, &code, now)).await?)
        })
        .await
    }

    async fn verify_recovery_code(
        &self,
        lease: &Lease,
        context: &Context,
        user_id: Uuid,
        code: &str,
    ) -> Result<bool, Error> {
        // A typing mistake shows in the check characters, and is no guess.
        let Ok(code) = RecoveryCode::parse(code) else { return Ok(false) };
        let key = RecoveryCodeKey::derive(lease.token_key());
        let now = self.common.clock.now();
        let context = Context { actor_id: Some(user_id), ..context.clone() };
        let action = "second_factor.recovery_code_used";
        let entry = self.common.auditor.entry(&context, action, Outcome::Success, Some(user_id));
        let accept = lease.store().database.write(move |transaction| -> Result<bool, DatabaseError> {
            let accepted = recovery_codes::accept(transaction, &key, user_id, &code, now)?;
            if accepted {
                audit::insert(transaction, &entry)?;
            }
            Ok(accepted)
        });
        self.guess(user_id, async { Ok(accept.await?) }).await
    }

    /// Counts a guess before it is looked at, so that guesses at the same time count as well.
    async fn guess(&self, user_id: Uuid, look: impl Future<Output = Result<bool, Error>>) -> Result<bool, Error> {
        let key = user_id.to_string();
        self.guesses.begin(&key)?;
        let right = look.await.inspect_err(|_| self.guesses.take_back(&key))?;
        if right {
            self.guesses.forget(&key);
        } else {
            self.guesses.failed(&key);
        }
        Ok(right)
    }

    /// Whether the last refusal of a guess was the first since the last guess.
    pub(super) fn is_first_refusal(&self, user_id: Uuid) -> bool {
        self.guesses.is_first_refusal(&user_id.to_string())
    }

    pub(super) fn entry(&self, caller: &Caller, action: &str, subject_id: Uuid) -> Entry {
        self.common.auditor.entry(&caller.context, action, Outcome::Success, Some(subject_id))
    }
}

/// Inside the transaction that took a factor away: the last one takes the recovery codes along, and stays where every
/// account must have one.
pub(super) fn after_removal(connection: &Connection, user_id: Uuid) -> Result<(), Error> {
    if repo::exists(connection, user_id)? {
        return Ok(());
    }
    if policy::get(connection)?.second_factor_required {
        return Err(Error::LastSecondFactor);
    }
    Ok(repo::delete_of_user(connection, user_id)?)
}

#[cfg(test)]
#[path = "second_factors_tests.rs"]
pub(super) mod tests;
