//! Files with secrets: read without a trace in memory, written for their owner alone, and whole or not at all.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::error::Error;

/// What is done with a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It gives way, with its permissions.
    Replace,
    /// It stays, and nothing is written.
    Keep,
}

/// All of a file, if it is not larger than it may be.
pub fn read(path: &Path, limit_bytes: u64) -> Result<Zeroizing<Vec<u8>>, Error> {
    let read = || {
        let file = File::open(path)?;
        // As large as it gets, so that it is not moved and left behind while it grows; pipes tell no length.
        let capacity = usize::try_from(file.metadata()?.len().min(limit_bytes) + 1).unwrap_or(0);
        let mut content = Zeroizing::new(Vec::with_capacity(capacity));
        file.take(limit_bytes + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit_bytes { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content) }
    };
    read().map_err(|source| Error::File { what: "reading", path: path.to_owned(), source })
}

/// Likewise, as text.
pub fn read_text(path: &Path, limit_bytes: u64) -> Result<Zeroizing<String>, Error> {
    let content = read(path, limit_bytes)?;
    let text = std::str::from_utf8(&content).map(|text| Zeroizing::new(text.to_owned()));
    text.map_err(|_| Error::File { what: "reading", path: path.to_owned(), source: io::ErrorKind::InvalidData.into() })
}

/// Writes a file with mode 0600, through a neighbour that takes its name when everything is on disk.
pub fn write(path: &Path, content: &[u8], existing: Existing) -> Result<(), Error> {
    write_from(path, &mut &*content, existing).map_err(failed(path))
}

/// The same, of what is read from somewhere: all of it, or nothing.
pub fn write_from(path: &Path, source: &mut dyn Read, existing: Existing) -> io::Result<()> {
    let mut file = begin(path)?;
    io::copy(source, &mut file)?;
    end(file, path, existing)
}

/// The same, of what `fill` writes.
pub fn write_with(
    path: &Path,
    existing: Existing,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
) -> Result<(), Error> {
    // Told before the work, and made sure of at its end.
    if existing == Existing::Keep && path.exists() {
        return Err(failed(path)(io::ErrorKind::AlreadyExists.into()));
    }
    let mut staged = begin(path).map_err(failed(path))?;
    fill(&mut staged)?;
    end(staged, path, existing).map_err(failed(path))
}

/// Made with mode 0600, as `tempfile` does, and gone again if it does not come to its end.
fn begin(path: &Path) -> io::Result<NamedTempFile> {
    NamedTempFile::new_in(directory(path))
}

fn end(file: NamedTempFile, path: &Path, existing: Existing) -> io::Result<()> {
    file.as_file().sync_all()?;
    match existing {
        Existing::Replace => file.persist(path),
        Existing::Keep => file.persist_noclobber(path),
    }
    .map_err(|error| error.error)?;
    File::open(directory(path))?.sync_all()
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::File { what: "writing", path, source }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn no_more_is_read_than_was_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "four").unwrap();
        assert_eq!(*read(&path, 4).unwrap(), b"four");
        assert_eq!(*read_text(&path, 4).unwrap(), "four");
        assert!(read(&path, 3).is_err() && read(Path::new("/dev/zero"), 3).is_err());
        fs::write(&path, [0xff]).unwrap();
        assert!(read_text(&path, 4).is_err());
    }

    #[test]
    fn a_file_is_there_whole_and_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(write(&path, b"new", Existing::Keep).unwrap_err().to_string().contains("file"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write(&path, b"new", Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // A directory cannot be replaced by a file: nothing is left behind.
        fs::create_dir(directory.path().join("taken")).unwrap();
        assert!(write(&directory.path().join("taken"), b"new", Existing::Replace).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
