//! Vaults in memory, with the rules of real ones.

use std::collections::BTreeMap;

use coffer_client::secrets::{
    content::Content,
    store::{Item, StoreError, Vault, Vaults},
};
use uuid::Uuid;

/// What a content may have at most, as docs/secrets.md says.
const MAX_CONTENT_BYTES: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Memory {
    vaults: BTreeMap<Uuid, Kept>,
    pub(crate) is_locked: bool,
}

struct Kept {
    name: String,
    items: BTreeMap<Uuid, Item>,
}

impl Memory {
    pub(crate) fn add_vault(&mut self, name: &str) -> Uuid {
        let id = Uuid::new_v4();
        self.vaults.insert(id, Kept { name: name.to_owned(), items: BTreeMap::new() });
        id
    }

    /// A vault with one item.
    pub(crate) fn with(vault: &str, content: Content) -> Self {
        let mut memory = Self::default();
        let vault = memory.add_vault(vault);
        memory.create(vault, vec![content]).unwrap();
        memory
    }

    fn kept(&mut self, vault: Uuid) -> Result<&mut Kept, StoreError> {
        if self.is_locked {
            return Err(StoreError::Locked);
        }
        self.vaults.get_mut(&vault).ok_or(StoreError::NoSuchVault(vault))
    }
}

impl Kept {
    fn expected(&self, item: Uuid, expected_revision: u64) -> Result<(), StoreError> {
        match self.items.get(&item) {
            None => Err(StoreError::NoSuchItem(item)),
            Some(now) if now.revision != expected_revision => Err(StoreError::Changed { item, revision: now.revision }),
            Some(_) => Ok(()),
        }
    }
}

impl Vaults for Memory {
    fn vaults(&mut self) -> Result<Vec<Vault>, StoreError> {
        if self.is_locked {
            return Err(StoreError::Locked);
        }
        Ok(self.vaults.iter().map(|(id, kept)| Vault { id: *id, name: kept.name.clone() }).collect())
    }

    fn items(&mut self, vault: Uuid) -> Result<Vec<Item>, StoreError> {
        Ok(self.kept(vault)?.items.values().cloned().collect())
    }

    fn item(&mut self, vault: Uuid, item: Uuid) -> Result<Option<Item>, StoreError> {
        Ok(self.kept(vault)?.items.get(&item).cloned())
    }

    fn create(&mut self, vault: Uuid, contents: Vec<Content>) -> Result<Vec<Item>, StoreError> {
        contents.iter().try_for_each(fits)?;
        let kept = self.kept(vault)?;
        let items: Vec<_> =
            contents.into_iter().map(|content| Item { id: Uuid::new_v4(), vault, revision: 1, content }).collect();
        kept.items.extend(items.iter().map(|item| (item.id, item.clone())));
        Ok(items)
    }

    fn edit(&mut self, vault: Uuid, item: Uuid, expected_revision: u64, content: Content) -> Result<Item, StoreError> {
        fits(&content)?;
        let kept = self.kept(vault)?;
        kept.expected(item, expected_revision)?;
        let next = Item { id: item, vault, revision: expected_revision + 1, content };
        kept.items.insert(item, next.clone());
        Ok(next)
    }

    fn delete(&mut self, vault: Uuid, item: Uuid, expected_revision: u64) -> Result<(), StoreError> {
        let kept = self.kept(vault)?;
        kept.expected(item, expected_revision)?;
        kept.items.remove(&item);
        Ok(())
    }
}

fn fits(content: &Content) -> Result<(), StoreError> {
    let size = serde_json::to_vec(content).unwrap().len();
    if size <= MAX_CONTENT_BYTES {
        return Ok(());
    }
    Err(StoreError::TooLarge {
        title: content.title.clone(),
        size_bytes: size as u64,
        limit_bytes: MAX_CONTENT_BYTES as u64,
    })
}
