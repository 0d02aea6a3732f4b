//! Counts what happens, for the metrics. The example of docs/addons.md.

use crate::model::event::Event;
use crate::service::events::Observer;
use crate::service::tally::Tally;

/// The observer.
pub(crate) struct EventCounts(pub(crate) Tally);

impl Observer for EventCounts {
    fn name(&self) -> &'static str {
        "event_counts"
    }

    fn observe(&self, event: &Event) {
        self.0.add(event.name());
    }
}
