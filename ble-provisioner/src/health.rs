//! Asks the daemon how the box is. Remembers nothing but the device id.

use coffer_api::VaultState;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    daemon::{self, SOON},
    info::Daemon,
};

/// The box as the daemon sees it.
pub(crate) struct Health {
    daemon: daemon::Daemon,
    device_id: watch::Sender<Uuid>,
    reachable: watch::Sender<bool>,
}

impl Health {
    /// A view through the daemon, which need not run yet.
    pub(crate) fn new(daemon: daemon::Daemon) -> Self {
        Self { daemon, device_id: watch::Sender::new(Uuid::nil()), reachable: watch::Sender::new(true) }
    }

    /// Asks now; at most two seconds.
    pub(crate) async fn ask(&self) -> Daemon {
        let answer = self.daemon.get::<coffer_api::Health>("/health", SOON).await;
        let was_reachable = self.reachable.send_replace(answer.is_ok());
        match answer {
            Ok(report) => {
                if !was_reachable {
                    log::info!("the daemon answers again");
                }
                self.device_id.send_if_modified(|known| std::mem::replace(known, report.device_id) != report.device_id);
                about_vault(report.vault)
            }
            Err(error) => {
                if was_reachable {
                    let socket = self.daemon.control_socket().display().to_string();
                    log::warn!(socket = socket; "the daemon is not reachable: {error}");
                }
                Daemon::Unreachable
            }
        }
    }

    /// The device id that the daemon told last; nil when it never did.
    pub(crate) fn device_id(&self) -> Uuid {
        *self.device_id.borrow()
    }

    /// Tells when the device id turns out to be another one.
    pub(crate) fn device_id_changes(&self) -> watch::Receiver<Uuid> {
        self.device_id.subscribe()
    }
}

/// A box is claimed as soon as there is a vault, also while its key is detached.
fn about_vault(state: VaultState) -> Daemon {
    match state {
        VaultState::Absent => Daemon::Reachable { claimed: false, unlocked: false },
        VaultState::Locked | VaultState::Unlocking | VaultState::Locking => {
            Daemon::Reachable { claimed: true, unlocked: false }
        }
        VaultState::Unlocked => Daemon::Reachable { claimed: true, unlocked: true },
    }
}
