"""The laptop of a box's owner: `coffer` with a Bluetooth controller of its own. It shares the emulated machine with the box,
and nothing else: its files are its own, and it reaches the box over the air alone.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.setup_client import Json

if TYPE_CHECKING:
    from conftest import WirelessBox

_HOME = "/run/coffer-test-laptop"
_COFFER_LIMIT_S = 900.0


@dataclass(frozen=True)
class Told:
    """What `coffer` came to: its exit code, and what it told on the way."""

    status: int
    events: list[Json]
    errors: str

    def of(self, event: str) -> list[Json]:
        return [each for each in self.events if each.get("event") == event]


class Laptop:
    """It is switched off with the box, and its files lie in memory: a test that cuts the power keeps them."""

    def __init__(self, box: WirelessBox) -> None:
        self._box = box
        self._kept = ""

    def switch_on(self) -> None:
        self._box.sh("systemctl start coffer-test-laptop")
        self._box.radio.bring_laptop(self._box.machine.laptop_socket)
        self._box.machine.agent.wait_for("[ -e /sys/class/bluetooth/hci1 ]")
        self._box.sh(f"install -d -m 700 {_HOME}")
        if self._kept:
            self._box.sh(f"echo {self._kept} | base64 -d | tar -xf - -C {_HOME}")

    def keep_files(self) -> None:
        # Not packed: the guest has no gzip.
        self._kept = self._box.sh(f"tar -cf - -C {_HOME} . | base64 -w 0")
        assert self._kept

    def path(self, name: str) -> str:
        return f"{_HOME}/{name}"

    def write(self, name: str, *lines: str) -> str:
        """A file of secrets; returns its path."""
        path = self.path(name)
        text = "".join(f"{line}\n" for line in lines)
        self._box.sh(f"umask 077; printf %s {shlex.quote(text)} >{path}")
        return path

    def read(self, name: str) -> str:
        return self._box.sh(f"cat {_HOME}/{name}")

    def mode(self, name: str) -> str:
        return self._box.sh(f"stat -c %a {_HOME}/{name}")

    def coffer(self, *arguments: str) -> Told:
        """Runs it to its end, without a terminal."""
        words = shlex.join(["coffer", *arguments, "--adapter", "hci1", "--json"])
        command = f"XDG_DATA_HOME={_HOME} timeout {_COFFER_LIMIT_S:.0f} {words} </dev/null"
        outcome = self._box.machine.agent.run(command, limit_s=_COFFER_LIMIT_S + 30)
        events = [json.loads(line) for line in outcome.stdout.splitlines()]
        return Told(outcome.status, events, outcome.stderr)
