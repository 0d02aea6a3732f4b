//! Rotations of credentials, and the sealed values that they leave.

use jiff::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

pub(crate) use coffer_api::{RotationProvider, RotationState};

/// A rotation that somebody wants.
pub(crate) struct NewRotation {
    pub(crate) id: Uuid,
    pub(crate) vault_id: Uuid,
    pub(crate) item_id: Uuid,
    /// Where the new value goes.
    pub(crate) field_id: Uuid,
    /// Where its handle goes: what tells it from other credentials, and is no secret.
    pub(crate) handle_field_id: Option<Uuid>,
    pub(crate) provider: RotationProvider,
    pub(crate) admin: Option<Zeroizing<String>>,
    /// Of the credential that there is now.
    pub(crate) handle: Option<String>,
    pub(crate) every_s: Option<u64>,
    pub(crate) grace_s: Option<u64>,
}

/// A rotation, as members see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rotation {
    pub(crate) id: Uuid,
    pub(crate) vault_id: Uuid,
    pub(crate) item_id: Uuid,
    pub(crate) field_id: Uuid,
    pub(crate) handle_field_id: Option<Uuid>,
    pub(crate) provider: RotationProvider,
    pub(crate) every_s: Option<u64>,
    pub(crate) grace_s: Option<u64>,
    pub(crate) state: RotationState,
    pub(crate) attempts: u32,
    pub(crate) problem: Option<String>,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) changed_at: Timestamp,
    pub(crate) rotated_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
}

/// A rotation that is due, with all that it takes.
pub(crate) struct DueRotation {
    pub(crate) rotation: Rotation,
    pub(crate) admin: Option<Zeroizing<String>>,
    /// Of the credential that the run makes.
    pub(crate) handle: Option<String>,
    /// Of the credential that was in force when it began.
    pub(crate) current: Option<String>,
    /// Of those that are to end.
    pub(crate) old: Vec<String>,
    /// Where the run's value is.
    pub(crate) drop_id: Option<Uuid>,
}

/// Where values for a vault are sealed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredDropBox {
    pub(crate) generation: u32,
    pub(crate) public: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) set_by: Uuid,
}

/// A sealed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredDrop {
    pub(crate) id: Uuid,
    pub(crate) vault_id: Uuid,
    pub(crate) rotation_id: Uuid,
    pub(crate) item_id: Uuid,
    pub(crate) generation: u32,
    pub(crate) base_revision: u64,
    pub(crate) content: Vec<u8>,
    pub(crate) made_at: Timestamp,
    pub(crate) state: DropState,
}

/// Who may have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropState {
    /// Nobody yet: it is not in force.
    Kept,
    /// Members: it is in force.
    Open,
    /// Members who ask for it: something was interrupted, and nobody knows whether it is in force.
    Unsure,
}

impl DropState {
    const ALL: [Self; 3] = [Self::Kept, Self::Open, Self::Unsure];

    /// As it is stored.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Open => "open",
            Self::Unsure => "unsure",
        }
    }

    /// Reads a stored name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// The name under which a state is stored.
pub(crate) fn state_name(state: RotationState) -> &'static str {
    match state {
        RotationState::Idle => "idle",
        RotationState::Pending => "pending",
        RotationState::Applied => "applied",
        RotationState::Sealed => "sealed",
        RotationState::Verified => "verified",
        RotationState::OldRevoked => "old_revoked",
    }
}

/// Reads a stored name.
pub(crate) fn parse_state(name: &str) -> Option<RotationState> {
    use RotationState::{Applied, Idle, OldRevoked, Pending, Sealed, Verified};
    [Idle, Pending, Applied, Sealed, Verified, OldRevoked].into_iter().find(|state| state_name(*state) == name)
}
