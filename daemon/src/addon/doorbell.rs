//! Wakes the workers whose queues the database fills: after each event there may be something in them.

use crate::model::event::Event;
use crate::service::bell::Bell;
use crate::service::events::Observer;

/// The observer.
pub(crate) struct Doorbell(pub(crate) Vec<Bell>);

impl Observer for Doorbell {
    fn name(&self) -> &'static str {
        "doorbell"
    }

    fn observe(&self, _: &Event) {
        self.0.iter().for_each(Bell::ring);
    }
}
