"""Serves disks as files of a FUSE file system, and records each write and each flush: `disks.py DIRECTORY IMAGE...`.

Speaks the kernel's protocol itself (include/uapi/linux/fuse.h, 7.31): it needs five operations and no library. A write
is recorded before it is answered. One thread, so a flush covers exactly the writes that were answered before it.
DIRECTORY/disks gets one file per image, named by its number; the record lies in DIRECTORY.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from powercut import linux
from powercut.journal import Recorder

_MAX_WRITE = 1 << 20
_ROOT = 1

_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_ATTR = struct.Struct("<6Q10I")
_ENTRY_TIMES = struct.Struct("<4Q2I")
_ATTR_TIMES = struct.Struct("<QII")
_OPEN_OUT = struct.Struct("<QII")
_INIT_OUT = struct.Struct("<IIIIHHIIHHI7I")
_READ_IN = struct.Struct("<QQI")
_WRITE_IN = struct.Struct("<QQIIQII")
_WRITE_OUT = struct.Struct("<II")

_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22
_FOREVER_S = 1 << 30


class Refused(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.number = number


class Disks:
    """The file system."""

    def __init__(self, directory: Path, images: list[Path]) -> None:
        self._recorder = Recorder(directory)
        self._images = [os.open(image, os.O_RDWR) for image in images]
        self._sizes = [os.fstat(image).st_size for image in self._images]
        self._operations: dict[int, Callable[[int, memoryview], bytes]] = {
            1: self._lookup,
            3: self._getattr,
            14: lambda _node, _body: _OPEN_OUT.pack(0, 0, 0),  # OPEN
            15: self._read,
            16: self._write,
            18: lambda _node, _body: b"",  # RELEASE
            20: self._fsync,
            25: lambda _node, _body: b"",  # FLUSH: a descriptor was closed
            26: self._init,
        }
        self._device = os.open("/dev/fuse", os.O_RDWR)
        mount_point = directory / "disks"
        mount_point.mkdir()
        linux.mount_fuse(self._device, mount_point)

    def serve(self) -> None:
        """Until the file system is unmounted."""
        while True:
            try:
                request = memoryview(os.read(self._device, _MAX_WRITE + 4096))
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue
                raise
            self._answer(request)

    def _answer(self, request: memoryview) -> None:
        _, opcode, unique, node, *_ = _IN.unpack_from(request)
        if opcode in (2, 36, 42):  # FORGET, INTERRUPT, BATCH_FORGET want no answer
            return
        status, body = 0, b""
        try:
            operation = self._operations.get(opcode)
            if operation is None:
                raise Refused(errno.EOPNOTSUPP if opcode == 43 else errno.ENOSYS)
            body = operation(node, request[_IN.size :])
        except Refused as refused:
            status = -refused.number
        os.writev(self._device, [_OUT.pack(_OUT.size + len(body), status, unique), body])

    def _init(self, _node: int, _body: memoryview) -> bytes:
        flags = _BIG_WRITES | _MAX_PAGES
        pages = _MAX_WRITE // 4096
        return _INIT_OUT.pack(7, 31, _MAX_WRITE, flags, 16, 12, _MAX_WRITE, 1, pages, 0, 0, *[0] * 7)

    def _lookup(self, node: int, body: memoryview) -> bytes:
        name = bytes(body).rstrip(b"\0").decode()
        if node != _ROOT or not name.isdigit() or int(name) >= len(self._images):
            raise Refused(errno.ENOENT)
        child = _ROOT + 1 + int(name)
        return _ENTRY_TIMES.pack(child, 0, _FOREVER_S, _FOREVER_S, 0, 0) + self._attributes(child)

    def _getattr(self, node: int, _body: memoryview) -> bytes:
        return _ATTR_TIMES.pack(_FOREVER_S, 0, 0) + self._attributes(node)

    def _attributes(self, node: int) -> bytes:
        if node == _ROOT:
            size, mode = 0, stat.S_IFDIR | 0o700
        else:
            size, mode = self._sizes[node - _ROOT - 1], stat.S_IFREG | 0o600
        return _ATTR.pack(node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def _read(self, node: int, body: memoryview) -> bytes:
        _, offset, length = _READ_IN.unpack_from(body)
        return os.pread(self._images[node - _ROOT - 1], length, offset)

    def _write(self, node: int, body: memoryview) -> bytes:
        _, offset, length, *_ = _WRITE_IN.unpack_from(body)
        data = body[_WRITE_IN.size : _WRITE_IN.size + length]
        disk = node - _ROOT - 1
        os.pwrite(self._images[disk], data, offset)
        self._recorder.write(disk, offset, data)
        return _WRITE_OUT.pack(length, 0)

    def _fsync(self, node: int, _body: memoryview) -> bytes:
        self._recorder.flush(node - _ROOT - 1)
        return b""


if __name__ == "__main__":
    disks = Disks(Path(sys.argv[1]), [Path(image) for image in sys.argv[2:]])
    print("ready", flush=True)
    disks.serve()
