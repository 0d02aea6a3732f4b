//! How much room a file system has left.

use std::io;
use std::path::Path;

/// Bytes that an unprivileged writer may still use on the file system that holds `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    Ok(stat.blocks_available() * stat.fragment_size())
}
