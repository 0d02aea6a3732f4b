//! The boot partition, as far as `coffer.toml` is concerned: found, read within limits, wiped, and reported on. FAT has no
//! journal, so each step is on disk before the next begins.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::CardError;
use crate::store::replace_file;

const FILE: &str = "coffer.toml";
/// What Windows makes of it while it hides the ends of names.
const MISNAMED: &str = "coffer.toml.txt";
/// Where it is while it is being wiped: nobody reads it there, so it counts as gone from the rename on.
const USED: &str = "coffer.used";
/// Shared with who else takes files from here: everybody's paragraphs begin with the name of their file.
const ERRORS: &str = "coffer-errors.txt";

/// Far above a file with the longest of tickets.
const MAX_BYTES: u64 = 16 * 1024;
pub(super) const LIMITS: &str = "the file has at most 16 KiB";
const MAX_ERRORS_BYTES: u64 = 64 * 1024;

pub(super) struct BootPartition<'p> {
    root: &'p Path,
}

/// A file that can be read, and wiped.
pub(super) struct Found {
    path: PathBuf,
    file: File,
}

impl<'p> BootPartition<'p> {
    pub(super) fn new(root: &'p Path) -> Self {
        Self { root }
    }

    /// The file, when there is one. To be opened it has to be writable: what cannot be wiped is not used.
    pub(super) fn open(&self) -> Result<Option<Found>, CardError> {
        let path = self.root.join(FILE);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => Ok(Some(Found { path, file })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => {
                Err(CardError::Io { doing: "opening, to read it and to be able to wipe it afterwards,", path, source })
            }
        }
    }

    /// What a power cut left of a wiping.
    pub(super) fn finish_wiping(&self) -> Result<(), CardError> {
        let path = self.root.join(USED);
        match OpenOptions::new().write(true).open(&path) {
            Ok(mut file) => erase(&mut file, &path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(CardError::Io { doing: "opening", path, source }),
        }
    }

    /// What to say when there is no file.
    pub(super) fn misnamed(&self) -> Vec<String> {
        let advice = || format!("the file is called {MISNAMED}, so nothing was taken from it. Take the `.txt` away.");
        self.root.join(MISNAMED).is_file().then(advice).into_iter().collect()
    }

    /// Puts what there is to say into the file for it, in place of what was said before, and leaves the words of others.
    pub(super) fn report(&self, entries: &[String]) -> Result<(), CardError> {
        let path = self.root.join(ERRORS);
        let before = match read_limited(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(source) => return Err(CardError::Io { doing: "reading", path, source }),
        };
        let ours = format!("{FILE}: ");
        let others = before.split("\n\n").map(str::trim).filter(|words| !words.is_empty() && !words.starts_with(&ours));
        let entries = entries.iter().map(|entry| format!("{ours}{entry}"));
        let after: Vec<String> = others.map(str::to_owned).chain(entries).collect();
        let after = if after.is_empty() { String::new() } else { after.join("\n\n") + "\n" };
        if after == before {
            return Ok(());
        }
        let done = if after.is_empty() { remove(&path) } else { replace_file(&path, after.as_bytes()) };
        done.map_err(|source| CardError::Io { doing: "writing", path, source })
    }
}

impl Found {
    /// `None` when it is no text, or too long.
    pub(super) fn read(&self) -> Result<Option<Zeroizing<String>>, CardError> {
        let failed = |source| CardError::Io { doing: "reading", path: self.path.clone(), source };
        // Never moved while it grows, which would leave copies.
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_BYTES + 1).unwrap_or(0)));
        (&self.file).take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Ok(None);
        }
        Ok(std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned())))
    }

    /// Overwrites and removes it.
    pub(super) fn wipe(mut self) -> Result<(), CardError> {
        let used = self.path.with_file_name(USED);
        // A directory that is full can refuse; then a power cut in the middle leaves some of the settings to be taken again.
        let path = match fs::rename(&self.path, &used).and_then(|()| sync_parent(&used)) {
            Ok(()) => used,
            Err(_) => self.path,
        };
        erase(&mut self.file, &path)
    }
}

/// On flash the medium may keep old bytes in spare blocks; nobody finds them by reading the card.
fn erase(file: &mut File, path: &Path) -> Result<(), CardError> {
    let mut erase = || {
        let length = file.metadata()?.len();
        file.rewind()?;
        io::copy(&mut io::repeat(b' ').take(length), file)?;
        file.flush()?;
        file.sync_all()?;
        remove(path)
    };
    erase().map_err(|source| CardError::Io { doing: "wiping", path: path.to_owned(), source })
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().ok_or(ErrorKind::InvalidInput)?)?.sync_all()
}

/// Others' words too, which nobody promises to be text or short.
fn read_limited(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_ERRORS_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
