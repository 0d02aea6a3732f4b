//! What the administrators decided for all accounts.

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Whether strangers may register; they stay inactive until an administrator activates them.
    pub(crate) registration_open: bool,
    /// Whether every account must have a second factor.
    pub(crate) second_factor_required: bool,
}
