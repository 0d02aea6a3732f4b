//! What happens in the vault, as one closed enum that add-ons react to.

use uuid::Uuid;

/// Something that is about to be committed. A guard may refuse it.
#[derive(Clone, Debug)]
pub(crate) enum Intent {
    /// That many bytes are going to be added to a drive that has so many left, of which some are to stay free.
    StoreFile { size_bytes: u64, free_bytes: u64, reserve_bytes: u64 },
}

/// Something that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The vault was opened.
    VaultUnlocked { vault_id: Uuid },
    /// A person logged in.
    SessionOpened { session_id: Uuid, user_id: Uuid },
    /// A person logged out, or the session was revoked.
    SessionRevoked { session_id: Uuid },
    /// An account was made.
    UserCreated { user_id: Uuid },
    /// An account's profile or rights were changed.
    UserChanged { user_id: Uuid },
    /// An account was deleted; what it made stays.
    UserDeleted { user_id: Uuid },
    /// A folder was made.
    FolderCreated { folder_id: Uuid, parent_id: Option<Uuid> },
    /// A folder got another name, place or setting. `parent_id` is where it lies now.
    FolderChanged { folder_id: Uuid, parent_id: Option<Uuid> },
    /// A folder was put into the trash, with all that is in it.
    FolderTrashed { folder_id: Uuid, parent_id: Option<Uuid> },
    /// A folder came back from the trash, with all that is in it.
    FolderRestored { folder_id: Uuid, parent_id: Option<Uuid> },
    /// A folder was deleted for good, with all that was in it.
    FolderDeleted { folder_id: Uuid, parent_id: Option<Uuid> },
    /// Other people see a folder, and what is below it, than before.
    FolderAccessChanged { folder_id: Uuid },
    /// A file was stored, or got a new revision.
    FileStored { file_id: Uuid, folder_id: Option<Uuid>, revision: u32, size_bytes: u64 },
    /// A file got another name or place, or lost an old revision. `folder_id` is where it lies now.
    FileChanged { file_id: Uuid, folder_id: Option<Uuid> },
    /// A file was put into the trash.
    FileTrashed { file_id: Uuid, folder_id: Option<Uuid> },
    /// A file came back from the trash.
    FileRestored { file_id: Uuid, folder_id: Option<Uuid> },
    /// A file was deleted for good.
    FileDeleted { file_id: Uuid, folder_id: Option<Uuid> },
    /// The tags, the star, the note or the comments of a file or a folder changed. `place` is the folder that decides who
    /// sees it: where the file lies, or the folder itself.
    ItemAnnotated { item_id: Uuid, place: Option<Uuid> },
    /// The items, the keys or the members of a secrets vault changed. `sequence` counts its changes.
    SecretVaultChanged { vault_id: Uuid, sequence: u64 },
    /// An update of the image arrives, is installed, or has ended.
    UpdateChanged { device_id: Uuid },
}

impl Event {
    /// The stable name, as in logs and in the audit.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::VaultUnlocked { .. } => "vault.unlocked",
            Self::SessionOpened { .. } => "session.opened",
            Self::SessionRevoked { .. } => "session.revoked",
            Self::UserCreated { .. } => "user.created",
            Self::UserChanged { .. } => "user.changed",
            Self::UserDeleted { .. } => "user.deleted",
            Self::FolderCreated { .. } => "folder.created",
            Self::FolderChanged { .. } => "folder.changed",
            Self::FolderTrashed { .. } => "folder.trashed",
            Self::FolderRestored { .. } => "folder.restored",
            Self::FolderDeleted { .. } => "folder.deleted",
            Self::FolderAccessChanged { .. } => "folder.access_changed",
            Self::FileStored { .. } => "file.stored",
            Self::FileChanged { .. } => "file.changed",
            Self::FileTrashed { .. } => "file.trashed",
            Self::FileRestored { .. } => "file.restored",
            Self::FileDeleted { .. } => "file.deleted",
            Self::ItemAnnotated { .. } => "item.annotated",
            Self::SecretVaultChanged { .. } => "secret_vault.changed",
            Self::UpdateChanged { .. } => "device.update_changed",
        }
    }

    /// The object it is about.
    pub(crate) fn subject(&self) -> Uuid {
        match *self {
            Self::VaultUnlocked { vault_id } | Self::SecretVaultChanged { vault_id, .. } => vault_id,
            Self::SessionOpened { session_id, .. } | Self::SessionRevoked { session_id } => session_id,
            Self::UserCreated { user_id } | Self::UserChanged { user_id } | Self::UserDeleted { user_id } => user_id,
            Self::FolderCreated { folder_id, .. }
            | Self::FolderChanged { folder_id, .. }
            | Self::FolderTrashed { folder_id, .. }
            | Self::FolderRestored { folder_id, .. }
            | Self::FolderDeleted { folder_id, .. }
            | Self::FolderAccessChanged { folder_id } => folder_id,
            Self::FileStored { file_id, .. }
            | Self::FileChanged { file_id, .. }
            | Self::FileTrashed { file_id, .. }
            | Self::FileRestored { file_id, .. }
            | Self::FileDeleted { file_id, .. } => file_id,
            Self::ItemAnnotated { item_id, .. } => item_id,
            Self::UpdateChanged { device_id } => device_id,
        }
    }
}
