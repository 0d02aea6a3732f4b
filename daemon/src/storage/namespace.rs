//! The daemon's own user and mount namespace, so that nothing else on the machine can see the plaintext view.
//!
//! In a user namespace of its own an unprivileged process may mount FUSE file systems without any help of a setuid
//! program, which `NoNewPrivileges` would forbid anyway; docs/decisions/0002 tells how this was found. The namespace
//! ends with its last process, and every mount in it as well: a killed daemon leaves no mount behind.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

/// The step that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamespaceError {
    #[error(
        "cannot make a private mount namespace: user namespaces are switched off or forbidden here \
         (see the sysctls user.max_user_namespaces and kernel.unprivileged_userns_clone)"
    )]
    Unshare(#[source] nix::Error),
    #[error("cannot map the user into the private namespace")]
    Map(#[source] io::Error),
    #[error("cannot separate the mounts")]
    Separate(#[source] nix::Error),
}

/// Moves this process into a new user namespace (its own user becomes 0 there) and a mount namespace whose mounts stay
/// inside. Mounts made outside still come in: a key or a drive that is plugged in later. Only a single-threaded process may do this: call it first (`unshare(2)`, `CLONE_NEWUSER`).
pub(crate) fn enter() -> Result<(), NamespaceError> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(NamespaceError::Unshare)?;
    // user_namespaces(7): an unprivileged process may map one group only after it gave up setgroups(2).
    fs::write("/proc/self/setgroups", "deny").map_err(NamespaceError::Map)?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).map_err(NamespaceError::Map)?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).map_err(NamespaceError::Map)?;
    let receive_only = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, receive_only, None::<&str>).map_err(NamespaceError::Separate)
}

/// Whether something is mounted exactly at `path`, as this process sees it (`proc_pid_mountinfo(5)`).
pub(crate) fn is_mount_point(path: &Path) -> io::Result<bool> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let Some(wanted) = path.to_str() else { return Ok(false) };
    Ok(table.lines().any(|line| line.split(' ').nth(4).is_some_and(|point| unescape(point) == wanted)))
}

/// Space, tab, newline and backslash are written in octal there.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}
