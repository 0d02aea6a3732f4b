//! What handlers take out of a request. Everything refused here is refused before a service is asked.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use coffer_api::FieldProblem;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Services;
use super::problem::{Refusal, RequestProblem};
use crate::model::role::Action;
use crate::service::Error;
use crate::service::audit::Context;
use crate::service::caller::Caller;
use crate::service::vault::Origin;

/// Largest JSON body.
const MAX_JSON_BYTES: usize = 64 * 1024;
/// How long a JSON body may take to arrive.
const JSON_LIMIT: Duration = Duration::from_secs(10);

/// The id of a request: the client's, when it is a sane one, or a fresh one.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

/// Where a request really comes from, also behind a proxy that the configuration trusts. None on the control socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientAddress(pub(super) Option<IpAddr>);

/// A person with a valid session on an unlocked vault: the only way for a handler to reach data.
pub(super) struct Authenticated(pub(super) Caller);

impl FromRequestParts<Services> for Authenticated {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Refusal> {
        let token = bearer(&parts.headers);
        Ok(Self(services.sessions.authenticate(token, context(parts)).await?))
    }
}

/// A person with a session who may look after an account of their own, which is asked before the body is looked at.
pub(super) struct AccountHolder(pub(super) Caller);

impl FromRequestParts<Services> for AccountHolder {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Refusal> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, services).await?;
        caller.require(Action::Account).await?;
        Ok(Self(caller))
    }
}

/// A call that needs no session: where it comes from, and its id.
pub(super) struct Anonymous {
    pub(super) origin: Origin,
    pub(super) context: Context,
}

impl<S: Sync> FromRequestParts<S> for Anonymous {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let origin = parts.extensions.get::<Origin>().copied().unwrap_or(Origin::Network);
        Ok(Self { origin, context: context(parts) })
    }
}

/// A JSON document of that type, in a body of at most `MAX` bytes.
pub(super) struct Json<T, const MAX: usize = MAX_JSON_BYTES>(pub(super) T);

impl<T: DeserializeOwned, S: Sync, const MAX: usize> FromRequest<S> for Json<T, MAX> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let essence = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = essence.and_then(|value| value.split(';').next()).map(str::trim).unwrap_or_default();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::Request(RequestProblem::NotJson));
        }
        let body = Limited::new(request.into_body(), MAX).collect();
        let collected = tokio::time::timeout(JSON_LIMIT, body).await;
        let bytes = match collected {
            Err(_) => return Err(Refusal::Request(RequestProblem::TimedOut)),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(Refusal::Request(RequestProblem::TooLarge { limit_bytes: MAX }));
            }
            Ok(Err(_)) => return Err(Error::UploadCutShort.into()),
            Ok(Ok(collected)) => Zeroizing::new(collected.to_bytes().to_vec()),
        };
        parse(&bytes).map(Self).map_err(Refusal::Request)
    }
}

/// Parameters of the query string.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Query(parameters) = Query::try_from_uri(&parts.uri).map_err(|error| {
            let detail = format!("The query string is not understood: {}.", error.body_text());
            Refusal::Request(RequestProblem::Unreadable(detail))
        })?;
        Ok(Self(parameters))
    }
}

/// Which part of a list that is ordered by id.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParameters {
    /// 1 to 500; 50 when absent.
    pub(super) limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<Uuid>,
}

/// The id in the path. One that is not a UUID names nothing.
pub(super) struct Id(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<Uuid>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id)).map_err(|_| Refusal::Request(RequestProblem::NoSuchAddress))
    }
}

/// The name in the path.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|_| Refusal::Request(RequestProblem::NoSuchAddress))
    }
}

/// As [`Id`], for a path with two.
pub(super) struct TwoIds(pub(super) Uuid, pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for TwoIds {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<(Uuid, Uuid)>::from_request_parts(parts, state).await;
        path.map(|Path((first, second))| Self(first, second))
            .map_err(|_| Refusal::Request(RequestProblem::NoSuchAddress))
    }
}

/// As [`Id`], for a path with three.
pub(super) struct ThreeIds(pub(super) Uuid, pub(super) Uuid, pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for ThreeIds {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<(Uuid, Uuid, Uuid)>::from_request_parts(parts, state).await;
        path.map(|Path((first, second, third))| Self(first, second, third))
            .map_err(|_| Refusal::Request(RequestProblem::NoSuchAddress))
    }
}

/// As [`Id`], for a path with an id and a number.
pub(super) struct IdAndNumber(pub(super) Uuid, pub(super) u32);

impl<S: Send + Sync> FromRequestParts<S> for IdAndNumber {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<(Uuid, u32)>::from_request_parts(parts, state).await;
        path.map(|Path((id, number))| Self(id, number)).map_err(|_| Refusal::Request(RequestProblem::NoSuchAddress))
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750, section 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What the request says about where it comes from; nothing yet about who asks.
fn context(parts: &Parts) -> Context {
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let address = parts.extensions.get::<ClientAddress>().and_then(|address| address.0);
    Context { address, request_id, ..Context::default() }
}

/// Says what is wrong and where, without repeating a value: it may be a password in the wrong place.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RequestProblem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let cause = error.inner();
        if !cause.is_data() {
            let (line, column) = (cause.line(), cause.column());
            return RequestProblem::Unreadable(format!("The body is not JSON: look at line {line}, column {column}."));
        }
        let text = cause.to_string();
        let named = text.starts_with("unknown field") || text.starts_with("missing field");
        let detail = if named {
            text.split(" at line ").next().unwrap_or_default().to_owned()
        } else {
            "it has a value of the wrong kind".to_owned()
        };
        RequestProblem::Field(FieldProblem { field: error.path().to_string(), detail })
    })?;
    deserializer.end().map_err(|_| RequestProblem::Unreadable("Something follows the JSON document.".to_owned()))?;
    Ok(parsed)
}
