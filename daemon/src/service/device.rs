//! What makes this box this box: its id, its shared secret, and the setup code that claims it. Needs no vault.

use std::io::{self, ErrorKind};
use std::path::Path;

use coffer_crypto::code::SetupCode;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::passwords;
use crate::model::clock::{Clock, system_rng};
use crate::storage::durable;

/// The identity's file in the device directory.
const FILE: &str = "device.json";
const MAX_BYTES: u64 = 16 * 1024;

/// Stands below the code, in the file that its owner opens.
const CODE_ADVICE: &str = "\
This is the setup code of your Coffer. Whoever knows it can claim the box, so keep it to yourself until you have.
This file disappears once the box is claimed.
";

/// The identity of a box. Secrets in it are wiped when dropped, and it has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    version: u32,
    /// Names the box. Random: a serial number would follow its owner.
    #[serde(rename = "device_id")]
    pub(crate) id: Uuid,
    created_at: Timestamp,
    /// Shared with the registrar at registration; signs device tokens. Hexadecimal.
    shared_secret: Zeroizing<String>,
    /// Argon2id of the setup code. The code itself is on the label only.
    setup_code_hash: Zeroizing<String>,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error("the device directory cannot be read or written")]
    Io(#[from] io::Error),
    #[error("device.json is damaged; restore it, or remove it to make this a new box")]
    Damaged,
    #[error("cannot hash the setup code")]
    Hash,
}

impl Device {
    /// Reads the identity; `None` before the first boot.
    pub(crate) fn load(directory: &Path) -> Result<Option<Self>, DeviceError> {
        let bytes = match durable::read_small_file(&directory.join(FILE), MAX_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| DeviceError::Damaged)
    }

    /// Makes the identity of a new box, and writes its setup code where its owner will look.
    ///
    /// The code file comes first: a power cut in between makes both again, with another code.
    pub(crate) fn first_boot(directory: &Path, setup_code_file: &Path, clock: &dyn Clock) -> Result<Self, DeviceError> {
        let rng = &mut system_rng();
        let code = SetupCode::generate(rng);
        let mut shared_secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(shared_secret.as_mut_slice());
        let device = Self {
            version: 1,
            id: uuid::Builder::from_random_bytes(random_bytes(rng)).into_uuid(),
            created_at: clock.now(),
            shared_secret: Zeroizing::new(HEXLOWER.encode(shared_secret.as_slice())),
            setup_code_hash: passwords::hash(&code.secret()).map_err(|_| DeviceError::Hash)?.into(),
        };
        let text = Zeroizing::new(format!("{}\n\n{CODE_ADVICE}", code.to_text().as_str()));
        durable::make_directory(directory)?;
        durable::replace_file(setup_code_file, text.as_bytes())?;
        let json = Zeroizing::new(serde_json::to_vec(&device).map_err(io::Error::from)?);
        durable::replace_file(&directory.join(FILE), &json)?;
        Ok(device)
    }

    /// The secret that the cloud signs this device's tokens with: 32 bytes in hexadecimal.
    pub(crate) fn shared_secret(&self) -> &str {
        &self.shared_secret
    }

    /// Whether that is this box's setup code. Takes as long as a login; blocks.
    pub(crate) fn is_setup_code(&self, typed: &str) -> bool {
        SetupCode::parse(typed).is_ok_and(|code| passwords::verify(&code.secret(), &self.setup_code_hash))
    }
}

fn random_bytes(rng: &mut impl Rng) -> [u8; 16] {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    bytes
}
