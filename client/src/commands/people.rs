//! Members, and whose keys are believed.

use std::path::Path;

use coffer_api::SecretRole;
use coffer_client::{
    qr,
    secrets::{
        attachments,
        content::Content,
        device::Device,
        failure::Failure,
        line::Line,
        people::{self, Met},
        sharing,
        store::{Item, Vault, Vaults},
        sync,
    },
};
use coffer_crypto::secrets::identity::{Fingerprint, Trust, from_qr_text};
use serde_json::json;
use uuid::Uuid;

use super::{Machine, find, find::failure, progress::Progress, show};
use crate::cli::{self, Out};

/// What a person says about somebody's keys.
pub(super) enum Step<'a> {
    /// Nothing yet.
    Look,
    /// The words were compared.
    Confirm,
    /// The keys are to be compared with this picture.
    Compare(&'a Path),
    /// They may have changed.
    Accept,
}

pub(super) fn members(machine: &Machine, vault: &str, out: &Out) -> Result<(), Failure> {
    let mut device = machine.device()?;
    let vault = find::vault(&mut device, vault)?;
    visited(&Line::new(&device)?, vault.id)?;
    show::members(&device, vault.id, out)
}

pub(super) fn share(machine: &Machine, options: &cli::Share) -> Result<(), Failure> {
    let cli::Share {
        what,
        name: Some(name),
        role: Some(role),
        password: false,
        password_file: None,
        expires: None,
        views: None,
        out,
    } = options
    else {
        return Err(Failure::Usage(
            "A vault is shared with somebody, in a role: coffer share VAULT NAME ROLE. The path of a file begins with a slash.".to_owned(),
        ));
    };
    let mut device = machine.device()?;
    let vault = find::vault(&mut device, what)?;
    share_vault(&device, &vault, name, (*role).into(), out)
}

/// Moves an item to a vault of its own, and shares that. It is at the box in its new place before it leaves the old one.
pub(super) fn share_item(
    mut device: Device,
    item: &Item,
    name: &str,
    role: SecretRole,
    out: &Out,
) -> Result<(), Failure> {
    let line = Line::new(&device)?;
    if !item.content.attachments.is_empty() {
        // What is attached is at the box alone; so the item has to be there as it is here.
        visited(&line, item.vault)?;
    }
    // Somebody whom the box does not know is found out before anything is made.
    if !name.starts_with('@') {
        people::by_name(&line, name)?.check_unchanged()?;
    }
    let id = sharing::create_vault(&line, &item.content.title)?;
    visited(&line, id)?;
    let bare = Content { attachments: Vec::new(), ..item.content.clone() };
    let made = device.create(id, vec![bare]).map_err(failure)?;
    visited(&Line::new(&device)?, id)?;
    for made in &made {
        attach_as_before(&mut device, item, made)?;
    }
    device.delete(item.vault, item.id, item.revision).map_err(failure)?;
    visited(&Line::new(&device)?, item.vault)?;
    share_vault(&device, &Vault { id, name: item.content.title.clone() }, name, role, out)
}

/// Brings what is attached to an item to its new place.
fn attach_as_before(device: &mut Device, from: &Item, to: &Item) -> Result<(), Failure> {
    if from.content.attachments.is_empty() {
        return Ok(());
    }
    let progress = Progress::new(true);
    let attached = attachments::copy(&Line::new(device)?, from, (to.vault, to.id), &mut |name, done, all| {
        progress.tell(name, done, all);
    })?;
    drop(progress);
    let content = Content { attachments: attached, ..to.content.clone() };
    device.edit(to.vault, to.id, to.revision, content).map_err(failure)?;
    visited(&Line::new(device)?, to.vault)
}

fn share_vault(device: &Device, vault: &Vault, name: &str, role: SecretRole, out: &Out) -> Result<(), Failure> {
    let line = Line::new(device)?;
    // The newest key, and who is in already.
    visited(&line, vault.id)?;
    if let Some(group) = name.strip_prefix('@') {
        return share_with_group(&line, vault, group, role, out);
    }
    let met = people::by_name(&line, name)?;
    let is_compared = met.known.is_some_and(|known| known.trust == Trust::Verified);
    let (account, words) = (met.account, words(met.public.fingerprint()));
    sharing::share(&line, vault.id, met, role)?;
    visited(&line, vault.id)?;
    if !is_compared {
        show::note(&format!(
            "Nobody has compared {name}'s keys yet. Ask {name}, by another way than this box, for the words: {words}. Then: coffer verify {name} --confirm"
        ));
    }
    let told = json!({ "vault": vault.id, "account": account, "role": role, "verified": is_compared });
    show::done(out, &format!("{name} is in {:?} now.", vault.name), &told);
    Ok(())
}

/// Lets everybody of a group in who is not in yet: the people that the box names now. Who comes into the group later has to be
/// let in again, by a person, since a box that could let people in could let itself in.
fn share_with_group(line: &Line<'_>, vault: &Vault, group: &str, role: SecretRole, out: &Out) -> Result<(), Failure> {
    let (met, without_keys) = people::of_group(line, group)?;
    let there: Vec<Uuid> = line.device.members(vault.id)?.into_iter().map(|member| member.account).collect();
    for met in met.into_iter().filter(|met| !there.contains(&met.account)) {
        let name = met.name.clone().unwrap_or_else(|| met.account.to_string());
        let is_compared = met.known.is_some_and(|known| known.trust == Trust::Verified);
        let (account, words) = (met.account, words(met.public.fingerprint()));
        sharing::share(line, vault.id, met, role)?;
        let told = json!({ "vault": vault.id, "account": account, "role": role, "verified": is_compared });
        let hint = if is_compared { String::new() } else { format!(" Nobody has compared the words yet: {words}") };
        show::done(out, &format!("{name} is in {:?} now.{hint}", vault.name), &told);
    }
    for name in without_keys {
        show::note(&format!("{name} has not logged in with `coffer` yet, and is not let in."));
    }
    visited(line, vault.id)
}

pub(super) fn unshare(machine: &Machine, options: &cli::Unshare) -> Result<(), Failure> {
    let cli::Unshare { what, name: Some(name), out } = options else {
        return Err(Failure::Usage(
            "Somebody is put out of a vault: coffer unshare VAULT NAME. The path of a file begins with a slash."
                .to_owned(),
        ));
    };
    let mut device = machine.device()?;
    let vault = find::vault(&mut device, what)?;
    let line = Line::new(&device)?;
    visited(&line, vault.id)?;
    let account = line.device.member_called(vault.id, name)?;
    sharing::unshare(&line, vault.id, account)?;
    if account == line.device.profile.account {
        line.device.forget(vault.id)?;
        show::done(out, &format!("You have left {:?}.", vault.name), &json!({ "vault": vault.id }));
        return Ok(());
    }
    visited(&line, vault.id)?;
    // What was read is known: only new credentials take it back.
    let is_secret = |item: &Item| item.content.fields.iter().any(|field| field.kind.hidden());
    let mut known = device.items(vault.id).map_err(failure)?;
    known.retain(is_secret);
    show::to_be_changed(name, &vault, &known, out);
    Ok(())
}

pub(super) fn own_words(machine: &Machine, out: &Out) -> Result<(), Failure> {
    let device = machine.device()?;
    let fingerprint = device.identity()?.public().fingerprint();
    let told = json!({
        "account": device.profile.account,
        "name": device.profile.username,
        "words": fingerprint.words(),
        "qr": fingerprint.to_qr_text(device.profile.account),
    });
    show::done(out, &words(fingerprint), &told);
    show::code(&fingerprint.to_qr_text(device.profile.account), out);
    Ok(())
}

pub(super) fn verify(machine: &Machine, name: &str, step: &Step<'_>, out: &Out) -> Result<(), Failure> {
    let device = machine.device()?;
    let line = Line::new(&device)?;
    let met = people::by_name(&line, name)?;
    match step {
        Step::Look => met.check_unchanged()?,
        Step::Confirm => met.verify(&line)?,
        Step::Compare(picture) => compare(&met, name, picture, &line)?,
        Step::Accept => met.accept(&line)?,
    }
    let Met { account, public, known, .. } = people::by_name(&line, name)?;
    let trust = match known.map_or(Trust::Unverified, |known| known.trust) {
        Trust::Unverified => "unverified",
        Trust::Pinned => "pinned",
        Trust::Verified => "verified",
    };
    let fingerprint = public.fingerprint();
    let told = json!({
        "account": account,
        "name": name,
        "words": fingerprint.words(),
        "qr": fingerprint.to_qr_text(account),
        "trust": trust,
    });
    show::done(out, &format!("{}  ({trust})", words(fingerprint)), &told);
    Ok(())
}

/// What somebody shows is compared with what the box names.
fn compare(met: &Met, name: &str, picture: &Path, line: &Line<'_>) -> Result<(), Failure> {
    let shown =
        qr::find(picture, from_qr_text).map_err(|error| Failure::Usage(format!("{}: {error}.", picture.display())))?;
    let no_keys = || Failure::Usage("The QR code in the picture is not what `coffer verify` shows.".to_owned());
    if shown.ok_or_else(no_keys)? != (met.account, met.public.fingerprint()) {
        return Err(Failure::OtherKeys { name: name.to_owned() });
    }
    met.verify(line)
}

fn visited(line: &Line<'_>, vault: Uuid) -> Result<(), Failure> {
    sync::one(line, vault)?.failure.map_or(Ok(()), Err)
}

fn words(fingerprint: Fingerprint) -> String {
    fingerprint.words().join(" ")
}
