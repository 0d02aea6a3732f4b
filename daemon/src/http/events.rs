//! Events as they happen, as server-sent events (html.spec.whatwg.org, section 9.2).

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use coffer_api::{Problem, ToldEvent};

use super::extract::Authenticated;
use super::problem::Refusal;
use crate::service::event_stream::{EventStreams, Part};

/// After which time a browser asks again when a stream has ended.
const RETRY_MS: u32 = 3000;

/// Follow what happens, as it happens.
///
/// A stream of server-sent events: each has an `id`, its name as `event`, and as `data` what a webhook gets, without `id`.
/// One sees what lies in folders that one sees; accounts and sessions are for those who may manage people. Every 20 s at
/// least something is sent. The stream ends when the session does, when the vault is locked, and when it is not read for
/// 10 s. With the last `id` in `Last-Event-ID` it goes on where it ended; when that is too long ago (more than 1024
/// events, or before a lock), the event `reset` comes first: look at everything anew.
#[utoipa::path(get, path = "/events", tag = "events", security(("token" = [])),
    extensions(("x-action" = json!("read"))),
    params(("Last-Event-ID" = Option<String>, Header, description = "the `id` of the last event that was seen")), responses(
    (status = 200, description = "the stream", body = ToldEvent, content_type = "text/event-stream"),
    (status = 401, description = "not logged in", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "`limit_reached`: the account follows with ten streams already", body = Problem,
        content_type = "application/problem+json"),
    (status = 503, description = "128 streams are open already", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn stream(
    State(streams): State<Arc<EventStreams>>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    // What is no text is no id of ours: it is answered by a reset.
    let after = headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default());
    let parts = streams.open(caller, after).await?;
    let text = futures_util::stream::unfold(parts, |mut parts| async {
        let part = parts.recv().await?;
        Some((Ok::<_, Infallible>(text(&part)), parts))
    });
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))];
    Ok((content_type, Body::from_stream(text)).into_response())
}

fn text(part: &Part) -> String {
    match part {
        Part::Begin { place, reset: false } => format!("retry: {RETRY_MS}\nid: {}\n\n", place.to_text()),
        Part::Begin { place, reset: true } => {
            format!("retry: {RETRY_MS}\nid: {}\nevent: reset\ndata: {{}}\n\n", place.to_text())
        }
        Part::Event { place, told } => {
            // Plain values become JSON always, in one line.
            let data = serde_json::to_string(told).unwrap_or_default();
            format!("id: {}\nevent: {}\ndata: {data}\n\n", place.to_text(), told.event)
        }
        // With the place: what was passed over because it is not for this client need not be passed over again.
        Part::Heartbeat { place } => format!(": still here\nid: {}\n\n", place.to_text()),
    }
}
