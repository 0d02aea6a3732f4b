//! What a command of this program asks the daemon that runs, on its control socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::cli::HealthOptions;
use crate::exit::Failure;

/// Most that a reply may hold.
const MAX_REPLY_BYTES: u64 = 16 * 1024 * 1024;

/// How long a daemon that says nothing is waited for where an answer is made at once.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);

/// `cofferd health`: prints the health document, for a unit that has no network.
#[expect(clippy::print_stdout, reason = "its result is what this command is for")]
pub(crate) fn print_health(options: &HealthOptions) -> Result<(), Failure> {
    let document = request(&options.daemon.control_socket(), "GET", "/health", "", Some(HEALTH_TIMEOUT))?;
    println!("{}", String::from_utf8_lossy(&document));
    Ok(())
}

/// One request on a connection of its own, which is waited for as long as it takes. A refusal is what its problem says.
pub(crate) fn exchange(socket: &Path, method: &str, path: &str, body: &str) -> Result<Vec<u8>, Failure> {
    request(socket, method, path, body, None)
}

fn request(
    socket: &Path,
    method: &str,
    path: &str,
    body: &str,
    patience: Option<Duration>,
) -> Result<Vec<u8>, Failure> {
    let unreachable = |cause| Failure::Daemon(format!("no daemon answers on {}: {cause}", socket.display()));
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    stream.set_read_timeout(patience).map_err(unreachable)?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: cofferd\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).map_err(unreachable)?;
    let mut reply = Vec::new();
    stream.take(MAX_REPLY_BYTES).read_to_end(&mut reply).map_err(unreachable)?;
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(start)) = parsed.parse(&reply) else {
        return Err(Failure::Daemon("the daemon broke off".to_owned()));
    };
    let status = parsed.code.unwrap_or(0);
    let body = reply.split_off(start);
    if status < 400 {
        return Ok(body);
    }
    let problem: Option<coffer_api::Problem> = serde_json::from_slice(&body).ok();
    Err(Failure::Daemon(problem.map_or_else(|| format!("refused: {status}"), |problem| problem.detail)))
}
