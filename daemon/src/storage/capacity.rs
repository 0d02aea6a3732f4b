//! How much room a file system has left.

use std::io;
use std::path::Path;

/// Bytes that an unprivileged writer may still use on the file system that holds `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// The size of a file system, and what is left of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) total_bytes: u64,
    /// For an unprivileged writer.
    pub(crate) available_bytes: u64,
}

/// The capacity of the file system that holds `path`.
pub(crate) fn of(path: &Path) -> io::Result<Capacity> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    let bytes = |blocks| blocks * stat.fragment_size();
    Ok(Capacity { total_bytes: bytes(stat.blocks()), available_bytes: bytes(stat.blocks_available()) })
}
