"""The five emulated boxes of the system tests, each from its first start to its last.

The tests tell three stories in the order of their files. A box with a cable: first start, claim, power cut (1 to 3). One
that is set up from a phone, without a cable: set-up, back by itself, moving house (4 to 6). One that is set up from
a laptop (7). One with the card of the image, which is updated (8). And one that loses its key, its drive, and in the end
its owner (9). Each later test needs the earlier ones of its story, so the run stops at the first failure (tests/run-system
passes -x). One machine runs at a time.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from handset import Handset
from laptop import Laptop

from harness import base, disks, image, layer, slots
from harness.api import Api
from harness.cloud import Cloud
from harness.edge import Edge
from harness.machine import Machine, Parts, free_port, houses, lan
from harness.phone import Phone
from harness.portal import Portal
from harness.radio import Radio
from harness.slots import Authority, Release, SlotBoard
from harness.sniffer import Sniffer
from harness.tools import PROJECT, run

_EVIDENCE = PROJECT / "build" / "system-test"
_NVME_SIZE = 2 * 1024**3
# Between `coffer.target` and the first answer lies nothing but the forwarded port.
_ANSWER_LIMIT_S = 60.0
# To be on trial until it is given up, and then to go down in order.
_RESTART_LIMIT_S = 600.0
# As tests/guest has it, in `cloudflared`.
_HTTP, _HTTPS, _EDGE = 80, 443, 7844


class Box:
    """The appliance as its owner has it: disks that persist, and a machine that is on or off."""

    def __init__(self, parts: Parts, evidence: Path) -> None:
        self.parts = parts
        self.evidence = evidence
        self._starts = 0
        # Whether the drive in the box is one that it takes.
        self.drive_comes_up = True
        self.machine: Machine
        self.radio: Radio
        self.phone: Phone
        self.api: Api

    def switch_on(self) -> None:
        """Starts the machine and returns once systemd has nothing left to do, and the drive is there."""
        port = free_port()
        self._start(Machine(self.parts, self._next_start(), network=lan(port)))
        self.api = Api(port)
        self.api.wait_until_up(_ANSWER_LIMIT_S)

    def cut_power(self) -> None:
        self.machine.cut_power()
        self.radio.switch_off()

    def with_drive(self, nvme: Path | None, *, comes_up: bool) -> None:
        """Another drive, or none, from the next start on."""
        self.parts = dataclasses.replace(self.parts, nvme=nvme)
        self.drive_comes_up = comes_up

    def sh(self, command: str) -> str:
        """A command as root in the box that has to succeed."""
        return self.machine.agent.output(command)

    def _next_start(self) -> Path:
        self._starts += 1
        return self.evidence / f"start-{self._starts}"

    def _start(self, machine: Machine) -> None:
        self._attach(machine)
        machine.wait_until_up()
        machine.agent.run("systemctl is-system-running --wait", limit_s=300)
        if self.drive_comes_up:
            # The start does not wait for the drive, which the kernel may find late.
            machine.agent.wait_for("findmnt /srv/coffer", limit_s=300)
        if self._starts == 1:
            self._report_boot()

    def _report_boot(self) -> None:
        """Leaves in the evidence what the start waited for; once, because asking takes the emulated box half a minute."""
        told = self.machine.agent.run("systemd-analyze --no-pager critical-chain coffer.target").stdout
        (self.evidence / f"start-{self._starts}" / "boot.txt").write_text(told)

    def _attach(self, machine: Machine) -> None:
        self.machine = machine
        self.radio = Radio(machine.bluetooth_socket)
        self.phone = Phone(self.radio)


class WirelessBox(Box):
    """A box without a cable, with houses around it whose Wi-Fi leads to the cloud of the test and nowhere else."""

    def __init__(self, parts: Parts, evidence: Path, cloud: Cloud, edge: Edge, *, laptop: bool = False) -> None:
        super().__init__(parts, evidence)
        self._has_laptop = laptop
        self.cloud = cloud
        self.edge = edge
        self.portal = Portal()
        # Through the tunnel: there is no other way to it.
        self.api = Api(edge.visitor_port)
        self.sniffers: list[Sniffer] = []
        self.houses = {"home", "modern", "hidden"}

    def switch_on(self, clock: str = "utc") -> None:
        ports = {_HTTP: self.portal.port, _HTTPS: self.cloud.port, _EDGE: self.edge.tunnel_port}
        network = houses(ports)
        words = ["coffer.test.houses"]
        start, laptop = self._next_start(), self._has_laptop
        self._start(Machine(self.parts, start, network=network, kernel_words=words, clock=clock, laptop=laptop))
        self.sniffers.append(self.radio.sniffer)
        for house in sorted(self.houses):
            self.sh(f"systemctl start coffer-test-house@{house}")

    def cut_power(self) -> None:
        self.keep_what_programs_were_started_with()
        super().cut_power()

    def cut_power_at_once(self) -> None:
        """For a moment that must not pass."""
        super().cut_power()

    def keep_what_programs_were_started_with(self) -> None:
        (self.machine.directory / "started").write_text(self.sh("cat /run/coffer-test-started"))


class SlotBox(Box):
    """A box with the card of the image. Between two starts of it the test is the firmware."""

    def __init__(self, card: Path, nvme: Path, stick: Path, evidence: Path) -> None:
        super().__init__(Parts(base.prepare(), Path(os.devnull), card, nvme), evidence)
        self._stick = stick
        self.slot = ""

    def switch_on(self) -> None:
        self.begin_start()
        self.wait_until_up()

    def begin_start(self, *, trial: bool = False) -> None:
        """Starts the slot that the card names. Does not wait: it may never come up."""
        start = image.choose(self.parts.sd_card, self.evidence, trial=trial)
        self.slot = start.slot
        board = SlotBoard(self.parts.base, start, self.parts.sd_card, self._stick, self.parts.nvme)
        port = free_port()
        self._attach(Machine(board, self._next_start(), network=lan(port)))
        self.api = Api(port)

    def wait_until_up(self) -> None:
        self.machine.wait_until_up()
        self.machine.agent.run("systemctl is-system-running --wait", limit_s=300)
        if self.parts.nvme is not None:
            self.machine.agent.wait_for("findmnt /srv/coffer", limit_s=300)
        self.api.wait_until_up(_ANSWER_LIMIT_S)
        self.sh("mkdir -p /run/stick && mount -o ro /dev/vdc /run/stick")

    def follow_restart(self, limit_s: float = _RESTART_LIMIT_S) -> str | None:
        """Waits until the box restarts by itself, and starts it again as it told the firmware; gives its word."""
        word = slots.restart_argument(self.machine.wait_until_it_restarts(limit_s))
        self.radio.switch_off()
        self.begin_start(trial=word == "0 tryboot")
        return word

    def restart(self) -> str | None:
        """As the owner does it."""
        self.machine.save_journal()
        self.machine.agent.run("systemctl --no-block reboot")
        return self.follow_restart()


def _new_parts(evidence: Path, *, registrar_ca: bytes | None = None) -> Parts:
    """A box that was just put together: our layer, a card from the flasher, a drive from the shop."""
    shutil.rmtree(evidence, ignore_errors=True)
    evidence.mkdir(parents=True)
    parts = Parts(base.prepare(), evidence / "layer.squashfs", evidence / "sd.img", evidence / "nvme.img")
    layer.build(parts.base, Path(os.environ["COFFER_BIN_DIR"]), parts.layer, with_agent=True, registrar_ca=registrar_ca)
    disks.make_sd_card(parts.sd_card)
    disks.make_blank(evidence / "nvme.img", _NVME_SIZE)
    return parts


def _cabled_box(name: str) -> Iterator[Box]:
    evidence = _EVIDENCE / name
    box = Box(_new_parts(evidence), evidence)
    box.switch_on()
    yield box
    if box.machine.is_running():
        box.machine.save_journal()
        box.cut_power()


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    """The one with a cable. The last test of its story switches it off."""
    yield from _cabled_box("cable")


@pytest.fixture(scope="session")
def losing_box() -> Iterator[Box]:
    """The one that loses things. The last test of its story leaves it as it was when it was new."""
    yield from _cabled_box("losses")


def _wireless_box(name: str, *, laptop: bool) -> Iterator[WirelessBox]:
    evidence, cloud_files = _EVIDENCE / name, _EVIDENCE / f"{name}-cloud"
    shutil.rmtree(cloud_files, ignore_errors=True)
    cloud = Cloud(Path(os.environ["COFFER_HOST_BIN_DIR"]), cloud_files)
    edge = Edge()
    parts = _new_parts(evidence, registrar_ca=cloud.authority.pem)
    box = WirelessBox(parts, evidence, cloud, edge, laptop=laptop)
    # The clock of a board without a battery stands in the past. The laptop has only this one, and it is right.
    box.switch_on(clock="utc" if laptop else "2025-01-01T12:00:00")
    yield box
    if box.machine.is_running():
        box.machine.save_journal()
        box.cut_power()
    box.portal.close()
    edge.close()
    cloud.stop()


@pytest.fixture(scope="session")
def wireless_box() -> Iterator[WirelessBox]:
    """The one that is set up from a phone. The last test of its story switches it off."""
    yield from _wireless_box("wireless", laptop=False)


@pytest.fixture(scope="session")
def handset(wireless_box: WirelessBox) -> Handset:
    """The phone of the owner of the box without a cable."""
    return Handset(wireless_box)


@pytest.fixture(scope="session")
def laptop_box() -> Iterator[WirelessBox]:
    """The one that is set up from a laptop."""
    yield from _wireless_box("laptop", laptop=True)


@pytest.fixture(scope="session")
def laptop(laptop_box: WirelessBox) -> Laptop:
    """The laptop of its owner."""
    return Laptop(laptop_box)


@pytest.fixture(scope="session")
def slot_box() -> Iterator[SlotBox]:
    """The one with the card of the image, and a stick with bundles. The last test of its story switches it off."""
    evidence = _EVIDENCE / "slots"
    shutil.rmtree(evidence, ignore_errors=True)
    evidence.mkdir(parents=True)
    _make_releases(evidence)
    disks.make_blank(evidence / "nvme.img", _NVME_SIZE)
    box = SlotBox(evidence / "card.img", evidence / "nvme.img", evidence / "stick.squashfs", evidence)
    box.switch_on()
    yield box
    if box.machine.is_running():
        box.machine.save_journal()
        box.cut_power()


def _make_releases(evidence: Path) -> None:
    """A card with the first release, and a stick with updates: two good, one broken, three not to be trusted."""
    binaries, stick = Path(os.environ["COFFER_BIN_DIR"]), evidence / "stick"
    ours, strangers = (Authority.make(evidence / f"{name}-keys") for name in ("our", "strangers"))
    stick.mkdir()
    for version, broken in (("1.0.0", False), ("1.1.0", False), ("1.2.0", True)):
        directory = evidence / version
        release = Release.build(base.prepare(), binaries, directory, version, ours, broken=broken)
        if version == "1.0.0":
            release.flash(evidence / "card.img")
        else:
            release.bundle(stick / f"{version}.raucb", ours)
        if version == "1.1.0":
            release.bundle(stick / "strangers.raucb", strangers)
        shutil.rmtree(directory)
    for name in ("payload", "signature"):
        shutil.copy(stick / "1.1.0.raucb", stick / f"{name}.raucb")
    # In the tables of its file system: blocks that the box has already are not read from a bundle.
    slots.flip_byte(stick / "payload.raucb", slots.squashfs_end(stick / "payload.raucb") - 8)
    # The last eight bytes are the signature's length.
    slots.flip_byte(stick / "signature.raucb", -16)
    run(["mksquashfs", stick, evidence / "stick.squashfs", "-noI", "-noD", "-noF", "-all-root", "-quiet", "-no-progress"])
    shutil.rmtree(stick)
