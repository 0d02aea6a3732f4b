//! Codes of an authenticator app: time-based one-time passwords (RFC 6238) of six digits, a fresh one every 30 s.
//!
//! One step of clock difference is allowed in both directions (section 5.2), and no code is accepted twice: the step of
//! the last one is kept, and only later ones count.

use coffer_crypto::recovery_codes::RecoveryCodeKey;
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use totp_rs::{Builder, Secret};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::caller::Caller;
use super::qr::Qr;
use super::recovery_codes::{self, ShownCodes};
use super::second_factors::{self, SecondFactors};
use crate::model::clock::system_rng;
use crate::model::role::Action;
use crate::model::second_factor::TotpSecret;
use crate::repo::audit;
use crate::repo::second_factors as repo;
use crate::storage::database::DatabaseError;

/// How long a secret waits for its first code.
const ENROLMENT: SignedDuration = SignedDuration::from_mins(10);

/// Who the codes are for, in the app.
const ISSUER: &str = "Coffer";

/// A secret in the forms that apps take it in. Shown once.
pub(crate) struct NewTotp {
    /// In base 32.
    pub(crate) secret: Zeroizing<String>,
    pub(crate) otpauth_uri: Zeroizing<String>,
    pub(crate) qr_svg: Zeroizing<String>,
    /// As a `data:` URI.
    pub(crate) qr_png: Zeroizing<String>,
    pub(crate) expires_at: Timestamp,
}

impl SecondFactors {
    /// Makes a secret for an app. Nothing changes before its first code comes, within ten minutes.
    pub(crate) async fn begin_totp(&self, caller: &Caller, password: &str) -> Result<NewTotp, Error> {
        caller.require(Action::Enrol).await?;
        self.passwords.require(caller, password).await?;
        let secret = TotpSecret::generate(&mut system_rng());
        let user_id = caller.user.id;
        let expires_at = self.common.clock.now() + ENROLMENT;
        let shown = show(&secret, &caller.user.username, expires_at)?;
        let entry = self.entry(caller, "second_factor.totp_begun", user_id);
        let stored = caller.store().database.write(move |transaction| -> Result<(), DatabaseError> {
            repo::set_totp_enrolment(transaction, user_id, &secret, expires_at)?;
            audit::insert(transaction, &entry)
        });
        stored.await?;
        Ok(shown)
    }

    /// Makes the secret that waits the account's, in place of an earlier one. The first second factor of an account
    /// brings its recovery codes.
    pub(crate) async fn confirm_totp(&self, caller: &Caller, code: &str) -> Result<Option<ShownCodes>, Error> {
        caller.require(Action::Enrol).await?;
        let (user_id, now) = (caller.user.id, self.common.clock.now());
        let code = digits(code);
        let entry = self.entry(caller, "second_factor.totp_confirmed", user_id);
        let key = RecoveryCodeKey::derive(caller.lease().token_key());
        let forget = caller.store().people_forgetter();
        let stored = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let codes = confirm(transaction, &key, user_id, &code, now)?;
            forget();
            audit::insert(transaction, &entry)?;
            Ok(codes)
        });
        stored.await
    }

    /// Takes the app away, and one that waits to be confirmed.
    pub(crate) async fn remove_totp(&self, caller: &Caller, password: &str) -> Result<(), Error> {
        caller.require(Action::Account).await?;
        self.passwords.require(caller, password).await?;
        let user_id = caller.user.id;
        let entry = self.entry(caller, "second_factor.totp_removed", user_id);
        let forget = caller.store().people_forgetter();
        let removed = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if !repo::delete_totp(transaction, user_id)? {
                return Err(Error::NotFound("authenticator app"));
            }
            second_factors::after_removal(transaction, user_id)?;
            forget();
            Ok(audit::insert(transaction, &entry)?)
        });
        removed.await
    }
}

/// Makes the secret that waits the account's. The code that shows that the app has it is used up by that.
pub(super) fn confirm(
    connection: &Connection,
    key: &RecoveryCodeKey,
    user_id: Uuid,
    code: &str,
    now: Timestamp,
) -> Result<Option<ShownCodes>, Error> {
    let waiting = repo::find_totp_enrolment(connection, user_id, now)?;
    let secret = waiting.ok_or(Error::NotFound("enrolment; it may have expired"))?;
    let step = step_of(&secret, code, now).ok_or_else(|| {
        Error::field("code", "it is not the app's code of this moment; compare the phone's clock with the box's")
    })?;
    let codes = recovery_codes::for_the_first_factor(connection, key, user_id)?;
    repo::set_totp(connection, user_id, &secret, step, now)?;
    Ok(codes)
}

/// Whether it is the account's code of now, and the first use of it.
pub(super) fn accept(
    connection: &Connection,
    user_id: Uuid,
    code: &str,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let Some(secret) = repo::find_totp(connection, user_id)? else { return Ok(false) };
    let Some(step) = step_of(&secret, code, now) else { return Ok(false) };
    repo::advance_totp(connection, user_id, step)
}

/// A code without the spaces that apps show in it.
pub(super) fn digits(code: &str) -> Zeroizing<String> {
    Zeroizing::new(code.chars().filter(|c| !c.is_whitespace()).collect())
}

/// The step that a code belongs to: this one, the one before, the one after, or none.
fn step_of(secret: &TotpSecret, code: &str, now: Timestamp) -> Option<i64> {
    // What the builder begins with is what this file promises: SHA-1, six digits, 30 s, one step.
    let totp = Builder::new().with_secret(Secret::new_stack(secret.0)).build_noncompliant();
    i64::try_from(totp.check(code, u64::try_from(now.as_second()).ok()?)?).ok()
}

fn show(secret: &TotpSecret, username: &str, expires_at: Timestamp) -> Result<NewTotp, Error> {
    let builder = Builder::new().with_secret(Secret::new_stack(secret.0));
    let totp = builder.with_issuer(Some(ISSUER)).with_account_name(username).build();
    let totp = totp.map_err(|error| Error::internal("TOTP", error))?;
    let uri = Zeroizing::new(totp.to_url().map_err(|error| Error::internal("TOTP", error))?);
    let qr = Qr::of(&uri)?;
    let png = Zeroizing::new(BASE64.encode(&qr.png()?));
    Ok(NewTotp {
        secret: Zeroizing::new(totp.secret().to_base32()),
        qr_svg: qr.svg(),
        qr_png: Zeroizing::new(format!("data:image/png;base64,{}", png.as_str())),
        otpauth_uri: uri,
        expires_at,
    })
}
