//! The files of this device: who is logged in (`profile.json`), the Secret Key in a file of its own, and where the replica
//! is. Knows no vault. All of it is its owner's alone, and replaced as a whole.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use coffer_crypto::secrets::{code::SecretKeyCode, password::Parameters};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{decode, encode, failure::Failure};

const PROFILE: &str = "profile.json";
const SECRET_KEY: &str = "secret-key";
const REPLICA: &str = "replica.db";
const TRANSFERS: &str = "transfers";
const LAYOUT: u32 = 1;
/// No file of these is longer; what is, was not written by this program.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The directory of one account on this machine.
#[derive(Clone, Debug)]
pub struct Home {
    directory: PathBuf,
}

/// What only one process does at a time.
#[derive(Clone, Copy, Debug)]
pub enum Exclusive {
    /// Talking to the box about vaults.
    Sync,
    /// Exchanging the refresh token, which is good for once.
    Tokens,
}

/// Who is logged in. Nothing in it opens a vault: the account key is wrapped for who knows the password and has the Secret Key.
#[derive(Clone, Serialize, Deserialize)]
pub struct Profile {
    layout: u32,
    /// Where the box is.
    pub url: String,
    /// Whose device it is.
    pub account: Uuid,
    /// The account's name.
    pub username: String,
    /// What this device is called, in the box's list of sessions and in names of copies.
    pub device: String,
    parameters: String,
    by_password: String,
}

/// What a profile is made of.
pub struct Owner {
    /// Where the box is.
    pub url: String,
    /// Whose device it is.
    pub account: Uuid,
    /// The account's name.
    pub username: String,
    /// What this device is called.
    pub device: String,
}

impl Profile {
    /// Of somebody whose account key is wrapped so, with a key that these parameters make.
    pub fn new(owner: Owner, parameters: &Parameters, by_password: &[u8]) -> Self {
        let Owner { url, account, username, device } = owner;
        let (parameters, by_password) = (encode(&parameters.to_bytes()), encode(by_password));
        Self { layout: LAYOUT, url, account, username, device, parameters, by_password }
    }

    /// The derivation that this device has used, and no other than this.
    pub fn parameters(&self) -> Result<Parameters, Failure> {
        let bytes = decode(&self.parameters).ok_or(Failure::Damaged { what: "the profile" })?;
        Parameters::parse(&bytes).map_err(|_| Failure::Damaged { what: "the profile" })
    }

    /// The account key, wrapped.
    pub fn by_password(&self) -> Result<Vec<u8>, Failure> {
        decode(&self.by_password).ok_or(Failure::Damaged { what: "the profile" })
    }
}

impl Home {
    /// What is kept in a directory. It is made when there is something to keep.
    pub fn in_directory(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the replica is.
    pub fn replica(&self) -> PathBuf {
        self.directory.join(REPLICA)
    }

    /// Where it stands which transfers of files are under way.
    pub fn transfers(&self) -> PathBuf {
        self.directory.join(TRANSFERS)
    }

    /// Who is logged in, if anybody is.
    pub fn find_profile(&self) -> Result<Option<Profile>, Failure> {
        let Some(bytes) = self.read(PROFILE)? else { return Ok(None) };
        let profile: Option<Profile> = serde_json::from_slice(&bytes).ok();
        let profile = profile.filter(|profile| profile.layout == LAYOUT);
        profile.map(Some).ok_or(Failure::Damaged { what: "the profile" })
    }

    /// Who is logged in.
    pub fn profile(&self) -> Result<Profile, Failure> {
        self.find_profile()?.ok_or(Failure::LoggedOut)
    }

    /// Keeps who is logged in.
    pub fn keep_profile(&self, profile: &Profile) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(profile).map_err(io::Error::from).map_err(Failure::io("the profile"))?;
        self.write(PROFILE, &bytes)
    }

    /// The Secret Key, as it was kept when somebody logged in.
    pub fn secret_key(&self) -> Result<SecretKeyCode, Failure> {
        let bytes = self.read(SECRET_KEY)?.ok_or(Failure::LoggedOut)?;
        let text = std::str::from_utf8(&bytes).ok();
        let code = text.and_then(|text| SecretKeyCode::parse(text.trim_end()).ok());
        code.ok_or(Failure::Damaged { what: "the Secret Key" })
    }

    /// Keeps the Secret Key.
    pub fn keep_secret_key(&self, code: &SecretKeyCode) -> Result<(), Failure> {
        self.write(SECRET_KEY, code.to_text().as_bytes())
    }

    /// Waits until no other process does that, and keeps others from it until the file is dropped.
    pub fn alone(&self, what: Exclusive) -> Result<File, Failure> {
        self.make()?;
        let name = match what {
            Exclusive::Sync => "sync.lock",
            Exclusive::Tokens => "tokens.lock",
        };
        let opened =
            File::options().write(true).create(true).truncate(false).mode(0o600).open(self.directory.join(name));
        let locked = opened.and_then(|file| file.lock().map(|()| file));
        locked.map_err(Failure::io("waiting for another `coffer`"))
    }

    /// Forgets the account: first what opens something.
    pub fn erase(&self) -> Result<(), Failure> {
        let wal = ["replica.db-wal", "replica.db-shm", "sync.lock", "tokens.lock"];
        for name in [SECRET_KEY, PROFILE, REPLICA].into_iter().chain(wal) {
            match fs::remove_file(self.directory.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Failure::io(format!("removing {name}"))(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        match fs::remove_dir_all(self.transfers()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::io(format!("removing {TRANSFERS}"))(error));
            }
            Ok(()) | Err(_) => {}
        }
        sync_directory(&self.directory).map_err(Failure::io("removing the profile"))
    }

    /// Makes the directory, for its owner alone.
    pub fn make(&self) -> Result<(), Failure> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        let checked = made.and_then(|()| fs::metadata(&self.directory)).and_then(|metadata| {
            if metadata.uid() != nix::unistd::geteuid().as_raw() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else"));
            }
            if metadata.mode().trailing_zeros() >= 6 {
                return Ok(());
            }
            fs::set_permissions(&self.directory, Permissions::from_mode(0o700))
        });
        checked.map_err(Failure::io(format!("the directory {}", self.directory.display())))
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let path = self.directory.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io(format!("reading {}", path.display()))(error)),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        let read = file.take(MAX_FILE_BYTES).read_to_end(&mut bytes);
        read.map_err(Failure::io(format!("reading {}", path.display())))?;
        Ok(Some(bytes))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.make()?;
        let path = self.directory.join(name);
        let written = (|| {
            let mut file = NamedTempFile::new_in(&self.directory)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            sync_directory(&self.directory)
        })();
        written.map_err(Failure::io(format!("writing {}", path.display())))
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(directory) => directory.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
