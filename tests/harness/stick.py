"""USB sticks for the emulated board, put in and pulled out while it runs: QEMU's monitor protocol (QMP)."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from harness.tools import ToolError, run

_LIMIT_S = 30.0


def make_stick(path: Path, label: str) -> None:
    """An empty one with FAT, without a partition table, as some come from the shop."""
    with open(path, "wb") as image:
        image.truncate(64 * 1024 * 1024)
    run(["mkfs.vfat", "-n", label, path])


def files(path: Path) -> list[str]:
    """What is on a stick that is not in the board."""
    listing = run(["mdir", "-b", "-i", path, "::/"])
    return [name.removeprefix("::/") for name in listing.decode().split()]


class Socket:
    """The USB port of a running board."""

    def __init__(self, monitor: Path) -> None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_LIMIT_S)
        connection.connect(str(monitor))
        self._stream = connection.makefile("rw")
        connection.close()
        self._stream.readline()
        self._ask("qmp_capabilities")

    def put_in(self, stick: Path) -> None:
        drive = {"node-name": "stick", "driver": "raw", "file": {"driver": "file", "filename": str(stick)}}
        self._ask("blockdev-add", drive)
        self._ask("device_add", {"driver": "usb-storage", "id": "stick", "drive": "stick", "removable": True})

    def pull_out(self) -> None:
        """As a hand does it: nobody is asked before."""
        self._ask("device_del", {"id": "stick"})
        self._wait_for("DEVICE_DELETED")
        self._ask("blockdev-del", {"node-name": "stick"})

    def close(self) -> None:
        self._stream.close()

    def _ask(self, command: str, arguments: dict[str, Any] | None = None) -> None:
        self._events: list[str] = []
        self._stream.write(json.dumps({"execute": command, "arguments": arguments or {}}) + "\n")
        self._stream.flush()
        while True:
            said = json.loads(self._stream.readline())
            if "event" in said:
                self._events.append(said["event"])
            elif "error" in said:
                raise ToolError(f"QEMU: {command}: {said['error']['desc']}")
            else:
                return

    def _wait_for(self, event: str) -> None:
        while event not in self._events:
            self._events.append(json.loads(self._stream.readline()).get("event", ""))
