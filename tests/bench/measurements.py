"""The measurements. Each is one function: it gets a box, does one thing many times, and yields the lines of its table.

None fails on a number; a target stands beside the number, with whether it was met.
"""

from __future__ import annotations

import base64
import json
import math
import os
import random
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from bench.box import PASSWORD, Box, Client, Unexpected

# A look so often, whatever the one before took: a box that is slow for a moment is not asked less in that moment.
LOOK_INTERVAL_S = 0.005
LOOKS = 2000
BAD_LOGINS = 50
HEALTH_TARGET_MS = 50.0

# The daemon hears so many wrong passwords for one name before it slows down.
TRIES_OF_ONE_NAME = 3
RATIO_TARGET = 0.10
# A number of the larger group.
SRP_BYTES = 512


@dataclass(frozen=True)
class Line:
    """What was measured, what came out, and how that compares."""

    what: str
    result: str
    comparison: str = ""


class Quantiles(NamedTuple):
    """In milliseconds."""

    p50: float
    p95: float
    p99: float

    def __str__(self) -> str:
        return "  ".join(f"p{name} {value:7.2f} ms" for name, value in zip((50, 95, 99), self, strict=True))


class Mean(NamedTuple):
    """In milliseconds, with its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.error:.2f} ms"


def health_beside_bad_logins(box: Box) -> Iterator[Line]:
    """How long `/health` takes, and a call of somebody who is logged in, while others guess passwords.

    Polite guessers wait as long as they are told to when they are turned away, rude ones come again at once.
    """
    for path, token, target in (("/health", "", HEALTH_TARGET_MS), ("/api/v1/users/me", box.token, None)):
        idle = _look(box, path, token)
        yield Line(f"GET {path}, idle", str(idle))
        for manners in ("polite", "rude"):
            with _bad_logins(box, manners) as answers:
                busy = _look(box, path, token)
            comparison = f"p95 {busy.p95 / idle.p95:.1f} x idle"
            if target is not None:
                comparison += f"; target {target:.0f} ms {_verdict(busy.p95 <= target)}"
            yield Line(f"GET {path}, {BAD_LOGINS} {manners} guessers", str(busy), comparison)
            yield Line("  their tries, answered a second", answers[0])


def known_and_unknown_names(box: Box, tries: int) -> Iterator[Line]:
    """Whether the time of a failed login tells if there is an account of that name.

    One at a time, in an order that chance decides, each from an address of its own, and with so many names that none is
    slowed down.
    """
    numbers = range(math.ceil(tries / TRIES_OF_ONE_NAME))
    box.accounts([f"known_{number:04}" for number in numbers])

    def guess(client: Client, name: str, source: str) -> None:
        body = {"username": name, "password": "not the password"}
        client.call("POST", "/api/v1/sessions", body, source=source).expect(HTTPStatus.UNAUTHORIZED)

    yield from _known_beside_unknown(box, "wrong password", tries, guess)


def known_and_unknown_names_by_srp(box: Box, tries: int) -> Iterator[Line]:
    """The same of a login that does not send the password, both of its calls."""
    numbers = range(math.ceil(tries / TRIES_OF_ONE_NAME))
    names = [f"known_{number:04}" for number in numbers]
    box.accounts(names)
    with box.client() as client:
        for name in names:
            _enrol(client, name)

    def guess(client: Client, name: str, source: str) -> None:
        body = {"username": name, "client_public": _base64(b"\x00" + os.urandom(SRP_BYTES - 1))}
        started = client.call("POST", "/api/v1/auth/srp/start", body, source=source).expect(HTTPStatus.OK)
        body = {"handshake": started["handshake"], "client_proof": _base64(os.urandom(32))}
        client.call("POST", "/api/v1/auth/srp/finish", body, source=source).expect(HTTPStatus.UNAUTHORIZED)

    yield from _known_beside_unknown(box, "wrong proof", tries, guess)


def _known_beside_unknown(
    box: Box, what: str, tries: int, guess: Callable[[Client, str, str], None]
) -> Iterator[Line]:
    """Names that are there are called `known_` and a number."""
    numbers = range(math.ceil(tries / TRIES_OF_ONE_NAME))
    names = {kind: [f"{kind}_{number:04}" for number in numbers] for kind in ("known", "other")}
    order = [(kind, name) for kind in names for name in (names[kind] * TRIES_OF_ONE_NAME)[:tries]]
    random.shuffle(order)
    times: dict[str, list[float]] = {kind: [] for kind in names}
    with box.client() as client:
        for number, (kind, name) in enumerate(order):
            started = time.perf_counter()
            guess(client, name, f"172.16.{number >> 8}.{number & 255}")
            times[kind].append((time.perf_counter() - started) * 1000)
    known, unknown = _mean(times["known"]), _mean(times["other"])
    ratio = known.mean / unknown.mean
    error = ratio * math.hypot(known.error / known.mean, unknown.error / unknown.mean)
    yield Line(f"{what}, known name, {tries} tries", str(known))
    target = f"target within {RATIO_TARGET:.0%} {_verdict(abs(ratio - 1) <= RATIO_TARGET)}"
    comparison = f"known / unknown {ratio:.3f} ± {error:.3f}; {target}"
    yield Line(f"{what}, unknown name, {tries} tries", str(unknown), comparison)


def _enrol(client: Client, name: str) -> None:
    """Any number is the verifier of somebody, whom nobody knows here."""
    body = {"username": name, "password": PASSWORD}
    token = client.call("POST", "/api/v1/sessions", body).expect(HTTPStatus.CREATED)["access_token"]
    # 256 MiB, three passes, four lanes, three salts (docs/secrets.md).
    parameters = struct.pack(">III", 256 * 1024, 3, 4) + os.urandom(48)
    body = {
        "password": PASSWORD, "group_bits": SRP_BYTES * 8, "salt": _base64(os.urandom(16)), "only": False,
        "verifier": _base64(b"\x00" + os.urandom(SRP_BYTES - 1)), "parameters": _base64(parameters),
    }  # fmt: skip
    client.call("PUT", "/api/v1/auth/srp/verifier", body, token).expect(HTTPStatus.OK)


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _look(box: Box, path: str, token: str) -> Quantiles:
    times = []
    with box.client() as client:
        client.call("GET", path, token=token).expect(HTTPStatus.OK)
        due = time.perf_counter()
        for _ in range(LOOKS):
            due = max(due + LOOK_INTERVAL_S, time.perf_counter() - LOOK_INTERVAL_S)
            time.sleep(max(0.0, due - time.perf_counter()))
            started = time.perf_counter()
            reply = client.call("GET", path, token=token)
            times.append((time.perf_counter() - started) * 1000)
            reply.expect(HTTPStatus.OK)
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return Quantiles(cuts[49], cuts[94], cuts[98])


@contextmanager
def _bad_logins(box: Box, manners: str) -> Iterator[list[str]]:
    """Runs them meanwhile. What they were answered is in the list afterwards."""
    command = [sys.executable, "-m", "bench.flood", str(box.port), str(BAD_LOGINS), manners]
    answers: list[str] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flood:
        if flood.stdout is None or flood.stdout.readline() != "ready\n":
            raise Unexpected("the bad logins did not start")
        # The first of them take their places.
        time.sleep(1)
        try:
            yield answers
        finally:
            told = json.loads(flood.communicate("stop\n")[0])
    per_second = {status: count / told["seconds"] for status, count in sorted(told["answers"].items())}
    answers.append(", ".join(f"{rate:.1f} x {status}" for status, rate in per_second.items()))


def _mean(times: list[float]) -> Mean:
    return Mean(statistics.fmean(times), statistics.stdev(times) / math.sqrt(len(times)))


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"
