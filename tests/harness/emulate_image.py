"""A built image for a person at a terminal: the card is a copy, the drive blank, the console systemd's debug shell."""

from __future__ import annotations

import lzma
import os
import shutil
import sys
from pathlib import Path

from harness import disks, image
from harness.machine import lan
from harness.tools import PROJECT, ToolError

_PORT = 8000
_NVME_SIZE = 16 * 1024**3
_CARD_SIZE = 8 * 1024**3
# The image lets nobody but itself reach the port of plain HTTP. QEMU's forwarding is a neighbour, so a unit that comes
# from outside the image opens it for this emulation (systemd.system-credentials(7)). fw_cfg has room for short names.
_OPENING = """\
[Unit]
After=coffer-firewall.service
[Service]
Type=oneshot
ExecStart=/usr/sbin/nft insert rule inet coffer input tcp dport 8000 accept
"""


def main() -> None:
    source = Path(sys.argv[1])
    home = PROJECT / "var" / "emulator" / source.name.split(".")[0]
    home.mkdir(parents=True, exist_ok=True)
    card, nvme, unit = home / "card.img", home / "nvme.img", home / "open.service"
    if not card.exists():
        _flash(source, card)
    if not nvme.exists():
        disks.make_blank(nvme, _NVME_SIZE)
    unit.write_text(_OPENING)
    start = image.choose(card, home)
    words = [start.command_line, "systemd.debug_shell=ttyAMA0", "systemd.wants=o.service"]
    arguments = [
        "qemu-system-aarch64", "-M", "virt,gic-version=2", "-cpu", "cortex-a76", "-accel", "tcg,thread=multi",
        "-smp", "2", "-m", "1024", "-display", "none",
        "-kernel", str(start.kernel), "-append", " ".join(words),
        "-drive", f"file={card},if=none,id=card,format=raw", "-device", "virtio-blk-pci,drive=card",
        "-drive", f"file={nvme},if=none,id=nvme,format=raw", "-device", "nvme,drive=nvme,serial=COFFER01",
        "-fw_cfg", f"name=opt/io.systemd.credentials/systemd.extra-unit.o.service,file={unit}",
        *lan(_PORT, isolated=False), "-device", "virtio-rng-pci", "-device", "i6300esb",
        "-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console", "-mon", "chardev=console",
    ]  # fmt: skip
    print(
        f"Slot {start.slot}. Coffer will answer on http://127.0.0.1:{_PORT}/docs. Ctrl-A X pulls the plug.", flush=True
    )
    os.execvp(arguments[0], arguments)


def _flash(source: Path, card: Path) -> None:
    """As onto a real card: the image at its beginning, and room after it."""
    opener = lzma.open if source.suffix == ".xz" else open
    with opener(source, "rb") as packed, open(card.with_suffix(".new"), "wb") as copy:
        shutil.copyfileobj(packed, copy, 1024 * 1024)
        copy.truncate(_CARD_SIZE)
    card.with_suffix(".new").rename(card)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ToolError) as error:
        sys.exit(f"emulate-image: {error}")
