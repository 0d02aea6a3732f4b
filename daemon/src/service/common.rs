//! What every service needs: time, identifiers, the audit, counted attempts, and whoever reacts to events.

use std::sync::Arc;

use super::attempts::Guards;
use super::audit::Auditor;
use super::events::EventBus;
use crate::model::clock::{Ids, SharedClock};

/// Shared by all services; cheap to clone.
#[derive(Clone)]
pub(crate) struct Common {
    pub(super) clock: SharedClock,
    pub(super) ids: Arc<Ids>,
    pub(super) events: Arc<EventBus>,
    pub(super) auditor: Auditor,
    pub(super) guards: Arc<Guards>,
}

impl Common {
    /// With that clock.
    pub(crate) fn new(clock: SharedClock, events: EventBus) -> Self {
        let ids = Arc::new(Ids::new(Arc::clone(&clock)));
        let auditor = Auditor::new(Arc::clone(&clock), Arc::clone(&ids));
        Self { clock, ids, events: Arc::new(events), auditor, guards: Arc::default() }
    }

    /// Everything at which attempts are counted.
    pub(crate) fn guards(&self) -> Arc<Guards> {
        Arc::clone(&self.guards)
    }

    /// Reads and writes the audit log.
    pub(crate) fn auditor(&self) -> Auditor {
        self.auditor.clone()
    }
}
