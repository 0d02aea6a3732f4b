//! What makes this box this box: its id, its secrets, its code, and how it is reached. Needs no vault.
//!
//! All of it is one file, replaced as a whole: whatever the power does, the box is one box. The id that it made for
//! itself stays for life, because phones remember it and the code's verifier is bound to it; what a registrar calls
//! the box is part of the registration, and is what device tokens are held against.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use log::{info, warn};
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::registration_record::{Connection, Record};
use super::setup_code::{self, CodeKind, OpenCode};
use crate::model::clock::{Clock, system_rng};
use crate::model::device::DEFAULT_NAME;
use crate::storage::durable;

/// The identity's file in the device directory.
pub(super) const FILE: &str = "device.json";
/// Keeps a second daemon out, and whoever else would change the identity below a running one.
pub(crate) const LOCK_FILE: &str = "cofferd.lock";
const VERSION: u32 = 2;
const MAX_BYTES: u64 = 64 * 1024;

/// The identity of this box, in memory and on disk.
pub(crate) struct Device {
    directory: PathBuf,
    identity: RwLock<Arc<Identity>>,
    /// Held by whoever replaces the file.
    turn: Mutex<()>,
}

/// What the file holds. Secrets in it are wiped when dropped, and it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    version: u32,
    /// Names the box. Random: a serial number would follow its owner.
    #[serde(rename = "device_id")]
    pub(crate) id: Uuid,
    created_at: Timestamp,
    pub(crate) name: String,
    /// Signs device tokens. The box's own, or the registrar's. Hexadecimal.
    pub(super) shared_secret: Zeroizing<String>,
    /// The seed of the Ed25519 key by which registrars know the box again. Hexadecimal.
    pub(super) signing_key: Zeroizing<String>,
    /// The code itself is on the label only.
    pub(crate) code: Option<OpenCode>,
    pub(super) registration: Record,
}

/// The file as the first version wrote it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstVersion {
    #[serde(rename = "version")]
    _version: u32,
    device_id: Uuid,
    created_at: Timestamp,
    shared_secret: Zeroizing<String>,
    setup_code_hash: Zeroizing<String>,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error("the device directory or the setup code's file cannot be read or written")]
    Io(#[from] io::Error),
    #[error("device.json is damaged; restore it, or remove it to make this a new box")]
    Damaged,
    #[error("device.json was written by a newer version; update the box")]
    Newer,
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
        let damaged = |_| DeviceError::Damaged;
        let VersionOnly { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        let identity = match version {
            1 => {
                let upgraded = Identity::upgrade(serde_json::from_slice(&bytes).map_err(damaged)?);
                upgraded.write(directory)?;
                upgraded
            }
            VERSION => serde_json::from_slice(&bytes).map_err(damaged)?,
            _ => return Err(DeviceError::Newer),
        };
        Ok(Some(Self::new(directory, identity)))
    }

    /// Reads the identity, or makes that of a new box and writes its setup code where its owner will look. Makes a new
    /// code when somebody asks for one there.
    ///
    /// Each code file comes before what is kept of the code, and the request goes last: a power cut in between makes
    /// all of it again, with another code.
    pub(crate) fn prepare(directory: &Path, code_file: &Path, clock: &dyn Clock) -> Result<Self, DeviceError> {
        let Some(device) = Self::load(directory)? else {
            let device = Self::first_boot(directory, code_file, clock)?;
            setup_code::no_longer_asked_for(code_file)?;
            info!(device_id:% = device.id(); "this is a new box");
            return Ok(device);
        };
        if setup_code::is_asked_for(code_file) {
            let (kept, code) = OpenCode::make(CodeKind::Recovery, device.id())?;
            setup_code::show(&code, kept.kind, code_file)?;
            let replaced = device.update(|identity| {
                identity.code = Some(kept);
                Ok(())
            });
            replaced.map_err(|_| io::Error::other("device.json cannot be replaced"))?;
            setup_code::no_longer_asked_for(code_file)?;
            info!("a new code was made, as a file on the boot partition asks");
        }
        Ok(device)
    }

    fn first_boot(directory: &Path, code_file: &Path, clock: &dyn Clock) -> Result<Self, DeviceError> {
        let id = uuid::Builder::from_random_bytes(random::<16>()).into_uuid();
        let (kept, code) = OpenCode::make(CodeKind::Setup, id)?;
        let identity = Identity::new(id, clock.now(), own_secret(), Some(kept));
        durable::make_directory(directory)?;
        setup_code::show(&code, CodeKind::Setup, code_file)?;
        identity.write(directory)?;
        Ok(Self::new(directory, identity))
    }

    fn new(directory: &Path, identity: Identity) -> Self {
        Self { directory: directory.to_owned(), identity: RwLock::new(Arc::new(identity)), turn: Mutex::new(()) }
    }

    /// The identity as it is now.
    pub(crate) fn read(&self) -> Arc<Identity> {
        Arc::clone(&self.identity.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Names the box.
    pub(crate) fn id(&self) -> Uuid {
        self.read().id
    }

    /// Where it is kept.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Changes the identity: on disk first, then for everybody. A change that fails changes nothing. Blocks.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Identity) -> Result<T, Error>) -> Result<T, Error> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut identity = Identity::clone(&self.read());
        let result = change(&mut identity)?;
        identity.write(&self.directory).map_err(|error| Error::storage("writing device.json", error))?;
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
        Ok(result)
    }

    /// Whether that is the code of a box that nobody owns. Takes as long as a login; blocks.
    pub(super) fn is_setup_code(&self, typed: &str) -> bool {
        self.read().code.as_ref().is_some_and(|code| code.is(typed))
    }

    /// The box is claimed: its setup code is used up. One that cannot be removed is not shown either, see
    /// [`Identity::open_code`]. Blocks.
    pub(super) fn close_setup_code(&self) {
        if self.read().code.is_some()
            && let Err(error) = self.update(|identity| {
                identity.code = None;
                Ok(())
            })
        {
            warn!(error:% = error; "what is kept of the used setup code was not removed");
        }
    }
}

impl Identity {
    fn new(id: Uuid, created_at: Timestamp, shared_secret: Zeroizing<String>, code: Option<OpenCode>) -> Self {
        Self {
            version: VERSION,
            id,
            created_at,
            name: DEFAULT_NAME.to_owned(),
            shared_secret,
            signing_key: own_secret(),
            code,
            registration: Record::default(),
        }
    }

    fn upgrade(first: FirstVersion) -> Self {
        let code = OpenCode::without_verifier(first.setup_code_hash);
        Self::new(first.device_id, first.created_at, first.shared_secret, Some(code))
    }

    fn write(&self, directory: &Path) -> io::Result<()> {
        // Room for all of it from the start: a buffer that grows leaves copies behind that nobody wipes.
        let mut json = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_BYTES).unwrap_or_default()));
        serde_json::to_writer(&mut *json, self)?;
        durable::replace_file(&directory.join(FILE), &json)
    }

    /// The secret that device tokens are signed with: 32 bytes in hexadecimal.
    pub(crate) fn shared_secret(&self) -> &str {
        &self.shared_secret
    }

    /// The id that device tokens are for: the registrar's name for the box when there is one.
    pub(crate) fn token_id(&self) -> Uuid {
        match &self.registration.connection {
            Connection::Registered { device_id, .. } => *device_id,
            Connection::None | Connection::OwnTunnel { .. } | Connection::LocalOnly => self.id,
        }
    }

    /// A secret that no registrar knows, in place of one that it does.
    pub(super) fn renew_shared_secret(&mut self) {
        self.shared_secret = own_secret();
    }

    /// The code that is open. A box that is owned has no use for a setup code; one that nobody owns, for no other.
    pub(crate) fn open_code(&self, claimed: bool) -> Option<(CodeKind, &OpenCode)> {
        let code = self.code.as_ref()?;
        match (claimed, code.kind) {
            (false, CodeKind::Setup | CodeKind::Recovery) => Some((CodeKind::Setup, code)),
            (true, CodeKind::Recovery) => Some((CodeKind::Recovery, code)),
            (true, CodeKind::Setup) => None,
        }
    }
}

/// 32 random bytes in hexadecimal.
fn own_secret() -> Zeroizing<String> {
    Zeroizing::new(HEXLOWER.encode(Zeroizing::new(random::<32>()).as_slice()))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    system_rng().fill_bytes(&mut bytes);
    bytes
}
