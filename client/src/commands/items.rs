//! Vaults, items and fields.

use std::path::Path;

use coffer_client::secrets::{
    attachments,
    content::{Content, Field, FieldKind, Kind},
    device::Device,
    failure::Failure,
    history,
    line::Line,
    sharing,
    store::{Item, Vaults},
    sync,
};
use serde::Deserialize;
use serde::de::{IntoDeserializer, value::Error as Unread};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Machine, ask, find, find::failure, people, show};
use crate::cli::{self, Changes, Out};

pub(super) fn vault(machine: &Machine, command: cli::Vault) -> Result<(), Failure> {
    let mut device = machine.device()?;
    match command {
        cli::Vault::List(out) => {
            let vaults = device.vaults().map_err(failure)?;
            show::vaults(&device, &vaults, &out)?;
        }
        cli::Vault::Create { name, out } => {
            let line = Line::new(&device)?;
            let id = sharing::create_vault(&line, &name)?;
            if let Some(failure) = sync::one(&line, id)?.failure {
                return Err(failure);
            }
            show::done(&out, &format!("The vault {name:?} is made."), &json!({ "id": id, "name": name }));
        }
        cli::Vault::Rename { vault, name, out } => {
            let vault = find::vault(&mut device, &vault)?;
            let title = device.item(vault.id, vault.id).map_err(failure)?;
            let title = title.ok_or(Failure::Unknown { what: "name of the vault", name: vault.name, hint: "." })?;
            let content = Content { title: name.clone(), ..title.content };
            device.edit(vault.id, vault.id, title.revision, content).map_err(failure)?;
            show::changed(&out, &format!("It is called {name:?} now."), &json!({ "id": vault.id, "name": name }));
        }
        cli::Vault::Rm { vault, yes, out } => {
            let vault = find::vault(&mut device, &vault)?;
            let text = format!("{:?} goes with all its items, for all its members.", vault.name);
            if yes || ask::confirm(&text, "--yes")? {
                sharing::delete_vault(&Line::new(&device)?, vault.id)?;
                show::done(&out, "It is gone.", &json!({ "id": vault.id, "deleted": true }));
            }
        }
        cli::Vault::Forget { vault, out } => {
            let vault = find::vault(&mut device, &vault)?;
            device.forget(vault.id)?;
            show::done(&out, "This machine has no copy of it any more.", &json!({ "id": vault.id }));
        }
    }
    Ok(())
}

pub(super) fn item(machine: &Machine, command: cli::Item) -> Result<(), Failure> {
    let mut device = machine.device()?;
    match command {
        cli::Item::List { vault, out } => {
            let vault = find::vault(&mut device, &vault)?;
            show::items(&device.items(vault.id).map_err(failure)?, &out);
        }
        cli::Item::Get { vault, item, show, out } => {
            show::item(&found(&mut device, &vault, &item)?, show, &out);
        }
        cli::Item::Create { vault, changes, out } => {
            let vault = find::vault(&mut device, &vault)?;
            let title = changes.title.clone();
            let title = title.ok_or(Failure::NoAnswer { what: "the title", flag: "--title" })?;
            let content = changed(Content::new(Kind::Login, title), &changes)?;
            let made = device.create(vault.id, vec![content]).map_err(failure)?;
            for item in &made {
                written(item, &out);
            }
        }
        cli::Item::Edit { vault, item, changes, out } => {
            let Item { id, vault, revision, content } = found(&mut device, &vault, &item)?;
            let content = changed(content, &changes)?;
            written(&device.edit(vault, id, revision, content).map_err(failure)?, &out);
        }
        cli::Item::Rm { vault, item, out } => {
            let item = found(&mut device, &vault, &item)?;
            device.delete(item.vault, item.id, item.revision).map_err(failure)?;
            show::changed(&out, "It is deleted.", &json!({ "id": item.id, "deleted": true }));
        }
        cli::Item::History { vault, item, show, out } => {
            let vault = find::vault(&mut device, &vault)?;
            let id = past_item(&mut device, &vault, &item)?;
            let past = history::of(&Line::new(&device)?, vault.id, id)?;
            show::history(&device, &past, show, &out)?;
        }
        cli::Item::Share { vault, item, name, role, out } => {
            let item = found(&mut device, &vault, &item)?;
            people::share_item(device, &item, &name, role.into(), &out)?;
        }
        cli::Item::Restore { vault, item, revision, out } => {
            let item = found(&mut device, &vault, &item)?;
            let past = history::of(&Line::new(&device)?, item.vault, item.id)?;
            let content = past.into_iter().find(|past| past.revision == revision).and_then(|past| past.content);
            let unknown =
                || Failure::Unknown { what: "revision", name: revision.to_string(), hint: " that says something." };
            let content = content.ok_or_else(unknown)?;
            let (content, gone) = attachments::restored(&Line::new(&device)?, &item, content)?;
            if !gone.is_empty() {
                show::note(&format!("What was attached then is gone: {}.", gone.join(", ")));
            }
            written(&device.edit(item.vault, item.id, item.revision, content).map_err(failure)?, &out);
        }
    }
    Ok(())
}

/// Lists what has all the words in what may be seen over a shoulder.
pub(super) fn search(machine: &Machine, words: &[String], out: &Out) -> Result<(), Failure> {
    let mut device = machine.device()?;
    let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let has = |text: &str, word: &String| text.to_lowercase().contains(word);
    let has_word = |content: &Content, word: &String| {
        has(&content.title, word)
            || content.tags.iter().any(|tag| has(tag, word))
            || content.fields.iter().any(|field| !field.kind.hidden() && has(&field.value, word))
    };
    let mut found = Vec::new();
    for vault in device.vaults().map_err(failure)? {
        found.extend(device.items(vault.id).map_err(failure)?);
    }
    found.retain(|item| words.iter().all(|word| has_word(&item.content, word)));
    show::found(&found, out);
    Ok(())
}

/// Prints one field, and nothing else.
pub(super) fn get(machine: &Machine, options: &cli::Get) -> Result<(), Failure> {
    let cli::Get { what, local, how } = options;
    if local.is_some() || how.recursive || how.force || how.quiet {
        return Err(Failure::Usage(
            "A field is printed, and nothing else. The path of a file begins with a slash.".to_owned(),
        ));
    }
    let mut device = machine.device()?;
    let parts: Vec<&str> = what.strip_prefix("coffer://").unwrap_or(what).split('/').collect();
    let [vault, item, field] = parts[..] else {
        return Err(Failure::Usage("A field is VAULT/ITEM/FIELD. Use the id of what has a / in its name.".to_owned()));
    };
    let item = found(&mut device, vault, item)?;
    show::value(&find::field(&item.content, field)?, &how.out);
    Ok(())
}

fn found(device: &mut Device, vault: &str, item: &str) -> Result<Item, Failure> {
    let vault = find::vault(device, vault)?;
    find::item(device, &vault, item)
}

/// An item that may be deleted: then by its id alone.
fn past_item(
    device: &mut Device,
    vault: &coffer_client::secrets::store::Vault,
    called: &str,
) -> Result<uuid::Uuid, Failure> {
    match find::item(device, vault, called) {
        Err(failure @ Failure::Unknown { .. }) => called.parse().map_err(|_| failure),
        found => found.map(|item| item.id),
    }
}

fn written(item: &Item, out: &Out) {
    let told = json!({ "id": item.id, "vault": item.vault, "title": item.content.title, "revision": item.revision });
    show::changed(out, &format!("{}  {}", item.id, item.content.title), &told);
}

/// The item with what the command line says, in its order of options.
fn changed(mut content: Content, changes: &Changes) -> Result<Content, Failure> {
    if let Some(title) = &changes.title {
        content.title.clone_from(title);
    }
    if let Some(kind) = &changes.kind {
        content.kind = word(kind)?;
    }
    for name in &changes.remove {
        let place = content.fields.iter().position(|field| &field.name == name);
        let unknown = || Failure::Unknown { what: "field", name: name.clone(), hint: "." };
        content.fields.remove(place.ok_or_else(unknown)?);
    }
    for text in &changes.field {
        let (name, kind, value) = assignment(text, FieldKind::Text)?;
        if kind.hidden() {
            return Err(Failure::Usage(format!("{name:?} is a secret: use --secret or --secret-file.")));
        }
        set(&mut content, name, kind, Zeroizing::new(value.to_owned()))?;
    }
    for name in &changes.secret {
        let value = ask::value(name)?;
        set(&mut content, name, FieldKind::Secret, Zeroizing::new(value.expose().to_owned()))?;
    }
    for text in &changes.secret_file {
        let (name, kind, path) = assignment(text, FieldKind::Secret)?;
        set(&mut content, name, kind, ask::text(Path::new(path))?)?;
    }
    if let Some(path) = &changes.notes_file {
        content.notes = ask::text(path)?;
    }
    content.tags.extend(changes.tag.iter().cloned());
    content.tags.retain(|tag| !changes.untag.contains(tag));
    content.favorite = changes.favorite.unwrap_or(content.favorite);
    Ok(content)
}

/// `NAME=VALUE`, or `NAME:KIND=VALUE` with a kind that there is.
fn assignment(text: &str, usual: FieldKind) -> Result<(&str, FieldKind, &str), Failure> {
    let missing = || Failure::Usage("A field is NAME=VALUE, or NAME:KIND=VALUE.".to_owned());
    let (name, value) = text.split_once('=').ok_or_else(missing)?;
    match name.rsplit_once(':') {
        Some((name, kind)) => Ok((name, word(kind)?, value)),
        None => Ok((name, usual, value)),
    }
}

/// A word of the document; what only newer clients know is refused, for it may be a slip of the finger.
fn word<T: for<'de> Deserialize<'de> + IsOther>(text: &str) -> Result<T, Failure> {
    let read = T::deserialize(IntoDeserializer::<Unread>::into_deserializer(text)).ok();
    let read = read.filter(|word: &T| !word.is_other());
    read.ok_or_else(|| Failure::Unknown { what: "type or kind", name: text.to_owned(), hint: "." })
}

trait IsOther {
    fn is_other(&self) -> bool;
}

impl IsOther for Kind {
    fn is_other(&self) -> bool {
        matches!(self, Self::Other(_) | Self::Vault)
    }
}

impl IsOther for FieldKind {
    fn is_other(&self) -> bool {
        matches!(self, Self::Other(_))
    }
}

/// Gives the first field of that name a value, or adds one. A secret stays one.
fn set(content: &mut Content, name: &str, kind: FieldKind, value: Zeroizing<String>) -> Result<(), Failure> {
    match content.fields.iter_mut().find(|field| field.name == name) {
        Some(field) if field.kind.hidden() && !kind.hidden() => {
            Err(Failure::Usage(format!("{name:?} is a secret: use --secret or --secret-file.")))
        }
        Some(field) => {
            field.set(value);
            Ok(())
        }
        None => {
            content.fields.push(Field { value, ..Field::new(name, kind, "") });
            Ok(())
        }
    }
}
