//! File-system operations that have happened when they return, power cut or not.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// Replaces a file's content in one step: readers see the old bytes or the new ones, also after a power cut.
///
/// The file gets mode 0600. A temporary file `NAME.new` beside it is overwritten if one was left behind.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let staged = path.with_added_extension("new");
    write_file(&staged, bytes)?;
    rename(&staged, path)
}

/// Writes a whole file of mode 0600 and syncs it, without caring for a power cut in between.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_parent(path)
}

/// Adds bytes to the end of a file of mode 0600, which is made when it is not there. Less than all of them may be there
/// after a power cut or a failure.
pub(crate) fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let is_new = file.metadata()?.len() == 0;
    file.write_all(bytes)?;
    file.sync_all()?;
    if is_new { sync_parent(path) } else { Ok(()) }
}

/// Renames within one directory or between two, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_parent(to)?;
    if from.parent() == to.parent() { Ok(()) } else { sync_parent(from) }
}

/// Removes a file, durably. A file that is not there is fine.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_parent(path),
    }
}

/// Overwrites a file with zeros before it removes it, durably. A file that is not there is fine.
pub(crate) fn erase_file(path: &Path) -> io::Result<()> {
    let open = || OpenOptions::new().write(true).open(path);
    let opened = match open() {
        // gocryptfs lets its owner only read its configuration.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(path, Permissions::from_mode(0o600)).and_then(|()| open())
        }
        opened => opened,
    };
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(mut file) => {
            let length = file.metadata()?.len();
            io::copy(&mut io::repeat(0).take(length), &mut file)?;
            file.sync_all()?;
        }
    }
    remove_file(path)
}

/// Makes a directory of mode 0700 and what leads to it.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    sync_parent(path)
}

/// Reads a small file whole; one over `max_bytes` is an error, not a surprise. The bytes wipe themselves.
pub(crate) fn read_small_file(path: &Path, max_bytes: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    // Room for all of it from the start: a buffer that grows leaves copies behind that nobody wipes.
    let capacity = usize::try_from(max_bytes.saturating_add(1)).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity.min(1 << 20)));
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than expected"));
    }
    Ok(bytes)
}

/// Syncs a directory: the names in it.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Syncs the whole file system that holds `path` (`syncfs(2)`).
///
/// gocryptfs writes some of its own files without syncing them; this is how they become durable.
pub(crate) fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(nix::unistd::syncfs(File::open(path)?)?)
}

/// Syncs the directory that holds `path`: whether there is something of that name.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync_directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_private_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::write(dir.path().join("keys.new"), "left behind").unwrap();
        replace_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_appended_file_grows_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        append(&path, b"one\n").unwrap();
        append(&path, b"two\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(append(&dir.path().join("nowhere/journal"), b"x").is_err());
    }

    #[test]
    fn an_erased_file_was_zeros_before_it_went() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        fs::write(&path, "secret").unwrap();
        let other_name = dir.path().join("other");
        fs::hard_link(&path, &other_name).unwrap();
        erase_file(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read(other_name).unwrap(), [0; 6]);
        erase_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_its_owner_may_only_read_is_erased_too() {
        // Root may write to everything: this thread has the file system's rights of somebody else, as the box's daemon has.
        let erase = || {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("gocryptfs.conf");
            fs::write(&path, "wrapped").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
            let nobody = 65_534;
            if nix::unistd::geteuid().is_root() {
                for path in [dir.path(), path.as_path()] {
                    std::os::unix::fs::chown(path, Some(nobody), None).unwrap();
                }
                nix::unistd::setfsuid(nix::unistd::Uid::from_raw(nobody));
            }
            erase_file(&path).unwrap();
            assert!(!path.exists());
        };
        std::thread::spawn(erase).join().unwrap();
    }

    #[test]
    fn a_small_file_may_be_as_large_as_said_and_no_larger() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_small_file(&path, 5).unwrap().as_slice(), b"12345");
        assert_eq!(read_small_file(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
