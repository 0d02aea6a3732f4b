"""Runs the real daemon, and speaks to it over its control socket: HTTP without ports that could collide."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

# Conditions are waited for this long; on a busy machine they take a hundredth of it.
LIMIT_S = 60.0
# How often a condition that nobody announces is looked at.
POLL_S = 0.005

T = TypeVar("T")


class Unexpected(Exception):
    """The daemon did something that it must not do."""


def wait_for(what: str, condition: Callable[[], T | None]) -> T:
    """The first result that is true."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(POLL_S)
    raise Unexpected(f"no {what} after {LIMIT_S:.0f} s")


@dataclass(frozen=True)
class Places:
    """Where the daemon keeps things: `vault` is the drive, `data` the card, `stick` has the keys, `run` is no disk."""

    vault: Path
    data: Path
    stick: Path
    run: Path

    @property
    def cipher(self) -> Path:
        return self.vault / "cipher"

    @property
    def secrets(self) -> Path:
        return self.stick / "secrets"

    @property
    def staged_key_file(self) -> Path:
        return self.secrets / "vault.keys.creating"

    @property
    def device(self) -> Path:
        return self.data / "device"

    @property
    def creation_mark(self) -> Path:
        return self.device / "creating.json"


class Reply:
    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)

    def expect(self, status: int, doing: str) -> Reply:
        if self.status != status:
            raise Unexpected(f"{doing}: {self.status} instead of {status}: {self.body[:300]!r}")
        return self


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("coffer", timeout=LIMIT_S)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """One caller. Each thread has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self.token: str | None = None

    def call(self, method: str, path: str, body: Any = None, **query: str | int | None) -> Reply:
        """A call with a JSON body, or with bytes as they are."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if isinstance(body, bytes):
            headers["content-type"] = "application/octet-stream"
        elif body is not None:
            headers["content-type"] = "application/json"
            body = json.dumps(body).encode()
        given = {key: value for key, value in query.items() if value is not None}
        if given:
            path = f"{path}?{urlencode(given)}"
        connection: _UnixConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _UnixConnection(self._path)
        try:
            connection.request(method, path if path == "/health" else f"/api/v1{path}", body, headers)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        except BaseException:
            # The next call starts with a connection of its own.
            connection.close()
            raise

    def call_in_time(self, method: str, path: str, body: Any = None) -> Reply:
        """A call that is made again when the daemon says how long to wait: guesses are spaced out."""

        def attempt() -> Reply | None:
            reply = self.call(method, path, body)
            if reply.status != http.HTTPStatus.TOO_MANY_REQUESTS:
                return reply
            time.sleep(float(reply.headers["Retry-After"]))
            return None

        return wait_for(f"turn for {method} {path}", attempt)

    def unlock(self, secrets: list[dict[str, str]]) -> None:
        """With the first of them that is right."""
        for secret in secrets:
            reply = self.call_in_time("POST", "/vault/unlock", secret)
            if reply.status == http.HTTPStatus.OK:
                return
            if reply.status != http.HTTPStatus.FORBIDDEN:
                break
        raise Unexpected(f"unlocking with any of {secrets}: {reply.status} {reply.body[:300]!r}")

    def list_all(self, path: str, **query: str | int | None) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        cursor: str | None = None
        while True:
            reply = self.call("GET", path, cursor=cursor, limit=500, **query)
            page = reply.expect(http.HTTPStatus.OK, f"listing {path}").json()
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return


class Cofferd:
    """A running daemon."""

    def __init__(self, binary: Path, places: Places, log: Path) -> None:
        self._log = log
        places.run.mkdir(parents=True, exist_ok=True)
        self._socket = places.run / "control.sock"
        with log.open("ab") as output:
            self._first_boot(binary, places, output)
            command: list[str | Path] = [binary, "serve", "--listen", "127.0.0.1:0"]
            command += ["--secrets", places.secrets, "--device", places.device, "--cipher", places.cipher]
            command += ["--mount", places.run / "mnt", "--control-socket", self._socket]
            self._socket.unlink(missing_ok=True)
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_for("daemon", self._answers)

    def client(self) -> Client:
        return Client(self._socket)

    def kill(self) -> None:
        """Ends it as if the plug was pulled on the process alone. gocryptfs goes with it."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Asks it to end, and waits for that."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(LIMIT_S)
        if status != 0:
            raise Unexpected(f"the daemon ended with {status}")

    def _first_boot(self, binary: Path, places: Places, output: Any) -> None:
        """Once more at each start, as the unit does it."""
        code = places.run / "SETUP-CODE.txt"
        command: list[str | Path] = [binary, "first-boot", "--device", places.device, "--setup-code-file", code]
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output).returncode
        if status != 0:
            raise Unexpected(f"first-boot ended with {status}")

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise Unexpected(f"the daemon ended with {self._process.returncode} while starting")
        try:
            return self.client().call("GET", "/health").status == http.HTTPStatus.OK
        except (FileNotFoundError, ConnectionRefusedError):
            return False
