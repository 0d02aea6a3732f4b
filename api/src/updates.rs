//! Updates of the box's image.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which image runs, and what becomes of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "version": "0.1.0", "slot": "A", "proved": true, "channel": "https://updates.example/coffer-rpi5.json",
    "state": "installing", "percent": 40, "offered_version": "0.2.0", "history": [] }))]
pub struct DeviceUpdate {
    /// Version of the image that runs.
    pub version: String,
    /// The half of the card that it runs from, `A` or `B`. Null until the box has looked.
    pub slot: Option<String>,
    /// Whether it has proved itself. Until then, a restart leads back to the other slot.
    pub proved: Option<bool>,
    /// Where the box looks for updates. Null when it was told of no such place.
    pub channel: Option<String>,
    /// What goes on, or how the last update went.
    pub state: DeviceUpdateState,
    /// How much is done of what goes on, as far as that is known.
    pub percent: Option<u8>,
    /// What is being installed, once its signature was verified.
    pub offered_version: Option<String>,
    /// Updates of the past, the newest first; at most twenty.
    pub history: Vec<PastUpdate>,
}

/// What goes on, or how the last update went.
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
    /// The last update was not installed: the newest of `history` says why. The image that runs was not touched.
    Failed,
}

/// An update of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PastUpdate {
    /// What was to be installed. Null when its signature was not verified.
    pub version: Option<String>,
    /// What ran before.
    pub from_version: String,
    /// When it began to be installed.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What became of it.
    pub outcome: UpdateOutcome,
    /// Why it was not installed.
    pub failure: Option<UpdateFailure>,
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
    /// It did not arrive from the channel, or something else did.
    NotReceived,
    /// The bundle is damaged, is for another kind of box, or nobody whom this box trusts has signed it.
    BundleRefused,
    /// The other slot could not be written.
    InstallFailed,
    /// The power went, or the box was restarted, while it was being installed.
    Interrupted,
}
