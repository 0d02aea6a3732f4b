//! Requests to the outside: one at a time, to addresses that are looked at before they are connected to.
//!
//! Whoever names a URL must not reach what only this box can reach: its own services, the other machines' link-local
//! addresses and the metadata services of clouds. Names are resolved here, and the addresses that were looked at are
//! those that are connected to. Private networks are allowed: in a home the receiver lives there.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};
use zeroize::Zeroizing;

/// How long a request may take, from resolving the name to the end of the reply.
const LIMIT: Duration = Duration::from_secs(10);
/// How much of a reply is read, so that the receiver can finish writing. It is not looked at.
const MAX_REPLY_BYTES: u64 = 4096;
/// Longest URL that secrets are sent to.
const MAX_URL_BYTES: usize = 2000;
/// Largest head of a reply.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Why there was no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("the address is not allowed: it is this box itself, or link-local")]
    Forbidden,
    #[error("the name of the host is not known")]
    UnknownHost,
    #[error("no answer in time")]
    TimedOut,
    #[error("the connection could not be secured: check the receiver's certificate")]
    Insecure,
    #[error("the connection failed")]
    Connection,
    #[error("what came back is not HTTP")]
    NotHttp,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Its beginning.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Sends requests.
pub(crate) struct Outbound {
    agent: Agent,
    local_too: bool,
}

impl Outbound {
    /// With `local_too` this box itself and link-local addresses may be reached as well.
    pub(crate) fn new(local_too: bool) -> Self {
        let config = Config::builder()
            .timeout_global(Some(LIMIT))
            .max_redirects(0)
            .http_status_as_error(false)
            // Else an environment variable could send everything elsewhere.
            .proxy(None)
            .max_idle_connections(0)
            .max_response_header_size(MAX_HEAD_BYTES)
            .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = Guarded { local_too, names: DefaultResolver::default() };
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), resolver), local_too }
    }

    /// Whether an address may be reached.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.local_too || is_elsewhere(address)
    }

    /// Posts a JSON document; gives the status of the reply. Redirects are not followed. Blocks.
    pub(crate) fn post_json(&self, url: &str, headers: &[(&str, &str)], body: &str) -> Result<u16, OutboundError> {
        let headers = [&[("content-type", "application/json")][..], headers].concat();
        Ok(self.post(url, &headers, body, MAX_REPLY_BYTES)?.status)
    }

    /// Posts a text; gives the reply, of which so many bytes are read. Redirects are not followed. Blocks.
    pub(crate) fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
        limit_bytes: u64,
    ) -> Result<Reply, OutboundError> {
        let mut request = self.agent.post(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = request.send(body).map_err(|error| refused(&error))?;
        let status = reply.status().as_u16();
        let mut body = Zeroizing::new(Vec::new());
        // A reply that breaks off after its head is a reply all the same.
        let _ = reply.into_body().into_reader().take(limit_bytes).read_to_end(&mut body);
        Ok(Reply { status, body })
    }

    /// Why a URL is not one to send secrets to: it has to be of `https`, except for this box itself where that may be reached.
    pub(crate) fn check_secret_url(&self, url: &str) -> Result<(), &'static str> {
        const NO_URL: &str = "it needs an https URL, without a user name and a fragment";
        let is_plain = url.len() <= MAX_URL_BYTES && url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let uri: Uri = url.parse().ok().filter(|_| is_plain).ok_or(NO_URL)?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(NO_URL)?;
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        if address.is_some_and(|address| !self.allows(address)) {
            return Err("this box itself and link-local addresses are not allowed");
        }
        let is_here = self.local_too && address.is_some_and(|address| address.is_loopback());
        match uri.scheme_str() {
            Some("https") if !host.is_empty() => Ok(()),
            Some("http") if is_here => Ok(()),
            Some(_) | None => Err(NO_URL),
        }
    }

    /// The address of a host that may be reached, for what is no HTTP. Blocks.
    pub(crate) fn resolve(&self, host: &str, port: u16) -> Result<SocketAddr, OutboundError> {
        let mut found = (host, port).to_socket_addrs().map_err(|_| OutboundError::UnknownHost)?;
        found.find(|address| self.allows(address.ip())).ok_or(OutboundError::Forbidden)
    }
}

fn refused(error: &Error) -> OutboundError {
    match error {
        Error::Io(cause) if cause.kind() == ErrorKind::PermissionDenied => OutboundError::Forbidden,
        Error::Io(cause) if cause.kind() == ErrorKind::TimedOut => OutboundError::TimedOut,
        Error::Timeout(_) => OutboundError::TimedOut,
        Error::HostNotFound => OutboundError::UnknownHost,
        // As the resolver of the C library reports it.
        Error::Io(cause) if cause.to_string().contains("lookup address") => OutboundError::UnknownHost,
        Error::Tls(_) | Error::Rustls(_) | Error::Pem(_) => OutboundError::Insecure,
        Error::Io(cause) if cause.kind() == ErrorKind::InvalidData => OutboundError::Insecure,
        Error::Protocol(_) | Error::Http(_) => OutboundError::NotHttp,
        _ => OutboundError::Connection,
    }
}

/// Resolves names, and keeps the addresses that may be reached.
#[derive(Debug)]
struct Guarded {
    local_too: bool,
    names: DefaultResolver,
}

impl Resolver for Guarded {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in found.iter().filter(|address| self.local_too || is_elsewhere(address.ip())) {
            allowed.push(*address);
        }
        if allowed.is_empty() { Err(Error::Io(ErrorKind::PermissionDenied.into())) } else { Ok(allowed) }
    }
}

/// Whether an address belongs to another machine, be it in the same private network.
fn is_elsewhere(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_elsewhere_v4(address),
        IpAddr::V6(address) => is_elsewhere_v6(address),
    }
}

fn is_elsewhere_v4(address: Ipv4Addr) -> bool {
    let this_network = address.octets()[0] == 0;
    let reserved = address.octets()[0] >= 240;
    !(this_network || address.is_loopback() || address.is_link_local() || address.is_multicast() || reserved)
}

/// IPv6 can carry IPv4 addresses, which routers or the kernel may unpack: NAT64 (RFC 6052), 6to4 (RFC 3056), and the
/// old compatible ones (RFC 4291, section 2.5.5.1).
fn is_elsewhere_v6(address: Ipv6Addr) -> bool {
    let carried = |high: u16, low: u16| is_elsewhere_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // Also the unspecified address and loopback: 0.0.0.0 and 0.0.0.1.
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            carried(high, low)
        }
        _ => !(address.is_multicast() || address.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_box_and_link_local_ones_are_not_elsewhere() {
        for (address, expected) in [
            ("93.184.216.34", true),
            ("10.1.2.3", true),
            ("172.16.0.9", true),
            ("192.168.178.20", true),
            ("100.64.0.1", true),
            ("fd00::7", true),
            ("2001:db8::1", true),
            ("64:ff9b::5db8:d822", true),
            ("127.0.0.1", false),
            ("127.8.9.10", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("169.254.169.254", false),
            ("224.0.0.251", false),
            ("255.255.255.255", false),
            ("240.0.0.1", false),
            ("::", false),
            ("::1", false),
            ("::7f00:1", false),
            ("fe80::1", false),
            ("febf::1", false),
            ("ff02::fb", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::ffff:192.168.1.1", true),
            ("64:ff9b::7f00:1", false),
            ("2002:7f00:1::", false),
            ("2002:a9fe:a9fe::1", false),
        ] {
            assert_eq!(is_elsewhere(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn secrets_go_over_https_and_not_to_this_box() {
        for (url, is_fine, is_fine_with_local_too) in [
            ("https://example.org/rotate", true, true),
            ("https://192.168.1.7:8443/", true, true),
            ("https://127.0.0.1/", false, true),
            ("https://[::1]/", false, true),
            ("http://127.0.0.1:8000/", false, true),
            ("http://example.org/", false, false),
            ("http://192.168.1.7/", false, false),
            ("https://user@example.org/", false, false),
            ("https://example.org/#x", false, false),
            ("ftp://example.org/", false, false),
            ("example.org", false, false),
            ("", false, false),
        ] {
            assert_eq!(Outbound::new(false).check_secret_url(url).is_ok(), is_fine, "{url}");
            assert_eq!(Outbound::new(true).check_secret_url(url).is_ok(), is_fine_with_local_too, "{url}");
        }
    }

    #[test]
    fn a_name_for_this_box_is_not_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]", "127.1", "2130706433"] {
            let refused = Outbound::new(false).post_json(&format!("http://{host}:{port}/"), &[], "{}");
            // Whether the shorthands are addresses at all is up to the C library.
            let unreached = [OutboundError::Forbidden, OutboundError::UnknownHost];
            assert!(unreached.contains(&refused.unwrap_err()), "{host}");
        }
        assert!(listener.accept().is_err(), "nobody connected");
    }
}
