//! Keeps secrets out of core dumps, swap and other processes' sight.

use log::warn;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// Hardens this process. Called once at start, before any secret is read.
///
/// Locking all memory needs an unlimited `RLIMIT_MEMLOCK`: under a finite one a later allocation would abort the
/// process. The appliance's unit grants it; elsewhere the log says that keys may reach the swap.
pub(crate) fn harden_process() {
    // Also makes /proc/self belong to root, so that nobody of our own user can attach or read our memory.
    if let Err(error) = prctl::set_dumpable(false) {
        warn!(error:% = error; "cannot make the process undumpable");
    }
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        warn!(error:% = error; "cannot forbid core dumps");
    }
    let unlimited = getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
    // ONFAULT: only pages that are used are pinned, not the reserve behind thread stacks.
    let flags = MlockAllFlags::MCL_CURRENT
        | MlockAllFlags::MCL_FUTURE
        | MlockAllFlags::from_bits_retain(nix::libc::MCL_ONFAULT);
    if !unlimited || mlockall(flags).is_err() {
        warn!("memory is not locked (RLIMIT_MEMLOCK is limited): keys could be written to swap, if there is any");
    }
}
