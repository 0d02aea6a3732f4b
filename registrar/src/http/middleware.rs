//! Around every request: an id, one line in the log and one more for a fault, a net for panics, and what browsers ask.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use log::{error, info};
use uuid::Uuid;

use super::problem::{Fault, Refusal, RequestProblem};
use crate::clock::{Clock, SystemClock};

/// The name of the header that carries the id both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps a router.
pub(super) fn wrap(router: Router) -> Router {
    router.layer(from_fn(around))
}

async fn around(request: Request, next: Next) -> Response {
    let start = SystemClock.monotonic();
    let id = request_id(&request);
    let method = request.method().clone();
    // The route's pattern, not the path.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let handled = if is_preflight(&request) {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        AssertUnwindSafe(next.run(request)).catch_unwind().await
    };
    let mut response = handled.unwrap_or_else(|_| {
        error!(request_id:% = id; "a request failed unexpectedly");
        Refusal::Request(RequestProblem::Panicked).into_response()
    });
    if let Some(Fault(chain)) = response.extensions().get() {
        error!(request_id:% = id, chain:% = chain; "a request failed");
    }
    let took = SystemClock.monotonic().saturating_duration_since(start);
    info!(
        request_id:% = id, method:% = method, route = route.as_deref().unwrap_or("-"),
        status = response.status().as_u16(), took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        "request"
    );
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    allow_pages(headers);
    response
}

/// Whether a browser asks if a page of another origin may make a request (Fetch standard, "CORS-preflight request").
fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Pages of any origin may ask: who they ask for is in the token that they send, and browsers add nothing by themselves.
fn allow_pages(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, x-request-id"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "retry-after, x-request-id"),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The client's own id when it is 1 to 64 of `A-Za-z0-9_-`, else a fresh one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let sane = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    given.filter(sane).map_or_else(|| Uuid::new_v4().simple().to_string(), ToOwned::to_owned)
}
