"""The edge of the tunnel, on this host: boxes connect to one port of it, visitors to the other.

Speaks with the stand-in client of tests/guest. As Cloudflare's does, it puts the visitor's address into the request,
knows by itself where in the box the tunnel leads, and notices connections of which nothing is left but its own end: a box
that lost its power or its network says no goodbye.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
from typing import Any

VISITOR = "198.51.100.7"
_CONNECTION_LIMIT_S = 60.0
_BEAT_S = 5.0
_ANSWER_LIMIT_S = 10.0
_HEAD_LIMIT = 64 * 1024


class Edge:
    """One tunnel's edge. `service` is where its ingress leads, `host` the name it has in public."""

    def __init__(self) -> None:
        self.service = "http://127.0.0.1:8000"
        self.host = "box.test"
        self.tokens: list[dict[str, Any]] = []
        self._waiting: queue.Queue[_Visitor] = queue.Queue()
        self._tunnels = _Server(self._on_tunnel)
        self._visitors = _Server(self._on_visitor)
        self.tunnel_port, self.visitor_port = self._tunnels.port, self._visitors.port

    def close(self) -> None:
        self._tunnels.shutdown()
        self._visitors.shutdown()

    def _on_tunnel(self, box: socket.socket) -> None:
        """Registers a connection of the box, keeps it alive, and spends it on one visitor."""
        self.tokens.append(json.loads(_read_line(box)))
        box.sendall(b"registered\n")
        while True:
            try:
                visitor = self._waiting.get(timeout=_BEAT_S)
            except queue.Empty:
                _beat(box)
                continue
            try:
                _beat(box)
            except (OSError, ValueError):
                self._waiting.put(visitor)  # another connection brings him in
                raise
            visitor.is_taken.set()
            self._bring(visitor, box)
            return

    def _on_visitor(self, connection: socket.socket) -> None:
        visitor = _Visitor(connection, self._with_edge_headers(_read_head(connection)))
        self._waiting.put(visitor)
        if not visitor.is_taken.wait(_CONNECTION_LIMIT_S):
            connection.close()

    def _bring(self, visitor: _Visitor, box: socket.socket) -> None:
        box.sendall(f"{self.service}\n".encode() + visitor.head)
        upward = threading.Thread(target=_copy, args=(visitor.connection, box), daemon=True)
        upward.start()
        _copy(box, visitor.connection)
        box.close()

    def _with_edge_headers(self, head: bytes) -> bytes:
        first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
        replaced = (b"host:", b"connection:", b"cf-connecting-ip:")
        kept = [line for line in lines if not line.lower().startswith(replaced)]
        own = f"Host: {self.host}\r\nConnection: close\r\nCF-Connecting-IP: {VISITOR}\r\nX-Forwarded-Proto: https"
        return b"\r\n".join([first, *kept, own.encode(), b"", b""])


class _Visitor:
    def __init__(self, connection: socket.socket, head: bytes) -> None:
        self.connection, self.head = connection, head
        self.is_taken = threading.Event()


class _Server:
    """Calls `serve` with each connection, in a thread of its own."""

    def __init__(self, serve: Any) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._serve = serve
        threading.Thread(target=self._accept, daemon=True).start()

    def shutdown(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._guarded, args=(connection,), daemon=True).start()

    def _guarded(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        except (OSError, ValueError, queue.Empty):
            connection.close()  # the other side sees it, and the test says what it missed


def _read_line(source: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = source.recv(1)
        if not byte or len(line) > _HEAD_LIMIT:
            raise ValueError("no line")
        line += byte
    return line


def _read_head(source: socket.socket) -> bytes:
    """The head of a request, byte by byte, so that nothing of its body is taken."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _read_line(source)
    return head


def _beat(box: socket.socket) -> None:
    """Asks the box for an answer, which only one that still runs and is still reached can give."""
    box.settimeout(_ANSWER_LIMIT_S)
    box.sendall(b"beat\n")
    if _read_line(box) != b"beat\n":
        raise ValueError("no answer")
    box.settimeout(None)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
