//! Where credentials are changed: one file for each kind of place. A provider makes a credential, puts it in force, tries it, and
//! ends one of before. It knows nothing of vaults and items, and keeps nothing.
//!
//! What it says when something fails is shown to people: it must not repeat a secret, and [`Refusal::without`] takes out what it
//! repeats all the same.

mod command;
mod dialogue;
mod http;
mod postgresql;
mod s3;
mod ssh;

use std::path::PathBuf;
use std::sync::Arc;

use coffer_api::RotationProvider;
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::outbound::Outbound;

/// Reads the clock.
pub(crate) type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Longest text of a failure, in characters.
const MAX_TEXT: usize = 200;
/// Longest text that tells a credential from others: a public key of RSA is shorter.
const MAX_HANDLE_BYTES: usize = 2048;
/// Longest credential.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// A credential.
pub(crate) struct Credential {
    pub(crate) value: Zeroizing<String>,
    /// What tells it from others, where there can be several: no secret.
    pub(crate) handle: Option<String>,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// For people.
    pub(crate) text: String,
    /// Nothing was changed for sure. Else nobody knows.
    pub(crate) is_certain: bool,
}

/// One place where a credential is changed. Everything blocks, and ends after a while.
pub(crate) trait Provider: Send {
    /// Makes a credential from 32 random bytes. `None` where the other side makes it.
    fn make(&self, random: &[u8; 32]) -> Result<Option<Credential>, Refusal> {
        Ok(Some(Credential { value: Zeroizing::new(BASE64URL_NOPAD.encode(random)), handle: None }))
    }

    /// Puts a credential in force, or has one made. `known` are the handles of those that there may be besides; `is_again` says that
    /// an attempt before was interrupted, and may have left another.
    fn apply(&self, made: Option<&Credential>, known: &[String], is_again: bool)
    -> Result<Option<Credential>, Refusal>;

    /// Tries a credential.
    fn verify(&self, credential: &Credential) -> Result<(), Refusal>;

    /// Ends one of before. One that has ended is no failure.
    fn revoke(&self, handle: &str) -> Result<(), Refusal>;
}

/// Makes providers.
pub(crate) struct Providers {
    outbound: Arc<Outbound>,
    hooks_socket: Option<PathBuf>,
    now: Now,
}

impl Providers {
    /// With the socket of whoever runs programs, if there is one; with `local_too` this box itself may be reached as well.
    pub(crate) fn new(hooks_socket: Option<PathBuf>, local_too: bool, now: Now) -> Self {
        Self { outbound: Arc::new(Outbound::new(local_too)), hooks_socket, now }
    }

    /// The provider of a rotation.
    pub(crate) fn provider(
        &self,
        rotation_id: Uuid,
        wanted: &RotationProvider,
        admin: Option<Zeroizing<String>>,
    ) -> Box<dyn Provider> {
        match wanted.clone() {
            RotationProvider::Command { program, parameters } => Box::new(command::Command {
                socket: self.hooks_socket.clone(),
                program,
                dialogue: dialogue::Dialogue { rotation_id, parameters, admin },
            }),
            RotationProvider::Http { url, parameters } => Box::new(http::Http {
                outbound: Arc::clone(&self.outbound),
                url,
                dialogue: dialogue::Dialogue { rotation_id, parameters, admin },
            }),
            RotationProvider::PostgresqlRole { host, port, database, role, admin_name, authority } => {
                Box::new(postgresql::Role {
                    outbound: Arc::clone(&self.outbound),
                    place: postgresql::Place { host, port, database, authority },
                    name: role,
                    admin_name,
                    admin: admin.unwrap_or_default(),
                })
            }
            RotationProvider::S3AccessKey { endpoint, region, user_name, admin_key_id } => Box::new(s3::AccessKey {
                outbound: Arc::clone(&self.outbound),
                now: Arc::clone(&self.now),
                place: s3::Place { endpoint, region },
                user_name,
                admin: s3::Key { id: admin_key_id, secret: admin.unwrap_or_default() },
            }),
            RotationProvider::SshAuthorizedKey { host, port, user, host_key } => Box::new(ssh::AuthorizedKey {
                outbound: Arc::clone(&self.outbound),
                rotation_id,
                place: ssh::Place { host, port, user, host_key },
                admin: admin.unwrap_or_default(),
            }),
        }
    }

    /// Why a rotation by that provider cannot be set up: the member that is wrong, and how.
    pub(crate) fn check(
        &self,
        wanted: &RotationProvider,
        has_admin: bool,
        has_handle: bool,
    ) -> Result<(), (&'static str, String)> {
        let needs = |has: bool, member, what: &str| if has { Ok(()) } else { Err((member, what.to_owned())) };
        match wanted {
            RotationProvider::Command { program, parameters } => {
                dialogue::check(parameters)?;
                if self.hooks_socket.is_none() {
                    return Err(("provider.kind", "this box runs no programs of its owner".to_owned()));
                }
                command::check(program)
            }
            RotationProvider::Http { url, parameters } => {
                dialogue::check(parameters)?;
                http::check(&self.outbound, url)
            }
            RotationProvider::PostgresqlRole { role, admin_name, authority, .. } => {
                needs(has_admin, "admin", "the password of the role that changes the other one's")?;
                postgresql::check(role, admin_name, authority.as_deref())
            }
            RotationProvider::S3AccessKey { endpoint, .. } => {
                needs(has_admin, "admin", "the secret of the admin's access key")?;
                needs(has_handle, "handle", "the id of the access key that there is: it is to be deleted")?;
                http::check(&self.outbound, endpoint).map_err(|(_, why)| ("provider.endpoint", why))
            }
            RotationProvider::SshAuthorizedKey { user, host_key, .. } => {
                needs(has_admin, "admin", "a private key that lets the box in")?;
                ssh::check(user, host_key)
            }
        }
    }
}

impl Refusal {
    /// Nothing was changed.
    fn certain(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_certain: true }
    }

    /// Something may have been changed.
    fn uncertain(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_certain: false }
    }

    /// In one short line, without those texts.
    pub(crate) fn without<'s>(mut self, secrets: impl IntoIterator<Item = &'s str>) -> Self {
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            self.text = self.text.replace(secret, "…");
        }
        let plain = self.text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let short: String = plain.take(MAX_TEXT).collect();
        Self { text: short.trim().to_owned(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_repeats_no_secret_and_is_one_short_line() {
        for (text, shown) in [
            ("no such role", "no such role"),
            ("hunter2 is too short\nfor root", "… is too short for root"),
            (" \u{1b}[31mred ", "[31mred"),
        ] {
            assert_eq!(Refusal::certain(text).without(["hunter2", ""]).text, shown);
        }
        assert_eq!(Refusal::certain("é".repeat(500)).without([]).text.chars().count(), MAX_TEXT);
    }

    #[test]
    fn a_credential_has_the_entropy_that_it_is_made_from() {
        struct Plain;
        impl Provider for Plain {
            fn apply(&self, _: Option<&Credential>, _: &[String], _: bool) -> Result<Option<Credential>, Refusal> {
                Ok(None)
            }
            fn verify(&self, _: &Credential) -> Result<(), Refusal> {
                Ok(())
            }
            fn revoke(&self, _: &str) -> Result<(), Refusal> {
                Ok(())
            }
        }
        let made = Plain.make(&[255; 32]).unwrap().unwrap();
        assert_eq!((made.value.len(), made.handle), (43, None));
    }
}
