//! Databases of KeePass and its family.

use std::collections::BTreeSet;

use keepass::{
    Database, DatabaseKey,
    db::{EntryRef, GroupId, GroupRef, fields},
};
use zeroize::Zeroizing;

use super::{Attached, Brought, ImportError};
use crate::{
    secrets::content::{Content, Field, FieldKind, Kind},
    tools::{bitwarden::reading::one_time_password, losses::Losses},
};

/// Where plugins keep the secrets of one-time passwords, in base 32 and for the usual parameters.
const OTHER_OTPS: [&str; 2] = ["TimeOtp-Secret-Base32", "TOTP Seed"];

pub(super) fn read(
    database: &[u8],
    password: &str,
    key_file: Option<&[u8]>,
    brought: &mut Brought,
) -> Result<(), ImportError> {
    let refused = |why: &dyn std::fmt::Display| ImportError::KeePass(why.to_string());
    // A database may be closed by a file alone.
    let mut key = DatabaseKey::new();
    if !password.is_empty() || key_file.is_none() {
        key = key.with_password(password);
    }
    if let Some(mut file) = key_file {
        key = key.with_keyfile(&mut file).map_err(|error| refused(&error))?;
    }
    let database = Database::parse(database, key).map_err(|error| refused(&error))?;
    let bin = database.recycle_bin().map(|bin| bin.id());
    group(&database.root(), &[], bin, brought);
    Ok(())
}

fn group(group_: &GroupRef<'_>, path: &[&str], bin: Option<GroupId>, brought: &mut Brought) {
    for entry in group_.entries() {
        let content = content(&entry, path, &mut brought.losses);
        for (name, attachment) in entry.attachments_named() {
            let attached = Zeroizing::new(attachment.get().clone());
            brought.attached.push(Attached { to: brought.contents.len(), name: name.to_owned(), content: attached });
        }
        brought.contents.push(content);
    }
    for inner in group_.groups() {
        if Some(inner.id()) == bin {
            for entry in inner.entries() {
                brought.losses.add("in the recycle bin: left there", entry.get_title().unwrap_or_default());
            }
            if inner.groups().next().is_some() {
                brought.losses.add("a group in the recycle bin: left there", &inner.name);
            }
            continue;
        }
        if inner.notes.as_ref().is_some_and(|notes| !notes.is_empty()) {
            brought.losses.add("the notes of a group: not taken along", &inner.name);
        }
        let name = inner.name.clone();
        let mut path = path.to_vec();
        path.push(&name);
        group(&inner, &path, bin, brought);
    }
}

fn content(entry: &EntryRef<'_>, path: &[&str], losses: &mut Losses) -> Content {
    let title = entry.get_title().filter(|title| !title.is_empty()).unwrap_or("Without a name");
    let mut content = Content::new(Kind::Login, title);
    content.tags = entry.tags.iter().filter(|tag| !tag.is_empty()).cloned().collect::<BTreeSet<_>>();
    if !path.is_empty() {
        content.tags.insert(path.join("/"));
    }
    let mut add = |name: &str, kind: FieldKind, value: &str| {
        if !value.is_empty() {
            let value = Zeroizing::new(value.to_owned());
            content.fields.push(Field { value, ..Field::new(name, kind, String::new()) });
        }
    };
    add("username", FieldKind::Text, entry.get_username().unwrap_or_default());
    add("password", FieldKind::Secret, entry.get_password().unwrap_or_default());
    add("url", FieldKind::Url, entry.get_url().unwrap_or_default());
    let mut others: Vec<_> = entry.fields.iter().collect();
    others.sort_by_key(|(name, _)| *name);
    let mut otps = Vec::new();
    for (name, value) in others {
        let name = name.as_str();
        if name == fields::OTP || OTHER_OTPS.contains(&name) {
            otps.push(Zeroizing::new(value.as_str().to_owned()));
        } else if !fields::KNOWN_FIELDS.contains(&name) {
            add(name, if value.is_protected() { FieldKind::Secret } else { FieldKind::Text }, value.as_str());
        }
    }
    if entry.times.expires == Some(true) {
        add("expires", FieldKind::Date, &entry.times.expiry.date().to_string());
    }
    for otp in otps.into_iter().filter(|otp| !otp.is_empty()) {
        content.fields.push(one_time_password(otp, title, losses));
    }
    content.notes = Zeroizing::new(entry.get("Notes").unwrap_or_default().to_owned());
    tell(entry, title, losses);
    content
}

fn tell(entry: &EntryRef<'_>, title: &str, losses: &mut Losses) {
    if entry.history.as_ref().is_some_and(|history| !history.get_entries().is_empty()) {
        losses.add("earlier states: not taken along", title);
    }
    if entry.fields.values().any(|value| value.contains("{REF:")) {
        losses.add("what refers to another entry: kept as it is written", title);
    }
    // Programs write empty rules, which say nothing.
    let says = |text: &str| !text.is_empty();
    let is_automatic = entry.autotype.as_ref().is_some_and(|autotype| {
        autotype.default_sequence.as_deref().is_some_and(says)
            || autotype.associations.iter().any(|rule| says(&rule.window) || says(&rule.sequence))
    });
    if is_automatic || entry.override_url.is_some() {
        losses.add("rules for typing by itself: not taken along", title);
    }
    if !entry.custom_data.is_empty() {
        losses.add("data of plugins: not taken along", title);
    }
}
