//! The Wi-Fi profiles that NetworkManager keeps.

use coffer_api::{SavedNetwork, Ssid, WifiSecurity};
use zbus::OwnedObjectPath;

use super::{bus::Bus, error::NetworkError, profile};

const DOING: &str = "reading the profiles";

/// One of them.
pub(crate) struct Saved {
    pub(crate) path: OwnedObjectPath,
    pub(crate) ssid: Ssid,
    pub(crate) security: Option<WifiSecurity>,
}

/// All of them.
pub(crate) async fn all(bus: &Bus) -> Result<Vec<Saved>, NetworkError> {
    let store = bus.profile_store().await.map_err(NetworkError::doing(DOING))?;
    let mut found = Vec::new();
    for path in store.list_connections().await.map_err(NetworkError::doing(DOING))? {
        let profile = bus.profile(&path).await.map_err(NetworkError::doing(DOING))?;
        // One that was deleted since is none.
        let Ok(mut settings) = profile.get_settings().await else { continue };
        let security = profile::security_of(&settings);
        found.extend(profile::ssid_of(&mut settings).map(|ssid| Saved { path, ssid, security }));
    }
    Ok(found)
}

/// The networks that they are for, each once.
pub(crate) async fn networks(bus: &Bus) -> Result<Vec<SavedNetwork>, NetworkError> {
    let mut networks: Vec<SavedNetwork> = Vec::new();
    for Saved { ssid, security, .. } in all(bus).await? {
        if !networks.iter().any(|known| known.ssid == ssid) {
            networks.push(SavedNetwork { ssid, security });
        }
    }
    Ok(networks)
}

/// Deletes all of them.
pub(crate) async fn delete_all(bus: &Bus) -> Result<(), NetworkError> {
    const DOING: &str = "deleting a profile";
    for saved in all(bus).await? {
        let profile = bus.profile(&saved.path).await.map_err(NetworkError::doing(DOING))?;
        profile.delete().await.map_err(NetworkError::doing(DOING))?;
    }
    Ok(())
}

/// Deletes those of a network, but `kept`; says how many there were.
pub(crate) async fn delete(bus: &Bus, ssid: &Ssid, kept: Option<&OwnedObjectPath>) -> Result<usize, NetworkError> {
    const DOING: &str = "deleting a profile";
    let mut deleted = 0;
    for saved in all(bus).await? {
        if saved.ssid == *ssid && Some(&saved.path) != kept {
            let profile = bus.profile(&saved.path).await.map_err(NetworkError::doing(DOING))?;
            profile.delete().await.map_err(NetworkError::doing(DOING))?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
