//! A small HTTP/1.1 client over any stream: one request a connection, the reply read to its end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// Long enough for any reply on a loaded machine, short enough to fail a hanging test.
const LIMIT: Duration = Duration::from_mins(1);

/// A reply.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header, or the empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Fails unless the status is this one; gives the body as JSON, or null.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Fails unless it is a problem of that status and code; gives it.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        problem
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(2000)]);
        write!(f, "{} {:?} {body}", self.status, self.headers)
    }
}

/// A stream to the daemon.
pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Opens a connection to a port.
pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Opens a connection to a socket.
pub(crate) fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Sends the head of a request; the caller sends the body.
pub(crate) fn send_head(stream: &mut dyn Stream, method: &str, path: &str, headers: &[(&str, &str)]) {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: coffer\r\nconnection: close\r\n");
    for &(name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
}

/// Sends a whole request and reads the reply.
pub(crate) fn exchange(
    stream: &mut dyn Stream,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let length = body.len().to_string();
    let mut all = vec![("content-length", length.as_str())];
    all.extend_from_slice(headers);
    send_head(stream, method, path, &all);
    // A refusal may come before the body was read; what counts is the reply.
    let _ = stream.write_all(body);
    read_reply(stream).expect("a reply")
}

/// Reads a reply that ends only when it is a refusal; of any other just its status.
pub(crate) fn read_head_of_stream(stream: &mut dyn Stream) -> Reply {
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    let status = std::str::from_utf8(&start[9..]).unwrap().parse().unwrap();
    if status == 200 {
        return Reply { status, headers: Vec::new(), body: Vec::new() };
    }
    read_reply(&mut Rest { start: &start, stream }).expect("a reply")
}

/// A stream of which the start was read already.
struct Rest<'a> {
    start: &'a [u8],
    stream: &'a mut dyn Stream,
}

impl Read for Rest<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.start.read(buffer)? {
            0 => self.stream.read(buffer),
            length => Ok(length),
        }
    }
}

impl Write for Rest<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// Reads a reply to the end of the connection. `None` when the connection broke before its end.
pub(crate) fn read_reply(stream: &mut dyn Stream) -> Option<Reply> {
    let mut bytes = Vec::new();
    // A reset after the reply is how a server refuses a body that it does not want to read.
    let _ = stream.read_to_end(&mut bytes);
    let mut start = 0;
    loop {
        let head_end = start + bytes[start..].windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[start..head_end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        if status == 100 {
            start = head_end;
            continue;
        }
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let reply = Reply { status, headers, body: bytes[head_end..].to_vec() };
        let length = reply.header("content-length").parse::<usize>();
        return match length {
            Ok(length) if length != reply.body.len() && !reply.body.is_empty() => None,
            Ok(_) | Err(_) => Some(reply),
        };
    }
}
