//! Who an account is to others: an X25519 key to be written to, an Ed25519 key to sign with, and a fingerprint of both
//! that two people compare, because the server that hands keys out may hand out its own.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keys::AccountKey;
use super::{Error, Fields, Key, hash, hpke_box, open, seal};

/// Length of a public identity.
pub const PUBLIC_IDENTITY_BYTES: usize = SIGNED_BYTES + SIGNATURE_BYTES;

/// Length of a signature.
pub(super) const SIGNATURE_BYTES: usize = 64;

const SIGNED_BYTES: usize = 16 + 32 + 32;
const WHAT: &str = "an identity";
const PRIVATE: &[u8] = b"coffer/secrets/1/identity/private\0";
const PUBLIC: &[u8] = b"coffer/secrets/1/identity/public\0";
const FINGERPRINT: &[u8] = b"coffer/secrets/1/fingerprint\0";

/// English words of BIP-39, in its order and separated by white space: chosen so that the first four letters tell any two apart.
pub const WORDS: &str = include_str!("words.txt");
const QR_SCHEME: &str = "coffer-identity:1:";
const WORD_BITS: usize = 11;
const SHOWN_WORDS: usize = 6;

/// The private keys of an account.
pub struct Identity {
    account: Uuid,
    encryption: Key,
    signing: SigningKey,
    public: PublicIdentity,
}

impl Identity {
    /// Draws the keys of an account.
    pub fn generate(account: Uuid, rng: &mut impl CryptoRng) -> Result<Self, Error> {
        let encryption = Key::generate(rng);
        Self::new(account, encryption, &Key::generate(rng))
    }

    /// Seals the private keys, for the account's other devices.
    pub fn seal(&self, account: &AccountKey, rng: &mut impl CryptoRng) -> Result<Vec<u8>, Error> {
        let mut secrets = Zeroizing::new([0; 64]);
        secrets[..32].copy_from_slice(self.encryption.bytes());
        secrets[32..].copy_from_slice(self.signing.as_bytes());
        seal(&account.key, &[PRIVATE, self.account.as_bytes()], secrets.as_slice(), rng)
    }

    /// Gets them back.
    pub fn open(account: &AccountKey, sealed: &[u8]) -> Result<Self, Error> {
        let secrets = open(WHAT, &account.key, &[PRIVATE, account.account().as_bytes()], sealed)?;
        let halves = secrets.split_first_chunk::<32>().filter(|(_, signing)| signing.len() == 32);
        let (encryption, signing) = halves.ok_or(Error::Length(WHAT))?;
        let signing = Key::from_slice(signing).map_err(|_| Error::Length(WHAT))?;
        Self::new(account.account(), Key::from_array(encryption), &signing)
    }

    /// What others may know.
    pub fn public(&self) -> &PublicIdentity {
        &self.public
    }

    pub(super) fn encryption(&self) -> &Key {
        &self.encryption
    }

    pub(super) fn sign(&self, label: &[u8], message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.signing.sign(&[label, message].concat()).to_bytes()
    }

    fn new(account: Uuid, encryption: Key, signing: &Key) -> Result<Self, Error> {
        let signing = SigningKey::from_bytes(signing.bytes());
        let mut public = PublicIdentity {
            account,
            encryption: hpke_box::public(&encryption)?,
            verifying: signing.verifying_key(),
            signature: [0; SIGNATURE_BYTES],
        };
        public.signature = signing.sign(&[PUBLIC, &public.signed_bytes()].concat()).to_bytes();
        Ok(Self { account, encryption, signing, public })
    }
}

/// The public keys of an account, signed by the account itself.
///
/// That they belong together is proven; that they belong to the person is what a comparison of fingerprints proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicIdentity {
    account: Uuid,
    encryption: [u8; 32],
    verifying: VerifyingKey,
    signature: [u8; SIGNATURE_BYTES],
}

impl PublicIdentity {
    /// Reads what a server says are this account's keys.
    pub fn parse(account: Uuid, bytes: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::of(WHAT, bytes, PUBLIC_IDENTITY_BYTES)?;
        if fields.uuid()? != account {
            return Err(Error::Elsewhere(WHAT));
        }
        let encryption = fields.take()?;
        let verifying = VerifyingKey::from_bytes(&fields.take()?).map_err(|_| Error::Malformed(WHAT))?;
        let public = Self { account, encryption, verifying, signature: fields.take()? };
        public.verify(WHAT, PUBLIC, &public.signed_bytes(), &public.signature)?;
        Ok(public)
    }

    /// As it is sent.
    pub fn to_bytes(&self) -> [u8; PUBLIC_IDENTITY_BYTES] {
        let mut bytes = [0; PUBLIC_IDENTITY_BYTES];
        bytes[..SIGNED_BYTES].copy_from_slice(&self.signed_bytes());
        bytes[SIGNED_BYTES..].copy_from_slice(&self.signature);
        bytes
    }

    /// Whose keys they are.
    pub fn account(&self) -> Uuid {
        self.account
    }

    /// What two people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(hash(&[FINGERPRINT, &self.signed_bytes()]))
    }

    pub(super) fn encryption(&self) -> &[u8; 32] {
        &self.encryption
    }

    /// Checks a signature of this account. Weak keys and signatures with two readings are refused.
    pub(super) fn verify(
        &self,
        what: &'static str,
        label: &[u8],
        message: &[u8],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), Error> {
        let signature = Signature::from_bytes(signature);
        let checked = self.verifying.verify_strict(&[label, message].concat(), &signature);
        checked.map_err(|_| Error::Signature(what))
    }

    fn signed_bytes(&self) -> [u8; SIGNED_BYTES] {
        let mut bytes = [0; SIGNED_BYTES];
        bytes[..16].copy_from_slice(self.account.as_bytes());
        bytes[16..48].copy_from_slice(&self.encryption);
        bytes[48..].copy_from_slice(self.verifying.as_bytes());
        bytes
    }
}

/// The hash of an account's public keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Its first 66 bits as six words, to be read aloud.
    pub fn words(&self) -> [&'static str; SHOWN_WORDS] {
        std::array::from_fn(|word| {
            let bits = (word * WORD_BITS..(word + 1) * WORD_BITS).map(|bit| (self.0[bit / 8] >> (7 - bit % 8)) & 1);
            let index = bits.fold(0, |index, bit| index * 2 + usize::from(bit));
            WORDS.split_ascii_whitespace().nth(index).unwrap_or_default()
        })
    }

    /// All of it, as a QR code says it.
    pub fn to_qr_text(&self, account: Uuid) -> String {
        format!("{QR_SCHEME}{account}:{}", data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// Reads what [`Fingerprint::to_qr_text`] says: whose keys, and their fingerprint.
pub fn from_qr_text(text: &str) -> Option<(Uuid, Fingerprint)> {
    let (account, digits) = text.trim().strip_prefix(QR_SCHEME)?.split_once(':')?;
    let fingerprint = data_encoding::HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok()?;
    Some((account.parse().ok()?, Fingerprint(fingerprint)))
}

/// How far another account's keys are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The server names them; nothing was done with them yet.
    Unverified,
    /// They were used, and others will be noticed.
    Pinned,
    /// Two people have compared them.
    Verified,
}

/// What a device remembers about another account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquaintance {
    /// The keys that it knows.
    pub fingerprint: Fingerprint,
    /// How far it believes them.
    pub trust: Trust,
}

/// The account has other keys than before. Nothing is shared with it until a person accepts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of this account have changed")]
pub struct KeysChanged {
    /// What was known.
    pub known: Acquaintance,
    /// What the server names now.
    pub named: Fingerprint,
}

impl Acquaintance {
    /// Keys that are seen for the first time.
    pub fn new(identity: &PublicIdentity) -> Self {
        Self { fingerprint: identity.fingerprint(), trust: Trust::Unverified }
    }

    /// Compares with what the server names now. Keys that nothing was done with yet may change.
    pub fn meet(self, identity: &PublicIdentity) -> Result<Self, KeysChanged> {
        let named = identity.fingerprint();
        match self.trust {
            Trust::Unverified => Ok(Self { fingerprint: named, trust: Trust::Unverified }),
            Trust::Pinned | Trust::Verified if named == self.fingerprint => Ok(self),
            Trust::Pinned | Trust::Verified => Err(KeysChanged { known: self, named }),
        }
    }

    /// They are used: from now on a change is noticed.
    #[must_use]
    pub fn pinned(self) -> Self {
        match self.trust {
            Trust::Unverified | Trust::Pinned => Self { trust: Trust::Pinned, ..self },
            Trust::Verified => self,
        }
    }

    /// A person has compared them, by words or by a QR code, and says so.
    #[must_use]
    pub fn verified(self) -> Self {
        Self { trust: Trust::Verified, ..self }
    }
}

impl KeysChanged {
    /// A person accepts the new keys. They were compared by nobody, whatever the old ones were.
    pub fn accept(self) -> Acquaintance {
        Acquaintance { fingerprint: self.named, trust: Trust::Pinned }
    }
}
