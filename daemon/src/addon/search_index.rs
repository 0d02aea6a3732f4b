//! Tells the keeper of the search index that something changed.

use crate::model::event::Event;
use crate::service::events::Observer;
use crate::service::search_index::Wake;

/// The observer.
pub(crate) struct SearchIndex(pub(crate) Wake);

impl Observer for SearchIndex {
    fn name(&self) -> &'static str {
        "search_index"
    }

    fn observe(&self, event: &Event) {
        match event {
            Event::FolderCreated { .. }
            | Event::FolderChanged { .. }
            | Event::FolderTrashed { .. }
            | Event::FolderRestored { .. }
            | Event::FolderDeleted { .. }
            | Event::FileStored { .. }
            | Event::FileChanged { .. }
            | Event::FileTrashed { .. }
            | Event::FileRestored { .. }
            | Event::FileDeleted { .. }
            | Event::ItemAnnotated { .. } => self.0.wake(),
            Event::VaultUnlocked { .. }
            | Event::SessionOpened { .. }
            | Event::SessionRevoked { .. }
            | Event::UserCreated { .. }
            | Event::UserChanged { .. }
            | Event::UserDeleted { .. }
            | Event::FolderAccessChanged { .. } => {}
        }
    }
}
