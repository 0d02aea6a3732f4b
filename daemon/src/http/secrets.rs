//! Secrets vaults: sealed bytes in and out. `docs/secrets.md` says what is in them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use coffer_api::{
    CreateSecretVault, Page, Problem, PutSecretItem, PutSecretMember, RotateSecretVault, SecretAccount, SecretChanges,
    SecretGroup, SecretIdentity, SecretItem, SecretMember, SecretRevision, SecretRole, SecretVault, SecretVaultKey,
};
use coffer_crypto::secrets::grant::Role;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use utoipa::IntoParams;

use super::conditional::precondition;
use super::extract::{AccountHolder, Id, Json, Name, PageParameters, Parameters, TwoIds};
use super::folders::PAGE;
use super::problem::Refusal;
use crate::model::secret;
use crate::service::Error;
use crate::service::secrets::{NewRevision, Rotation, Secrets, Written};

/// The longest item as base64, with the rest of its document.
pub(super) const MAX_ITEM_JSON: usize = 2 * 1024 * 1024;
/// A new key for some ten thousand items.
const MAX_ROTATION_JSON: usize = 4 * 1024 * 1024;

/// Get your own keys, wrapped.
#[utoipa::path(get, path = "/secrets/account", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), responses(
    (status = 200, body = SecretAccount),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "there are none yet", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn account(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
) -> Result<axum::Json<SecretAccount>, Refusal> {
    let account = secrets.account(&caller).await?;
    Ok(axum::Json(SecretAccount {
        by_password: encode(&account.by_password),
        by_recovery: encode(&account.by_recovery),
        identity: encode(&account.identity),
        public: encode(&account.public),
    }))
}

/// Keep your own keys, wrapped, in place of what was kept.
#[utoipa::path(put, path = "/secrets/account", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), request_body = SecretAccount, responses(
    (status = 204, description = "kept"),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn set_account(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Json(body): Json<SecretAccount>,
) -> Result<StatusCode, Refusal> {
    secrets.set_account(&caller, account_of(&body)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get the public keys of an account.
#[utoipa::path(get, path = "/secrets/identities/{id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, body = SecretIdentity),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "the account has none", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn identity(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Id(id): Id,
) -> Result<axum::Json<SecretIdentity>, Refusal> {
    Ok(axum::Json(wire_peer(secrets.identity(&caller, id).await?)))
}

/// Get the public keys of the account with exactly that name.
#[utoipa::path(get, path = "/secrets/people/{username}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("username" = String, Path)), responses(
    (status = 200, body = SecretIdentity),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "there is no such account, or it has none", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn person(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Name(name): Name,
) -> Result<axum::Json<SecretIdentity>, Refusal> {
    Ok(axum::Json(wire_peer(secrets.person(&caller, &name).await?)))
}

/// Get the public keys of everybody in your group with exactly that name, to share with them.
#[utoipa::path(get, path = "/secrets/groups/{name}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("name" = String, Path)), responses(
    (status = 200, body = SecretGroup),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "you are in no such group", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn group(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Name(name): Name,
) -> Result<axum::Json<SecretGroup>, Refusal> {
    let (peers, without_keys) = secrets.group(&caller, &name).await?;
    Ok(axum::Json(SecretGroup { members: peers.into_iter().map(wire_peer).collect(), without_keys }))
}

/// Make a secrets vault.
#[utoipa::path(post, path = "/secrets/vaults", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), request_body = CreateSecretVault, responses(
    (status = 201, body = SecretVault),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: you have 200 vaults already", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn create(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Json(body): Json<CreateSecretVault>,
) -> Result<(StatusCode, axum::Json<SecretVault>), Refusal> {
    let vault = secrets.create(&caller, body.id, decode("key", &body.key)?).await?;
    Ok((StatusCode::CREATED, axum::Json(wire(&vault))))
}

/// List your secrets vaults.
#[utoipa::path(get, path = "/secrets/vaults", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(PageParameters), responses(
    (status = 200, body = Page<SecretVault>),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Parameters(wanted): Parameters<PageParameters>,
) -> Result<axum::Json<Page<SecretVault>>, Refusal> {
    let (items, next) = secrets.list(&caller, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
}

/// Look at a secrets vault.
#[utoipa::path(get, path = "/secrets/vaults/{id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, body = SecretVault),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn get(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Id(id): Id,
) -> Result<axum::Json<SecretVault>, Refusal> {
    Ok(axum::Json(wire(&secrets.get(&caller, id).await?)))
}

/// Delete a secrets vault with all that is in it. Owners only.
#[utoipa::path(delete, path = "/secrets/vaults/{id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "deleted"),
    (status = 403, description = "`forbidden`, `session_needed`: not an owner", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn delete(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    secrets.delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get your keys of a vault, of all generations.
#[utoipa::path(get, path = "/secrets/vaults/{id}/keys", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, body = Vec<SecretVaultKey>),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn keys(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Id(id): Id,
) -> Result<axum::Json<Vec<SecretVaultKey>>, Refusal> {
    let keys = secrets.keys(&caller, id).await?;
    let wire = |key: &secret::SecretKey| SecretVaultKey { generation: key.generation, sealed: encode(&key.sealed) };
    Ok(axum::Json(keys.iter().map(wire).collect()))
}

/// Give a vault its next key, as after somebody has left. Managers and owners only.
#[utoipa::path(post, path = "/secrets/vaults/{id}/keys", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path)), request_body = RotateSecretVault, responses(
    (status = 200, body = SecretVault),
    (status = 403, description = "`forbidden`, `session_needed`: not a manager", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "the vault has changed meanwhile", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn rotate(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Id(id): Id,
    Json(body): Json<RotateSecretVault, MAX_ROTATION_JSON>,
) -> Result<axum::Json<SecretVault>, Refusal> {
    let keys = body.keys.iter().map(|key| Ok((key.user_id, decode("keys", &key.sealed)?)));
    let items = body.items.iter().map(|item| Ok((item.id, decode("items", &item.wrapped_key)?)));
    let rotation = Rotation {
        link: decode("link", &body.link)?,
        keys: keys.collect::<Result<_, Error>>()?,
        items: items.collect::<Result<_, Error>>()?,
    };
    Ok(axum::Json(wire(&secrets.rotate(&caller, id, rotation).await?)))
}

/// List the members of a vault.
#[utoipa::path(get, path = "/secrets/vaults/{id}/members", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path)), responses(
    (status = 200, body = Vec<SecretMember>),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn members(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Id(id): Id,
) -> Result<axum::Json<Vec<SecretMember>>, Refusal> {
    let members = secrets.members(&caller, id).await?;
    let wire = |member: secret::SecretMember| SecretMember { user_id: member.user_id, role: wire_role(member.role) };
    Ok(axum::Json(members.into_iter().map(wire).collect()))
}

/// Let somebody into a vault, or give a member another role. Managers and owners only.
///
/// It counts for the member's next call.
#[utoipa::path(put, path = "/secrets/vaults/{id}/members/{user_id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path), ("user_id" = uuid::Uuid, Path)),
    request_body = PutSecretMember, responses(
    (status = 204, description = "so it is"),
    (status = 403, description = "`forbidden`, `session_needed`: not a manager", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours, or no such person", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`last_owner`: the last owner must stay one", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn put_member(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    TwoIds(id, user_id): TwoIds,
    Json(body): Json<PutSecretMember>,
) -> Result<StatusCode, Refusal> {
    let role = match body.role {
        SecretRole::Viewer => Role::Viewer,
        SecretRole::Editor => Role::Editor,
        SecretRole::Manager => Role::Manager,
        SecretRole::Owner => Role::Owner,
    };
    let keys = body
        .keys
        .iter()
        .map(|key| Ok(secret::SecretKey { generation: key.generation, sealed: decode("keys", &key.sealed)? }));
    secrets.put_member(&caller, id, user_id, role, keys.collect::<Result<_, Error>>()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Put somebody out of a vault, or leave it.
///
/// What they have read they know. Give the vault its next key, and change the credentials that they have seen.
#[utoipa::path(delete, path = "/secrets/vaults/{id}/members/{user_id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path), ("user_id" = uuid::Uuid, Path)), responses(
    (status = 204, description = "gone"),
    (status = 403, description = "`forbidden`, `session_needed`: not a manager", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours, or no such member", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`last_owner`: the last owner must stay", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn remove_member(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    TwoIds(id, user_id): TwoIds,
) -> Result<StatusCode, Refusal> {
    secrets.remove_member(&caller, id, user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get an item, deleted or not.
#[utoipa::path(get, path = "/secrets/vaults/{id}/items/{item_id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path), ("item_id" = uuid::Uuid, Path)), responses(
    (status = 200, body = SecretItem),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such item of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn item(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    TwoIds(vault_id, id): TwoIds,
) -> Result<axum::Json<SecretItem>, Refusal> {
    Ok(axum::Json(wire_item(&secrets.item(&caller, vault_id, id).await?)))
}

/// Where a list of revisions goes on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Before {
    /// `next_cursor` of the page before.
    cursor: Option<u32>,
}

/// Get the states of an item, newest first, as many as a reply takes.
#[utoipa::path(get, path = "/secrets/vaults/{id}/items/{item_id}/revisions", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path), ("item_id" = uuid::Uuid, Path), Before),
    responses(
    (status = 200, body = Page<SecretRevision>),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such item of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn revisions(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    TwoIds(vault_id, id): TwoIds,
    Parameters(wanted): Parameters<Before>,
) -> Result<axum::Json<Page<SecretRevision>>, Refusal> {
    let (revisions, next) = secrets.revisions(&caller, vault_id, id, wanted.cursor.map(u64::from)).await?;
    let wire = |revision: secret::SecretRevision| SecretRevision {
        revision: revision.revision,
        generation: revision.generation,
        content: revision.content.as_deref().map(encode),
        changed_at: revision.changed_at,
        changed_by: revision.changed_by,
    };
    let items = revisions.into_iter().map(wire).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|revision| revision.to_string()) }))
}

/// Write the next revision of an item, or delete it. Editors, managers and owners only.
///
/// `If-Match` names the revision that it replaces, `If-None-Match: *` says that it is new. When somebody was faster the reply
/// is what there is now. The same change a second time is answered as the first.
#[utoipa::path(put, path = "/secrets/vaults/{id}/items/{item_id}", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path), ("item_id" = uuid::Uuid, Path)),
    request_body = PutSecretItem, responses(
    (status = 200, description = "written", body = SecretItem),
    (status = 403, description = "`forbidden`, `session_needed`: not an editor", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours", body = Problem, content_type = "application/problem+json"),
    (status = 412, description = "somebody was faster: what there is, or null", body = Option<SecretItem>),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 428, description = "say what it replaces", body = Problem, content_type = "application/problem+json"),
    (status = 507, description = "`quota_exceeded`: the vault is full", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn put_item(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    TwoIds(vault_id, id): TwoIds,
    headers: HeaderMap,
    Json(body): Json<PutSecretItem, MAX_ITEM_JSON>,
) -> Result<Response, Refusal> {
    let precondition = precondition(&headers).map_err(Refusal::Request)?;
    let new = NewRevision {
        key_generation: body.key_generation,
        wrapped_key: decode("wrapped_key", &body.wrapped_key)?,
        content: body.content.as_deref().map(|content| decode("content", content)).transpose()?,
        link: decode("link", &body.link)?,
    };
    Ok(match secrets.put_item(&caller, vault_id, id, precondition, new).await? {
        Written::Stored(item) => axum::Json(wire_item(&item)).into_response(),
        Written::Stale(current) => {
            (StatusCode::PRECONDITION_FAILED, axum::Json(current.as_ref().map(wire_item))).into_response()
        }
    })
}

/// From which change on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// The change that the client has seen last; 0 for none.
    since: Option<u32>,
}

/// Get what changed in a vault, with its history: from the change that you have seen last.
#[utoipa::path(get, path = "/secrets/vaults/{id}/sync", tag = "secrets", security(("token" = [])),
    extensions(("x-action" = json!("account"))), params(("id" = uuid::Uuid, Path), Since), responses(
    (status = 200, body = SecretChanges),
    (status = 403, description = "`session_needed`: not with an API key", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such vault of yours", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn sync(
    State(secrets): State<Arc<Secrets>>,
    AccountHolder(caller): AccountHolder,
    Id(id): Id,
    Parameters(wanted): Parameters<Since>,
) -> Result<axum::Json<SecretChanges>, Refusal> {
    let changes = secrets.changes(&caller, id, wanted.since.unwrap_or(0).into()).await?;
    Ok(axum::Json(SecretChanges {
        sequence: changes.sequence,
        links: changes.links.iter().map(|link| encode(link)).collect(),
        items: changes.items.iter().map(wire_item).collect(),
        more: changes.more,
    }))
}

/// What an account keeps here, as it came.
pub(super) fn account_of(body: &SecretAccount) -> Result<secret::SecretAccount, Error> {
    Ok(secret::SecretAccount {
        by_password: decode("by_password", &body.by_password)?,
        by_recovery: decode("by_recovery", &body.by_recovery)?,
        identity: decode("identity", &body.identity)?,
        public: decode("public", &body.public)?,
    })
}

fn wire_peer(peer: secret::SecretPeer) -> SecretIdentity {
    SecretIdentity { user_id: peer.user_id, username: peer.username, public: encode(&peer.public) }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

pub(super) fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    let decoded = BASE64URL_NOPAD.decode(text.as_bytes());
    decoded.map_err(|_| Error::field(field, "it should be base64url without padding"))
}

fn wire(vault: &secret::SecretVault) -> SecretVault {
    SecretVault {
        id: vault.id,
        role: wire_role(vault.role),
        sequence: vault.sequence,
        generation: vault.generation,
        used_bytes: vault.used_bytes,
        created_at: vault.created_at,
        created_by: vault.created_by,
    }
}

fn wire_role(role: Role) -> SecretRole {
    match role {
        Role::Viewer => SecretRole::Viewer,
        Role::Editor => SecretRole::Editor,
        Role::Manager => SecretRole::Manager,
        Role::Owner => SecretRole::Owner,
    }
}

fn wire_item(item: &secret::SecretItem) -> SecretItem {
    SecretItem {
        id: item.id,
        revision: item.revision,
        generation: item.generation,
        key_generation: item.key_generation,
        wrapped_key: encode(&item.wrapped_key),
        content: item.content.as_deref().map(encode),
        sequence: item.sequence,
        changed_at: item.changed_at,
        changed_by: item.changed_by,
    }
}
