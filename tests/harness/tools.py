"""Running host programs, and where the cache lives. Knows nothing of images or machines."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
PROJECT = TESTS.parent

# Debian keeps mkfs, depmod and their like out of an ordinary user's PATH.
_ENVIRONMENT = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


class ToolError(Exception):
    """A host program failed; carries its command line and what it said."""


def run(command: Sequence[str | Path], *, stdin: bytes | None = None) -> bytes:
    """Runs a program to its end and returns its standard output; a failure raises `ToolError`."""
    line = [str(word) for word in command]
    try:
        done = subprocess.run(line, input=stdin, capture_output=True, env=_ENVIRONMENT, check=False)
    except FileNotFoundError as missing:
        raise ToolError(f"{line[0]}: not installed (tests/packages.txt lists the Debian packages)") from missing
    if done.returncode != 0:
        raise ToolError(f"{' '.join(line)}: exit {done.returncode}\n{done.stderr.decode(errors='replace')[-4000:]}")
    return done.stdout


def cache_directory() -> Path:
    """The folder for everything that is expensive to make again and safe to delete."""
    chosen = os.environ.get("COFFER_CACHE")
    directory = Path(chosen) if chosen else Path.home() / ".cache" / "coffer"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def read_list(path: Path) -> list[str]:
    """The entries of a one-per-line file; `#` starts a comment."""
    lines = (line.split("#", 1)[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]
