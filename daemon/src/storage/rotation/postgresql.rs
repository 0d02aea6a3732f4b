//! The password of a role of a PostgreSQL server. Another role changes it, so there is one at a time: it is in force for new
//! connections as soon as it is changed.
//!
//! The server gets a verifier that is computed here (RFC 5802, as SCRAM-SHA-256), and never sees the password but as a proof of it.

use std::sync::Arc;
use std::time::Duration;

use postgres::config::{ChannelBinding, SslMode};
use postgres::error::SqlState;
use postgres::{Client, Config, Error, NoTls};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use postgres_protocol::password::scram_sha_256;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use super::{Credential, Provider, Refusal};
use crate::storage::outbound::{Outbound, OutboundError};

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a statement may take, and its wait for a lock.
const LIMITS: &str = "-c statement_timeout=10s -c lock_timeout=5s";
/// Longest name of a role; the server cuts longer ones.
const MAX_NAME_BYTES: usize = 63;
/// Longest certificate of an authority.
const MAX_AUTHORITY_BYTES: usize = 32 * 1024;

/// A server.
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) authority: Option<String>,
}

pub(super) struct Role {
    pub(super) outbound: Arc<Outbound>,
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) admin_name: String,
    pub(super) admin: Zeroizing<String>,
}

/// Refuses what could not work.
pub(super) fn check(role: &str, admin_name: &str, authority: Option<&str>) -> Result<(), (&'static str, String)> {
    for (member, name) in [("provider.role", role), ("provider.admin_name", admin_name)] {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
            return Err((member, format!("1 to {MAX_NAME_BYTES} bytes")));
        }
    }
    if role == admin_name {
        return Err(("provider.admin_name", "another role: this one's password is what changes".to_owned()));
    }
    let Some(authority) = authority else { return Ok(()) };
    let is_fine = authority.len() <= MAX_AUTHORITY_BYTES && roots(Some(authority)).is_ok_and(|roots| !roots.is_empty());
    if is_fine { Ok(()) } else { Err(("provider.authority", "certificates in PEM".to_owned())) }
}

impl Place {
    /// Logs in. Nothing was changed when that fails.
    fn connect(&self, outbound: &Outbound, name: &str, password: &str) -> Result<Client, Failed> {
        let address = outbound.resolve(&self.host, self.port).map_err(Failed::Way)?;
        let mut config = Config::new();
        config.host(&self.host).hostaddr(address.ip()).port(self.port).dbname(&self.database);
        config.user(name).password(password).options(LIMITS).application_name("coffer");
        config.connect_timeout(CONNECT_LIMIT).tcp_user_timeout(CONNECT_LIMIT);
        let connected = if address.ip().is_loopback() {
            config.ssl_mode(SslMode::Disable).connect(NoTls)
        } else {
            let roots = roots(self.authority.as_deref()).map_err(|_| Failed::Way(OutboundError::Insecure))?;
            let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(|_| Failed::Way(OutboundError::Insecure))?
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.ssl_mode(SslMode::Require).channel_binding(ChannelBinding::Prefer);
            config.connect(MakeRustlsConnect::new(tls))
        };
        connected.map_err(Failed::Server)
    }
}

/// Why there is no connection.
enum Failed {
    Way(OutboundError),
    Server(Error),
}

impl Failed {
    fn text(&self) -> String {
        match self {
            Self::Way(error) => error.to_string(),
            Self::Server(error) => text(error),
        }
    }
}

/// What the server says, or how it could not be asked. Neither repeats what was asked.
fn text(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => said.message().to_owned(),
        None => "the connection to the server failed".to_owned(),
    }
}

fn roots(authority: Option<&str>) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    let Some(authority) = authority else {
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        let certificate = certificate.map_err(|error| rustls::Error::General(error.to_string()))?;
        roots.add(certificate)?;
    }
    Ok(roots)
}

impl Provider for Role {
    fn apply(&self, made: Option<&Credential>, _: &[String], _: bool) -> Result<Option<Credential>, Refusal> {
        let Some(made) = made else { return Err(Refusal::certain("nothing was made")) };
        let connected = self.place.connect(&self.outbound, &self.admin_name, &self.admin);
        let mut client =
            connected.map_err(|failed| Refusal::certain(format!("the admin role cannot log in: {}", failed.text())))?;
        let role = escape_identifier(&self.name);
        let verifier = escape_literal(&scram_sha_256(made.value.as_bytes()));
        // Said no is not done; a connection that breaks may have been heard.
        let changed = client.batch_execute(&format!("ALTER ROLE {role} PASSWORD {verifier}"));
        changed.map_err(|error| Refusal { text: text(&error), is_certain: error.as_db_error().is_some() })?;
        Ok(None)
    }

    fn verify(&self, credential: &Credential) -> Result<(), Refusal> {
        match self.place.connect(&self.outbound, &self.name, &credential.value) {
            Ok(_) => Ok(()),
            // Who may not into this database has proven the password before.
            Err(Failed::Server(error))
                if error.code().is_some_and(|code| {
                    [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::INVALID_CATALOG_NAME].contains(code)
                }) =>
            {
                Ok(())
            }
            Err(failed) => Err(Refusal {
                text: format!("the role cannot log in: {}", failed.text()),
                is_certain: matches!(&failed, Failed::Server(error) if error.code() == Some(&SqlState::INVALID_PASSWORD)),
            }),
        }
    }

    fn revoke(&self, _: &str) -> Result<(), Refusal> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_before_it_is_tried() {
        let long = "x".repeat(64);
        for (role, admin, authority, expected) in [
            ("app", "admin", None, None),
            ("app \"quoted\"", "admin", None, None),
            ("", "admin", None, Some("provider.role")),
            (&long, "admin", None, Some("provider.role")),
            ("app\0", "admin", None, Some("provider.role")),
            ("app", "", None, Some("provider.admin_name")),
            ("app", "app", None, Some("provider.admin_name")),
            ("app", "admin", Some("no certificate"), Some("provider.authority")),
        ] {
            assert_eq!(check(role, admin, authority).err().map(|(member, _)| member), expected, "{role} {admin}");
        }
    }
}
