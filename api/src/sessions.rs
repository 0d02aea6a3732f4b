//! Sessions, and the other credentials.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Role, SecretString, User};

/// Opens a session.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "username": "ada_l", "password": "amber canoe thirteen", "name": "Ada's phone" }))]
pub struct CreateSession {
    /// The account's name.
    #[schema(example = "ada_l")]
    pub username: String,
    /// The account's password.
    #[schema(example = "amber canoe thirteen")]
    pub password: SecretString,
    /// What to call the session in the list, 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Ada's phone")]
    pub name: Option<String>,
}

/// The password was right; the second factor is asked for now.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "challenge": "q2Zl0c8VnB7mX5kJ3hG1fD9sA6pO4iU2yT0rE8wQ7lM",
    "expires_at": "2026-11-21T09:32:00Z",
    "methods": ["totp", "recovery_code"],
    "public_key": null,
}))]
pub struct SecondFactorChallenge {
    /// Names the login: send it with the second factor to `/sessions/second-factor`. Good for one session.
    pub challenge: SecretString,
    /// From then on it is too late: 120 seconds.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// What the account has.
    pub methods: Vec<SecondFactorMethod>,
    /// For `navigator.credentials.get()`, through `PublicKeyCredential.parseRequestOptionsFromJSON()`; null when the
    /// account has no passkey. One answer is looked at.
    #[schema(value_type = Option<Object>)]
    pub public_key: Option<Value>,
}

/// A way to prove a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactorMethod {
    /// The six digits that an authenticator app shows.
    Totp,
    /// One of the codes on paper.
    RecoveryCode,
    /// A passkey.
    Passkey,
}

/// Answers a challenge, by exactly one of the three.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "challenge": "q2Zl0c8VnB7mX5kJ3hG1fD9sA6pO4iU2yT0rE8wQ7lM", "totp": "492039" }))]
pub struct AnswerChallenge {
    /// As it came with the reply to the password.
    pub challenge: SecretString,
    /// The six digits that the authenticator app shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "492039")]
    pub totp: Option<SecretString>,
    /// A recovery code; it is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_code: Option<SecretString>,
    /// What the browser answered, as its `toJSON()` gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub passkey: Option<Value>,
}

/// What a login leads to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum LoginReply {
    /// A session.
    Session(Box<NewSession>),
    /// The second factor is asked for.
    Challenge(SecondFactorChallenge),
}

/// A session with its tokens, shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.BODY.SIGNATURE",
    "token_type": "Bearer",
    "expires_at": "2026-11-21T09:45:00Z",
    "refresh_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.OTHER.SIGNATURE",
    "session_expires_at": "2026-12-21T09:30:00Z",
    "session_id": "01a1fd16-9a41-7c02-8a3e-2b8f6d4417aa",
    "user": {
        "id": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
        "username": "ada_l",
        "display_name": "Ada Lovelace",
        "about": "Ask me about engines.",
        "role": "editor",
        "active": true,
        "created_at": "2026-11-21T09:00:00Z",
        "last_login_at": "2026-11-21T09:30:00Z",
    },
}))]
pub struct NewSession {
    /// Send it as `Authorization: Bearer`.
    pub access_token: SecretString,
    /// Always `Bearer`.
    pub token_type: String,
    /// From then on the access token is refused: 15 minutes.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Gets the next pair of tokens, once. Using it twice ends the session.
    pub refresh_token: SecretString,
    /// The session ends then, when it is not refreshed before.
    #[schema(value_type = String, format = DateTime)]
    pub session_expires_at: Timestamp,
    /// Names the session.
    pub session_id: Uuid,
    /// Whose session it is.
    pub user: User,
}

/// Gets the next pair of tokens.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "refresh_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.OTHER.SIGNATURE" }))]
pub struct RefreshSession {
    /// The refresh token of the pair before.
    pub refresh_token: SecretString,
}

/// One of the caller's sessions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-9a41-7c02-8a3e-2b8f6d4417aa",
    "name": "Ada's phone",
    "user_agent": "Mozilla/5.0 (Android 16; Mobile)",
    "address": "192.0.2.7",
    "created_at": "2026-11-21T09:30:00Z",
    "last_used_at": "2026-11-21T11:05:00Z",
    "expires_at": "2026-12-21T09:30:00Z",
    "current": true,
}))]
pub struct Session {
    /// Names the session.
    pub id: Uuid,
    /// What its owner calls it; `unnamed` when they did not say.
    pub name: String,
    /// The `User-Agent` that opened it, cut to 200 characters.
    pub user_agent: Option<String>,
    /// Where it was last used from.
    #[schema(example = "192.0.2.7")]
    pub address: Option<String>,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last used, to a minute.
    #[schema(value_type = String, format = DateTime)]
    pub last_used_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// True for the session that asks.
    pub current: bool,
}

/// Asks for an API key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "backup of the laptop",
    "role": "writer",
    "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae",
}))]
pub struct CreateApiKey {
    /// 1 to 100 characters.
    #[schema(example = "backup of the laptop")]
    pub name: String,
    /// The most that the key may do; not more than its owner.
    pub role: Role,
    /// The folder that the key cannot leave; the whole vault when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder_id: Option<Uuid>,
    /// From then on it is refused; never when absent. At most ten years ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// A key with which a program acts for its owner.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-c0de-7b3a-9d41-77c2e5f08a16",
    "name": "backup of the laptop",
    "role": "writer",
    "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae",
    "created_at": "2026-11-21T09:30:00Z",
    "expires_at": "2027-11-21T00:00:00Z",
    "last_used_at": null,
}))]
pub struct ApiKey {
    /// Names the key.
    pub id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// The most that it may do.
    pub role: Role,
    /// The folder that it cannot leave.
    pub folder_id: Option<Uuid>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to a minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
}

/// A new key, shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-c0de-7b3a-9d41-77c2e5f08a16",
    "name": "backup of the laptop",
    "role": "writer",
    "folder_id": "01a1fd16-afea-707b-afb4-166dd8225dae",
    "created_at": "2026-11-21T09:30:00Z",
    "expires_at": "2027-11-21T00:00:00Z",
    "last_used_at": null,
    "key": "coffer_AaH9FsDeezqdQXfC5fCKFkq1mZ8xT3nR6vB0yW4cJ7dL2pF5hG9kS1aQ",
}))]
pub struct NewApiKey {
    /// The key's data.
    #[serde(flatten)]
    pub api_key: ApiKey,
    /// Send it as `Authorization: Bearer`.
    pub key: SecretString,
}

/// Links the caller's account to a person of the cloud.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "device_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.BODY.SIGNATURE" }))]
pub struct CreateDeviceLink {
    /// A valid token that the cloud issued for this device and that person.
    pub device_token: SecretString,
}

/// The person of the cloud that an account is linked to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "subject": "cloud|ada", "created_at": "2026-11-21T09:30:00Z" }))]
pub struct DeviceLink {
    /// The cloud's name for the person.
    pub subject: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}
