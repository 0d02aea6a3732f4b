//! Sealed files: which contents are, under which key, and the work that goes on with them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Who can open a stored content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EncryptionMethod {
    /// It is not sealed: whoever sees the inside of the open vault.
    None,
    /// The box, with the key of what is shared.
    Server,
    /// The box, with the key of the person whose file it was first.
    ServerUser,
    /// The client that sent it, and nobody here.
    Client,
}

/// What happens to new contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EncryptionMode {
    /// They are stored as they are.
    Off,
    /// They are sealed under one key.
    Server,
    /// They are sealed under a key of the person whose files they are; what lies in a folder that is shared by a list of
    /// people, under the key of what is shared.
    ServerUser,
}

/// How the vault seals.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "mode": "server-user", "only_sealed": false, "sealed": 1204, "plain": 3, "client": 0 }))]
pub struct Encryption {
    /// What happens to new contents.
    pub mode: EncryptionMode,
    /// Whether contents that are not sealed are refused, for good.
    pub only_sealed: bool,
    /// Contents and small pictures that are sealed by the box.
    pub sealed: u64,
    /// Those that are not sealed.
    pub plain: u64,
    /// Contents that clients sealed.
    pub client: u64,
}

/// Another mode.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "mode": "server-user" }))]
pub struct SetEncryption {
    /// What happens to new contents. Old ones stay as they are: the job `files` seals them.
    pub mode: EncryptionMode,
}

/// A key that contents are sealed with. Never the key itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "key_id": "5f0c1d9ab2e34478",
    "generation": 2,
    "owner_id": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "active": true,
    "check_value": "9a1f03c4d5e6b788",
    "created_at": "2026-11-21T09:30:00Z",
    "blobs": 1204,
}))]
pub struct SealingKey {
    /// Its name.
    pub key_id: String,
    /// Grows when it is replaced.
    pub generation: u32,
    /// Whose contents it is for; null for what is shared.
    pub owner_id: Option<Uuid>,
    /// Whether new contents are sealed with it.
    pub active: bool,
    /// Tells keys apart; says nothing about them.
    pub check_value: String,
    /// When it came into the vault.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// How many contents and small pictures need it.
    pub blobs: u64,
}

/// Work on all that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SealingJobKind {
    /// Count what there is, and find what does not open. Changes nothing.
    Audit,
    /// Seal what is not sealed.
    Files,
    /// Seal what is in Storm Cloud's format in ours.
    Upgrade,
    /// A new key of every owner, and every header under it. Contents are not read.
    Rewrap,
    /// Seal everything anew, under fresh keys.
    Reencrypt,
    /// Read everything back, and compare it with its digest. Changes nothing.
    Verify,
    /// Take over the files of a Storm Cloud.
    ImportStormcloud,
}

/// Begins work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "files", "dry_run": true }))]
pub struct BeginSealingJob {
    /// Which work.
    pub kind: SealingJobKind,
    /// Only tell what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// At most so many bytes a second; half of the drive's speed when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_s: Option<u64>,
    /// Where the files of a Storm Cloud lie, on the box. For `import-stormcloud`, and on the control socket only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

/// Whether work goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SealingJobState {
    /// It goes on, also after a lock or a power cut.
    Running,
    /// It came to its end.
    Finished,
    /// Somebody stopped it.
    Cancelled,
}

/// Why work does not go on. It tries again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SealingJobWait {
    /// There is no room for the next content beside what is kept free.
    StorageFull,
    /// Something failed that is in the log.
    Fault,
}

/// How far work has come.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-afea-707b-afb4-166dd8225dae",
    "kind": "files",
    "dry_run": false,
    "state": "running",
    "waits_for": null,
    "started_at": "2026-11-21T09:30:00Z",
    "finished_at": null,
    "total": 1207,
    "done": 400,
    "done_bytes": 1_230_000_000,
    "counts": { "sealed": 398, "unchanged": 2 },
    "findings": [],
}))]
pub struct SealingJob {
    /// Names the job.
    pub id: Uuid,
    /// Which work.
    pub kind: SealingJobKind,
    /// Nothing is changed.
    pub dry_run: bool,
    /// Whether it goes on.
    pub state: SealingJobState,
    /// Why it does not go on; null while it does.
    pub waits_for: Option<SealingJobWait>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended; null while it goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Blobs that there were when it began; at its end those that were looked at.
    pub total: u64,
    /// Blobs that were looked at so far. What the job makes itself is not looked at again.
    pub done: u64,
    /// Their bytes.
    pub done_bytes: u64,
    /// How many of which kind. They add up to `done`.
    pub counts: BTreeMap<String, u64>,
    /// What could not be dealt with, up to 1000.
    pub findings: Vec<SealingFinding>,
}

/// Something that a job could not deal with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SealingFinding {
    /// The file and its revision, or the blob that belongs to none.
    pub subject: String,
    /// What is wrong with it.
    pub finding: String,
}
