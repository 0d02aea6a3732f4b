"""A fresh box: the real daemon on a directory of its own, with a vault, reached over TCP as the tunnel reaches it."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any

MASTER_PASSWORD = "violet kettle orbit"
ADMIN, ADMIN_PASSWORD = "ada_", "amber canoe thirteen"
# Of everybody else.
PASSWORD = "quiet marble lantern"
LIMIT_S = 120.0


class Unexpected(Exception):
    """The daemon answered something that leaves nothing to measure."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def expect(self, status: int) -> Any:
        if self.status != status:
            raise Unexpected(f"{self.status} instead of {status}: {self.body[:300]!r}")
        return self.json() if self.body else None


class Client:
    """One connection, kept open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)

    def __enter__(self) -> Client:
        self._connection.connect()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._connection.close()

    def call(self, method: str, path: str, body: Any = None, token: str = "", source: str = "") -> Reply:
        """`source` is whom the call comes from, as the proxy that the daemon trusts says."""
        headers = {"content-type": "application/json"} if body is not None else {}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if source:
            headers["cf-connecting-ip"] = source
        data = None if body is None else json.dumps(body).encode()
        return self._exchange(method, path, data, headers)

    def send(self, path: str, content: bytes, token: str) -> Reply:
        """Uploads a content."""
        return self._exchange("POST", path, content, {"authorization": f"Bearer {token}"})

    def _exchange(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Reply:
        self._connection.request(method, path, data, headers)
        response = self._connection.getresponse()
        return Reply(response.status, response.read())


@dataclass(frozen=True)
class Box:
    """A running daemon with an unlocked vault."""

    port: int
    token: str
    pid: int
    # On the drive that is measured.
    root: Path

    def client(self) -> Client:
        return Client(self.port)

    def url(self, path: str) -> str:
        """The address of something below the API."""
        return f"http://127.0.0.1:{self.port}/api/v1/{path}"

    def accounts(self, names: list[str]) -> None:
        """Makes accounts that may log in. Each costs one hash."""
        with self.client() as client:
            for name in names:
                body = {"username": name, "password": PASSWORD}
                client.call("POST", "/api/v1/users", body, self.token).expect(HTTPStatus.CREATED)


@contextmanager
def fresh_box(binary: Path, directory: Path | None) -> Iterator[Box]:
    """Below `directory`, or where temporary files go; gone afterwards."""
    root = Path(tempfile.mkdtemp(prefix="coffer-bench-", dir=directory))
    command: list[str | Path] = [binary, "serve", "--listen", "127.0.0.1:0", "--trusted-proxy", "127.0.0.1"]
    command += ["--state", root / "state"]
    try:
        # To a file, as to the journal: whatever reads a pipe would take time of its own.
        with (root / "log").open("wb") as log:
            daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            port = _port(daemon, root / "log")
            yield Box(port, _claim(port, root / "state"), daemon.pid, root)
        finally:
            daemon.terminate()
            daemon.wait(LIMIT_S)
    finally:
        shutil.rmtree(root)


def _port(daemon: subprocess.Popen[str], log: Path) -> int:
    for line in daemon.stdout or []:
        if "http://" in line:
            return int(line.split("http://")[1].split("/")[0].rsplit(":", 1)[1])
    raise Unexpected(f"the daemon did not start: {log.read_text(errors='replace')[-500:]}")


def _claim(port: int, state: Path) -> str:
    """Makes the vault; gives a token of its administrator."""
    code = (state / "SETUP-CODE.txt").read_text().splitlines()[0]
    admin = {"username": ADMIN, "password": ADMIN_PASSWORD}
    with Client(port) as client:
        body = {"setup_code": code, "master_password": MASTER_PASSWORD, "admin": admin}
        client.call("POST", "/api/v1/vault", body).expect(HTTPStatus.CREATED)
        session = client.call("POST", "/api/v1/sessions", admin).expect(HTTPStatus.CREATED)
    return str(session["access_token"])

