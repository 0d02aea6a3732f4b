//! The signed history of a vault, and what is wrong with what a server delivers.
//!
//! Every change of a vault is a link of a chain: which item has which revision and hash now, the hash of the link before,
//! and a hash over all items. It is signed by the member who wrote, and sealed with the vault key, so that neither the
//! server nor a member who left can make one. A device remembers where it was; a server that shows it another past, an
//! older one or none is found out, and what it did is named.

use std::collections::BTreeMap;

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::identity::{Identity, PublicIdentity, SIGNATURE_BYTES};
use super::keys::VaultKey;
use super::{Error, Fields, hash};
use crate::seal;

/// Length of a link of the chain.
pub const LINK_BYTES: usize = BODY_BYTES + 32 + SIGNATURE_BYTES;

const BODY_BYTES: usize = 16 + 8 + 4 + 32 + 1 + 16 + 8 + 32 + 32 + 16;
/// Of a manifest, as a device keeps it: what stands before the list, and each item in it.
const HEAD_BYTES: usize = 16 + 8 + 4 + 32;
const ENTRY_BYTES: usize = 16 + 8 + 1 + 32;
const WHAT: &str = "a link of a vault's history";
const LINK: &[u8] = b"coffer/secrets/1/manifest/link\0";
const ROOT: &[u8] = b"coffer/secrets/1/manifest/root\0";
const MEMBER: &[u8] = b"coffer/secrets/1/manifest/member\0";
const SIGNATURE: &[u8] = b"coffer/secrets/1/manifest/signature\0";

/// What an item has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts from 1.
    pub revision: u64,
    /// The SHA-256 of the sealed item; `None` when it was deleted.
    pub content: Option<[u8; 32]>,
}

/// One change of a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An item is new, has new content or is deleted. Its revision is one more than before.
    Item(Uuid, Entry),
    /// The vault has the next key from here on.
    NewKey,
}

/// Whom and what a device needs to check links.
#[derive(Clone, Copy)]
pub struct Witness<'a> {
    /// Members that may write, by keys that are believed to be theirs.
    pub writers: &'a [PublicIdentity],
    /// The vault's keys, of all generations.
    pub keys: &'a [VaultKey],
}

/// What a link says, without a look at who signed it: what a server goes by, which has no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which change.
    pub sequence: u64,
    /// That of the vault's key.
    pub generation: u32,
    /// The hash of the link before.
    pub previous: [u8; 32],
    /// What changes.
    pub change: Change,
    /// Who is said to have written it.
    pub writer: Uuid,
    /// The link's own hash.
    pub hash: [u8; 32],
}

impl Claim {
    /// Reads a link of that vault.
    pub fn read(vault: Uuid, link: &[u8]) -> Result<Self, Error> {
        let link = Link::parse(vault, link)?;
        let Link { sequence, generation, previous, change, writer, .. } = link;
        Ok(Self { sequence, generation, previous, change, writer, hash: link.hash() })
    }
}

/// Why a history is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A link is not one, or not signed by the one who is said to have written it.
    #[error(transparent)]
    Link(#[from] Error),
    /// A link was written by somebody who may not, or whose keys are not known.
    #[error("a change of the vault was written by {0}, who is no member that may write")]
    Stranger(Uuid),
    /// A link is signed, by somebody who has not the vault's key.
    #[error("change {sequence} of the vault was written by somebody who has not its key")]
    Outsider {
        /// Which change.
        sequence: u64,
    },
    /// The server shows an older state than this device has seen.
    #[error("rolled back: the server shows change {shown} as the newest, and {known} was seen before")]
    RolledBack {
        /// What this device has seen.
        known: u64,
        /// What the server shows.
        shown: u64,
    },
    /// The server shows another past than this device has seen.
    #[error("forked: change {sequence} of the vault is another one than before")]
    Forked {
        /// Which change.
        sequence: u64,
    },
    /// Links are missing.
    #[error("dropped: the history of the vault has no change {sequence}")]
    Dropped {
        /// The first that is missing.
        sequence: u64,
    },
    /// A member has written a link that does not follow from the ones before.
    #[error("change {sequence} of the vault does not follow from the changes before it")]
    Inconsistent {
        /// Which change.
        sequence: u64,
    },
}

/// What is wrong with an item that a server delivered, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It has to be there and is not.
    Dropped(Uuid),
    /// It is an older revision than it has to be.
    RolledBack(Uuid),
    /// It has the content of the second one.
    Swapped(Uuid, Uuid),
    /// Nobody wrote this content.
    Altered(Uuid),
    /// It was deleted, and is there.
    Revived(Uuid),
    /// No member has ever written it.
    Invented(Uuid),
}

/// What a device knows about a vault: everything that it remembers between two visits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    vault: Uuid,
    sequence: u64,
    generation: u32,
    hash: [u8; 32],
    entries: BTreeMap<Uuid, Entry>,
}

impl Manifest {
    /// A vault before its first change.
    pub fn empty(vault: Uuid) -> Self {
        Self { vault, sequence: 0, generation: 1, hash: [0; 32], entries: BTreeMap::new() }
    }

    /// As a device keeps it. It is not sealed, and believed when it is read: where it lies has to see to both.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.entries.len() * ENTRY_BYTES);
        bytes.extend_from_slice(self.vault.as_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.hash);
        append(&mut bytes, &self.entries);
        bytes
    }

    /// Reads what [`Manifest::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (head, list) = bytes.split_at_checked(HEAD_BYTES).ok_or(Error::Length(WHAT))?;
        let mut fields = Fields::of(WHAT, head, HEAD_BYTES)?;
        let (vault, sequence, generation, hash) = (fields.uuid()?, fields.u64()?, fields.u32()?, fields.take()?);
        let mut entries = BTreeMap::new();
        for entry in list.chunks(ENTRY_BYTES) {
            let mut fields = Fields::of(WHAT, entry, ENTRY_BYTES)?;
            let (item, revision, [there]) = (fields.uuid()?, fields.u64()?, fields.take()?);
            let content = fields.take()?;
            entries.insert(item, Entry { revision, content: (there == 1).then_some(content) });
        }
        Ok(Self { vault, sequence, generation, hash, entries })
    }

    /// The number of changes.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The generation of the vault's key.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What the items have to be, deleted ones too.
    pub fn entries(&self) -> &BTreeMap<Uuid, Entry> {
        &self.entries
    }

    /// Writes the next link, to be sent with the change itself. `self` stays as it is until the server took the change.
    pub fn write(&self, change: Change, key: &VaultKey, writer: &Identity) -> Result<Vec<u8>, Fault> {
        let sequence = self.sequence.saturating_add(1);
        let next = self.with(sequence, change)?;
        if key.vault() != self.vault || key.generation() != next.generation {
            return Err(Error::Elsewhere("a vault key").into());
        }
        let link = Link {
            vault: self.vault,
            sequence,
            generation: next.generation,
            previous: self.hash,
            change,
            root: root(&next.entries),
            writer: writer.public().account(),
        };
        let mut bytes = link.body();
        bytes.extend_from_slice(&member_mac(key, &bytes));
        bytes.extend_from_slice(&writer.sign(SIGNATURE, &bytes));
        Ok(bytes)
    }

    /// Follows the server from the link that this device has seen last (which has to come again, as the first one) to the
    /// newest. Before the first change nothing has to come again.
    pub fn follow(&self, links: &[impl AsRef<[u8]>], witness: Witness<'_>) -> Result<Self, Fault> {
        let mut links = links.iter();
        if self.sequence > 0 {
            let seen = links.next().ok_or(Fault::RolledBack { known: self.sequence, shown: 0 })?;
            self.recognise(&Link::parse(self.vault, seen.as_ref())?)?;
        }
        let mut manifest = self.clone();
        let mut newest = None;
        for bytes in links {
            let link = Link::check(self.vault, bytes.as_ref(), witness)?;
            manifest = manifest.after(&link)?;
            newest = Some(link);
        }
        // Hashing all items after each of a thousand changes would take long, and tell no more.
        match newest {
            Some(link) if link.root != root(&manifest.entries) => Err(Fault::Inconsistent { sequence: link.sequence }),
            Some(_) | None => Ok(manifest),
        }
    }

    /// Believes a vault that this device has never seen, as its newest link says.
    pub fn adopt(
        vault: Uuid,
        newest: &[u8],
        entries: BTreeMap<Uuid, Entry>,
        witness: Witness<'_>,
    ) -> Result<Self, Fault> {
        let link = Link::check(vault, newest, witness)?;
        if link.root != root(&entries) {
            return Err(Fault::Inconsistent { sequence: link.sequence });
        }
        Ok(Self { vault, sequence: link.sequence, generation: link.generation, hash: link.hash(), entries })
    }

    /// Compares what was delivered, as it was hashed here, with what has to be.
    pub fn inspect(&self, delivered: &BTreeMap<Uuid, Delivered>) -> Vec<Finding> {
        let missing =
            self.entries.iter().filter(|(item, entry)| entry.content.is_some() && !delivered.contains_key(item));
        let mut findings: Vec<Finding> = missing.map(|(item, _)| Finding::Dropped(*item)).collect();
        findings.extend(delivered.iter().filter_map(|(item, found)| self.judge(*item, found)));
        findings
    }

    fn judge(&self, item: Uuid, found: &Delivered) -> Option<Finding> {
        let Some(entry) = self.entries.get(&item) else { return Some(Finding::Invented(item)) };
        let Some(content) = entry.content else { return Some(Finding::Revived(item)) };
        if found.content == content {
            return (found.revision != entry.revision).then_some(Finding::Altered(item));
        }
        let other = self.entries.iter().find(|(_, other)| other.content == Some(found.content));
        match other {
            Some((other, _)) => Some(Finding::Swapped(item, *other)),
            None if found.revision < entry.revision => Some(Finding::RolledBack(item)),
            None => Some(Finding::Altered(item)),
        }
    }

    fn recognise(&self, link: &Link) -> Result<(), Fault> {
        if link.sequence < self.sequence {
            return Err(Fault::RolledBack { known: self.sequence, shown: link.sequence });
        }
        if link.sequence > self.sequence {
            return Err(Fault::Dropped { sequence: self.sequence });
        }
        if link.hash() == self.hash { Ok(()) } else { Err(Fault::Forked { sequence: self.sequence }) }
    }

    fn after(mut self, link: &Link) -> Result<Self, Fault> {
        let sequence = self.sequence.saturating_add(1);
        if link.sequence != sequence {
            return Err(Fault::Dropped { sequence });
        }
        if link.previous != self.hash {
            return Err(Fault::Forked { sequence });
        }
        self.apply(sequence, link.change)?;
        if link.generation != self.generation {
            return Err(Fault::Inconsistent { sequence });
        }
        self.hash = link.hash();
        Ok(self)
    }

    fn with(&self, sequence: u64, change: Change) -> Result<Self, Fault> {
        let mut next = self.clone();
        next.apply(sequence, change)?;
        Ok(next)
    }

    fn apply(&mut self, sequence: u64, change: Change) -> Result<(), Fault> {
        let inconsistent = Fault::Inconsistent { sequence };
        match change {
            Change::Item(item, entry) => {
                let before = self.entries.get(&item).map_or(0, |entry| entry.revision);
                if before.checked_add(1) != Some(entry.revision) {
                    return Err(inconsistent);
                }
                self.entries.insert(item, entry);
            }
            Change::NewKey => self.generation = self.generation.checked_add(1).ok_or(inconsistent)?,
        }
        self.sequence = sequence;
        Ok(())
    }
}

/// An item as it came from a server: the revision that it says, and the SHA-256 of the bytes that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// As the server says.
    pub revision: u64,
    /// As this device has computed it.
    pub content: [u8; 32],
}

struct Link {
    vault: Uuid,
    sequence: u64,
    generation: u32,
    previous: [u8; 32],
    change: Change,
    root: [u8; 32],
    writer: Uuid,
}

impl Link {
    /// Reads a link without believing it.
    fn parse(vault: Uuid, bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::of(WHAT, bytes, LINK_BYTES)?;
        if fields.uuid()? != vault {
            return Err(Error::Elsewhere(WHAT));
        }
        let (sequence, generation, previous) = (fields.u64()?, fields.u32()?, fields.take()?);
        let ([kind], item, revision, content) = (fields.take()?, fields.uuid()?, fields.u64()?, fields.take()?);
        let is_zero = content == [0; 32];
        let change = match kind {
            1 => Change::Item(item, Entry { revision, content: Some(content) }),
            2 if is_zero => Change::Item(item, Entry { revision, content: None }),
            3 if is_zero && item.is_nil() && revision == 0 => Change::NewKey,
            _ => return Err(Error::Malformed(WHAT)),
        };
        Ok(Self { vault, sequence, generation, previous, change, root: fields.take()?, writer: fields.uuid()? })
    }

    /// Reads a link that one of the writers has signed, who has the vault's key.
    fn check(vault: Uuid, bytes: &[u8], witness: Witness<'_>) -> Result<Self, Fault> {
        let link = Self::parse(vault, bytes)?;
        let writer = witness.writers.iter().find(|writer| writer.account() == link.writer);
        let writer = writer.ok_or(Fault::Stranger(link.writer))?;
        let (signed, signature) = bytes.split_last_chunk().ok_or(Error::Length(WHAT))?;
        writer.verify(WHAT, SIGNATURE, signed, signature)?;
        let (body, mac) = signed.split_at(BODY_BYTES);
        let key = witness.keys.iter().find(|key| key.vault() == vault && key.generation() == link.generation);
        let is_member = key.is_some_and(|key| member_mac(key, body).as_slice().ct_eq(mac).into());
        if is_member { Ok(link) } else { Err(Fault::Outsider { sequence: link.sequence }) }
    }

    fn body(&self) -> Vec<u8> {
        let (kind, item, entry) = match self.change {
            Change::Item(item, entry) => (if entry.content.is_some() { 1 } else { 2 }, item, entry),
            Change::NewKey => (3, Uuid::nil(), Entry { revision: 0, content: None }),
        };
        let mut body = Vec::with_capacity(LINK_BYTES);
        body.extend_from_slice(self.vault.as_bytes());
        body.extend_from_slice(&self.sequence.to_be_bytes());
        body.extend_from_slice(&self.generation.to_be_bytes());
        body.extend_from_slice(&self.previous);
        body.push(kind);
        body.extend_from_slice(item.as_bytes());
        body.extend_from_slice(&entry.revision.to_be_bytes());
        body.extend_from_slice(&entry.content.unwrap_or_default());
        body.extend_from_slice(&self.root);
        body.extend_from_slice(self.writer.as_bytes());
        body
    }

    fn hash(&self) -> [u8; 32] {
        hash(&[LINK, &self.body()])
    }
}

fn member_mac(key: &VaultKey, body: &[u8]) -> [u8; 32] {
    seal::mac(&seal::Key::new(*key.derive(MEMBER).bytes()), body)
}

/// Over all items, in the order of their ids.
fn root(entries: &BTreeMap<Uuid, Entry>) -> [u8; 32] {
    let mut bytes = ROOT.to_vec();
    append(&mut bytes, entries);
    hash(&[&bytes])
}

fn append(bytes: &mut Vec<u8>, entries: &BTreeMap<Uuid, Entry>) {
    for (item, entry) in entries {
        bytes.extend_from_slice(item.as_bytes());
        bytes.extend_from_slice(&entry.revision.to_be_bytes());
        bytes.push(u8::from(entry.content.is_some()));
        bytes.extend_from_slice(&entry.content.unwrap_or_default());
    }
}
