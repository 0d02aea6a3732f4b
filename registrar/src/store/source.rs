//! Where the database is, and how a connection to it is made.

use std::fs::OpenOptions;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use postgres::NoTls;
use postgres::config::{Host, SslMode};
use rustls::pki_types::CertificateDer;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::database::DatabaseError;

/// Connections to PostgreSQL at once.
const POSTGRES_CONNECTIONS: usize = 6;
/// How long connecting may take, and a statement, and its wait for a lock.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const SERVER_LIMITS: &str =
    "SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '30s'";
/// How long SQLite waits for another process that writes: a backup, or a registrar that is just being replaced.
const SQLITE_WAIT: Duration = Duration::from_secs(5);

/// Where the database is.
pub(crate) enum Source {
    Sqlite(PathBuf),
    Postgres(Box<postgres::Config>, Option<MakeRustlsConnect>),
}

/// A connection.
pub(crate) enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(postgres::Client),
}

/// Why a PostgreSQL server is not accepted as a source.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("it is not understood: {0}")]
    Unreadable(#[source] postgres::Error),
    #[error("the server is on another machine: give the certificate of its authority as ca_file")]
    NeedsTls,
    #[error("the authority's certificate is not accepted: {0}")]
    Authority(#[source] rustls::Error),
}

impl Source {
    /// A PostgreSQL server, by libpq's `host=… user=… dbname=…` or a URL. Through a network it is spoken to over TLS alone.
    pub(crate) fn postgres(
        address: &str,
        password: Option<&str>,
        authority: Option<Vec<CertificateDer<'static>>>,
    ) -> Result<Self, SourceError> {
        let mut config: postgres::Config = address.parse().map_err(SourceError::Unreadable)?;
        if let Some(password) = password {
            config.password(password);
        }
        config.connect_timeout(CONNECT_LIMIT).tcp_user_timeout(CONNECT_LIMIT).application_name("coffer-registrar");
        let Some(authority) = authority else {
            let elsewhere = !config.get_hosts().iter().all(is_here);
            return if elsewhere { Err(SourceError::NeedsTls) } else { Ok(Self::plain(config)) };
        };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in authority {
            roots.add(certificate).map_err(SourceError::Authority)?;
        }
        let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(SourceError::Authority)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.ssl_mode(SslMode::Require);
        Ok(Self::Postgres(Box::new(config), Some(MakeRustlsConnect::new(tls))))
    }

    fn plain(mut config: postgres::Config) -> Self {
        config.ssl_mode(SslMode::Disable);
        Self::Postgres(Box::new(config), None)
    }

    /// How many connections there may be. SQLite has one writer, and every transaction here may write.
    pub(super) fn connections(&self) -> usize {
        match self {
            Self::Sqlite(_) => 1,
            Self::Postgres(..) => POSTGRES_CONNECTIONS,
        }
    }

    /// Makes a connection. Blocks.
    pub(super) fn connect(&self) -> Result<Connection, DatabaseError> {
        match self {
            Self::Sqlite(path) => Ok(Connection::Sqlite(open_sqlite(path)?)),
            Self::Postgres(config, tls) => {
                let client = match tls {
                    Some(tls) => config.connect(tls.clone()),
                    None => config.connect(NoTls),
                };
                let mut client = client.map_err(|error| DatabaseError::Away(error.into()))?;
                client.batch_execute(SERVER_LIMITS).map_err(|error| DatabaseError::Away(error.into()))?;
                Ok(Connection::Postgres(client))
            }
        }
    }
}

impl Connection {
    /// Whether it is of no use any more.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(client) => client.is_closed(),
        }
    }
}

fn open_sqlite(path: &PathBuf) -> Result<rusqlite::Connection, DatabaseError> {
    // SQLite gives its journal the mode of the database, and a new database the one of the process' umask.
    let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    made.map_err(|error| DatabaseError::Away(error.into()))?;
    let opened = || -> rusqlite::Result<rusqlite::Connection> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(SQLITE_WAIT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // An answer that was given must not be forgotten by a power cut: a box keeps its secret once only.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    };
    opened().map_err(|error| DatabaseError::Away(error.into()))
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_another_machine_is_not_spoken_to_in_clear() {
        for (address, here) in [
            ("host=/run/postgresql user=u", true),
            ("host=localhost user=u", true),
            ("host=127.0.0.1 user=u", true),
            ("host=::1 user=u", true),
            ("postgres://u@127.0.0.1:5433/d", true),
            ("host=db.example user=u", false),
            ("host=192.168.1.2 user=u", false),
            ("host=localhost,db.example user=u", false),
            ("postgres://u@db.example/d?sslmode=disable", false),
        ] {
            assert_eq!(Source::postgres(address, None, None).is_ok(), here, "{address}");
        }
    }
}
