//! Rules and figures of storage.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{FolderUsage, Problem, SetQuota, StoragePolicy, StorageUsage, UserUsage};

use super::extract::{Authenticated, Id, Json};
use super::problem::Refusal;
use crate::model::usage::{self, UsageOfUser};
use crate::service::storage_policy::{OwnUsage, StorageRules};

/// Read the rules of storage. Administrators only.
#[utoipa::path(get, path = "/storage/policy", tag = "storage", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), responses(
    (status = 200, body = StoragePolicy),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn policy(
    State(rules): State<Arc<StorageRules>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<StoragePolicy>, Refusal> {
    let usage::StoragePolicy { trash_days, keep_revisions, keep_days, quota_bytes, reserve_bytes } =
        rules.policy(&caller).await?;
    Ok(axum::Json(StoragePolicy { trash_days, keep_revisions, keep_days, quota_bytes, reserve_bytes }))
}

/// Set the rules of storage. Administrators only. What they make too old is deleted at the next daily round.
#[utoipa::path(put, path = "/storage/policy", tag = "storage", extensions(("x-action" = json!("manage_settings"))), security(("token" = [])), request_body = StoragePolicy, responses(
    (status = 204, description = "set"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set_policy(
    State(rules): State<Arc<StorageRules>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<StoragePolicy>,
) -> Result<StatusCode, Refusal> {
    let StoragePolicy { trash_days, keep_revisions, keep_days, quota_bytes, reserve_bytes } = body;
    let wanted = usage::StoragePolicy { trash_days, keep_revisions, keep_days, quota_bytes, reserve_bytes };
    rules.set_policy(&caller, wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What everybody stores. Administrators only.
#[utoipa::path(get, path = "/storage/usage", tag = "storage", extensions(("x-action" = json!("manage_people"))), security(("token" = [])), responses(
    (status = 200, body = StorageUsage),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn usage(
    State(rules): State<Arc<StorageRules>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<StorageUsage>, Refusal> {
    let usage = rules.usage(&caller).await?;
    let folder = |usage: usage::UsageOfFolder| FolderUsage {
        folder_id: usage.folder_id,
        files: usage.files,
        size_bytes: usage.size_bytes,
    };
    Ok(axum::Json(StorageUsage {
        users: usage.users.into_iter().map(|usage| wire(usage, None)).collect(),
        folders: usage.folders.into_iter().map(folder).collect(),
        stored_bytes: usage.stored_bytes,
        free_bytes: usage.free_bytes,
    }))
}

/// What you store, and may.
#[utoipa::path(get, path = "/users/me/storage", tag = "storage", extensions(("x-action" = json!("read"))), security(("token" = [])), responses(
    (status = 200, body = UserUsage),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn own(
    State(rules): State<Arc<StorageRules>>,
    Authenticated(caller): Authenticated,
) -> Result<axum::Json<UserUsage>, Refusal> {
    let OwnUsage { usage, quota_bytes } = rules.own(&caller).await?;
    Ok(axum::Json(wire(usage, quota_bytes)))
}

/// What somebody stores, and may. Administrators only.
#[utoipa::path(get, path = "/users/{id}/storage", tag = "storage", extensions(("x-action" = json!("manage_people"))), security(("token" = [])), params(("id" = Uuid, Path)), responses(
    (status = 200, body = UserUsage),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such user", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn of_user(
    State(rules): State<Arc<StorageRules>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<axum::Json<UserUsage>, Refusal> {
    let OwnUsage { usage, quota_bytes } = rules.of_user(&caller, id).await?;
    Ok(axum::Json(wire(usage, quota_bytes)))
}

/// Set what somebody may store. Administrators only. What they store already stays.
#[utoipa::path(put, path = "/users/{id}/storage", tag = "storage", extensions(("x-action" = json!("manage_people"))), security(("token" = [])), params(("id" = Uuid, Path)), request_body = SetQuota, responses(
    (status = 204, description = "set"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such user", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "too large", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set_quota(
    State(rules): State<Arc<StorageRules>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<SetQuota>,
) -> Result<StatusCode, Refusal> {
    rules.set_quota(&caller, id, body.quota_bytes.flatten()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wire(usage: UsageOfUser, quota_bytes: Option<u64>) -> UserUsage {
    UserUsage {
        user_id: usage.user_id,
        files: usage.files,
        current_bytes: usage.current_bytes,
        revision_bytes: usage.revision_bytes,
        trash_bytes: usage.trash_bytes,
        attached_bytes: usage.attached_bytes,
        total_bytes: usage.current_bytes + usage.revision_bytes + usage.trash_bytes + usage.attached_bytes,
        quota_bytes,
    }
}
