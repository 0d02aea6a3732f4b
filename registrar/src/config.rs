//! The configuration: one TOML file, of which registrar.toml in this folder is the commented template. Secrets are files that
//! it names.

use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::outside::outbound::is_private;

/// Largest file with a secret, or with certificates.
const MAX_BYTES: u64 = 256 * 1024;
/// Where systemd puts credentials (`LoadCredential=`).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Why a configuration is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{path} cannot be read: {cause}")]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("{path} is not accepted: {cause}")]
    Toml { path: PathBuf, cause: toml::de::Error },
    #[error("{0} may be read by everybody on this machine: chmod 0600")]
    Open(PathBuf),
    #[error("{path} holds no {expected}")]
    Content { path: PathBuf, expected: &'static str },
    #[error("{key}: {detail}")]
    Value { key: &'static str, detail: String },
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    sealing_key_file: PathBuf,
    tls: Option<Tls>,
    pub(crate) database: Database,
    pub(crate) users: Users,
    pub(crate) cloudflare: Cloudflare,
    pub(crate) devices: Devices,
    #[serde(default)]
    pub(crate) limits: Limits,
    /// Where relative paths begin.
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate_file: PathBuf,
    key_file: PathBuf,
}

/// Where the database is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Database {
    pub(crate) sqlite: Option<PathBuf>,
    pub(crate) postgres: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
}

/// Whose tokens are believed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Users {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) jwks_file: Option<PathBuf>,
    pub(crate) jwks_url: Option<String>,
}

/// Where tunnels are made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cloudflare {
    #[serde(default = "cloudflare_api")]
    pub(crate) api: String,
    pub(crate) account_id: String,
    pub(crate) zone_id: String,
    pub(crate) token_file: PathBuf,
}

/// The boxes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Devices {
    pub(crate) domain: String,
    #[serde(default = "per_user")]
    pub(crate) per_user: u32,
}

/// How much is allowed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) requests_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_minute: 60 }
    }
}

fn cloudflare_api() -> String {
    "https://api.cloudflare.com/client/v4".to_owned()
}

fn per_user() -> u32 {
    10
}

impl Config {
    /// Reads a file and checks what can be checked without the others.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
        let parsed = toml::from_str(&text).map_err(|cause| ConfigError::Toml { path: path.to_owned(), cause });
        let mut config: Self = parsed?;
        path.parent().unwrap_or(Path::new(".")).clone_into(&mut config.folder);
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key, detail: &str| Err(ConfigError::Value { key, detail: detail.to_owned() });
        if !is_private(&self.cloudflare.api) {
            return wrong("cloudflare.api", "an https address, or an http address of this machine");
        }
        if self.users.jwks_url.as_deref().is_some_and(|url| !is_private(url)) {
            return wrong("users.jwks_url", "an https address, or an http address of this machine");
        }
        if self.users.issuer.is_empty() || self.users.audience.is_empty() {
            return wrong("users", "issuer and audience must not be empty");
        }
        // They become parts of addresses.
        let plain =
            |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !plain(&self.cloudflare.account_id) || !plain(&self.cloudflare.zone_id) {
            return wrong("cloudflare", "account_id and zone_id are letters and digits");
        }
        if !is_domain(&self.devices.domain) {
            return wrong("devices.domain", "a domain name in lower case, like boxes.example.org");
        }
        if self.devices.per_user == 0 || self.limits.requests_per_minute == 0 {
            return wrong("devices.per_user, limits.requests_per_minute", "at least 1");
        }
        Ok(())
    }

    /// The key that seals secrets in the database.
    pub(crate) fn sealing_key(&self) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
        let text = self.secret(&self.sealing_key_file)?;
        let mut key = Zeroizing::new([0; 32]);
        match data_encoding::HEXLOWER_PERMISSIVE.decode_mut(text.as_bytes(), key.as_mut_slice()) {
            Ok(32) if text.len() == 64 => Ok(key),
            Ok(_) | Err(_) => Err(ConfigError::Content {
                path: self.sealing_key_file.clone(),
                expected: "key: 64 hexadecimal digits, as `openssl rand -hex 32` makes them",
            }),
        }
    }

    /// The text of a file with a secret, without white space around it.
    pub(crate) fn secret(&self, file: &Path) -> Result<Zeroizing<String>, ConfigError> {
        let path = self.locate(file);
        let bytes = read(&path, true)?;
        let text = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
        if text.is_empty() {
            return Err(ConfigError::Content { path, expected: "text" });
        }
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// The certificates in a PEM file.
    pub(crate) fn certificates(&self, file: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        let path = self.locate(file);
        let bytes = read(&path, false)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) | Err(_) => Err(ConfigError::Content { path, expected: "certificate in PEM form" }),
        }
    }

    /// What TLS is spoken with; none when a proxy does.
    pub(crate) fn tls(&self) -> Result<Option<rustls::ServerConfig>, ConfigError> {
        let Some(tls) = &self.tls else { return Ok(None) };
        let certificates = self.certificates(&tls.certificate_file)?;
        let path = self.locate(&tls.key_file);
        let key = PrivateKeyDer::from_pem_slice(&read(&path, true)?)
            .map_err(|_| ConfigError::Content { path, expected: "private key in PEM form" })?;
        let wrong = |error: rustls::Error| ConfigError::Value { key: "tls", detail: error.to_string() };
        // TLS 1.2 and 1.3; rustls knows nothing older.
        let mut config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(wrong)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(config))
    }

    /// Where a file is: a relative path begins where systemd put the credentials, or else beside the configuration.
    pub(crate) fn locate(&self, file: &Path) -> PathBuf {
        if let Some(credentials) = std::env::var_os(CREDENTIALS) {
            let path = Path::new(&credentials).join(file);
            if path.exists() {
                return path;
            }
        }
        self.folder.join(file)
    }
}

fn read(path: &Path, secret: bool) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), cause };
    let file = fs::File::open(path).map_err(unreadable)?;
    if secret && file.metadata().map_err(unreadable)?.mode() & 0o007 != 0 {
        return Err(ConfigError::Open(path.to_owned()));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // 253 less a UUID and a dot.
    domain.len() <= 216 && domain.contains('.') && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_accepted_as_it_is() {
        Config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("registrar.toml")).unwrap();
    }

    #[test]
    fn domains_are_recognised() {
        for (domain, expected) in [
            ("boxes.example.org", true),
            ("example.org", true),
            ("x-1.example", true),
            ("localhost", false),
            ("Example.org", false),
            (".example.org", false),
            ("example.org.", false),
            ("-a.example", false),
            ("a_b.example", false),
            ("example.org/x?y=", false),
            ("", false),
        ] {
            assert_eq!(is_domain(domain), expected, "{domain}");
        }
    }
}
