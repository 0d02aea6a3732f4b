//! Events as they are told outside of the daemon: names and identifiers, never names of files or contents.

use coffer_api::ToldEvent;
use jiff::Timestamp;
use uuid::Uuid;

use super::event::Event;

/// The names of all events, as [`Event::name`] gives them.
pub(crate) const NAMES: [&str; 20] = [
    "device.update_changed",
    "file.changed",
    "file.deleted",
    "file.restored",
    "file.stored",
    "file.trashed",
    "folder.access_changed",
    "folder.changed",
    "folder.created",
    "folder.deleted",
    "folder.restored",
    "folder.trashed",
    "item.annotated",
    "secret_vault.changed",
    "session.opened",
    "session.revoked",
    "user.changed",
    "user.created",
    "user.deleted",
    "vault.unlocked",
];

/// Actions of the audit log that report an event of another name. It tells them apart more finely than events do.
pub(crate) const ALSO: [(&str, &str); 16] = [
    ("comment.added", "item.annotated"),
    ("file.copied", "file.stored"),
    ("file.moved", "file.changed"),
    ("file.revised", "file.stored"),
    ("file.revision_deleted", "file.changed"),
    ("file.revision_restored", "file.stored"),
    ("folder.copied", "folder.created"),
    ("folder.moved", "folder.changed"),
    ("folder.protected", "folder.changed"),
    ("folder.unprotected", "folder.changed"),
    ("note.removed", "item.annotated"),
    ("note.set", "item.annotated"),
    ("star.added", "item.annotated"),
    ("star.removed", "item.annotated"),
    ("tag.added", "item.annotated"),
    ("tag.removed", "item.annotated"),
];

/// The name of what an administrator asks for to try a webhook. No event.
pub(crate) const TEST: &str = "webhook.test";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The id of the row in the audit log that reports the same.
    pub(crate) id: Uuid,
    pub(crate) event: String,
    pub(crate) at: Timestamp,
    pub(crate) subject_id: Uuid,
    /// Where the subject lies.
    pub(crate) folder_id: Option<Uuid>,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) revision: Option<u32>,
}

impl Told {
    /// As it is sent. Plain values become JSON always.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(&ToldEvent::from(self.clone())).unwrap_or_default()
    }
}

impl From<Told> for ToldEvent {
    fn from(told: Told) -> Self {
        Self {
            id: Some(told.id),
            event: told.event,
            at: told.at,
            subject: told.subject_id,
            folder_id: told.folder_id,
            size_bytes: told.size_bytes,
            revision: told.revision,
        }
    }
}

/// Who may hear of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    Everybody,
    /// Who may manage people.
    PeopleManagers,
    /// Who sees this folder (`None` is the root), or would if it were not in the trash.
    Folder(Option<Uuid>),
    /// Who may manage the box.
    DeviceManagers,
    /// The members of this secrets vault.
    SecretVault(Uuid),
}

/// Who may hear of an event. What is deleted for good is no place any more: there the folder around it counts.
pub(crate) fn audience(event: &Event) -> Audience {
    match *event {
        Event::VaultUnlocked { .. } => Audience::Everybody,
        Event::SessionOpened { .. }
        | Event::SessionRevoked { .. }
        | Event::UserCreated { .. }
        | Event::UserChanged { .. }
        | Event::UserDeleted { .. } => Audience::PeopleManagers,
        Event::FolderCreated { folder_id, .. }
        | Event::FolderChanged { folder_id, .. }
        | Event::FolderTrashed { folder_id, .. }
        | Event::FolderRestored { folder_id, .. }
        | Event::FolderAccessChanged { folder_id } => Audience::Folder(Some(folder_id)),
        Event::FolderDeleted { parent_id, .. } => Audience::Folder(parent_id),
        Event::FileStored { folder_id, .. }
        | Event::FileChanged { folder_id, .. }
        | Event::FileTrashed { folder_id, .. }
        | Event::FileRestored { folder_id, .. }
        | Event::FileDeleted { folder_id, .. } => Audience::Folder(folder_id),
        Event::ItemAnnotated { place, .. } => Audience::Folder(place),
        Event::SecretVaultChanged { vault_id, .. } => Audience::SecretVault(vault_id),
        Event::UpdateChanged { .. } => Audience::DeviceManagers,
    }
}

/// As those hear of it who follow the events live.
pub(crate) fn of(event: &Event, at: Timestamp) -> ToldEvent {
    let (folder_id, size_bytes, revision) = match *event {
        Event::VaultUnlocked { .. }
        | Event::SessionOpened { .. }
        | Event::SessionRevoked { .. }
        | Event::UserCreated { .. }
        | Event::UserChanged { .. }
        | Event::UserDeleted { .. }
        | Event::FolderAccessChanged { .. }
        | Event::UpdateChanged { .. } => (None, None, None),
        Event::ItemAnnotated { place, .. } => (place, None, None),
        Event::SecretVaultChanged { sequence, .. } => (None, None, u32::try_from(sequence).ok()),
        Event::FolderCreated { parent_id, .. }
        | Event::FolderChanged { parent_id, .. }
        | Event::FolderTrashed { parent_id, .. }
        | Event::FolderRestored { parent_id, .. }
        | Event::FolderDeleted { parent_id, .. } => (parent_id, None, None),
        Event::FileStored { folder_id, size_bytes, revision, .. } => (folder_id, Some(size_bytes), Some(revision)),
        Event::FileChanged { folder_id, .. }
        | Event::FileTrashed { folder_id, .. }
        | Event::FileRestored { folder_id, .. }
        | Event::FileDeleted { folder_id, .. } => (folder_id, None, None),
    };
    let event_name = event.name().to_owned();
    ToldEvent { id: None, event: event_name, at, subject: event.subject(), folder_id, size_bytes, revision }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_holds_every_event_and_nothing_else() {
        let source = include_str!("event.rs");
        let mut named: Vec<&str> = source
            .split("=> \"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|name| name.contains('.'))
            .collect();
        named.sort_unstable();
        assert_eq!(named, NAMES);
    }

    #[test]
    fn other_actions_report_events_that_there_are() {
        for (action, event) in ALSO {
            assert!(NAMES.contains(&event) && !NAMES.contains(&action), "{action}");
        }
    }
}
