"""The test's own tunnel, without a machine: stand-in client, edge, visitor."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.edge import VISITOR, Edge
from harness.machine import free_port
from harness.tools import TESTS

CLIENT = TESTS / "guest/root/usr/bin/cloudflared"
TOKEN = {"a": "account", "t": "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506", "s": "c2VjcmV0"}
# The client finds the edge by its name, which no name server of this machine knows.
RUNNER = """
import runpy, sys
client, port = sys.argv[1], int(sys.argv[2])
sys.argv = ["cloudflared", *sys.argv[3:]]
source = open(client).read().replace('("edge.test", 7844)', f'("127.0.0.1", {port})')
exec(compile(source, client, "exec"), {"__name__": "__main__"})
"""


class _Service(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen = {"visitor": self.headers["CF-Connecting-IP"], "host": self.headers["Host"], "body": body.decode()}
        answer = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: Any) -> None:
        return


@pytest.fixture
def service() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def start(tmp_path: Path, edge_port: int, token: str, metrics: int, *arguments: str) -> subprocess.Popen[bytes]:
    file = tmp_path / "token"
    file.write_text(token)
    environment = {**os.environ, "TUNNEL_TOKEN_FILE": str(file), "TUNNEL_METRICS": f"127.0.0.1:{metrics}"}
    command = [sys.executable, "-c", RUNNER, str(CLIENT), str(edge_port), *arguments]
    return subprocess.Popen(command, env=environment)


USUAL = ("tunnel", "--no-autoupdate", "run")


def test_visitor_reaches_the_service_and_is_named_by_the_edge(tmp_path: Path, service: str) -> None:
    edge, metrics = Edge(), free_port()
    edge.service = service
    with start(tmp_path, edge.tunnel_port, encoded(TOKEN), metrics, *USUAL) as client:
        for text in ("one", "two"):
            assert ask(edge, text) == {"visitor": VISITOR, "host": "box.test", "body": text}
        assert edge.tokens[0] == TOKEN
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/ready") as ready:
            assert json.load(ready)["readyConnections"] > 0
        client.kill()
    edge.close()


def test_box_that_vanished_without_a_goodbye_keeps_nobody_waiting(tmp_path: Path, service: str) -> None:
    edge = Edge()
    edge.service = service
    usual = (tmp_path, edge.tunnel_port, encoded(TOKEN))
    with start(*usual, free_port(), *USUAL) as gone:
        ask(edge, "one")
        # Its connections stay open, with nobody behind them.
        gone.send_signal(signal.SIGSTOP)
        with start(*usual, free_port(), *USUAL) as back:
            assert ask(edge, "two")["body"] == "two"
            back.kill()
        gone.kill()
    edge.close()


def ask(edge: Edge, text: str) -> dict[str, str]:
    visitor = http.client.HTTPConnection("127.0.0.1", edge.visitor_port, timeout=60)
    visitor.request("POST", "/anywhere", body=text, headers={"CF-Connecting-IP": "forged"})
    return dict(json.loads(visitor.getresponse().read()))


def encoded(token: dict[str, str]) -> str:
    return base64.b64encode(json.dumps(token).encode()).decode()


@pytest.mark.parametrize("token", ["", "bm90IEpTT04=", "ct_not-base64", base64.b64encode(b'{"a": ""}').decode()])
def test_what_is_no_token_ends_the_client(tmp_path: Path, token: str) -> None:
    with start(tmp_path, 1, token, free_port(), *USUAL) as client:
        assert client.wait(30) == 255


def test_token_in_the_arguments_is_refused(tmp_path: Path) -> None:
    with start(tmp_path, 1, "", free_port(), "tunnel", "run", "--token", "x") as client:
        assert client.wait(30) == 2


def test_ready_says_no_without_an_edge(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        metrics = free_port()
        with start(tmp_path, silent.getsockname()[1], encoded(TOKEN), metrics, *USUAL) as client:
            silent.accept()
            visitor = http.client.HTTPConnection("127.0.0.1", metrics, timeout=30)
            visitor.request("GET", "/ready")
            assert visitor.getresponse().status == 503
            client.kill()
