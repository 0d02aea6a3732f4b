//! From a password and a Secret Key to two keys that know nothing of each other: one logs in, one unlocks.
//!
//! The server keeps the [`Parameters`], because a new device has to learn them, and so they are an attacker's input: too
//! cheap ones and too dear ones are refused before anything is computed, and a device that knows an account takes no others
//! than it has pinned.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use super::code::SecretKeyCode;
use super::{Error, Fields, Key, derive as derive_key, expand};

/// Length of parameters in bytes.
pub const PARAMETERS_BYTES: usize = 60;

/// Longest password, in bytes of UTF-8 after normalisation.
pub const MAX_PASSWORD_BYTES: usize = 1024;

const WHAT: &str = "the parameters of a key derivation";
const AUTHENTICATION: &[u8] = b"coffer/secrets/1/authentication\0";
const UNLOCK: &[u8] = b"coffer/secrets/1/unlock\0";
const UNKNOWN_SALTS: &[u8] = b"coffer/secrets/1/unknown/salts\0";
const UNKNOWN_UNLOCK_SALT: &[u8] = b"coffer/secrets/1/unknown/unlock-salt\0";

/// What a password costs to try: Argon2id, version 0x13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The cost is not one that a client agrees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    /// Passwords could be guessed too fast.
    #[error("the key derivation is too cheap: at least 64 MiB, 3 passes and 4 lanes are wanted")]
    Cheap,
    /// The client would stand still.
    #[error("the key derivation is too dear: at most 1 GiB, 16 passes and 16 lanes are allowed")]
    Dear,
}

impl Cost {
    /// The least that a client agrees to: the second recommendation of RFC 9106, section 4.
    pub const FLOOR: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// What a client asks for.
    pub const DEFAULT: Self = Self { memory_kib: 256 * 1024, ..Self::FLOOR };
    /// The most that a client agrees to.
    pub const CEILING: Self = Self { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

    /// Takes a cost between [`Cost::FLOOR`] and [`Cost::CEILING`].
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, CostError> {
        let cost = Self { memory_kib, passes, lanes };
        if !cost.is_at_least(Self::FLOOR) {
            return Err(CostError::Cheap);
        }
        if Self::CEILING.is_at_least(cost) { Ok(cost) } else { Err(CostError::Dear) }
    }

    /// KiB of memory.
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over it.
    pub fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    pub fn lanes(self) -> u32 {
        self.lanes
    }

    fn is_at_least(self, other: Self) -> bool {
        self.memory_kib >= other.memory_kib && self.passes >= other.passes && self.lanes >= other.lanes
    }
}

/// Everything about an account's key derivation that is not secret. Kept by the server, and pinned by every device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    cost: Cost,
    salt: [u8; 16],
    authentication_salt: [u8; 16],
    unlock_salt: [u8; 16],
}

/// Why parameters that a server names are not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// They are no parameters.
    #[error(transparent)]
    Form(#[from] Error),
    /// They cost too little or too much.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// They cost less than those that this device has used. No password change does that.
    #[error("the server asks for a cheaper key derivation than before")]
    Weakened,
    /// They are others than those that this device has used: the password was changed elsewhere, or the server lies.
    #[error("the server names another key derivation than before")]
    Changed,
}

impl Parameters {
    /// Draws the salts of a new password.
    pub fn generate(cost: Cost, rng: &mut impl CryptoRng) -> Self {
        let mut salts = [[0; 16]; 3];
        for salt in &mut salts {
            rng.fill_bytes(salt);
        }
        let [salt, authentication_salt, unlock_salt] = salts;
        Self { cost, salt, authentication_salt, unlock_salt }
    }

    /// What a server names for an account that does not exist: always the same for a name, and as good as any.
    pub fn of_unknown(server_secret: &[u8; 32], name: &[u8]) -> Self {
        let drawn = [UNKNOWN_SALTS, UNKNOWN_UNLOCK_SALT].map(|purpose| derive_key(server_secret, &[purpose, name]));
        let [salts, unlock_salt] = drawn.each_ref().map(|key| key.bytes().split_at(16));
        let salt = |half: &[u8]| {
            let mut salt = [0; 16];
            salt.copy_from_slice(half);
            salt
        };
        Self {
            cost: Cost::DEFAULT,
            salt: salt(salts.0),
            authentication_salt: salt(salts.1),
            unlock_salt: salt(unlock_salt.0),
        }
    }

    /// Reads what a server sent. Whatever costs too little or too much is refused here.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParametersError> {
        let mut fields = Fields::of(WHAT, bytes, PARAMETERS_BYTES)?;
        let cost = Cost::new(fields.u32()?, fields.u32()?, fields.u32()?)?;
        Ok(Self { cost, salt: fields.take()?, authentication_salt: fields.take()?, unlock_salt: fields.take()? })
    }

    /// As they are sent and pinned.
    pub fn to_bytes(&self) -> [u8; PARAMETERS_BYTES] {
        let mut bytes = [0; PARAMETERS_BYTES];
        bytes[..4].copy_from_slice(&self.cost.memory_kib.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.cost.passes.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.cost.lanes.to_be_bytes());
        bytes[12..28].copy_from_slice(&self.salt);
        bytes[28..44].copy_from_slice(&self.authentication_salt);
        bytes[44..].copy_from_slice(&self.unlock_salt);
        bytes
    }

    /// What a try costs.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether a device that has used `self` may use what the server names now. [`ParametersError::Changed`] is for a person
    /// to decide, who knows whether the password was changed; [`ParametersError::Weakened`] is not.
    pub fn admit(&self, named: &Self) -> Result<(), ParametersError> {
        if !named.cost.is_at_least(self.cost) {
            return Err(ParametersError::Weakened);
        }
        if named == self { Ok(()) } else { Err(ParametersError::Changed) }
    }
}

/// A password as it is hashed: in Unicode's NFC, and nothing else changed. Wiped when dropped.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes what was typed.
    pub fn new(typed: &str) -> Result<Self, Error> {
        // Normalising makes a text at most three times as long; growing would leave a copy behind.
        let mut normal = Zeroizing::new(String::with_capacity(typed.len().min(MAX_PASSWORD_BYTES) * 3));
        if typed.len() > MAX_PASSWORD_BYTES {
            return Err(Error::Length("the password"));
        }
        normal.extend(typed.nfc());
        if normal.is_empty() || normal.len() > MAX_PASSWORD_BYTES {
            return Err(Error::Length("the password"));
        }
        Ok(Self(normal))
    }
}

/// What the account logs in with: the "password" of SRP-6a. The server has its verifier.
pub struct AuthenticationKey(pub(super) Key);

impl AuthenticationKey {
    /// The bytes, for the login.
    pub fn bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }
}

/// What wraps the account key. It never leaves the device.
pub struct UnlockKey(pub(super) Key);

/// The device has not the memory that the parameters ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is not enough memory for the key derivation")]
pub struct NoMemory;

/// Derives both keys. Takes as long as the parameters ask for; nothing of it is worth keeping but the keys.
pub fn derive(
    password: &Password,
    secret_key: &SecretKeyCode,
    account: Uuid,
    parameters: &Parameters,
) -> Result<(AuthenticationKey, UnlockKey), NoMemory> {
    let stretched = stretch(password, parameters)?;
    let code = secret_key.secret();
    let mut both = Zeroizing::new([0; 58]);
    both[..32].copy_from_slice(stretched.as_slice());
    both[32..].copy_from_slice(code.as_bytes());
    let key = |salt: &[u8; 16], purpose| {
        expand(&Hkdf::<Sha256>::new(Some(salt), both.as_slice()), &[purpose, account.as_bytes()])
    };
    Ok((
        AuthenticationKey(key(&parameters.authentication_salt, AUTHENTICATION)),
        UnlockKey(key(&parameters.unlock_salt, UNLOCK)),
    ))
}

fn stretch(password: &Password, parameters: &Parameters) -> Result<Zeroizing<[u8; 32]>, NoMemory> {
    let Cost { memory_kib, passes, lanes } = parameters.cost;
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| NoMemory)?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(params.block_count()).map_err(|_| NoMemory)?;
    memory.resize(params.block_count(), Block::default());
    let mut stretched = Zeroizing::new([0; 32]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let done = argon2.hash_password_into_with_memory(
        password.0.as_bytes(),
        &parameters.salt,
        stretched.as_mut_slice(),
        &mut memory,
    );
    memory.zeroize();
    done.map_err(|_| NoMemory)?;
    Ok(stretched)
}
