//! JSON Web Tokens (RFC 7519): those of people are checked by their provider's public keys, those for boxes are signed with
//! the box's secret.
//!
//! The token library gets a provider for four algorithms, each with the one kind of key that belongs to it: HS256 signs and
//! never verifies, so that no public key can be taken for a shared secret.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey, Header, Validation};
use ring::signature as checks;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use signature::{Signer, Verifier};
use uuid::Uuid;

use super::Error;

/// What a token for a box says: exactly what `cofferd` looks for.
#[derive(Serialize)]
pub(crate) struct DeviceClaims<'a> {
    /// The provider's name for the person.
    pub(crate) sub: &'a str,
    /// The box.
    pub(crate) device_id: Uuid,
    /// When it was issued, in seconds since 1970.
    pub(crate) iat: i64,
    /// When it ends, likewise.
    pub(crate) exp: i64,
}

/// What is read in the token of a person.
#[derive(Deserialize)]
pub(crate) struct PersonClaims {
    pub(crate) sub: String,
    pub(crate) exp: f64,
    pub(crate) nbf: Option<f64>,
}

/// Makes this process' token provider the one of this file. Call it once at start; a second call changes nothing.
pub(crate) fn install_provider() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| Ok(Box::new(HmacSha256::new(*algorithm, key.as_bytes())?)),
        verifier_factory: |algorithm, key| Ok(Box::new(PublicKey::new(*algorithm, key)?)),
        key_utils: KeyUtils::new_unimplemented(),
    };
    // Err: it is installed already, which is as good.
    let _ = PROVIDER.install_default();
}

/// Signs a token for a box.
pub(crate) fn issue(claims: &DeviceClaims<'_>, secret: &[u8; 32]) -> Result<String, Error> {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret))
        .map_err(|_| Error::Internal("signing a token"))
}

/// Checks the token of a person with a key and the one algorithm that belongs to it. Whatever is wrong, the answer is none.
pub(crate) fn read(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    (issuer, audience): (&str, &str),
    now: Timestamp,
) -> Option<PersonClaims> {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    // Compared below, with the clock that everything else uses.
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<PersonClaims>(token, key, &validation).ok()?.claims;
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact for longer than there are computers")]
    let now = now.as_second() as f64;
    let begun = claims.nbf.is_none_or(|nbf| nbf <= now + MAX_SKEW_S);
    (begun && now < claims.exp).then_some(claims)
}

/// By how much the provider's clock may be ahead.
const MAX_SKEW_S: f64 = 60.0;

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

/// A public key with the algorithm that it is for.
enum PublicKey {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> JwtResult<Self> {
        match (algorithm, key.family(), key.kind()) {
            (Algorithm::RS256, AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                Ok(Self::Rsa { n: significant(n), e: significant(e) })
            }
            (Algorithm::ES256, AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => {
                Ok(Self::P256(point.clone()))
            }
            (Algorithm::EdDSA, AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(key)) => {
                Ok(Self::Ed25519(key.clone()))
            }
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }
}

/// Without leading zeros, which ring does not take and some providers write.
fn significant(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

impl Verifier<Vec<u8>> for PublicKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match self {
            Self::Rsa { n, e } => {
                let key = checks::RsaPublicKeyComponents { n, e };
                key.verify(&checks::RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Self::P256(point) => {
                checks::UnparsedPublicKey::new(&checks::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Self::Ed25519(key) => checks::UnparsedPublicKey::new(&checks::ED25519, key).verify(message, signature),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::RS256,
            Self::P256(_) => Algorithm::ES256,
            Self::Ed25519(_) => Algorithm::EdDSA,
        }
    }
}
