//! A lane for downloads: what lies on the drive goes from the kernel's memory to the socket (sendfile(2)), without two copies
//! through this process, which cost as much as all the rest.
//!
//! It looks at what a connection asks for before hyper does, without taking it off the socket. A plain GET of a content is
//! answered by the same router as ever. When its reply is one part of what lies on the drive it is sent from here, and the
//! next request is looked at. Everything else, as soon as it comes, is hyper's, with the rest of the connection; a reply that
//! was made already goes along, so that nothing is done twice.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::response::Response;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::content::Part;
use crate::model::clock::{Clock, SystemClock};

/// The longest head of a request that is looked at.
const MAX_HEAD_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
/// Where the paths of contents end.
const CONTENT: &str = "/content";

/// A connection that asked for something else.
pub(super) struct Left {
    pub(super) stream: TcpStream,
    /// The reply to what it asks for first, if that was made.
    pub(super) reply: Option<Response>,
}

/// Serves downloads until something else is asked for. `None` when the connection has ended, or is to end.
pub(super) async fn serve<F>(
    stream: TcpStream,
    patience: Duration,
    stop: &CancellationToken,
    answer: impl Fn(Request) -> F,
) -> Option<Left>
where
    F: Future<Output = Response>,
{
    let socket = Arc::new(stream);
    let mut buffer = vec![0; MAX_HEAD_BYTES];
    let reply = loop {
        let asked = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            asked = timeout(patience, socket.peek(&mut buffer)) => asked,
        };
        let Ok(Ok(length @ 1..)) = asked else { return None };
        let Some(download) = Download::parse(buffer.get(..length)?) else { break None };
        let response = answer(download.request).await;
        let Some(part) = response.extensions().get::<Part>().and_then(Part::take) else { break Some(response) };
        let head = head(&response, download.is_last);
        // With its body, which would send the same.
        drop(response);
        let sent = async {
            take(&socket, download.head_bytes).await?;
            part.send_to(&socket, head).await
        };
        if let Err(error) = sent.await {
            // Clients vanish all the time.
            log::debug!(error:% = error; "a download ended early");
            return None;
        }
        if download.is_last {
            return None;
        }
    };
    Some(Left { stream: Arc::into_inner(socket)?, reply })
}

/// A request that may be answered here.
struct Download {
    request: Request,
    head_bytes: usize,
    /// The client wants no further one on this connection.
    is_last: bool,
}

impl Download {
    /// `None` for all that is not a whole, plain GET of a content without a body.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let Ok(httparse::Status::Complete(head_bytes)) = parsed.parse(bytes) else { return None };
        let path = parsed.path.filter(|path| path.split('?').next().is_some_and(|path| path.ends_with(CONTENT)))?;
        if parsed.method != Some("GET") || parsed.version != Some(1) {
            return None;
        }
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = path.parse::<Uri>().ok().filter(|uri| uri.authority().is_none())?;
        let mut is_last = false;
        for header in parsed.headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            match (&name, header.value) {
                (&header::CONTENT_LENGTH, b"0") => {}
                (&header::CONNECTION, value) if value.eq_ignore_ascii_case(b"close") => is_last = true,
                (&header::CONNECTION, value) if value.eq_ignore_ascii_case(b"keep-alive") => {}
                (
                    &(header::CONTENT_LENGTH
                    | header::CONNECTION
                    | header::TRANSFER_ENCODING
                    | header::UPGRADE
                    | header::EXPECT),
                    _,
                ) => return None,
                _ => {}
            }
            request.headers_mut().append(name, HeaderValue::from_bytes(header.value).ok()?);
        }
        Some(Self { request, head_bytes, is_last })
    }
}

/// The head of a reply, as on the wire (RFC 9112, sections 4 and 5).
fn head(response: &Response, is_last: bool) -> Vec<u8> {
    let status = response.status();
    let mut head = Vec::with_capacity(1024);
    for part in ["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default(), "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in response.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    if is_last {
        head.extend_from_slice(b"connection: close\r\n");
    }
    let date = SystemClock.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for part in ["date: ", &date, "\r\n\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    head
}

/// Takes off the socket what was looked at.
async fn take(socket: &TcpStream, length: usize) -> io::Result<()> {
    let mut left = vec![0; length];
    let mut taken = 0;
    while let Some(room) = left.get_mut(taken..).filter(|room| !room.is_empty()) {
        socket.readable().await?;
        match socket.try_read(room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => taken += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str, headers: &str) -> Vec<u8> {
        format!("{line} HTTP/1.1\r\nhost: coffer\r\n{headers}\r\n").into_bytes()
    }

    #[test]
    fn a_plain_download_is_recognised_with_all_that_it_says() {
        let mut bytes =
            request("GET /api/v1/files/1/content?disposition=inline", "range: bytes=1-\r\nconnection: Close\r\n");
        let head_bytes = bytes.len();
        bytes.extend_from_slice(b"GET /next");
        let download = Download::parse(&bytes).unwrap();
        assert_eq!((download.head_bytes, download.is_last), (head_bytes, true));
        assert_eq!(download.request.uri(), "/api/v1/files/1/content?disposition=inline");
        assert_eq!(download.request.headers()["range"], "bytes=1-");
        assert!(!Download::parse(&request("GET /content", "content-length: 0\r\n")).unwrap().is_last);
    }

    #[test]
    fn all_else_is_left_alone() {
        for (line, headers) in [
            ("HEAD /content", ""),
            ("POST /content", "content-length: 0\r\n"),
            ("GET /content/x", ""),
            ("GET /files?name=/content", ""),
            ("GET http://elsewhere/content", ""),
            ("GET /content", "content-length: 1\r\n"),
            ("GET /content", "transfer-encoding: chunked\r\n"),
            ("GET /content", "connection: upgrade\r\n"),
            ("GET /content", "connection: close, te\r\n"),
            ("GET /content", "upgrade: h2c\r\n"),
            ("GET /content", "expect: 100-continue\r\n"),
        ] {
            assert!(Download::parse(&request(line, headers)).is_none(), "{line} {headers}");
        }
        let whole = request("GET /content", "");
        for length in 0..whole.len() {
            assert!(Download::parse(&whole[..length]).is_none(), "cut off after {length}");
        }
        assert!(Download::parse(b"GET /content HTTP/1.0\r\n\r\n").is_none());
        assert!(Download::parse(&request("GET /content", &"a: b\r\n".repeat(MAX_HEADERS))).is_none());
    }
}
