//! Access tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256, and with nothing else.
//!
//! The token library gets a provider that can do this one algorithm, so no header of a forged token can choose
//! another.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use signature::{Signer, Verifier};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;

/// Longest token that is looked at; ours have about 300 bytes.
const MAX_BYTES: usize = 1024;

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessClaims {
    /// The person.
    pub(crate) sub: Uuid,
    /// The session, by which the token can be revoked.
    pub(crate) sid: Uuid,
    /// This token.
    pub(crate) jti: Uuid,
    /// When it was issued, in seconds since 1970.
    pub(crate) iat: i64,
    /// When it ends, likewise.
    pub(crate) exp: i64,
}

/// What a refresh token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefreshClaims {
    /// The session.
    pub(crate) sid: Uuid,
    /// Which of the session's refresh tokens it is.
    pub(crate) generation: u32,
    /// When it ends, in seconds since 1970.
    pub(crate) exp: i64,
}

/// What a token that the cloud issued for this device says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceClaims {
    /// The cloud's name for the person.
    pub(crate) sub: String,
    /// The device that it is for.
    pub(crate) device_id: Uuid,
    /// When it was issued, in seconds since 1970.
    pub(crate) iat: i64,
    /// When it ends, likewise.
    pub(crate) exp: i64,
}

/// Claims that end.
pub(crate) trait Expiring {
    /// From this second on, counted since 1970, the token is refused.
    fn exp(&self) -> i64;
}

impl Expiring for AccessClaims {
    fn exp(&self) -> i64 {
        self.exp
    }
}

impl Expiring for RefreshClaims {
    fn exp(&self) -> i64 {
        self.exp
    }
}

impl Expiring for DeviceClaims {
    fn exp(&self) -> i64 {
        self.exp
    }
}

/// A key of its own for each kind of token, so that none passes for another: HKDF-Expand (RFC 5869, section 2.3).
pub(crate) fn subkey(token_key: &[u8; 32], label: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut key = Zeroizing::new([0; 32]);
    let hkdf = Hkdf::<Sha256>::from_prk(token_key).map_err(|error| Error::internal("token key", error))?;
    let expanded = hkdf.expand(label.as_bytes(), key.as_mut_slice());
    expanded.map_err(|error| Error::internal("token key", error))?;
    Ok(key)
}

/// Makes this process' token provider the one above. Call it once at start; a second call changes nothing.
pub(crate) fn install_provider() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| Ok(Box::new(HmacSha256::new(*algorithm, key.as_bytes())?)),
        verifier_factory: |algorithm, key| Ok(Box::new(HmacSha256::new(*algorithm, key.try_get_as_bytes()?)?)),
        key_utils: KeyUtils::new_unimplemented(),
    };
    // Err: it is installed already, which is as good.
    let _ = PROVIDER.install_default();
}

/// Signs a token.
pub(crate) fn issue<C: Serialize>(claims: &C, key: &[u8; 32]) -> Result<String, Error> {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(key))
        .map_err(|error| Error::internal("token", error))
}

/// Reads a token. Whatever is wrong with it, the answer is the same.
pub(crate) fn read<C: DeserializeOwned + Expiring>(token: &str, key: &[u8; 32], now: Timestamp) -> Result<C, Error> {
    if token.len() > MAX_BYTES {
        return Err(Error::Unauthenticated);
    }
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_required_spec_claims(&["exp"]);
    // Compared below, with the clock that everything else uses.
    validation.validate_exp = false;
    let decoded = jsonwebtoken::decode::<C>(token, &DecodingKey::from_secret(key), &validation);
    let claims = decoded.map_err(|_| Error::Unauthenticated)?.claims;
    if now.as_second() < claims.exp() { Ok(claims) } else { Err(Error::Unauthenticated) }
}

struct HmacSha256(Hmac<Sha256>);

impl HmacSha256 {
    fn new(algorithm: Algorithm, key: &[u8]) -> JwtResult<Self> {
        if algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Hmac::new_from_slice(key).map(Self).map_err(|_| ErrorKind::InvalidKeyFormat.into())
    }
}

impl Signer<Vec<u8>> for HmacSha256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl JwtSigner for HmacSha256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for HmacSha256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        self.0.clone().chain_update(message).verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for HmacSha256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn claims() -> AccessClaims {
        AccessClaims { sub: Uuid::from_u128(1), sid: Uuid::from_u128(2), jti: Uuid::from_u128(3), iat: 1000, exp: 2000 }
    }

    fn read_access(token: &str, key: &[u8; 32], now: Timestamp) -> Result<AccessClaims, Error> {
        read(token, key, now)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn token() -> String {
        install_provider();
        issue(&claims(), &KEY).unwrap()
    }

    /// A token with that header, our claims, and a signature by our key.
    fn forged(header: &str) -> String {
        let body = BASE64URL_NOPAD.encode(&serde_json::to_vec(&claims()).unwrap());
        let message = format!("{}.{body}", BASE64URL_NOPAD.encode(header.as_bytes()));
        let signature = HmacSha256::new(Algorithm::HS256, &KEY).unwrap().try_sign(message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    #[test]
    fn a_token_reads_back_until_it_expires() {
        let token = token();
        assert_eq!(read_access(&token, &KEY, at(1999)).unwrap(), claims());
        assert!(read_access(&token, &KEY, at(2000)).is_err());
    }

    #[test]
    fn every_kind_has_a_key_of_its_own() {
        install_provider();
        let refresh = subkey(&KEY, "refresh").unwrap();
        let claims = RefreshClaims { sid: Uuid::from_u128(2), generation: 1, exp: 2000 };
        let token = issue(&claims, &refresh).unwrap();
        assert_eq!(read::<RefreshClaims>(&token, &refresh, at(1999)).unwrap(), claims);
        assert!(read::<RefreshClaims>(&token, &KEY, at(1999)).is_err());
        assert_ne!(*subkey(&KEY, "other").unwrap(), *refresh);
    }

    #[test]
    fn a_token_of_another_key_or_changed_is_refused() {
        let token = token();
        assert!(read_access(&token, &[8; 32], at(1500)).is_err());
        let (message, signature) = token.rsplit_once('.').unwrap();
        assert!(read_access(message, &KEY, at(1500)).is_err());
        assert!(read_access(&format!("{message}."), &KEY, at(1500)).is_err());
        assert!(read_access(&format!("{message}.{}", &signature[..42]), &KEY, at(1500)).is_err(), "cut signature");
        assert!(read_access("", &KEY, at(1500)).is_err());
        assert!(read_access(&"a.".repeat(1000), &KEY, at(1500)).is_err());
    }

    #[test]
    fn no_header_can_choose_another_algorithm() {
        assert!(
            read_access(&forged(r#"{"typ":"JWT","alg":"HS256"}"#), &KEY, at(1500)).is_ok(),
            "the forger's tool works"
        );
        for algorithm in ["none", "None", "HS384", "HS512", "RS256", "ES256", "EdDSA", ""] {
            let header = format!(r#"{{"typ":"JWT","alg":"{algorithm}"}}"#);
            assert!(read_access(&forged(&header), &KEY, at(1500)).is_err(), "{algorithm}");
        }
    }
}
