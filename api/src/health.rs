//! What anybody may know about a box.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::TunnelState;

/// The state of a box.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "status": "ok",
    "version": "1.0.0",
    "device_id": "6f1d8a52-3c0b-4e7f-9a26-8b5d41c7e093",
    "vault": "unlocked",
    "key_file": "present",
    "lockdown": false,
    "storage_present": true, "tunnel": "none",
    "watchdog_alive": true,
    "problems": [],
}))]
pub struct Health {
    /// `attention` when something needs a person; `problems` says what.
    pub status: HealthStatus,
    /// Version of the daemon.
    pub version: String,
    /// Names this box; random, not a serial number.
    pub device_id: Uuid,
    /// Where the vault is in its life.
    pub vault: VaultState,
    /// The detachable key.
    pub key_file: KeyFileState,
    /// True while the owner has shut the vault against unlocking.
    pub lockdown: bool,
    /// False when the drive for the ciphertext is missing.
    pub storage_present: bool,
    /// False when the watch over the key file has stopped.
    pub watchdog_alive: bool,
    /// The way from afar.
    pub tunnel: TunnelState,
    /// What needs a person, in plain words.
    pub problems: Vec<String>,
}

/// Whether the box needs a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Nothing to do.
    Ok,
    /// See `problems`.
    Attention,
}

/// Where the vault is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VaultState {
    /// There is none yet: the box is unclaimed.
    Absent,
    /// Nothing is readable.
    Locked,
    /// On its way to `unlocked`.
    Unlocking,
    /// In use.
    Unlocked,
    /// On its way to `locked`.
    Locking,
}

/// The detachable key, as the watchdog last saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyFileState {
    /// There is no vault yet, so no key.
    Absent,
    /// In its place, and readable.
    Present,
    /// There is a vault, but its key file is gone.
    Missing,
    /// In its place, but not a key file.
    Corrupt,
}
