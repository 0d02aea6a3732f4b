//! What a network leads to, once the box has an address on it.

use coffer_api::{Connectivity, SetupFailure};

use super::{
    bus::{Bus, Properties},
    error::NetworkError,
};

const DOING: &str = "looking how far the network reaches";

/// What stands in the way, if anything. Without a word from NetworkManager that is for the registration to find out.
pub(crate) async fn check(bus: &Bus) -> Result<Option<SetupFailure>, NetworkError> {
    Ok(match ask(bus).await? {
        Connectivity::Portal => Some(SetupFailure::CaptivePortal),
        Connectivity::None | Connectivity::Limited => Some(SetupFailure::NoInternet),
        Connectivity::Full | Connectivity::Unknown => None,
    })
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
