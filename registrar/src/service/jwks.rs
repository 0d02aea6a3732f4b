//! The public keys of the identity provider: a JSON Web Key Set (RFC 7517), from a file or a URL, kept for a while.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use log::warn;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use ureq::http::Request;

use super::Error;
use crate::clock::SharedClock;
use crate::outside::outbound::Outbound;

/// How long keys are used before they are fetched again. A key that its provider took back is good for that long.
const FRESH: Duration = Duration::from_mins(5);
/// How long they are used when they cannot be fetched.
const USABLE: Duration = Duration::from_hours(1);
/// Shortest time between two tries to fetch them, whatever strangers put into their tokens.
const PAUSE: Duration = Duration::from_secs(10);
/// Largest set, and most keys in it.
const MAX_BYTES: usize = 256 * 1024;
const MAX_KEYS: usize = 100;

/// Where the set is.
pub(crate) enum Source {
    File(PathBuf),
    Url(String),
}

/// A key, and the one algorithm that its signatures have. The key says which, never the token.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The keys.
pub(super) struct Jwks {
    source: Source,
    outbound: Outbound,
    clock: SharedClock,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    keys: Vec<Key>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl Cache {
    fn find(&self, id: Option<&str>) -> Option<Key> {
        match id {
            Some(id) => self.keys.iter().find(|key| key.id.as_deref() == Some(id)).cloned(),
            // A token that names no key is checked when there is nothing to choose.
            None => self.keys.first().filter(|_| self.keys.len() == 1).cloned(),
        }
    }
}

impl Jwks {
    pub(super) fn new(source: Source, outbound: Outbound, clock: SharedClock) -> Self {
        Self { source, outbound, clock, cache: Mutex::default() }
    }

    /// The key of that id. Fetches the set when it is old, and when the id is not in it: providers change their keys.
    pub(super) async fn find(&self, id: Option<&str>) -> Result<Option<Key>, Error> {
        // Held while fetching: whoever comes meanwhile waits for the same reply.
        let mut cache = self.cache.lock().await;
        let now = self.clock.monotonic();
        let age = |since: Option<Instant>| since.map(|since| now.saturating_duration_since(since));
        let found = cache.find(id).filter(|_| age(cache.fetched).is_some_and(|age| age < FRESH));
        if found.is_some() {
            return Ok(found);
        }
        if age(cache.tried).is_none_or(|age| age >= PAUSE) {
            cache.tried = Some(now);
            match self.fetch().await {
                Ok(keys) => {
                    cache.keys = keys;
                    cache.fetched = Some(now);
                }
                Err(reason) => warn!(reason:% = reason; "the keys of the identity provider cannot be had"),
            }
        }
        if age(cache.fetched).is_some_and(|age| age < USABLE) {
            Ok(cache.find(id))
        } else {
            Err(Error::IdentityUnavailable)
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, String> {
        let bytes = match &self.source {
            Source::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
                read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?
            }
            Source::Url(url) => {
                let request = Request::get(url).body(None).map_err(|error| error.to_string())?;
                let reply = self.outbound.send(request).await.map_err(|error| error.to_string())?;
                if reply.status != 200 {
                    return Err(format!("the reply has status {}", reply.status));
                }
                reply.body.to_vec()
            }
        };
        if bytes.len() > MAX_BYTES {
            return Err(format!("the set is larger than {MAX_BYTES} bytes"));
        }
        parse(&bytes)
    }
}

/// The usable keys of a set. Others are passed over: a set may hold keys for other purposes and of newer kinds.
fn parse(bytes: &[u8]) -> Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_slice(bytes).map_err(|_| "it is not a JSON Web Key Set".to_owned())?;
    let keys: Vec<Key> = set.keys.into_iter().take(MAX_KEYS).filter_map(usable).collect();
    if keys.is_empty() { Err("there is no usable key in it".to_owned()) } else { Ok(keys) }
}

fn usable(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let meant = jwk.common.key_algorithm.is_none_or(|meant| meant == name);
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (meant && signs).then_some(Key { id: jwk.common.key_id, algorithm, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    const P256: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    #[test]
    fn a_key_is_for_the_one_algorithm_of_its_kind() {
        for (key, expected) in [
            (ED25519.to_owned(), Some(Algorithm::EdDSA)),
            (P256.to_owned(), Some(Algorithm::ES256)),
            (format!(r#"{P256},"alg":"ES256","use":"sig""#), Some(Algorithm::ES256)),
            (r#""kty":"RSA","n":"AQAB","e":"AQAB""#.to_owned(), Some(Algorithm::RS256)),
            (r#""kty":"RSA","n":"AQAB","e":"AQAB","alg":"RS512""#.to_owned(), None),
            (r#""kty":"RSA","n":"AQAB","e":"AQAB","alg":"RSA-OAEP""#.to_owned(), None),
            (format!(r#"{P256},"use":"enc""#), None),
            (format!(r#"{P256},"alg":"HS256""#), None),
            (r#""kty":"oct","k":"AQAB""#.to_owned(), None),
            (r#""kty":"EC","crv":"P-384","x":"AQAB","y":"AQAB""#.to_owned(), None),
            (r#""kty":"EC","crv":"secp256k1","x":"AQAB","y":"AQAB""#.to_owned(), None),
            (r#""kty":"AKP","alg":"ML-DSA-44","pub":"AQAB""#.to_owned(), None),
        ] {
            let algorithm = usable(serde_json::from_str(&format!("{{{key}}}")).unwrap()).map(|key| key.algorithm);
            assert_eq!(algorithm, expected, "{key}");
        }
    }

    #[test]
    fn what_is_not_understood_does_not_spoil_the_set() {
        let set = format!(r#"{{"keys":[{{"kty":"new"}},7,{{{ED25519}}}]}}"#);
        assert_eq!(parse(set.as_bytes()).unwrap().len(), 1);
        assert!(parse(br#"{"keys":[]}"#).is_err());
        assert!(parse(b"<html>").is_err());
    }
}
