//! What outlives a process that dies in the middle of a transfer: one small file for each, in a directory of its owner's alone. It
//! says what was begun, and holds nothing that opens anything.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::error::Error;
use crate::secrets::home::Home;

/// The box keeps what it has of an upload for seven days: what is older than this is of no use.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(8 * 24);
/// What is longer was not written by this program.
const MAX_BYTES: u64 = 64 * 1024;

/// The place of one transfer, which is this process's until it is dropped.
pub struct Slot {
    file: File,
    path: PathBuf,
}

impl Slot {
    /// The place of the transfer that `parts` name. Two processes do not have it at once.
    pub fn take(home: &Home, now: Timestamp, called: &str, parts: &[&[u8]]) -> Result<Self, Error> {
        home.make()?;
        let opened = (|| {
            let directory = home.transfers();
            match DirBuilder::new().mode(0o700).create(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            }
            prune(&directory, now)?;
            let path = directory.join(name(parts));
            let mut options = File::options();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            Ok(Self { file, path })
        })();
        let slot = opened.map_err(Error::io("keeping what is known of a transfer"))?;
        match slot.file.try_lock() {
            Ok(()) => Ok(slot),
            Err(fs::TryLockError::WouldBlock) => Err(Error::Busy(called.to_owned())),
            Err(fs::TryLockError::Error(source)) => Err(Error::io("keeping what is known of a transfer")(source)),
        }
    }

    /// What was kept, if that is anything.
    pub fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut bytes = Vec::new();
        self.file.rewind().ok()?;
        (&self.file).take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps something in place of what there was. A power cut in between leaves what does not read.
    pub fn keep<T: Serialize>(&mut self, what: &T) -> Result<(), Error> {
        let kept = (|| {
            let bytes = serde_json::to_vec(what)?;
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.file.write_all(&bytes)?;
            self.file.sync_all()
        })();
        kept.map_err(Error::io("keeping what is known of a transfer"))
    }

    /// Forgets the transfer: it is done, or of no use.
    pub fn clear(self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(Error::io("forgetting a transfer"))
    }
}

/// Two transfers have two names, and no name tells what is moved.
fn name(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    data_encoding::HEXLOWER.encode(&hasher.finalize()[..16])
}

fn prune(directory: &Path, now: Timestamp) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|at| at.try_into().ok());
        let is_old = modified.is_some_and(|modified: Timestamp| now.duration_since(modified) > KEPT_FOR);
        if is_old {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Scene {
        directory: tempfile::TempDir,
        now: Timestamp,
    }

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let now = fs::metadata(directory.path()).unwrap().modified().unwrap().try_into().unwrap();
            Self { directory, now }
        }

        fn take(&self, part: &str) -> Result<Slot, Error> {
            let home = Home::in_directory(self.directory.path().join("home"));
            Slot::take(&home, self.now, part, &[part.as_bytes()])
        }
    }

    #[test]
    fn a_slot_is_one_process_s_and_forgets_what_was_torn() {
        let scene = Scene::new();
        let mut slot = scene.take("a").unwrap();
        assert_eq!(slot.read::<u32>(), None);
        slot.keep(&12_345).unwrap();
        slot.keep(&7).unwrap();
        assert!(matches!(scene.take("a"), Err(Error::Busy(_))));
        assert!(scene.take("b").is_ok());
        let path = slot.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(slot);
        assert_eq!(scene.take("a").unwrap().read(), Some(7));
        fs::write(&path, "{").unwrap();
        assert_eq!(scene.take("a").unwrap().read::<u32>(), None);
        scene.take("a").unwrap().clear().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_nobody_has_gone_on_with_is_forgotten() {
        let scene = Scene::new();
        let (old, young) = (scene.take("old").unwrap(), scene.take("young").unwrap());
        let hour = SignedDuration::from_hours(1);
        old.file.set_modified((scene.now - KEPT_FOR - hour).into()).unwrap();
        young.file.set_modified((scene.now - KEPT_FOR + hour).into()).unwrap();
        drop(scene.take("another").unwrap());
        assert!(!old.path.exists() && young.path.exists());
    }
}
