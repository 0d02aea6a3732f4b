//! Exports of Bitwarden under a password: AES-256-CBC and HMAC-SHA-256, with keys from PBKDF2 or Argon2id.

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::BitwardenError;

const PBKDF2: u32 = 0;
const ARGON2ID: u32 = 1;

/// Bitwarden's own defaults for Argon2id.
const ITERATIONS: u32 = 3;
const MEMORY_MIB: u32 = 64;
const LANES: u32 = 4;

/// More than Bitwarden lets people choose: a file may not keep this machine busy for hours.
const MAX_PBKDF2_ITERATIONS: u32 = 2_000_000;
const MAX_ARGON2_ITERATIONS: u32 = 10;
const MAX_MEMORY_MIB: u32 = 1024;
const MAX_LANES: u32 = 16;

/// AES-CBC of 256 bits, authenticated by HMAC-SHA-256.
const SCHEME: &str = "2.";

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    encrypted: bool,
    password_protected: bool,
    /// Its text is what counts, not the bytes that it stands for.
    salt: String,
    kdf_type: u32,
    kdf_iterations: u32,
    #[serde(default)]
    kdf_memory: Option<u32>,
    #[serde(default)]
    kdf_parallelism: Option<u32>,
    #[serde(rename = "encKeyValidation_DO_NOT_EDIT")]
    validation: String,
    data: String,
}

struct Keys {
    encryption: Zeroizing<[u8; 32]>,
    authentication: Zeroizing<[u8; 32]>,
}

/// Whether a password is needed.
pub fn is_sealed(document: &[u8]) -> bool {
    serde_json::from_slice::<Envelope>(document).is_ok_and(|envelope| envelope.encrypted && envelope.password_protected)
}

/// The export in clear.
pub fn open(document: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, BitwardenError> {
    let envelope: Envelope = serde_json::from_slice(document).map_err(|_| BitwardenError::Malformed)?;
    let keys = Keys::derive(password, &envelope)?;
    // A text of no meaning, which only the right password opens.
    keys.open(&envelope.validation).ok_or(BitwardenError::Password)?;
    keys.open(&envelope.data).ok_or(BitwardenError::Damaged)
}

/// Seals an export.
pub fn seal(document: &[u8], password: &str, rng: &mut impl CryptoRng) -> Result<Vec<u8>, BitwardenError> {
    let mut salt = [0; 16];
    rng.fill_bytes(&mut salt);
    let mut envelope = Envelope {
        encrypted: true,
        password_protected: true,
        salt: BASE64.encode(&salt),
        kdf_type: ARGON2ID,
        kdf_iterations: ITERATIONS,
        kdf_memory: Some(MEMORY_MIB),
        kdf_parallelism: Some(LANES),
        validation: String::new(),
        data: String::new(),
    };
    let keys = Keys::derive(password, &envelope)?;
    envelope.validation = keys.seal(Uuid::new_v4().to_string().as_bytes(), rng)?;
    envelope.data = keys.seal(document, rng)?;
    serde_json::to_vec_pretty(&envelope).map_err(|_| BitwardenError::Malformed)
}

impl Keys {
    fn derive(password: &str, envelope: &Envelope) -> Result<Self, BitwardenError> {
        let mut master = Zeroizing::new([0; 32]);
        let within = |number: u32, highest: u32| {
            Some(number).filter(|number| (1..=highest).contains(number)).ok_or(BitwardenError::Derivation)
        };
        match envelope.kdf_type {
            PBKDF2 => {
                let iterations = within(envelope.kdf_iterations, MAX_PBKDF2_ITERATIONS)?;
                let salt = envelope.salt.as_bytes();
                pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, master.as_mut_slice());
            }
            ARGON2ID => {
                let memory_mib = within(envelope.kdf_memory.unwrap_or(0), MAX_MEMORY_MIB)?;
                let iterations = within(envelope.kdf_iterations, MAX_ARGON2_ITERATIONS)?;
                let lanes = within(envelope.kdf_parallelism.unwrap_or(0), MAX_LANES)?;
                let params = Params::new(memory_mib << 10, iterations, lanes, Some(master.len()))
                    .map_err(|_| BitwardenError::Derivation)?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(password.as_bytes(), &Sha256::digest(&envelope.salt), master.as_mut_slice())
                    .map_err(|_| BitwardenError::Derivation)?;
            }
            _ => return Err(BitwardenError::Derivation),
        }
        let expand = |label: &str| {
            let mut key = Zeroizing::new([0; 32]);
            let expander = Hkdf::<Sha256>::from_prk(master.as_slice()).map_err(|_| BitwardenError::Derivation)?;
            expander.expand(label.as_bytes(), key.as_mut_slice()).map_err(|_| BitwardenError::Derivation)?;
            Ok(key)
        };
        Ok(Self { encryption: expand("enc")?, authentication: expand("mac")? })
    }

    fn mac(&self, iv: &[u8], sealed: &[u8]) -> Option<Hmac<Sha256>> {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.authentication.as_slice()).ok()?;
        Some(mac.chain_update(iv).chain_update(sealed))
    }

    fn open(&self, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let parts = text.strip_prefix(SCHEME)?.split('|').map(|part| BASE64.decode(part.as_bytes()).ok());
        let [iv, sealed, tag] = <[Vec<u8>; 3]>::try_from(parts.collect::<Option<Vec<_>>>()?).ok()?;
        self.mac(&iv, &sealed)?.verify_slice(&tag).ok()?;
        let cipher = cbc::Decryptor::<aes::Aes256>::new_from_slices(self.encryption.as_slice(), &iv).ok()?;
        let mut opened = Zeroizing::new(sealed);
        let length = cipher.decrypt_padded::<Pkcs7>(&mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }

    fn seal(&self, clear: &[u8], rng: &mut impl CryptoRng) -> Result<String, BitwardenError> {
        let mut iv = [0; 16];
        rng.fill_bytes(&mut iv);
        let cipher = cbc::Encryptor::<aes::Aes256>::new_from_slices(self.encryption.as_slice(), &iv)
            .map_err(|_| BitwardenError::Derivation)?;
        let sealed = cipher.encrypt_padded_vec::<Pkcs7>(clear);
        let tag = self.mac(&iv, &sealed).ok_or(BitwardenError::Derivation)?.finalize().into_bytes();
        Ok(format!("{SCHEME}{}|{}|{}", BASE64.encode(&iv), BASE64.encode(&sealed), BASE64.encode(&tag)))
    }
}
