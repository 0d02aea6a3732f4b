//! What an item says: the JSON document that is sealed, as docs/secrets.md fixes it.
//!
//! A document that a newer client wrote keeps what this one does not know: members are carried along unread, and so are
//! types and kinds, which are words.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;
use zeroize::Zeroizing;

/// The only version of the document that there is.
pub const FORMAT: u32 = 1;

/// What a field has besides whose value comes from a rotation: when the box made it, by the box's word.
pub const ROTATED_AT: &str = "rotated_at";

/// What a field has besides of which a member has said that this rotation may change it: the rotation's id. The box cannot
/// write that, so that it changes nothing else.
const ROTATION: &str = "rotation";

/// An item, opened.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
pub struct Content {
    /// [`FORMAT`]. A higher number means that a document must not be written again by who does not know it.
    pub format: u32,
    /// What it is for: chooses a picture, and what is asked when one is made. Any field may be in an item of any type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What people call it. Need not be unique.
    pub title: String,
    /// In the order in which they are shown.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// Longer text, possibly secret. Empty for none.
    #[serde(default)]
    pub notes: Zeroizing<String>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// Whether it stands at the top of lists.
    #[serde(default)]
    pub favorite: bool,
    /// Names of what is attached; the attachments themselves are sealed on their own.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// What this client does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One value of an item.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
pub struct Field {
    /// Stays the same when name and value change, so that two people's changes can be told apart.
    pub id: Uuid,
    /// What people, and references (`coffer://vault/item/field`), call it. Need not be unique; the first one counts.
    pub name: String,
    /// How it is shown and used.
    pub kind: FieldKind,
    /// Any text. Of a one-time password: the `otpauth://` URI.
    pub value: Zeroizing<String>,
    /// What this client does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Something attached to an item.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Attachment {
    /// Names the sealed attachment.
    pub id: Uuid,
    /// Its file name.
    pub name: String,
    /// Length of what is in it, in bytes.
    pub size: u64,
    /// SHA-256 of what is in it, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Types of items.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Login,
    Password,
    Note,
    ApiKey,
    SshKey,
    /// A second factor on its own.
    Totp,
    Card,
    Identity,
    /// Fields are variables of an environment.
    Environment,
    /// What matters is attached.
    File,
    Custom,
    /// Its title is the name of the vault that has the same id as the item.
    Vault,
    #[serde(untagged)]
    Other(String),
}

/// Kinds of fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// Shown openly: user names, numbers, names of people.
    Text,
    /// Hidden until asked for, and masked in the output of programs.
    Secret,
    /// Where a login belongs.
    Url,
    /// An address of electronic mail.
    Email,
    /// The secret of a one-time password, hidden like one. Read as the code that is valid now.
    Otp,
    /// `YYYY-MM-DD`, or `YYYY-MM`.
    Date,
    /// A kind of a newer client: treated as a secret.
    #[serde(untagged)]
    Other(String),
}

impl Content {
    /// An empty one.
    pub fn new(kind: Kind, title: impl Into<String>) -> Self {
        Self {
            format: FORMAT,
            kind,
            title: title.into(),
            fields: Vec::new(),
            notes: Zeroizing::default(),
            tags: BTreeSet::new(),
            favorite: false,
            attachments: Vec::new(),
            other: Map::new(),
        }
    }

    /// The same with one more field at the end.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, kind: FieldKind, value: impl Into<String>) -> Self {
        self.fields.push(Field::new(name, kind, value));
        self
    }

    /// The first field with the name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Field {
    /// A new field, with a new id.
    pub fn new(name: impl Into<String>, kind: FieldKind, value: impl Into<String>) -> Self {
        Self { id: Uuid::new_v4(), name: name.into(), kind, value: Zeroizing::new(value.into()), other: Map::new() }
    }

    /// A person says what it is: it is not the box's word any more.
    pub fn set(&mut self, value: Zeroizing<String>) {
        self.value = value;
        self.other.remove(ROTATED_AT);
    }

    /// From now on what a rotation leaves is taken for this field.
    pub fn let_rotate(&mut self, rotation: Uuid) {
        self.other.insert(ROTATION.to_owned(), rotation.to_string().into());
    }

    /// Whether a member has said that a rotation may change it.
    pub fn is_rotated_by(&self, rotation: Uuid) -> bool {
        self.other.get(ROTATION).and_then(Value::as_str) == Some(rotation.to_string().as_str())
    }

    /// When the box made the value, if it did.
    pub fn rotated_at(&self) -> Option<&str> {
        self.other.get(ROTATED_AT)?.as_str()
    }
}

impl FieldKind {
    /// Whether it is hidden from people who look over a shoulder, and masked in the output of programs.
    pub fn hidden(&self) -> bool {
        matches!(self, Self::Secret | Self::Otp | Self::Other(_))
    }
}
