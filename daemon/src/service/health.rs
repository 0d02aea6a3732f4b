//! What anybody may know about the box, locked or not.

use std::path::PathBuf;
use std::sync::Arc;

use coffer_api::{Health, HealthStatus, KeyFileState, VaultState};

use super::error::KeyFileProblem;
use super::vault::Vault;
use super::watchdog::Watchdog;
use crate::storage::durable;

/// Largest report that is read.
const MAX_REPORT_BYTES: u64 = 4096;

/// Looks at the state of the box.
pub(crate) struct HealthCheck {
    vault: Arc<Vault>,
    watchdog: Arc<Watchdog>,
    storage_report: Option<PathBuf>,
}

impl HealthCheck {
    /// For that vault. `storage_report` is where the system leaves a line about a drive that it could not take.
    pub(crate) fn new(vault: Arc<Vault>, watchdog: Arc<Watchdog>, storage_report: Option<PathBuf>) -> Self {
        Self { vault, watchdog, storage_report }
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
        let storage_present = self.vault.storage_present();
        let watchdog_alive = self.watchdog.is_alive();
        let mut problems = Vec::new();
        if !storage_present {
            let missing = "the storage drive is missing: check that it is plugged in".to_owned();
            problems.push(self.storage_report().unwrap_or(missing));
        }
        match key_file {
            KeyFileState::Absent | KeyFileState::Present => {}
            KeyFileState::Missing => problems.push("the key file is missing: attach the key".to_owned()),
            KeyFileState::Corrupt => problems.push("the key file is damaged: restore it from a backup".to_owned()),
        }
        if !watchdog_alive {
            problems.push("the watch over the key file has stopped: restart the box".to_owned());
        }
        let status = if problems.is_empty() { HealthStatus::Ok } else { HealthStatus::Attention };
        Health {
            status,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device_id: self.vault.device().id,
            vault,
            key_file,
            lockdown: self.vault.lockdown(),
            storage_present,
            watchdog_alive,
            problems,
        }
    }

    fn storage_report(&self) -> Option<String> {
        let bytes = durable::read_small_file(self.storage_report.as_ref()?, MAX_REPORT_BYTES).ok()?;
        let line = String::from_utf8_lossy(&bytes).trim().to_owned();
        (!line.is_empty()).then_some(line)
    }
}
