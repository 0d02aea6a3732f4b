//! The reply that carries a content: which part of it, under which headers, and whether a browser may show it.
//!
//! Knows nothing of where the content comes from and who may have it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Extension;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::conditional::{Wanted, wanted};
use super::problem::{Refusal, RequestProblem};
use crate::model::file::Sha256;
use crate::model::media_type::MediaType;
use crate::service::Error;
use crate::service::transfer::{Content, OnDrive, Piece};

/// The type of what a browser must not look into.
const OPAQUE: &str = "application/octet-stream";

/// For what is shown: it runs no script, has no origin, and loads nothing but itself. The styles are those that browsers
/// bring along for a picture or a text that stands alone.
const SHOWN_POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; object-src 'self'; style-src 'unsafe-inline'; \
     frame-ancestors 'self'",
);

/// A content as it is described to a client.
pub(super) struct Described<'a> {
    /// Name of the file, for whoever saves it.
    pub(super) file_name: &'a str,
    pub(super) media_type: &'a str,
    pub(super) size_bytes: u64,
    pub(super) sha256: &'a Sha256,
}

/// What a browser should do with a content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Disposition {
    /// Save it.
    #[default]
    Attachment,
    /// Show it, when it is of a kind that is safe to show: images but SVG, sound, films, PDF, plain text.
    Inline,
}

/// How a content is wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ContentParameters {
    /// `inline` to look at it, where that is safe; `attachment` when absent.
    #[serde(default)]
    #[param(inline)]
    pub(super) disposition: Disposition,
}

/// Answers a GET or HEAD of a content. `read` is called at most once, when some of it is to be sent.
pub(super) async fn serve<F>(
    content: Described<'_>,
    disposition: Disposition,
    method: &Method,
    headers: &HeaderMap,
    read: impl FnOnce(Vec<Piece>) -> F,
) -> Result<Response, Refusal>
where
    F: Future<Output = Result<Content, Error>>,
{
    let size_bytes = content.size_bytes;
    let mut described = content_headers(&content, disposition);
    let (status, pieces) = match wanted(headers, size_bytes, &etag(content.sha256)) {
        Wanted::Whole => (StatusCode::OK, vec![Piece::Part(0..size_bytes)]),
        Wanted::Part(range) => {
            insert(&mut described, header::CONTENT_RANGE, &content_range(&range, size_bytes));
            (StatusCode::PARTIAL_CONTENT, vec![Piece::Part(range)])
        }
        Wanted::Parts(ranges) => {
            let boundary = Uuid::new_v4().simple().to_string();
            let pieces = multipart(&described, &boundary, &ranges, size_bytes);
            insert(&mut described, header::CONTENT_TYPE, &format!("multipart/byteranges; boundary={boundary}"));
            (StatusCode::PARTIAL_CONTENT, pieces)
        }
        Wanted::NotModified => return Ok((StatusCode::NOT_MODIFIED, described).into_response()),
        Wanted::Outside => return Err(Refusal::Request(RequestProblem::RangeOutside { size_bytes })),
    };
    let length: u64 = pieces.iter().map(Piece::length).sum();
    described.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if method == Method::HEAD {
        return Ok((status, described).into_response());
    }
    Ok(match read(pieces).await? {
        Content::OnDrive(part) => {
            let part = Part(Arc::new(Mutex::new(Some(part))));
            let taken = part.clone();
            let blocks = stream::once(async move { taken.take() }).filter_map(std::future::ready);
            let body = Body::from_stream(blocks.flat_map(|part| Content::OnDrive(part).into_stream().boxed()));
            (status, described, Extension(part), body).into_response()
        }
        content => (status, described, body(content)).into_response(),
    })
}

/// The content of a reply, for whoever can send it faster than its body does. It is there once, for one of the two.
#[derive(Clone)]
pub(super) struct Part(Arc<Mutex<Option<OnDrive>>>);

impl Part {
    /// Takes it away from the body.
    pub(super) fn take(&self) -> Option<OnDrive> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body of what a service sends.
pub(super) fn body(content: Content) -> Body {
    match content {
        Content::Whole(bytes) => Body::from(bytes),
        content => Body::from_stream(content.into_stream()),
    }
}

/// The strong tag of a content, with its quotes.
pub(super) fn etag(sha256: &Sha256) -> String {
    format!("\"{sha256}\"")
}

/// RFC 6266: a plain name for old clients, and the real one encoded by RFC 8187.
pub(super) fn content_disposition(disposition: Disposition, file_name: &str) -> String {
    use std::fmt::Write as _;
    let plain: String = file_name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' })
        .collect();
    let kind = match disposition {
        Disposition::Attachment => "attachment",
        Disposition::Inline => "inline",
    };
    let mut value = format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''");
    for byte in file_name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            value.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(value, "%{byte:02X}");
        }
    }
    value
}

/// Sets a header whose value is made of what was checked before.
pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Nothing that could be a page with a script is ever shown inside of our own origin, whatever it claims to be.
fn content_headers(content: &Described<'_>, disposition: Disposition) -> HeaderMap {
    let shown = disposition == Disposition::Inline && MediaType::kept(content.media_type.to_owned()).is_safe_inline();
    let disposition = if shown { Disposition::Inline } else { Disposition::Attachment };
    let media_type = match content.media_type {
        _ if !shown => OPAQUE.to_owned(),
        text @ "text/plain" => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    let mut headers = HeaderMap::new();
    insert(&mut headers, header::CONTENT_TYPE, &media_type);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Kept by the client, but asked about each time: rights may have ended.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    insert(&mut headers, header::ETAG, &etag(content.sha256));
    insert(&mut headers, header::CONTENT_DISPOSITION, &content_disposition(disposition, content.file_name));
    if shown {
        headers.insert(header::CONTENT_SECURITY_POLICY, SHOWN_POLICY);
    }
    headers
}

/// RFC 9110, section 14.6. The boundary is random: nobody can put it into a content.
fn multipart(described: &HeaderMap, boundary: &str, ranges: &[Range<u64>], size_bytes: u64) -> Vec<Piece> {
    let media_type = described.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or(OPAQUE);
    let mut pieces = Vec::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        let line_end = if pieces.is_empty() { "" } else { "\r\n" };
        let content_range = content_range(range, size_bytes);
        let head =
            format!("{line_end}--{boundary}\r\ncontent-type: {media_type}\r\ncontent-range: {content_range}\r\n\r\n");
        pieces.push(Piece::Bytes(Bytes::from(head)));
        pieces.push(Piece::Part(range.clone()));
    }
    pieces.push(Piece::Bytes(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    pieces
}

fn content_range(range: &Range<u64>, size_bytes: u64) -> String {
    format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_survives_the_header() {
        let attachment = |name| content_disposition(Disposition::Attachment, name);
        assert_eq!(attachment("a b.txt"), "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt");
        assert_eq!(attachment("é\";x"), "attachment; filename=\"__;x\"; filename*=UTF-8''%C3%A9%22%3Bx");
    }

    #[test]
    fn only_what_is_safe_is_shown_and_under_its_own_type() {
        for (media_type, disposition, expected) in [
            ("image/png", Disposition::Inline, Some("image/png")),
            ("text/plain", Disposition::Inline, Some("text/plain; charset=utf-8")),
            ("application/pdf", Disposition::Inline, Some("application/pdf")),
            ("video/mp4", Disposition::Inline, Some("video/mp4")),
            ("image/svg+xml", Disposition::Inline, None),
            ("text/html", Disposition::Inline, None),
            ("application/xhtml+xml", Disposition::Inline, None),
            ("image/png", Disposition::Attachment, None),
        ] {
            let sha256 = Sha256([0; 32]);
            let content = Described { file_name: "f", media_type, size_bytes: 1, sha256: &sha256 };
            let headers = content_headers(&content, disposition);
            let text = |name| headers.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(text(header::CONTENT_TYPE), Some(expected.unwrap_or(OPAQUE)), "{media_type}");
            let kind = text(header::CONTENT_DISPOSITION).unwrap().split(';').next();
            assert_eq!(kind, Some(if expected.is_some() { "inline" } else { "attachment" }), "{media_type}");
            let sandboxed = text(header::CONTENT_SECURITY_POLICY).is_some_and(|policy| policy.starts_with("sandbox;"));
            assert_eq!(sandboxed, expected.is_some(), "{media_type}");
        }
    }
}
