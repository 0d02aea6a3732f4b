"""The authority of the test: its certificates are good for their host, and for no other."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from harness.cloud import HOST, Authority


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    ours, theirs = socket.socketpair()
    accepting = threading.Thread(target=accept, args=(server, theirs))
    accepting.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname=name):
            return
    finally:
        accepting.join()


def accept(context: ssl.SSLContext, connection: socket.socket) -> None:
    try:
        with connection, context.wrap_socket(connection, server_side=True):
            return
    except ssl.SSLError:
        return  # the client has refused, which is what the test looks at


def test_certificate_is_good_for_its_host_alone(tmp_path: Path) -> None:
    authority = Authority()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.issue(HOST, tmp_path))
    trusting = ssl.create_default_context(cadata=authority.pem.decode())
    shake_hands(server, trusting, HOST)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, trusting, "elsewhere.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, ssl.create_default_context(), HOST)
