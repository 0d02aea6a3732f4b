//! Who sees a folder.

use std::sync::Arc;

use axum::extract::State;
use coffer_api::{FolderAccess, FolderGrant, Problem};

use super::extract::{Authenticated, Id, Json};
use super::problem::Refusal;
use crate::model::access::{AccessList, Grant, Grantee};
use crate::service::Error;
use crate::service::access::Privacy;

/// Look who sees a folder. For who made it, and for administrators.
#[utoipa::path(get, path = "/folders/{id}/access", tag = "folders", security(("token" = [])),
    extensions(("x-action" = json!("restrict_own"))), params(("id" = Uuid, Path)), responses(
    (status = 200, body = FolderAccess),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not your folder", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(privacy): State<Arc<Privacy>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<axum::Json<FolderAccess>, Refusal> {
    Ok(axum::Json(wire(privacy.get(&caller, id).await?)))
}

/// Say who sees a folder and all that is below it. The whole list is replaced.
///
/// For who made the folder, who always stays on the list with `write`, and for administrators, who see every folder and
/// may take anybody off. A private folder in a private folder is open to those only whom both lists name, with the
/// lesser access. No list raises a role.
#[utoipa::path(put, path = "/folders/{id}/access", tag = "folders", security(("token" = [])),
    extensions(("x-action" = json!("restrict_own"))), params(("id" = Uuid, Path)), request_body = FolderAccess, responses(
    (status = 200, body = FolderAccess),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not your folder", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such folder", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "no such user or group, somebody twice, or too many", body = Problem,
        content_type = "application/problem+json"),
))]
pub(super) async fn set(
    State(privacy): State<Arc<Privacy>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
    Json(body): Json<FolderAccess>,
) -> Result<axum::Json<FolderAccess>, Refusal> {
    let grants = body.grants.iter().enumerate().map(|(index, line)| grant(index, line));
    let grants = grants.collect::<Result<Vec<Grant>, Error>>()?;
    let list = AccessList::parse(body.private, grants)?;
    Ok(axum::Json(wire(privacy.set(&caller, id, list).await?)))
}

fn grant(index: usize, line: &FolderGrant) -> Result<Grant, Error> {
    let grantee = match (line.user_id, line.group_id) {
        (Some(id), None) => Grantee::User(id),
        (None, Some(id)) => Grantee::Group(id),
        (Some(_), Some(_)) | (None, None) => {
            let detail = format!("entry {}: name either a user_id or a group_id", index + 1);
            return Err(Error::field("grants", detail));
        }
    };
    Ok(Grant { grantee, access: line.access })
}

fn wire(list: AccessList) -> FolderAccess {
    let line = |grant: Grant| {
        let (user_id, group_id) = match grant.grantee {
            Grantee::User(id) => (Some(id), None),
            Grantee::Group(id) => (None, Some(id)),
        };
        FolderGrant { user_id, group_id, access: grant.access }
    };
    FolderAccess { private: list.private, grants: list.grants.into_iter().map(line).collect() }
}
