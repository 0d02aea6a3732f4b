//! Secrets vaults: docs/secrets.md says what is sealed how. All bytes are base64url without padding.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::SecretString;

/// What an account keeps here for its other devices.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretAccount {
    /// The account key, wrapped for who knows the password; 104 bytes.
    #[schema(example = json!("AQEB".repeat(34) + "AQE"))]
    pub by_password: String,
    /// The account key, wrapped for who has the recovery key; 104 bytes.
    #[schema(example = json!("AQEB".repeat(34) + "AQE"))]
    pub by_recovery: String,
    /// The private keys, sealed under the account key; 136 bytes.
    #[schema(example = json!("AQEB".repeat(45) + "AQ"))]
    pub identity: String,
    /// The public keys, signed by themselves; 144 bytes.
    #[schema(example = json!("AQEB".repeat(48)))]
    pub public: String,
}

/// The public keys of an account. A client compares their fingerprint before it believes them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretIdentity {
    /// Whose.
    pub user_id: Uuid,
    /// What the account is called; null when it is gone.
    #[schema(example = "ada_l")]
    pub username: Option<String>,
    /// 144 bytes.
    #[schema(example = json!("AQEB".repeat(48)))]
    pub public: String,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretRole {
    /// Reads.
    Viewer,
    /// Changes items as well.
    Editor,
    /// Invites and removes members as well.
    Manager,
    /// Deletes the vault and names owners as well.
    Owner,
}

/// Makes a secrets vault.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSecretVault {
    /// Chosen by the client, which seals the key for it.
    pub id: Uuid,
    /// The vault's first key, wrapped under the account key; 104 bytes.
    #[schema(example = json!("AQEB".repeat(34) + "AQE"))]
    pub key: String,
}

/// The people of a group, for whoever is in it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretGroup {
    /// Those who have keys, and can be shared with.
    pub members: Vec<SecretIdentity>,
    /// The names of those who have none yet.
    #[schema(example = json!(["grace"]))]
    pub without_keys: Vec<String>,
}

/// A secrets vault. Its name is in it, where this box cannot read it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretVault {
    /// The vault.
    pub id: Uuid,
    /// What the caller may do.
    pub role: SecretRole,
    /// The number of changes.
    pub sequence: u64,
    /// Of its key.
    pub generation: u32,
    /// What all revisions of its items take.
    pub used_bytes: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Uuid,
}

/// Somebody who is in a vault.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretMember {
    /// Who.
    pub user_id: Uuid,
    /// What they may do.
    pub role: SecretRole,
}

/// Lets somebody in, or gives a member another role.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecretMember {
    /// What they may do.
    pub role: SecretRole,
    /// For somebody new: the vault's keys, as grants of the caller.
    #[serde(default)]
    pub keys: Vec<SecretVaultKey>,
}

/// A key of a vault, for one member.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretVaultKey {
    /// Counts from 1.
    #[schema(example = 1)]
    pub generation: u32,
    /// Wrapped by the member, 104 bytes, or granted by another, 237 bytes.
    #[schema(example = json!("AQEB".repeat(79)))]
    pub sealed: String,
}

/// Gives a vault its next key. All members get it, and the key of every item is wrapped under it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSecretVault {
    /// The next link of the vault's history, 261 bytes: it says that there is a new key.
    #[schema(example = json!("AQEB".repeat(87)))]
    pub link: String,
    /// The new key, for each member.
    pub keys: Vec<SecretMemberKey>,
    /// The key of each item, deleted ones too.
    pub items: Vec<SecretItemKey>,
}

/// The vault's key for one member.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretMemberKey {
    /// Who.
    pub user_id: Uuid,
    /// 104 bytes for oneself, 237 for others.
    #[schema(example = json!("AQEB".repeat(79)))]
    pub sealed: String,
}

/// An item's key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretItemKey {
    /// Which item.
    pub id: Uuid,
    /// 104 bytes.
    #[schema(example = json!("AQEB".repeat(34) + "AQE"))]
    pub wrapped_key: String,
}

/// Writes the next revision of an item, or deletes it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecretItem {
    /// Of the vault's key that wraps the item's.
    #[schema(example = 1)]
    pub key_generation: u32,
    /// The item's key, 104 bytes.
    #[schema(example = json!("AQEB".repeat(34) + "AQE"))]
    pub wrapped_key: String,
    /// The sealed item; null deletes it.
    #[schema(example = "AAAA")]
    pub content: Option<String>,
    /// The next link of the vault's history, 261 bytes. It says the revision, and the content's SHA-256.
    #[schema(example = json!("AQEB".repeat(87)))]
    pub link: String,
}

/// The newest revision of an item.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretItem {
    /// The item.
    pub id: Uuid,
    /// Counts from 1.
    pub revision: u64,
    /// Of the vault's key when it was written.
    pub generation: u32,
    /// Of the vault's key that wraps the item's.
    pub key_generation: u32,
    /// The item's key, 104 bytes.
    #[schema(example = json!("AQEB".repeat(34) + "AQE"))]
    pub wrapped_key: String,
    /// The sealed item; null when it was deleted.
    pub content: Option<String>,
    /// Of the change that made it so.
    pub sequence: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// By whom.
    pub changed_by: Uuid,
}

/// What is attached to an item: sealed as a whole, and never changed. Its name, and what is in it, the item says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretAttachment {
    /// The attachment.
    pub id: Uuid,
    /// Of the sealed bytes.
    #[schema(example = 1080)]
    pub size_bytes: u64,
    /// Of the sealed bytes, in hexadecimal digits.
    #[schema(example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    pub sha256: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Uuid,
}

/// One state of an item, past or present.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretRevision {
    /// Counts from 1.
    pub revision: u64,
    /// Of the vault's key when it was written.
    pub generation: u32,
    /// The sealed item; null when that revision deleted it.
    pub content: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// By whom.
    pub changed_by: Uuid,
}

/// What a client has missed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretChanges {
    /// The number of changes that the vault has.
    pub sequence: u64,
    /// The history, from the link that the client has seen last.
    #[schema(example = json!(["AAAA"]))]
    pub links: Vec<String>,
    /// The items that changed after it, in the order of their last change.
    pub items: Vec<SecretItem>,
    /// Whether there is more: ask again, from what came.
    pub more: bool,
}

/// A secret for somebody without an account, behind a one-time link.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CreateSecretHandout {
    /// Drawn by the client; part of the link.
    pub id: Uuid,
    /// SHA-256 of what a visitor shows.
    #[schema(example = json!("AQEB".repeat(10) + "AQE"))]
    pub access_hash: String,
    /// Sealed for whoever has the link.
    #[schema(example = json!("AQEB".repeat(110)))]
    pub content: String,
    /// How often it may be opened, 1 to 100.
    #[schema(example = 1)]
    pub views: u32,
    /// Until when, within 30 days.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// A one-time link, as its maker sees it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretHandout {
    /// Part of the link.
    pub id: Uuid,
    /// How often it may be opened.
    #[schema(example = 1)]
    pub views: u32,
    /// How often still; at 0 nothing is left behind it.
    #[schema(example = 1)]
    pub views_left: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// What a visitor of a one-time link shows.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OpenSecretHandout {
    /// Derived from what stands behind the `#` of the link.
    #[schema(value_type = String, example = json!("AQEB".repeat(10) + "AQE"))]
    pub access_token: SecretString,
}

/// What a visitor of a one-time link is given. The view is used up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OpenedSecretHandout {
    /// Sealed; the link opens it.
    #[schema(example = json!("AQEB".repeat(110)))]
    pub content: String,
    /// How often it can still be opened.
    #[schema(example = 0)]
    pub views_left: u32,
}
