//! A private key of SSH that signs: Ed25519, ECDSA of 256 and 384 bits, RSA.

use crypto_bigint::{BoxedUint, NonZero};
use ed25519_dalek::{Signer, SigningKey};
use ring::{
    rand::SystemRandom,
    rsa::{KeyPairComponents, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA512, RsaKeyPair,
    },
};
use ssh_key::{
    EcdsaCurve, PrivateKey,
    private::{EcdsaKeypair, KeypairData, RsaKeypair},
};
use zeroize::Zeroizing;

use super::protocol::put;

/// Flags of a request; without one an RSA key would have to sign a SHA-1, which nobody should believe any more.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

pub(super) struct Key {
    /// As SSH writes it.
    pub(super) public: Vec<u8>,
    pair: Pair,
}

enum Pair {
    Ed25519(Box<SigningKey>),
    P256(Box<EcdsaKeyPair>),
    P384(Box<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>),
}

impl Key {
    pub(super) fn read(pem: &str) -> Result<Self, &'static str> {
        if !pem.contains("-----BEGIN OPENSSH PRIVATE KEY-----") {
            return Err("its format is not OpenSSH's own (`ssh-keygen -p -f FILE` converts it)");
        }
        // What pasted keys lose, or gain, at their ends.
        let pem = Zeroizing::new(format!("{}\n", pem.trim()));
        let key = PrivateKey::from_openssh(pem.as_bytes()).map_err(|_| "it is no private key, or damaged")?;
        let public = key.public_key().to_bytes().map_err(|_| "it is no private key, or damaged")?;
        let pair = match key.key_data() {
            KeypairData::Encrypted(_) => {
                return Err(
                    "it has a pass phrase of its own (`ssh-keygen -p -f FILE` takes it off; the vault protects it)",
                );
            }
            KeypairData::Ed25519(pair) => {
                Pair::Ed25519(Box::new(SigningKey::from_bytes(&Zeroizing::new(pair.private.to_bytes()))))
            }
            KeypairData::Ecdsa(pair) => ecdsa(pair)?,
            KeypairData::Rsa(pair) => Pair::Rsa(Box::new(rsa(pair).ok_or("an RSA key must have 2048 to 4096 bits")?)),
            _ => return Err("it is no Ed25519, ECDSA or RSA key"),
        };
        Ok(Self { public, pair })
    }

    /// A signature as SSH writes it, if the key signs so.
    pub(super) fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        let (name, signature) = match &self.pair {
            Pair::Ed25519(pair) => ("ssh-ed25519", pair.sign(data).to_bytes().to_vec()),
            Pair::P256(pair) => ("ecdsa-sha2-nistp256", halves(pair.sign(&random, data).ok()?.as_ref())),
            Pair::P384(pair) => ("ecdsa-sha2-nistp384", halves(pair.sign(&random, data).ok()?.as_ref())),
            Pair::Rsa(pair) => {
                let (name, padding) = match flags {
                    flags if flags & RSA_SHA2_512 != 0 => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
                    flags if flags & RSA_SHA2_256 != 0 => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
                    _ => return None,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, data, &mut signature).ok()?;
                (name, signature)
            }
        };
        let mut written = Vec::new();
        put(&mut written, name.as_bytes());
        put(&mut written, &signature);
        Some(written)
    }
}

fn ecdsa(pair: &EcdsaKeypair) -> Result<Pair, &'static str> {
    let algorithm = match pair.curve() {
        EcdsaCurve::NistP256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        EcdsaCurve::NistP384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        EcdsaCurve::NistP521 => return Err("ECDSA of 521 bits is not supported"),
    };
    let (private, public) = (pair.private_key_bytes(), pair.public_key_bytes());
    let key = EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &SystemRandom::new());
    let key = Box::new(key.map_err(|_| "its halves do not belong together")?);
    Ok(if pair.curve() == EcdsaCurve::NistP256 { Pair::P256(key) } else { Pair::P384(key) })
}

/// OpenSSH does not write the two exponents that make RSA fast, `d` modulo `p - 1` and `q - 1`.
fn rsa(pair: &RsaKeypair) -> Option<RsaKeyPair> {
    let (public, private) = (pair.public(), pair.private());
    let [d, p, q] = [private.d(), private.p(), private.q()].map(|number| number.as_positive_bytes());
    let (d, p, q) = (d?, p?, q?);
    let exponent = |prime: &[u8]| {
        let prime = number(prime)?;
        let below = NonZero::new(prime.wrapping_sub(BoxedUint::one())).into_option()?;
        let bytes = Zeroizing::new(number(d)?.rem(&below).to_be_bytes());
        let start = bytes.iter().position(|byte| *byte != 0)?;
        Some(Zeroizing::new(bytes[start..].to_vec()))
    };
    let (d_p, d_q) = (exponent(p)?, exponent(q)?);
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: public.n().as_positive_bytes()?, e: public.e().as_positive_bytes()? },
        d,
        p,
        q,
        dP: d_p.as_slice(),
        dQ: d_q.as_slice(),
        qInv: private.iqmp().as_positive_bytes()?,
    };
    RsaKeyPair::from_components(&components).ok()
}

fn number(bytes: &[u8]) -> Option<BoxedUint> {
    let bits = u32::try_from(bytes.len() * 8).ok()?;
    BoxedUint::from_be_slice(bytes, bits).ok()
}

/// Two numbers of equal length, as SSH writes numbers: without zeros in front, except where the first bit would be a sign.
fn halves(signature: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    for half in signature.chunks(signature.len() / 2) {
        let start = half.iter().position(|byte| *byte != 0).unwrap_or(half.len());
        let mut number = half[start..].to_vec();
        if number.first().is_some_and(|first| first & 0x80 != 0) {
            number.insert(0, 0);
        }
        put(&mut written, &number);
    }
    written
}
