//! Rotations of credentials by the box.

use std::collections::BTreeMap;

use coffer_api::{CreateSecretRotation, RotationProvider, RotationState, SecretRotation, SecretString};
use coffer_client::secrets::{
    content::{Content, Field},
    device::Device,
    failure::Failure,
    line::Line,
    rotation,
    store::{Vault, Vaults},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    Machine,
    ask::{self, Question},
    find,
    find::failure,
    show,
};
use crate::cli::{AddRotation, Out, Place, Rotate};

pub(super) fn run(machine: &Machine, command: Rotate) -> Result<(), Failure> {
    let mut device = machine.device()?;
    match command {
        Rotate::Add(options) => add(&mut device, *options)?,
        Rotate::List { vault, out } => {
            let vault = find::vault(&mut device, &vault)?;
            let rotations = rotation::list(&Line::new(&device)?, vault.id)?;
            for rotation in rotations {
                tell(&mut device, &vault, &rotation, &out)?;
            }
        }
        Rotate::Status { vault, rotation, out } => {
            let vault = find::vault(&mut device, &vault)?;
            let found = called(&Line::new(&device)?, vault.id, &rotation)?;
            let unsure = rotation::unsure(&Line::new(&device)?, vault.id)?;
            tell(&mut device, &vault, &found, &out)?;
            for value in unsure.into_iter().filter(|value| value.rotation_id == found.id) {
                let text = format!("  a value that may be in force, of {}: {}", value.made_at, value.id);
                show::done(&out, &text, &json!({ "value": value.id, "made_at": value.made_at, "is_certain": false }));
            }
        }
        Rotate::Now { vault, rotation, out } => {
            let vault = find::vault(&mut device, &vault)?;
            let line = Line::new(&device)?;
            let asked = rotation::run(&line, vault.id, called(&line, vault.id, &rotation)?.id)?;
            show::done(&out, "The box begins. `coffer rotate status` tells how far it is.", &json!(asked));
        }
        Rotate::Rm { vault, rotation, out } => {
            let vault = find::vault(&mut device, &vault)?;
            let line = Line::new(&device)?;
            let id = called(&line, vault.id, &rotation)?.id;
            rotation::remove(&line, vault.id, id)?;
            show::done(&out, "The credential stays as it is.", &json!({ "id": id, "deleted": true }));
        }
        Rotate::Take { vault, value, out } => {
            let vault = find::vault(&mut device, &vault)?;
            let title = rotation::take_unsure(&Line::new(&device)?, vault.id, value)?;
            show::done(&out, &format!("It is in {title:?}."), &json!({ "value": value, "title": title }));
        }
    }
    Ok(())
}

fn add(device: &mut Device, options: AddRotation) -> Result<(), Failure> {
    let AddRotation { vault, item, field, id_field, every, grace, admin_file, out, place } = options;
    let vault = find::vault(device, &vault)?;
    let item = find::item(device, &vault, &item)?;
    let field = field_called(&item.content, &field)?;
    let id_field = id_field.map(|name| field_called(&item.content, &name)).transpose()?;
    let provider = provider(place)?;
    let admin = match (&admin_file, needs_admin(&provider)) {
        (None, false) => None,
        (file, _) => {
            let file = file.as_deref();
            let question = Question { what: "The admin credential", flag: "--admin-file", file, is_new: false };
            Some(match (&provider, file) {
                // A private key has more than one line.
                (RotationProvider::SshAuthorizedKey { .. }, Some(file)) => SecretString::new(ask::text(file)?),
                _ => question.ask()?,
            })
        }
    };
    let new = CreateSecretRotation {
        id: Uuid::new_v4(),
        item_id: item.id,
        field_id: field.id,
        handle_field_id: id_field.map(|field| field.id),
        provider,
        admin,
        handle: id_field.map(|field| field.value.to_string()).filter(|handle| !handle.is_empty()),
        every_s: every,
        grace_s: grace,
    };
    let made = rotation::create(device, vault.id, &new).map_err(failure)?;
    tell(device, &vault, &made, &out)
}

/// Whether it goes without one.
fn needs_admin(provider: &RotationProvider) -> bool {
    match provider {
        RotationProvider::Command { .. } | RotationProvider::Http { .. } => false,
        RotationProvider::PostgresqlRole { .. }
        | RotationProvider::S3AccessKey { .. }
        | RotationProvider::SshAuthorizedKey { .. } => true,
    }
}

fn provider(place: Place) -> Result<RotationProvider, Failure> {
    Ok(match place {
        Place::Command { program, parameter } => {
            RotationProvider::Command { program, parameters: parameters(&parameter)? }
        }
        Place::Http { url, parameter } => RotationProvider::Http { url, parameters: parameters(&parameter)? },
        Place::Postgresql { host, role, port, database, admin_name, authority_file } => {
            let authority = authority_file.map(|file| ask::text(&file)).transpose()?.map(|text| text.to_string());
            RotationProvider::PostgresqlRole { host, port, database, role, admin_name, authority }
        }
        Place::S3 { endpoint, region, user, admin_key_id } => {
            RotationProvider::S3AccessKey { endpoint, region, user_name: user, admin_key_id }
        }
        Place::Ssh { host, user, port, host_key } => RotationProvider::SshAuthorizedKey { host, port, user, host_key },
    })
}

fn parameters(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let wrong = || Failure::Usage("A parameter is NAME=VALUE.".to_owned());
    texts.iter().map(|text| pair(text).ok_or_else(wrong)).collect()
}

fn field_called<'c>(content: &'c Content, called: &str) -> Result<&'c Field, Failure> {
    let by_id = |id: Uuid| content.fields.iter().find(|field| field.id == id);
    let found = content.field(called).or_else(|| called.parse().ok().and_then(by_id));
    found.ok_or_else(|| Failure::Unknown { what: "field", name: called.to_owned(), hint: "." })
}

/// The rotation with that id, or whose id alone begins so.
fn called(line: &Line<'_>, vault: Uuid, called: &str) -> Result<SecretRotation, Failure> {
    let has_id = |rotation: &SecretRotation| !called.is_empty() && rotation.id.to_string().starts_with(called);
    let mut found: Vec<SecretRotation> = rotation::list(line, vault)?.into_iter().filter(has_id).collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(Failure::Unknown { what: "rotation", name: called.to_owned(), hint: " in the vault." }),
        (Some(last), _) => {
            let ids = found.iter().chain([&last]).map(|rotation| rotation.id.to_string()).collect::<Vec<_>>();
            Err(Failure::Ambiguous { what: "rotations", name: called.to_owned(), choices: ids.join(", ") })
        }
    }
}

fn tell(device: &mut Device, vault: &Vault, rotation: &SecretRotation, out: &Out) -> Result<(), Failure> {
    let item = device.item(vault.id, rotation.item_id).map_err(failure)?;
    let field =
        |item: &Content| item.fields.iter().find(|field| field.id == rotation.field_id).map(|it| it.name.clone());
    let what = item.map_or_else(
        || rotation.item_id.to_string(),
        |item| format!("{}/{}", item.content.title, field(&item.content).unwrap_or_default()),
    );
    let mut lines = vec![format!("{}  {what}: {}", rotation.id, state(rotation.state))];
    if let Some(problem) = &rotation.problem {
        lines.push(format!("  failed, attempt {}: {problem}", rotation.attempts));
    }
    lines.extend(rotation.rotated_at.map(|at| format!("  rotated last: {at}")));
    lines.extend(rotation.next_at.map(|at| format!("  goes on: {at}")));
    show::done(out, &lines.join("\n"), &json!(rotation));
    Ok(())
}

fn state(state: RotationState) -> &'static str {
    match state {
        RotationState::Idle => "nothing under way",
        RotationState::Pending => "a new credential is made",
        RotationState::Applied => "a new credential is in force",
        RotationState::Sealed => "a new credential is in force and can be fetched",
        RotationState::Verified => "the new credential works; the old one lives until somebody's `coffer sync`",
        RotationState::OldRevoked => "done",
    }
}
