//! Writes what happens in the vault to the journal: names of events and identifiers, never names of files.

use log::info;

use crate::model::event::Event;
use crate::service::events::Observer;

/// The observer.
pub(crate) struct Activity;

impl Observer for Activity {
    fn name(&self) -> &'static str {
        "activity"
    }

    fn observe(&self, event: &Event) {
        let subject = event.subject();
        info!(event = event.name(), subject:% = subject; "{}", event.name());
    }
}
