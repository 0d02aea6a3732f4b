"""The record of what reached the disks, and the crash states that follow from it.

A record is one file of entries, each a header and, for a write, its bytes. An entry's *position* is its number; the
number of entries so far is kept in a small mapped file, so that another process can stamp an event with it.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

Kind = Literal["prefix", "subset"]

_HEADER = struct.Struct("<B?xxIQ")
_COUNT = struct.Struct("<Q")


class Recorder:
    """Appends entries. One process, one thread."""

    def __init__(self, directory: Path) -> None:
        self._log = os.open(directory / "record", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        counter = os.open(directory / "count", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(counter, mmap.PAGESIZE)
        self._counter = mmap.mmap(counter, _COUNT.size)
        self._count = 0

    def write(self, disk: int, offset: int, data: bytes | memoryview) -> None:
        os.writev(self._log, [_HEADER.pack(disk, False, len(data), offset), data])
        self._counted()

    def flush(self, disk: int) -> None:
        os.write(self._log, _HEADER.pack(disk, True, 0, 0))
        self._counted()

    def _counted(self) -> None:
        self._count += 1
        _COUNT.pack_into(self._counter, 0, self._count)


class Position:
    """How many entries there are right now, from any process."""

    def __init__(self, directory: Path) -> None:
        with (directory / "count").open("rb") as counter:
            self._counter = mmap.mmap(counter.fileno(), _COUNT.size, prot=mmap.PROT_READ)

    def now(self) -> int:
        count: int = _COUNT.unpack_from(self._counter)[0]
        return count


@dataclass(frozen=True)
class Entry:
    disk: int
    is_flush: bool
    offset: int
    at: int
    length: int


@dataclass(frozen=True)
class Cut:
    """One crash state: the power went after the first `position` entries.

    `prefix`: every write up to there reached the disk. `subset`: on each disk only what its last flush covers is sure;
    of each later sector, chance decides whether it arrived.
    """

    position: int
    kind: Kind
    keep: float
    seed: int
    sector: int
    after: Cut | None = None

    def __str__(self) -> str:
        detail = f" keep={self.keep} sector={self.sector} seed={self.seed}" if self.kind == "subset" else ""
        before = f"{self.after}, then " if self.after else ""
        return f"{before}{self.kind} of {self.position} entries{detail}"


class Record:
    """A finished record, for reading."""

    def __init__(self, directory: Path) -> None:
        with (directory / "record").open("rb") as log:
            self._bytes = mmap.mmap(log.fileno(), 0, prot=mmap.PROT_READ)
        self.entries: list[Entry] = []
        at = 0
        while at < len(self._bytes):
            disk, is_flush, length, offset = _HEADER.unpack_from(self._bytes, at)
            at += _HEADER.size
            self.entries.append(Entry(disk, is_flush, offset, at, length))
            at += length

    def data(self, entry: Entry, start: int = 0, length: int | None = None) -> memoryview:
        end = entry.length if length is None else min(entry.length, start + length)
        return memoryview(self._bytes)[entry.at + start : entry.at + end]

    def rewriting_windows(self, sectors: int) -> list[tuple[int, int]]:
        """Where a disk was told to write at least so many sectors anew between two flushes, as positions.

        Uploads go to fresh sectors, and commits rewrite a few. What rewrites many is SQLite's checkpoint.
        """
        windows = []
        written: set[tuple[int, int]] = set()
        begun: dict[int, tuple[int, int]] = {}
        for number, entry in enumerate(self.entries):
            start, rewritten = begun.get(entry.disk, (number, 0))
            if entry.is_flush:
                if rewritten >= sectors:
                    windows.append((start, number))
                begun.pop(entry.disk, None)
                continue
            touched = {
                (entry.disk, sector)
                for sector in range(entry.offset // 4096, (entry.offset + entry.length + 4095) // 4096)
            }
            begun[entry.disk] = (start, rewritten + len(touched & written))
            written |= touched
        return windows

    def changes_of_disk(self, end: int) -> list[int]:
        """The positions before `end` where another disk is written to than just before; with one disk, the flushes."""
        disks = [entry.disk for entry in self.entries[:end]]
        changes = [number for number in range(1, end) if disks[number] != disks[number - 1]]
        return changes or [number for number in range(end) if self.entries[number].is_flush]

    def durable(self, disk: int, position: int) -> int:
        """The number of entries that the last flush of that disk before `position` covers."""
        for number in range(position - 1, -1, -1):
            entry = self.entries[number]
            if entry.is_flush and entry.disk == disk:
                return number + 1
        return 0


class Replayer:
    """Makes the crash states of one disk, in the order of their positions."""

    def __init__(self, record: Record, disk: int, pristine: Path, base: Path) -> None:
        self._record = record
        self._disk = disk
        self._base = base
        self._applied = 0
        copy_sparse(pristine, base)

    def make(self, cut: Cut, image: Path) -> None:
        """Writes the disk as the cut leaves it to `image`."""
        durable = self._record.durable(self._disk, cut.position)
        with self._base.open("r+b") as base:
            for number in range(self._applied, durable):
                self._apply(base, number)
        self._applied = durable
        copy_sparse(self._base, image)
        chance = random.Random(f"{cut.seed}/{self._disk}")
        with image.open("r+b") as file:
            for number in range(durable, cut.position):
                if cut.kind == "prefix":
                    self._apply(file, number)
                else:
                    self._apply_some(file, number, cut, chance)

    def _apply(self, file: BinaryIO, number: int) -> None:
        entry = self._record.entries[number]
        if entry.disk == self._disk and not entry.is_flush:
            file.seek(entry.offset)
            file.write(self._record.data(entry))

    def _apply_some(self, file: BinaryIO, number: int, cut: Cut, chance: random.Random) -> None:
        entry = self._record.entries[number]
        if entry.disk != self._disk or entry.is_flush:
            return
        start = 0
        while start < entry.length:
            length = cut.sector - (entry.offset + start) % cut.sector
            if chance.random() < cut.keep:
                file.seek(entry.offset + start)
                file.write(self._record.data(entry, start, length))
            start += length


def copy_sparse(source: Path, target: Path) -> None:
    """Copies a file without its holes."""
    with source.open("rb") as reader, target.open("wb") as writer:
        size = reader.seek(0, os.SEEK_END)
        writer.truncate(size)
        end = 0
        while end < size:
            try:
                start = os.lseek(reader.fileno(), end, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(reader.fileno(), start, os.SEEK_HOLE)
            os.lseek(writer.fileno(), start, os.SEEK_SET)
            at = start
            while at < end:
                at += os.sendfile(writer.fileno(), reader.fileno(), at, end - at)
