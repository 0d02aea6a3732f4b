//! Who did what.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// One line of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Names the entry; ids grow with time.
    pub id: Uuid,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who; null when nobody was logged in.
    pub actor_id: Option<Uuid>,
    /// What, for example `file.stored`.
    pub action: String,
    /// `success`, `refused` or `failed`.
    pub outcome: String,
    /// On which object, when there is one.
    pub subject_id: Option<Uuid>,
    /// The `X-Request-ID` of the call.
    pub request_id: String,
}
