"""What the checks share: where things are, running programs, and skipping what this machine has no means for."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
BUILDROOT = PROJECT / "buildroot"
CACHE = Path(os.environ.get("COFFER_CACHE") or Path.home() / ".cache/coffer")
BOARDS = ("rpi5", "qemu_aarch64")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Skipped(Exception):
    """This machine cannot show it; says what is missing."""


def run(*command: str | Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    line = [str(word) for word in command]
    variables = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": str(Path.home()), "TMPDIR": tempfile.gettempdir()}
    variables |= environment or {}
    return subprocess.run(
        line, env=variables, text=True, capture_output=True, check=False, stdin=subprocess.DEVNULL, errors="replace"
    )


def succeed(*command: str | Path, environment: Mapping[str, str] | None = None) -> str:
    done = run(*command, environment=environment)
    assert done.returncode == 0, f"{command[0]}: exit {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def need(*programs: str) -> None:
    absent = [program for program in programs if shutil.which(program, path=PATH) is None]
    if absent:
        raise Skipped(f"not installed: {', '.join(absent)}")
