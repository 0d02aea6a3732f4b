//! Variables: what add-ons and clients keep in the box, by namespace and key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Sets a variable.
///
/// Without `Debug`: a value may be a secret.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "value": { "url": "https://photos.example", "interval_s": 300 } }))]
pub struct SetVariable {
    /// Any JSON, also null: at most 16 KiB when written without spaces, nested at most 64 deep. Whole numbers beyond 64
    /// bits lose digits, and objects do not keep the order of their names.
    #[schema(example = json!({ "url": "https://photos.example", "interval_s": 300 }))]
    pub value: serde_json::Value,
}

/// A variable.
///
/// Without `Debug`: a value may be a secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-d00d-7e1f-8a2b-3c4d5e6f7081",
    "namespace": "photos.import",
    "key": "source",
    "value": { "url": "https://photos.example", "interval_s": 300 },
    "version": "01a1fd16-d00d-7e20-9b3c-4d5e6f708192",
    "updated_at": "2026-11-21T09:30:00Z",
    "updated_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
}))]
pub struct Variable {
    /// Names the variable in the audit log, from when it is set until it is deleted.
    pub id: Uuid,
    /// 1 to 40 of `a-z`, `0-9`, `_`, `.`, `-`; mostly the name of an add-on or a client.
    #[schema(example = "photos.import")]
    pub namespace: String,
    /// 1 to 100 of `A-Z`, `a-z`, `0-9`, `_`, `.`, `-`.
    #[schema(example = "source")]
    pub key: String,
    /// Any JSON.
    #[schema(example = json!({ "url": "https://photos.example", "interval_s": 300 }))]
    pub value: serde_json::Value,
    /// Changes whenever the variable is set; in quotes it is the `ETag`.
    pub version: Uuid,
    /// When it was set.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Who set it.
    pub updated_by: Uuid,
}
