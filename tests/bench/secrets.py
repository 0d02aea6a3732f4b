"""How long the thick client takes with a large secrets vault: the real `coffer` against the daemon, on two devices."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.box import PASSWORD, Box, Unexpected
from bench.measurements import Line

OWNER, SECRETS_PASSWORD = "grace", "purple lantern ocean"
LIMIT_S = 3600.0
ASKED = 5


class Device:
    """One machine of somebody."""

    def __init__(self, program: Path, directory: Path) -> None:
        self._program, self.directory = program, directory
        (directory / "run").mkdir(parents=True, mode=0o700)
        self._environment = {"COFFER_HOME": str(directory / "home"), "XDG_RUNTIME_DIR": str(directory / "run")}

    def run(self, *words: str | Path, typed: str = "") -> float:
        """Seconds that a command takes, from its start to its end."""
        started = time.perf_counter()
        ended = subprocess.run(
            [self._program, *words], env=self._environment, input=typed + "\n", text=True, capture_output=True,
            timeout=LIMIT_S, check=False,
        )  # fmt: skip
        if ended.returncode != 0:
            raise Unexpected(f"coffer {words[0]} ended with {ended.returncode}: {ended.stderr}")
        return time.perf_counter() - started


def secrets_vault(box: Box, program: Path, items: int) -> Iterator[Line]:
    """A vault that comes from another program, goes to the box, and to another device."""
    box.accounts([OWNER])
    here = Device(program, box.root / "here")
    there = Device(program, box.root / "there")
    try:
        yield from _measure(box, here, there, items)
    finally:
        for device in (here, there):
            # Ends the process that holds the key.
            device.run("lock")


def _measure(box: Box, here: Device, there: Device, items: int) -> Iterator[Line]:
    account, codes = here.directory / "account", here.directory / "codes"
    account.write_text(PASSWORD)
    url = f"http://127.0.0.1:{box.port}"
    login = ("login", url, "--name", OWNER, "--password-file", "-")
    first = ("--first-time", "--account-password-file", account, "--codes-file", codes)
    here.run(*login, *first, typed=SECRETS_PASSWORD)
    here.run("vault", "create", "Home")
    export = here.directory / "export.json"
    export.write_text(json.dumps({"encrypted": False, "folders": [], "items": [_login(number) for number in range(items)]}))
    yield Line(f"import {items} items", f"{here.run('import', 'bitwarden', export, '--vault', 'Home'):.1f} s")
    sent = here.run("sync")
    yield Line(f"send {items} items", f"{sent:.1f} s", f"{items / sent:.0f} a second")
    secret_key = there.directory / "secret-key"
    lines = (line.strip() for line in codes.read_text().splitlines())
    secret_key.write_text(next(line for line in lines if line.startswith("Secret Key")).removeprefix("Secret Key").strip())
    there.run(*login, "--secret-key-file", secret_key, typed=SECRETS_PASSWORD)
    fetched = there.run("sync")
    yield Line(f"fetch and prove {items} items", f"{fetched:.1f} s", f"{items / fetched:.0f} a second")
    here.run("item", "edit", "Home", "login 0", "--field", "user=somebody else")
    here.run("sync")
    questions = {
        "sync of one change": ("sync",),
        "list": ("item", "list", "Home"),
        "search": ("search", "login", str(items // 2)),
        "get one field": ("get", f"Home/login {items // 2}/password"),
    }
    for what, words in questions.items():
        times = [there.run(*words) for _ in range(ASKED if what != "sync of one change" else 1)]
        yield Line(f"{what}, {items} items", f"{min(times):.2f} s", f"slowest of {len(times)}: {max(times):.2f} s")


def _login(number: int) -> dict[str, object]:
    login = {"username": f"user{number}@example.org", "password": os.urandom(12).hex(), "uris": [{"uri": f"https://site{number}.example"}]}
    return {"type": 1, "name": f"login {number}", "notes": None, "favorite": False, "fields": [], "login": login}
