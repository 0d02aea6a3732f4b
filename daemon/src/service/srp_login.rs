//! Logging in by SRP-6a: a handshake of two calls that ends like the login by password, and is slowed down with it.
//!
//! An account that does not exist, that was not enrolled, or is not active answers as every other, with the same work:
//! what a stranger learns of a name is the same before and after it is somebody's.

use std::time::Duration;

use coffer_crypto::secrets::password::Parameters;
use coffer_crypto::srp::{self, Group, PROOF_BYTES, Verifier};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::audit::Context;
use super::sessions::{Attempt, LoggedIn, Proof, Sessions, Verified};
use super::tokens;
use super::unlocked::Lease;
use crate::model::clock::system_rng;
use crate::model::user::{DisplayName, Username};
use crate::repo::srp::SrpRow;
use crate::repo::{self};
use crate::storage::database::DatabaseError;

/// How long a client has for its proof.
pub(super) const LIFETIME: Duration = Duration::from_mins(1);

/// What answers for names that are nobody's.
const UNKNOWN_LABEL: &str = "coffer srp unknown names v1";

/// Ids of accounts say when these were made. Those of nobody say: soon after the first one.
const UNKNOWN_AGE_MS: u32 = 10 * 60 * 1000;

/// What the client needs for its proof.
pub(crate) struct Started {
    pub(crate) handshake: Zeroizing<String>,
    pub(crate) account_id: Uuid,
    pub(crate) salt: Vec<u8>,
    pub(crate) server_public: Vec<u8>,
    pub(crate) parameters: Parameters,
}

/// The client's proof, and for which session.
pub(crate) struct Finish {
    pub(crate) handshake: Zeroizing<String>,
    pub(crate) client_proof: Vec<u8>,
    pub(crate) session_name: Option<DisplayName>,
    pub(crate) user_agent: Option<String>,
}

/// A handshake between its two calls.
pub(super) struct Handshake {
    server: srp::Server,
    client_public: Vec<u8>,
    /// Nobody, when there is no such account.
    account: Option<(Uuid, [u8; 32])>,
    attempt: Attempt,
    /// The vault must not have been locked in between.
    unlocking: u64,
}

impl Sessions {
    /// Begins a handshake. Counted as an attempt before anything is computed.
    pub(crate) async fn start_srp(
        &self,
        username: &str,
        client_public: Vec<u8>,
        context: Context,
    ) -> Result<Started, Error> {
        let lease = self.vault.lease()?;
        let group = group_of(&client_public)?;
        let name = Username::parse(username)?;
        let by_source = self.count_source(&lease, &context).await?;
        let attempt = self.count_name(&lease, name, by_source, &context).await?;
        let wanted = attempt.name.clone();
        let found = lease.store().database.read(move |connection| -> Result<_, DatabaseError> {
            Ok((repo::srp::find_by_name(connection, &wanted)?, repo::srp::first_account_at(connection)?))
        });
        let (found, first_at) = found.await?;
        // Computed for every name, so that the time does not tell which are somebody's.
        let nobody = Nobody::of(&lease, group, &attempt.name, first_at.as_millisecond())?;
        let known = found.filter(|(user, srp)| user.active && srp.verifier.group() == group);
        let account = known.as_ref().map(|(user, srp)| (user.id, mark_of(&srp.verifier)));
        let (account_id, verifier, parameters) = match known {
            Some((user, SrpRow { verifier, parameters, .. })) => (user.id, verifier, parameters),
            None => (nobody.account_id, nobody.verifier, nobody.parameters),
        };
        let started = self
            .hasher
            .run(attempt.asker, move || srp::Server::start(verifier, account_id.as_bytes(), &mut system_rng()));
        let server = started.await.inspect_err(|_| self.was_unheard(&attempt))?;
        let (salt, server_public) = (server.salt().to_vec(), server.public().to_vec());
        let unlocking = lease.unlocking();
        let handshake = self.handshakes.open(Handshake { server, client_public, account, attempt, unlocking });
        Ok(Started { handshake, account_id, salt, server_public, parameters })
    }

    /// Ends a handshake, and opens a session or asks for the second factor. Returns the server's proof with it.
    pub(crate) async fn finish_srp(
        &self,
        finish: Finish,
        mut context: Context,
    ) -> Result<([u8; PROOF_BYTES], LoggedIn), Error> {
        let lease = self.vault.lease()?;
        let open = self.handshakes.take(&finish.handshake).filter(|open| open.login.unlocking == lease.unlocking());
        // No guess: nothing was looked at, and nothing is written down for it.
        let Handshake { server, client_public, account, attempt, .. } = open.ok_or(Error::WrongCredentials)?.login;
        let checked = self.hasher.run(attempt.asker, move || server.check(&client_public, &finish.client_proof));
        let checked = checked.await.inspect_err(|_| self.was_unheard(&attempt))?;
        context.actor_id = account.map(|(id, _)| id);
        let (Ok((server_proof, _)), Some((user_id, mark))) = (checked, account) else {
            self.was_wrong(&attempt);
            return Err(self.failed(&lease, &context).await);
        };
        self.was_right(&attempt, &context);
        let verified = Verified::new(user_id, Proof::Srp(mark), finish.session_name, finish.user_agent);
        Ok((server_proof, self.go_on(&lease, verified, context).await?))
    }
}

/// What an account that does not exist has; always the same for a name.
struct Nobody {
    account_id: Uuid,
    verifier: Verifier,
    parameters: Parameters,
}

impl Nobody {
    fn of(lease: &Lease, group: Group, name: &Username, first_at_ms: i64) -> Result<Self, Error> {
        let secret = tokens::subkey(lease.token_key(), UNKNOWN_LABEL)?;
        let name = name.as_str();
        let drawn = tokens::subkey(&secret, &format!("account {name}"))?;
        let (age, random) = drawn.split_first_chunk::<4>().ok_or(Error::Internal("unknown account", None))?;
        let mut rest = [0; 10];
        rest.copy_from_slice(&random[..10]);
        let made_at_ms = u64::try_from(first_at_ms).unwrap_or(0) + u64::from(u32::from_be_bytes(*age) % UNKNOWN_AGE_MS);
        Ok(Self {
            account_id: uuid::Builder::from_unix_timestamp_millis(made_at_ms, &rest).into_uuid(),
            verifier: Verifier::of_unknown(group, &secret, name.as_bytes()),
            parameters: Parameters::of_unknown(&secret, name.as_bytes()),
        })
    }
}

/// Tells a verifier from one that is set meanwhile.
pub(super) fn mark_of(verifier: &Verifier) -> [u8; 32] {
    Sha256::digest(verifier.value()).into()
}

/// The group that a client has chosen, when what it sends can be right.
fn group_of(client_public: &[u8]) -> Result<Group, Error> {
    let group = [Group::Bits4096, Group::Bits3072].into_iter().find(|group| group.bytes() == client_public.len());
    let group = group.ok_or_else(|| Error::field("client_public", "it should have 512 bytes, or 384"))?;
    let checked = srp::check_client_public(group, client_public);
    checked.map_err(|error| Error::field("client_public", error.to_string()))?;
    Ok(group)
}
