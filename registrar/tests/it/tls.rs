//! TLS by the registrar itself.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream, SupportedProtocolVersion};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::harness::{Cloudflare, Registrar, Where, configure};
use crate::persons::{Key, set};

#[test]
fn it_speaks_tls_1_2_and_1_3_and_nothing_in_clear() {
    let place = Where::sqlite();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(place.file("certificate.pem"), cert.pem()).unwrap();
    place.write_secret("key.pem", &signing_key.serialize_pem());
    let key = Arc::new(Key::ed25519("first", 1));
    std::fs::write(place.file("jwks.json"), set(&[&key])).unwrap();
    let cloudflare = Arc::new(Cloudflare::start());
    let tls = "[tls]\ncertificate_file = \"certificate.pem\"\nkey_file = \"key.pem\"";
    configure(&place, &cloudflare.url, "jwks_file = \"jwks.json\"", tls);
    let roots = RootCerts::new_with_certs(&[Certificate::from_der(cert.der()).to_owned()]);
    let client = Agent::config_builder().http_status_as_error(false).proxy(None);
    let client: Agent = client.tls_config(TlsConfig::builder().root_certs(roots).build()).build().into();
    let mut registrar = Registrar::spawn(&place, cloudflare, key, client).unwrap();
    let address = registrar.url.strip_prefix("https://").unwrap().to_owned();
    registrar.url = registrar.url.replace("127.0.0.1", "localhost");
    registrar.registered("ada", 1);

    let mut trusted = RootCertStore::empty();
    trusted.add(cert.der().clone()).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        assert!(health(&address, &trusted, version).starts_with("HTTP/1.1 200"), "{version:?}");
    }
    let in_clear = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(20))).build();
    let in_clear: Agent = in_clear.into();
    assert!(in_clear.get(format!("http://{address}/health")).call().is_err());
    // Whoever never says anything holds up nobody else.
    let _silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(&address).unwrap()).collect();
    registrar.call("GET", "/health", None, None).expect(200);
}

fn health(address: &str, trusted: &RootCertStore, version: &'static SupportedProtocolVersion) -> String {
    let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(trusted.clone())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    let mut stream = Stream::new(&mut connection, &mut socket);
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, request).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}
