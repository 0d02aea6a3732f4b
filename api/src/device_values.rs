//! What can be said of a box from outside: its name, where it registers, how it is reached. Values that cannot be wrong, for
//! all who take them from somebody.

use std::fmt;

use data_encoding::BASE64;
use serde::Deserialize;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Longest name of a box: it is shown on phones, and is a label of a host name.
const MAX_NAME: usize = 32;

/// Longest URL, and longest host name (RFC 1035, section 2.3.4).
const MAX_URL: usize = 300;
const MAX_HOSTNAME: usize = 253;

/// Largest ticket or token. A person's token holds claims; the sealed channel carries 8 KiB.
const MAX_CREDENTIAL: usize = 8 * 1024;

/// Largest token of a tunnel. Today's have under 300 characters.
const MAX_TUNNEL_TOKEN: usize = 4096;

/// A value that is not acceptable; the text says why, and never repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unacceptable(&'static str);

/// The name of a box: one label of a host name (RFC 1123, section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName(String);

impl DeviceName {
    /// Lowers the case.
    pub fn parse(text: &str) -> Result<Self, Unacceptable> {
        let name = text.to_ascii_lowercase();
        if is_label(&name) && name.len() <= MAX_NAME {
            Ok(Self(name))
        } else {
            Err(Unacceptable("1 to 32 letters, digits and dashes, not beginning or ending with a dash"))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a registrar is: an `https` URL without user name, query and fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrarUrl(String);

impl RegistrarUrl {
    /// Takes a slash at the end away.
    pub fn parse(text: &str) -> Result<Self, Unacceptable> {
        let wrong = Unacceptable("an https URL without user name, query and fragment, of at most 300 characters");
        let rest = text.strip_prefix("https://").ok_or(wrong)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte));
        if text.len() <= MAX_URL && is_authority(authority) && plain {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(wrong)
        }
    }

    /// The address that boxes register at.
    pub fn register_device(&self) -> String {
        format!("{}/register-device", self.0)
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the box is reached from afar: `https://` and a host, nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// As a registrar gives it.
    pub fn parse(text: &str) -> Result<Self, Unacceptable> {
        let wrong = Unacceptable("an https URL of a host");
        let authority = text.strip_prefix("https://").ok_or(wrong)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if text.len() <= MAX_URL && is_authority(authority) {
            Ok(Self(format!("https://{authority}")))
        } else {
            Err(wrong)
        }
    }

    /// Of a host name that somebody typed.
    pub fn of_hostname(text: &str) -> Result<Self, Unacceptable> {
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let public = name.contains('.') && !name.rsplit('.').next().is_some_and(is_number);
        if is_hostname(&name) && public {
            Ok(Self(format!("https://{name}")))
        } else {
            Err(Unacceptable("a host name with at least one dot, without a scheme, a port or a path"))
        }
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What proves to a registrar whose box this is going to be.
#[derive(Clone)]
pub enum Credential {
    /// Somebody who may, has made it for one box.
    Ticket(Zeroizing<String>),
    /// Of the person.
    UserToken(Zeroizing<String>),
}

impl Credential {
    /// Visible ASCII, as both go into JSON and logs of others.
    pub fn check(text: &str) -> Result<Zeroizing<String>, Unacceptable> {
        if (1..=MAX_CREDENTIAL).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Zeroizing::new(text.to_owned()))
        } else {
            Err(Unacceptable("1 to 8192 visible characters of ASCII"))
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ticket(_) => "Ticket(..)",
            Self::UserToken(_) => "UserToken(..)",
        })
    }
}

/// What `cloudflared` is given: JSON with the account, the secret and the id of a tunnel, in base64.
#[derive(Clone)]
pub struct TunnelToken(Zeroizing<String>);

/// Fields that we do not know are Cloudflare's to add.
#[derive(Deserialize)]
struct TunnelTokenContent {
    a: Zeroizing<String>,
    s: Zeroizing<String>,
    t: Uuid,
}

impl TunnelToken {
    /// Spaces around it come with copying.
    pub fn parse(text: &str) -> Result<Self, Unacceptable> {
        let wrong = Unacceptable("not the token of a Cloudflare tunnel: copy all of what follows `--token`");
        let text = text.trim();
        if text.len() > MAX_TUNNEL_TOKEN {
            return Err(wrong);
        }
        let json = BASE64.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| wrong)?;
        let content: TunnelTokenContent = serde_json::from_slice(&json).map_err(|_| wrong)?;
        let secret = BASE64.decode(content.s.as_bytes()).map(Zeroizing::new).map_err(|_| wrong)?;
        let sane = !content.a.is_empty() && content.a.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if sane && !secret.is_empty() && !content.t.is_nil() {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(wrong)
        }
    }

    /// As a registrar gives it, which knows better than we do what `cloudflared` takes today.
    pub fn of_registrar(text: &str) -> Result<Self, Unacceptable> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && (1..=MAX_TUNNEL_TOKEN).contains(&text.len()) {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(Unacceptable("not a token"))
        }
    }

    /// The token itself. Do not log it.
    pub fn expose(&self) -> &Zeroizing<String> {
        &self.0
    }
}

/// A host and maybe a port.
fn is_authority(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    is_hostname(&host.to_ascii_lowercase()) && port.is_none_or(|port| is_number(port) && port.parse::<u16>().is_ok())
}

fn is_hostname(name: &str) -> bool {
    name.len() <= MAX_HOSTNAME && name.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (1..=63).contains(&text.len()) && plain && !text.starts_with('-') && !text.ends_with('-')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label_of_a_host_name() {
        for (name, expected) in [
            ("coffer", Some("coffer")),
            ("Attic-2", Some("attic-2")),
            ("7", Some("7")),
            ("", None),
            ("-a", None),
            ("a-", None),
            ("a b", None),
            ("a.b", None),
            ("käse", None),
            (&"a".repeat(32), Some(&*"a".repeat(32))),
            (&"a".repeat(33), None),
        ] {
            assert_eq!(DeviceName::parse(name).ok().as_ref().map(DeviceName::as_str), expected, "{name}");
        }
    }

    #[test]
    fn a_registrar_is_spoken_to_over_tls() {
        for (url, expected) in [
            ("https://registrar.example", Some("https://registrar.example/register-device")),
            ("https://registrar.example/", Some("https://registrar.example/register-device")),
            ("https://localhost:8443/functions/v1", Some("https://localhost:8443/functions/v1/register-device")),
            ("http://registrar.example", None),
            ("https://", None),
            ("https://user@registrar.example", None),
            ("https://registrar.example?a=b", None),
            ("https://registrar.example/#x", None),
            ("https://registrar.example:99999", None),
            ("https://registrar.example:", None),
            ("https://reg istrar.example", None),
            ("https://registrar.example/a\r\nb", None),
            ("", None),
        ] {
            assert_eq!(RegistrarUrl::parse(url).ok().map(|url| url.register_device()).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_public_address_is_a_host_and_nothing_else() {
        for (text, expected) in [
            ("files.example.org", Some("https://files.example.org")),
            ("Files.Example.org.", Some("https://files.example.org")),
            ("localhost", None),
            ("192.168.1.2", None),
            ("https://files.example.org", None),
            ("files.example.org/x", None),
            ("files.example.org:443", None),
            ("", None),
        ] {
            let url = ServerUrl::of_hostname(text).ok();
            assert_eq!(url.as_ref().map(ServerUrl::as_str), expected, "{text}");
        }
        assert_eq!(ServerUrl::parse("https://a.example/").unwrap().as_str(), "https://a.example");
        assert!(ServerUrl::parse("https://a.example/x").is_err());
        assert!(ServerUrl::parse("http://a.example").is_err());
    }

    #[test]
    fn a_tunnel_token_holds_an_account_a_secret_and_a_tunnel() {
        let token = |json: &str| TunnelToken::parse(&BASE64.encode(json.as_bytes())).is_ok();
        let id = "6ff42ae2-765d-4adf-8112-31c55c1551ef";
        assert!(token(&format!(r#"{{"a":"1f2e","s":"c2VjcmV0","t":"{id}"}}"#)));
        assert!(token(&format!(r#"{{"a":"1f2e","s":"c2VjcmV0","t":"{id}","e":"eu"}}"#)));
        assert!(!token(&format!(r#"{{"a":"","s":"c2VjcmV0","t":"{id}"}}"#)));
        assert!(!token(&format!(r#"{{"a":"1f2e","s":"","t":"{id}"}}"#)));
        assert!(!token(&format!(r#"{{"a":"1f2e","s":"?","t":"{id}"}}"#)));
        assert!(!token(r#"{"a":"1f2e","s":"c2VjcmV0","t":"x"}"#));
        assert!(!token(r#"{"a":"1f2e","s":"c2VjcmV0"}"#));
        assert!(TunnelToken::parse("eyJhIjoi").is_err());
        assert!(TunnelToken::parse("").is_err());
        let whole = BASE64.encode(format!(r#"{{"a":"1f2e","s":"c2VjcmV0","t":"{id}"}}"#).as_bytes());
        assert_eq!(TunnelToken::parse(&format!(" {whole}\n")).unwrap().expose().as_str(), whole);
    }
}
