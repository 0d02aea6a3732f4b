//! How people get an account: registration and invitations.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use coffer_api::{CreateInvitation, Invitation, NewInvitation, Page, Problem, Register, SecretString, User};
use jiff::SignedDuration;
use zeroize::Zeroizing;

use super::extract::{Anonymous, Authenticated, Id, Json, PageParameters, Parameters};
use super::folders::PAGE;
use super::problem::Refusal;
use super::users::wire;
use crate::model::invitation;
use crate::service::Error;
use crate::service::accounts::{Accounts, Entitlement, NewAccount};

/// How long an invitation is good for when nobody says.
const INVITATION_S: u64 = 7 * 24 * 3600;

/// Register an account.
#[utoipa::path(post, path = "/registrations", tag = "people", request_body = Register, 
    extensions(("x-action" = json!("public"))), responses(
    (status = 201, body = User),
    (status = 403, description = "`registration_closed`, `wrong_invitation`, `wrong_master_secret`: registration is closed, or the invitation or the master password is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`name_taken`: the name is taken", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
    (status = 423, description = "the vault is locked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many attempts", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn register(
    State(accounts): State<Arc<Accounts>>,
    call: Anonymous,
    Json(body): Json<Register>,
) -> Result<(StatusCode, axum::Json<User>), Refusal> {
    let new = NewAccount::parse(&body.username, body.display_name.as_deref(), body.password.expose())?;
    let own = |secret: &SecretString| Zeroizing::new(secret.expose().to_owned());
    let entitlement = match (&body.invitation, &body.master_password) {
        (None, None) => Entitlement::None,
        (Some(token), None) => Entitlement::Invitation(own(token)),
        (None, Some(password)) => Entitlement::MasterPassword(own(password)),
        (Some(_), Some(_)) => return Err(Error::field("invitation", "send it or the master password, not both").into()),
    };
    let user = accounts.register(new, entitlement, call.origin, call.context).await?;
    Ok((StatusCode::CREATED, axum::Json(wire(user))))
}

/// Make an invitation. Administrators only. Its token is shown this once.
#[utoipa::path(post, path = "/invitations", tag = "people", security(("token" = [])), request_body = CreateInvitation, 
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 201, body = NewInvitation),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: too many are open", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "a field is not accepted", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn invite(
    State(accounts): State<Arc<Accounts>>,
    Authenticated(caller): Authenticated,
    Json(body): Json<CreateInvitation>,
) -> Result<(StatusCode, axum::Json<NewInvitation>), Refusal> {
    let good_for_s = i64::try_from(body.expires_in_s.unwrap_or(INVITATION_S)).unwrap_or(i64::MAX);
    let made = accounts.invite(&caller, body.role, SignedDuration::from_secs(good_for_s)).await?;
    let (invitation, token) = made;
    let link = SecretString::new(format!("/#/invitation/{}", *token));
    let reply = NewInvitation { invitation: wire_invitation(&invitation), token: SecretString::new(token), link };
    Ok((StatusCode::CREATED, axum::Json(reply)))
}

/// List the open invitations. Administrators only.
#[utoipa::path(get, path = "/invitations", tag = "people", security(("token" = [])), params(PageParameters), 
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 200, body = Page<Invitation>),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn invitations(
    State(accounts): State<Arc<Accounts>>,
    Authenticated(caller): Authenticated,
    Parameters(wanted): Parameters<PageParameters>,
) -> Result<axum::Json<Page<Invitation>>, Refusal> {
    let (items, next) = accounts.invitations(&caller, wanted.cursor, wanted.limit.unwrap_or(PAGE)).await?;
    let items = items.iter().map(wire_invitation).collect();
    Ok(axum::Json(Page { items, next_cursor: next.map(|id| id.to_string()) }))
}

/// Take an invitation back. Administrators only.
#[utoipa::path(delete, path = "/invitations/{id}", tag = "people", security(("token" = [])), params(("id" = uuid::Uuid, Path)), 
    extensions(("x-action" = json!("manage_people"))), responses(
    (status = 204, description = "taken back"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "not an administrator", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "no such open invitation", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn revoke_invitation(
    State(accounts): State<Arc<Accounts>>,
    Authenticated(caller): Authenticated,
    Id(id): Id,
) -> Result<StatusCode, Refusal> {
    accounts.revoke_invitation(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wire_invitation(invitation: &invitation::Invitation) -> Invitation {
    Invitation {
        id: invitation.id,
        role: invitation.role,
        created_by: invitation.created_by,
        created_at: invitation.created_at,
        expires_at: invitation.expires_at,
    }
}
