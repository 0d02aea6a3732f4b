"""Run by QEMU for each connection that a guest makes to the test's internet: passes it on to a port of this host.

QEMU gives the connection as standard input, and starts this once more for the next one.
"""

import socket
import sys
import threading


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # one side is gone, and the other will notice


def main() -> None:
    guest = socket.socket(fileno=0)
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as host:
        upward = threading.Thread(target=copy, args=(guest, host), daemon=True)
        upward.start()
        copy(host, guest)
        upward.join()


if __name__ == "__main__":
    main()
