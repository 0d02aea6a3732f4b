"""The appliance for a person at a terminal: the same board as in the tests, without agent and Bluetooth.

systemd's own debug shell stands in for the login that the product does not have.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from harness import base, disks, layer
from harness.machine import Parts, command_line, lan
from harness.tools import PROJECT, ToolError

_PORT = 8000
_NVME_SIZE = 16 * 1024**3


def main() -> None:
    home = PROJECT / "var" / "emulator"
    home.mkdir(parents=True, exist_ok=True)
    nvme = home / "nvme.img"
    parts = Parts(base.prepare(), home / "layer.squashfs", home / "sd.img", nvme)
    layer.build(parts.base, Path(sys.argv[1]), parts.layer, with_agent=False)
    if not parts.sd_card.exists():
        disks.make_sd_card(parts.sd_card)
    if not nvme.exists():
        disks.make_blank(nvme, _NVME_SIZE)

    network = lan(_PORT, isolated=False)
    arguments = command_line(parts, network=network, kernel_words=["systemd.debug_shell=ttyAMA0", "loglevel=4"])
    # mon: the console keeps Ctrl-C for the guest; Ctrl-A X ends QEMU.
    arguments += ["-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console"]
    arguments += ["-mon", "chardev=console"]
    print(f"Coffer will answer on http://127.0.0.1:{_PORT}/docs in half a minute. Ctrl-A X pulls the plug.", flush=True)
    print(
        f"Then the setup code is on the card: mtype -i {disks.boot_partition(parts.sd_card)} ::SETUP-CODE.txt",
        flush=True,
    )
    os.execvp(arguments[0], arguments)


if __name__ == "__main__":
    try:
        main()
    except ToolError as error:
        sys.exit(f"emulate: {error}")
