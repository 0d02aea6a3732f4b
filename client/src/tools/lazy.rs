//! Vaults that are opened when somebody asks them something: a program without references needs nobody to be logged in.

use std::io::Read;

use uuid::Uuid;

use crate::secrets::{
    content::{Attachment, Content},
    store::{Item, StoreError, Vault, Vaults},
};

/// How vaults are opened.
pub type Open = fn() -> Result<Box<dyn Vaults>, StoreError>;

/// Vaults, opened or not yet.
pub struct Lazy {
    open: Open,
    opened: Option<Box<dyn Vaults>>,
}

impl Lazy {
    /// Nothing is opened yet.
    pub fn new(open: Open) -> Self {
        Self { open, opened: None }
    }

    fn vaults_of(&mut self) -> Result<&mut dyn Vaults, StoreError> {
        match &mut self.opened {
            Some(opened) => Ok(&mut **opened),
            closed => Ok(&mut **closed.insert((self.open)()?)),
        }
    }
}

impl Vaults for Lazy {
    fn vaults(&mut self) -> Result<Vec<Vault>, StoreError> {
        self.vaults_of()?.vaults()
    }

    fn items(&mut self, vault: Uuid) -> Result<Vec<Item>, StoreError> {
        self.vaults_of()?.items(vault)
    }

    fn item(&mut self, vault: Uuid, item: Uuid) -> Result<Option<Item>, StoreError> {
        self.vaults_of()?.item(vault, item)
    }

    fn create(&mut self, vault: Uuid, contents: Vec<Content>) -> Result<Vec<Item>, StoreError> {
        self.vaults_of()?.create(vault, contents)
    }

    fn edit(&mut self, vault: Uuid, item: Uuid, expected_revision: u64, content: Content) -> Result<Item, StoreError> {
        self.vaults_of()?.edit(vault, item, expected_revision, content)
    }

    fn delete(&mut self, vault: Uuid, item: Uuid, expected_revision: u64) -> Result<(), StoreError> {
        self.vaults_of()?.delete(vault, item, expected_revision)
    }

    fn attach(&mut self, item: &Item, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.vaults_of()?.attach(item, name, content)
    }

    fn attached(&mut self, item: &Item, attachment: &Attachment) -> Result<Option<Box<dyn Read>>, StoreError> {
        self.vaults_of()?.attached(item, attachment)
    }
}
