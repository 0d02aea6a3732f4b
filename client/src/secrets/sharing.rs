//! Who is in a vault: making one, letting people in by keys that are known to be theirs, putting them out, and the new key
//! that a vault gets after somebody has left.

use std::collections::BTreeSet;

use coffer_api::{
    CreateSecretVault, PutSecretMember, RotateSecretVault, SecretItemKey, SecretMemberKey, SecretRole, SecretVault,
    SecretVaultKey,
};
use coffer_crypto::secrets::{
    grant::{self, Role, Terms},
    keys::VaultKey,
    manifest::Change,
};
use ureq::http::Method;
use uuid::Uuid;

use super::{
    content::{Content, Kind as Type},
    encode,
    failure::Failure,
    home::Exclusive,
    line::Line,
    people::{self, Met},
    push::Writer,
    replica::Kind,
    rng,
    rows::{Base, Chain, Draft, Vault, WrappedKey},
};

const DAMAGED: Failure = Failure::Damaged { what: "the replica" };

/// Makes a vault, on the box and here. Its name goes with the next visit.
pub fn create_vault(line: &Line<'_>, name: &str) -> Result<Uuid, Failure> {
    let device = line.device;
    let key = VaultKey::generate(Uuid::new_v4(), &mut rng());
    let id = key.vault();
    let wrapped = encode(&key.wrap(&device.key, &mut rng())?);
    let body = CreateSecretVault { id, key: wrapped.clone() };
    let made: SecretVault = line.send(Method::POST, "/secrets/vaults", Some(&body))?;
    let keys = vec![WrappedKey { generation: key.generation(), wrapped }];
    let state = Vault {
        role: made.role,
        keys,
        members: Vec::new(),
        needs_key: false,
        given_by: None,
        key_holders: BTreeSet::new(),
    };
    let title = Content::new(Type::Vault, name);
    device.replica.change(|rows| {
        rows.put(Kind::Vault, id, Uuid::nil(), &state)?;
        rows.put(Kind::Draft, id, id, &Draft { base: 0, edits: 1, content: Some(title) })
    })?;
    Ok(id)
}

/// Deletes a vault with all that is in it, on the box and here.
pub fn delete_vault(line: &Line<'_>, vault: Uuid) -> Result<(), Failure> {
    line.send::<(), ()>(Method::DELETE, &format!("/secrets/vaults/{vault}"), None)?;
    line.device.forget(vault)
}

/// Lets somebody in, or gives a member another role. The keys that the box names for them are pinned by that.
pub fn share(line: &Line<'_>, vault: Uuid, with: Met, role: SecretRole) -> Result<(), Failure> {
    let device = line.device;
    let _alone = device.home.alone(Exclusive::Sync)?;
    let account = with.account;
    let recipient = with.pin(line)?;
    let state = device.vault(vault)?;
    let is_member = state.members.iter().any(|member| member.user_id == account);
    let mut keys = Vec::new();
    if !is_member {
        let (identity, terms) = (device.identity()?, terms(line, role));
        for key in device.vault_keys(vault, &state)? {
            let sealed = encode(&grant::seal(&key, terms, &identity, &recipient, &mut rng())?);
            keys.push(SecretVaultKey { generation: key.generation(), sealed });
        }
    }
    let path = format!("/secrets/vaults/{vault}/members/{account}");
    line.send::<_, ()>(Method::PUT, &path, Some(&PutSecretMember { role, keys }))?;
    device.replica.change(|rows| {
        let mut state: Vault = rows.get(Kind::Vault, vault, Uuid::nil())?.ok_or(DAMAGED)?;
        state.key_holders.insert(account);
        rows.put(Kind::Vault, vault, Uuid::nil(), &state)
    })
}

/// Puts somebody out. That the vault needs a new key is written down first, so that it gets one in any case.
pub fn unshare(line: &Line<'_>, vault: Uuid, account: Uuid) -> Result<(), Failure> {
    let device = line.device;
    let _alone = device.home.alone(Exclusive::Sync)?;
    device.replica.change(|rows| {
        let state: Option<Vault> = rows.get(Kind::Vault, vault, Uuid::nil())?;
        let state = Vault { needs_key: account != device.profile.account, ..state.ok_or(DAMAGED)? };
        rows.put(Kind::Vault, vault, Uuid::nil(), &state)
    })?;
    line.send::<(), ()>(Method::DELETE, &format!("/secrets/vaults/{vault}/members/{account}"), None)
}

/// Gives a vault its next key: to everybody who is in it now, and to every item. False when somebody changed the vault.
pub(super) fn give_next_key(line: &Line<'_>, vault: Uuid) -> Result<bool, Failure> {
    let device = line.device;
    let mut state = device.vault(vault)?;
    let mut writer = Writer::of(line, vault)?;
    let next = writer.keys.last().and_then(|key| key.next(&mut rng())).ok_or(DAMAGED)?;
    let change = writer.manifest.write(Change::NewKey, &next, &writer.identity).map_err(|_| DAMAGED)?;
    let own = encode(&next.wrap(&device.key, &mut rng())?);
    let mut keys = Vec::new();
    for member in &state.members {
        let sealed = if member.user_id == device.profile.account {
            own.clone()
        } else {
            let recipient = people::by_id(line, member.user_id)?.pin(line)?;
            encode(&grant::seal(&next, terms(line, member.role), &writer.identity, &recipient, &mut rng())?)
        };
        keys.push(SecretMemberKey { user_id: member.user_id, sealed });
    }
    let mut bases: Vec<(Uuid, Base)> = device.replica.rows().of_vault(Kind::Base, vault)?;
    let mut items = Vec::new();
    for (item, base) in &mut bases {
        base.wrapped_key = encode(&writer.item_key(*item, base)?.wrap(&next, &mut rng())?);
        base.key_generation = next.generation();
        items.push(SecretItemKey { id: *item, wrapped_key: base.wrapped_key.clone() });
    }
    let body = RotateSecretVault { link: encode(&change), keys, items };
    let path = format!("/secrets/vaults/{vault}/keys");
    if line.send_if::<_, SecretVault>(Method::POST, &path, None, Some(&body))?.is_none() {
        return Ok(false);
    }
    state.keys.push(WrappedKey { generation: next.generation(), wrapped: own });
    state.needs_key = false;
    state.key_holders = state.members.iter().map(|member| member.user_id).collect();
    writer.keys.push(next);
    writer.follow(change)?;
    device.replica.change(|rows| {
        rows.put(Kind::Vault, vault, Uuid::nil(), &state)?;
        rows.put(Kind::Chain, vault, Uuid::nil(), &Chain::new(&writer.link, &writer.manifest))?;
        bases.iter().try_for_each(|(item, base)| rows.put(Kind::Base, vault, *item, base))
    })?;
    Ok(true)
}

fn terms(line: &Line<'_>, role: SecretRole) -> Terms {
    let role = match role {
        SecretRole::Viewer => Role::Viewer,
        SecretRole::Editor => Role::Editor,
        SecretRole::Manager => Role::Manager,
        SecretRole::Owner => Role::Owner,
    };
    Terms { role, made_at_s: u64::try_from((line.device.now)().as_second()).unwrap_or(0) }
}
