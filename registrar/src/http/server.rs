//! Accepts connections, in clear for a proxy on the same machine or with TLS of its own.
//!
//! Bounded: so many connections at once, so long for a handshake and for the headers of a request.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use log::{debug, warn};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Connections at once.
const CONNECTIONS: usize = 1024;
/// How long a TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long the headers of a request may take to arrive; also how long an idle connection is kept.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// How long running requests may go on when the program stops. What they leave undone is done when they are asked again.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);
/// Pause after a failure to accept, which is mostly a lack of descriptors that others will give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, and then until the running requests have ended.
pub(crate) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let server = Arc::new(Server { router, tls, graceful: std::sync::Mutex::new(Some(GracefulShutdown::new())) });
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(Arc::clone(&server).start(stream, slot));
            }
            Err(error) => {
                warn!(error:% = error; "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let graceful = server.graceful.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(graceful) = graceful
        && tokio::time::timeout(SHUTDOWN_LIMIT, graceful.shutdown()).await.is_err()
    {
        warn!("some requests did not end in time");
    }
}

struct Server {
    router: Router,
    tls: Option<TlsAcceptor>,
    graceful: std::sync::Mutex<Option<GracefulShutdown>>,
}

impl Server {
    async fn start(self: Arc<Self>, stream: TcpStream, slot: OwnedSemaphorePermit) {
        // Without this a small reply on a kept connection waits 40 ms for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(error:% = error; "a connection ended");
            return;
        }
        match &self.tls {
            None => self.speak(stream).await,
            Some(tls) => match tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream).await,
                Ok(Err(error)) => debug!(error:% = error; "a handshake failed"),
                Err(_) => debug!("a handshake took too long"),
            },
        }
        drop(slot);
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let router = self.router.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            router.clone().oneshot(request.map(axum::body::Body::new))
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
