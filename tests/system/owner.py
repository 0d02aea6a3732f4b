"""What the owner of the box in these tests knows and keeps: passwords, files, and what was acknowledged."""

from __future__ import annotations

import hashlib
import random

MASTER_PASSWORD = "ferry-otter-quartz-62-lantern"
ADMIN = {"username": "margit", "password": "walnut-Orbit-71-sleigh"}
# In every file: if it turns up outside the daemon, plaintext has got out.
MARKER = b"coffer-system-test-plaintext-marker"

_MIB = 1024 * 1024
FILES = {f"film-{number}.bin": 16 * _MIB for number in range(4)}


def content(name: str) -> bytes:
    """The same bytes for the same name every time, the marker in each 64 KiB of it."""
    noise = random.Random(name).randbytes(64 * 1024 - len(MARKER))
    return (MARKER + noise) * (FILES[name] // (64 * 1024))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
