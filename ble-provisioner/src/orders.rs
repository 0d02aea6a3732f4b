//! Fetches from the daemon what people want changed in the network, one order after the other, has the desk do it, and
//! tells how it went. Between two orders it reports which networks the box can join by itself.

use std::{sync::Arc, time::Duration};

use coffer_api::FetchedOrder;
use hyper::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    daemon::{Daemon, DaemonError, SOON},
    desk::Desk,
};

/// The daemon answers within 30 s, with an order or without.
const NEXT_WITHIN: Duration = Duration::from_secs(40);
/// Pause while the daemon does not answer. It gives an order up that nobody fetches for 5 s.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// For as long as the program runs.
pub(crate) async fn carry_out(daemon: Daemon, desk: Arc<Desk>) {
    loop {
        report(&daemon, &desk).await;
        match next(&daemon).await {
            Ok(Some(FetchedOrder { id, change })) => {
                log::info!("an order to change the network: {:?}", change.kind());
                let outcome = desk.change_network(change).await;
                // First: whoever hears that it is done looks at once.
                report(&daemon, &desk).await;
                let path = format!("/api/v1/device/network/orders/{id}");
                let told = daemon.send::<serde_json::Value>(Method::PUT, &path, &outcome, SOON).await;
                if let Err(error) = told {
                    // Who gave the order is told that nobody knows how it went.
                    log::warn!("telling how an order went: {error}");
                }
            }
            Ok(None) => {}
            // Its health is asked for elsewhere, and tells when it does not answer.
            Err(_) => sleep(RETRY_AFTER).await,
        }
    }
}

async fn next(daemon: &Daemon) -> Result<Option<FetchedOrder>, DaemonError> {
    daemon.send(Method::POST, "/api/v1/device/network/orders/next", &json!({}), NEXT_WITHIN).await
}

async fn report(daemon: &Daemon, desk: &Desk) {
    if let Some(saved) = desk.saved_networks().await {
        // What does not arrive is told again.
        drop(daemon.send::<serde_json::Value>(Method::PUT, "/api/v1/device/networks", &saved, SOON).await);
    }
}
