//! What a network leads to, once the box has an address on it.

use std::time::Duration;

use coffer_api::{Connectivity, SetupFailure};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{
    bus::{Bus, Properties},
    error::NetworkError,
};

const DOING: &str = "looking how far the network reaches";

/// Whom the box has to reach.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Host and port of the service that it is to register with; without one only NetworkManager is asked.
    pub host: Option<(String, u16)>,
    /// How long the way there may take.
    pub limit: Duration,
}

/// What stands in the way, if anything.
pub(crate) async fn check(bus: &Bus, reach: &Reach) -> Result<Option<SetupFailure>, NetworkError> {
    let connectivity = ask(bus).await?;
    if connectivity == Connectivity::Portal {
        return Ok(Some(SetupFailure::CaptivePortal));
    }
    Ok(match &reach.host {
        // Our own way counts for more than NetworkManager's, which leads to another host.
        Some((host, port)) => way_to(host, *port, reach.limit).await,
        None => matches!(connectivity, Connectivity::None | Connectivity::Limited).then_some(SetupFailure::NoInternet),
    })
}

async fn way_to(host: &str, port: u16, limit: Duration) -> Option<SetupFailure> {
    let Ok(Ok(addresses)) = timeout(limit, lookup_host((host, port))).await else {
        return Some(SetupFailure::DnsBlocked);
    };
    let connect = async {
        for address in addresses {
            if TcpStream::connect(address).await.is_ok() {
                return true;
            }
        }
        false
    };
    let reached = timeout(limit, connect).await.unwrap_or(false);
    (!reached).then_some(SetupFailure::NoInternet)
}

/// Lets NetworkManager check now.
async fn ask(bus: &Bus) -> Result<Connectivity, NetworkError> {
    let mut manager = bus.manager_properties().await.map_err(NetworkError::doing(DOING))?;
    if !checks(&mut manager) {
        return Ok(Connectivity::Unknown);
    }
    let proxy = bus.manager().await.map_err(NetworkError::doing(DOING))?;
    proxy.check_connectivity().await.map(connectivity).map_err(NetworkError::doing(DOING))
}

/// What NetworkManager found last.
pub(crate) fn checked(manager: &mut Properties) -> Connectivity {
    if checks(manager) { connectivity(manager.take("Connectivity").unwrap_or(0)) } else { Connectivity::Unknown }
}

/// Where it does not check, NetworkManager claims that all is well.
fn checks(manager: &mut Properties) -> bool {
    manager.take("ConnectivityCheckAvailable") == Some(true) && manager.take("ConnectivityCheckEnabled") == Some(true)
}

/// From `NMConnectivityState`.
fn connectivity(state: u32) -> Connectivity {
    match state {
        1 => Connectivity::None,
        2 => Connectivity::Portal,
        3 => Connectivity::Limited,
        4 => Connectivity::Full,
        _ => Connectivity::Unknown,
    }
}
