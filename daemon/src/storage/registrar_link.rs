//! The line to a registrar: one JSON document there, one back, over TLS 1.2 or newer, with the certificate verified
//! against the roots that browsers trust and those that whoever set the box up added.
//!
//! Tells apart why there was no answer, as far as a person could act on it.

use std::io::{self, Error as IoError, ErrorKind};
use std::path::Path;
use std::time::Duration;

use rustls::CertificateError;
use ureq::config::Config;
use ureq::http::header;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error};
use zeroize::Zeroizing;

use super::durable;

/// How long a request may take: the registrar makes a tunnel meanwhile.
const LIMIT: Duration = Duration::from_mins(1);
/// How long it may take until there is a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// Largest reply.
const MAX_REPLY_BYTES: u64 = 64 * 1024;
/// Largest head of a reply.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Largest file of additional roots.
const MAX_ROOTS_BYTES: u64 = 256 * 1024;
/// Where the kernel lists its routes; the ones to everywhere lead to the Internet.
const ROUTES: [&str; 2] = ["/proc/net/route", "/proc/net/ipv6_route"];

/// Why there was no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("there is no way to the Internet")]
    NoRoute,
    #[error("the name of the host is not known")]
    UnknownHost,
    #[error("the certificate is from the future, or the clock stands in the past")]
    NotYetValid,
    #[error("the certificate has expired, or the clock stands in the future")]
    Expired,
    #[error("the connection could not be secured")]
    Insecure,
    #[error("no answer in time")]
    TimedOut,
    #[error("the connection failed")]
    Connection,
    #[error("what came back is not an answer")]
    NotAnAnswer,
}

/// A reply, whatever its status.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// What `Retry-After` says, in seconds.
    pub(crate) retry_after: Option<Duration>,
    /// May hold secrets.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Sends requests to registrars.
pub(crate) struct RegistrarLink {
    agent: Agent,
}

impl RegistrarLink {
    /// Trusts the certificates in that PEM file besides those that browsers trust.
    pub(crate) fn new(additional_roots: Option<&Path>) -> io::Result<Self> {
        Ok(Self { agent: agent(additional_roots, LIMIT)? })
    }

    /// Posts a JSON document. Blocks.
    pub(crate) fn post_json(&self, url: &str, body: &[u8]) -> Result<Reply, LinkError> {
        let request = self.agent.post(url).header(header::CONTENT_TYPE, "application/json");
        let mut reply = request.send(body).map_err(|error| refused(&error))?;
        let seconds = reply.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = reply.body_mut().with_config().limit(MAX_REPLY_BYTES).read_to_vec();
        Ok(Reply {
            status: reply.status().as_u16(),
            retry_after: seconds.map(Duration::from_secs),
            body: Zeroizing::new(body.map_err(|_| LinkError::NotAnAnswer)?),
        })
    }
}

/// Speaks https with whoever has a certificate from the roots that browsers trust, or from those in that PEM file; a whole
/// exchange may take as long as `limit`.
pub(super) fn agent(additional_roots: Option<&Path>, limit: Duration) -> io::Result<Agent> {
    let mut roots: Vec<Certificate<'static>> =
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    if let Some(path) = additional_roots {
        roots.extend(certificates(path)?);
    }
    let config = Config::builder()
        .tls_config(TlsConfig::builder().root_certs(RootCerts::from(roots.into_iter())).build())
        .https_only(true)
        .timeout_global(Some(limit))
        .timeout_connect(Some(CONNECT_LIMIT))
        // A redirect would carry the ticket to somebody else.
        .max_redirects(0)
        .http_status_as_error(false)
        // Else an environment variable could send everything elsewhere.
        .proxy(None)
        .max_idle_connections(0)
        .max_response_header_size(MAX_HEAD_BYTES)
        .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(config.into())
}

fn certificates(path: &Path) -> io::Result<Vec<Certificate<'static>>> {
    let pem = durable::read_small_file(path, MAX_ROOTS_BYTES)?;
    let wrong = || IoError::new(ErrorKind::InvalidData, "no certificates in PEM");
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| wrong())? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(wrong()) } else { Ok(found) }
}

/// Why a call failed, as far as a person could act on it.
pub(super) fn refused(error: &Error) -> LinkError {
    match error {
        Error::Io(cause) => refused_by_system(cause),
        Error::Rustls(cause) => insecure(cause),
        Error::Timeout(_) => LinkError::TimedOut,
        Error::HostNotFound => unresolved(),
        Error::Tls(_) | Error::Pem(_) => LinkError::Insecure,
        Error::Protocol(_) | Error::Http(_) => LinkError::NotAnAnswer,
        _ => LinkError::Connection,
    }
}

fn refused_by_system(error: &IoError) -> LinkError {
    if let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        return insecure(cause);
    }
    match error.kind() {
        ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => LinkError::NoRoute,
        ErrorKind::HostUnreachable if !has_route() => LinkError::NoRoute,
        ErrorKind::TimedOut => LinkError::TimedOut,
        ErrorKind::InvalidData => LinkError::Insecure,
        // As the resolver of the C library reports it.
        _ if error.to_string().contains("lookup address") => unresolved(),
        _ => LinkError::Connection,
    }
}

fn insecure(error: &rustls::Error) -> LinkError {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => LinkError::NotYetValid,
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            LinkError::Expired
        }
        _ => LinkError::Insecure,
    }
}

/// The resolver says the same when nobody can be asked as when nobody answers.
fn unresolved() -> LinkError {
    if has_route() { LinkError::UnknownHost } else { LinkError::NoRoute }
}

/// Whether there is a way to everywhere. What cannot be read is no proof of the contrary.
fn has_route() -> bool {
    let tables = ROUTES.map(|path| std::fs::read_to_string(path).ok());
    tables.iter().all(Option::is_none) || tables.iter().flatten().any(|table| leads_everywhere(table))
}

/// Either table (kernel: `fib_route_seq_show` and `rt6_info_route` in net/): the destination and the mask, or the length
/// of the prefix, are zero, and it is not the loopback device, by which the kernel says "nowhere" in IPv6.
fn leads_everywhere(table: &str) -> bool {
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_zero = |index: usize| fields.get(index).is_some_and(|field| field.bytes().all(|byte| byte == b'0'));
        match fields.len() {
            10 => is_zero(0) && is_zero(1) && fields.last() != Some(&"lo"),
            11 => is_zero(1) && is_zero(7) && fields.first() != Some(&"lo"),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_route_is_recognised_in_both_tables() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let local = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        let default = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        assert!(!leads_everywhere(v4));
        assert!(!leads_everywhere(&format!("{v4}{local}")));
        assert!(leads_everywhere(&format!("{v4}{local}{default}")));
        let zero = "0".repeat(32);
        let v6 = |device: &str| format!("{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 {device}\n");
        assert!(!leads_everywhere(&v6("lo")));
        assert!(leads_everywhere(&v6("wlan0")));
        assert!(!leads_everywhere("fe800000000000000000000000000000 40 0 00 0 0 0 0 0 wlan0"));
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_apart() {
        use rustls::Error::InvalidCertificate;
        for (cause, expected) in [
            (InvalidCertificate(CertificateError::NotValidYet), LinkError::NotYetValid),
            (InvalidCertificate(CertificateError::Expired), LinkError::Expired),
            (InvalidCertificate(CertificateError::UnknownIssuer), LinkError::Insecure),
            (rustls::Error::DecryptError, LinkError::Insecure),
        ] {
            assert_eq!(insecure(&cause), expected);
            assert_eq!(refused_by_system(&IoError::new(ErrorKind::InvalidData, cause)), expected);
        }
        assert_eq!(refused_by_system(&ErrorKind::NetworkUnreachable.into()), LinkError::NoRoute);
        assert_eq!(refused_by_system(&ErrorKind::ConnectionRefused.into()), LinkError::Connection);
    }
}
