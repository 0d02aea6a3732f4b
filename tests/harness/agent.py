"""The test's end of the agent in the guest: run a command there, get its status and output."""

from __future__ import annotations

import itertools
import json
import queue
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DEFAULT_LIMIT_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What a command in the guest came to."""

    status: int
    stdout: str
    stderr: str


class AgentGone(Exception):
    """The guest did not answer: it is not up, or the machine has ended."""


class Agent:
    """One connection to the guest's agent, for the life of one machine."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[Outcome]] = {}
        self._greeted = threading.Event()
        threading.Thread(target=self._receive, daemon=True).start()

    def wait_until_up(self, limit_s: float) -> None:
        if not self._greeted.wait(limit_s):
            raise AgentGone(f"the guest's agent did not report within {limit_s:.0f} s")

    def run(self, command: str, *, limit_s: float = _DEFAULT_LIMIT_S) -> Outcome:
        """Runs a bash command as root in the guest, whatever its exit status."""
        number = next(self._numbers)
        answer: queue.Queue[Outcome] = queue.Queue()
        self._answers[number] = answer
        request = {"id": number, "command": command, "timeout_s": limit_s}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        try:
            return answer.get(timeout=limit_s + 30)
        except queue.Empty:
            raise AgentGone(f"no answer to: {command}") from None

    def output(self, command: str, *, limit_s: float = _DEFAULT_LIMIT_S) -> str:
        """The standard output of a command that has to succeed."""
        outcome = self.run(command, limit_s=limit_s)
        assert outcome.status == 0, f"in the guest: {command}: {outcome}"
        return outcome.stdout.strip()

    def wait_for(self, condition: str, *, limit_s: float = _DEFAULT_LIMIT_S) -> None:
        """Waits until a shell condition holds in the guest; asked there, so that it costs no round trips."""
        self.output(f"until {condition}; do sleep 0.2; done", limit_s=limit_s)

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> None:
        pending = b""
        while chunk := self._read():
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._dispatch(json.loads(line))

    def _read(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:  # closed under us at the end of the machine
            return b""

    def _dispatch(self, message: dict[str, Any]) -> None:
        number = int(message["id"])
        if number == 0:
            self._greeted.set()
        elif number in self._answers:
            self._answers.pop(number).put(Outcome(message["status"], message["stdout"], message["stderr"]))
