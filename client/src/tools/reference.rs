//! References, `coffer://vault/item/field`: which value of which item is meant, and what it is at this moment.

use std::{collections::HashMap, fmt, str::FromStr};

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    error::Error,
    otp::{Code, Otp},
};
use crate::secrets::{
    content::{Content, FieldKind},
    store::{Item, Vault, Vaults},
};

/// What every reference begins with.
pub const SCHEME: &str = "coffer://";

/// Names what is no field; a field of this name comes first.
const NOTES: &str = "notes";

/// A value of an item, named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Id or name.
    pub vault: String,
    /// Id or title.
    pub item: String,
    /// Id or name.
    pub field: String,
    /// The code of a one-time password is meant, whatever the field is said to be.
    pub as_otp: bool,
}

/// What a reference stands for.
pub struct Resolved {
    /// Of a one-time password: its code.
    pub value: Zeroizing<String>,
    /// Whether it must not be seen in the output of programs.
    pub is_hidden: bool,
}

/// Why a reference stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It is not written as one.
    #[error("{0:?} is no reference. One looks like coffer://vault/item/field; write a / inside of a name as %2F.")]
    Malformed(String),
    /// It asks for more than there is.
    #[error("{0:?} asks for something unknown. Behind the ? there may only be attribute=otp.")]
    Attribute(String),
    /// No vault.
    #[error("{reference}: there is no vault {:?}.", .reference.vault)]
    NoVault {
        /// Which was asked for.
        reference: Box<Reference>,
    },
    /// No item.
    #[error("{reference}: there is no item {:?} in the vault.", .reference.item)]
    NoItem {
        /// Which was asked for.
        reference: Box<Reference>,
    },
    /// No field.
    #[error("{reference}: the item has no field {:?}, only {fields}.", .reference.field)]
    NoField {
        /// Which was asked for.
        reference: Box<Reference>,
        /// Names, no values.
        fields: String,
    },
    /// It says too little.
    #[error("{reference}: {what} are meant by {name:?}: {candidates}. Use the id of the one you mean.")]
    Ambiguous {
        /// Which was asked for.
        reference: Box<Reference>,
        /// Several what.
        what: &'static str,
        /// What they are all called.
        name: String,
        /// Their ids.
        candidates: String,
    },
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let malformed = || ReferenceError::Malformed(text.to_owned());
        let rest = text.strip_prefix(SCHEME).ok_or_else(malformed)?;
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let as_otp = match query {
            None => false,
            Some("attribute=otp") => true,
            Some(_) => return Err(ReferenceError::Attribute(text.to_owned())),
        };
        let decoded = |part: &str| percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned);
        let parts: Option<Vec<String>> = path.split('/').map(decoded).collect();
        match <[String; 3]>::try_from(parts.ok_or_else(malformed)?) {
            Ok([vault, item, field]) if ![&vault, &item, &field].into_iter().any(String::is_empty) => {
                Ok(Self { vault, item, field, as_otp })
            }
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [vault, item, field] = [&self.vault, &self.item, &self.field].map(|part| encoded(part));
        let query = if self.as_otp { "?attribute=otp" } else { "" };
        write!(f, "{SCHEME}{vault}/{item}/{field}{query}")
    }
}

/// Escapes what would end a part of a reference, or the reference in a template; other letters stay readable.
fn encoded(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for c in part.chars() {
        if "/?#%{}\"'<>\\".contains(c) || c.is_whitespace() || c.is_control() {
            escaped.extend(percent_encoding::utf8_percent_encode(
                c.encode_utf8(&mut [0; 4]),
                percent_encoding::NON_ALPHANUMERIC,
            ));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Looks references up, each vault once.
pub struct Resolver<'a> {
    vaults: &'a mut dyn Vaults,
    now: Timestamp,
    known: Option<Vec<Vault>>,
    items: HashMap<Uuid, Vec<Item>>,
}

impl<'a> Resolver<'a> {
    /// Codes of one-time passwords are those of the time.
    pub fn new(vaults: &'a mut dyn Vaults, now: Timestamp) -> Self {
        Self { vaults, now, known: None, items: HashMap::new() }
    }

    /// The value that is meant.
    pub fn resolve(&mut self, reference: &Reference) -> Result<Resolved, Error> {
        let vault = self.vault(reference)?;
        let now = self.now;
        value(&self.item(vault, reference)?.content, reference, now)
    }

    /// The code of the one-time password that is meant, whatever the field is said to be.
    pub fn code(&mut self, reference: &Reference) -> Result<Code, Error> {
        let vault = self.vault(reference)?;
        let now = self.now;
        let (value, _) = field(&self.item(vault, reference)?.content, reference)?;
        Ok(Otp::parse(value)?.code(now))
    }

    fn vault(&mut self, reference: &Reference) -> Result<Uuid, Error> {
        if self.known.is_none() {
            self.known = Some(self.vaults.vaults()?);
        }
        let known = self.known.as_deref().unwrap_or_default();
        let index = only(reference, ("several vaults", &reference.vault), known, |vault| (vault.id, &vault.name))?;
        let index = index.ok_or_else(|| ReferenceError::NoVault { reference: Box::new(reference.clone()) })?;
        Ok(known[index].id)
    }

    fn item(&mut self, vault: Uuid, reference: &Reference) -> Result<&Item, Error> {
        if !self.items.contains_key(&vault) {
            self.items.insert(vault, self.vaults.items(vault)?);
        }
        let items = self.items.get(&vault).map(Vec::as_slice).unwrap_or_default();
        let index = only(reference, ("several items", &reference.item), items, |item| (item.id, &item.content.title))?;
        let index = index.ok_or_else(|| ReferenceError::NoItem { reference: Box::new(reference.clone()) })?;
        Ok(&items[index])
    }
}

/// The place of the one with this id, or else of the only one with this name.
fn only<T>(
    reference: &Reference,
    (what, wanted): (&'static str, &str),
    all: &[T],
    id_and_name: impl Fn(&T) -> (Uuid, &String),
) -> Result<Option<usize>, ReferenceError> {
    if let Ok(id) = wanted.parse::<Uuid>()
        && let Some(index) = all.iter().position(|one| id_and_name(one).0 == id)
    {
        return Ok(Some(index));
    }
    let named: Vec<usize> = (0..all.len()).filter(|index| id_and_name(&all[*index]).1 == wanted).collect();
    match named[..] {
        [] => Ok(None),
        [index] => Ok(Some(index)),
        _ => {
            let ids: Vec<String> = named.iter().map(|index| id_and_name(&all[*index]).0.to_string()).collect();
            let (reference, name) = (Box::new(reference.clone()), wanted.to_owned());
            Err(ReferenceError::Ambiguous { reference, what, name, candidates: ids.join(", ") })
        }
    }
}

fn value(content: &Content, reference: &Reference, now: Timestamp) -> Result<Resolved, Error> {
    let (value, kind) = field(content, reference)?;
    if reference.as_otp || *kind == FieldKind::Otp {
        let code = Otp::parse(value)?.code(now);
        return Ok(Resolved { value: code.code, is_hidden: true });
    }
    Ok(Resolved { value: value.clone(), is_hidden: kind.hidden() })
}

fn field<'a>(
    content: &'a Content,
    reference: &Reference,
) -> Result<(&'a Zeroizing<String>, &'a FieldKind), ReferenceError> {
    let id = reference.field.parse::<Uuid>().ok();
    let field = content.fields.iter().find(|field| Some(field.id) == id);
    match field.or_else(|| content.field(&reference.field)) {
        Some(field) => Ok((&field.value, &field.kind)),
        None if reference.field == NOTES && !content.notes.is_empty() => Ok((&content.notes, &FieldKind::Secret)),
        None => {
            let names: Vec<&str> = content.fields.iter().map(|field| field.name.as_str()).collect();
            Err(ReferenceError::NoField { reference: Box::new(reference.clone()), fields: names.join(", ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (text, vault, item, field, as_otp) in [
            ("coffer://Home/Mail/password", "Home", "Mail", "password", false),
            ("coffer://Home/Mail/otp?attribute=otp", "Home", "Mail", "otp", true),
            ("coffer://A%20b/c%2Fd%3F/%C3%BC%25", "A b", "c/d?", "ü%", false),
            ("coffer://Büro/Gerät/pässword", "Büro", "Gerät", "pässword", false),
        ] {
            let reference: Reference = text.parse().unwrap();
            let expected = Reference { vault: vault.into(), item: item.into(), field: field.into(), as_otp };
            assert_eq!(reference, expected, "{text}");
            assert_eq!(reference.to_string().parse(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "coffer:/a/b/c",
            "Coffer://a/b/c",
            "coffer://a/b",
            "coffer://a/b/c/d",
            "coffer:///b/c",
            "coffer://a//c",
            "coffer://a/b/",
            "coffer://a/b/%ff",
        ] {
            assert_eq!(text.parse::<Reference>(), Err(ReferenceError::Malformed(text.to_owned())));
        }
        for text in ["coffer://a/b/c?", "coffer://a/b/c?attribute=type", "coffer://a/b/c?attribute=otp&x"] {
            assert_eq!(text.parse::<Reference>(), Err(ReferenceError::Attribute(text.to_owned())));
        }
    }
}
