//! An unlocked device: its replica, read and written in clear by whoever holds the account key. Works without the box; what is
//! written becomes a draft, which [`super::push`] sends.

use std::io::Read;

use coffer_api::{NewSession, SecretRole};
use coffer_crypto::secrets::{
    identity::Identity,
    item::MAX_ITEM_BYTES,
    keys::{AccountKey, VaultKey},
    local::LocalKey,
};
use jiff::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    attachments,
    content::{Attachment, Content, FORMAT},
    decode,
    failure::Failure,
    home::{Home, Profile},
    line::Line,
    replica::{Kind, Replica, Rows},
    rows::{self, Base, Draft, Own, Tokens},
    store::{Item, StoreError, Vault, Vaults},
};

const DAMAGED: Failure = Failure::Damaged { what: "the replica" };

/// A device that is unlocked.
pub struct Device {
    /// Its files.
    pub home: Home,
    /// Whose it is.
    pub profile: Profile,
    pub(super) key: AccountKey,
    pub(super) replica: Replica,
    pub(super) now: fn() -> Timestamp,
}

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Vaults that this device has.
    pub vaults: usize,
    /// Edits that were not sent yet.
    pub drafts: usize,
}

impl Device {
    /// Opens what is kept.
    pub fn open(home: Home, key: AccountKey, now: fn() -> Timestamp) -> Result<Self, Failure> {
        let profile = home.profile()?;
        // The agent of somebody else, who was logged in before.
        if key.account() != profile.account {
            return Err(Failure::Locked);
        }
        let replica = Replica::open(home.replica(), LocalKey::of(&key))?;
        Ok(Self { home, profile, key, replica, now })
    }

    /// Keeps a session's tokens.
    pub fn keep_session(&self, session: NewSession) -> Result<(), Failure> {
        let tokens =
            Tokens { access: session.access_token, expires_at: session.expires_at, refresh: session.refresh_token };
        self.replica.rows().put(Kind::Tokens, Uuid::nil(), Uuid::nil(), &tokens)
    }

    /// Keeps the account's private keys, sealed as the box has them.
    pub fn keep_identity(&self, sealed: &str) -> Result<(), Failure> {
        Identity::open(&self.key, &decode(sealed).ok_or(DAMAGED)?)?;
        self.replica.rows().put(Kind::Own, Uuid::nil(), Uuid::nil(), &Own { identity: sealed.to_owned() })
    }

    /// The account's own keys.
    pub fn identity(&self) -> Result<Identity, Failure> {
        let own: Own = self.replica.rows().get(Kind::Own, Uuid::nil(), Uuid::nil())?.ok_or(DAMAGED)?;
        Ok(Identity::open(&self.key, &decode(&own.identity).ok_or(DAMAGED)?)?)
    }

    /// How much there is.
    pub fn counts(&self) -> Result<Counts, Failure> {
        let rows = self.replica.rows();
        let vaults = rows.vaults(Kind::Vault)?.len();
        let drafts = rows.vaults(Kind::Draft)?.into_iter().map(|vault| rows.of_vault::<Draft>(Kind::Draft, vault));
        let drafts = drafts.map(|drafts| drafts.map(|drafts| drafts.len())).sum::<Result<usize, Failure>>()?;
        Ok(Counts { vaults, drafts })
    }

    /// What the account may do in a vault.
    pub fn role(&self, vault: Uuid) -> Result<SecretRole, Failure> {
        Ok(self.vault(vault)?.role)
    }

    /// Who gave a vault's first key to this account, and whether their keys were compared; nobody when the account has made it.
    pub fn given_by(&self, vault: Uuid) -> Result<Option<(String, bool)>, Failure> {
        let Some(account) = self.vault(vault)?.given_by else { return Ok(None) };
        Ok(Some((self.person_name(account)?, self.has_verified(account)?)))
    }

    /// What people call a vault: the title of the item that has its id. Its id, as long as there is none.
    pub fn vault_name(&self, vault: Uuid) -> Result<String, Failure> {
        let item = Self::find(self.replica.rows(), vault, vault)?;
        Ok(item.map_or_else(|| vault.to_string(), |item| item.content.title))
    }

    /// Takes back what was changed in a vault and not sent, and drops this device's copy of it.
    pub fn forget(&self, vault: Uuid) -> Result<(), Failure> {
        self.replica.change(|rows| rows.forget(vault))
    }

    /// Who somebody is, as far as this device knows.
    pub fn person_name(&self, account: Uuid) -> Result<String, Failure> {
        if account == self.profile.account {
            return Ok(self.profile.username.clone());
        }
        let person: Option<rows::Person> = self.replica.rows().get(Kind::Person, Uuid::nil(), account)?;
        Ok(person.and_then(|person| person.name).unwrap_or_else(|| account.to_string()))
    }

    pub(super) fn vault(&self, vault: Uuid) -> Result<rows::Vault, Failure> {
        let found = self.replica.rows().get(Kind::Vault, vault, Uuid::nil())?;
        found.ok_or_else(|| Failure::Unknown { what: "vault", name: vault.to_string(), hint: "" })
    }

    pub(super) fn vault_keys(&self, vault: Uuid, state: &rows::Vault) -> Result<Vec<VaultKey>, Failure> {
        let open = |key: &rows::WrappedKey| {
            let wrapped = decode(&key.wrapped).ok_or(DAMAGED)?;
            VaultKey::unwrap(&self.key, vault, key.generation, &wrapped).map_err(|_| DAMAGED)
        };
        state.keys.iter().map(open).collect()
    }

    /// An item as it stands here: the draft, or else what the box has.
    fn find(rows: Rows<'_>, vault: Uuid, id: Uuid) -> Result<Option<Item>, Failure> {
        let (base, draft) = (rows.get(Kind::Base, vault, id)?, rows.get(Kind::Draft, vault, id)?);
        Ok(standing(vault, id, base, draft))
    }

    fn writable(&self, vault: Uuid) -> Result<(), StoreError> {
        let state: Option<rows::Vault> = self.replica.rows().get(Kind::Vault, vault, Uuid::nil())?;
        match state.ok_or(StoreError::NoSuchVault(vault))?.role {
            SecretRole::Viewer => Err(StoreError::ReadOnly(self.vault_name(vault)?)),
            SecretRole::Editor | SecretRole::Manager | SecretRole::Owner => Ok(()),
        }
    }

    /// Writes a draft on top of what stands.
    fn write(
        rows: Rows<'_>,
        vault: Uuid,
        id: Uuid,
        expected: u64,
        content: Option<&Content>,
    ) -> Result<u64, StoreError> {
        let base: Option<Base> = rows.get(Kind::Base, vault, id)?;
        let draft: Option<Draft> = rows.get(Kind::Draft, vault, id)?;
        let base_revision = base.as_ref().map_or(0, |base| base.revision);
        let (base_number, edits) = draft.as_ref().map_or((base_revision, 0), |draft| (draft.base, draft.edits));
        let standing = standing(vault, id, base, draft).ok_or(StoreError::NoSuchItem(id))?;
        if standing.content.format > FORMAT {
            return Err(StoreError::Newer(id));
        }
        if standing.revision != expected {
            return Err(StoreError::Changed { item: id, revision: standing.revision });
        }
        let next = Draft { base: base_number, edits: edits + 1, content: content.cloned() };
        if next.base == 0 && next.content.is_none() {
            // Nobody else has ever seen it.
            rows.delete(Kind::Draft, vault, id)?;
        } else {
            rows.put(Kind::Draft, vault, id, &next)?;
        }
        Ok(next.base + next.edits)
    }
}

/// What an item is with a draft on top of what the box has; `None` when it is deleted.
fn standing(vault: Uuid, id: Uuid, base: Option<Base>, draft: Option<Draft>) -> Option<Item> {
    let (revision, content) = match (draft, base) {
        (Some(draft), _) => (draft.base + draft.edits, draft.content),
        (None, Some(base)) => (base.revision, base.content),
        (None, None) => return None,
    };
    content.map(|content| Item { id, vault, revision, content })
}

/// Refuses what does not fit into an item.
fn check_size(content: &Content) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(content).map(Zeroizing::new);
    let bytes = bytes.map_err(|error| StoreError::Other(Box::new(error)))?;
    if bytes.len() <= MAX_ITEM_BYTES {
        return Ok(());
    }
    Err(StoreError::TooLarge {
        title: content.title.clone(),
        size_bytes: bytes.len() as u64,
        limit_bytes: MAX_ITEM_BYTES as u64,
    })
}

impl Vaults for Device {
    fn vaults(&mut self) -> Result<Vec<Vault>, StoreError> {
        let ids = self.replica.rows().vaults(Kind::Vault)?;
        let mut vaults = Vec::with_capacity(ids.len());
        for id in ids {
            vaults.push(Vault { id, name: self.vault_name(id)? });
        }
        vaults.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(vaults)
    }

    fn items(&mut self, vault: Uuid) -> Result<Vec<Item>, StoreError> {
        let rows = self.replica.rows();
        if rows.get::<rows::Vault>(Kind::Vault, vault, Uuid::nil())?.is_none() {
            return Err(StoreError::NoSuchVault(vault));
        }
        let mut drafts: std::collections::BTreeMap<Uuid, Draft> =
            rows.of_vault(Kind::Draft, vault)?.into_iter().collect();
        let mut items = Vec::new();
        for (id, base) in rows.of_vault::<Base>(Kind::Base, vault)? {
            items.extend(standing(vault, id, Some(base), drafts.remove(&id)));
        }
        items.extend(drafts.into_iter().filter_map(|(id, draft)| standing(vault, id, None, Some(draft))));
        // Its name is not one of a vault's items.
        items.retain(|item| item.id != vault);
        Ok(items)
    }

    fn item(&mut self, vault: Uuid, item: Uuid) -> Result<Option<Item>, StoreError> {
        Ok(Self::find(self.replica.rows(), vault, item)?)
    }

    fn create(&mut self, vault: Uuid, contents: Vec<Content>) -> Result<Vec<Item>, StoreError> {
        self.writable(vault)?;
        contents.iter().try_for_each(check_size)?;
        self.replica.change(|rows| {
            let mut items = Vec::with_capacity(contents.len());
            for content in contents {
                let id = Uuid::new_v4();
                rows.put(Kind::Draft, vault, id, &Draft { base: 0, edits: 1, content: Some(content.clone()) })?;
                items.push(Item { id, vault, revision: 1, content });
            }
            Ok(items)
        })
    }

    fn edit(&mut self, vault: Uuid, item: Uuid, expected_revision: u64, content: Content) -> Result<Item, StoreError> {
        self.writable(vault)?;
        check_size(&content)?;
        let written = |rows: Rows<'_>| Self::write(rows, vault, item, expected_revision, Some(&content));
        let revision = self.replica.change(written)?;
        Ok(Item { id: item, vault, revision, content })
    }

    fn delete(&mut self, vault: Uuid, item: Uuid, expected_revision: u64) -> Result<(), StoreError> {
        self.writable(vault)?;
        self.replica.change(|rows| Self::write(rows, vault, item, expected_revision, None)).map(drop)
    }

    fn attach(&mut self, item: &Item, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let (place, size) = ((item.vault, item.id), content.len() as u64);
        attachments::attach(self, place, (name, size), &mut &*content, &mut |_, _| ()).map(drop)
    }

    fn attached(&mut self, item: &Item, attachment: &Attachment) -> Result<Option<Box<dyn Read>>, StoreError> {
        match attachments::fetch(&Line::new(self)?, item, attachment, &mut |_, _| ()) {
            Ok(fetched) => Ok(Some(Box::new(fetched))),
            Err(failure) if failure.is_offline() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }
}
