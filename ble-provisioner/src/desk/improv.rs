//! Improv, as far as it is decided or done here: whether it is on, and joining a network for an app.

use coffer_api::{DeviceTunnel, SetupAccess, WifiRequest};
use serde_json::json;
use tokio::sync::watch;

use super::{Asker, Desk, Outcome};
use crate::{
    daemon::SOON,
    errors::{self, SetupErrorFrom},
    improv::{RISK, Wifi},
};

impl Desk {
    /// Whether it is on, now and whenever that changes.
    pub(crate) fn improv(&self) -> watch::Receiver<bool> {
        self.improv.subscribe()
    }

    /// Switches it on or off, for a session.
    pub(super) async fn switch_improv(&self, asker: &Asker, enabled: bool) -> Outcome {
        match asker.access {
            SetupAccess::Setup | SetupAccess::Owner => {}
            SetupAccess::Recovery => return Err(errors::not_allowed().into()),
        }
        self.set_improv(enabled).await?;
        Ok(json!({"risk": enabled.then_some(RISK)}))
    }

    /// Switches it on or off; it is so on disk when this returns.
    pub(crate) async fn set_improv(&self, enabled: bool) -> Result<(), SetupErrorFrom> {
        self.remember(move |store| Ok(store.set_improv(enabled)?)).await?;
        if self.improv.send_replace(enabled) != enabled {
            log::info!("Improv is {} now", if enabled { "on" } else { "off" });
        }
        Ok(())
    }

    /// Joins a network as `connect` on `wifi_config` does; the address from outside, if the box has one.
    pub(crate) async fn join(&self, Wifi { ssid, password }: Wifi) -> Result<Option<String>, ()> {
        // An app of this kind cannot tell the time. Where nobody did, the network has to; so it counts though it shows
        // no way to the internet yet.
        let local_only = !self.network.knows_the_time();
        let connect =
            WifiRequest::Connect { ssid, security: None, password, hidden: false, enterprise: None, local_only };
        self.wifi(connect).await.map_err(|error| {
            log::info!("the network that an app named was not joined: {}", error.happened);
        })?;
        let tunnel = self.daemon.get::<DeviceTunnel>("/api/v1/device/tunnel", SOON).await;
        Ok(tunnel.ok().and_then(|tunnel| tunnel.server_url))
    }
}
