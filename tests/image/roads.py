"""That each file of the image has one road, and each user one number."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from image.checks import BUILDROOT, PROJECT, succeed

_COMMON = BUILDROOT / "board/coffer/common"


def checks() -> Iterator[tuple[str, Callable[[], None]]]:
    yield "every file has one road to the image", every_file_has_one_road
    yield "every configuration that post-build writes is computed", post_build_computes
    yield "users of the package are those of sysusers.d", users_have_one_number


def _files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or path.is_file()}


def every_file_has_one_road() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        succeed(PROJECT / "systemd/install", root)
        units = _files(root)
    overlay = _files(PROJECT / "overlay")
    programs = set(
        re.findall(r"^COFFER_PROGRAMS = (.*)$", (BUILDROOT / "package/coffer/coffer.mk").read_text(), re.MULTILINE)
    )
    programs = {f"usr/bin/{name}" for line in programs for name in line.split()}
    computed = set(re.findall(r'"\$target/([\w./-]+)"', (_COMMON / "post-build").read_text()))
    roads = {"systemd/install": units, "overlay": overlay, "package": programs, "post-build": computed}
    for name, files in roads.items():
        assert files, f"nothing comes by {name}"
        for other, others in roads.items():
            both = files & others
            assert name == other or not both, f"by {name} and by {other}: {sorted(both)}"
    # What an overlay brings keeps the mode that git knows: none is a program.
    modes = [
        path
        for path in (PROJECT / "overlay").rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o111
    ]
    assert not modes, modes


def post_build_computes() -> None:
    """Static files belong into overlay/: post-build may only write what depends on the build."""
    text = (_COMMON / "post-build").read_text()
    written = set(re.findall(r'(?:>|install -m 0644 "\$COFFER_KEYRING" |ln -sf \S+ )"\$target/([\w./-]+)"', text))
    allowed = {
        "usr/lib/os-release",
        "etc/os-release",
        "etc/rauc/system.conf",
        "usr/share/coffer/update-keyring.pem",
        "usr/share/coffer/update-channel",
        "etc/machine-id",
    }
    assert written == allowed, written ^ allowed


def users_have_one_number() -> None:
    sysusers = (PROJECT / "systemd/sysusers.d/coffer.conf").read_text()
    wanted = {(name, int(number)) for name, number in re.findall(r"^[ug] (\S+)\s+(\d+)", sysusers, re.MULTILINE)}
    members = set(re.findall(r"^m (\S+) (\S+)$", sysusers, re.MULTILINE))
    package = (BUILDROOT / "package/coffer/coffer.mk").read_text()
    [table] = re.findall(r"define COFFER_USERS\n(.*?)endef", package, re.DOTALL)
    found, found_members = set(), set()
    for line in table.strip().splitlines():
        user, uid, group, gid, password, home, shell, extra = line.split()[:8]
        found.add((user if user != "-" else group, int(gid)))
        assert (home, shell) == ("-", "-") and (user == "-" or (user == group and uid == gid and password == "*")), line
        found_members |= {(user, name) for name in extra.split(",") if name != "-"}
    assert found == wanted, found ^ wanted
    assert found_members == members, found_members ^ members
