//! SRP-6a: a login that shows the server a password without sending it, and proves the server to the client.
//!
//! One profile, written down in `docs/srp.md` so that others can implement it: the groups of RFC 5054, SHA-256, every
//! integer hashed and sent at the width of N. What libraries disagree about (padding, the proof, the session key) is
//! fixed there and by `vectors/srp.json`, which a second implementation reproduces.
//!
//! A side is a value that each step consumes. A handshake that failed, or succeeded, cannot be used again, and no
//! session key exists before the other side's proof was checked:
//!
//! | | Client | Server |
//! |---|---|---|
//! | enrolment | | [`Verifier::enrol`] (or the client makes it and sends its parts) |
//! | A, B | [`Client::start`] | [`Server::start`] |
//! | M1 | [`Client::finish`] | [`Server::check`] |
//! | M2 | [`PendingProof::verify`] | |
//!
//! [`Server::start`] and [`Server::check`] cost milliseconds of a processor: count callers and guesses before them.

mod group;

use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use self::group::Group;
use self::group::{Arithmetic, Secret};
use crate::seal;

/// Length of a salt.
pub const SALT_BYTES: usize = 16;

/// Length of a proof, M1 or M2.
pub const PROOF_BYTES: usize = 32;

const EPHEMERAL_BYTES: usize = 32;
const UNKNOWN_SALT_CONTEXT: &[u8] = b"coffer/srp/1/unknown-salt\0";
const UNKNOWN_VERIFIER_CONTEXT: &[u8] = b"coffer/srp/1/unknown-verifier\0";

/// A value of the protocol, as errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A, what the client sends first.
    ClientPublic,
    /// B, what the server answers.
    ServerPublic,
    /// s, kept with the verifier.
    Salt,
    /// v, what the server keeps.
    Verifier,
    /// M1 or M2.
    Proof,
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ClientPublic => "the client's public value",
            Self::ServerPublic => "the server's public value",
            Self::Salt => "the salt",
            Self::Verifier => "the verifier",
            Self::Proof => "the proof",
        })
    }
}

/// Why a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrpError {
    /// Every value has one length; integers are padded with zeros in front.
    #[error("{value} has {found} bytes, it should have {expected}")]
    Length {
        /// Which one.
        value: Value,
        /// Bytes found.
        found: usize,
        /// Bytes that it has in this group.
        expected: usize,
    },
    /// The number is zero, or not below N: whoever sent it does not follow the protocol, or attacks it.
    #[error("{0} is not a number that the protocol allows")]
    Range(Value),
    /// A and B hash to zero, so that the password would not matter.
    #[error("the public values of the two sides must not be used together")]
    ZeroScrambling,
    /// The other side does not know the password, or the verifier of it; or something was changed on the way.
    #[error("the proof is wrong")]
    WrongProof,
}

/// Who logs in, and with what. Both are bytes: for Coffer's accounts 16 bytes of UUID and 32 bytes of key derivation.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// I
    pub identity: &'a [u8],
    /// P, never what a person typed: the verifier of a guessable password can be guessed.
    pub password: &'a [u8],
}

/// What both sides hold in the end: K, uniformly random, wiped when dropped. Derive keys from it, one for each purpose.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// The bytes, as input of a key derivation.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What the server keeps of a password: as secret as a hash of it, and wiped when dropped.
pub struct Verifier {
    group: Group,
    salt: [u8; SALT_BYTES],
    value: Secret,
}

impl Verifier {
    /// Makes a verifier with a new salt; done by whoever knows the password, mostly the client.
    pub fn enrol(group: Group, credentials: &Credentials<'_>, rng: &mut impl CryptoRng) -> Self {
        let mut salt = [0; SALT_BYTES];
        rng.fill_bytes(&mut salt);
        Self::with_salt(group, credentials, salt)
    }

    /// Reads a verifier from its parts, as they were stored or sent.
    pub fn from_parts(group: Group, salt: &[u8], value: &[u8]) -> Result<Self, SrpError> {
        check_integer(group, Value::Verifier, value)?;
        Ok(Self { group, salt: array(Value::Salt, salt)?, value: Zeroizing::new(value.to_vec()) })
    }

    /// What an account that does not exist has: always the same for a name, and no password fits.
    ///
    /// There is no exponentiation in it, as there is none in reading a verifier from a database. To make the two alike
    /// to the microsecond, call this for every name and then take the real one, if there is one.
    pub fn of_unknown(group: Group, server_secret: &[u8; 32], name: &[u8]) -> Self {
        let secret = seal::Key::new(*server_secret);
        let mac = Zeroizing::new(seal::mac(&secret, &[UNKNOWN_SALT_CONTEXT, name].concat()));
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&mac[..SALT_BYTES]);
        // 128 bits more than N has, so that the remainder is as good as uniform.
        let wide = derive(&secret, &[UNKNOWN_VERIFIER_CONTEXT, name], group.bytes() + 16);
        Self { group, salt, value: group.reduce(&wide) }
    }

    /// The group that it was made in.
    pub fn group(&self) -> Group {
        self.group
    }

    /// s, which the client is told.
    pub fn salt(&self) -> &[u8; SALT_BYTES] {
        &self.salt
    }

    /// v, which nobody is told, as many bytes as N has.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    fn with_salt(group: Group, credentials: &Credentials<'_>, salt: [u8; SALT_BYTES]) -> Self {
        let value = Arithmetic::new(group).power_of_g(private_key(&salt, credentials).as_slice());
        Self { group, salt, value }
    }
}

/// A client that has sent A, or is about to.
pub struct Client {
    group: Group,
    arithmetic: Arithmetic,
    a: Zeroizing<[u8; EPHEMERAL_BYTES]>,
    public: Vec<u8>,
}

impl Client {
    /// Draws the client's part of a handshake.
    pub fn start(group: Group, rng: &mut impl CryptoRng) -> Self {
        Self::with_ephemeral(group, random(rng))
    }

    /// A, to be sent.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Takes what the server answered; returns M1, to be sent, and what waits for M2.
    pub fn finish(
        self,
        server_public: &[u8],
        salt: &[u8],
        credentials: &Credentials<'_>,
    ) -> Result<([u8; PROOF_BYTES], PendingProof), SrpError> {
        check_integer(self.group, Value::ServerPublic, server_public)?;
        let salt = array(Value::Salt, salt)?;
        let u = scrambling(&self.public, server_public)?;
        let x = private_key(&salt, credentials);
        let k = multiplier(self.group);
        let premaster = self.arithmetic.client_premaster(server_public, &k, x.as_slice(), self.a.as_slice(), &u);
        let key = SessionKey(hash(&[&premaster]));
        let m1 = client_proof(self.group, credentials.identity, &salt, &self.public, server_public, &key);
        let m2 = server_proof(&self.public, &m1, &key);
        Ok((m1, PendingProof { m2, key }))
    }

    fn with_ephemeral(group: Group, a: Zeroizing<[u8; EPHEMERAL_BYTES]>) -> Self {
        let arithmetic = Arithmetic::new(group);
        let public = arithmetic.power_of_g(a.as_slice()).to_vec();
        Self { group, arithmetic, a, public }
    }
}

/// A client that has sent M1 and does not know yet whether the server is the right one.
pub struct PendingProof {
    m2: [u8; PROOF_BYTES],
    key: SessionKey,
}

impl PendingProof {
    /// M2 as it has to come, for what is bound to it before it is there. It proves nothing; [`PendingProof::verify`] does.
    pub fn expected(&self) -> &[u8; PROOF_BYTES] {
        &self.m2
    }

    /// Checks the server's proof. Without it nothing that the server says is to be believed.
    pub fn verify(self, m2: &[u8]) -> Result<SessionKey, SrpError> {
        check_proof(&self.m2, m2)?;
        Ok(self.key)
    }
}

/// A server that has sent B, or is about to. Good for one answer.
pub struct Server {
    arithmetic: Arithmetic,
    verifier: Verifier,
    identity: Vec<u8>,
    b: Zeroizing<[u8; EPHEMERAL_BYTES]>,
    public: Vec<u8>,
}

impl Server {
    /// Draws the server's part of a handshake.
    pub fn start(verifier: Verifier, identity: &[u8], rng: &mut impl CryptoRng) -> Self {
        Self::with_ephemeral(verifier, identity, random(rng))
    }

    /// B, to be sent together with the salt.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// s, to be sent together with B.
    pub fn salt(&self) -> &[u8; SALT_BYTES] {
        &self.verifier.salt
    }

    /// Checks the client's proof; returns M2, to be sent, and the session key.
    pub fn check(self, client_public: &[u8], m1: &[u8]) -> Result<([u8; PROOF_BYTES], SessionKey), SrpError> {
        let group = self.verifier.group;
        check_client_public(group, client_public)?;
        let m1: [u8; PROOF_BYTES] = array(Value::Proof, m1)?;
        let u = scrambling(client_public, &self.public)?;
        let premaster = self.arithmetic.server_premaster(client_public, &self.verifier.value, &u, self.b.as_slice());
        let key = SessionKey(hash(&[&premaster]));
        let expected = client_proof(group, &self.identity, &self.verifier.salt, client_public, &self.public, &key);
        check_proof(&expected, &m1)?;
        Ok((server_proof(client_public, &m1, &key), key))
    }

    fn with_ephemeral(verifier: Verifier, identity: &[u8], b: Zeroizing<[u8; EPHEMERAL_BYTES]>) -> Self {
        let arithmetic = Arithmetic::new(verifier.group);
        let k = multiplier(verifier.group);
        let public = arithmetic.server_public(&k, &verifier.value, b.as_slice()).to_vec();
        Self { arithmetic, verifier, identity: identity.to_vec(), b, public }
    }
}

/// Tells at once, without any arithmetic, whether A can be right. [`Server::check`] asks the same again.
pub fn check_client_public(group: Group, client_public: &[u8]) -> Result<(), SrpError> {
    check_integer(group, Value::ClientPublic, client_public)
}

fn check_integer(group: Group, value: Value, bytes: &[u8]) -> Result<(), SrpError> {
    let expected = group.bytes();
    if bytes.len() != expected {
        return Err(SrpError::Length { value, found: bytes.len(), expected });
    }
    // Of equal length and big-endian, so they compare as numbers do. Zero modulo N and below N is zero.
    let in_range = bytes < group.modulus().as_slice() && bytes.iter().any(|byte| *byte != 0);
    if in_range { Ok(()) } else { Err(SrpError::Range(value)) }
}

fn check_proof(expected: &[u8; PROOF_BYTES], found: &[u8]) -> Result<(), SrpError> {
    let found: [u8; PROOF_BYTES] = array(Value::Proof, found)?;
    if expected.ct_eq(&found).into() { Ok(()) } else { Err(SrpError::WrongProof) }
}

fn array<const N: usize>(value: Value, bytes: &[u8]) -> Result<[u8; N], SrpError> {
    bytes.try_into().map_err(|_| SrpError::Length { value, found: bytes.len(), expected: N })
}

fn random(rng: &mut impl CryptoRng) -> Zeroizing<[u8; EPHEMERAL_BYTES]> {
    let mut secret = Zeroizing::new([0; EPHEMERAL_BYTES]);
    rng.fill_bytes(secret.as_mut_slice());
    secret
}

/// HKDF-SHA-256 with an empty salt.
fn derive(from: &seal::Key, info: &[&[u8]], length: usize) -> Secret {
    let mut derived = Zeroizing::new(vec![0; length]);
    #[expect(clippy::expect_used, reason = "HKDF fails only above 255 * 32 bytes of output")]
    Hkdf::<Sha256>::new(None, from.as_slice()).expand_multi_info(info, &mut derived).expect("528 bytes at most");
    derived
}

/// x = H(s | H(I | ":" | P))
fn private_key(salt: &[u8; SALT_BYTES], credentials: &Credentials<'_>) -> Zeroizing<[u8; 32]> {
    let inner = Zeroizing::new(hash(&[credentials.identity, b":", credentials.password]));
    Zeroizing::new(hash(&[salt, inner.as_slice()]))
}

/// k = H(N | PAD(g))
fn multiplier(group: Group) -> [u8; 32] {
    let mut padded = vec![0; group.bytes() - 1];
    padded.push(group.generator());
    hash(&[&group.modulus(), &padded])
}

/// u = H(PAD(A) | PAD(B)), which must not be zero.
fn scrambling(client_public: &[u8], server_public: &[u8]) -> Result<[u8; 32], SrpError> {
    not_zero(hash(&[client_public, server_public]))
}

fn not_zero(u: [u8; 32]) -> Result<[u8; 32], SrpError> {
    if u == [0; 32] { Err(SrpError::ZeroScrambling) } else { Ok(u) }
}

/// M1 = H((H(N) xor H(g)) | H(I) | s | PAD(A) | PAD(B) | K), with g as the one byte that it is.
fn client_proof(
    group: Group,
    identity: &[u8],
    salt: &[u8; SALT_BYTES],
    client_public: &[u8],
    server_public: &[u8],
    key: &SessionKey,
) -> [u8; PROOF_BYTES] {
    let mut group_hash = hash(&[&group.modulus()]);
    for (byte, of_g) in group_hash.iter_mut().zip(hash(&[&[group.generator()]])) {
        *byte ^= of_g;
    }
    hash(&[&group_hash, &hash(&[identity]), salt, client_public, server_public, &key.0])
}

/// M2 = H(PAD(A) | M1 | K)
fn server_proof(client_public: &[u8], m1: &[u8; PROOF_BYTES], key: &SessionKey) -> [u8; PROOF_BYTES] {
    hash(&[client_public, m1, &key.0])
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
#[path = "srp_tests.rs"]
mod tests;
