//! Changes of the network that people ask for over REST, in the words of the network module. The same changes as a phone's.

use coffer_api::{NetworkChange, OrderOutcome, SavedNetworks};

use super::Desk;
use crate::{errors::SetupErrorFrom, outlook};

/// What the daemon takes.
const MAX_NETWORKS: usize = 64;

impl Desk {
    /// The networks that the box can join by itself. `None` when nobody can tell.
    pub(crate) async fn saved_networks(&self) -> Option<SavedNetworks> {
        let mut networks = self.network.saved().await.inspect_err(|error| log::debug!("{error}")).ok()?;
        networks.truncate(MAX_NETWORKS);
        Some(SavedNetworks { networks })
    }

    /// Changes the network, and says how it went.
    pub(crate) async fn change_network(&self, change: NetworkChange) -> OrderOutcome {
        let outcome = self.do_change_network(change).await;
        self.report_network(&outlook::of(&self.network.look().await)).await;
        match outcome {
            Ok(confirm_within_s) => OrderOutcome { confirm_within_s, failure: None },
            Err(SetupErrorFrom(error)) => OrderOutcome { confirm_within_s: None, failure: Some(error) },
        }
    }

    async fn do_change_network(&self, change: NetworkChange) -> Result<Option<u64>, SetupErrorFrom> {
        match change {
            NetworkChange::Join(network) => self.network.connect(&network).await?,
            NetworkChange::Forget(ssid) => self.network.forget(&ssid).await?,
            NetworkChange::SetAddress(address) => {
                return Ok(Some(self.network.set_address(&address).await?.confirm_within_s));
            }
            NetworkChange::ConfirmAddress {} => self.network.confirm_address().await?,
        }
        Ok(None)
    }
}
