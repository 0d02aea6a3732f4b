//! A key that is given from outside, as Storm Cloud's is: `STORMCLOUD_ENCRYPTION_KEY`, or `STORAGE_ENCRYPTION_KEY`; as a
//! systemd credential of that name, or in the environment.
//!
//! Once it was taken into the vault it is kept there, and need not be given any more. Which key it was is noted beside the
//! identity of the box, by its check value: so another key, or none where there must be one, is noticed before the vault is
//! unlocked, and before the port opens.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use coffer_crypto::envelope::keys::KeyId;
use coffer_crypto::envelope::{CheckValue, GivenKeyError, SecretKey};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Error;
use crate::model::sealing::{EncryptionMode, mode_named};
use crate::storage::durable;

/// Beside the identity of the box.
const FILE: &str = "given-key.json";

/// The longest note, and the longest credential.
const MAX_BYTES: u64 = 4096;

/// Storm Cloud's name of a key without one.
const DEFAULT_ID: &str = "1";

/// Both spellings.
const PREFIXES: [&str; 2] = ["STORMCLOUD_ENCRYPTION_", "STORAGE_ENCRYPTION_"];

/// A key that was given, well-formed.
pub(crate) struct GivenKey {
    pub(super) id: KeyId,
    pub(super) mode: EncryptionMode,
    check: CheckValue,
    /// Wiped once the vault has it.
    secret: Mutex<Option<SecretKey>>,
    note: PathBuf,
}

/// Which key the store was sealed with.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    key_id: String,
    check_value: String,
    /// Whether the vault has it.
    stored: bool,
}

/// Why the daemon must not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GivenKeyRefusal {
    #[error(
        "FATAL: Encryption key mismatch detected!\n\
         The configured key is not the one that this store was sealed with. Nothing was changed. Configure the right key, \
         or none: the vault has kept it."
    )]
    Mismatch,
    #[error(
        "FATAL: Server has encryption enabled, but no key provided.\n\
         Set STORMCLOUD_ENCRYPTION_KEY, in the environment or as a credential, to the key that was saved when encryption was \
         enabled."
    )]
    Missing,
    #[error("the encryption key cannot be used: {0}. It is 32 bytes in base64 or base64url.")]
    Malformed(GivenKeyError),
    #[error(
        "{0} is not understood. The key id has 1 to 16 visible ASCII characters; the method is server or server-user."
    )]
    Setting(&'static str),
    #[error("{file} cannot be read or written: {cause}")]
    Note { file: PathBuf, cause: io::Error },
}

/// What was found at the start.
pub(crate) struct Found {
    pub(crate) key: Option<GivenKey>,
    /// This key was never given here before.
    pub(crate) is_first: bool,
}

impl GivenKey {
    /// Looks for a key, and compares it with the one that the store was sealed with.
    pub(crate) fn find(
        device: &Path,
        lookup: impl Fn(&str) -> Option<Zeroizing<String>>,
    ) -> Result<Found, GivenKeyRefusal> {
        let note = device.join(FILE);
        let of = |cause| GivenKeyRefusal::Note { file: note.clone(), cause };
        let known: Option<Note> = match durable::read_small_file(&note, MAX_BYTES) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| of(error.into()))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(of(error)),
        };
        let setting = |name: &str| PREFIXES.iter().find_map(|prefix| lookup(&format!("{prefix}{name}")));
        let method = setting("METHOD").map(|text| text.trim().to_owned()).filter(|text| text != "none");
        let mode = method.as_deref().map(|text| mode_named(text).filter(|mode| *mode != EncryptionMode::Off));
        let mode = mode.map(|mode| mode.ok_or(GivenKeyRefusal::Setting("the encryption method"))).transpose()?;
        let Some(text) = setting("KEY").filter(|text| !text.trim().is_empty()) else {
            let is_needed = known.as_ref().map_or(mode.is_some(), |known| !known.stored);
            return if is_needed { Err(GivenKeyRefusal::Missing) } else { Ok(Found { key: None, is_first: false }) };
        };
        let secret = SecretKey::parse(&text).map_err(GivenKeyRefusal::Malformed)?;
        let id = setting("KEY_ID").map(|text| text.trim().to_owned());
        let id =
            KeyId::parse(id.as_deref().unwrap_or(DEFAULT_ID)).map_err(|_| GivenKeyRefusal::Setting("the key id"))?;
        let check_value = HEXLOWER.encode(&secret.check_value().0);
        if known.as_ref().is_some_and(|known| known.check_value != check_value) {
            return Err(GivenKeyRefusal::Mismatch);
        }
        let is_first = known.is_none();
        let stored = known.is_some_and(|known| known.stored);
        let mode = mode.unwrap_or(EncryptionMode::Server);
        let (check, secret) = (secret.check_value(), Mutex::new(Some(secret).filter(|_| !stored)));
        let key = Self { id, mode, check, secret, note };
        if is_first {
            key.write(false).map_err(|cause| GivenKeyRefusal::Note { file: key.note.clone(), cause })?;
        }
        Ok(Found { key: Some(key), is_first })
    }

    /// Whether the vault has it.
    pub(super) fn is_stored(&self) -> bool {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The vault has it from now on, and nobody else.
    pub(super) fn note_stored(&self) -> io::Result<()> {
        self.write(true)?;
        drop(self.secret.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    /// Tells it from other keys.
    pub(super) fn check_value(&self) -> CheckValue {
        self.check
    }

    /// The key itself, as long as the vault does not have it.
    pub(super) fn secret(&self) -> Result<SecretKey, Error> {
        let secret = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = secret.as_ref().ok_or(Error::Internal("given key", None))?;
        SecretKey::from_slice(secret.bytes()).map_err(|error| Error::internal("given key", error))
    }

    fn write(&self, stored: bool) -> io::Result<()> {
        let check_value = HEXLOWER.encode(&self.check_value().0);
        let note = Note { key_id: self.id.as_str().to_owned(), check_value, stored };
        durable::replace_file(&self.note, &serde_json::to_vec(&note)?)
    }
}

/// A setting, from a systemd credential or else from the environment.
pub(crate) fn from_outside(name: &str) -> Option<Zeroizing<String>> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let credential = credentials.and_then(|directory| durable::read_small_file(&directory.join(name), MAX_BYTES).ok());
    let credential = credential.and_then(|bytes| Some(Zeroizing::new(str::from_utf8(&bytes).ok()?.to_owned())));
    credential.or_else(|| std::env::var(name).ok().map(Zeroizing::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(device: &Path, settings: &[(&str, &str)]) -> Result<(bool, bool), String> {
        let lookup = |name: &str| {
            let found = settings.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| Zeroizing::new((*value).to_owned()))
        };
        match GivenKey::find(device, lookup) {
            Ok(found) => Ok((found.key.is_some(), found.is_first)),
            Err(refusal) => Err(refusal.to_string().lines().next().unwrap().to_owned()),
        }
    }

    #[test]
    fn a_key_is_given_once_and_another_one_never() {
        let (key, other) = ("A".repeat(43), "B".repeat(43));
        let device = tempfile::tempdir().unwrap();
        let missing = Err("FATAL: Server has encryption enabled, but no key provided.".to_owned());
        let mismatch = Err("FATAL: Encryption key mismatch detected!".to_owned());
        assert_eq!(find(device.path(), &[]), Ok((false, false)));
        assert_eq!(find(device.path(), &[("STORAGE_ENCRYPTION_METHOD", "none")]), Ok((false, false)));
        assert_eq!(find(device.path(), &[("STORAGE_ENCRYPTION_METHOD", "server")]), missing);
        assert!(find(device.path(), &[("STORMCLOUD_ENCRYPTION_KEY", "short")]).unwrap_err().contains("32 bytes"));
        assert_eq!(find(device.path(), &[("STORMCLOUD_ENCRYPTION_KEY", &key)]), Ok((true, true)));
        assert_eq!(find(device.path(), &[("STORAGE_ENCRYPTION_KEY", &format!(" {key}=\n"))]), Ok((true, false)));
        assert_eq!(find(device.path(), &[]), missing, "no vault has it yet");
        assert_eq!(find(device.path(), &[("STORAGE_ENCRYPTION_KEY", &other)]), mismatch);
    }

    #[test]
    fn a_key_that_the_vault_has_is_in_memory_no_more() {
        let device = tempfile::tempdir().unwrap();
        let find = || {
            let lookup = |name: &str| name.ends_with("_KEY").then(|| Zeroizing::new("A".repeat(43)));
            GivenKey::find(device.path(), lookup).unwrap().key.unwrap()
        };
        let key = find();
        assert_eq!((key.is_stored(), key.secret().unwrap().bytes()), (false, &[0; 32]));
        key.note_stored().unwrap();
        assert!(key.is_stored() && key.secret().is_err());
        let again = find();
        assert!(again.is_stored() && again.secret().is_err(), "nor is it kept at the next start");
        assert_eq!(again.check_value(), key.check_value());
    }
}
