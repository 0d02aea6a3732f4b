//! The public keys of the identity provider: a JSON Web Key Set (RFC 7517), from a file or a URL, kept for a while.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use log::warn;
use serde::Deserialize;
use serde_json::Value;
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
    pub(super) decoding: DecodingKey,
}

/// The keys.
pub(super) struct Jwks {
    source: Source,
    outbound: Outbound,
    clock: SharedClock,
    cache: Mutex<Cache>,
    /// Held by whoever fetches the set.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Cache {
    keys: Vec<Key>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl Cache {
    /// The key of that id, when the set is not older than that.
    fn find(&self, id: Option<&str>, now: Instant, oldest: Duration) -> Option<Key> {
        let age = now.saturating_duration_since(self.fetched?);
        let mut keys = self.keys.iter().filter(|_| age < oldest);
        match id {
            Some(id) => keys.find(|key| key.id.as_deref() == Some(id)).cloned(),
            // A token that names no key is checked when there is nothing to choose.
            None => keys.next().filter(|_| self.keys.len() == 1).cloned(),
        }
    }
}

impl Jwks {
    pub(super) fn new(source: Source, outbound: Outbound, clock: SharedClock) -> Self {
        let (cache, fetching) = Default::default();
        Self { source, outbound, clock, cache, fetching }
    }

    /// The key of that id. Fetches the set when it is old, and when the id is not in it: providers change their keys.
    pub(super) async fn find(&self, id: Option<&str>) -> Result<Option<Key>, Error> {
        let now = self.clock.monotonic();
        if let Some(fresh) = self.cache().find(id, now, FRESH) {
            return Ok(Some(fresh));
        }
        let usable = self.cache().find(id, now, USABLE);
        let turn = match (self.fetching.try_lock(), usable) {
            (Ok(turn), _) => turn,
            // Somebody is fetching it, which may take long; meanwhile the old key does.
            (Err(_), Some(usable)) => return Ok(Some(usable)),
            (Err(_), None) => self.fetching.lock().await,
        };
        if self.cache().tried.is_none_or(|tried| now.saturating_duration_since(tried) >= PAUSE) {
            self.cache().tried = Some(now);
            match self.fetch().await {
                Ok(keys) => {
                    let mut cache = self.cache();
                    (cache.keys, cache.fetched) = (keys, Some(now));
                }
                Err(reason) => warn!(reason:% = reason; "the keys of the identity provider cannot be had"),
            }
        }
        drop(turn);
        let cache = self.cache();
        let known = cache.fetched.is_some_and(|fetched| now.saturating_duration_since(fetched) < USABLE);
        if known { Ok(cache.find(id, now, USABLE)) } else { Err(Error::IdentityUnavailable) }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
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
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    (meant && signs).then_some(Key { id: jwk.common.key_id, algorithm, decoding })
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
