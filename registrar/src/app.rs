//! Puts the program together: the one place that names every concrete part.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use log::info;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::clock::{Ids, SharedClock};
use crate::config::{self, Config, ConfigError};
use crate::http::{self, Services, server};
use crate::outside::cloudflare::{Cloudflare, Settings};
use crate::outside::outbound::Outbound;
use crate::service::devices::Devices;
use crate::service::identity::{Identity, Provider, Source as Keys};
use crate::service::limits::Limits;
use crate::service::registrations::Registrations;
use crate::service::sealing::Sealer;
use crate::service::tickets::Tickets;
use crate::service::{Error, tokens};
use crate::store::database::{Database, DatabaseError};
use crate::store::source::{Source, SourceError};

/// How often removals that were cut off go on, and what is old is forgotten.
const SWEEP: Duration = Duration::from_mins(5);

/// A reason not to start, or not to go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the configuration: {0}")]
    Config(#[from] ConfigError),
    #[error("the configuration: database: give either sqlite or postgres")]
    WhichDatabase,
    #[error("the configuration: users: give either jwks_file or jwks_url")]
    WhichKeys,
    #[error("the configuration: the file of cloudflare.token_file holds no API token")]
    CloudflareToken,
    #[error("the configuration: database.postgres: {0}")]
    Source(#[from] SourceError),
    #[error("the database cannot be used: {}", chain(.0))]
    Database(#[from] DatabaseError),
    #[error("the database was written with another sealing key: restore the file of sealing_key_file")]
    OtherKey,
    #[error("the sealing key cannot be checked: {}", chain(.0))]
    Key(Error),
    #[error("cannot listen on {address}: {cause}")]
    Listen { address: SocketAddr, cause: io::Error },
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

/// Runs until it is told to stop.
pub(crate) fn serve(config: &Config, clock: SharedClock) -> Result<(), Failure> {
    tokens::install_provider();
    let tls = config.tls()?.map(|tls| TlsAcceptor::from(Arc::new(tls)));
    let sealer = Arc::new(Sealer::new(config.sealing_key()?));
    let database = Database::open(source(config)?)?;
    let devices = &config.devices.domain;
    let services = assemble(config, database.clone(), Arc::clone(&sealer), clock)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        if !sealer.fits(&database).await.map_err(Failure::Key)? {
            return Err(Failure::OtherKey);
        }
        services.devices.forget().await;
        let unable = |cause| Failure::Listen { address: config.listen, cause };
        let listener = TcpListener::bind(config.listen).await.map_err(unable)?;
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        writeln!(io::stdout(), "coffer-registrar listens on {scheme}://{address} for boxes below {devices}")?;
        info!(address:% = address; "started");
        run(listener, tls, services).await?;
        info!("stopped");
        Ok(())
    });
    // Here, and not on a worker of the runtime: closing a connection to PostgreSQL blocks.
    drop(runtime);
    drop(database);
    served
}

async fn run(listener: TcpListener, tls: Option<TlsAcceptor>, services: Services) -> io::Result<()> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        told.cancel();
    });
    let (devices, stopped) = (Arc::clone(&services.devices), stop.clone());
    let sweeping = tokio::spawn(async move {
        let mut rounds = tokio::time::interval(SWEEP);
        while stopped.run_until_cancelled(rounds.tick()).await.is_some() {
            let sweep = async {
                devices.go_on().await;
                devices.forget().await;
            };
            if stopped.run_until_cancelled(sweep).await.is_none() {
                break;
            }
        }
    });
    server::serve(listener, tls, http::router(services), stop).await;
    sweeping.await.map_err(io::Error::other)
}

fn assemble(config: &Config, database: Database, sealer: Arc<Sealer>, clock: SharedClock) -> Result<Services, Failure> {
    let outbound = Outbound::new();
    let settings = Settings {
        api: config.cloudflare.api.trim_end_matches('/').to_owned(),
        account_id: config.cloudflare.account_id.clone(),
        zone_id: config.cloudflare.zone_id.clone(),
        token: config.secret(&config.cloudflare.token_file)?,
    };
    let cloudflare = Arc::new(Cloudflare::new(&settings, outbound.clone()).ok_or(Failure::CloudflareToken)?);
    let identity = Arc::new(Identity::new(provider(config)?, outbound, Arc::clone(&clock)));
    let limits = Arc::new(Limits::new(config.limits.requests_per_minute, Arc::clone(&clock)));
    let tickets = Arc::new(Tickets::new(database.clone(), Arc::clone(&clock)));
    let domain = config.devices.domain.clone();
    let devices = Arc::new(Devices::new(
        database.clone(),
        Arc::clone(&cloudflare),
        Arc::clone(&sealer),
        Arc::clone(&clock),
        domain.clone(),
    ));
    let registrations = Arc::new(Registrations {
        database,
        cloudflare,
        identity: Arc::clone(&identity),
        limits: Arc::clone(&limits),
        devices: Arc::clone(&devices),
        sealer,
        ids: Ids::new(Arc::clone(&clock)),
        clock,
        domain,
        per_user: config.devices.per_user,
    });
    Ok(Services { identity, limits, tickets, registrations, devices })
}

fn provider(config: &Config) -> Result<Provider, Failure> {
    let config::Users { issuer, audience, jwks_file, jwks_url } = &config.users;
    let keys = match (jwks_file, jwks_url) {
        (Some(file), None) => Keys::File(config.locate(file)),
        (None, Some(url)) => Keys::Url(url.clone()),
        (Some(_), Some(_)) | (None, None) => return Err(Failure::WhichKeys),
    };
    Ok(Provider { issuer: issuer.clone(), audience: audience.clone(), keys })
}

fn source(config: &Config) -> Result<Source, Failure> {
    let config::Database { sqlite, postgres, password_file, ca_file } = &config.database;
    match (sqlite, postgres) {
        (Some(path), None) => Ok(Source::Sqlite(config.locate(path))),
        (None, Some(address)) => {
            let password = password_file.as_ref().map(|file| config.secret(file)).transpose()?;
            let authority = ca_file.as_ref().map(|file| config.certificates(file)).transpose()?;
            Ok(Source::postgres(address, password.as_ref().map(|password| password.as_str()), authority)?)
        }
        (Some(_), Some(_)) | (None, None) => Err(Failure::WhichDatabase),
    }
}
