//! Rotations of credentials, and the drop boxes in which members find what they made.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{
    CreateSecretRotation, Problem, PutSecretDropBox, SecretDrop, SecretDropBox, SecretDrops, SecretRotation,
};
use zeroize::Zeroizing;

use super::extract::{AccountHolder, Authenticated, Id, Json, TwoIds};
use super::problem::Refusal;
use super::secrets::{decode, encode};
use crate::model::rotation::{DropState, NewRotation, Rotation, StoredDrop, StoredDropBox};
use crate::service::rotations::Rotations;

/// Set the drop box of a vault's newest key. Managers and owners only.
#[utoipa::path(put, path = "/secrets/vaults/{id}/drop-box", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path)), request_body = PutSecretDropBox, responses(
    (status = 204, description = "so it is"),
    (status = 403, description = "`forbidden`, `session_needed`: not a manager", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn put_drop_box(
    State(rotations): State<Arc<Rotations>>,
    AccountHolder(caller): AccountHolder,
    Id(id): Id,
    Json(body): Json<PutSecretDropBox>,
) -> Result<StatusCode, Refusal> {
    let (public, signature) = (decode("public", &body.public)?, decode("signature", &body.signature)?);
    rotations.put_drop_box(&caller, id, body.generation, public, signature).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get what the box has left for the members of a vault.
#[utoipa::path(get, path = "/secrets/vaults/{id}/drops", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, body = SecretDrops),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn drops(
    State(rotations): State<Arc<Rotations>>,
    AccountHolder(caller): AccountHolder,
    Id(id): Id,
) -> Result<axum::Json<SecretDrops>, Refusal> {
    let (drop_box, drops) = rotations.drops(&caller, id).await?;
    let drops = drops.iter().map(wire_drop).collect();
    Ok(axum::Json(SecretDrops { drop_box: drop_box.as_ref().map(wire_drop_box), drops }))
}

/// Say that a value is in its item: it goes, and so may the credential of before. Editors, managers and owners only.
#[utoipa::path(delete, path = "/secrets/vaults/{id}/drops/{drop_id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path), ("drop_id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "gone"),
    (status = 403, description = "`forbidden`, `session_needed`: not an editor", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such value of yours", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "`precondition_failed`: nobody has written the item since the value was made", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn take_drop(
    State(rotations): State<Arc<Rotations>>,
    AccountHolder(caller): AccountHolder,
    TwoIds(vault_id, id): TwoIds,
) -> Result<StatusCode, Refusal> {
    rotations.take_drop(&caller, vault_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set up the rotation of a credential. Managers and owners of the vault only, who are editors on the box.
///
/// The admin credential stays on the box, which has to know it, and is never given out again. The same wish a second time is
/// answered as the first.
#[utoipa::path(post, path = "/secrets/vaults/{id}/rotations", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("rotate_secrets"))), params(("id" = uuid::Uuid, Path)), request_body = CreateSecretRotation,
    responses(
    (status = 201, body = SecretRotation),
    (status = 403, description = "`forbidden`, `session_needed`: not a manager, or not an editor on the box", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours, or no such item", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: the vault has 50 already", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(rotations): State<Arc<Rotations>>,
    Authenticated(caller): Authenticated,
    Id(vault_id): Id,
    Json(body): Json<CreateSecretRotation>,
) -> Result<(StatusCode, axum::Json<SecretRotation>), Refusal> {
    let new = NewRotation {
        id: body.id,
        vault_id,
        item_id: body.item_id,
        field_id: body.field_id,
        handle_field_id: body.handle_field_id,
        provider: body.provider,
        admin: body.admin.map(|admin| Zeroizing::new(admin.expose().to_owned())),
        handle: body.handle,
        every_s: body.every_s,
        grace_s: body.grace_s,
    };
    Ok((StatusCode::CREATED, axum::Json(wire(rotations.create(&caller, new).await?))))
}

/// List the rotations of a vault, and how far they are.
#[utoipa::path(get, path = "/secrets/vaults/{id}/rotations", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, body = Vec<SecretRotation>),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(rotations): State<Arc<Rotations>>,
    AccountHolder(caller): AccountHolder,
    Id(vault_id): Id,
) -> Result<axum::Json<Vec<SecretRotation>>, Refusal> {
    Ok(axum::Json(rotations.list(&caller, vault_id).await?.into_iter().map(wire).collect()))
}

/// Look how far a rotation is.
#[utoipa::path(get, path = "/secrets/vaults/{id}/rotations/{rotation_id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path), ("rotation_id" = uuid::Uuid, Path)), responses(
    (status = 200, body = SecretRotation),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such rotation of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(rotations): State<Arc<Rotations>>,
    AccountHolder(caller): AccountHolder,
    TwoIds(vault_id, id): TwoIds,
) -> Result<axum::Json<SecretRotation>, Refusal> {
    Ok(axum::Json(wire(rotations.get(&caller, vault_id, id).await?)))
}

/// End a rotation: the credential stays as it is, and the box forgets the admin credential.
#[utoipa::path(delete, path = "/secrets/vaults/{id}/rotations/{rotation_id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("rotate_secrets"))),
    params(("id" = uuid::Uuid, Path), ("rotation_id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "gone"),
    (status = 403, description = "`forbidden`, `session_needed`: not a manager, or not an editor on the box", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such rotation of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(rotations): State<Arc<Rotations>>,
    Authenticated(caller): Authenticated,
    TwoIds(vault_id, id): TwoIds,
) -> Result<StatusCode, Refusal> {
    rotations.delete(&caller, vault_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have a credential rotated now, whatever its time is.
#[utoipa::path(post, path = "/secrets/vaults/{id}/rotations/{rotation_id}/run", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("rotate_secrets"))),
    params(("id" = uuid::Uuid, Path), ("rotation_id" = uuid::Uuid, Path)), responses(
    (status = 202, body = SecretRotation, description = "it begins; the rotation tells how far it is"),
    (status = 403, description = "`forbidden`, `session_needed`: not a manager, or not an editor on the box", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such rotation of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn run(
    State(rotations): State<Arc<Rotations>>,
    Authenticated(caller): Authenticated,
    TwoIds(vault_id, id): TwoIds,
) -> Result<(StatusCode, axum::Json<SecretRotation>), Refusal> {
    Ok((StatusCode::ACCEPTED, axum::Json(wire(rotations.run(&caller, vault_id, id).await?))))
}

fn wire(rotation: Rotation) -> SecretRotation {
    SecretRotation {
        id: rotation.id,
        item_id: rotation.item_id,
        field_id: rotation.field_id,
        handle_field_id: rotation.handle_field_id,
        provider: rotation.provider,
        every_s: rotation.every_s,
        grace_s: rotation.grace_s,
        state: rotation.state,
        attempts: rotation.attempts,
        problem: rotation.problem,
        next_at: rotation.next_at,
        changed_at: rotation.changed_at,
        rotated_at: rotation.rotated_at,
        created_at: rotation.created_at,
        created_by: rotation.created_by,
    }
}

fn wire_drop_box(drop_box: &StoredDropBox) -> SecretDropBox {
    SecretDropBox {
        generation: drop_box.generation,
        public: encode(&drop_box.public),
        signature: encode(&drop_box.signature),
        set_by: drop_box.set_by,
    }
}

fn wire_drop(drop: &StoredDrop) -> SecretDrop {
    SecretDrop {
        id: drop.id,
        rotation_id: drop.rotation_id,
        item_id: drop.item_id,
        generation: drop.generation,
        base_revision: drop.base_revision,
        content: encode(&drop.content),
        made_at: drop.made_at,
        is_certain: drop.state == DropState::Open,
    }
}
