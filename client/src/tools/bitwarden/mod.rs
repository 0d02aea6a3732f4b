//! Bitwarden's JSON: [read](reading) and [written](writing), in clear or [sealed](sealed) under a password.
//!
//! What an item of ours has no place for is kept with it, so that an export gives back what an import brought: what is no
//! secret (ids, dates) as the member `bitwarden` of items and fields, everything else as a hidden field of that name.

mod members;
pub mod reading;
pub mod sealed;
pub mod writing;

use crate::secrets::content::FieldKind;

/// The member, and the field.
const KEPT: &str = "bitwarden";
/// Members of an item of Bitwarden that are no secret, and that nobody has to see.
const PLAIN: [&str; 6] = ["id", "organizationId", "reprompt", "creationDate", "revisionDate", "archivedDate"];

const LOGIN: u64 = 1;
const NOTE: u64 = 2;
const CARD: u64 = 3;
const IDENTITY: u64 = 4;
const SSH_KEY: u64 = 5;

const HIDDEN: u64 = 1;

/// A member of Bitwarden's, what the field is called here, and its kind.
type Slot = (&'static str, &'static str, FieldKind);

const LOGIN_SLOTS: &[Slot] = &[("username", "username", FieldKind::Text), ("password", "password", FieldKind::Secret)];
const CARD_SLOTS: &[Slot] = &[
    ("cardholderName", "cardholder", FieldKind::Text),
    ("brand", "brand", FieldKind::Text),
    ("number", "number", FieldKind::Secret),
    ("expMonth", "expiry month", FieldKind::Text),
    ("expYear", "expiry year", FieldKind::Text),
    ("code", "code", FieldKind::Secret),
];
const IDENTITY_SLOTS: &[Slot] = &[
    ("title", "title", FieldKind::Text),
    ("firstName", "first name", FieldKind::Text),
    ("middleName", "middle name", FieldKind::Text),
    ("lastName", "last name", FieldKind::Text),
    ("username", "username", FieldKind::Text),
    ("company", "company", FieldKind::Text),
    ("ssn", "social security number", FieldKind::Secret),
    ("passportNumber", "passport number", FieldKind::Secret),
    ("licenseNumber", "license number", FieldKind::Secret),
    ("email", "email", FieldKind::Email),
    ("phone", "phone", FieldKind::Text),
    ("address1", "address 1", FieldKind::Text),
    ("address2", "address 2", FieldKind::Text),
    ("address3", "address 3", FieldKind::Text),
    ("city", "city", FieldKind::Text),
    ("state", "state", FieldKind::Text),
    ("postalCode", "postal code", FieldKind::Text),
    ("country", "country", FieldKind::Text),
];
const SSH_KEY_SLOTS: &[Slot] = &[
    ("privateKey", "private key", FieldKind::Secret),
    ("publicKey", "public key", FieldKind::Text),
    ("keyFingerprint", "fingerprint", FieldKind::Text),
];

/// The member that belongs to a type of Bitwarden, and what is in it.
fn part(kind: u64) -> Option<(&'static str, &'static [Slot])> {
    match kind {
        LOGIN => Some(("login", LOGIN_SLOTS)),
        CARD => Some(("card", CARD_SLOTS)),
        IDENTITY => Some(("identity", IDENTITY_SLOTS)),
        SSH_KEY => Some(("sshKey", SSH_KEY_SLOTS)),
        _ => None,
    }
}

/// Why a file of Bitwarden is not read. What is in it is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BitwardenError {
    /// Not JSON, or other JSON.
    #[error("This is no JSON export of Bitwarden.")]
    Malformed,
    /// There is a format that only the account can read which wrote it.
    #[error(
        "This export can only be read by the account that made it. Export again, and choose \"password protected\" or plain JSON."
    )]
    AccountRestricted,
    /// Asks for more memory or time than any export of Bitwarden's.
    #[error("This export asks for a key derivation that Bitwarden does not have.")]
    Derivation,
    /// Or the first lines were changed.
    #[error("The password is wrong.")]
    Password,
    /// Cut, or changed.
    #[error("The password is right, and the export is damaged.")]
    Damaged,
}
