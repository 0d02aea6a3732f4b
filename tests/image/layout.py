"""The card and the seal: what post-image makes of a small root, and what may not pass the last look at a root."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from harness import image
from image.checks import BUILDROOT, PATH, PROJECT, need, run, succeed

_COMMON = BUILDROOT / "board/coffer/common"
_SIGNATURE = "c0ffe5d1"
_MIB = 1024 * 1024


def checks() -> Iterator[tuple[str, Callable[[], None]]]:
    yield "the card is laid out as the firmware wants it", the_card_is_laid_out
    yield "the root is sealed, and its hash is in both command lines", the_root_is_sealed
    yield "the same inputs give the same bytes", the_same_inputs_give_the_same_bytes
    yield "too large a root is refused", too_large_a_root_is_refused
    yield "partitions are named alike everywhere", partitions_are_named_alike
    yield "what a root grants is listed", what_a_root_grants_is_listed
    yield "a bundle is signed, and a changed one refused", a_bundle_is_signed


class _Build:
    """A folder like Buildroot's images/, with a kernel and a root that are small."""

    def __init__(self, scratch: str, name: str = "images") -> None:
        need("genimage", "mkfs.vfat", "mkfs.ext4", "mcopy", "veritysetup", "sfdisk")
        self.images = Path(scratch) / name
        self.images.mkdir()
        (self.images / "Image").write_bytes(b"a kernel" * 1000)
        # post-image does not look into the root; any whole number of blocks will do.
        (self.images / "rootfs.erofs").write_bytes(bytes(range(256)) * 16 * 100)
        # Both take minutes on a large card, and what they do is theirs.
        self.programs = Path(scratch) / f"{name}-programs"
        self.programs.mkdir()
        for program, script in (("xz", 'for file; do :; done; : >"$file.xz"'), ("bmaptool", ': >"$4"')):
            (self.programs / program).write_text(f"#!/bin/sh\n{script}\n")
            (self.programs / program).chmod(0o755)

    def finish(self) -> tuple[int, str]:
        environment = {
            "PATH": f"{self.programs}:{PATH}", "SOURCE_DATE_EPOCH": "1700000000", "COFFER_VERSION": "0",
            "BUILD_DIR": str(self.programs),
        }  # fmt: skip
        done = run(_COMMON / "post-image", self.images, "qemu", environment=environment)
        return done.returncode, done.stdout + done.stderr

    @property
    def card(self) -> Path:
        return self.images / "coffer-qemu.img"


@cache
def _finished() -> _Build:
    """One build for the checks that only look at it."""
    build = _Build(_scratch.name)
    status, said = build.finish()
    assert status == 0, said
    return build


_scratch = tempfile.TemporaryDirectory(prefix="coffer-image-")


def the_card_is_laid_out() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        build = _finished()
        table = image.partitions(build.card)
        kinds = [(partition.number, partition.kind) for partition in table]
        assert kinds == [(1, 0x0C), (2, 0x0C), (3, 0x0C), (4, 0x0F), (5, 0x83), (6, 0x83), (7, 0x83)], kinds
        sizes = [partition.size // _MIB for partition in table if partition.number != 4]
        assert sizes == [32, 96, 96, 384, 384, 512], sizes
        assert all(partition.offset % _MIB == 0 for partition in table), table
        # The last one can grow, and the whole fits a card of 4 GB.
        last = max(table, key=lambda partition: partition.offset)
        assert last.number == 7 and last.offset + last.size < 2 * 10**9, last
        with open(build.card, "rb") as card:
            card.seek(440)
            assert card.read(4)[::-1].hex() == _SIGNATURE
        start = image.choose(build.card, Path(scratch))
        assert start.slot == "A" and start.kernel.read_bytes() == (build.images / "Image").read_bytes()
        assert "rauc.slot=A" in start.command_line
        # B is empty: the firmware must not take it for a slot.
        b = table[2]
        with open(build.card, "rb") as card:
            card.seek(b.offset)
            assert not any(card.read(_MIB)), "boot B of a new card is not empty"


def the_root_is_sealed() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        build = _finished()
        root, plain = Path(scratch) / "root.img", build.images / "rootfs.erofs"
        shutil.copy(build.images / "root.img", root)
        root_hash = (build.images / "root.hash").read_text().strip()
        for slot, number in (("a", "05"), ("b", "06")):
            line = (build.images / f"boot/cmdline-{slot}.txt").read_text()
            words = r"0 (\d+) verity 1 (\S+) (\S+) 4096 4096 (\d+) (\d+) sha256 (\w+) (\w+) 1 panic_on_corruption"
            found = re.search(rf'dm-mod\.create="coffer-root,,,ro,{words}"', line)
            assert found, line
            sectors, data, tree, blocks, start, said_hash, salt = found.groups()
            assert data == tree == f"PARTUUID={_SIGNATURE}-{number}", line
            assert int(blocks) == int(start) == plain.stat().st_size // 4096 and int(sectors) == int(blocks) * 8, line
            assert said_hash == root_hash, line
            # The kernel's limit on this architecture; what is beyond is cut off in silence.
            assert len(line) < 2048 and "\n" not in line.strip(), len(line)
        blocks_of_4k = ("--data-block-size=4096", "--hash-block-size=4096", f"--data-blocks={blocks}")
        options = ("--no-superblock", "--hash=sha256", f"--hash-offset={plain.stat().st_size}", f"--salt={salt}")
        check = ("veritysetup", "verify", *options, *blocks_of_4k, root, root, root_hash)
        succeed(*check)
        with open(root, "r+b") as changed:
            changed.seek(5000)
            changed.write(b"x")
        assert run(*check).returncode != 0, "a root with a changed byte passed"


def the_same_inputs_give_the_same_bytes() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        first, second = _finished(), _Build(scratch)
        # Another build is at another time.
        os.utime(second.images / "Image", (1, 1))
        status, said = second.finish()
        assert status == 0, said
        for name in ("root.img", "boot.vfat", "selector.vfat", "data.ext4"):
            said_by_cmp = run("cmp", first.images / name, second.images / name)
            assert said_by_cmp.returncode == 0, f"{name} differs between two builds: {said_by_cmp.stdout}"


def too_large_a_root_is_refused() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        build = _Build(scratch)
        os.truncate(build.images / "rootfs.erofs", 120_000_001)
        status, said = build.finish()
        assert status != 0 and "120000000" in said, said


def partitions_are_named_alike() -> None:
    """The numbers of genimage.cfg's partitions are in four more places."""
    numbers = {"boot.0": "02", "boot.1": "03", "root.0": "05", "root.1": "06"}
    rauc = (_COMMON / "rauc-system.conf").read_text()
    for slot, number in numbers.items():
        assert f"[slot.{slot}]\ndevice=/dev/disk/by-partuuid/{_SIGNATURE}-{number}\n" in rauc, slot
    autoboot = (_COMMON / "autoboot.txt").read_text()
    assert re.findall(r"boot_partition=(\d)", autoboot) == ["2", "3"]
    config = (BUILDROOT / "board/coffer/rpi5/config.txt").read_text()
    assert "[boot_partition=2]\ncmdline=cmdline-a.txt\n[boot_partition=3]\ncmdline=cmdline-b.txt\n[all]" in config
    mount = (PROJECT / "systemd/system/boot-firmware.mount").read_text()
    assert "/dev/disk/by-label/COFFER-BOOT" in mount
    post_image = (_COMMON / "post-image").read_text()
    assert "make_fat selector.vfat COFFER-BOOT" in post_image and "-L coffer-data" in post_image


def what_a_root_grants_is_listed() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        for folder in ("etc", "usr/bin", "tmp", "root/.ssh"):
            (root / folder).mkdir(parents=True)
        (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\ncoffer:x:410:410::/:/bin/false\n")
        (root / "etc/shadow").write_text("root:*:::::::\ncoffer:!:::::::\nguest::::::::\n")
        for name, mode in (("usr/bin/su", 0o4755), ("usr/bin/plain", 0o755), ("etc/open", 0o666)):
            (root / name).touch()
            (root / name).chmod(mode)
        (root / "tmp").chmod(0o1777)
        (root / "root/.ssh/authorized_keys").touch()
        listed = succeed(_COMMON / "audit-root", root).splitlines()
        assert listed == [
            "entrance /root/.ssh/authorized_keys", "password guest", "setuid /usr/bin/su", "shared /tmp",
            "user coffer", "user root", "writable /etc/open",
        ], listed  # fmt: skip
        # The last look takes special rights away, and stops at the rest.
        said = run(_COMMON / "post-fakeroot", root, "qemu")
        assert said.returncode == 1 and "password guest" in said.stderr and "setuid" not in said.stderr, said.stderr


def a_bundle_is_signed() -> None:
    need("rauc", "openssl", "mksquashfs")
    with tempfile.TemporaryDirectory() as scratch:
        keys, strangers, output = (Path(scratch) / name for name in ("keys", "strangers", "output"))
        for folder in (keys, strangers):
            succeed(BUILDROOT / "scripts/make-keys", folder)
        assert run(BUILDROOT / "scripts/make-keys", keys).returncode != 0, "keys were replaced"
        (output / "images").mkdir(parents=True)
        for name in ("boot.vfat", "root.img"):
            (output / "images" / name).write_bytes(os.urandom(256 * 1024))
        environment = {
            "COFFER_VERSION": "1.2.3", "COFFER_KEYRING": str(keys / "ca.pem"), "PATH": PATH,
            "COFFER_SIGNING_CERT": str(keys / "updates.pem"), "COFFER_SIGNING_KEY": str(keys / "updates.key"),
        }  # fmt: skip
        bundle = Path(scratch) / "update.raucb"
        succeed(BUILDROOT / "scripts/make-bundle", output, "rpi5", bundle, environment=environment)
        said = succeed("rauc", "info", f"--keyring={keys / 'ca.pem'}", bundle)
        assert "coffer-rpi5" in said and "1.2.3" in said and "verity" in said, said
        assert run("rauc", "info", f"--keyring={strangers / 'ca.pem'}", bundle).returncode != 0, "a stranger's passed"
        # As a box reads it, with the slots that its image names.
        system = (_COMMON / "rauc-system.conf").read_text().replace("@BOARD@", "rpi5")
        (Path(scratch) / "system.conf").write_text(re.sub(r"(?m)^path=.*", f"path={keys / 'ca.pem'}", system))
        assert "1.2.3" in succeed("rauc", f"--conf={Path(scratch) / 'system.conf'}", "info", bundle)
        changed = Path(scratch) / "changed.raucb"
        shutil.copy(bundle, changed)
        with open(changed, "r+b") as file:
            # The manifest is in the signature at the end.
            file.seek(changed.stat().st_size - 600)
            file.write(bytes(16))
        assert run("rauc", "info", f"--keyring={keys / 'ca.pem'}", changed).returncode != 0, "a changed one passed"
