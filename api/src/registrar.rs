//! Between the registrar, the phone and the box. What the calls do is in docs/registrar.md.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{FieldProblem, SecretString};

/// A ticket that registers one box, once, for the person who asked for it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ClaimTicket {
    /// The ticket. Shown once; give it to the box over the sealed channel.
    #[schema(value_type = String, example = "ct_yVJ1VbBVLpyCkEEcDhIWCbMVGMwLzN4S0UYmdQJUqkM")]
    pub ticket: SecretString,
    /// From then on it registers no box.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Registers a box, by exactly one of `ticket` and `user_token`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterDevice {
    /// A claim ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<SecretString>,
    /// The token of a person. A ticket is better: it is good for nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_token: Option<SecretString>,
    /// The box's Ed25519 public key, 32 bytes in base64url without padding. It is what makes a box the same box.
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    pub public_key: String,
    /// The box's signature of `coffer-register-device-v1`, a line feed, and the ticket or token as it is sent here;
    /// 64 bytes in base64url without padding.
    pub proof: String,
    /// What its owner calls the box, 1 to 64 characters; `Coffer` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Attic")]
    pub name: Option<String>,
}

/// What a box gets when it is registered.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Registration {
    /// The box, a `UUIDv7`.
    pub device_id: Uuid,
    /// What device tokens are signed with: 32 bytes in hexadecimal.
    pub shared_secret: SecretString,
    /// For cloudflared.
    pub tunnel_token: SecretString,
    /// Where the box is reached.
    #[schema(example = "https://01890a5d-ac96-774b-bcce-b302099a8057.boxes.example")]
    pub server_url: String,
}

/// Asks for a device token.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueDeviceToken {
    /// The box that it is for.
    pub device_id: Uuid,
}

/// A token that a box accepts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeviceToken {
    /// A JWT with `sub`, `device_id`, `iat` and `exp`, signed by HS256 with the box's shared secret.
    pub token: SecretString,
    /// When it ends: an hour later.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// Where the box is reached.
    pub server_url: String,
}

/// A box as its owner sees it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RegisteredDevice {
    /// The box.
    pub device_id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// Where the box is reached.
    pub server_url: String,
    /// How far it is.
    pub state: RegistrationState,
    /// When it was first registered.
    #[schema(value_type = String, format = DateTime)]
    pub registered_at: Timestamp,
}

/// The boxes of a person. There are few of them, so there are no pages.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RegisteredDevices {
    /// The oldest first.
    pub items: Vec<RegisteredDevice>,
}

/// How far a registration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationState {
    /// Its tunnel is being made. The box goes on with it by asking again.
    Registering,
    /// The box can be reached once it runs its tunnel.
    Ready,
    /// Its tunnel is being removed.
    Removing,
}

/// Whether the registrar works.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RegistrarHealth {
    /// Always `ok`; else there is a problem instead.
    #[schema(example = "ok")]
    pub status: String,
}

/// An error of the registrar, as RFC 9457 `application/problem+json`. `code` is stable and for programs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RegistrarProblem {
    /// Always `about:blank`; the code says which problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// Which problem, for programs.
    pub code: RegistrarCode,
    /// Which problem, for people; the same for every occurrence.
    pub title: String,
    /// What happened here and what to try.
    pub detail: String,
    /// The fields at fault, where there are some. The refused values are never repeated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// Seconds to wait before trying again; also in the `Retry-After` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

/// The problems that the registrar can answer with. Once published, a code keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegistrarCode {
    /// 400: the request cannot be understood.
    BadRequest,
    /// 401: no token of a person, or not a valid one.
    Unauthenticated,
    /// 403: there is no such ticket.
    WrongTicket,
    /// 403: the signature is not by the public key, or not of this ticket or token.
    WrongProof,
    /// 404: there is no such thing, or it is not yours.
    NotFound,
    /// 405: the address exists, but not with this method.
    MethodNotAllowed,
    /// 408: the client stopped sending.
    RequestTimeout,
    /// 409: the ticket was used for another box, or the box belongs to somebody else.
    AlreadyClaimed,
    /// 409: the box is not registered to its end yet.
    NotReady,
    /// 409: there are as many of these as there may be.
    LimitReached,
    /// 410: the ticket has expired; ask for another one.
    TicketExpired,
    /// 413: the body is larger than accepted here.
    TooLarge,
    /// 415: the content type is not accepted here.
    UnsupportedMediaType,
    /// 422: a field has a value that is not accepted.
    InvalidField,
    /// 429: too many requests.
    TooManyRequests,
    /// 500: a fault of ours; the log has the cause under the request id.
    Internal,
    /// 502: Cloudflare refuses what the registrar asks for; whoever runs the registrar must look at its log.
    CloudflareRefused,
    /// 503: too much to do right now, or the database is away.
    Busy,
    /// 503: Cloudflare does not answer. Nothing is lost: ask again.
    CloudflareUnavailable,
    /// 503: the keys of the identity provider cannot be had.
    IdentityUnavailable,
}
