//! What can lie in a folder.

use uuid::Uuid;

pub(crate) use coffer_api::ItemKind;

use super::file::{File, Trashed};
use super::folder::Folder;

/// A file or a folder.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    File(File),
    Folder(Folder),
}

impl Item {
    /// Its identifier.
    pub(crate) fn id(&self) -> Uuid {
        match self {
            Self::File(file) => file.id,
            Self::Folder(folder) => folder.id,
        }
    }

    /// Where it lies.
    pub(crate) fn folder_id(&self) -> Option<Uuid> {
        match self {
            Self::File(file) => file.folder_id,
            Self::Folder(folder) => folder.parent_id,
        }
    }

    /// The folder that decides who sees it: where the file lies, or the folder itself.
    pub(crate) fn place(&self) -> Option<Uuid> {
        match self {
            Self::File(file) => file.folder_id,
            Self::Folder(folder) => Some(folder.id),
        }
    }

    /// Who made it.
    pub(crate) fn created_by(&self) -> Uuid {
        match self {
            Self::File(file) => file.created_by,
            Self::Folder(folder) => folder.created_by,
        }
    }

    /// When it was put into the trash, if it was by itself.
    pub(crate) fn trashed(&self) -> Option<Trashed> {
        match self {
            Self::File(file) => file.trashed,
            Self::Folder(folder) => folder.trashed,
        }
    }
}
