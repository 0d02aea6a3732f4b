"""Releases of the appliance for a card with two slots: made by the image's own scripts, and started as the firmware would.

The root that a slot seals is our layer; the Debian base under it is a disk beside the card. Everything else of the card is
what buildroot/board/coffer/common/post-image makes: table, selector, boot parts, hash tree, command lines.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import image, layer
from harness.base import Base
from harness.tools import PROJECT, ToolError

_BUILDROOT = PROJECT / "buildroot"
_COMMON = _BUILDROOT / "board/coffer/common"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Larger than the image, as cards are: the data partition grows to its end.
_CARD_SIZE = 2 * 1024**3
_CHUNK = 1024 * 1024
# Before the box restarts the kernel says with which argument, if any.
_RESTART = re.compile(r"reboot: Restarting system with command '([^'\n]*)'")
# A test does not wait five minutes for what shows in seconds. The limit is what a start under load takes, several times.
_TIMES = """\
[Service]
Environment=COFFER_SLOT_HEALTHY_S=20 COFFER_SLOT_LIMIT_S=180 COFFER_SLOT_PAUSE_S=2
"""


@dataclass(frozen=True)
class Authority:
    """Whose updates a box takes, in a folder that make-keys filled."""

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> Authority:
        _script("make-keys", directory)
        return cls(directory)

    @property
    def keyring(self) -> Path:
        return self.directory / "ca.pem"


@dataclass(frozen=True)
class Release:
    """One version of the appliance, as a build leaves it in its output folder."""

    directory: Path
    version: str

    @classmethod
    def build(
        cls, base: Base, binaries: Path, directory: Path, version: str, authority: Authority, *, broken: bool = False
    ) -> Release:
        """`broken`: with a daemon that ends at once."""

        def complete(root: Path) -> None:
            _write(root / "usr/lib/os-release", f"NAME=Coffer\nID=coffer\nVERSION_ID={version}\n")
            system = (_COMMON / "rauc-system.conf").read_text().replace("@BOARD@", "qemu")
            _write(root / "etc/rauc/system.conf", system)
            _write(root / "usr/share/coffer/update-keyring.pem", authority.keyring.read_text())
            _write(root / "usr/lib/systemd/system/coffer-slot-good.service.d/90-test.conf", _TIMES)
            if broken:
                (root / "usr/bin/cofferd").write_text("#!/bin/sh\nexit 1\n")

        images = directory / "images"
        images.mkdir(parents=True)
        layer.build(base, binaries, images / "rootfs.erofs", with_agent=True, complete=complete)
        shutil.copy(base.kernel, images / "Image")
        _post_image(images, version)
        return cls(directory, version)

    def flash(self, card: Path) -> None:
        """Onto a card that is larger than the image."""
        (self.directory / "images/coffer-qemu.img").replace(card)
        os.truncate(card, _CARD_SIZE)

    def bundle(self, path: Path, signer: Authority) -> None:
        """The update to this release, signed by `signer`."""
        variables = {
            "COFFER_VERSION": self.version, "COFFER_KEYRING": str(signer.keyring),
            "COFFER_SIGNING_CERT": str(signer.directory / "updates.pem"),
            "COFFER_SIGNING_KEY": str(signer.directory / "updates.key"),
        }  # fmt: skip
        _script("make-bundle", self.directory, "qemu", path, variables=variables)


@dataclass(frozen=True)
class SlotBoard:
    """A board whose system is on its card. `stick` holds the bundles, for want of a network."""

    base: Base
    start: image.Start
    sd_card: Path
    stick: Path
    nvme: Path | None

    @property
    def kernel(self) -> Path:
        return self.start.kernel

    @property
    def initrd(self) -> Path:
        return self.base.initrd

    @property
    def words(self) -> Sequence[str]:
        return (self.start.command_line,)

    @property
    def disks(self) -> Sequence[tuple[Path, bool]]:
        return ((self.base.root, True), (self.sd_card, False), (self.stick, True))


def restart_argument(console: str) -> str | None:
    """What the box told the firmware as it restarted; nothing of a start that a panic or the plug ended."""
    said = _RESTART.findall(console)
    return said[-1] if said else None


def digest(card: Path, number: int) -> str:
    """Of the raw bytes of a partition."""
    hashed = hashlib.sha256()
    for chunk in _chunks(card, number):
        hashed.update(chunk)
    return hashed.hexdigest()


def is_empty(card: Path, number: int) -> bool:
    """Whether a partition holds nothing but zeros."""
    return not any(chunk.strip(b"\0") for chunk in _chunks(card, number))


def flip_byte(file: Path, offset: int) -> None:
    """From the end when `offset` is negative."""
    with open(file, "r+b") as opened:
        opened.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        [byte] = opened.read(1)
        opened.seek(-1, os.SEEK_CUR)
        opened.write(bytes([byte ^ 0xFF]))


def squashfs_end(file: Path) -> int:
    """Where the file system in a file ends, by its superblock."""
    with open(file, "rb") as opened:
        head = opened.read(48)
    assert head[:4] == b"hsqs", head
    return int.from_bytes(head[40:48], "little")


def flip_byte_of_partition(card: Path, number: int, offset: int) -> None:
    flip_byte(card, _partition(card, number).offset + offset)


def _chunks(card: Path, number: int):  # noqa: ANN202
    partition = _partition(card, number)
    with open(card, "rb") as opened:
        opened.seek(partition.offset)
        for _ in range(partition.size // _CHUNK):
            yield opened.read(_CHUNK)


def _partition(card: Path, number: int) -> image.Partition:
    [found] = [partition for partition in image.partitions(card) if partition.number == number]
    return found


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _post_image(images: Path, version: str) -> None:
    """Buildroot's last step. Packing the card takes minutes, and is what the programs do that are left out."""
    with tempfile.TemporaryDirectory() as scratch:
        for program, script in (("xz", 'for file; do :; done; : >"$file.xz"'), ("bmaptool", ': >"$4"')):
            (Path(scratch) / program).write_text(f"#!/bin/sh\n{script}\n")
            (Path(scratch) / program).chmod(0o755)
        variables = {
            "PATH": f"{scratch}:{_PATH}", "SOURCE_DATE_EPOCH": "1700000000", "COFFER_VERSION": version,
            "BUILD_DIR": scratch,
        }  # fmt: skip
        _run([_COMMON / "post-image", images, "qemu"], variables)


def _script(name: str, *words: str | Path, variables: dict[str, str] | None = None) -> None:
    _run([_BUILDROOT / "scripts" / name, *words], variables or {})


def _run(command: Sequence[str | Path], variables: dict[str, str]) -> None:
    line = [str(word) for word in command]
    environment = {"PATH": _PATH, "LC_ALL": "C.UTF-8", "HOME": str(Path.home()), **variables}
    done = subprocess.run(line, env=environment, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ToolError(f"{' '.join(line)}: exit {done.returncode}\n{done.stderr.decode(errors='replace')[-4000:]}")
