"""Runs shell commands for the system test, sent as JSON lines over a virtio serial port.

{"id", "command", "timeout_s"} is answered by {"id", "status", "stdout", "stderr"}, not necessarily in order.
"""

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

PORT_NAME = "coffer.test"


def find_port() -> Path:
    # Through sysfs: udev, which would make /dev/virtio-ports, takes many seconds longer under emulation.
    while True:
        for name_file in Path("/sys/class/virtio-ports").glob("*/name"):
            device = Path("/dev") / name_file.parent.name
            if name_file.read_text().strip() == PORT_NAME and device.exists():
                return device
        time.sleep(0.1)


class Agent:
    def __init__(self, port: BinaryIO) -> None:
        self._port = port
        self._write_lock = threading.Lock()

    def serve(self) -> None:
        self._send({"id": 0})
        pending = b""
        while True:
            chunk = self._port.read(65536)
            if not chunk:  # nobody at the other end yet
                time.sleep(0.1)
                continue
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                threading.Thread(target=self._run, args=(json.loads(line),), daemon=True).start()

    def _run(self, request: dict[str, Any]) -> None:
        try:
            done = subprocess.run(
                ["/bin/bash", "-c", request["command"]],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=request["timeout_s"], check=False,
            )  # fmt: skip
            status, stdout, stderr = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as late:
            status, stdout, stderr = 124, late.stdout or b"", b"timed out in the guest"
        self._send({
            "id": request["id"], "status": status,
            "stdout": stdout.decode(errors="replace"), "stderr": stderr.decode(errors="replace"),
        })  # fmt: skip

    def _send(self, reply: dict[str, Any]) -> None:
        data = json.dumps(reply).encode() + b"\n"
        with self._write_lock:
            while data:
                data = data[self._port.write(data) :]


if __name__ == "__main__":
    with open(find_port(), "r+b", buffering=0) as opened:
        Agent(opened).serve()
