//! The keys below the password: account key, vault keys with generations, item keys. Each wraps the next.
//!
//! A wrapped key is bound to its place, so that a server can neither put one in another's stead nor an old generation in
//! that of a new one. What a person changes (password, parameters, Secret Key, recovery key) wraps the account key anew
//! and touches nothing below it; a new generation of a vault wraps item keys anew and touches no item.

use rand_core::CryptoRng;
use uuid::Uuid;

use super::code::RecoveryKeyCode;
use super::password::UnlockKey;
use super::{Error, Key, WRAPPED_KEY_BYTES, derive, unwrap, wrap};

const ACCOUNT_BY_PASSWORD: &[u8] = b"coffer/secrets/1/account-key/password\0";
const ACCOUNT_BY_RECOVERY: &[u8] = b"coffer/secrets/1/account-key/recovery\0";
const RECOVERY: &[u8] = b"coffer/secrets/1/recovery\0";
const VAULT: &[u8] = b"coffer/secrets/1/vault-key\0";
const ITEM: &[u8] = b"coffer/secrets/1/item-key\0";

/// The key above all others of an account: random, and the same as long as the account lives.
pub struct AccountKey {
    account: Uuid,
    pub(super) key: Key,
}

impl AccountKey {
    /// Draws the key of a new account.
    pub fn generate(account: Uuid, rng: &mut impl CryptoRng) -> Self {
        Self { account, key: Key::generate(rng) }
    }

    /// Whose it is.
    pub fn account(&self) -> Uuid {
        self.account
    }

    /// Takes the key from where an open account keeps it.
    pub fn from_bytes(account: Uuid, bytes: &[u8; 32]) -> Self {
        Self { account, key: Key::from_array(bytes) }
    }

    /// The key itself, for the memory of an open account. It belongs into no file.
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.bytes()
    }

    /// Wraps it for the one who knows the password and has the Secret Key.
    pub fn wrap(&self, unlock: &UnlockKey, rng: &mut impl CryptoRng) -> Result<[u8; WRAPPED_KEY_BYTES], Error> {
        wrap(&unlock.0, &[ACCOUNT_BY_PASSWORD, self.account.as_bytes()], &self.key, rng)
    }

    /// Gets it back.
    pub fn unwrap(account: Uuid, unlock: &UnlockKey, wrapped: &[u8]) -> Result<Self, Error> {
        let context: &[&[u8]] = &[ACCOUNT_BY_PASSWORD, account.as_bytes()];
        Ok(Self { account, key: unwrap("the account key", &unlock.0, context, wrapped)? })
    }

    /// Wraps it for the one who has the recovery key.
    pub fn wrap_for_recovery(
        &self,
        recovery: &RecoveryKeyCode,
        rng: &mut impl CryptoRng,
    ) -> Result<[u8; WRAPPED_KEY_BYTES], Error> {
        let key = recovery_key(self.account, recovery);
        wrap(&key, &[ACCOUNT_BY_RECOVERY, self.account.as_bytes()], &self.key, rng)
    }

    /// Gets it back with the recovery key.
    pub fn recover(account: Uuid, recovery: &RecoveryKeyCode, wrapped: &[u8]) -> Result<Self, Error> {
        let key = recovery_key(account, recovery);
        let context: &[&[u8]] = &[ACCOUNT_BY_RECOVERY, account.as_bytes()];
        Ok(Self { account, key: unwrap("the account key", &key, context, wrapped)? })
    }
}

fn recovery_key(account: Uuid, recovery: &RecoveryKeyCode) -> Key {
    derive(recovery.secret().as_bytes(), &[RECOVERY, account.as_bytes()])
}

/// The key of a vault, of one generation. Every member has it; a member who leaves has no later one.
pub struct VaultKey {
    vault: Uuid,
    generation: u32,
    pub(super) key: Key,
}

impl VaultKey {
    /// Draws the first key of a new vault.
    pub fn generate(vault: Uuid, rng: &mut impl CryptoRng) -> Self {
        Self { vault, generation: 1, key: Key::generate(rng) }
    }

    /// Draws the key after this one. `None` after four thousand million of them.
    pub fn next(&self, rng: &mut impl CryptoRng) -> Option<Self> {
        let generation = self.generation.checked_add(1)?;
        Some(Self { vault: self.vault, generation, key: Key::generate(rng) })
    }

    /// Which vault.
    pub fn vault(&self) -> Uuid {
        self.vault
    }

    /// Which of its keys, counted from 1.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Wraps it for oneself. Others get a [`super::grant`].
    pub fn wrap(&self, account: &AccountKey, rng: &mut impl CryptoRng) -> Result<[u8; WRAPPED_KEY_BYTES], Error> {
        wrap(&account.key, &[VAULT, account.account.as_bytes(), &place(self.vault, self.generation)], &self.key, rng)
    }

    /// Gets it back.
    pub fn unwrap(account: &AccountKey, vault: Uuid, generation: u32, wrapped: &[u8]) -> Result<Self, Error> {
        let context: &[&[u8]] = &[VAULT, account.account.as_bytes(), &place(vault, generation)];
        Ok(Self { vault, generation, key: unwrap("a vault key", &account.key, context, wrapped)? })
    }

    pub(super) fn from_parts(vault: Uuid, generation: u32, key: Key) -> Self {
        Self { vault, generation, key }
    }

    /// One purpose's key of this vault and generation.
    pub(super) fn derive(&self, purpose: &[u8]) -> Key {
        derive(self.key.bytes(), &[purpose, &place(self.vault, self.generation)])
    }
}

/// The key of an item: seals its revisions and its attachments, and stays when the vault gets a new key.
pub struct ItemKey {
    vault: Uuid,
    item: Uuid,
    pub(super) key: Key,
}

impl ItemKey {
    /// Draws the key of a new item.
    pub fn generate(vault: Uuid, item: Uuid, rng: &mut impl CryptoRng) -> Self {
        Self { vault, item, key: Key::generate(rng) }
    }

    /// Which vault.
    pub fn vault(&self) -> Uuid {
        self.vault
    }

    /// Which item.
    pub fn item(&self) -> Uuid {
        self.item
    }

    /// Wraps it for all members; again, under the next key, when the vault gets one.
    pub fn wrap(&self, vault: &VaultKey, rng: &mut impl CryptoRng) -> Result<[u8; WRAPPED_KEY_BYTES], Error> {
        if vault.vault != self.vault {
            return Err(Error::Elsewhere("an item key"));
        }
        wrap(&vault.key, &[ITEM, &place(self.vault, vault.generation), self.item.as_bytes()], &self.key, rng)
    }

    /// Gets it back.
    pub fn unwrap(vault: &VaultKey, item: Uuid, wrapped: &[u8]) -> Result<Self, Error> {
        let context: &[&[u8]] = &[ITEM, &place(vault.vault, vault.generation), item.as_bytes()];
        Ok(Self { vault: vault.vault, item, key: unwrap("an item key", &vault.key, context, wrapped)? })
    }
}

fn place(vault: Uuid, generation: u32) -> [u8; 20] {
    let mut place = [0; 20];
    place[..16].copy_from_slice(vault.as_bytes());
    place[16..].copy_from_slice(&generation.to_be_bytes());
    place
}
