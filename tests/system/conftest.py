"""The one emulated box that all system tests share, from its first start to its last.

The tests tell one story in the order of their files: first start, claim, power cut. Each later one needs the earlier,
so the run stops at the first failure (tests/run-system passes -x).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import base, disks, layer
from harness.api import Api
from harness.machine import Machine, Parts
from harness.phone import Phone
from harness.tools import PROJECT

_EVIDENCE = PROJECT / "build" / "system-test"
_NVME_SIZE = 2 * 1024**3
# Between `coffer.target` and the first answer lies nothing but the forwarded port.
_ANSWER_LIMIT_S = 60.0


class Box:
    """The appliance as its owner has it: disks that persist, and a machine that is on or off."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._starts = 0
        self.machine: Machine
        self.phone: Phone
        self.api: Api

    def switch_on(self) -> None:
        """Starts the machine and returns once systemd has nothing left to do."""
        self._starts += 1
        self.machine = Machine(self.parts, _EVIDENCE / f"start-{self._starts}")
        self.phone = Phone(self.machine.bluetooth_socket)
        self.api = Api(self.machine.host_port)
        self.machine.wait_until_up()
        self.machine.agent.run("systemctl is-system-running --wait", limit_s=300)
        self.api.wait_until_up(_ANSWER_LIMIT_S)

    def cut_power(self) -> None:
        self.machine.cut_power()
        self.phone.switch_off()

    def sh(self, command: str) -> str:
        """A command as root in the box that has to succeed."""
        return self.machine.agent.output(command)


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    shutil.rmtree(_EVIDENCE, ignore_errors=True)
    _EVIDENCE.mkdir(parents=True)
    binaries = Path(os.environ["COFFER_BIN_DIR"])
    parts = Parts(base.prepare(), _EVIDENCE / "layer.squashfs", _EVIDENCE / "sd.img", _EVIDENCE / "nvme.img")
    layer.build(parts.base, binaries, parts.layer, with_agent=True)
    disks.make_sd_card(parts.sd_card)
    disks.make_blank(_EVIDENCE / "nvme.img", _NVME_SIZE)

    box = Box(parts)
    box.switch_on()
    yield box
    if box.machine.is_running():
        box.machine.save_journal()
        box.cut_power()
