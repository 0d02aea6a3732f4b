//! What the tools of the client ask of whoever holds open vaults: items in clear, found, made, changed and deleted.
//!
//! The tools know no key, no network and no file behind it; who implements it knows no tool. All of it blocks.

use std::{
    error,
    io::{self, Read},
};

use uuid::Uuid;

use super::content::{Attachment, Content};

/// A vault that is open to whoever runs the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// Stays when the name changes.
    pub id: Uuid,
    /// What people call it. Need not be unique.
    pub name: String,
}

/// An item as it stands.
#[derive(Clone, PartialEq)]
pub struct Item {
    /// Stays for all revisions.
    pub id: Uuid,
    /// The vault that it is in.
    pub vault: Uuid,
    /// Counts from 1; on this machine it may be ahead of the box.
    pub revision: u64,
    /// What it says.
    pub content: Content,
}

/// Open vaults.
pub trait Vaults {
    /// All of them.
    fn vaults(&mut self) -> Result<Vec<Vault>, StoreError>;

    /// All items of a vault, without deleted ones.
    fn items(&mut self, vault: Uuid) -> Result<Vec<Item>, StoreError>;

    /// One item, if it is there and was not deleted.
    fn item(&mut self, vault: Uuid, item: Uuid) -> Result<Option<Item>, StoreError>;

    /// Adds new items, all or none, and returns them in the same order: an import that stops in the middle leaves nothing to
    /// clean up.
    fn create(&mut self, vault: Uuid, contents: Vec<Content>) -> Result<Vec<Item>, StoreError>;

    /// Writes the next revision of an item, if it still has the expected one.
    fn edit(&mut self, vault: Uuid, item: Uuid, expected_revision: u64, content: Content) -> Result<Item, StoreError>;

    /// Deletes an item, if it still has the expected revision.
    fn delete(&mut self, vault: Uuid, item: Uuid, expected_revision: u64) -> Result<(), StoreError>;

    /// Attaches something to an item, in a revision of its own.
    fn attach(&mut self, item: &Item, name: &str, content: &[u8]) -> Result<(), StoreError>;

    /// What is attached to an item, proven; nothing while it is out of reach.
    fn attached(&mut self, item: &Item, attachment: &Attachment) -> Result<Option<Box<dyn Read>>, StoreError>;
}

/// Why vaults do not do what they are asked. No secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody is logged in, or the vaults were locked since.
    #[error("The vaults are locked. Open them with `coffer unlock`.")]
    Locked,
    /// There is none with this id, or it is not open to whoever asks.
    #[error("There is no vault {0}.")]
    NoSuchVault(Uuid),
    /// There is none with this id, or it was deleted.
    #[error("There is no item {0} in the vault.")]
    NoSuchItem(Uuid),
    /// It was changed since it was read.
    #[error("The item {item} was changed meanwhile and has revision {revision} now. Look at it, and try again.")]
    Changed {
        /// Which.
        item: Uuid,
        /// What it has now.
        revision: u64,
    },
    /// The member may read only.
    #[error("You may not write to the vault {0:?}. Ask one of its managers.")]
    ReadOnly(String),
    /// The document is one that this client must not write.
    #[error("The item {0} was written by a newer version. Update this program to change it.")]
    Newer(Uuid),
    /// A content has a largest size.
    #[error("The item {title:?} is too large: {size_bytes} bytes, where {limit_bytes} fit.")]
    TooLarge {
        /// What people call it.
        title: String,
        /// How large it is.
        size_bytes: u64,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// Something that belongs to this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: &'static str,
        /// Why it was not.
        source: io::Error,
    },
    /// What only the holder of the vaults understands: the box, a proof that does not hold.
    #[error("{0}")]
    Other(#[source] Box<dyn error::Error + Send + Sync>),
}
