"""Logins with wrong passwords, so many at once and without end: `flood.py PORT HOW_MANY POLITE`.

A process of its own, so that the clock of the one who measures does not wait for it. Every try has another name and
comes from another address, so that none is turned away for an earlier one before its password is looked at. Says
`ready` when all are under way; on a line of input it stops, and prints what was answered how often, as JSON.
"""

from __future__ import annotations

import itertools
import json
import secrets
import sys
import threading
import time
from collections import Counter
from http import HTTPStatus

from bench.box import Client


class Flood:
    def __init__(self, port: int, polite: bool) -> None:
        self._port = port
        self._polite = polite
        # Another flood before this one has used other names.
        self._numbers = itertools.count(secrets.randbelow(1 << 40))
        self._over = threading.Event()
        self.answers: Counter[int] = Counter()

    def run(self, how_many: int) -> None:
        started = threading.Barrier(how_many + 1)
        threads = [threading.Thread(target=self._log_in_for_ever, args=(started,)) for _ in range(how_many)]
        for thread in threads:
            thread.start()
        started.wait()
        print("ready", flush=True)
        begun = time.monotonic()
        sys.stdin.readline()
        seconds = time.monotonic() - begun
        self._over.set()
        answers = dict(self.answers)
        for thread in threads:
            thread.join()
        print(json.dumps({"seconds": seconds, "answers": answers}))

    def _log_in_for_ever(self, started: threading.Barrier) -> None:
        with Client(self._port) as client:
            started.wait()
            while not self._over.is_set():
                # The interpreter takes the next number in one step.
                number = next(self._numbers)
                body = {"username": f"nobody_{number}", "password": "not the password"}
                source = f"10.{number >> 16 & 127}.{number >> 8 & 255}.{number & 255}"
                reply = client.call("POST", "/api/v1/sessions", body, source=source)
                self.answers[reply.status] += 1
                if self._polite and reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
                    self._over.wait(reply.json()["retry_after_s"])


if __name__ == "__main__":
    Flood(int(sys.argv[1]), sys.argv[3] == "polite").run(int(sys.argv[2]))
