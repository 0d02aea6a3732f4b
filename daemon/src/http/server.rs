//! Accepts connections on the network and on the control socket.
//!
//! Bounded: so many connections at once, so long for the headers of a request. A client that stops reading costs its
//! buffers only.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use futures_util::{FutureExt, future};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use log::{debug, warn};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::express::{self, Left};
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
        graceful: Mutex::new(Some(GracefulShutdown::new())),
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
        let accept = || async { control.accept().await.map(|(stream, _)| (Either::Right(stream), None)) };
        local.accept_all(Origin::Local, accept).await;
    });
    while loops.join_next().await.is_some() {}
    let graceful = server.graceful.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(graceful) = graceful
        && tokio::time::timeout(SHUTDOWN_LIMIT, graceful.shutdown()).await.is_err()
    {
        warn!("some requests did not end in time");
    }
}

/// From the network, or on the control socket.
type Connection = Either<TcpStream, UnixStream>;

async fn accept_network(listener: &TcpListener) -> io::Result<(Connection, Option<IpAddr>)> {
    let (stream, peer) = listener.accept().await?;
    // Without this a small reply on a kept connection waits 40 ms for the client's delayed acknowledgement.
    stream.set_nodelay(true)?;
    Ok((Either::Left(stream), Some(peer.ip().to_canonical())))
}

struct Server {
    router: Router,
    trusted_proxies: Arc<[IpAddr]>,
    stop: CancellationToken,
    slots: Arc<Semaphore>,
    graceful: Mutex<Option<GracefulShutdown>>,
}

impl Server {
    async fn accept_all<F>(self: &Arc<Self>, origin: Origin, accept: impl Fn() -> F)
    where
        F: Future<Output = io::Result<(Connection, Option<IpAddr>)>>,
    {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let server = Arc::clone(self);
                    tokio::spawn(async move {
                        server.serve(stream, origin, peer).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    warn!(error:% = error; "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(&self, stream: Connection, origin: Origin, peer: Option<IpAddr>) {
        let proxied = peer.is_some_and(|peer| self.trusted_proxies.contains(&peer));
        let router = self.router.clone();
        let answer = move |mut request: Request| {
            let told = if proxied { connecting_address(request.headers()) } else { None };
            request.extensions_mut().insert(origin);
            request.extensions_mut().insert(ClientAddress(told.or(peer)));
            let answered = router.clone().oneshot(request);
            async { answered.await.unwrap_or_else(|never| match never {}) }
        };
        let (stream, first_reply) = match stream {
            Either::Left(stream) => match express::serve(stream, HEADER_LIMIT, &self.stop, &answer).await {
                Some(Left { stream, reply }) => (Either::Left(stream), reply),
                None => return,
            },
            Either::Right(stream) => (Either::Right(stream), None),
        };
        let first_reply = Mutex::new(first_reply);
        let service = service_fn(move |request: Request<Incoming>| {
            let made = first_reply.lock().unwrap_or_else(PoisonError::into_inner).take();
            let reply = match made {
                Some(reply) => future::Either::Left(future::ready(reply)),
                None => future::Either::Right(answer(request.map(Body::new))),
            };
            reply.map(Ok::<_, Infallible>)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let watched = {
            let graceful = self.graceful.lock().unwrap_or_else(PoisonError::into_inner);
            graceful.as_ref().map(|graceful| graceful.watch(connection))
        };
        let Some(watched) = watched else { return };
        if let Err(error) = watched.await {
            // Clients vanish all the time.
            debug!(error:% = error; "a connection ended");
        }
    }
}

/// The address that Cloudflare saw the client at (developers.cloudflare.com, "Cloudflare HTTP headers").
fn connecting_address(headers: &HeaderMap) -> Option<IpAddr> {
    let address: IpAddr = headers.get("cf-connecting-ip")?.to_str().ok()?.trim().parse().ok()?;
    Some(address.to_canonical())
}
