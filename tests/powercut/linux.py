"""The few system calls that Python does not have: mounting, and a mount namespace of one's own."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from pathlib import Path

_CLONE_NEWNS = 0x20000
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 2, 4, 0x4000, 1 << 18
_LIMIT_S, _POLL_S = 60.0, 0.01
_libc = ctypes.CDLL(None, use_errno=True)


def enter_private_mount_namespace() -> None:
    """Mounts made from now on are seen by this process and its children alone, and end with them.

    The daemon copies all mounts that it sees into a namespace of its own. A worker that saw another worker's disks
    would keep them mounted.
    """
    _check(_libc.unshare(_CLONE_NEWNS))
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))


def mount_fuse(device: int, directory: Path) -> None:
    """Mounts a FUSE file system that whoever holds `device`, an open /dev/fuse, will serve."""
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    _check(_libc.mount(b"recorder", bytes(directory), b"fuse", _MS_NOSUID | _MS_NODEV, options.encode()))


def mount_image(image: Path, directory: Path) -> None:
    """Mounts the ext4 file system in a file. The loop device frees itself with the last unmount."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-o", "loop,noatime,nodev,nosuid", image, directory], check=True, capture_output=True, text=True
    )


def unmount(directory: Path) -> None:
    subprocess.run(["umount", directory], check=True, capture_output=True, text=True)


def unmount_when_free(directory: Path) -> None:
    """A killed gocryptfs, and then the loop device, hold on for a moment."""
    deadline = time.monotonic() + _LIMIT_S
    while (done := subprocess.run(["umount", directory], capture_output=True, text=True)).returncode != 0:
        if time.monotonic() > deadline:
            raise OSError(f"cannot unmount {directory}: {done.stderr.strip()}")
        time.sleep(_POLL_S)


def detach(directory: Path) -> None:
    """Takes it away, in use or not; one that is not mounted is fine."""
    subprocess.run(["umount", "--lazy", directory], capture_output=True, check=False)


def _check(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
