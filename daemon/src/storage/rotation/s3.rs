//! An access key of a user of IAM, as S3 and what is compatible with it take them. The other side makes it, and there can be two:
//! the old one is deleted last.
//!
//! Requests are signed by Signature Version 4 (docs.aws.amazon.com, "Create a signed AWS API request"); the API is that of
//! 2010-05-08.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use ureq::http::Uri;
use zeroize::Zeroizing;

use super::http::failed;
use super::{Credential, Now, Provider, Refusal};
use crate::storage::outbound::Outbound;

/// Longest reply: it lists two keys at most.
const MAX_REPLY_BYTES: u64 = 64 * 1024;
/// A new key is known everywhere after some seconds: how often it is tried, and the pause between.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(4);
/// What a key is refused with that is known, and may not ask this.
const NOT_ALLOWED: &str = "AccessDenied";

/// Where IAM is.
pub(super) struct Place {
    pub(super) endpoint: String,
    pub(super) region: String,
}

/// What signs a request.
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: Zeroizing<String>,
}

pub(super) struct AccessKey {
    pub(super) outbound: Arc<Outbound>,
    pub(super) now: Now,
    pub(super) place: Place,
    pub(super) user_name: String,
    pub(super) admin: Key,
}

/// Why a request brought nothing.
struct Failed {
    refusal: Refusal,
    /// As the other side calls it.
    code: String,
}

impl AccessKey {
    fn ask(&self, key: &Key, action: &str, more: &[(&str, &str)]) -> Result<Zeroizing<String>, Failed> {
        let parameters = [&[("Action", action), ("Version", "2010-05-08")][..], more].concat();
        let body =
            parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&");
        let now = (self.now)();
        let no_url = || Failed { refusal: Refusal::certain("the endpoint is no URL"), code: String::new() };
        let uri: Uri = self.place.endpoint.parse().map_err(|_| no_url())?;
        let host = uri.authority().ok_or_else(no_url)?.as_str().to_owned();
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        let signature = signature(key, &self.place.region, now, &Request { host: &host, path, body: &body });
        let at = stamp(now);
        let headers =
            [("content-type", CONTENT_TYPE), ("x-amz-date", at.as_str()), ("authorization", signature.as_str())];
        let reply = self.outbound.post(&self.place.endpoint, &headers, &body, MAX_REPLY_BYTES);
        let reply = reply.map_err(|error| Failed { refusal: failed(error), code: String::new() })?;
        let text = Zeroizing::new(String::from_utf8_lossy(&reply.body).into_owned());
        if reply.status == 200 {
            return Ok(text);
        }
        let code = element(&text, "Code").unwrap_or_default();
        let refusal = Refusal { text: format!("{action}: {} {code}", reply.status), is_certain: reply.status < 500 };
        Err(Failed { refusal, code })
    }

    fn of_user(&self, action: &str, key_id: Option<&str>) -> Result<Zeroizing<String>, Failed> {
        let mut parameters = vec![("UserName", self.user_name.as_str())];
        parameters.extend(key_id.map(|id| ("AccessKeyId", id)));
        self.ask(&self.admin, action, &parameters)
    }

    /// Deletes what an interrupted attempt has made, and nobody knows the secret of.
    fn clean(&self, known: &[String]) -> Result<(), Refusal> {
        let listed =
            self.of_user("ListAccessKeys", None).map_err(|failed| Refusal { is_certain: true, ..failed.refusal })?;
        for id in elements(&listed, "AccessKeyId").filter(|id| !known.contains(id)) {
            self.revoke(&id).map_err(|refusal| Refusal { is_certain: true, ..refusal })?;
        }
        Ok(())
    }
}

impl Provider for AccessKey {
    fn make(&self, _: &[u8; 32]) -> Result<Option<Credential>, Refusal> {
        Ok(None)
    }

    fn apply(&self, _: Option<&Credential>, known: &[String], is_again: bool) -> Result<Option<Credential>, Refusal> {
        if is_again && !known.is_empty() {
            self.clean(known)?;
        }
        let made = self.of_user("CreateAccessKey", None).map_err(|failed| failed.refusal)?;
        let unread = || Refusal::uncertain("CreateAccessKey: the reply is not understood");
        let id = element(&made, "AccessKeyId").ok_or_else(unread)?;
        let secret = element(&made, "SecretAccessKey").map(Zeroizing::new).ok_or_else(unread)?;
        Ok(Some(Credential { value: secret, handle: Some(id) }))
    }

    fn verify(&self, credential: &Credential) -> Result<(), Refusal> {
        let id = credential.handle.clone().unwrap_or_default();
        let key = Key { id, secret: credential.value.clone() };
        let mut refused = Refusal::certain("the new key was not tried");
        for attempt in 0..TRIES {
            if attempt > 0 {
                std::thread::park_timeout(PAUSE);
            }
            match self.ask(&key, "GetUser", &[]) {
                Err(failed) if failed.code != NOT_ALLOWED => refused = failed.refusal,
                Ok(_) | Err(_) => return Ok(()),
            }
        }
        Err(refused)
    }

    fn revoke(&self, handle: &str) -> Result<(), Refusal> {
        match self.of_user("DeleteAccessKey", Some(handle)) {
            Ok(_) => Ok(()),
            Err(failed) if failed.code == "NoSuchEntity" => Ok(()),
            Err(failed) => Err(failed.refusal),
        }
    }
}

const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// What of a request is signed.
struct Request<'a> {
    host: &'a str,
    path: &'a str,
    body: &'a str,
}

fn stamp(now: Timestamp) -> String {
    now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The value of `Authorization`.
fn signature(key: &Key, region: &str, now: Timestamp, request: &Request<'_>) -> String {
    const SIGNED: &str = "content-type;host;x-amz-date";
    let (at, day) = (stamp(now), now.to_zoned(TimeZone::UTC).strftime("%Y%m%d").to_string());
    let Request { host, path, body } = request;
    let canonical =
        format!("POST\n{path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\nx-amz-date:{at}\n\n{SIGNED}\n{}", hex(body));
    let scope = format!("{day}/{region}/iam/aws4_request");
    let signed = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&canonical));
    let signature = HEXLOWER.encode(&mac(&signing_key(&key.secret, &day, region), &signed));
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={SIGNED}, Signature={signature}", key.id)
}

/// Good for one day, region and service.
fn signing_key(secret: &str, day: &str, region: &str) -> Zeroizing<Vec<u8>> {
    let secret = Zeroizing::new(format!("AWS4{secret}"));
    let mut derived = Zeroizing::new(secret.as_bytes().to_vec());
    for part in [day, region, "iam", "aws4_request"] {
        derived = mac(&derived, part);
    }
    derived
}

fn mac(key: &[u8], message: &str) -> Zeroizing<Vec<u8>> {
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Zeroizing::default() };
    mac.update(message.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

fn hex(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

/// As it stands in a form (RFC 3986, section 2.3, says what stays).
fn escaped(text: &str) -> String {
    let byte = |byte: u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

/// The text of the first element of that name.
fn element(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).next()
}

/// The texts of elements that hold nothing else.
fn elements<'x>(xml: &'x str, name: &str) -> impl Iterator<Item = String> + use<'x> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (text, after) = rest.split_once(start.as_str())?.1.split_once(end.as_str())?;
        rest = after;
        Some(
            text.replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&apos;", "'")
                .replace("&amp;", "&"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signing_key_is_the_one_of_the_documentation() {
        let key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1");
        assert_eq!(HEXLOWER.encode(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }

    #[test]
    fn keys_are_found_in_a_reply() {
        let xml = "<R><member><AccessKeyId>A1</AccessKeyId></member><member><AccessKeyId>B&amp;2</AccessKeyId></member>
            <Secret>a/b+c</Secret><Open>";
        assert_eq!(elements(xml, "AccessKeyId").collect::<Vec<_>>(), ["A1", "B&2"]);
        assert_eq!(element(xml, "Secret").as_deref(), Some("a/b+c"));
        assert_eq!(element(xml, "Open"), None);
        assert_eq!(escaped("a/b c~é"), "a%2Fb%20c~%C3%A9");
    }
}
