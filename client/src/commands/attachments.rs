//! Files that are attached to items.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::{Component, Path, PathBuf},
};

use coffer_client::{
    secrets::{
        attachments::{self, Fetched},
        content::{Attachment, Content},
        device::Device,
        failure::Failure,
        line::Line,
        store::{Item, Vault, Vaults},
        sync,
    },
    tools::private_file::{self, Existing},
};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Machine, find, find::failure, progress::Progress, show};
use crate::cli::{self, Out};

/// What is shown on a terminal, at most: longer texts are for files.
const MAX_SHOWN_BYTES: u64 = 1024 * 1024;

pub(super) fn run(machine: &Machine, command: cli::Attachment) -> Result<(), Failure> {
    let mut device = machine.device()?;
    match command {
        cli::Attachment::List { vault, item, all, out } => {
            let vault = find::vault(&mut device, &vault)?;
            let item = find::item(&mut device, &vault, &item)?;
            list(&device, &item, all, &out)
        }
        cli::Attachment::Add { vault, item, files, out } => add(device, &vault, &item, &files, &out),
        cli::Attachment::Get { vault, item, attachment, output, force, out } => {
            let item = at_box(&mut device, &vault, &item)?.1;
            let attachment = find::attachment(&item.content, &attachment)?;
            let to = output.map_or_else(|| own_name(&attachment.name), Ok)?;
            let existing = if force { Existing::Replace } else { Existing::Keep };
            get(&device, &item, &attachment, (&to, existing), &out)
        }
        cli::Attachment::Rm { vault, item, attachment, out } => remove(device, &vault, &item, &attachment, &out),
    }
}

fn list(device: &Device, item: &Item, all: bool, out: &Out) -> Result<(), Failure> {
    for attachment in &item.content.attachments {
        let told = json!({
            "id": attachment.id,
            "name": attachment.name,
            "size": attachment.size,
            "sha256": attachment.sha256,
            "named": true,
        });
        show::done(out, &format!("{}  {}", attachment.id, show::attachment(attachment)), &told);
    }
    if !all {
        return Ok(());
    }
    let is_named = |id: Uuid| item.content.attachments.iter().any(|attachment| attachment.id == id);
    let there = attachments::at_box(&Line::new(device)?, item.vault, item.id)?;
    for unnamed in there.into_iter().filter(|there| !is_named(there.id)) {
        let told = json!({ "id": unnamed.id, "sealed_bytes": unnamed.size_bytes, "named": false });
        let text = format!("{}  (not named by the item as it is; {} bytes, sealed)", unnamed.id, unnamed.size_bytes);
        show::done(out, &text, &told);
    }
    Ok(())
}

/// Attaches one file after the other: what has come to the box stays when a later one does not.
fn add(mut device: Device, vault: &str, item: &str, files: &[PathBuf], out: &Out) -> Result<(), Failure> {
    let (vault, item) = at_box(&mut device, vault, item)?;
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Failure::Usage(format!("{} has no name that can be kept.", path.display())));
        }
        let item = find::item(&mut device, &vault, &item.id.to_string())?;
        if item.content.attachments.iter().any(|attachment| attachment.name == name) {
            let text =
                format!("Something of the name {name:?} is attached already. `coffer attachment rm` removes it.");
            return Err(Failure::Usage(text));
        }
        let attachment = upload(&mut device, &item, &name, path)?;
        let told = json!({ "item": item.id, "id": attachment.id, "name": name, "size": attachment.size });
        show::done(out, &format!("{}  {}", attachment.id, show::attachment(&attachment)), &told);
    }
    Ok(())
}

fn upload(device: &mut Device, item: &Item, name: &str, path: &Path) -> Result<Attachment, Failure> {
    let reading = |error| Failure::io(format!("reading {}", path.display()))(error);
    let mut file = File::open(path).map_err(reading)?;
    let metadata = file.metadata().map_err(reading)?;
    if !metadata.is_file() {
        return Err(Failure::Usage(format!("{} is no file.", path.display())));
    }
    let (place, size) = ((item.vault, item.id), metadata.len());
    let progress = Progress::new(true);
    let mut show = |done, all| progress.tell(name, done, all);
    attachments::attach(device, place, (name, size), &mut file, &mut show).map_err(failure)
}

fn get(
    device: &Device,
    item: &Item,
    attachment: &Attachment,
    (to, existing): (&Path, Existing),
    out: &Out,
) -> Result<(), Failure> {
    let is_output = to == Path::new("-");
    if !is_output && existing == Existing::Keep && to.exists() {
        return Err(Failure::Usage(format!("{} is there already. --force replaces it.", to.display())));
    }
    let progress = Progress::new(true);
    let mut show = |done, all| progress.tell(&attachment.name, done, all);
    let mut fetched = attachments::fetch(&Line::new(device)?, item, attachment, &mut show)?;
    drop(progress);
    if is_output {
        return print(fetched, attachment);
    }
    let written = private_file::write_from(to, &mut fetched, existing);
    written.map_err(Failure::io(format!("writing {}", to.display())))?;
    let told = json!({ "id": attachment.id, "name": attachment.name, "size": attachment.size, "file": to });
    show::done(out, &format!("{} is written.", to.display()), &told);
    Ok(())
}

/// As it is, into a pipe; on a terminal only what a terminal shows and does not obey.
fn print(mut fetched: Fetched, attachment: &Attachment) -> Result<(), Failure> {
    let printing = |error| Failure::io("printing")(error);
    let mut output = io::stdout().lock();
    if output.is_terminal() {
        let mut text = Zeroizing::new(String::new());
        let read = fetched.by_ref().take(MAX_SHOWN_BYTES).read_to_string(&mut text);
        let is_shown = |character: char| !character.is_control() || "\n\r\t".contains(character);
        if read.is_err() || attachment.size > MAX_SHOWN_BYTES || !text.chars().all(is_shown) {
            let text = format!("{:?} is no short text: use --output, or send it into a pipe.", attachment.name);
            return Err(Failure::Usage(text));
        }
        return output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(printing);
    }
    io::copy(&mut fetched, &mut output).and_then(|_| output.flush()).map_err(printing)
}

/// First the item says that it has it no more, and then it goes.
fn remove(mut device: Device, vault: &str, item: &str, called: &str, out: &Out) -> Result<(), Failure> {
    let (_, item) = at_box(&mut device, vault, item)?;
    let id = match find::attachment(&item.content, called) {
        Ok(attachment) => {
            let mut content = item.content.clone();
            content.attachments.retain(|other| other.id != attachment.id);
            written(&mut device, (item.vault, item.id, item.revision), content)?;
            attachment.id
        }
        // What the item does not name is called by its id.
        Err(failure @ Failure::Unknown { .. }) => called.parse().map_err(|_| failure)?,
        Err(failure) => return Err(failure),
    };
    attachments::remove(&Line::new(&device)?, item.vault, item.id, id)?;
    show::done(out, "It is removed.", &json!({ "item": item.id, "id": id, "deleted": true }));
    Ok(())
}

/// An item as the box has it now.
fn at_box(device: &mut Device, vault: &str, item: &str) -> Result<(Vault, Item), Failure> {
    let vault = find::vault(device, vault)?;
    visited(device, vault.id)?;
    let item = find::item(device, &vault, item)?;
    Ok((vault, item))
}

/// Writes a revision, and sends it.
fn written(device: &mut Device, (vault, item, revision): (Uuid, Uuid, u64), content: Content) -> Result<(), Failure> {
    device.edit(vault, item, revision, content).map_err(failure)?;
    visited(device, vault)
}

fn visited(device: &Device, vault: Uuid) -> Result<(), Failure> {
    sync::one(&Line::new(device)?, vault)?.failure.map_or(Ok(()), Err)
}

/// What others have called a file is a name in this directory, or it has to be given another one.
fn own_name(name: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(name);
    let mut components = path.components();
    let is_plain = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    if is_plain && !name.ends_with('/') && !name.chars().any(char::is_control) {
        return Ok(path.to_owned());
    }
    Err(Failure::Usage(format!("{name:?} is no name for a file here: give one by --output.")))
}
