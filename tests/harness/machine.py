"""The emulated board: one QEMU process, its disks, its serial log and its agent.

TCG throughout: the guest is aarch64 and hardware help for it is not to be had on the machines that test.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.agent import Agent
from harness.base import Base
from harness.stick import Socket
from harness.tools import TESTS, ToolError

_START_LIMIT_S = 30.0
_AGENT_LIMIT_S = 240.0
_POWER_OFF_LIMIT_S = 120.0
# As tests/guest has them, in `air` and `dnsmasq.conf`.
_UPLINK, _INTERNET = "52:54:00:c0:ff:e2", "10.0.3.100"


class Board(Protocol):
    """What QEMU has to know of a board to start it: kernel, its words, virtio disks (and whether read-only), the drive."""

    @property
    def kernel(self) -> Path: ...
    @property
    def initrd(self) -> Path: ...
    @property
    def words(self) -> Sequence[str]: ...
    @property
    def disks(self) -> Sequence[tuple[Path, bool]]: ...
    @property
    def nvme(self) -> Path | None: ...


@dataclass(frozen=True)
class Parts:
    """A board whose layer is a disk of its own; the same parts may be started again and again."""

    base: Base
    layer: Path
    sd_card: Path
    nvme: Path | None

    @property
    def kernel(self) -> Path:
        return self.base.kernel

    @property
    def initrd(self) -> Path:
        return self.base.initrd

    @property
    def words(self) -> Sequence[str]:
        return ("root=none", "ro", "panic=-1")

    @property
    def disks(self) -> Sequence[tuple[Path, bool]]:
        return ((self.base.root, True), (self.layer, True), (self.sd_card, False))


def free_port() -> int:
    """A TCP port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def lan(host_port: int, *, isolated: bool = True) -> list[str]:
    """A network cable, over which a port of this host leads to the box."""
    # restrict: the guest reaches no network, only forwarded connections come in.
    options = f"user,id=lan,restrict={'on' if isolated else 'off'},hostfwd=tcp:127.0.0.1:{host_port}-:8000"
    return ["-netdev", options, "-device", "virtio-net-pci,netdev=lan,romfile="]


def houses(internet: Mapping[int, int]) -> list[str]:
    """No cable, but houses with Wi-Fi (tests/guest), behind which ports of one address lead to ports of this host."""
    relay = f"{sys.executable} -S -E {TESTS / 'harness/relay.py'}"
    options = "user,id=uplink,restrict=on,net=10.0.3.0/24"
    for port, host_port in internet.items():
        options += f",guestfwd=tcp:{_INTERNET}:{port}-cmd:{relay} {host_port}"
    return ["-netdev", options, "-device", f"virtio-net-pci,netdev=uplink,mac={_UPLINK},romfile="]


def command_line(board: Board, *, network: Sequence[str], kernel_words: Sequence[str] = ()) -> list[str]:
    """QEMU's arguments for the board itself, without console and test channels."""
    words = ["console=ttyAMA0", *board.words, "mitigations=off", "audit=0", *kernel_words]
    arguments = [
        "qemu-system-aarch64", "-M", "virt,gic-version=2", "-cpu", "cortex-a76", "-accel", "tcg,thread=multi",
        "-smp", "2", "-m", "1024", "-display", "none", "-no-reboot",
        "-kernel", str(board.kernel), "-initrd", str(board.initrd), "-append", " ".join(words),
        *network, "-device", "virtio-rng-pci",
    ]  # fmt: skip
    for number, (image, read_only) in enumerate(board.disks):
        mode = "on" if read_only else "off"
        arguments += ["-drive", f"file={image},if=none,id=disk{number},format=raw,readonly={mode}"]
        arguments += ["-device", f"virtio-blk-pci,drive=disk{number}"]
    if board.nvme is not None:
        arguments += ["-drive", f"file={board.nvme},if=none,id=nvme,format=raw"]
        arguments += ["-device", "nvme,drive=nvme,serial=COFFER01"]
    return arguments


class Machine:
    """A running board. `directory` keeps the evidence: the serial console, QEMU's messages, the journal."""

    def __init__(
        self,
        board: Board,
        directory: Path,
        *,
        network: Sequence[str],
        kernel_words: Sequence[str] = (),
        clock: str = "utc",
        laptop: bool = False,
    ) -> None:
        """`clock`: what the board's clock shows at the start, `utc` or a time. `laptop`: with a second controller."""
        directory.mkdir(parents=True)
        self.directory = directory
        # Not in `directory`: a socket's path has room for 107 bytes only.
        self._sockets = tempfile.TemporaryDirectory(prefix="coffer-")
        sockets = Path(self._sockets.name)
        self.bluetooth_socket = sockets / "hci"
        self.started_at = time.monotonic()
        arguments = command_line(board, network=network, kernel_words=["coffer.test.bluetooth", *kernel_words])
        arguments += [
            "-rtc", f"base={clock}", "-serial", f"file:{directory / 'serial.log'}", "-monitor", "none",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={sockets / 'agent'},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=coffer.test",
            "-chardev", f"file,id=journal,path={directory / 'journal.export'}",
            "-device", "virtserialport,chardev=journal,name=coffer.journal",
            "-chardev", f"socket,id=hci,path={self.bluetooth_socket},server=on,wait=off",
            "-device", "pci-serial,chardev=hci",
            "-device", "qemu-xhci", "-qmp", f"unix:{sockets / 'monitor'},server=on,wait=off",
        ]  # fmt: skip
        self.laptop_socket = sockets / "laptop"
        if laptop:
            arguments += ["-chardev", f"socket,id=laptop,path={self.laptop_socket},server=on,wait=off"]
            arguments += ["-device", "pci-serial,chardev=laptop"]
        self._errors = directory / "qemu.log"
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=errors)
        self.agent = Agent(self._await_socket(sockets / "agent"))
        self.usb = Socket(self._await_socket(sockets / "monitor"))

    def wait_until_up(self) -> None:
        self.agent.wait_until_up(_AGENT_LIMIT_S)

    def uptime_s(self) -> float:
        return time.monotonic() - self.started_at

    def save_journal(self) -> None:
        journal = self.agent.run("journalctl --boot --no-pager --output=short-monotonic")
        (self.directory / "journal.log").write_text(journal.stdout)
        # Our programs log in fields, which the short form leaves out.
        ours = self.agent.run("journalctl --boot --no-pager --output=verbose --unit='coffer*'")
        (self.directory / "coffer.log").write_text(ours.stdout)

    def cut_power(self) -> None:
        """Ends the machine the way a pulled plug does: nobody in it learns of it."""
        self._process.send_signal(signal.SIGKILL)
        self._close()

    def power_off(self) -> None:
        """An orderly shutdown, as by the owner."""
        self.agent.output("systemctl --no-block poweroff")
        self._process.wait(_POWER_OFF_LIMIT_S)
        self._close()

    def wait_until_it_restarts(self, limit_s: float) -> str:
        """Waits for a restart that the box decides on, at which QEMU ends; gives what the console said."""
        self._process.wait(limit_s)
        self._close()
        return (self.directory / "serial.log").read_text(errors="replace")

    def is_running(self) -> bool:
        return self._process.poll() is None

    def _close(self) -> None:
        self._process.wait()
        self.agent.close()
        self.usb.close()
        self._sockets.cleanup()

    def _await_socket(self, path: Path) -> Path:
        deadline = time.monotonic() + _START_LIMIT_S
        while not path.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ToolError(f"QEMU did not start: {self._errors.read_text()}")
            time.sleep(0.05)
        return path
