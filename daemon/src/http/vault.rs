//! The life of the vault.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use coffer_api::{
    CreateVault, Health, KeySlot, KeySlotKind, MasterCredential, NewMasterPassword, NewRecoveryKey,
    OptionalMasterPassword, Problem, SecretString, UnlockVault, VaultCreated,
};
use coffer_crypto::vault_keys::SlotKind;
use zeroize::Zeroizing;

use super::Services;
use super::extract::{Anonymous, Authenticated, Id, Json, bearer};
use super::problem::Refusal;
use crate::model::role::Action;
use crate::service::Error;
use crate::service::audit::Context;
use crate::service::health::HealthCheck;
use crate::service::key_stick::KeyPlace;
use crate::service::vault::{LockReason, MasterSecret, Origin, Vault};
use crate::service::vault_create::NewVault;

/// Where the vault is in its life. The same as `/health`.
#[utoipa::path(get, path = "/vault", tag = "vault", extensions(("x-action" = json!("public"))), responses((status = 200, body = Health)))]
pub(super) async fn status(State(health): State<Arc<HealthCheck>>) -> axum::Json<Health> {
    axum::Json(health.look())
}

/// Create the vault and its first administrator.
///
/// Needs the setup code of the box. The reply holds the recovery key, this once; the vault is unlocked.
#[utoipa::path(post, path = "/vault", tag = "vault", extensions(("x-action" = json!("setup_code"))), request_body = CreateVault, responses(
    (status = 201, body = VaultCreated),
    (status = 403, description = "`wrong_setup_code`: wrong setup code", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`vault_exists`: there is a vault already", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a password is too weak", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`storage_unavailable`: storage unusable", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(vault): State<Arc<Vault>>,
    call: Anonymous,
    Json(body): Json<CreateVault>,
) -> Result<(StatusCode, axum::Json<VaultCreated>), Refusal> {
    let admin = &body.admin;
    let (master_password, password) = (body.master_password.expose(), admin.password.expose());
    let new = NewVault::parse(master_password, &admin.username, admin.display_name.as_deref(), password)?;
    let setup_code = body.setup_code.as_ref().map(own);
    let created = vault.create(new, setup_code, call.origin, call.context).await?;
    let reply = VaultCreated {
        vault_id: created.vault_id,
        recovery_key: SecretString::new(created.recovery_key),
        user_id: created.user_id,
    };
    Ok((StatusCode::CREATED, axum::Json(reply)))
}

/// Unlock the vault, with the master password or the recovery key.
#[utoipa::path(post, path = "/vault/unlock", tag = "vault", extensions(("x-action" = json!("master_secret"))), request_body = UnlockVault, responses(
    (status = 200, body = Health),
    (status = 403, description = "`wrong_master_secret`: wrong secret", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`vault_state`, `vault_absent`: unlocked already, or no vault", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`key_file`, `lockdown`: no key file, or lockdown", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`storage_unavailable`: storage unusable", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn unlock(
    State(vault): State<Arc<Vault>>,
    State(health): State<Arc<HealthCheck>>,
    call: Anonymous,
    Json(body): Json<UnlockVault>,
) -> Result<axum::Json<Health>, Refusal> {
    let secret = one_of("master_password", body.master_password.as_ref(), body.recovery_key.as_ref())?;
    vault.unlock(secret, call.origin, call.context).await?;
    Ok(axum::Json(health.look()))
}

/// Lock the vault.
///
/// Proved by an administrator's token, by the master password, or by the control socket. When the reply arrives
/// nothing is readable any more.
#[utoipa::path(post, path = "/vault/lock", tag = "vault", extensions(("x-action" = json!("manage_vault"))), request_body = OptionalMasterPassword, security((), ("token" = [])),
    responses((status = 200, body = Health),
    (status = 401, description = "no credential", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_master_secret`, `forbidden`, `second_factor_needed`: wrong secret or role", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`vault_absent`: there is no vault yet", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`vault_locked`, `lockdown`, `key_file`: a token counts on the open vault alone", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn lock(
    State(vault): State<Arc<Vault>>,
    State(health): State<Arc<HealthCheck>>,
    authority: Authority,
    Json(body): Json<OptionalMasterPassword>,
) -> Result<axum::Json<Health>, Refusal> {
    let context = authority.prove(&vault, body.master_password.as_ref(), "vault.locked").await?;
    vault.lock(LockReason::Asked, context).await?;
    Ok(axum::Json(health.look()))
}

/// Begin a lockdown: end every session, lock the vault, and refuse to unlock it.
///
/// Proved like locking. Lasts over a restart, until it is ended with the master password.
#[utoipa::path(put, path = "/vault/lockdown", tag = "vault", extensions(("x-action" = json!("manage_vault"))), request_body = OptionalMasterPassword,
    security((), ("token" = [])), responses((status = 200, body = Health),
    (status = 401, description = "no credential", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_master_secret`, `forbidden`, `second_factor_needed`: wrong secret or role", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`vault_absent`: there is no vault yet", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`vault_locked`, `lockdown`, `key_file`: a token counts on the open vault alone", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn begin_lockdown(
    State(vault): State<Arc<Vault>>,
    State(health): State<Arc<HealthCheck>>,
    authority: Authority,
    Json(body): Json<OptionalMasterPassword>,
) -> Result<axum::Json<Health>, Refusal> {
    let context = authority.prove(&vault, body.master_password.as_ref(), "vault.lockdown_begun").await?;
    vault.begin_lockdown(context).await?;
    Ok(axum::Json(health.look()))
}

/// End a lockdown. The vault stays locked.
#[utoipa::path(delete, path = "/vault/lockdown", tag = "vault", extensions(("x-action" = json!("master_secret"))), request_body = MasterCredential, responses(
    (status = 200, body = Health),
    (status = 403, description = "`wrong_master_secret`: wrong secret", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn end_lockdown(
    State(vault): State<Arc<Vault>>,
    State(health): State<Arc<HealthCheck>>,
    call: Anonymous,
    Json(body): Json<MasterCredential>,
) -> Result<axum::Json<Health>, Refusal> {
    vault.end_lockdown(password(&body.master_password), call.origin, call.context).await?;
    Ok(axum::Json(health.look()))
}

/// Change the master password. Works on the locked vault as well; the data is not touched.
#[utoipa::path(put, path = "/vault/master-password", tag = "vault", extensions(("x-action" = json!("master_secret"))), request_body = NewMasterPassword, responses(
    (status = 204, description = "changed"),
    (status = 403, description = "`wrong_master_secret`: wrong secret", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "too weak", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn change_master_password(
    State(vault): State<Arc<Vault>>,
    call: Anonymous,
    Json(body): Json<NewMasterPassword>,
) -> Result<StatusCode, Refusal> {
    let current = body.current_master_password.as_ref();
    let secret = one_of("current_master_password", current, body.recovery_key.as_ref())?;
    vault.change_master_password(secret, body.new_master_password.expose(), call.origin, call.context).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a new recovery key. The reply holds it, this once; earlier ones no longer work.
#[utoipa::path(post, path = "/vault/recovery-key", tag = "vault", extensions(("x-action" = json!("master_secret"))), request_body = MasterCredential, responses(
    (status = 201, body = NewRecoveryKey),
    (status = 403, description = "`wrong_master_secret`: wrong secret", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn replace_recovery_key(
    State(vault): State<Arc<Vault>>,
    call: Anonymous,
    Json(body): Json<MasterCredential>,
) -> Result<(StatusCode, axum::Json<NewRecoveryKey>), Refusal> {
    let key = vault.replace_recovery_key(password(&body.master_password), call.origin, call.context).await?;
    Ok((StatusCode::CREATED, axum::Json(NewRecoveryKey { recovery_key: SecretString::new(key) })))
}

/// List the ways to open the vault.
#[utoipa::path(post, path = "/vault/key-slots/list", tag = "vault", extensions(("x-action" = json!("master_secret"))), request_body = MasterCredential, responses(
    (status = 200, body = Vec<KeySlot>),
    (status = 403, description = "`wrong_master_secret`: wrong secret", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list_key_slots(
    State(vault): State<Arc<Vault>>,
    call: Anonymous,
    Json(body): Json<MasterCredential>,
) -> Result<axum::Json<Vec<KeySlot>>, Refusal> {
    let slots = vault.key_slots(password(&body.master_password), call.origin, call.context).await?;
    let slot = |slot: coffer_crypto::vault_keys::SlotInfo| KeySlot {
        id: slot.id,
        kind: match slot.kind {
            SlotKind::MasterPassword => KeySlotKind::MasterPassword,
            SlotKind::RecoveryKey => KeySlotKind::RecoveryKey,
        },
        created_at: slot.created_at,
        scrypt_log_n: slot.cost.log_n,
    };
    Ok(axum::Json(slots.into_iter().map(slot).collect()))
}

/// Remove one way to open the vault. The last master password stays.
#[utoipa::path(delete, path = "/vault/key-slots/{id}", tag = "vault", extensions(("x-action" = json!("master_secret"))), request_body = MasterCredential,
    params(("id" = uuid::Uuid, Path)), responses((status = 204, description = "removed"),
    (status = 403, description = "`wrong_master_secret`: wrong secret", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such slot", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`key_slot_needed`: the last one", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove_key_slot(
    State(vault): State<Arc<Vault>>,
    call: Anonymous,
    Id(id): Id,
    Json(body): Json<MasterCredential>,
) -> Result<StatusCode, Refusal> {
    vault.remove_key_slot(password(&body.master_password), id, call.origin, call.context).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Move the key file to the stick that is in the box: a USB stick with the label `COFFERKEY`.
///
/// From then on the vault locks when the stick is pulled out, and opens only while it is in the box. An open vault stays open.
#[utoipa::path(put, path = "/vault/key-stick", tag = "vault", extensions(("x-action" = json!("master_secret"))), request_body = MasterCredential, responses(
    (status = 200, body = Health),
    (status = 403, description = "`wrong_master_secret`: wrong secret", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`vault_state`, `vault_absent`: no stick, one with another key file, or moved already; no vault", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`key_file`: no key file", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`storage_unavailable`: the stick cannot be written; the key file is where it was", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn move_key_to_stick(
    State(vault): State<Arc<Vault>>,
    State(health): State<Arc<HealthCheck>>,
    call: Anonymous,
    Json(body): Json<MasterCredential>,
) -> Result<axum::Json<Health>, Refusal> {
    vault.move_key(KeyPlace::Stick, password(&body.master_password), call.origin, call.context).await?;
    Ok(axum::Json(health.look()))
}

/// Move the key file from the stick that is in the box back into the box, and wipe it there.
#[utoipa::path(delete, path = "/vault/key-stick", tag = "vault", extensions(("x-action" = json!("master_secret"))), request_body = MasterCredential, responses(
    (status = 200, body = Health),
    (status = 403, description = "`wrong_master_secret`: wrong secret", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`vault_state`, `vault_absent`: no stick; no vault", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "`key_file`: no key file, or another box's", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "`storage_unavailable`: the stick could not be wiped; the key file is in the box", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn move_key_to_box(
    State(vault): State<Arc<Vault>>,
    State(health): State<Arc<HealthCheck>>,
    call: Anonymous,
    Json(body): Json<MasterCredential>,
) -> Result<axum::Json<Health>, Refusal> {
    vault.move_key(KeyPlace::Box, password(&body.master_password), call.origin, call.context).await?;
    Ok(axum::Json(health.look()))
}

/// Who may lock: the control socket, an administrator, or whoever knows the master password.
pub(super) struct Authority {
    origin: Origin,
    context: Context,
    administrator: Option<Authenticated>,
}

impl FromRequestParts<Services> for Authority {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Refusal> {
        let Anonymous { origin, context } = Anonymous::from_request_parts(parts, services).await?;
        let administrator = match bearer(&parts.headers) {
            Some(_) => Some(Authenticated::from_request_parts(parts, services).await?),
            None => None,
        };
        Ok(Self { origin, context, administrator })
    }
}

impl Authority {
    /// Who proved it. Takes itself: a caller holds a lease on the vault, and locking would wait for it.
    async fn prove(
        self,
        vault: &Arc<Vault>,
        master_password: Option<&SecretString>,
        action: &'static str,
    ) -> Result<Context, Error> {
        match (self.origin, self.administrator, master_password) {
            (_, Some(Authenticated(caller)), _) => {
                caller.require(Action::ManageVault).await?;
                return Ok(caller.context);
            }
            (origin, None, Some(secret)) => {
                vault.check_secret(password(secret), origin, self.context.clone(), action).await?;
            }
            (Origin::Local, None, None) => {}
            (Origin::Network, None, None) => return Err(Error::Unauthenticated),
        }
        Ok(self.context)
    }
}

fn one_of(
    field: &'static str,
    password: Option<&SecretString>,
    recovery_key: Option<&SecretString>,
) -> Result<MasterSecret, Error> {
    match (password, recovery_key) {
        (Some(secret), None) => Ok(self::password(secret)),
        (None, Some(key)) => Ok(MasterSecret::RecoveryKey(own(key))),
        (Some(_), Some(_)) | (None, None) => Err(Error::field(field, "give either this or recovery_key")),
    }
}

pub(super) fn password(secret: &SecretString) -> MasterSecret {
    MasterSecret::Password(own(secret))
}

fn own(secret: &SecretString) -> Zeroizing<String> {
    Zeroizing::new(secret.expose().to_owned())
}
