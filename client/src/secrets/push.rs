//! Edits of this device, sent to the box one after the other, each with its link of the vault's history. A draft goes away
//! when the box has it, unless it was changed again meanwhile.

use coffer_api::{PutSecretItem, SecretItem};
use coffer_crypto::secrets::{
    identity::Identity,
    item::Version,
    keys::{ItemKey, VaultKey},
    manifest::{Change, Entry, Manifest, Witness},
};
use sha2::{Digest, Sha256};
use ureq::http::Method;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    decode, encode,
    failure::Failure,
    line::Line,
    remote::Condition,
    replica::Kind,
    rng,
    rows::{Base, Chain, Draft},
};

const DAMAGED: Failure = Failure::Damaged { what: "the replica" };
/// So many are sent before the history is written down again. Who stops in between learns the rest from the box.
const BATCH: usize = 32;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// So many were sent, and none is left.
    All(usize),
    /// After so many, somebody was faster: look what there is, and try again.
    Stale(usize),
}

/// What the next link needs.
pub(super) struct Writer<'a> {
    pub(super) line: &'a Line<'a>,
    pub(super) vault: Uuid,
    pub(super) keys: Vec<VaultKey>,
    pub(super) identity: Identity,
    pub(super) link: Vec<u8>,
    pub(super) manifest: Manifest,
}

/// One revision that the box has taken.
struct Taken {
    item: Uuid,
    draft: Draft,
    base: Base,
}

/// Sends all drafts of a vault.
pub fn push(line: &Line<'_>, vault: Uuid) -> Result<Pushed, Failure> {
    let drafts: Vec<(Uuid, Draft)> = line.device.replica.rows().of_vault(Kind::Draft, vault)?;
    if drafts.is_empty() {
        return Ok(Pushed::All(0));
    }
    let mut writer = Writer::of(line, vault)?;
    let mut sent = 0;
    let mut taken = Vec::new();
    for (item, draft) in drafts {
        let outcome = writer.put(item, draft);
        let is_stopped = !matches!(outcome, Ok(Some(_)));
        let failed = outcome.map(|done| taken.extend(done)).err();
        if is_stopped || taken.len() == BATCH {
            sent += taken.len();
            writer.keep(std::mem::take(&mut taken))?;
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        if is_stopped {
            return Ok(Pushed::Stale(sent));
        }
    }
    sent += taken.len();
    writer.keep(taken)?;
    Ok(Pushed::All(sent))
}

impl<'a> Writer<'a> {
    /// Takes up the history where this device has seen it last.
    pub(super) fn of(line: &'a Line<'a>, vault: Uuid) -> Result<Self, Failure> {
        let device = line.device;
        let keys = device.vault_keys(vault, &device.vault(vault)?)?;
        let chain: Option<Chain> = device.replica.rows().get(Kind::Chain, vault, Uuid::nil())?;
        let (last, manifest) = chain.ok_or(DAMAGED)?.read()?;
        Ok(Self { line, vault, keys, identity: device.identity()?, link: last, manifest })
    }

    /// Sends a revision; nothing when somebody was faster.
    fn put(&mut self, item: Uuid, draft: Draft) -> Result<Option<Taken>, Failure> {
        let base: Option<Base> = self.line.device.replica.rows().get(Kind::Base, self.vault, item)?;
        let key = self.keys.last().ok_or(DAMAGED)?;
        let generation = key.generation();
        let item_key = match &base {
            Some(base) => self.item_key(item, base)?,
            None => ItemKey::generate(self.vault, item, &mut rng()),
        };
        let revision = base.as_ref().map_or(0, |base| base.revision) + 1;
        let sealed = draft.content.as_ref().map(|content| {
            let bytes = serde_json::to_vec(content).map(Zeroizing::new).map_err(|_| DAMAGED)?;
            Ok::<_, Failure>(item_key.seal(Version { revision, generation }, &bytes, &mut rng())?)
        });
        let sealed = sealed.transpose()?;
        let content = sealed.as_ref().map(|sealed| Sha256::digest(sealed).into());
        let change = Change::Item(item, Entry { revision, content });
        let link = self.manifest.write(change, key, &self.identity).map_err(|_| DAMAGED)?;
        let body = PutSecretItem {
            key_generation: generation,
            wrapped_key: encode(&item_key.wrap(key, &mut rng())?),
            content: sealed.as_deref().map(encode),
            link: encode(&link),
        };
        let condition = base.map_or(Condition::New, |base| Condition::Replaces(base.revision));
        let path = format!("/secrets/vaults/{}/items/{item}", self.vault);
        let sent: Option<SecretItem> = self.line.send_if(Method::PUT, &path, Some(condition), Some(&body))?;
        let Some(stored) = sent else { return Ok(None) };
        if stored.revision != revision || stored.content != body.content {
            return Err(self.line.protocol("it has stored something else than was sent"));
        }
        self.follow(link)?;
        let base = Base {
            revision,
            key_generation: generation,
            wrapped_key: body.wrapped_key,
            changed_at: stored.changed_at,
            changed_by: stored.changed_by,
            content: draft.content.clone(),
        };
        Ok(Some(Taken { item, draft, base }))
    }

    /// The key of an item, by whichever of the vault's keys it is wrapped.
    pub(super) fn item_key(&self, item: Uuid, base: &Base) -> Result<ItemKey, Failure> {
        let key = self.keys.iter().find(|key| key.generation() == base.key_generation).ok_or(DAMAGED)?;
        let wrapped = decode(&base.wrapped_key).ok_or(DAMAGED)?;
        match ItemKey::unwrap(key, item, &wrapped) {
            Ok(key) => Ok(key),
            // Nobody could tell whether the key of a deleted item was the right one; nothing is sealed by it any more.
            Err(_) if base.content.is_none() => Ok(ItemKey::generate(self.vault, item, &mut rng())),
            Err(_) => Err(DAMAGED),
        }
    }

    /// Goes on to a link that the box has taken.
    pub(super) fn follow(&mut self, link: Vec<u8>) -> Result<(), Failure> {
        let writers = [self.identity.public().clone()];
        let witness = Witness { writers: &writers, keys: &self.keys };
        let next = if self.manifest.sequence() == 0 {
            self.manifest.follow(&[&link], witness)
        } else {
            self.manifest.follow(&[&self.link, &link], witness)
        };
        self.manifest = next.map_err(|_| DAMAGED)?;
        self.link = link;
        Ok(())
    }

    fn keep(&self, taken: Vec<Taken>) -> Result<(), Failure> {
        if taken.is_empty() {
            return Ok(());
        }
        self.line.device.replica.change(|rows| {
            rows.put(Kind::Chain, self.vault, Uuid::nil(), &Chain::new(&self.link, &self.manifest))?;
            for Taken { item, draft, base } in taken {
                rows.put(Kind::Base, self.vault, item, &base)?;
                let now: Option<Draft> = rows.get(Kind::Draft, self.vault, item)?;
                match now {
                    // It was changed again while it was on its way.
                    Some(now) if now.edits != draft.edits => {
                        let edits = now.edits.saturating_sub(draft.edits);
                        let next = Draft { base: base.revision, edits, content: now.content };
                        rows.put(Kind::Draft, self.vault, item, &next)?;
                    }
                    Some(_) => rows.delete(Kind::Draft, self.vault, item)?,
                    // It was new, and deleted again while it was on its way.
                    None => rows.put(
                        Kind::Draft,
                        self.vault,
                        item,
                        &Draft { base: base.revision, edits: 1, content: None },
                    )?,
                }
            }
            Ok(())
        })
    }
}
