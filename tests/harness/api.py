"""The few REST calls that the system test makes, through the forwarded port as a client on the LAN would.

Standard library only; it knows paths and status codes, and nothing of how a box is emulated.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_CALL_LIMIT_S = 180.0


@dataclass(frozen=True)
class Reply:
    """Status and decoded body (None when there is none)."""

    status: int
    body: Any


class Api:
    """One box, reached at one port of this host. Holds the access token once logged in."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._token: str | None = None

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        data = None if body is None else json.dumps(body).encode()
        return self._send(method, path, data, {"Content-Type": "application/json"})

    def call_patiently(self, method: str, path: str, body: Any = None) -> Reply:
        """As `call`, but waits as long as the box asks for after somebody's wrong guess."""
        while (reply := self.call(method, path, body)).status == 429:
            time.sleep(reply.body["retry_after_s"])
        return reply

    def upload(self, name: str, content: bytes | Iterable[bytes], *, size_bytes: int | None = None) -> Reply:
        """Stores a file in the root folder; an iterable with `size_bytes` is streamed."""
        length = len(content) if isinstance(content, bytes) else size_bytes
        path = "/api/v1/files?" + urllib.parse.urlencode({"name": name})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        return self._send("POST", path, content, headers)

    def download(self, file_id: str) -> bytes:
        connection = self._connect()
        try:
            connection.request("GET", f"/api/v1/files/{file_id}/content", headers=self._authorization())
            response = connection.getresponse()
            content = response.read()
            assert response.status == 200, content[:500]
            return content
        finally:
            connection.close()

    def log_in(self, username: str, password: str) -> None:
        reply = self.call("POST", "/api/v1/sessions", {"username": username, "password": password})
        assert reply.status == 201, reply
        self._token = reply.body["access_token"]

    def use_token(self, token: str) -> None:
        """Speaks as the holder of that token from now on."""
        self._token = token

    def health(self) -> dict[str, Any]:
        reply = self.call("GET", "/health")
        assert reply.status == 200, reply
        return dict(reply.body)

    def wait_until_up(self, limit_s: float) -> None:
        """Waits for the first answer: QEMU accepts connections long before anybody listens in the guest."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                self.health()
                return
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _send(self, method: str, path: str, data: bytes | Iterable[bytes] | None, headers: dict[str, str]) -> Reply:
        connection = self._connect()
        try:
            connection.request(method, path, body=data, headers={**headers, **self._authorization()})
            response = connection.getresponse()
            text = response.read()
            return Reply(response.status, json.loads(text) if text else None)
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=_CALL_LIMIT_S)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}
