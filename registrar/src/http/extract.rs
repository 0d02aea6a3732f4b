//! What handlers take out of a request. Everything refused here is refused before a service is asked.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use coffer_api::FieldProblem;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Services;
use super::problem::{Refusal, RequestProblem};
use crate::service::Error;
use crate::service::identity::Person;

/// Largest JSON body.
const MAX_JSON_BYTES: usize = 16 * 1024;
/// How long a JSON body may take to arrive.
const JSON_LIMIT: Duration = Duration::from_secs(10);

/// A person with a valid token, who has not asked too often.
pub(super) struct Known(pub(super) Person);

impl FromRequestParts<Services> for Known {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Refusal> {
        let token = bearer(&parts.headers).ok_or(Error::Unauthenticated)?;
        let person = services.identity.tell(token).await?;
        services.limits.count(&person)?;
        Ok(Self(person))
    }
}

/// A JSON document of that type.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let essence = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = essence.and_then(|value| value.split(';').next()).map(str::trim).unwrap_or_default();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::Request(RequestProblem::NotJson));
        }
        let body = Limited::new(request.into_body(), MAX_JSON_BYTES).collect();
        let bytes = match tokio::time::timeout(JSON_LIMIT, body).await {
            Err(_) => return Err(Refusal::Request(RequestProblem::TimedOut)),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(Refusal::Request(RequestProblem::TooLarge { limit_bytes: MAX_JSON_BYTES }));
            }
            Ok(Err(_)) => {
                return Err(Refusal::Request(RequestProblem::Unreadable("The body broke off.".to_owned())));
            }
            Ok(Ok(collected)) => Zeroizing::new(collected.to_bytes().to_vec()),
        };
        parse(&bytes).map(Self).map_err(Refusal::Request)
    }
}

/// The id in the path. One that is not a UUID names nothing.
pub(super) struct Id(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<Uuid>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id)).map_err(|_| Error::NotFound("box").into())
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Says what is wrong and where, without repeating a value: it may be a token in the wrong place.
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
