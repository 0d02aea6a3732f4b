"""What sealing costs: the same content in and out of one vault, sealed and not, beside the cipher alone.

Both ways take turns, so that what the machine does besides hits both.
"""

from __future__ import annotations

import re
import statistics
import subprocess
from collections.abc import Iterator

from bench.box import Box, Unexpected
from bench.measurements import Line
from bench.throughput import ROUNDS, _content, _download, _timed, _upload, set_sealing

# What a chunk of a sealed file holds.
CHUNK_BYTES = 16_384


def sealed_contents(box: Box, mebibytes: int) -> Iterator[Line]:
    """One content of that size, in and out, sealed and not."""
    with _content(box.root, mebibytes) as source:
        _upload(box, source, "warm")
        speeds: dict[str, list[float]] = {}
        for number in range(ROUNDS):
            for mode, way in (("off", "plain"), ("server", "sealed")):
                set_sealing(box, mode)
                names = [f"{way}{number}"]
                speeds.setdefault(f"{way} up", []).append(
                    mebibytes / _timed(lambda n=names, s=source: n.append(_upload(box, s, n[0])))
                )
                url = box.url(f"files/{names[1]}/content")
                speeds.setdefault(f"{way} down", []).append(mebibytes / _timed(lambda u=url: _download(u, box.token)))
    cipher = _cipher_alone()
    yield Line("AES-256-GCM alone, one core (openssl)", f"{cipher:.0f} MiB/s")
    for direction, what in (("up", "upload"), ("down", "download")):
        plain, sealed = (speeds[f"{way} {direction}"] for way in ("plain", "sealed"))
        ratio = statistics.median(b / a for a, b in zip(plain, sealed, strict=True))
        yield Line(f"{what}, not sealed, {mebibytes} MiB", f"{statistics.median(plain):.0f} MiB/s")
        speed = statistics.median(sealed)
        yield Line(
            f"{what}, sealed, {mebibytes} MiB",
            f"{speed:.0f} MiB/s",
            f"{ratio:.2f} x not sealed; {speed / cipher:.0%} of the cipher alone",
        )


def _cipher_alone() -> float:
    """What one core does with pieces as long as a chunk."""
    command = ["openssl", "speed", "-elapsed", "-seconds", "1", "-bytes", str(CHUNK_BYTES), "-evp", "aes-256-gcm"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"AES-256-GCM\s+([0-9.]+)k", told, re.IGNORECASE)
    if not found:
        raise Unexpected(f"openssl says nothing of its speed: {told!r}")
    return float(found.group(1)) * 1000 / 1024 / 1024
