//! Rotations that the box carries out, and what it leaves for the members of a vault: their clients open it, write it into the item
//! that it is for, and say so when the box has that.
//!
//! A value is the word of the box, and marked as such. Where nothing else was changed it takes the place of the one before; with
//! what people have changed since it is merged by field, and counts where both have changed the same: it is what is in force.

use std::collections::BTreeMap;

use coffer_api::{
    CreateSecretRotation, PutSecretDropBox, SecretDrop, SecretDropBox, SecretDrops, SecretRole, SecretRotation,
};
use coffer_crypto::secrets::{
    drop_box::{self, DropBox, Purpose},
    keys::VaultKey,
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;
use serde_json::json;
use ureq::http::Method;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    content::{Content, FORMAT, Field, FieldKind, ROTATED_AT},
    decode,
    device::Device,
    encode,
    failure::Failure,
    history,
    line::Line,
    merge::{Merged, conflict_title, merge},
    push,
    replica::{Kind, Rows},
    rows::{Base, Draft},
    store::{Item, StoreError, Vaults},
    sync,
};

const DAMAGED: Failure = Failure::Damaged { what: "the replica" };

/// What was found in a vault's drop box.
#[derive(Default)]
pub(super) struct Folded {
    /// Values that are in their items as these stand here, or are drafts of them.
    taken: Vec<Uuid>,
    /// Titles of items that got one.
    pub(super) titles: Vec<String>,
    /// Titles of copies that were made because people had changed the same.
    pub(super) conflicts: Vec<String>,
    /// What is wrong with the rest.
    pub(super) failure: Option<Failure>,
}

/// What is in a value.
#[derive(Deserialize)]
struct Document {
    fields: BTreeMap<Uuid, Zeroizing<String>>,
}

/// Sets a rotation up, and the vault's drop box, if it has none of the newest key yet. First the item says, at the box, which of its
/// fields the rotation may change: other clients take nothing over for any other.
pub fn create(device: &mut Device, vault: Uuid, new: &CreateSecretRotation) -> Result<SecretRotation, StoreError> {
    let Item { revision, mut content, .. } =
        device.item(vault, new.item_id)?.ok_or(StoreError::NoSuchItem(new.item_id))?;
    for field in &mut content.fields {
        if field.id == new.field_id || Some(field.id) == new.handle_field_id {
            field.let_rotate(new.id);
        }
    }
    device.edit(vault, new.item_id, revision, content)?;
    let line = &Line::new(device)?;
    sync::one(line, vault)?.failure.map_or(Ok(()), Err)?;
    Ok(begin(line, vault, new)?)
}

fn begin(line: &Line<'_>, vault: Uuid, new: &CreateSecretRotation) -> Result<SecretRotation, Failure> {
    let told: SecretDrops = line.get(&drops_path(vault))?;
    keep_drop_box(line, vault, told.drop_box.as_ref(), true)?;
    line.send(Method::POST, &path(vault, ""), Some(new))
}

/// The rotations of a vault.
pub fn list(line: &Line<'_>, vault: Uuid) -> Result<Vec<SecretRotation>, Failure> {
    line.get(&path(vault, ""))
}

/// Has one carried out now.
pub fn run(line: &Line<'_>, vault: Uuid, rotation: Uuid) -> Result<SecretRotation, Failure> {
    line.send::<(), _>(Method::POST, &path(vault, &format!("/{rotation}/run")), None)
}

/// Ends one. The credential stays as it is.
pub fn remove(line: &Line<'_>, vault: Uuid, rotation: Uuid) -> Result<(), Failure> {
    line.send::<(), ()>(Method::DELETE, &path(vault, &format!("/{rotation}")), None)
}

/// Values of which the box does not know whether they are in force.
pub fn unsure(line: &Line<'_>, vault: Uuid) -> Result<Vec<SecretDrop>, Failure> {
    let told: SecretDrops = line.get(&drops_path(vault))?;
    Ok(told.drops.into_iter().filter(|drop| !drop.is_certain).collect())
}

/// Takes one of those over all the same: somebody wants to try it. Gives the title of its item.
pub fn take_unsure(line: &Line<'_>, vault: Uuid, id: Uuid) -> Result<String, Failure> {
    let unknown = || Failure::Unknown { what: "value", name: id.to_string(), hint: " that waits." };
    let drop = unsure(line, vault)?.into_iter().find(|drop| drop.id == id).ok_or_else(unknown)?;
    let mut folded = Folded::default();
    take(line, vault, &drop, &mut folded)?;
    push::push(line, vault)?;
    acknowledge(line, vault, &folded)?;
    Ok(folded.titles.pop().unwrap_or_default())
}

/// Puts what the box has left into drafts. What does not open is told, and keeps nothing else from being done.
pub(super) fn fold(line: &Line<'_>, vault: Uuid) -> Result<Folded, Failure> {
    let mut folded = Folded::default();
    let told = match line.get::<SecretDrops>(&drops_path(vault)) {
        Ok(told) => told,
        // A box of before has none.
        Err(failure) if failure.is_not_found() => return Ok(folded),
        Err(failure) => return Err(failure),
    };
    folded.failure = keep_drop_box(line, vault, told.drop_box.as_ref(), false).err();
    if line.device.vault(vault)?.role == SecretRole::Viewer {
        return Ok(folded);
    }
    for drop in told.drops.iter().filter(|drop| drop.is_certain) {
        if let Err(failure) = take(line, vault, drop, &mut folded) {
            folded.failure.get_or_insert(failure);
        }
    }
    Ok(folded)
}

/// Says what is in its item, at the box.
pub(super) fn acknowledge(line: &Line<'_>, vault: Uuid, folded: &Folded) -> Result<(), Failure> {
    for id in &folded.taken {
        let path = format!("{}/{id}", drops_path(vault));
        match line.send_if::<(), ()>(Method::DELETE, &path, None, None) {
            Ok(_) => {}
            // Another member was faster, or a later value has taken its place.
            Err(failure) if failure.is_not_found() => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Managers see to it that what is rotated is sealed to the newest key, and everybody that it is the vault's own.
fn keep_drop_box(line: &Line<'_>, vault: Uuid, told: Option<&SecretDropBox>, is_wanted: bool) -> Result<(), Failure> {
    let state = line.device.vault(vault)?;
    let keys = line.device.vault_keys(vault, &state)?;
    let own = DropBox::of(keys.last().ok_or(DAMAGED)?)?;
    let is_newest = told.is_some_and(|told| told.generation == own.generation);
    let is_own = told.is_some_and(|told| is_newest && decode(&told.public).as_deref() == Some(&own.public[..]));
    if is_own || (told.is_none() && !is_wanted) {
        return Ok(());
    }
    if matches!(state.role, SecretRole::Manager | SecretRole::Owner) {
        let body = PutSecretDropBox {
            generation: own.generation,
            public: encode(&own.public),
            signature: encode(&own.sign(&line.device.identity()?)),
        };
        line.send::<_, ()>(Method::PUT, &format!("/secrets/vaults/{vault}/drop-box"), Some(&body))?;
    }
    // Somebody else's would have got what is rotated.
    if is_newest { Err(Failure::DropBox(line.device.vault_name(vault)?)) } else { Ok(()) }
}

/// Opens a value, and makes it a draft of its item.
fn take(line: &Line<'_>, vault: Uuid, drop: &SecretDrop, folded: &mut Folded) -> Result<(), Failure> {
    let device = line.device;
    let keys = device.vault_keys(vault, &device.vault(vault)?)?;
    let no_value = || Failure::DroppedValue { item: drop.item_id };
    let fields = open(&keys, drop).ok_or_else(no_value)?;
    let base: Option<Base> = device.replica.rows().get(Kind::Base, vault, drop.item_id)?;
    let base = base.ok_or_else(no_value)?;
    let draft: Option<Draft> = device.replica.rows().get(Kind::Draft, vault, drop.item_id)?;
    let standing = draft.as_ref().map_or(base.content.as_ref(), |draft| draft.content.as_ref());
    if let Some(standing) = standing.filter(|standing| has(standing, &fields)) {
        folded.titles.push(standing.title.clone());
        folded.taken.push(drop.id);
        return Ok(());
    }
    // What the value was made for, to tell what people have changed since from what was there.
    let began = if base.revision == drop.base_revision {
        base.content.clone()
    } else {
        let past = history::of(line, vault, drop.item_id)?.into_iter();
        past.filter(|past| past.revision <= drop.base_revision).find_map(|past| past.content)
    };
    let began = began.ok_or_else(no_value)?;
    // Who knows the drop box's public key can write a value for anything: only what a member has let it change is changed.
    let may_change =
        |id: &Uuid| began.fields.iter().any(|field| field.id == *id && field.is_rotated_by(drop.rotation_id));
    if !fields.keys().all(may_change) {
        return Err(no_value());
    }
    if began.format > FORMAT || standing.is_some_and(|standing| standing.format > FORMAT) {
        return Err(Failure::Newer(drop.item_id));
    }
    let rotated = with(&began, &fields, drop.made_at);
    let title = rotated.title.clone();
    let conflicts = device.replica.change(|rows| merge_in(line, rows, vault, drop, (&began, &rotated)))?;
    folded.conflicts.extend(conflicts);
    folded.titles.push(title);
    folded.taken.push(drop.id);
    Ok(())
}

fn open(keys: &[VaultKey], drop: &SecretDrop) -> Option<BTreeMap<Uuid, Zeroizing<String>>> {
    let key = keys.iter().find(|key| key.generation() == drop.generation)?;
    let purpose = Purpose { item: drop.item_id, base_revision: drop.base_revision };
    let document = drop_box::open(key, purpose, &decode(&drop.content)?).ok()?;
    serde_json::from_slice::<Document>(&document).ok().map(|document| document.fields)
}

/// Merges a value with what the box has of the item, and that with what was changed here. Gives the titles of copies.
fn merge_in(
    line: &Line<'_>,
    rows: Rows<'_>,
    vault: Uuid,
    drop: &SecretDrop,
    (began, rotated): (&Content, &Content),
) -> Result<Vec<String>, Failure> {
    let id = drop.item_id;
    let base: Base = rows.get(Kind::Base, vault, id)?.ok_or(DAMAGED)?;
    let draft: Option<Draft> = rows.get(Kind::Draft, vault, id)?;
    // In both, the value counts.
    let at_the_box = merge(Some(began), base.content.as_ref(), Some(rotated));
    let Merged { item, copy } = match &draft {
        Some(draft) => merge(base.content.as_ref(), draft.content.as_ref(), at_the_box.item.as_ref()),
        None => Merged { item: at_the_box.item, copy: None },
    };
    let edits = draft.map_or(0, |draft| draft.edits) + 1;
    rows.put(Kind::Draft, vault, id, &Draft { base: base.revision, edits, content: item })?;
    let today = (line.device.now)().to_zoned(TimeZone::UTC).date();
    let mut titles = Vec::new();
    for mut copy in [at_the_box.copy, copy].into_iter().flatten() {
        copy.title = conflict_title(&copy.title, &line.device.profile.device, today);
        titles.push(copy.title.clone());
        rows.put(Kind::Draft, vault, Uuid::new_v4(), &Draft { base: 0, edits: 1, content: Some(copy) })?;
    }
    Ok(titles)
}

/// Whether an item says so already.
fn has(content: &Content, fields: &BTreeMap<Uuid, Zeroizing<String>>) -> bool {
    let says = |id: &Uuid, value: &str| content.fields.iter().any(|field| field.id == *id && *field.value == value);
    fields.iter().all(|(id, value)| says(id, value))
}

/// An item with those values, marked as the box's. A field that is gone comes back: what is in force must not be lost.
fn with(began: &Content, fields: &BTreeMap<Uuid, Zeroizing<String>>, at: Timestamp) -> Content {
    let mut rotated = began.clone();
    for (id, value) in fields {
        let place = rotated.fields.iter().position(|field| field.id == *id).unwrap_or_else(|| {
            rotated.fields.push(Field { id: *id, ..Field::new("rotated", FieldKind::Secret, "") });
            rotated.fields.len() - 1
        });
        let field = &mut rotated.fields[place];
        field.value.clone_from(value);
        field.other.insert(ROTATED_AT.to_owned(), json!(at));
    }
    rotated
}

fn path(vault: Uuid, rest: &str) -> String {
    format!("/secrets/vaults/{vault}/rotations{rest}")
}

fn drops_path(vault: Uuid) -> String {
    format!("/secrets/vaults/{vault}/drops")
}
