//! Updates of the box's image.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which image runs, and what becomes of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "version": "0.1.0", "slot": "A", "proved": true, "channel": "https://updates.example/coffer-rpi5.json",
    "state": "installing", "percent": 40, "offered_version": "0.2.0", "failure": null, "history": [] }))]
pub struct DeviceUpdate {
    /// Version of the image that runs.
    pub version: String,
    /// The half of the card that it runs from, `A` or `B`. Null until the box has looked.
    pub slot: Option<String>,
    /// Whether it has proved itself. Until then, a restart leads back to the other slot.
    pub proved: Option<bool>,
    /// Where the box looks for updates. Null when it was not told.
    pub channel: Option<String>,
    /// What goes on.
    pub state: DeviceUpdateState,
    /// How much of it is done.
    pub percent: Option<u8>,
    /// What is being installed, or was; once its signature was verified.
    pub offered_version: Option<String>,
    /// Why the last update was not installed.
    pub failure: Option<UpdateFailure>,
    /// What was installed before, the newest first; at most twenty.
    pub history: Vec<PastUpdate>,
}

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceUpdateState {
    /// Nothing.
    Idle,
    /// A bundle is on its way to the box.
    Receiving,
    /// It is being verified and written to the slot that does not run.
    Installing,
    /// It is written, and is tried at the next restart.
    Installed,
    /// It was not installed; see `failure`. The image that runs was not touched.
    Failed,
}

/// Why an update was not installed, and what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateFailure {
    /// For programs.
    pub code: UpdateFailureCode,
    /// What happened.
    pub happened: String,
    /// What to do.
    #[serde(rename = "try")]
    pub try_next: String,
}

/// What can be wrong with an update. Once published, a code keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateFailureCode {
    /// The bundle is damaged, is for another kind of box, or nobody whom this box trusts has signed it.
    BundleRefused,
    /// The other slot could not be written.
    InstallFailed,
    /// The power went, or the box was restarted, while it was being installed.
    Interrupted,
}

/// An update of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PastUpdate {
    /// What was to be installed.
    pub version: String,
    /// What ran before.
    pub from_version: String,
    /// When it was written to the card, or refused.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What became of it.
    pub outcome: UpdateOutcome,
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateOutcome {
    /// It waits for a restart.
    Installed,
    /// It runs, and has not proved itself yet.
    OnTrial,
    /// It runs, and starts from now on.
    Proved,
    /// It did not prove itself: the image from before runs again.
    FellBack,
    /// It was not installed.
    Failed,
}
