//! People and their sessions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::SecretString;

/// What a person may do; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks and downloads.
    Reader,
    /// Adds files and folders.
    Writer,
    /// Changes and deletes them.
    Editor,
    /// Manages people and the vault.
    Admin,
}

/// Opens a session.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// The account's name.
    pub username: String,
    /// The account's password.
    pub password: SecretString,
}

/// A session with its token, shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct NewSession {
    /// Send it as `Authorization: Bearer`.
    pub access_token: SecretString,
    /// Always `Bearer`.
    pub token_type: String,
    /// Names the session.
    pub session_id: Uuid,
    /// From then on the token is refused.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Whose session it is.
    pub user: User,
}

/// One of the caller's sessions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Names the session.
    pub id: Uuid,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The `User-Agent` that opened it, cut to 200 characters.
    pub user_agent: Option<String>,
    /// True for the session that asks.
    pub current: bool,
}

/// A person, as everybody with an account may see them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Names the account.
    pub id: Uuid,
    /// What they log in with.
    pub username: String,
    /// What others see.
    pub display_name: String,
    /// What they may do.
    pub role: Role,
}
