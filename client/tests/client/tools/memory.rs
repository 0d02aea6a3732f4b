//! Open vaults that nothing is behind of: what the tools are tested on.

use std::{collections::BTreeMap, io::Read};

use coffer_client::secrets::{
    content::{Attachment, Content},
    store::{Item, StoreError, Vault, Vaults},
};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Memory {
    vaults: Vec<Vault>,
    items: Vec<Item>,
    /// What is attached and in reach.
    pub(crate) attached: BTreeMap<Uuid, Vec<u8>>,
    pub(crate) is_locked: bool,
    /// Nothing can be written.
    pub(crate) is_read_only: bool,
}

impl Memory {
    /// One vault with one item.
    pub(crate) fn with(vault: &str, content: Content) -> Self {
        let mut memory = Self::default();
        let vault = memory.add_vault(vault);
        memory.create(vault, vec![content]).unwrap();
        memory
    }

    pub(crate) fn add_vault(&mut self, name: &str) -> Uuid {
        let id = Uuid::new_v4();
        self.vaults.push(Vault { id, name: name.to_owned() });
        id
    }

    /// What is in all vaults.
    pub(crate) fn contents(&self) -> Vec<&Content> {
        self.items.iter().map(|item| &item.content).collect()
    }

    fn open(&self, vault: Uuid) -> Result<(), StoreError> {
        if self.is_locked {
            return Err(StoreError::Locked);
        }
        self.vaults.iter().find(|known| known.id == vault).map(|_| ()).ok_or(StoreError::NoSuchVault(vault))
    }

    /// Which one an item has now.
    fn revision(&self, item: &Item) -> u64 {
        self.items.iter().find(|known| known.id == item.id).map_or(0, |known| known.revision)
    }

    fn writable(&self, vault: Uuid) -> Result<(), StoreError> {
        self.open(vault)?;
        if self.is_read_only { Err(StoreError::ReadOnly(vault.to_string())) } else { Ok(()) }
    }

    fn expect(&mut self, vault: Uuid, item: Uuid, expected_revision: u64) -> Result<usize, StoreError> {
        self.writable(vault)?;
        let index = self.items.iter().position(|known| (known.vault, known.id) == (vault, item));
        let index = index.ok_or(StoreError::NoSuchItem(item))?;
        let revision = self.items[index].revision;
        if revision == expected_revision { Ok(index) } else { Err(StoreError::Changed { item, revision }) }
    }
}

impl Vaults for Memory {
    fn vaults(&mut self) -> Result<Vec<Vault>, StoreError> {
        if self.is_locked { Err(StoreError::Locked) } else { Ok(self.vaults.clone()) }
    }

    fn items(&mut self, vault: Uuid) -> Result<Vec<Item>, StoreError> {
        self.open(vault)?;
        Ok(self.items.iter().filter(|item| item.vault == vault).cloned().collect())
    }

    fn item(&mut self, vault: Uuid, item: Uuid) -> Result<Option<Item>, StoreError> {
        Ok(self.items(vault)?.into_iter().find(|known| known.id == item))
    }

    fn create(&mut self, vault: Uuid, contents: Vec<Content>) -> Result<Vec<Item>, StoreError> {
        self.writable(vault)?;
        let new = |content| Item { id: Uuid::new_v4(), vault, revision: 1, content };
        let items: Vec<Item> = contents.into_iter().map(new).collect();
        self.items.extend(items.iter().cloned());
        Ok(items)
    }

    fn edit(&mut self, vault: Uuid, item: Uuid, expected_revision: u64, content: Content) -> Result<Item, StoreError> {
        let index = self.expect(vault, item, expected_revision)?;
        self.items[index].revision += 1;
        self.items[index].content = content;
        Ok(self.items[index].clone())
    }

    fn delete(&mut self, vault: Uuid, item: Uuid, expected_revision: u64) -> Result<(), StoreError> {
        let index = self.expect(vault, item, expected_revision)?;
        self.items.remove(index);
        Ok(())
    }

    fn attach(&mut self, item: &Item, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let index = self.expect(item.vault, item.id, self.revision(item))?;
        let attachment =
            Attachment { id: Uuid::new_v4(), name: name.to_owned(), size: content.len() as u64, sha256: String::new() };
        self.attached.insert(attachment.id, content.to_owned());
        self.items[index].revision += 1;
        self.items[index].content.attachments.push(attachment);
        Ok(())
    }

    fn attached(&mut self, _: &Item, attachment: &Attachment) -> Result<Option<Box<dyn Read>>, StoreError> {
        let found = self.attached.get(&attachment.id).cloned();
        Ok(found.map(|content| Box::new(std::io::Cursor::new(content)) as Box<dyn Read>))
    }
}
