"""The emulated SD card and NVMe drive: sparse files, made without a loop device or privileges."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from harness.tools import run

_MIB = 1024 * 1024
_SD_SIZE = 320 * _MIB
_BOOT_START, _BOOT_SIZE = 1 * _MIB, 63 * _MIB
_DATA_START = _BOOT_START + _BOOT_SIZE
_DATA_SIZE = _SD_SIZE - _DATA_START


def make_blank(path: Path, size_bytes: int) -> None:
    """A drive as it comes from the shop: nothing but zeros."""
    with open(path, "wb") as image:
        image.truncate(size_bytes)


def make_sd_card(path: Path) -> None:
    """A freshly flashed card: an MBR with the boot partition (FAT) and the empty data partition (ext4)."""
    make_blank(path, _SD_SIZE)
    table = (
        "label: dos\n"
        f"start={_BOOT_START // 512}, size={_BOOT_SIZE // 512}, type=c\n"
        f"start={_DATA_START // 512}, size={_DATA_SIZE // 512}, type=83\n"
    )
    run(["sfdisk", "--quiet", path], stdin=table.encode())
    run(["mkfs.vfat", "-n", "COFFER-BOOT", "--offset", str(_BOOT_START // 512), path, str(_BOOT_SIZE // 1024)])
    run(["mkfs.ext4", "-q", "-F", "-L", "coffer-data", "-E", f"offset={_DATA_START}", path, f"{_DATA_SIZE // 1024}k"])


def boot_partition(card: Path) -> str:
    """The boot partition in the words of mtools."""
    return f"{card}@@{_BOOT_START}"


def boot_partition_files(card: Path) -> list[str]:
    """What a person sees who puts the card into a computer."""
    listing = run(["mdir", "-b", "-i", boot_partition(card), "::/"])
    return [name.removeprefix("::/") for name in listing.decode().split()]


def read_boot_partition_file(card: Path, name: str) -> str:
    """One file of the boot partition, read from outside the running appliance."""
    return run(["mtype", "-i", boot_partition(card), f"::/{name}"]).decode()


def write_boot_partition_file(card: Path, name: str, text: str) -> None:
    """What a person writes who puts the card into a computer."""
    run(["mcopy", "-o", "-i", boot_partition(card), "-", f"::/{name}"], stdin=text.encode())


def read_data_partition_file(card: Path, name: str) -> str:
    """One file of the data partition, read with the machine off. `debugfs` knows no offsets, so on a copy."""
    with tempfile.NamedTemporaryFile() as copy:
        with open(card, "rb") as image:
            image.seek(_DATA_START)
            shutil.copyfileobj(image, copy)
        copy.flush()
        return run(["debugfs", "-R", f"cat {name}", copy.name]).decode()


def contains(path: Path, marker: bytes) -> bool:
    """Whether the raw bytes of a drive hold `marker` anywhere, deleted files and journals included."""
    previous = b""
    with open(path, "rb") as image:
        while chunk := image.read(8 * _MIB):
            if marker in previous + chunk:
                return True
            previous = chunk[-len(marker) :]
    return False


def make_foreign(path: Path, size_bytes: int) -> None:
    """A drive of somebody else."""
    make_blank(path, size_bytes)
    run(["mkfs.ext4", "-q", "-F", "-L", "holidays", path])


def digest(path: Path) -> str:
    """Of all of a drive."""
    with open(path, "rb") as image:
        return hashlib.file_digest(image, "sha256").hexdigest()
