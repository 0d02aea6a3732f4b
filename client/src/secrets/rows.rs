//! What the rows of a replica say.

use std::collections::BTreeSet;

use coffer_api::{SecretMember, SecretRole, SecretString};
use coffer_crypto::secrets::{
    identity::{Acquaintance, PublicIdentity, Trust},
    manifest::Manifest,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{content::Content, decode, encode, failure::Failure};

const DAMAGED: Failure = Failure::Damaged { what: "the replica" };

/// The account's own private keys, sealed under the account key as the box has them.
#[derive(Serialize, Deserialize)]
pub struct Own {
    /// 136 bytes.
    pub identity: String,
}

/// A session of the box.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// For requests.
    pub access: SecretString,
    /// When it is too late for that.
    pub expires_at: Timestamp,
    /// For the next pair, once.
    pub refresh: SecretString,
}

/// Another account, as this device knows it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Person {
    /// What it was called when it was met.
    pub name: Option<String>,
    public: String,
    trust: StoredTrust,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredTrust {
    Unverified,
    Pinned,
    Verified,
}

impl Person {
    /// Somebody with these keys, believed so far.
    pub fn new(name: Option<String>, public: &PublicIdentity, trust: Trust) -> Self {
        let trust = match trust {
            Trust::Unverified => StoredTrust::Unverified,
            Trust::Pinned => StoredTrust::Pinned,
            Trust::Verified => StoredTrust::Verified,
        };
        Self { name, public: encode(&public.to_bytes()), trust }
    }

    /// The keys.
    pub fn public(&self, account: Uuid) -> Result<PublicIdentity, Failure> {
        let bytes = decode(&self.public).ok_or(DAMAGED)?;
        PublicIdentity::parse(account, &bytes).map_err(|_| DAMAGED)
    }

    /// How far they are believed.
    pub fn acquaintance(&self, account: Uuid) -> Result<Acquaintance, Failure> {
        let trust = match self.trust {
            StoredTrust::Unverified => Trust::Unverified,
            StoredTrust::Pinned => Trust::Pinned,
            StoredTrust::Verified => Trust::Verified,
        };
        Ok(Acquaintance { fingerprint: self.public(account)?.fingerprint(), trust })
    }
}

/// A vault, as the box told of it last.
#[derive(Serialize, Deserialize)]
pub struct Vault {
    /// What the account may do in it.
    pub role: SecretRole,
    /// Its keys, oldest first, wrapped under the account key.
    pub keys: Vec<WrappedKey>,
    /// Who is in it.
    pub members: Vec<SecretMember>,
    /// Somebody has left, and the vault has not got its next key yet.
    pub needs_key: bool,
    /// Who gave the first key; absent for the account itself.
    pub given_by: Option<Uuid>,
    /// Whose next key is taken: people of whom it was proven that they have the newest one, or who were given it from here. What
    /// the box says of members proves nothing.
    pub key_holders: BTreeSet<Uuid>,
}

/// A key of a vault.
#[derive(Serialize, Deserialize)]
pub struct WrappedKey {
    /// Counts from 1.
    pub generation: u32,
    /// 104 bytes.
    pub wrapped: String,
}

/// The history of a vault.
#[derive(Serialize, Deserialize)]
pub struct Chain {
    link: String,
    manifest: String,
}

impl Chain {
    /// As far as this link, which the box has to show again.
    pub fn new(link: &[u8], manifest: &Manifest) -> Self {
        Self { link: encode(link), manifest: encode(&manifest.to_bytes()) }
    }

    /// The link and the list.
    pub fn read(&self) -> Result<(Vec<u8>, Manifest), Failure> {
        let (link, manifest) = (decode(&self.link).ok_or(DAMAGED)?, decode(&self.manifest).ok_or(DAMAGED)?);
        Ok((link, Manifest::from_bytes(&manifest).map_err(|_| DAMAGED)?))
    }
}

/// An item as the box has it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Base {
    /// Counts from 1.
    pub revision: u64,
    /// Of the vault's key that wraps the item's.
    pub key_generation: u32,
    /// The item's key, 104 bytes.
    pub wrapped_key: String,
    /// When it was written.
    pub changed_at: Timestamp,
    /// By whom.
    pub changed_by: Uuid,
    /// What it says; `None` when it was deleted.
    pub content: Option<Content>,
}

/// An item that was changed here, and not sent yet.
#[derive(Clone, Serialize, Deserialize)]
pub struct Draft {
    /// The box's revision that it is a change of, 0 for none.
    pub base: u64,
    /// How often it was changed since.
    pub edits: u64,
    /// What it says now; `None` when it is to be deleted.
    pub content: Option<Content>,
}
