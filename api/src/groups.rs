//! Groups of people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Names a group, a new one or one that is there.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "The family" }))]
pub struct NameGroup {
    /// 1 to 100 printable characters, brought to NFC; no two groups differ in capital letters only.
    #[schema(example = "The family")]
    pub name: String,
}

/// A group of people, for the lists of private folders.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-afea-707b-afb4-2f8d31c9a201",
    "name": "The family",
    "created_at": "2026-11-21T09:30:00Z",
}))]
pub struct Group {
    /// Names the group.
    pub id: Uuid,
    /// What people call it.
    #[schema(example = "The family")]
    pub name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Somebody in a group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "user_id": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "username": "ada_l",
    "display_name": "Ada Lovelace",
    "added_at": "2026-11-21T09:31:00Z",
}))]
pub struct GroupMember {
    /// The person.
    pub user_id: Uuid,
    /// What they log in with.
    #[schema(example = "ada_lovelace")]
    pub username: String,
    /// What others see.
    #[schema(example = "Ada Lovelace")]
    pub display_name: String,
    /// Since when they are in the group.
    #[schema(value_type = String, format = DateTime)]
    pub added_at: Timestamp,
}
