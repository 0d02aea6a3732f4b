"""Measures a daemon on a fresh box and prints a table. Never fails on a number: what to do about it is for people."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.box import Box, fresh_box
from bench.measurements import (
    Line,
    health_beside_bad_logins,
    known_and_unknown_names,
    known_and_unknown_names_by_srp,
)
from bench.sealed import sealed_contents
from bench.search import search_among_many
from bench.secrets import secrets_vault
from bench.throughput import large_contents, memory_of_large_contents, one_large_folder

Measurement = Callable[[Box], Iterator[Line]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--cofferd", type=Path, required=True, help="the daemon to measure; `coffer` lies beside it")
    parser.add_argument("--directory", type=Path, help="where its state goes: the drive to measure (temporary files)")
    parser.add_argument("--tries", type=int, default=500, help="logins by known and by unknown names, each (500)")
    parser.add_argument("--files", type=int, default=100_000, help="files to search among, and in one folder (100000)")
    parser.add_argument("--items", type=int, default=10_000, help="items of a secrets vault (10000)")
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of a large content (1024); memory: four times")
    parser.add_argument("--only", choices=["health", "names", "srp", "contents", "sealed", "memory", "secrets", "folder", "search"], help="one of the measurements")
    given = parser.parse_args()
    measurements: dict[str, Measurement] = {
        "health": health_beside_bad_logins,
        "names": partial(known_and_unknown_names, tries=given.tries),
        "srp": partial(known_and_unknown_names_by_srp, tries=given.tries),
        "contents": partial(large_contents, mebibytes=given.mebibytes),
        "sealed": partial(sealed_contents, mebibytes=given.mebibytes),
        "memory": partial(memory_of_large_contents, mebibytes=4 * given.mebibytes),
        "secrets": partial(secrets_vault, program=given.cofferd.with_name("coffer").absolute(), items=given.items),
        "folder": partial(one_large_folder, files=given.files),
        "search": partial(search_among_many, files=given.files),
    }
    version = subprocess.run([given.cofferd, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"{version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    for name, measure in measurements.items():
        if given.only in (None, name):
            # A box for each: what one leaves behind does not slow the next.
            with fresh_box(given.cofferd, given.directory) as box:
                for line in measure(box):
                    print(f"{line.what:<46}{line.result:<48}{line.comparison}".rstrip(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
