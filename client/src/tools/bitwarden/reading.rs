//! From Bitwarden's items to ours.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{BitwardenError, CARD, HIDDEN, IDENTITY, KEPT, LOGIN, NOTE, PLAIN, SSH_KEY, Slot, members::Members, part};
use crate::{
    secrets::content::{Content, Field, FieldKind, Kind},
    tools::{losses::Losses, otp},
};

/// The items of an export in clear.
pub fn read(document: &[u8], losses: &mut Losses) -> Result<Vec<Content>, BitwardenError> {
    let document = serde_json::from_slice(document).map_err(|_| BitwardenError::Malformed)?;
    let mut document = Members::of(document).ok_or(BitwardenError::Malformed)?;
    if document.flag("encrypted") {
        return Err(BitwardenError::AccountRestricted);
    }
    let mut names = HashMap::new();
    for kind in ["folders", "collections"] {
        for mut folder in document.list(kind).into_iter().filter_map(Members::of) {
            if let (Some(id), Some(name)) = (folder.text("id"), folder.text("name")) {
                names.insert(id.to_string(), name.to_string());
            }
        }
    }
    match document.take("items") {
        Some(Value::Array(items)) => items.into_iter().map(|item| content(Members::of(item), &names, losses)).collect(),
        _ => Err(BitwardenError::Malformed),
    }
}

fn content(
    item: Option<Members>,
    names: &HashMap<String, String>,
    losses: &mut Losses,
) -> Result<Content, BitwardenError> {
    let mut item = item.ok_or(BitwardenError::Malformed)?;
    let number = item.number("type").ok_or(BitwardenError::Malformed)?;
    let kind = match number {
        LOGIN => Kind::Login,
        NOTE => Kind::Note,
        CARD => Kind::Card,
        IDENTITY => Kind::Identity,
        SSH_KEY => Kind::SshKey,
        newer => {
            item.set("type", newer);
            Kind::Custom
        }
    };
    let title = item.text("name").unwrap_or_default();
    let mut content = Content::new(kind, title.as_str());
    content.notes = item.text("notes").unwrap_or_default();
    content.favorite = item.flag("favorite");
    // Both are words to find it by. Collections belong to an organisation that is not here.
    let folder = item.text("folderId").and_then(|id| names.get(id.as_str()).cloned());
    let collections = item.take("collectionIds");
    let ids = collections.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    content.tags = folder.into_iter().chain(ids.filter_map(|id| names.get(id).cloned())).collect();
    if let Some((name, slots)) = part(number)
        && let Some(mut inner) = item.members(name)
    {
        fill(&mut content, &mut inner, number, slots, losses);
        inner.tidy();
        item.set(name, inner.into_value());
    }
    // It only ever says that it is one.
    item.members("secureNote");
    for field in item.list("fields") {
        content.fields.push(custom(Members::of(field).ok_or(BitwardenError::Malformed)?));
    }
    keep(&mut content, item, losses);
    Ok(content)
}

fn fill(content: &mut Content, inner: &mut Members, number: u64, slots: &[Slot], losses: &mut Losses) {
    for (theirs, ours, kind) in slots {
        if let Some(value) = inner.text(theirs) {
            content.fields.push(field(ours, kind.clone(), value));
        }
    }
    if number != LOGIN {
        return;
    }
    if let Some(secret) = inner.text("totp") {
        content.fields.push(one_time_password(secret, &content.title, losses));
    }
    for mut uri in inner.list("uris").into_iter().filter_map(Members::of) {
        let mut field = field("url", FieldKind::Url, uri.text("uri").unwrap_or_default());
        uri.tidy();
        if !uri.is_empty() {
            field.other.insert(KEPT.to_owned(), uri.into_value());
        }
        content.fields.push(field);
    }
}

/// A one-time password of another vault, or what it is if it is none.
pub(in crate::tools) fn one_time_password(
    secret: zeroize::Zeroizing<String>,
    title: &str,
    losses: &mut Losses,
) -> Field {
    if let Ok(uri) = otp::as_uri(&secret, title) {
        return field("otp", FieldKind::Otp, uri);
    }
    losses.add("a one-time password that gives no codes here (it is kept as a secret)", title);
    field("otp", FieldKind::Secret, secret)
}

fn custom(mut theirs: Members) -> Field {
    let name = theirs.text("name").unwrap_or_default();
    let value = theirs.text("value").unwrap_or_default();
    let kind = match theirs.number("type") {
        Some(HIDDEN) => FieldKind::Secret,
        Some(0) | None => FieldKind::Text,
        // A box to tick, or a link to another field.
        Some(other) => {
            theirs.set("type", other);
            FieldKind::Text
        }
    };
    let mut field = field(&name, kind, value);
    theirs.tidy();
    if !theirs.is_empty() {
        field.other.insert(KEPT.to_owned(), theirs.into_value());
    }
    field
}

/// Everything that was not taken out until now.
fn keep(content: &mut Content, mut item: Members, losses: &mut Losses) {
    let mut plain = Map::new();
    for name in PLAIN {
        if let Some(value) = item.take(name).filter(|value| !value.is_null() && *value != 0) {
            plain.insert(name.to_owned(), value);
        }
    }
    if !plain.is_empty() {
        content.other.insert(KEPT.to_owned(), plain.into());
    }
    item.tidy();
    if item.is_empty() {
        return;
    }
    let names: Vec<&str> = item.names().collect();
    losses.add(format!("{}: kept in the hidden field {KEPT:?}, and of no use here", names.join(", ")), &content.title);
    content.fields.push(field(KEPT, FieldKind::Secret, item.to_text()));
}

fn field(name: &str, kind: FieldKind, value: zeroize::Zeroizing<String>) -> Field {
    Field { value, ..Field::new(name, kind, String::new()) }
}
