//! The second step of a login: who knew the password shows that they have something, too.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use zeroize::Zeroizing;

use super::Error;
use super::audit::Context;
use super::challenges;
use super::passkeys::{PasskeyCeremony, PublicKeyCredential};
use super::second_factors::{Available, Proof};
use super::sessions::{LoggedIn, Opened, Sessions, Verified};
use super::unlocked::Lease;
use crate::repo::audit::Outcome;

/// What a person is asked for after the password.
pub(crate) struct Challenge {
    /// Names the login.
    pub(crate) token: Zeroizing<String>,
    pub(crate) expires_at: Timestamp,
    pub(crate) available: Available,
    /// What the browser is to be asked for a passkey.
    pub(crate) passkey: Option<Value>,
}

/// A login that waits.
pub(super) struct Waiting {
    verified: Verified,
    ceremony: Option<PasskeyCeremony>,
    /// The vault must not have been locked in between.
    unlocking: u64,
}

/// What a person answers.
pub(crate) enum Answer {
    Totp(Zeroizing<String>),
    RecoveryCode(Zeroizing<String>),
    Passkey(Box<PublicKeyCredential>),
}

impl Sessions {
    /// Asks for the second factor, or opens the session of an account that has none.
    pub(super) async fn go_on(&self, lease: &Lease, verified: Verified, context: Context) -> Result<LoggedIn, Error> {
        let user_id = verified.user_id;
        let available = self.second_factors.available(lease, user_id).await?;
        if !available.any() {
            return Ok(LoggedIn::Session(Box::new(self.start(lease, verified, context).await?)));
        }
        let (passkey, ceremony) = if available.passkeys {
            let (options, ceremony) = self.second_factors.begin_passkey(lease, user_id).await?;
            (Some(options), Some(ceremony))
        } else {
            (None, None)
        };
        let lifetime = SignedDuration::try_from(challenges::LIFETIME).unwrap_or_default();
        let expires_at = self.common.clock.now() + lifetime;
        let token = self.challenges.open(Waiting { verified, ceremony, unlocking: lease.unlocking() });
        Ok(LoggedIn::Challenge(Challenge { token, expires_at, available, passkey }))
    }

    /// Opens the session of a login that waits, when the answer is right.
    pub(crate) async fn answer(&self, challenge: &str, answer: Answer, mut context: Context) -> Result<Opened, Error> {
        let lease = self.vault.lease()?;
        let open = self.challenges.take(challenge).filter(|open| open.login.unlocking == lease.unlocking());
        let mut open = open.ok_or(Error::WrongSecondFactor)?;
        let user_id = open.login.verified.user_id;
        context.actor_id = Some(user_id);
        let proof = match (answer, open.login.ceremony.is_some()) {
            (Answer::Totp(code), _) => Some(Proof::Totp(code)),
            (Answer::RecoveryCode(code), _) => Some(Proof::RecoveryCode(code)),
            // Asked once, answered once.
            (Answer::Passkey(answer), true) => open.login.ceremony.take().map(|asked| Proof::Passkey(answer, asked)),
            (Answer::Passkey(_), false) => None,
        };
        let right = match proof {
            Some(proof) => self.second_factors.verify(&lease, &context, user_id, proof).await,
            None => Ok(false),
        };
        match right {
            Ok(true) => self.start(&lease, open.login.verified, context).await,
            Ok(false) => {
                self.challenges.slipped(challenge, open);
                let entry = self.common.auditor.entry(&context, "session.opened", Outcome::Failed, Some(user_id));
                self.common.auditor.record(&lease, entry).await;
                Err(Error::WrongSecondFactor)
            }
            Err(unheard) => {
                self.challenges.put_back(challenge, open);
                let is_first =
                    matches!(unheard, Error::TooManyAttempts { .. }) && self.second_factors.is_first_refusal(user_id);
                Err(self.refused(&lease, &context, unheard, is_first).await)
            }
        }
    }
}
