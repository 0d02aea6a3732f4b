//! Counts by name, for the metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How often each name was counted since the daemon started. Cheap to clone. Names are the program's own, so there is
/// an end to them.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Tally {
    /// Counts one more.
    pub(crate) fn add(&self, name: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    /// All counts, in the order of the names.
    pub(super) fn all(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(name, count)| (*name, *count)).collect()
    }
}
