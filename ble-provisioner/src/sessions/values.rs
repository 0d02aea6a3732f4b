//! What the four readable characteristics say, and whether that is news. Knows their JSON, and not who reads it.

use coffer_api::{DeviceRegistration, DeviceTunnel, NetworkStatus, SetupError, WifiScan};
use coffer_crypto::channel::Channel;
use serde_json::{Value, json};

/// The networks that are told of. With 40 of them the value stays below what a message holds.
const MAX_NETWORKS: usize = 40;

/// The latest of each.
#[derive(Debug)]
pub(crate) struct Values {
    scan: Value,
    scanning: bool,
    status: Value,
    server_url: Value,
    registration: Value,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            scan: json!({"age_s": null, "networks": []}),
            scanning: false,
            status: json!({"state": "unavailable"}),
            server_url: json!({"server_url": null, "tunnel": "none"}),
            registration: json!({"state": "none"}),
        }
    }
}

impl Values {
    /// The value of a characteristic that is read; `None` for the others.
    pub(crate) fn of(&self, channel: Channel) -> Option<Value> {
        match channel {
            Channel::WifiScan => {
                let mut scan = self.scan.clone();
                if let Some(fields) = scan.as_object_mut() {
                    fields.insert("scanning".to_owned(), self.scanning.into());
                }
                Some(scan)
            }
            Channel::WifiStatus => Some(self.status.clone()),
            Channel::ServerUrl => Some(self.server_url.clone()),
            Channel::Registration => Some(self.registration.clone()),
            Channel::Session | Channel::WifiConfig | Channel::UserToken | Channel::Control => None,
        }
    }

    /// The radio looks around now.
    pub(crate) fn scan_began(&mut self) {
        self.scanning = true;
    }

    /// It has looked around.
    pub(crate) fn scanned(&mut self, outcome: Result<WifiScan, SetupError>) {
        self.scanning = false;
        self.scan = match outcome {
            Ok(mut scan) => {
                scan.networks.truncate(MAX_NETWORKS);
                json!(scan)
            }
            Err(error) => json!({"age_s": null, "networks": [], "error": error}),
        };
    }

    /// Whether this status is another one.
    pub(crate) fn set_status(&mut self, status: &NetworkStatus) -> bool {
        replace(&mut self.status, json!(status))
    }

    /// Whether this tunnel is another one.
    pub(crate) fn set_tunnel(&mut self, tunnel: &DeviceTunnel) -> bool {
        replace(&mut self.server_url, json!({"server_url": tunnel.server_url, "tunnel": tunnel.tunnel}))
    }

    /// Whether the registration got on.
    pub(crate) fn set_registration(&mut self, registration: &DeviceRegistration) -> bool {
        let DeviceRegistration { state, step, attempt, retry_after_s, error, .. } = registration;
        let value =
            json!({"state": state, "step": step, "attempt": attempt, "retry_after_s": retry_after_s, "error": error});
        replace(&mut self.registration, value)
    }
}

fn replace(value: &mut Value, with: Value) -> bool {
    let news = *value != with;
    *value = with;
    news
}
