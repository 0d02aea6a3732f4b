"""The edge of the tunnel, on this host: boxes connect to one port of it, visitors to the other.

Speaks with the stand-in client of tests/guest. As Cloudflare's does, it puts the visitor's address into the request,
and knows by itself where in the box the tunnel leads.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
from typing import Any

VISITOR = "198.51.100.7"
_CONNECTION_LIMIT_S = 60.0
_HEAD_LIMIT = 64 * 1024


class Edge:
    """One tunnel's edge. `service` is where its ingress leads, `host` the name it has in public."""

    def __init__(self) -> None:
        self.service = "http://127.0.0.1:8000"
        self.host = "box.test"
        self.tokens: list[dict[str, Any]] = []
        self._idle: queue.Queue[socket.socket] = queue.Queue()
        self._tunnels = _Server(self._on_tunnel)
        self._visitors = _Server(self._on_visitor)
        self.tunnel_port, self.visitor_port = self._tunnels.port, self._visitors.port

    def close(self) -> None:
        self._tunnels.shutdown()
        self._visitors.shutdown()

    def _on_tunnel(self, box: socket.socket) -> None:
        """Registers a connection of the box, which is then kept for a visitor."""
        self.tokens.append(json.loads(_read_line(box)))
        box.sendall(b"registered\n")
        self._idle.put(box)

    def _on_visitor(self, visitor: socket.socket) -> None:
        head = self._with_edge_headers(_read_head(visitor))
        box = self._connection()
        box.sendall(f"{self.service}\n".encode() + head)
        upward = threading.Thread(target=_copy, args=(visitor, box), daemon=True)
        upward.start()
        _copy(box, visitor)
        box.close()

    def _connection(self) -> socket.socket:
        """One that still leads to a running box: those of a machine that was switched off are left behind here."""
        while True:
            box = self._idle.get(timeout=_CONNECTION_LIMIT_S)
            if _is_open(box):
                return box
            box.close()

    def _with_edge_headers(self, head: bytes) -> bytes:
        first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
        replaced = (b"host:", b"connection:", b"cf-connecting-ip:")
        kept = [line for line in lines if not line.lower().startswith(replaced)]
        own = f"Host: {self.host}\r\nConnection: close\r\nCF-Connecting-IP: {VISITOR}\r\nX-Forwarded-Proto: https"
        return b"\r\n".join([first, *kept, own.encode(), b"", b""])


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


def _is_open(connection: socket.socket) -> bool:
    """Nothing may come before a visitor does, so whatever can be read is the end."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.setblocking(True)
    return False


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
