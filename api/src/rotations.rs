//! Rotation of credentials: docs/rotation.md says what happens when. All bytes are base64url without padding.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::SecretString;

/// Where a credential is changed, and what it takes besides the admin credential. Nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({ "kind": "command", "program": "router", "parameters": { "host": "router.example" } }))]
pub enum RotationProvider {
    /// A program that whoever administers the box has put there: `PROGRAM.rotation` in its directory.
    Command {
        /// Its name, without the ending.
        program: String,
        /// What it is told.
        #[serde(default)]
        parameters: BTreeMap<String, String>,
    },
    /// A service that speaks the same JSON by `POST`; the admin credential is its bearer token.
    Http {
        /// `https`, and not on the box itself.
        url: String,
        /// What it is told.
        #[serde(default)]
        parameters: BTreeMap<String, String>,
    },
    /// A role of a PostgreSQL server; the admin credential is the password of one that may change it.
    PostgresqlRole {
        /// Name or address of the server. Over TLS, except on the box itself.
        host: String,
        /// Usually 5432.
        #[serde(default = "postgresql_port")]
        port: u16,
        /// The database to log in to.
        database: String,
        /// The role whose password changes.
        role: String,
        /// The role that changes it.
        admin_name: String,
        /// The certificate of the server's authority, in PEM. Without it those that browsers trust.
        #[serde(default)]
        authority: Option<String>,
    },
    /// An access key of a user of IAM, at Amazon or who speaks as it does; the admin credential is the secret of a key that may make
    /// and delete this user's.
    S3AccessKey {
        /// Of IAM; `https`, and not on the box itself.
        endpoint: String,
        /// That its signatures are for.
        region: String,
        /// Whose key it is. The box takes keys away that it does not know, so the user has no other ones.
        user_name: String,
        /// The id of the admin's key.
        admin_key_id: String,
    },
    /// A key by which SSH lets somebody in; the admin credential is a private key that lets the box in, to change the list of keys.
    SshAuthorizedKey {
        /// Name or address of the machine; not the box itself.
        host: String,
        /// Usually 22.
        #[serde(default = "ssh_port")]
        port: u16,
        /// The account there.
        user: String,
        /// The machine's public key: `ssh-ed25519 AAAA…`.
        host_key: String,
    },
}

fn ssh_port() -> u16 {
    22
}

fn postgresql_port() -> u16 {
    5432
}

/// How far a rotation is. Each is on disk before the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RotationState {
    /// Nothing was done yet, or what was begun came to nothing: the credential is the one of before.
    Idle,
    /// A new credential is made, and sealed where it can be.
    Pending,
    /// It is in force, or one of two that are.
    Applied,
    /// Members can fetch it.
    Sealed,
    /// It was tried, and works. The box has forgotten it.
    Verified,
    /// The one of before is good for nothing any more: done.
    OldRevoked,
}

/// Sets up a rotation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSecretRotation {
    /// Chosen by the client, so that the same wish can be sent twice.
    pub id: Uuid,
    /// The item that holds the credential.
    pub item_id: Uuid,
    /// Its field that gets the new value.
    pub field_id: Uuid,
    /// Its field that gets what tells the credential from others: the public key, the id of the access key.
    #[serde(default)]
    pub handle_field_id: Option<Uuid>,
    /// Where it is changed.
    pub provider: RotationProvider,
    /// What allows the box to change it. It stays on the box, and is never given out again.
    #[serde(default)]
    #[schema(example = "correct horse")]
    pub admin: Option<SecretString>,
    /// What tells the credential that there is now from others.
    #[serde(default)]
    #[schema(example = "AKIAIOSFODNN7EXAMPLE")]
    pub handle: Option<String>,
    /// How often; an hour at least. Without it only when asked.
    #[serde(default)]
    #[schema(example = 2_592_000)]
    pub every_s: Option<u64>,
    /// How long the credential of before lives on at most, once the new one is verified. Without it until a member's client has
    /// taken the new one over.
    #[serde(default)]
    #[schema(example = 604_800)]
    pub grace_s: Option<u64>,
}

/// A rotation, and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SecretRotation {
    /// The rotation.
    pub id: Uuid,
    /// The item that holds the credential.
    pub item_id: Uuid,
    /// Its field that gets the new value.
    pub field_id: Uuid,
    /// Its field that gets what tells the credential from others.
    pub handle_field_id: Option<Uuid>,
    /// Where it is changed.
    pub provider: RotationProvider,
    /// How often; null for only when asked.
    #[schema(example = 2_592_000)]
    pub every_s: Option<u64>,
    /// How long the credential of before lives on at most.
    #[schema(example = 604_800)]
    pub grace_s: Option<u64>,
    /// How far it is.
    pub state: RotationState,
    /// Attempts since it worked last.
    pub attempts: u32,
    /// Why the last attempt failed; null when it did not.
    #[schema(example = "the connection failed")]
    pub problem: Option<String>,
    /// When it goes on; null for when asked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// When it became what it is.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
    /// When it was done last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub rotated_at: Option<Timestamp>,
    /// When it was set up.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Uuid,
}

/// Where the box leaves what it made for a vault: the public half of a key that members derive from the vault's.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecretDropBox {
    /// Of the vault's key: the newest one's.
    #[schema(example = 1)]
    pub generation: u32,
    /// 32 bytes.
    #[schema(example = json!("AQEB".repeat(10) + "AQE"))]
    pub public: String,
    /// By the caller's keys; 64 bytes.
    #[schema(example = json!("AQEB".repeat(21) + "AQ"))]
    pub signature: String,
}

/// The same, as members see it. They compare it with what they derive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretDropBox {
    /// Of the vault's key.
    #[schema(example = 1)]
    pub generation: u32,
    /// 32 bytes.
    #[schema(example = json!("AQEB".repeat(10) + "AQE"))]
    pub public: String,
    /// 64 bytes.
    #[schema(example = json!("AQEB".repeat(21) + "AQ"))]
    pub signature: String,
    /// Whose signature it is.
    pub set_by: Uuid,
}

/// A value that the box has made for an item, sealed for the members of its vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretDrop {
    /// The value.
    pub id: Uuid,
    /// What has made it.
    pub rotation_id: Uuid,
    /// The item that it belongs into.
    pub item_id: Uuid,
    /// Of the vault's key whose drop box it is sealed to.
    #[schema(example = 1)]
    pub generation: u32,
    /// The item's revision when it was made.
    pub base_revision: u64,
    /// Sealed.
    #[schema(example = json!("AQEB".repeat(103)))]
    pub content: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    /// Whether it is in force for sure. One that is not was made when something was interrupted, and may be what counts.
    pub is_certain: bool,
}

/// What the box has left for a vault, and where.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretDrops {
    /// Null as long as no member has set one.
    pub drop_box: Option<SecretDropBox>,
    /// Oldest first.
    pub drops: Vec<SecretDrop>,
}
