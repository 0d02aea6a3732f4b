//! A change of the network that goes away by itself: NetworkManager takes it back when the time is over, whatever has
//! become of this process, unless it is kept.

use std::time::Duration;

use zbus::OwnedObjectPath;

use super::{
    bus::{Bus, OwnedSettings},
    device::Device,
    error::NetworkError,
};

/// `NMCheckpointCreateFlags`: profiles that were added since go with it.
const DELETE_NEW_CONNECTIONS: u32 = 0x2;
/// `NMSettingsUpdate2Flags`: from memory into the profile's file.
const TO_DISK: u32 = 0x1;

/// Such a change. Dropping it leaves the matter to NetworkManager's clock.
pub(crate) struct Checkpoint {
    bus: Bus,
    path: OwnedObjectPath,
}

impl Checkpoint {
    /// From here on. What another change has left open is taken back first: NetworkManager allows one for a device.
    pub(crate) async fn create(bus: &Bus, device: &Device, takes_back_after: Duration) -> Result<Self, NetworkError> {
        take_back_all(bus).await?;
        let seconds = u32::try_from(takes_back_after.as_secs().max(1)).unwrap_or(u32::MAX);
        let manager = bus.manager().await.map_err(NetworkError::doing("creating a checkpoint"))?;
        let path = manager
            .checkpoint_create(&[&device.path.as_ref()], seconds, DELETE_NEW_CONNECTIONS)
            .await
            .map_err(NetworkError::doing("creating a checkpoint"))?;
        Ok(Self { bus: bus.clone(), path })
    }

    /// Whether NetworkManager has not taken the change back.
    pub(crate) async fn is_open(&self) -> Result<bool, NetworkError> {
        Ok(open(&self.bus).await.map_err(NetworkError::doing("looking for the change"))?.contains(&self.path))
    }

    /// Keeps the change, and the profile that makes it also over a restart. In this order a power cut between the two
    /// leaves a network that works: NetworkManager takes nothing back after a restart.
    pub(crate) async fn keep(self, profile: &OwnedObjectPath) -> Result<(), NetworkError> {
        if let Err(error) = self.store(profile).await {
            self.take_back().await?;
            return Err(NetworkError::doing("storing the profile")(error));
        }
        let manager = self.bus.manager().await.map_err(NetworkError::doing("keeping the change"))?;
        manager.checkpoint_destroy(&self.path.as_ref()).await.map_err(NetworkError::doing("keeping the change"))
    }

    async fn store(&self, profile: &OwnedObjectPath) -> zbus::Result<()> {
        let as_it_is = OwnedSettings::new();
        self.bus.profile(profile).await?.update(&as_it_is, TO_DISK, [].into()).await?;
        Ok(())
    }

    /// Brings back what was before.
    pub(crate) async fn take_back(self) -> Result<(), NetworkError> {
        take_back(&self.bus, &self.path).await.map_err(NetworkError::doing("taking the change back"))
    }
}

/// Takes back every change that is open. Nobody else on the box makes checkpoints: these are of a process that died, or
/// of a request that was given up.
pub(crate) async fn take_back_all(bus: &Bus) -> Result<(), NetworkError> {
    const DOING: &str = "taking back an unfinished change";
    for path in open(bus).await.map_err(NetworkError::doing(DOING))? {
        take_back(bus, &path).await.map_err(NetworkError::doing(DOING))?;
        log::warn!("took back a change of the network that nobody had finished");
    }
    Ok(())
}

async fn open(bus: &Bus) -> zbus::Result<Vec<OwnedObjectPath>> {
    Ok(bus.manager_properties().await?.take("Checkpoints").unwrap_or_default())
}

async fn take_back(bus: &Bus, path: &OwnedObjectPath) -> zbus::Result<()> {
    bus.manager().await?.checkpoint_rollback(&path.as_ref()).await?;
    Ok(())
}
