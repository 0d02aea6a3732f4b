//! From our items to Bitwarden's.

use std::collections::BTreeMap;

use serde_json::{Value, json as object};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{CARD, HIDDEN, IDENTITY, KEPT, LOGIN, NOTE, SSH_KEY, members::Members, members::wipe, part};
use crate::{
    secrets::{
        content::{Content, Field, FieldKind, Kind},
        store::Item,
    },
    tools::{json, losses::Losses, otp},
};

/// An export in clear.
pub fn write(items: &[Item], losses: &mut Losses) -> Zeroizing<Vec<u8>> {
    let mut folders: BTreeMap<&str, String> = BTreeMap::new();
    for item in items {
        if let Some(tag) = item.content.tags.first() {
            folders.entry(tag).or_insert_with(|| Uuid::new_v4().to_string());
        }
    }
    let theirs: Vec<Value> = items.iter().map(|item| one(item, &folders, losses)).collect();
    let folders: Vec<Value> = folders.iter().map(|(name, id)| object!({"id": id, "name": name})).collect();
    let mut document = object!({"encrypted": false, "folders": folders, "items": theirs});
    let text = json::write(&document).unwrap_or_default();
    wipe(&mut document);
    text
}

fn one(item: &Item, folders: &BTreeMap<&str, String>, losses: &mut Losses) -> Value {
    let content = &item.content;
    let kind = number(content, losses);
    let mut theirs = Members::default();
    theirs.set("id", item.id.to_string());
    for name in ["organizationId", "collectionIds", "passwordHistory"] {
        theirs.set(name, Value::Null);
    }
    theirs.set("folderId", content.tags.first().and_then(|tag| folders.get(tag.as_str()).cloned()));
    theirs.set("type", kind);
    theirs.set("reprompt", 0);
    theirs.set("name", content.title.as_str());
    theirs.set("notes", text(&content.notes));
    theirs.set("favorite", content.favorite);
    if kind == NOTE {
        theirs.set("secureNote", object!({"type": 0}));
    }
    let (kept, mut fields): (Vec<_>, Vec<_>) = content.fields.iter().partition(|field| is_kept(field));
    if let Some((name, _)) = part(kind) {
        let inner = inner(kind, &content.title, &mut fields);
        theirs.set(name, inner.into_value());
    }
    let custom: Vec<Value> = fields.into_iter().map(|field| custom(field, &content.title, losses)).collect();
    theirs.set("fields", custom);
    if let Some(plain) = content.other.get(KEPT).cloned().and_then(Members::of) {
        theirs.overlay(plain);
    }
    for mut kept in kept.into_iter().filter_map(|field| Members::parse(&field.value)) {
        if let Some((name, _)) = part(kind)
            && let (Some(mut inner), Some(more)) = (theirs.members(name), kept.members(name))
        {
            inner.overlay(more);
            theirs.set(name, inner.into_value());
        }
        theirs.overlay(kept);
    }
    tell(content, losses);
    theirs.into_value()
}

/// Bitwarden's type.
fn number(content: &Content, losses: &mut Losses) -> u64 {
    let is_login = |field: &Field| match field.kind {
        FieldKind::Url | FieldKind::Otp => true,
        _ => ["username", "password"].contains(&field.name.as_str()),
    };
    let fallback = || if content.fields.iter().any(is_login) { LOGIN } else { NOTE };
    match &content.kind {
        Kind::Login => return LOGIN,
        Kind::Note => return NOTE,
        Kind::Card => return CARD,
        Kind::Identity => return IDENTITY,
        Kind::SshKey => return SSH_KEY,
        // As it was brought.
        Kind::Custom if content.fields.iter().any(is_kept) => return NOTE,
        // The name of a vault is an item of its own only for who keeps vaults.
        Kind::Password
        | Kind::ApiKey
        | Kind::Totp
        | Kind::Environment
        | Kind::File
        | Kind::Custom
        | Kind::Vault
        | Kind::Other(_) => {}
    }
    losses.add("the type of the item: it is a login or a note there", &content.title);
    fallback()
}

/// What stands where Bitwarden has a place for it. It is taken off the fields.
fn inner(kind: u64, title: &str, fields: &mut Vec<&Field>) -> Members {
    let mut inner = Members::default();
    for (theirs, ours, kind) in part(kind).into_iter().flat_map(|(_, slots)| slots) {
        let found = fields.iter().position(|field| field.name == *ours && field.kind == *kind);
        inner.set(theirs, found.map_or(Value::Null, |index| text(&fields.remove(index).value)));
    }
    if kind != LOGIN {
        return inner;
    }
    let found = fields.iter().position(|field| field.kind == FieldKind::Otp);
    let secret = found.map_or(Value::Null, |index| {
        let uri = &fields.remove(index).value;
        text(&otp::as_bare_secret(uri, title).unwrap_or_else(|| uri.clone()))
    });
    inner.set("totp", secret);
    let (urls, others): (Vec<_>, Vec<_>) = fields.drain(..).partition(|field| field.kind == FieldKind::Url);
    *fields = others;
    let uri = |field: &Field| with_kept(object!({"match": null, "uri": text(&field.value)}), field);
    inner.set("uris", urls.into_iter().map(uri).collect::<Vec<Value>>());
    inner
}

fn custom(field: &Field, title: &str, losses: &mut Losses) -> Value {
    if !matches!(field.kind, FieldKind::Text | FieldKind::Secret) {
        losses.add("the kinds of some fields: they are text there, or hidden", title);
    }
    let kind = if field.kind.hidden() { HIDDEN } else { 0 };
    let theirs = object!({"name": field.name.as_str(), "value": text(&field.value), "type": kind, "linkedId": null});
    with_kept(theirs, field)
}

fn with_kept(theirs: Value, field: &Field) -> Value {
    match (Members::of(theirs), field.other.get(KEPT).cloned().and_then(Members::of)) {
        (Some(mut theirs), Some(kept)) => {
            theirs.overlay(kept);
            theirs.into_value()
        }
        (theirs, _) => theirs.map_or(Value::Null, Members::into_value),
    }
}

fn is_kept(field: &Field) -> bool {
    field.name == KEPT && field.kind == FieldKind::Secret && Members::parse(&field.value).is_some()
}

/// What is in no field.
fn tell(content: &Content, losses: &mut Losses) {
    if content.tags.len() > 1 {
        losses.add("all tags but the first, which is the folder there", &content.title);
    }
    super::super::export::tell_what_no_other_vault_takes(content, KEPT, losses);
}

fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}
