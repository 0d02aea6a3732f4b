//! Wakes the maker of small pictures when a content was stored.

use crate::model::event::Event;
use crate::service::events::Observer;
use crate::service::thumbnails::Wake;

/// The observer.
pub(crate) struct WakeThumbnails(pub(crate) Wake);

impl Observer for WakeThumbnails {
    fn name(&self) -> &'static str {
        "thumbnails"
    }

    fn observe(&self, event: &Event) {
        if let Event::FileStored { .. } = event {
            self.0.up();
        }
    }
}
