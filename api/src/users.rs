//! People, their accounts and how they get one.

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
    /// Adds files and folders, and changes their own.
    Writer,
    /// Changes and deletes everything.
    Editor,
    /// Manages people and the vault.
    Admin,
}

/// A person with an account, as they and the administrators see them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "username": "ada_l",
    "display_name": "Ada Lovelace",
    "about": "Ask me about engines.",
    "role": "editor",
    "active": true,
    "created_at": "2026-11-21T09:00:00Z",
    "last_login_at": "2026-11-21T09:30:00Z",
}))]
pub struct User {
    /// Names the account.
    pub id: Uuid,
    /// What they log in with.
    #[schema(example = "ada_l")]
    pub username: String,
    /// What others see.
    #[schema(example = "Ada Lovelace")]
    pub display_name: String,
    /// What they say of themselves.
    pub about: String,
    /// What they may do.
    pub role: Role,
    /// Whether they may log in.
    pub active: bool,
    /// When the account was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When they last logged in.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_login_at: Option<Timestamp>,
}

/// Registers an account.
///
/// With an `invitation` it is active in the role that the invitation names; with the vault's `master_password` it is an
/// active administrator; with neither it is a reader that an administrator has to activate. At most one of the two.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "username": "ada_l",
    "display_name": "Ada Lovelace",
    "password": "amber canoe thirteen",
    "invitation": "vVqZ0X7Jd3mQ1c9k2Yt8bN4sRf6hLw5aPe0uGiTxKoM",
}))]
pub struct Register {
    /// 4 to 40 of `a-z`, `0-9`, `_`, `-`; upper case is lowered.
    #[schema(example = "ada_l")]
    pub username: String,
    /// 1 to 100 characters; the user name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Ada Lovelace")]
    pub display_name: Option<String>,
    /// 12 to 1024 characters, not easy to guess.
    #[schema(example = "amber canoe thirteen")]
    pub password: SecretString,
    /// The token of an invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<SecretString>,
    /// The master password of the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_password: Option<SecretString>,
}

/// Makes an account for somebody.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "username": "grace",
    "display_name": "Grace Hopper",
    "password": "amber canoe thirteen",
    "role": "writer",
    "active": true,
}))]
pub struct CreateUser {
    /// 4 to 40 of `a-z`, `0-9`, `_`, `-`; upper case is lowered.
    #[schema(example = "grace")]
    pub username: String,
    /// 1 to 100 characters; the user name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// 12 to 1024 characters, not easy to guess.
    #[schema(example = "amber canoe thirteen")]
    pub password: SecretString,
    /// What they may do; a reader when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether they may log in; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// Changes one's own profile; what is absent stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "display_name": "Ada L.", "about": "Ask me about engines." }))]
pub struct ChangeProfile {
    /// 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Up to 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

/// Changes an account; what is absent stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "role": "editor", "active": true }))]
pub struct ChangeUser {
    /// 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Up to 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What they may do. A change ends their sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether they may log in. A change ends their sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// Changes one's own password.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "current_password": "amber canoe thirteen", "new_password": "quiet marble lantern" }))]
pub struct ChangePassword {
    /// The password until now.
    pub current_password: SecretString,
    /// 12 to 1024 characters, not easy to guess.
    pub new_password: SecretString,
}

/// Gives somebody a new password.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "new_password": "quiet marble lantern" }))]
pub struct ResetPassword {
    /// 12 to 1024 characters, not easy to guess.
    pub new_password: SecretString,
}

/// Asks for an invitation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "role": "writer", "expires_in_s": 604_800 }))]
pub struct CreateInvitation {
    /// What the new account may do.
    pub role: Role,
    /// For how long it is good: 60 to 2592000 (30 days). Seven days when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 604_800)]
    pub expires_in_s: Option<u64>,
}

/// An open invitation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-b3c4-7d21-8f0e-6a1b2c3d4e5f",
    "role": "writer",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "created_at": "2026-11-21T09:30:00Z",
    "expires_at": "2026-11-28T09:30:00Z",
}))]
pub struct Invitation {
    /// Names the invitation.
    pub id: Uuid,
    /// What the new account may do.
    pub role: Role,
    /// Who invites.
    pub created_by: Uuid,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// From then on it is refused.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// A new invitation with its token, shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd16-b3c4-7d21-8f0e-6a1b2c3d4e5f",
    "role": "writer",
    "created_by": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
    "created_at": "2026-11-21T09:30:00Z",
    "expires_at": "2026-11-28T09:30:00Z",
    "token": "vVqZ0X7Jd3mQ1c9k2Yt8bN4sRf6hLw5aPe0uGiTxKoM",
    "link": "/#/invitation/vVqZ0X7Jd3mQ1c9k2Yt8bN4sRf6hLw5aPe0uGiTxKoM",
}))]
pub struct NewInvitation {
    /// The invitation.
    #[serde(flatten)]
    pub invitation: Invitation,
    /// Whoever has it may register once.
    pub token: SecretString,
    /// The address to send to the invited person, relative to the box's own.
    #[schema(example = "/#/invitation/TOKEN")]
    pub link: SecretString,
}

/// The rules for all accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "registration_open": false, "second_factor_required": true }))]
pub struct Policy {
    /// Whether people may register without an invitation. They stay inactive until an administrator activates them.
    pub registration_open: bool,
    /// Whether every account must have a second factor. Who has none can do nothing but set one up.
    pub second_factor_required: bool,
}
