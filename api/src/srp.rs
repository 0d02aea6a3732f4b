//! Logging in without sending the password: docs/srp.md says what the values are, docs/secrets.md where they come from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{LoginReply, SecretAccount, SecretString};

/// Makes an account log in by SRP-6a. All bytes are base64url without padding.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "password": "amber canoe thirteen",
    "group_bits": 4096,
    "salt": "vrJTedGoWB61pyc2eiRB7g",
    "verifier": "AQEB".repeat(170) + "AQE",
    "parameters": String::from("AAEAAAAAAAMAAAAE") + &"AQEB".repeat(16),
    "only": false,
}))]
pub struct EnrolSrp {
    /// The account's password, again. Not the one that the verifier is of.
    #[schema(example = "amber canoe thirteen")]
    pub password: SecretString,
    /// The group: 4096, or 3072.
    #[schema(example = 4096)]
    pub group_bits: u16,
    /// 16 bytes.
    #[schema(example = "vrJTedGoWB61pyc2eiRB7g")]
    pub salt: String,
    /// v, as long as the group's modulus.
    #[schema(example = json!("AQEB".repeat(170) + "AQE"))]
    pub verifier: SecretString,
    /// How the client derives its keys, 60 bytes. Too cheap ones are refused.
    #[schema(example = json!(String::from("AAEAAAAAAAMAAAAE") + &"AQEB".repeat(16)))]
    pub parameters: String,
    /// Whether the password opens no session any more.
    #[schema(example = false)]
    pub only: bool,
    /// The account's keys, wrapped by what the new verifier goes with. They are kept in the same step as the verifier, so that
    /// a power cut cannot leave one without the other; absent, they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<SecretAccount>,
}

/// How the caller's account logs in by SRP-6a.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SrpVerifier {
    /// The group.
    #[schema(example = 4096)]
    pub group_bits: u16,
    /// Whether it is the only way in.
    #[schema(example = false)]
    pub only: bool,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Begins a login.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartSrp {
    /// The account's name.
    #[schema(example = "ada_l")]
    pub username: String,
    /// A, as long as the group's modulus: 512 bytes, or 384.
    #[schema(example = json!("AQEB".repeat(170) + "AQE"))]
    pub client_public: String,
}

/// What the client needs for its proof. An account that does not exist gets the same, always the same.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "handshake": "q2Zl0c8VnB7mX5kJ3hG1fD9sA6pO4iU2yT0rE8wQ7lM",
    "account_id": "01890000-0000-7000-8000-000000000000",
    "salt": "vrJTedGoWB61pyc2eiRB7g",
    "server_public": "AQEB".repeat(170) + "AQE",
    "parameters": String::from("AAEAAAAAAAMAAAAE") + &"AQEB".repeat(16),
}))]
pub struct SrpStarted {
    /// Names the handshake; good for one proof within 60 seconds.
    #[schema(example = "q2Zl0c8VnB7mX5kJ3hG1fD9sA6pO4iU2yT0rE8wQ7lM")]
    pub handshake: SecretString,
    /// I: the account's id.
    pub account_id: Uuid,
    /// s, 16 bytes.
    #[schema(example = "vrJTedGoWB61pyc2eiRB7g")]
    pub salt: String,
    /// B, as long as A.
    #[schema(example = json!("AQEB".repeat(170) + "AQE"))]
    pub server_public: String,
    /// How the client derives its keys, 60 bytes. A client checks them before it uses them.
    #[schema(example = json!(String::from("AAEAAAAAAAMAAAAE") + &"AQEB".repeat(16)))]
    pub parameters: String,
}

/// Ends a login.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "handshake": "q2Zl0c8VnB7mX5kJ3hG1fD9sA6pO4iU2yT0rE8wQ7lM",
    "client_proof": "fxhnyoqMybWp5ApfUAsosn91ekG1rFrH3nrBB4EwYBw",
    "name": "Ada's laptop",
}))]
pub struct FinishSrp {
    /// As it came.
    #[schema(example = "q2Zl0c8VnB7mX5kJ3hG1fD9sA6pO4iU2yT0rE8wQ7lM")]
    pub handshake: SecretString,
    /// M1, 32 bytes.
    #[schema(example = "fxhnyoqMybWp5ApfUAsosn91ekG1rFrH3nrBB4EwYBw")]
    pub client_proof: String,
    /// What to call the session in the list, 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Ada's laptop")]
    pub name: Option<String>,
}

/// The client's proof was right.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SrpFinished {
    /// M2, 32 bytes. Without it the client believes nothing of the rest.
    #[schema(example = "kThWQb-EMJ0DIbMq5mXVCN6Numc0IDDQpb9GovBaU5U")]
    pub server_proof: String,
    /// A session, or the challenge of the second factor.
    pub login: LoginReply,
}
