"""The firmware's part in starting a flashed card: which slot, which kernel, which command line.

Reads the image as it is shipped; QEMU's board has no firmware that knows autoboot.txt. It serves the images of both
boards as far as this choice goes, and boots the emulator's.
"""

from __future__ import annotations

import configparser
import struct
from dataclasses import dataclass
from pathlib import Path

from harness.tools import ToolError, run

_SECTOR = 512
_ENTRY = struct.Struct("<B3xB3xII")
_EXTENDED = {0x05, 0x0F}


@dataclass(frozen=True)
class Partition:
    """A partition as Linux numbers it: 1 to 4 of the table itself, from 5 on those in the extended one."""

    number: int
    kind: int
    offset: int
    size: int


@dataclass(frozen=True)
class Start:
    """What the firmware hands over to the kernel."""

    slot: str
    kernel: Path
    command_line: str


def partitions(image: Path) -> list[Partition]:
    """Follows the MBR and the chain of the extended partition."""
    with open(image, "rb") as card:

        def table(sector: int) -> list[tuple[int, int, int]]:
            card.seek(sector * _SECTOR)
            data = card.read(_SECTOR)
            if data[510:] != b"\x55\xaa":
                raise ToolError(f"{image}: no partition table at sector {sector}")
            found = [_ENTRY.unpack_from(data, 446 + 16 * index) for index in range(4)]
            return [(kind, start, length) for _, kind, start, length in found]

        result, chain = [], 0
        for number, (kind, start, length) in enumerate(table(0), 1):
            if kind:
                result.append(Partition(number, kind, start * _SECTOR, length * _SECTOR))
            if kind in _EXTENDED:
                chain = start
        base, here, number = chain, chain, 5
        while here:
            first, following = table(here)[:2]
            result.append(Partition(number, first[0], (here + first[1]) * _SECTOR, first[2] * _SECTOR))
            here = base + following[1] if following[0] else 0
            number += 1
    return sorted(result, key=lambda partition: partition.number)


def choose(image: Path, scratch: Path, *, trial: bool = False) -> Start:
    """The slot that autoboot.txt names, or the one on trial; its kernel is copied to `scratch`."""
    fat = {partition.number: f"{image}@@{partition.offset}" for partition in partitions(image) if partition.number < 4}
    autoboot = configparser.ConfigParser()
    autoboot.read_string(run(["mtype", "-i", fat[1], "::autoboot.txt"]).decode())
    number = autoboot.getint("tryboot" if trial else "all", "boot_partition")
    slot = {2: "a", 3: "b"}[number]
    kernel = scratch / "Image"
    kernel.unlink(missing_ok=True)
    run(["mcopy", "-i", fat[number], "::Image", kernel])
    line = run(["mtype", "-i", fat[number], f"::cmdline-{slot}.txt"]).decode().strip()
    return Start(slot.upper(), kernel, line)
