//! Directories that files are written to. A box names those files: every step is by a handle and one name, and never through a
//! symbolic link that lies there, so that nothing is written outside of what somebody has named.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, mkdirat, openat, renameat, renameat_with, statat, unlinkat,
    },
    io::Errno,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::Error;

/// Behind the name of a file that is not whole yet.
const PART: &[u8] = b".coffer-part";
/// A longer name stands for itself by its hash, so that what is put around it fits.
const LONGEST_IN_PART: usize = 200;

/// A directory.
pub struct Directory {
    handle: File,
    path: PathBuf,
}

/// Which file is meant, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    device: u64,
    number: u64,
}

/// What has a name already.
pub enum Existing {
    /// A file, which can be read.
    File(File),
    /// Something else.
    Other,
}

impl Directory {
    /// One that somebody has named.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let handle = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let handle = handle.map_err(io::Error::from).map_err(Error::io(format!("opening {}", path.display())))?;
        Ok(Self { handle: handle.into(), path: path.to_owned() })
    }

    /// A directory in it, which is made if there is none.
    pub fn enter(&self, name: &OsStr) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entered = match mkdirat(&self.handle, name, Mode::from_raw_mode(0o777)) {
            Err(error) if error != Errno::EXIST => Err(error),
            Ok(()) | Err(_) => openat(&self.handle, name, flags, Mode::empty()),
        };
        let path = self.path.join(name);
        let handle = entered.map_err(io::Error::from).map_err(Error::io(format!("entering {}", path.display())))?;
        Ok(Self { handle: handle.into(), path })
    }

    /// Where a file of that name is.
    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// Which directory it is.
    pub fn inode(&self) -> Result<Inode, Error> {
        Inode::of(&self.handle).map_err(Error::io(format!("looking at {}", self.path.display())))
    }

    /// What has that name.
    pub fn existing(&self, name: &OsStr) -> Result<Option<Existing>, Error> {
        let found = match statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => Ok(Some(Existing::Other)),
            Ok(_) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                openat(&self.handle, name, flags, Mode::empty()).map(|file| Some(Existing::File(file.into())))
            }
        };
        found.map_err(io::Error::from).map_err(Error::io(format!("looking at {}", self.path_of(name).display())))
    }

    /// What there is of a file that is not whole: the one that is known, or else a new one in its place.
    pub fn part(&self, name: &OsStr, known: Option<Inode>) -> Result<File, Error> {
        let part = part_name(name);
        let opened = (|| {
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            if let Some(known) = known {
                match openat(&self.handle, &part, flags, Mode::empty()) {
                    Ok(handle) => {
                        let file = File::from(handle);
                        // A second name would be somebody else's.
                        if Inode::of(&file)? == known && file.metadata()?.nlink() == 1 {
                            return Ok(file);
                        }
                    }
                    Err(Errno::NOENT | Errno::LOOP) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            match unlinkat(&self.handle, &part, AtFlags::empty()) {
                Err(error) if error != Errno::NOENT => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
            let made = openat(&self.handle, &part, flags | OFlags::CREATE | OFlags::EXCL, Mode::from_raw_mode(0o666));
            Ok(made.map(File::from)?)
        })();
        opened.map_err(Error::io(format!("writing {}", self.path_of(&part).display())))
    }

    /// Gives what is whole now its name. Something else of that name gives way only if it may.
    pub fn complete(&self, file: &File, name: &OsStr, may_replace: bool) -> Result<(), Error> {
        let part = part_name(name);
        let handle = &self.handle;
        let placed = (|| {
            file.sync_all()?;
            if may_replace {
                renameat(handle, &part, handle, name)?;
            } else {
                match renameat_with(handle, &part, handle, name, RenameFlags::NOREPLACE) {
                    // Not every file system can; then nothing must have come since the last look.
                    Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                        match statat(handle, name, AtFlags::SYMLINK_NOFOLLOW) {
                            Err(Errno::NOENT) => renameat(handle, &part, handle, name)?,
                            Ok(_) => return Err(Errno::EXIST.into()),
                            Err(error) => return Err(error.into()),
                        }
                    }
                    renamed => renamed?,
                }
            }
            handle.sync_all()
        })();
        placed.map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::ThereLocally(self.path_of(name)),
            _ => Error::io(format!("writing {}", self.path_of(name).display()))(error),
        })
    }

    /// Removes what is not going to be whole.
    pub fn give_up(&self, name: &OsStr) -> Result<(), Error> {
        let part = part_name(name);
        let removed = unlinkat(&self.handle, &part, AtFlags::empty()).map_err(io::Error::from);
        removed.map_err(Error::io(format!("removing {}", self.path_of(&part).display())))
    }
}

impl Inode {
    /// Of a file that is open.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { device: metadata.dev(), number: metadata.ino() })
    }

    /// To be hashed.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.device.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }
}

/// Whether a file of that name is one that is not whole.
pub fn is_part(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".") && name.as_bytes().ends_with(PART)
}

fn part_name(name: &OsStr) -> OsString {
    let bytes = name.as_bytes();
    let stem = if bytes.len() > LONGEST_IN_PART {
        data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)).into_bytes()
    } else {
        bytes.to_vec()
    };
    OsString::from_vec([b".", stem.as_slice(), PART].concat())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn scene() -> (tempfile::TempDir, Directory) {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("in")).unwrap();
        fs::create_dir(directory.path().join("out")).unwrap();
        let opened = Directory::open(&directory.path().join("in")).unwrap();
        (directory, opened)
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let (scene, directory) = scene();
        let (inside, outside) = (scene.path().join("in"), scene.path().join("out"));
        symlink(&outside, inside.join("sub")).unwrap();
        assert!(directory.enter("sub".as_ref()).is_err());
        directory.enter("new".as_ref()).unwrap();
        directory.enter("new".as_ref()).unwrap();

        fs::write(outside.join("victim"), "whole").unwrap();
        symlink(outside.join("victim"), inside.join(".f.coffer-part")).unwrap();
        let known = Inode::of(&File::open(outside.join("victim")).unwrap()).unwrap();
        let part = directory.part("f".as_ref(), Some(known)).unwrap();
        assert_ne!(Inode::of(&part).unwrap(), known);
        symlink(outside.join("victim"), inside.join("f")).unwrap();
        assert!(matches!(directory.existing("f".as_ref()), Ok(Some(Existing::Other))));
        let kept = directory.complete(&part, "f".as_ref(), false);
        assert!(matches!(kept, Err(Error::ThereLocally(_))), "{kept:?}");
        directory.complete(&part, "f".as_ref(), true).unwrap();
        assert!(fs::symlink_metadata(inside.join("f")).unwrap().is_file(), "the link gave way");
        assert_eq!(fs::read(outside.join("victim")).unwrap(), b"whole");
        // Another name of somebody's file.
        fs::hard_link(outside.join("victim"), inside.join(".g.coffer-part")).unwrap();
        assert_ne!(Inode::of(&directory.part("g".as_ref(), Some(known)).unwrap()).unwrap(), known);
    }

    #[test]
    fn a_part_that_is_known_is_gone_on_with_and_every_name_has_one() {
        let (scene, directory) = scene();
        for name in ["f", &"x".repeat(255), &"y".repeat(201)] {
            let first = directory.part(name.as_ref(), None).unwrap();
            let known = Inode::of(&first).unwrap();
            let again = directory.part(name.as_ref(), Some(known)).unwrap();
            assert_eq!(Inode::of(&again).unwrap(), known);
            directory.complete(&again, name.as_ref(), false).unwrap();
            assert!(scene.path().join("in").join(name).is_file());
        }
        directory.part("f".as_ref(), None).unwrap();
        directory.give_up("f".as_ref()).unwrap();
        assert_eq!(fs::read_dir(scene.path().join("in")).unwrap().count(), 3);
        for (name, is_one) in [(".f.coffer-part", true), ("f.coffer-part", false), (".f", false)] {
            assert_eq!(is_part(name.as_ref()), is_one, "{name}");
        }
    }
}
