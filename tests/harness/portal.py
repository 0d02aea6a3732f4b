"""What NetworkManager asks whether there is an internet: no content, or while it is shut a page that wants a click."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PAGE = b"<html><body>Welcome! <a href='/accept'>I accept</a></body></html>"


class Portal:
    """Runs until `close`."""

    def __init__(self) -> None:
        self.is_shut = False
        portal = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if portal.is_shut else 204)
                if portal.is_shut:
                    self.send_header("Content-Type", "text/html")
                    self.send_header("Content-Length", str(len(_PAGE)))
                self.end_headers()
                if portal.is_shut:
                    self.wfile.write(_PAGE)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
