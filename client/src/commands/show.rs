//! Results, as text for people or JSON for programs. What comes from others is shown without what a terminal would obey.

use std::io::{self, IsTerminal, Write};

use coffer_client::{
    qr,
    secrets::{
        agent,
        content::{Attachment, Content, Field},
        device::Device,
        failure::Failure,
        handouts::Opened,
        history::Past,
        store::{Item, Vault},
        sync::Visited,
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Machine;
use crate::{
    cli::Out,
    terminal::{clean, print},
};

/// What stands where something is hidden.
const HIDDEN: &str = "••••••";

/// Says something beside the result.
pub(super) fn note(text: &str) {
    drop(writeln!(io::stderr(), "{}", clean(text)));
}

/// The result, both ways.
pub(super) fn done(out: &Out, text: &str, told: &Value) {
    if out.json { print(&told.to_string()) } else { print(&clean(text)) }
}

/// A QR code of a text, for whoever looks at a terminal.
pub(super) fn code(text: &str, out: &Out) {
    if !out.json && io::stdout().is_terminal() {
        print(&qr::drawn(text));
    }
}

/// The same as [`done`], for what the box does not know yet.
pub(super) fn changed(out: &Out, text: &str, told: &Value) {
    done(out, text, told);
    if !out.json {
        note("Kept on this machine; `coffer sync` sends it.");
    }
}

pub(super) fn value(value: &str, out: &Out) {
    // As it is: it goes to programs.
    if out.json { print(&json!({ "value": value }).to_string()) } else { print(value) }
}

pub(super) fn status(machine: &Machine, out: &Out) -> Result<(), Failure> {
    let Some(profile) = machine.home.find_profile()? else {
        done(out, "Nobody is logged in here.", &json!({ "logged_in": false, "unlocked": false }));
        return Ok(());
    };
    let whose = format!("{} at {}, as {:?}", profile.username, profile.url, profile.device);
    let mut told = json!({
        "logged_in": true,
        "unlocked": false,
        "url": profile.url,
        "account": profile.account,
        "name": profile.username,
        "device": profile.device,
    });
    let Some(key) = agent::key(&machine.home)? else {
        done(out, &format!("{whose}: locked."), &told);
        return Ok(());
    };
    let counts = Device::open(machine.home.clone(), key, machine.now)?.counts()?;
    told["unlocked"] = json!(true);
    told["vaults"] = json!(counts.vaults);
    told["unsent"] = json!(counts.drafts);
    let text = format!("{whose}: unlocked, {} vaults, {} edits not sent yet.", counts.vaults, counts.drafts);
    done(out, &text, &told);
    Ok(())
}

pub(super) fn visits(visited: &[Visited], out: &Out) {
    for visit in visited {
        let failure = visit.failure.as_ref();
        if out.json {
            let told = json!({
                "vault": visit.vault,
                "name": visit.name,
                "received": visit.received,
                "sent": visit.sent,
                "conflicts": visit.conflicts,
                "rotated": visit.rotated,
                "failure": failure.map(|failure| json!({ "exit_code": failure.exit_code(), "text": failure.to_string() })),
            });
            print(&told.to_string());
        } else {
            let state = if failure.is_some() { ": not done" } else { "" };
            print(&clean(&format!("{}: {} received, {} sent{state}", visit.name, visit.received, visit.sent)));
            for title in &visit.rotated {
                print(&clean(&format!("  {title:?} has a value that the box has rotated")));
            }
            for title in &visit.conflicts {
                print(&clean(&format!("  both have changed the same; yours is kept as {title:?}")));
            }
        }
    }
    // The first one is told at the end, as every failure is.
    for failure in visited.iter().filter_map(|visit| visit.failure.as_ref()).skip(1) {
        note(&failure.to_string());
    }
}

pub(super) fn vaults(device: &Device, vaults: &[Vault], out: &Out) -> Result<(), Failure> {
    for vault in vaults {
        let role = device.role(vault.id)?;
        let given = device.given_by(vault.id)?;
        let from = match &given {
            None => String::new(),
            Some((name, true)) => format!(", from {name}"),
            Some((name, false)) => format!(", from {name}, whose keys nobody has compared"),
        };
        let given = given.map(|(name, verified)| json!({ "name": name, "verified": verified }));
        let told = json!({ "id": vault.id, "name": vault.name, "role": role, "given_by": given });
        let word = told["role"].as_str().unwrap_or_default().to_owned();
        done(out, &format!("{}  {}  ({word}{from})", vault.id, vault.name), &told);
    }
    Ok(())
}

pub(super) fn items(items: &[Item], out: &Out) {
    for item in sorted(items) {
        done(out, &format!("{}  {}", item.id, item.content.title), &summary(item));
    }
}

/// Items of several vaults.
pub(super) fn found(items: &[Item], out: &Out) {
    for item in sorted(items) {
        let mut told = summary(item);
        told["vault"] = json!(item.vault);
        done(out, &format!("{}  {}", item.id, item.content.title), &told);
    }
}

/// What somebody likes first, and else by name.
fn sorted(items: &[Item]) -> Vec<&Item> {
    let mut items: Vec<&Item> = items.iter().collect();
    items.sort_by_cached_key(|item| (!item.content.favorite, item.content.title.to_lowercase()));
    items
}

fn summary(item: &Item) -> Value {
    let content = &item.content;
    json!({
        "id": item.id,
        "title": content.title,
        "type": content.kind,
        "tags": content.tags,
        "favorite": content.favorite,
        "revision": item.revision,
    })
}

pub(super) fn item(item: &Item, show: bool, out: &Out) {
    let mut told = document(&item.content, show);
    told["id"] = json!(item.id);
    told["vault"] = json!(item.vault);
    told["revision"] = json!(item.revision);
    done(out, &described(&item.content, show), &told);
}

pub(super) fn history(device: &Device, past: &[Past], show: bool, out: &Out) -> Result<(), Failure> {
    for state in past {
        let by = device.person_name(state.changed_by)?;
        let told = json!({
            "revision": state.revision,
            "changed_at": state.changed_at,
            "changed_by": state.changed_by,
            "content": state.content.as_ref().map(|content| document(content, show)),
        });
        let said = state.content.as_ref().map_or_else(|| "deleted".to_owned(), |content| described(content, show));
        done(out, &format!("{}  {}  {by}\n{said}\n", state.revision, state.changed_at), &told);
    }
    Ok(())
}

pub(super) fn members(device: &Device, vault: Uuid, out: &Out) -> Result<(), Failure> {
    for member in device.members(vault)? {
        let told = json!({
            "account": member.account,
            "name": member.name,
            "role": member.role,
            "trust": member.trust,
        });
        let role = told["role"].as_str().unwrap_or_default();
        done(out, &format!("{}  {}  {role}  {}", member.account, member.name, member.trust), &told);
    }
    Ok(())
}

/// What somebody who has left may have read.
pub(super) fn to_be_changed(name: &str, vault: &Vault, items: &[Item], out: &Out) {
    let known: Vec<Value> = items.iter().map(|item| json!({ "id": item.id, "title": item.content.title })).collect();
    let told = json!({ "vault": vault.id, "rotated": true, "to_be_changed": known });
    let mut lines = vec![format!("{name} is out of {:?}, which has a new key.", vault.name)];
    if !items.is_empty() {
        lines.push(format!("What {name} has read is known to them: change these credentials where they are used."));
    }
    lines.extend(items.iter().map(|item| format!("  {}  {}", item.id, item.content.title)));
    done(out, &lines.join("\n"), &told);
}

/// What was behind a link: whoever opened it wants to see it, and may not be able to again.
pub(super) fn handed_out(opened: &Opened, out: &Out) {
    let mut told = document(&opened.content, true);
    told["views_left"] = json!(opened.views_left);
    done(out, &described(&opened.content, true), &told);
    if !out.json && opened.views_left == 0 {
        note("The box has nothing of it any more: keep what you need.");
    }
}

/// The document, with what is hidden left out unless it was asked for.
fn document(content: &Content, show: bool) -> Value {
    let mut told = json!(content);
    let hidden = content.fields.iter().map(|field| field.kind.hidden());
    if let (false, Some(fields)) = (show, told["fields"].as_array_mut()) {
        for (field, _) in fields.iter_mut().zip(hidden).filter(|(_, is_hidden)| *is_hidden) {
            field["value"] = Value::Null;
        }
    }
    if !show && !content.notes.is_empty() {
        told["notes"] = Value::Null;
    }
    told
}

/// Something that is attached, in a line.
pub(super) fn attachment(attachment: &Attachment) -> String {
    format!("{}  ({} bytes)", attachment.name, attachment.size)
}

fn described(content: &Content, show: bool) -> String {
    let mut lines = vec![content.title.clone()];
    let value = |field: &Field| {
        if field.kind.hidden() && !show { HIDDEN.to_owned() } else { field.value.to_string() }
    };
    let mark =
        |field: &Field| field.rotated_at().map_or_else(String::new, |at| format!("  (rotated by the box, {at})"));
    lines.extend(content.fields.iter().map(|field| format!("  {}: {}{}", field.name, value(field), mark(field))));
    lines.extend(content.attachments.iter().map(|attached| format!("  attached: {}", attachment(attached))));
    if !content.tags.is_empty() {
        lines.push(format!("  tags: {}", content.tags.iter().cloned().collect::<Vec<_>>().join(", ")));
    }
    if !content.notes.is_empty() {
        lines.push(format!("  notes: {}", if show { content.notes.as_str() } else { HIDDEN }));
    }
    lines.join("\n")
}
