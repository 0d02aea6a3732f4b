//! What is told of events outside of the box, and to whom.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::SecretString;

/// An event: what happened, when, to what. Names and contents are never in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToldEvent {
    /// Tells this event from all others, and names its row in the audit log. Absent in the stream of events, which
    /// numbers them itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// What happened.
    #[schema(example = "file.stored")]
    pub event: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What it happened to: the file, folder, account, session or vault.
    pub subject: Uuid,
    /// The folder in which the file or the folder lies. Absent in the root, and when it is not known any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder_id: Option<Uuid>,
    /// The size of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The number of a file's revision, or of a secrets vault's changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
}

/// Makes a webhook.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhook {
    /// `http` or `https`, at most 2000 characters, without user name, password and fragment. Not this box itself, and
    /// not a link-local address.
    #[schema(example = "https://automation.example/hooks/coffer")]
    pub url: String,
    /// The events that it is told of; all when empty or absent.
    #[serde(default)]
    #[schema(example = json!(["file.stored", "file.deleted"]))]
    pub events: Vec<String>,
}

/// Changes a webhook; absent fields stay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "events": ["file.stored", "file.deleted"], "active": true }))]
pub struct ChangeWebhook {
    /// As for a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// As for a new one: all when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Whether events are queued and sent. What waits when it is switched off, has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// A webhook.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-3eb0-7e20-9b3c-4d5e6f708192",
    "url": "https://automation.example/hooks/coffer",
    "events": ["file.stored", "file.deleted"],
    "active": true,
    "created_at": "2026-11-21T09:30:00Z",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
}))]
pub struct Webhook {
    /// Names the webhook.
    pub id: Uuid,
    /// Where events are sent.
    #[schema(example = "https://automation.example/hooks/coffer")]
    pub url: String,
    /// The events that it is told of; all when empty.
    pub events: Vec<String>,
    /// Whether events are queued and sent.
    pub active: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Uuid,
}

/// A new webhook, with the secret that is shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-3eb0-7e20-9b3c-4d5e6f708192",
    "url": "https://automation.example/hooks/coffer",
    "events": ["file.stored", "file.deleted"],
    "active": true,
    "created_at": "2026-11-21T09:30:00Z",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "secret": "vVqZ0X7Jd3mQ1c9k2Yt8bN4sRf6hLw5aPe0uGiTxKoM",
}))]
pub struct NewWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// Signs what is sent: the key of the HMAC is this text, as it stands.
    pub secret: SecretString,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is going to be tried, for the first time or again.
    Waiting,
    /// The receiver answered with a status of 200 to 299.
    Delivered,
    /// It is not tried any more.
    Failed,
}

/// An event on its way to a webhook, or what became of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WebhookDelivery {
    /// What is sent.
    pub event: ToldEvent,
    /// Whether it arrived.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    /// When it was tried last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_attempt_at: Option<Timestamp>,
    /// What the receiver answered last.
    #[schema(example = 204)]
    pub status: Option<u16>,
    /// Why there is no good answer, in a few words.
    #[schema(example = "no answer in time")]
    pub problem: Option<String>,
}
