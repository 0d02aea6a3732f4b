"""Takes the Debian kernel package apart: the image, the few modules the appliance needs, and an initramfs.

The initramfs does one thing: stack our layer over the Debian base, read-only, and start systemd from it. On a card with
slots the layer is the slot's root, which it maps as the command line says; the image's own kernel does that by itself.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import tempfile
from pathlib import Path

from harness.tools import TESTS, ToolError, run

# What the initramfs needs to find and stack the two images, and to map one that is sealed; in this order, because nobody
# loads there what a module asks the kernel for.
BOOT_MODULES = ("virtio_blk", "squashfs", "overlay", "crc32c_generic", "erofs", "dm_mod", "dm_verity", "sha256_generic", "sha2_ce")
# The rest is loaded by udev or on demand from the root. hci_uart attaches the virtual Bluetooth controller,
# mac80211_hwsim is the virtual Wi-Fi, and what is behind it a USB socket with its sticks.
ROOT_MODULES = (
    "virtio_net", "virtio_rng", "nvme", "crc32c_generic", "crc32c_cryptoapi", "ext4",
    "vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1", "nls_utf8",
    "fuse", "zram", "loop", "hci_uart", "bluetooth", "uhid", "ccm", "gcm", "cmac", "ecb", "aes_ce_blk",
    "aes_ce_ccm", "ghash-ce", "algif_hash", "algif_skcipher", "algif_aead", "virtio_console",
    "mac80211_hwsim", "xhci_pci", "usb_storage", "sd_mod",
)  # fmt: skip


def split_kernel(tree: Path, output: Path) -> None:
    """Moves the kernel out of `tree` into `output` and leaves only the wanted modules behind."""
    versions = sorted((tree / "usr/lib/modules").iterdir())
    if len(versions) != 1:
        raise ToolError(f"expected one kernel in the base tree, found {[v.name for v in versions]}")
    version = versions[0].name
    shutil.move(next((tree / "boot").glob("vmlinuz-*")), output / "vmlinuz")
    shutil.rmtree(tree / "boot")
    (tree / "boot/firmware").mkdir(parents=True)

    run(["depmod", "-b", tree / "usr", version])
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / version
        shutil.move(versions[0], full)
        dependencies = _read_dependencies(full)
        _copy_modules(full, versions[0], _closure(dependencies, BOOT_MODULES + ROOT_MODULES))
        _write_initramfs(tree, full, _closure(dependencies, BOOT_MODULES), output / "initrd.img")
    run(["depmod", "-b", tree / "usr", version])


def _read_dependencies(modules: Path) -> dict[str, list[str]]:
    table = (line.split(":", 1) for line in (modules / "modules.dep").read_text().splitlines())
    return {path: rest.split() for path, rest in table}


def _closure(dependencies: dict[str, list[str]], wanted: tuple[str, ...]) -> list[str]:
    """The wanted modules and all they need, in an order in which they can be inserted."""
    by_name = {_module_name(path): path for path in dependencies}
    ordered: list[str] = []
    for name in wanted:
        # A driver that this kernel has built in is not in modules.dep, which is as good.
        path = by_name.get(name.replace("-", "_"))
        if path is None:
            continue
        ordered += [need for need in [*reversed(dependencies[path]), path] if need not in ordered]
    return ordered


def _module_name(path: str) -> str:
    return Path(path).name.split(".ko")[0].replace("-", "_")


def _copy_modules(source: Path, target: Path, paths: list[str]) -> None:
    for path in paths:
        destination = target / path.removesuffix(".xz")
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(_unpacked(source / path))
    for index in source.glob("modules.builtin*"):
        if index.suffix != ".bin":
            shutil.copy(index, target)
    shutil.copy(source / "modules.order", target)


def _unpacked(path: Path) -> bytes:
    # Stored plain: unpacking xz under emulation costs more than the squashfs reads.
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def _write_initramfs(tree: Path, modules: Path, paths: list[str], output: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name in ("bin", "dev", "proc", "sys", "modules", "base", "layer", "root"):
            (root / name).mkdir()
        shutil.copy(tree / "usr/bin/busybox", root / "bin/busybox")
        shutil.copy(TESTS / "guest/initramfs-init", root / "init")
        for position, path in enumerate(paths):
            (root / "modules" / f"{position:02}-{_module_name(path)}.ko").write_bytes(_unpacked(modules / path))
        names = "\n".join(sorted(str(p.relative_to(root)) for p in root.rglob("*"))).encode()
        archive = run(["cpio", "-o", "-H", "newc", "--quiet", "-D", root], stdin=names)
        output.write_bytes(gzip.compress(archive, compresslevel=1))
