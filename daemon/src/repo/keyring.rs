//! The keys of sealed blobs, opened, for as long as the vault is unlocked.
//!
//! The root key comes from the key file, the others from their table. Whoever adds or removes one does that in the database
//! first, and here once it is committed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use coffer_crypto::envelope::Error;
use coffer_crypto::envelope::keys::{KEY_ID_BYTES, KeyEncryptionKey, KeyId, KeyRecord, KeyState, Owner, RootKey};
use jiff::Timestamp;
use rusqlite::Connection;

use super::seals;
use crate::model::clock::system_rng;
use crate::model::file::BlobId;
use crate::model::sealing::{KeyOwner, SealMethod};
use crate::storage::database::DatabaseError;

/// What a new blob is sealed with.
#[derive(Clone)]
pub(crate) struct SealWith {
    pub(crate) key: Arc<KeyEncryptionKey>,
    pub(crate) method: SealMethod,
}

/// All keys that open something.
pub(crate) struct Keyring {
    keys: RwLock<Keys>,
}

struct Keys {
    root: Arc<RootKey>,
    by_name: HashMap<(KeyId, u32), Arc<KeyEncryptionKey>>,
}

impl Keyring {
    /// Opens what is kept. A record that does not open under the root key is left alone: the blobs that need it are reported
    /// where they are read.
    pub(crate) fn load(connection: &Connection, root: RootKey) -> Result<Self, DatabaseError> {
        let mut by_name = HashMap::new();
        for kept in seals::keys(connection)? {
            let name = (kept.record.id, kept.record.generation);
            match kept.record.open(&root) {
                Ok(key) => drop(by_name.insert(name, Arc::new(key))),
                Err(error) => log::error!(error:% = error, key = name.0.as_str(); "a sealing key does not open"),
            }
        }
        Ok(Self { keys: RwLock::new(Keys { root: Arc::new(root), by_name }) })
    }

    /// A key by its name.
    pub(crate) fn get(&self, id: KeyId, generation: u32) -> Option<Arc<KeyEncryptionKey>> {
        self.read().by_name.get(&(id, generation)).map(Arc::clone)
    }

    /// The key of that name of the highest generation.
    pub(crate) fn newest(&self, id: &str) -> Option<Arc<KeyEncryptionKey>> {
        let id = KeyId::parse(id).ok()?;
        let keys = self.read();
        let same = keys.by_name.iter().filter(|((known, _), _)| *known == id);
        same.max_by_key(|((_, generation), _)| *generation).map(|(_, key)| Arc::clone(key))
    }

    /// Whether somebody is about to seal something with a key.
    pub(crate) fn is_in_use(&self, id: KeyId, generation: u32) -> bool {
        self.read().by_name.get(&(id, generation)).is_some_and(|key| Arc::strong_count(key) > 1)
    }

    /// Every key, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<KeyEncryptionKey>> {
        self.read().by_name.values().map(Arc::clone).collect()
    }

    /// The root key.
    pub(crate) fn root(&self) -> Arc<RootKey> {
        Arc::clone(&self.read().root)
    }

    /// For use inside a transaction: the key that new blobs of that owner are sealed with. Makes one when there is none.
    /// Whatever comes of it is to be handed to [`Keyring::add`] once it is committed.
    pub(crate) fn active(
        &self,
        connection: &Connection,
        owner: KeyOwner,
        now: Timestamp,
    ) -> Result<KeyRecord, DatabaseError> {
        match seals::active_key(connection, owner)? {
            Some(record) => Ok(record),
            None => self.next(connection, owner, None, now),
        }
    }

    /// For use inside a transaction: a new key for an owner, of the same name as the one before it.
    pub(crate) fn next(
        &self,
        connection: &Connection,
        owner: KeyOwner,
        before: Option<&KeyRecord>,
        now: Timestamp,
    ) -> Result<KeyRecord, DatabaseError> {
        let rng = &mut system_rng();
        let (id, generation) = match before {
            Some(before) => (before.id, before.generation + 1),
            None => (new_id()?, 1),
        };
        self.keep(connection, owner, &KeyEncryptionKey::generate(id, generation, rng), now)
    }

    /// For use inside a transaction: keeps a key as the one that new blobs of that owner are sealed with.
    pub(crate) fn keep(
        &self,
        connection: &Connection,
        owner: KeyOwner,
        key: &KeyEncryptionKey,
        now: Timestamp,
    ) -> Result<KeyRecord, DatabaseError> {
        seals::retire_keys(connection, owner)?;
        let of = owner.user().map_or(Owner::Shared, Owner::User);
        let record = key.wrap(of, KeyState::Active, &self.root(), &mut system_rng());
        let record = record.map_err(|_| DatabaseError::Value("sealing key"))?;
        seals::insert_key(connection, &record, now)?;
        Ok(record)
    }

    /// Opens a key that is kept.
    pub(crate) fn add(&self, record: &KeyRecord) -> Result<Arc<KeyEncryptionKey>, Error> {
        if let Some(known) = self.get(record.id, record.generation) {
            return Ok(known);
        }
        let key = Arc::new(record.open(&self.root())?);
        self.write().by_name.insert((record.id, record.generation), Arc::clone(&key));
        Ok(key)
    }

    /// Forgets keys that are not kept any more.
    pub(crate) fn retain(&self, kept: &[(KeyId, u32)]) {
        self.write().by_name.retain(|name, _| kept.contains(name));
    }

    /// From now on keys are wrapped under another root key.
    pub(crate) fn set_root(&self, root: RootKey) {
        self.write().root = Arc::new(root);
    }

    /// Forgets every key.
    pub(crate) fn clear(&self) {
        self.write().by_name.clear();
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For use inside a transaction: writes the wrapping of every key anew. Tells how many. A record that opens under none of
/// the root keys is of no use, and must not keep the vault from being opened: it stays as it is.
pub(crate) fn rewrap(connection: &Connection, from: &[&RootKey], to: &RootKey) -> Result<u64, DatabaseError> {
    let mut count = 0;
    for kept in seals::keys(connection)? {
        let Some(key) = from.iter().find_map(|root| kept.record.open(root).ok()) else {
            log::error!(key = kept.record.id.as_str(); "a sealing key opens under no root key; it was left as it is");
            continue;
        };
        let record = key.wrap(kept.record.owner, kept.record.state, to, &mut system_rng());
        seals::set_wrapping(connection, &record.map_err(|_| DatabaseError::Value("sealing key"))?)?;
        count += 1;
    }
    Ok(count)
}

/// 64 random bits: names are never used twice, also when their keys are gone.
fn new_id() -> Result<KeyId, DatabaseError> {
    let random = BlobId::generate(&mut system_rng());
    KeyId::parse(random.as_str().get(..KEY_ID_BYTES).unwrap_or_default())
        .map_err(|_| DatabaseError::Value("sealing key"))
}
