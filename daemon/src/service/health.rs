//! What anybody may know about the box, locked or not.

use std::sync::Arc;

use coffer_api::{Health, HealthStatus, KeyFileState, VaultState};

use super::error::KeyFileProblem;
use super::problems::Problems;
use super::tunnel::Tunnel;
use super::vault::Vault;
use super::watchdog::Watchdog;

/// Looks at the state of the box.
pub(crate) struct HealthCheck {
    vault: Arc<Vault>,
    watchdog: Arc<Watchdog>,
    tunnel: Arc<Tunnel>,
    problems: Arc<Problems>,
}

impl HealthCheck {
    /// For that vault.
    pub(crate) fn new(
        vault: Arc<Vault>,
        watchdog: Arc<Watchdog>,
        tunnel: Arc<Tunnel>,
        problems: Arc<Problems>,
    ) -> Self {
        Self { vault, watchdog, tunnel, problems }
    }

    /// The state now.
    pub(crate) fn look(&self) -> Health {
        let vault = self.vault.state();
        let key_file = match (vault, self.watchdog.problem()) {
            (VaultState::Absent, _) => KeyFileState::Absent,
            (_, None) => KeyFileState::Present,
            (_, Some(KeyFileProblem::Missing | KeyFileProblem::Unreadable)) => KeyFileState::Missing,
            (_, Some(KeyFileProblem::Damaged | KeyFileProblem::Newer | KeyFileProblem::Replaced)) => {
                KeyFileState::Corrupt
            }
        };
        let problems = self.problems.look().into_iter();
        let problems: Vec<String> =
            problems.map(|problem| format!("{} {}", problem.happened, problem.try_next)).collect();
        Health {
            status: if problems.is_empty() { HealthStatus::Ok } else { HealthStatus::Attention },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device_id: self.vault.device().id(),
            vault,
            key_file,
            lockdown: self.vault.lockdown(),
            storage_present: self.vault.storage_present(),
            watchdog_alive: self.watchdog.is_alive(),
            tunnel: self.tunnel.state(),
            problems,
        }
    }
}
