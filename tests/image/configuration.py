"""That Buildroot and the kernel are given what was written, and keep all of it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from image.checks import BOARDS, BUILDROOT, CACHE, PROJECT, Skipped, need, run, succeed

_BOARD_FOLDER = {"rpi5": "rpi5", "qemu_aarch64": "qemu"}
_COMMON = BUILDROOT / "board/coffer/common"


def checks() -> Iterator[tuple[str, Callable[[], None]]]:
    yield "defconfigs are what the fragments give", defconfigs_are_joined
    yield "a lost symbol is noticed", a_lost_symbol_is_noticed
    yield "the tree at hand is the pinned one", the_tree_is_the_pinned_one
    for board in BOARDS:
        yield f"every symbol of {board} survives", partial(symbols_survive, board)
    yield "check-package is content", check_package_is_content
    yield "users of the image are the expected ones", users_are_expected
    for board in BOARDS:
        yield f"every kernel option of {board} survives", partial(kernel_options_survive, board)


def defconfigs_are_joined() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        succeed(BUILDROOT / "scripts/join-defconfigs", scratch)
        for board in BOARDS:
            name = f"coffer_{board}_defconfig"
            joined, kept = Path(scratch, name).read_text(), (BUILDROOT / "configs" / name).read_text()
            assert joined == kept, f"{name} is not up to date: run buildroot/scripts/join-defconfigs"


def a_lost_symbol_is_noticed() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        wanted, final = Path(scratch, "wanted"), Path(scratch, "final")
        final.write_text('BR2_A=y\nBR2_B="x"\n# BR2_C is not set\nBR2_DEEP_D=m\n')
        for line, survives in (
            ("BR2_A=y", True),
            ("# BR2_C is not set", True),
            ("# BR2_GONE is not set", True),
            ('BR2_EMPTY=""', True),
            ("# BR2_A is not set", False),
            ("BR2_C=y", False),
            ("BR2_DEEP=m", False),
            ("BR2_DEEP_D=y", False),
            ('BR2_B="y"', False),
        ):
            wanted.write_text(f"# a comment\n{line}\n")
            said = run(BUILDROOT / "scripts/survives", wanted, final)
            assert (said.returncode == 0) == survives, f"{line}: exit {said.returncode}"
            assert survives or line in said.stderr, said.stderr


def _pin(name: str) -> str:
    [value] = re.findall(rf"^{name}=(\w+)$", (PROJECT / "scripts/image").read_text(), re.MULTILINE)
    return str(value)


@cache
def _tree() -> Path:
    """Buildroot at the pinned commit."""
    chosen = os.environ.get("BUILDROOT_DIR")
    tree = Path(chosen) if chosen else CACHE / f"buildroot-{_pin('buildroot_commit')}"
    if not (tree / "Config.in").is_file():
        raise Skipped("no Buildroot tree at hand (BUILDROOT_DIR, or `make image` once)")
    return tree


@cache
def _patched() -> Path:
    """A copy with our patches, as scripts/image makes it; kept for all checks of this run."""
    need("gcc", "make", "patch", "rsync")
    copy = Path(tempfile.mkdtemp(prefix="coffer-buildroot-"))
    shutil.copytree(_tree(), copy / "tree", symlinks=True, ignore=shutil.ignore_patterns("output", "dl", ".git"))
    for patch in sorted((BUILDROOT / "patches").glob("*.patch")):
        succeed("patch", "--silent", "--forward", "-d", copy / "tree", "-p1", "-i", patch)
    _leftovers.append(copy)
    return copy


_leftovers: list[Path] = []


def _make(board: str, *words: str) -> str:
    copy = _patched()
    return succeed(
        "make",
        "-s",
        "--no-print-directory",
        "-C",
        copy / "tree",
        f"O={copy / board}",
        f"BR2_EXTERNAL={BUILDROOT}",
        *words,
    )


def the_tree_is_the_pinned_one() -> None:
    tree = _tree()
    need("git")
    with tempfile.TemporaryDirectory() as scratch:
        succeed("git", "init", "-q", "--bare", scratch)
        git = ("git", f"--git-dir={scratch}", f"--work-tree={tree}", "-c", "core.autocrlf=false")
        succeed(*git, "add", "--all", "--force", ".")
        found = succeed(*git, "write-tree").strip()
    assert found == _pin("buildroot_tree"), f"{tree} is tree {found}"


def symbols_survive(board: str) -> None:
    _make(board, f"coffer_{board}_defconfig")
    wanted = BUILDROOT / f"configs/coffer_{board}_defconfig"
    said = run(BUILDROOT / "scripts/survives", wanted, _patched() / board / ".config")
    assert said.returncode == 0, said.stderr


def check_package_is_content() -> None:
    tree = _tree()
    venv = CACHE / "check-package"
    if not (venv / "complete").exists():
        need("python3")
        made = run("python3", "-m", "venv", venv)
        filled = run(venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "python-magic", "flake8")
        if made.returncode or filled.returncode:
            raise Skipped("check-package needs python-magic and flake8, which cannot be installed here")
        (venv / "complete").touch()
    files = [path for path in BUILDROOT.rglob("*") if path.is_file() and path.suffix != ".patch"]
    environment = {"PATH": f"{venv}/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    said = run(venv / "bin/python", tree / "utils/check-package", "-b", *files, environment=environment)
    assert said.returncode == 0, said.stdout + said.stderr


def users_are_expected() -> None:
    """Buildroot's skeleton and the packages' own lists, against the list that the build is held to."""
    _make("rpi5", "coffer_rpi5_defconfig")
    skeleton = (_patched() / "tree/system/skeleton/etc/passwd").read_text()
    users = {line.split(":")[0] for line in skeleton.splitlines()}
    for line in _make("rpi5", "printvars", "VARS=PACKAGES_USERS").removeprefix("PACKAGES_USERS=").splitlines():
        fields = line.split()
        if fields and not fields[0].startswith("#") and fields[0] != "-":
            users.add(fields[0])
    expected = re.findall(r"^user (\S+)$", (_COMMON / "expected-root").read_text(), re.MULTILINE)
    assert users == set(expected), f"more: {users - set(expected)}, fewer: {set(expected) - users}"


def kernel_options_survive(board: str) -> None:
    """The final .config of a kernel of the board's line that is at hand: the Pi's has bcm2712_defconfig."""
    chosen = os.environ.get("LINUX_DIR")
    if not chosen:
        raise Skipped("no kernel source at hand (LINUX_DIR); a build checks it before it makes the image")
    linux, folder = Path(chosen), _BOARD_FOLDER[board]
    need("gcc", "make", "flex", "bison", "aarch64-linux-gnu-gcc")
    fragments = [_COMMON / "linux.fragment", BUILDROOT / f"board/coffer/{folder}/linux.fragment"]
    with tempfile.TemporaryDirectory() as scratch:
        kernel = ("make", "-s", "-C", linux, f"O={scratch}", "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-")
        final = Path(scratch, ".config")
        if board == "rpi5":
            if not (linux / "arch/arm64/configs/bcm2712_defconfig").is_file():
                raise Skipped(
                    "LINUX_DIR is not the kernel of Raspberry Pi; a build checks it before it makes the image"
                )
            succeed(*kernel, "bcm2712_defconfig")
            fragments.insert(0, _tree() / "board/raspberrypi/linux-4k-page-size.fragment")
        else:
            final.write_text((_tree() / "board/qemu/aarch64-virt/linux.config").read_text())
        with open(final, "a") as config:
            config.writelines(fragment.read_text() for fragment in fragments)
        succeed(*kernel, "olddefconfig")
        for fragment in fragments:
            said = run(BUILDROOT / "scripts/survives", fragment, final)
            assert said.returncode == 0, said.stderr


def clean_up() -> None:
    for folder in _leftovers:
        shutil.rmtree(folder, ignore_errors=True)
