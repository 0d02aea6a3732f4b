//! The life of the vault: create, unlock, change the ways in.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::SecretString;

/// Creates the vault and its first administrator.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "setup_code": "7K3M-9QXT-A2BC",
    "master_password": "violet kettle orbit",
    "admin": { "username": "ada_l", "password": "amber canoe thirteen", "display_name": "Ada Lovelace" },
}))]
pub struct CreateVault {
    /// The code on the label, or in `SETUP-CODE.txt`. Not needed on the local control socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_code: Option<SecretString>,
    /// 14 to 1024 characters, not easy to guess.
    pub master_password: SecretString,
    /// The first administrator.
    pub admin: FirstAdmin,
}

/// The account made together with the vault.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstAdmin {
    /// 4 to 40 of `a-z`, `0-9`, `_`, `-`; upper case is lowered.
    pub username: String,
    /// 12 to 1024 characters, not easy to guess.
    pub password: SecretString,
    /// What others see; the user name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

/// The new vault. It is unlocked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "vault_id": "01a1fd15-aaaa-7bbb-8ccc-0123456789ab",
    "recovery_key": "0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV",
    "user_id": "01a1fd16-0d2c-7aa1-9c55-0f5a3d9be0c1",
}))]
pub struct VaultCreated {
    /// Names the vault.
    pub vault_id: Uuid,
    /// Opens the vault when the master password is lost. Shown this once: print it.
    pub recovery_key: SecretString,
    /// The administrator.
    pub user_id: Uuid,
}

/// Unlocks the vault, by exactly one of the two.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "master_password": "violet kettle orbit" }))]
pub struct UnlockVault {
    /// The master password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_password: Option<SecretString>,
    /// The printed recovery key, with or without dashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_key: Option<SecretString>,
}

/// The master password as the credential of an operation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "master_password": "violet kettle orbit" }))]
pub struct MasterCredential {
    /// The master password.
    pub master_password: SecretString,
}

/// The master password, where an administrator's token or the control socket will do as well.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "master_password": "violet kettle orbit" }))]
pub struct OptionalMasterPassword {
    /// The master password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_password: Option<SecretString>,
}

/// Sets another master password. Proved by the current one, or by the recovery key when it is lost.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "current_master_password": "violet kettle orbit",
    "new_master_password": "copper willow anthem",
}))]
pub struct NewMasterPassword {
    /// The master password until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_master_password: Option<SecretString>,
    /// The printed recovery key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_key: Option<SecretString>,
    /// 14 to 1024 characters, not easy to guess.
    pub new_master_password: SecretString,
}

/// A recovery key, shown this once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "recovery_key": "0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV" }))]
pub struct NewRecoveryKey {
    /// Seven groups of four. Earlier recovery keys no longer work.
    pub recovery_key: SecretString,
}

/// One way to open the vault.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1fd15-bbbb-7ccc-8ddd-0123456789ab",
    "kind": "master_password",
    "created_at": "2026-11-21T09:00:00Z",
    "scrypt_log_n": 17,
}))]
pub struct KeySlot {
    /// Names the slot.
    pub id: Uuid,
    /// What opens it.
    pub kind: KeySlotKind,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// `log2` of scrypt's cost parameter N.
    pub scrypt_log_n: u8,
}

/// What opens a key slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeySlotKind {
    /// The password that the owner chose.
    MasterPassword,
    /// The key that was printed once.
    RecoveryKey,
}
