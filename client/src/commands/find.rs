//! Vaults, items and fields by what people call them: a name, an id, or the first digits of one.

use coffer_client::secrets::{
    content::{Attachment, Content},
    device::Device,
    failure::Failure,
    store::{Item, StoreError, Vault, Vaults},
};
use uuid::Uuid;

/// So many digits of an id are enough, when only one has them.
const SHORTEST_ID: usize = 6;

/// A vault of this device.
pub(super) fn vault(device: &mut Device, called: &str) -> Result<Vault, Failure> {
    let vaults = device.vaults().map_err(failure)?;
    one("vault", "vaults", vaults, called, |vault| (vault.id, &vault.name))
}

/// An item of a vault.
pub(super) fn item(device: &mut Device, vault: &Vault, called: &str) -> Result<Item, Failure> {
    let items = device.items(vault.id).map_err(failure)?;
    one("item", "items", items, called, |item| (item.id, &item.content.title))
}

/// The value of an item's field.
pub(super) fn field(content: &Content, called: &str) -> Result<zeroize::Zeroizing<String>, Failure> {
    let by_id = |id: Uuid| content.fields.iter().find(|field| field.id == id);
    let found = content.field(called).or_else(|| called.parse().ok().and_then(by_id));
    match found {
        Some(field) => Ok(field.value.clone()),
        None if called == "notes" => Ok(content.notes.clone()),
        None => Err(Failure::Unknown { what: "field", name: called.to_owned(), hint: "." }),
    }
}

/// Something that is attached to an item.
pub(super) fn attachment(content: &Content, called: &str) -> Result<Attachment, Failure> {
    one("attachment", "attachments", content.attachments.clone(), called, |attachment| {
        (attachment.id, &attachment.name)
    })
}

/// What the library says, in the words of the command line.
pub(super) fn failure(error: StoreError) -> Failure {
    match error {
        StoreError::Locked => Failure::Locked,
        StoreError::ReadOnly(vault) => Failure::Role(vault),
        StoreError::Newer(item) => Failure::Newer(item),
        StoreError::TooLarge { title, .. } => Failure::TooLarge(title),
        StoreError::NoSuchVault(id) => Failure::Unknown { what: "vault", name: id.to_string(), hint: "." },
        StoreError::NoSuchItem(id) => Failure::Unknown { what: "item", name: id.to_string(), hint: "." },
        StoreError::Io { what, source } => Failure::Io { what: what.to_owned(), source },
        StoreError::Other(source) => match source.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(other) => Failure::Usage(other.to_string()),
        },
        changed @ StoreError::Changed { .. } => Failure::Usage(changed.to_string()),
    }
}

fn one<T>(
    what: &'static str,
    several: &'static str,
    all: Vec<T>,
    called: &str,
    of: impl Fn(&T) -> (Uuid, &String),
) -> Result<T, Failure> {
    let is_called = |one: &&T| of(one).1 == called;
    let has_id = |one: &&T| called.len() >= SHORTEST_ID && of(one).0.to_string().starts_with(&called.to_lowercase());
    // Who writes a whole id means it, whatever something else may be called.
    let exact = called.parse::<Uuid>().ok().filter(|id| all.iter().any(|one| of(one).0 == *id));
    let mut found: Vec<Uuid> = match exact {
        Some(id) => vec![id],
        None => all.iter().filter(is_called).map(|one| of(one).0).collect(),
    };
    if found.is_empty() {
        found = all.iter().filter(has_id).map(|one| of(one).0).collect();
    }
    match found[..] {
        [id] => all.into_iter().find(|one| of(one).0 == id),
        [] => None,
        _ => {
            let choices = found.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ");
            return Err(Failure::Ambiguous { what: several, name: called.to_owned(), choices });
        }
    }
    .ok_or_else(|| Failure::Unknown {
        what,
        name: called.to_owned(),
        hint: " here. `coffer sync` fetches what is new.",
    })
}
