//! News of one vault: everything that the box tells is proven against the vault's history before any of it is kept, and then
//! all of it is kept at once. Edits that were not sent yet are merged with it.

use std::collections::{BTreeMap, BTreeSet};

use coffer_api::{SecretChanges, SecretItem, SecretMember, SecretVault, SecretVaultKey};
use coffer_crypto::secrets::{
    self as crypto, grant,
    identity::PublicIdentity,
    item::Version,
    keys::{ItemKey, VaultKey},
    manifest::{Claim, Delivered, Entry, Fault, Finding, Manifest, Witness},
};
use jiff::tz::TimeZone;
use serde_json::Map;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    content::{Content, FORMAT, Kind as Type},
    decode, encode,
    failure::Failure,
    line::Line,
    merge::{Merged, conflict_title, merge},
    people,
    replica::{Kind, Rows},
    rng,
    rows::{Base, Chain, Draft, Vault, WrappedKey},
};

/// A vault that tells in more parts than this has no end.
const MAX_PARTS: usize = 100_000;
/// Where a grant says who made it.
const SENDER: std::ops::Range<usize> = 0..16;

/// What a visit has brought.
#[derive(Default)]
pub struct News {
    /// Items that are new, changed or deleted.
    pub received: usize,
    /// Titles of copies that were made because both sides had changed the same.
    pub conflicts: Vec<String>,
}

/// What the box tells of a vault, as it came.
struct Told {
    links: Vec<Vec<u8>>,
    claims: Vec<Claim>,
    items: BTreeMap<Uuid, SecretItem>,
}

/// A vault that was proven.
struct Proven {
    link: Vec<u8>,
    manifest: Manifest,
    items: Vec<(Uuid, Base)>,
    /// Who has written under the newest key, and so has it.
    writers: BTreeSet<Uuid>,
}

/// Fetches what changed in a vault, and keeps it.
pub fn pull(line: &Line<'_>, vault: &SecretVault) -> Result<News, Failure> {
    let (device, id) = (line.device, vault.id);
    let rows = device.replica.rows();
    let before: Option<Vault> = rows.get(Kind::Vault, id, Uuid::nil())?;
    let chain = rows.get::<Chain>(Kind::Chain, id, Uuid::nil())?.map(|chain| chain.read()).transpose()?;
    let told = told(line, id, chain.as_ref().map_or(0, |(_, manifest)| manifest.sequence()))?;
    let mut state = before.unwrap_or_else(|| Vault {
        role: vault.role,
        keys: Vec::new(),
        members: Vec::new(),
        needs_key: false,
        given_by: None,
        key_holders: BTreeSet::new(),
    });
    state.role = vault.role;
    state.members = line.get::<Vec<SecretMember>>(&format!("/secrets/vaults/{id}/members"))?;
    let newest = told.claims.iter().map(|claim| claim.generation).max().unwrap_or(vault.generation);
    if state.keys.last().is_none_or(|key| key.generation < newest) {
        fetch_keys(line, id, &mut state)?;
    }
    let keys = device.vault_keys(id, &state)?;
    let proven = prove(line, id, chain.as_ref(), told, &keys)?;
    let received = proven.items.len();
    state.key_holders.extend(&proven.writers);
    let conflicts = device.replica.change(|rows| {
        rows.put(Kind::Vault, id, Uuid::nil(), &state)?;
        rows.put(Kind::Chain, id, Uuid::nil(), &Chain::new(&proven.link, &proven.manifest))?;
        let folded = proven.items.into_iter().map(|(item, base)| fold(line, rows, id, item, &base));
        Ok::<_, Failure>(folded.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    })?;
    Ok(News { received, conflicts })
}

/// Everything from the change that was seen last, in as many parts as it takes.
fn told(line: &Line<'_>, id: Uuid, seen: u64) -> Result<Told, Failure> {
    let mut told = Told { links: Vec::new(), claims: Vec::new(), items: BTreeMap::new() };
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    let mut since = seen;
    for part in 0..MAX_PARTS {
        let changes: SecretChanges = line.get(&format!("/secrets/vaults/{id}/sync?since={since}"))?;
        for link in &changes.links {
            let shown = bytes(line, link)?;
            let claim = Claim::read(id, &shown).map_err(|fault| lie(line, id, fault.into()))?;
            // A part begins before the one before it ended. What is shown twice in one part is not overlooked.
            let is_known = places.get(&claim.sequence).is_some_and(|place| told.links[*place] == shown);
            if part > 0 && is_known {
                continue;
            }
            places.insert(claim.sequence, told.links.len());
            told.links.push(shown);
            told.claims.push(claim);
        }
        let last_item = changes.items.iter().map(|item| item.sequence).max();
        told.items.extend(changes.items.into_iter().map(|item| (item.id, item)));
        if !changes.more {
            return Ok(told);
        }
        let last_link = told.claims.iter().map(|claim| claim.sequence).max().unwrap_or(since);
        let reached = last_item.map_or(last_link, |item| item.min(last_link));
        if reached <= since {
            break;
        }
        since = reached;
    }
    Err(line.protocol("what it tells of a vault has no end"))
}

/// Keys that this device has not got. What others have given is wrapped for oneself, so that it opens without them.
fn fetch_keys(line: &Line<'_>, id: Uuid, state: &mut Vault) -> Result<(), Failure> {
    let device = line.device;
    let mut told: Vec<SecretVaultKey> = line.get(&format!("/secrets/vaults/{id}/keys"))?;
    told.sort_by_key(|key| key.generation);
    for key in told {
        if state.keys.iter().any(|known| known.generation == key.generation) {
            continue;
        }
        let sealed = bytes(line, &key.sealed)?;
        let (opened, giver) = if sealed.len() == crypto::WRAPPED_KEY_BYTES {
            // Nobody else can have made this.
            let opened = VaultKey::unwrap(&device.key, id, key.generation, &sealed);
            (opened.map_err(|cause| no_key(line, id, cause))?, None)
        } else {
            let (opened, giver) = take_grant(line, id, state, &sealed)?;
            (opened, Some(giver))
        };
        // Who had the one before need not have this one: that is what it is for.
        state.key_holders = giver.into_iter().collect();
        if (opened.vault(), opened.generation()) != (id, key.generation) {
            return Err(no_key(line, id, crypto::Error::Elsewhere("a vault key")));
        }
        let wrapped = encode(&opened.wrap(&device.key, &mut rng())?);
        state.keys.push(WrappedKey { generation: key.generation, wrapped });
    }
    Ok(())
}

/// A key that somebody else has given. The first one is how a vault becomes known; a later one counts only from somebody who
/// had an earlier one, or whose keys a person has compared: else a box would make somebody up, give the vault a key of
/// theirs, and read what is written from then on.
fn take_grant(line: &Line<'_>, id: Uuid, state: &mut Vault, sealed: &[u8]) -> Result<(VaultKey, Uuid), Failure> {
    let device = line.device;
    let sender = sealed.get(SENDER).and_then(|bytes| Uuid::from_slice(bytes).ok());
    let account = sender.ok_or_else(|| no_key(line, id, crypto::Error::Length("a grant")))?;
    if state.keys.is_empty() {
        state.given_by = Some(account);
    } else if !state.key_holders.contains(&account) && !device.has_verified(account)? {
        let met = people::by_id(line, account)?;
        return Err(Failure::KeyOfStranger {
            vault: device.vault_name(id)?,
            name: met.name.unwrap_or_else(|| account.to_string()),
            named: met.public.fingerprint(),
        });
    }
    let sender = people::believed(line, account)?;
    match grant::open(sealed, &sender, &device.identity()?) {
        Ok((key, _)) => Ok((key, account)),
        Err(cause) => {
            people::by_id(line, account)?.check_unchanged()?;
            Err(no_key(line, id, cause))
        }
    }
}

fn no_key(line: &Line<'_>, id: Uuid, cause: crypto::Error) -> Failure {
    match line.device.vault_name(id) {
        Ok(vault) => Failure::VaultKey { vault, cause },
        Err(failure) => failure,
    }
}

/// Believes what follows from the history, and names what does not.
fn prove(
    line: &Line<'_>,
    id: Uuid,
    seen: Option<&(Vec<u8>, Manifest)>,
    told: Told,
    keys: &[VaultKey],
) -> Result<Proven, Failure> {
    let seen = seen.filter(|(_, manifest)| manifest.sequence() > 0);
    let newest = told.claims.iter().enumerate().max_by_key(|(_, claim)| claim.sequence).map(|(index, _)| index);
    let signed: BTreeSet<Uuid> = match (seen, newest) {
        (Some((_, manifest)), _) => {
            let new = told.claims.iter().filter(|claim| claim.sequence > manifest.sequence());
            new.map(|claim| claim.writer).collect()
        }
        (None, newest) => newest.map(|newest| told.claims[newest].writer).into_iter().collect(),
    };
    let writers = writers(line, id, &signed)?;
    let witness = Witness { writers: &writers, keys };
    let manifest = match (seen, newest) {
        (Some((_, manifest)), _) => manifest.follow(&told.links, witness),
        (None, Some(newest)) => {
            let entries = told.items.iter().map(|(item, told)| Ok((*item, entry(line, told)?)));
            Manifest::adopt(id, &told.links[newest], entries.collect::<Result<_, Failure>>()?, witness)
        }
        (None, None) => Ok(Manifest::empty(id)),
    };
    let manifest = manifest.or_else(|fault| Err(explained(line, id, &signed, fault)?))?;
    let before = seen.map(|(_, manifest)| manifest.entries());
    let mut findings = inspect(line, before, &manifest, &told.items)?;
    // That an item was deleted has to be delivered, too: else it would go on to be shown.
    let deleted = manifest.entries().iter().filter(|(_, entry)| entry.content.is_none());
    let news = deleted.filter(|(item, entry)| before.and_then(|before| before.get(item)) != Some(*entry));
    findings.extend(news.filter(|(item, _)| !told.items.contains_key(item)).map(|(item, _)| Finding::Dropped(*item)));
    if !findings.is_empty() {
        return Err(Failure::Items { vault: line.device.vault_name(id)?, findings });
    }
    let (mut items, claims) = (Vec::new(), told.claims);
    for (item, told) in told.items {
        let entry = manifest.entries().get(&item).copied();
        let Some(entry) = entry.filter(|entry| before.and_then(|before| before.get(&item)) != Some(entry)) else {
            continue;
        };
        let content = open(line, id, keys, &told, entry)?;
        let SecretItem { key_generation, wrapped_key, changed_at, changed_by, .. } = told;
        let base = Base { revision: entry.revision, key_generation, wrapped_key, changed_at, changed_by, content };
        items.push((item, base));
    }
    let last = newest.map(|newest| told.links[newest].clone()).unwrap_or_default();
    let newest = manifest.generation();
    let writers = claims.iter().filter(|claim| signed.contains(&claim.writer) && claim.generation == newest);
    let writers = writers.map(|claim| claim.writer).collect();
    Ok(Proven { link: last, manifest, items, writers })
}

fn writers(line: &Line<'_>, id: Uuid, accounts: &BTreeSet<Uuid>) -> Result<Vec<PublicIdentity>, Failure> {
    let known = accounts.iter().map(|account| match people::believed(line, *account) {
        Err(failure) if failure.is_not_found() => Err(lie(line, id, Fault::Stranger(*account))),
        other => other,
    });
    known.collect()
}

/// A signature that is wrong may be one by keys that this device does not believe yet: then that is what to say.
fn explained(line: &Line<'_>, id: Uuid, signed: &BTreeSet<Uuid>, fault: Fault) -> Result<Failure, Failure> {
    if matches!(fault, Fault::Link(crypto::Error::Signature(_))) {
        for account in signed.iter().filter(|account| **account != line.device.profile.account) {
            people::by_id(line, *account)?.check_unchanged()?;
        }
    }
    Ok(lie(line, id, fault))
}

fn lie(line: &Line<'_>, id: Uuid, fault: Fault) -> Failure {
    match line.device.vault_name(id) {
        Ok(vault) => Failure::History { vault, fault },
        Err(failure) => failure,
    }
}

/// Compares what came, and what this device has, with what has to be.
fn inspect(
    line: &Line<'_>,
    before: Option<&BTreeMap<Uuid, Entry>>,
    manifest: &Manifest,
    items: &BTreeMap<Uuid, SecretItem>,
) -> Result<Vec<Finding>, Failure> {
    let unchanged = before.into_iter().flatten().filter(|(item, entry)| manifest.entries().get(item) == Some(entry));
    let mut delivered: BTreeMap<Uuid, Delivered> = unchanged
        .filter_map(|(item, entry)| {
            let content = entry.content?;
            Some((*item, Delivered { revision: entry.revision, content }))
        })
        .collect();
    for (item, told) in items {
        match entry(line, told)?.content {
            Some(content) => delivered.insert(*item, Delivered { revision: told.revision, content }),
            None => delivered.remove(item),
        };
    }
    Ok(manifest.inspect(&delivered))
}

fn entry(line: &Line<'_>, item: &SecretItem) -> Result<Entry, Failure> {
    let content = item.content.as_deref().map(|content| bytes(line, content)).transpose()?;
    Ok(Entry { revision: item.revision, content: content.map(|content| Sha256::digest(content).into()) })
}

/// Opens an item; of a deleted one there is nothing. What does not open is not what was written.
fn open(
    line: &Line<'_>,
    vault: Uuid,
    keys: &[VaultKey],
    item: &SecretItem,
    entry: Entry,
) -> Result<Option<Content>, Failure> {
    let Some(sealed) = &item.content else { return Ok(None) };
    let (sealed, wrapped) = (bytes(line, sealed)?, bytes(line, &item.wrapped_key)?);
    let version = Version { revision: entry.revision, generation: item.generation };
    let key = keys.iter().find(|key| key.generation() == item.key_generation);
    let opened = key.and_then(|key| ItemKey::unwrap(key, item.id, &wrapped).ok());
    if let Some(content) = opened.and_then(|key| key.open(version, &sealed).ok()) {
        return Ok(Some(read(&content)));
    }
    Err(Failure::Items { vault: line.device.vault_name(vault)?, findings: vec![Finding::Altered(item.id)] })
}

/// What an item says. A document that this client does not understand is shown as one that it must not write.
pub(super) fn read(content: &[u8]) -> Content {
    serde_json::from_slice(content).unwrap_or_else(|_| Content {
        format: FORMAT + 1,
        other: Map::new(),
        ..Content::new(Type::Other("unreadable".to_owned()), "(an item that this program cannot read)")
    })
}

/// Keeps an item as the box has it, and puts what was changed here on top of it. Returns the title of a copy, if it took one.
fn fold(line: &Line<'_>, rows: Rows<'_>, vault: Uuid, id: Uuid, base: &Base) -> Result<Option<String>, Failure> {
    let before: Option<Base> = rows.get(Kind::Base, vault, id)?;
    let draft: Option<Draft> = rows.get(Kind::Draft, vault, id)?;
    rows.put(Kind::Base, vault, id, base)?;
    let Some(draft) = draft else { return Ok(None) };
    let (began, theirs) = (before.and_then(|before| before.content), base.content.as_ref());
    let Merged { item, copy } = if theirs.is_some_and(|theirs| theirs.format > FORMAT) {
        Merged { item: theirs.cloned(), copy: draft.content.filter(|ours| Some(ours) != began.as_ref()) }
    } else {
        merge(began.as_ref(), draft.content.as_ref(), theirs)
    };
    if item.as_ref() == theirs {
        rows.delete(Kind::Draft, vault, id)?;
    } else {
        rows.put(Kind::Draft, vault, id, &Draft { base: base.revision, edits: draft.edits + 1, content: item })?;
    }
    // Two names of a vault are one too many.
    let Some(mut copy) = copy.filter(|_| id != vault) else { return Ok(None) };
    let today = (line.device.now)().to_zoned(TimeZone::UTC).date();
    // What is attached stays with the item, which says what both have attached: under the copy's key it would not open.
    copy.attachments.clear();
    copy.title = conflict_title(&copy.title, &line.device.profile.device, today);
    let title = copy.title.clone();
    rows.put(Kind::Draft, vault, Uuid::new_v4(), &Draft { base: 0, edits: 1, content: Some(copy) })?;
    Ok(Some(title))
}

fn bytes(line: &Line<'_>, text: &str) -> Result<Vec<u8>, Failure> {
    decode(text).ok_or_else(|| line.protocol("what should be bytes is none"))
}
