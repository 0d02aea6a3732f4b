//! Accepts connections on the network and on the control socket.
//!
//! Bounded: so many connections at once, so long for the headers of a request. A client that stops reading costs its
//! buffers only.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use log::{debug, warn};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::extract::ClientAddress;
use crate::service::vault::Origin;

/// Connections at once, of both kinds together.
const CONNECTIONS: usize = 512;
/// How long the headers of a request may take to arrive; also how long an idle connection is kept.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// How long running requests may go on when the daemon stops. By then the vault is locked, and they have ended.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);
/// Pause after a failure to accept, which is mostly a lack of descriptors that others will give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, and then until the running requests have ended.
///
/// A peer in `trusted_proxies` is believed when it says in `CF-Connecting-IP` whom it speaks for.
pub(crate) async fn serve(
    network: Vec<TcpListener>,
    control: UnixListener,
    router: Router,
    trusted_proxies: Vec<IpAddr>,
    stop: CancellationToken,
) {
    let server = Arc::new(Server {
        router,
        trusted_proxies: trusted_proxies.into(),
        stop,
        slots: Arc::new(Semaphore::new(CONNECTIONS)),
        graceful: std::sync::Mutex::new(Some(GracefulShutdown::new())),
    });
    let mut loops = tokio::task::JoinSet::new();
    for listener in network {
        let server = Arc::clone(&server);
        loops.spawn(async move {
            server.accept_all(Origin::Network, || accept_network(&listener)).await;
        });
    }
    let local = Arc::clone(&server);
    loops.spawn(async move {
        local.accept_all(Origin::Local, || async { control.accept().await.map(|(stream, _)| (stream, None)) }).await;
    });
    while loops.join_next().await.is_some() {}
    let graceful = server.graceful.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    if let Some(graceful) = graceful
        && tokio::time::timeout(SHUTDOWN_LIMIT, graceful.shutdown()).await.is_err()
    {
        warn!("some requests did not end in time");
    }
}

async fn accept_network(listener: &TcpListener) -> io::Result<(tokio::net::TcpStream, Option<IpAddr>)> {
    let (stream, peer) = listener.accept().await?;
    // Without this a small reply on a kept connection waits 40 ms for the client's delayed acknowledgement.
    stream.set_nodelay(true)?;
    Ok((stream, Some(peer.ip().to_canonical())))
}

struct Server {
    router: Router,
    trusted_proxies: Arc<[IpAddr]>,
    stop: CancellationToken,
    slots: Arc<Semaphore>,
    graceful: std::sync::Mutex<Option<GracefulShutdown>>,
}

impl Server {
    async fn accept_all<S, F>(&self, origin: Origin, accept: impl Fn() -> F)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = io::Result<(S, Option<IpAddr>)>>,
    {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.start(stream, origin, peer, slot),
                Err(error) => {
                    warn!(error:% = error; "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn start<S>(&self, stream: S, origin: Origin, peer: Option<IpAddr>, slot: tokio::sync::OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router.clone();
        let proxied = peer.is_some_and(|peer| self.trusted_proxies.contains(&peer));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let told = if proxied { connecting_address(request.headers()) } else { None };
            request.extensions_mut().insert(origin);
            request.extensions_mut().insert(ClientAddress(told.or(peer)));
            router.clone().oneshot(request.map(axum::body::Body::new))
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let graceful = self.graceful.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(watched) = graceful.as_ref().map(|graceful| graceful.watch(connection)) else { return };
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                // Clients vanish all the time.
                debug!(error:% = error; "a connection ended");
            }
            drop(slot);
        });
    }
}

/// The address that Cloudflare saw the client at (developers.cloudflare.com, "Cloudflare HTTP headers").
fn connecting_address(headers: &HeaderMap) -> Option<IpAddr> {
    let address: IpAddr = headers.get("cf-connecting-ip")?.to_str().ok()?.trim().parse().ok()?;
    Some(address.to_canonical())
}
