"""Builds the layer that is ours: overlay, units, accounts, enablement, binaries and, for tests, the agent.

It lies over the Debian base the way the Buildroot image has the same files, and takes under a second.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.base import Base
from harness.tools import PROJECT, TESTS, ToolError, run

BINARIES = ("cofferd", "coffer-ble")
# Not part of the appliance; in the tests the laptop of its owner is in the same machine.
TEST_BINARIES = ("coffer",)
_ACCOUNT_FILES = ("passwd", "group", "shadow", "gshadow")


def build(
    base: Base,
    binaries: Path,
    output: Path,
    *,
    with_agent: bool,
    registrar_ca: bytes | None = None,
    complete: Callable[[Path], None] | None = None,
) -> None:
    """Writes the layer to `output`, an erofs or a squashfs as its name says; `binaries` holds the aarch64 programs.

    `complete` adds to the folder of the layer before it is packed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        layer, whole = Path(scratch) / "layer", Path(scratch) / "whole"
        _place_our_files(layer)
        _place(BINARIES, binaries, layer)
        if with_agent:
            _place(TEST_BINARIES, binaries, layer)
            shutil.copytree(TESTS / "guest/root", layer, symlinks=True, dirs_exist_ok=True)
        if registrar_ca is not None:
            _trust(layer, registrar_ca)
        if complete is not None:
            complete(layer)
        shutil.copytree(base.stage, whole, symlinks=True)
        shutil.copytree(layer, whole, symlinks=True, dirs_exist_ok=True)
        _compute_identity(layer, whole)
        _pack(layer, output)


def _pack(layer: Path, output: Path) -> None:
    if output.suffix == ".erofs":
        run(["mkfs.erofs", "-zlz4", "--all-root", "--quiet", output, layer])
    else:
        run(["mksquashfs", layer, output, "-comp", "lz4", "-noappend", "-all-root", "-quiet", "-no-progress"])


def _place_our_files(layer: Path) -> None:
    shutil.copytree(PROJECT / "overlay", layer, symlinks=True)
    run([PROJECT / "systemd/install", layer])
    (layer / "usr/bin").mkdir()


def _place(names: Sequence[str], binaries: Path, layer: Path) -> None:
    for name in names:
        if not (binaries / name).is_file():
            raise ToolError(f"{binaries / name} is missing: cross-compile first")
        shutil.copy(binaries / name, layer / "usr/bin" / name)
        (layer / "usr/bin" / name).chmod(0o755)


def _trust(layer: Path, registrar_ca: bytes) -> None:
    """Makes the daemon believe the certificates of the test's registrar, which no public authority has signed."""
    authority = "usr/lib/coffer-test/registrar-ca.pem"
    (layer / authority).write_bytes(registrar_ca)
    unit = (layer / "usr/lib/systemd/system/cofferd.service").read_text()
    [command] = re.findall(r"^ExecStart=((?:.*\\\n)*.*)$", unit, re.MULTILINE)
    drop_in = layer / "usr/lib/systemd/system/cofferd.service.d"
    drop_in.mkdir(exist_ok=True)
    (drop_in / "90-test.conf").write_text(f"[Service]\nExecStart=\nExecStart={command} --registrar-ca /{authority}\n")


def _compute_identity(layer: Path, whole: Path) -> None:
    """Accounts and enabled units depend on both trees, so they are computed on the whole and kept in the layer."""
    run(["systemd-sysusers", f"--root={whole}"])
    run(["systemctl", f"--root={whole}", "preset-all"])
    for name in _ACCOUNT_FILES:
        shutil.copy(whole / "etc" / name, layer / "etc" / name)
    shutil.copytree(whole / "etc/systemd/system", layer / "etc/systemd/system", symlinks=True)
