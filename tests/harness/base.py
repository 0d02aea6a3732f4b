"""Builds the Debian 13 arm64 base of the emulated appliance, without running a single foreign program.

Packages are unpacked, never configured; `_finish` does by hand the little of the maintainer scripts that a
boot needs. The result depends on nothing of ours and is cached by its package list and by this code.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import kernel
from harness.tools import TESTS, ToolError, cache_directory, read_list, run

SUITE = "trixie"
_PACKAGE_LIST = TESTS / "base-packages.txt"
_INPUTS = (
    _PACKAGE_LIST,
    TESTS / "guest/initramfs-init",
    TESTS / "harness/base.py",
    TESTS / "harness/kernel.py",
)
_LEFT_OUT = ("usr/share/man", "usr/share/locale", "usr/share/doc", "usr/share/info", "var/cache/apt", "var/lib/apt")
# Nobody logs in, but polkit and PAM-linked programs refuse to start with dangling includes.
_PAM = {
    "auth": "auth required pam_deny.so\n",
    "account": "account required pam_unix.so\n",
    "password": "password required pam_deny.so\n",
    "session": "session required pam_unix.so\n",
    "session-noninteractive": "session required pam_unix.so\n",
}


@dataclass(frozen=True)
class Base:
    """A finished base. `stage` holds the account and unit files that our layer is computed against."""

    directory: Path

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.directory / "initrd.img"

    @property
    def root(self) -> Path:
        return self.directory / "base.squashfs"

    @property
    def stage(self) -> Path:
        return self.directory / "stage"


def prepare() -> Base:
    """Returns the cached base, and builds it first when there is none for this list and this code."""
    fingerprint = hashlib.sha256(b"\0".join(path.read_bytes() for path in _INPUTS)).hexdigest()[:16]
    final = cache_directory() / f"base-{SUITE}-{fingerprint}"
    with open(cache_directory() / "base.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            print(f"building the emulator's base image (once, a few minutes): {final}", flush=True)
            _build(final)
    return Base(final)


def _build(final: Path) -> None:
    with tempfile.TemporaryDirectory(dir=final.parent, prefix="building-") as scratch:
        tree, output = Path(scratch) / "tree", Path(scratch) / "output"
        tree.mkdir()
        output.mkdir()
        _unpack(tree)
        _finish(tree)
        kernel.split_kernel(tree, output)
        _copy_stage(tree, output / "stage")
        # lz4 unpacks cheaply under emulation; every file belongs to root, as on a read-only image it may.
        run(["mksquashfs", tree, output / "base.squashfs", "-comp", "lz4", "-noappend", "-all-root", "-quiet",
             "-no-progress", "-no-xattrs"])  # fmt: skip
        output.rename(final)


def _unpack(tree: Path) -> None:
    command = [
        "mmdebstrap", "--quiet", "--architectures=arm64", "--variant=extract", "--format=tar",
        "--mode=root" if os.geteuid() == 0 else "--mode=unshare",
        "--include=" + ",".join(read_list(_PACKAGE_LIST)),
        '--aptopt=Apt::Install-Recommends "false"',
        SUITE, "-", f"deb {_mirror()} {SUITE} main",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE) as archive:
        # Device nodes need privileges and come from devtmpfs anyway.
        done = subprocess.run(
            ["tar", "-x", "--exclude=./dev/*", "-C", tree], stdin=archive.stdout, capture_output=True, check=False
        )
    if archive.returncode != 0 or done.returncode != 0:
        raise ToolError(f"mmdebstrap: exit {archive.returncode}; tar: {done.stderr.decode(errors='replace')}")


def _mirror() -> str:
    """Where this machine itself gets Debian from, so that a local mirror or proxy is honoured."""
    listed = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Created-By: Packages"])
    uris = [uri for uri in listed.decode().split() if "security" not in uri]
    if not uris:
        raise ToolError("apt knows no source of Debian packages: add one to /etc/apt, then run apt-get update")
    return uris[0]


def _finish(tree: Path) -> None:
    etc = tree / "etc"
    for table in ("passwd", "group"):
        master = (tree / f"usr/share/base-passwd/{table}.master").read_text()
        (etc / table).write_text(master.replace(":*:", ":x:"))
    names = [line.split(":")[0] for line in (etc / "passwd").read_text().splitlines()]
    (etc / "shadow").write_text("".join(f"{name}:*:20000:0:99999:7:::\n" for name in names))
    (etc / "gshadow").write_text("")
    # Debian makes this group in a maintainer script; wpa_supplicant's unit names it.
    with open(etc / "group", "a") as groups:
        groups.write("netdev:x:101:\n")
    # Debian 12's systemd-sysusers, which may be the one at hand, does not know 257's "u!" (a locked account).
    for snippet in (tree / "usr/lib/sysusers.d").glob("*.conf"):
        snippet.write_text(snippet.read_text().replace("\nu! ", "\nu "))
    run(["systemd-sysusers", f"--root={tree}"])
    for name, text in _PAM.items():
        (etc / f"pam.d/common-{name}").write_text(text)

    # mmdebstrap leaves the name server of this machine behind.
    (etc / "resolv.conf").unlink(missing_ok=True)
    (etc / "machine-id").write_text("")
    (etc / "hostname").write_text("coffer\n")
    (etc / "hosts").write_text("127.0.0.1 localhost coffer\n::1 localhost\n")
    _link(tree / "usr/bin/awk", "mawk")
    _link(etc / "mtab", "../proc/self/mounts")
    for name in ("regulatory.db", "regulatory.db.p7s"):
        _link(tree / "usr/lib/firmware" / name, f"{name}-debian")
    for unneeded in _LEFT_OUT:
        shutil.rmtree(tree / unneeded, ignore_errors=True)
    for mount_point in ("data", "srv/coffer"):
        (tree / mount_point).mkdir(parents=True, exist_ok=True)
    # The only enabled units are those that our presets name; Debian's generators of links stay out.
    shutil.rmtree(etc / "systemd/system", ignore_errors=True)
    (etc / "systemd/system").mkdir()
    # Caches that an image is built with; made at each boot they cost seconds, and fail on a read-only root.
    for cache in ("ldconfig", "systemd-hwdb-update", "systemd-journal-catalog-update"):
        _link(etc / f"systemd/system/{cache}.service", "/dev/null")


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _copy_stage(tree: Path, stage: Path) -> None:
    for part in ("etc", "usr/lib/systemd", "usr/lib/sysusers.d"):
        shutil.copytree(tree / part, stage / part, symlinks=True)
