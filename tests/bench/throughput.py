"""How fast contents go in and out, beside nginx and dd on gocryptfs mounts of the same drive, and what memory that takes.

Both sides of a comparison take turns, so that what the machine does besides hits both.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from bench.box import Box, Client, Unexpected
from bench.measurements import Line, Quantiles
from bench.search import Session, by_many

MIB = 1024 * 1024
ROUNDS = 5
DOWNLOAD_TARGET = 1.0
UPLOAD_TARGET = 0.6
MEMORY_TARGETS_MIB = {"not sealed": 64.0, "sealed": 32.0}
SMALL_BYTES = 4096
FEW = 100
ASKED = 300
SCALE_TARGET = 1.5
# As the daemon mounts its own (storage/gocryptfs.rs).
MOUNT_OPTIONS = ["-q", "-kernel_cache"]


def large_contents(box: Box, mebibytes: int) -> Iterator[Line]:
    """One content of that size, in and out, several times."""
    with _neighbours(box) as (mount, nginx), _content(box.root, mebibytes) as source:
        (mount / "content").write_bytes(b"")
        shutil.copyfile(source, mount / "content")
        file = _upload(box, source, "warm")
        speeds: dict[str, list[float]] = {"up": [], "dd": [], "down": [], "nginx": []}
        for number in range(ROUNDS):
            speeds["up"].append(mebibytes / _timed(lambda n=number: _upload(box, source, f"f{n}")))
            speeds["dd"].append(mebibytes / _timed(lambda: _dd(source, mount / "written")))
            speeds["down"].append(mebibytes / _timed(lambda: _download(box.url(f"files/{file}/content"), box.token)))
            speeds["nginx"].append(mebibytes / _timed(lambda: _download(f"{nginx}/content", "")))
    for ours, theirs, name, what, target in (
        ("up", "dd", "dd conv=fsync", "upload: hashed, synced, committed", UPLOAD_TARGET),
        ("down", "nginx", "nginx", "download", DOWNLOAD_TARGET),
    ):
        ratio = statistics.median(a / b for a, b in zip(speeds[ours], speeds[theirs], strict=True))
        verdict = "met" if ratio >= target else "MISSED"
        yield Line(f"{name}, {mebibytes} MiB on gocryptfs", f"{statistics.median(speeds[theirs]):.0f} MiB/s")
        comparison = f"{ratio:.2f} x {name}; target {target:.1f} {verdict}"
        yield Line(f"{what}, {mebibytes} MiB", f"{statistics.median(speeds[ours]):.0f} MiB/s", comparison)


def memory_of_large_contents(box: Box, mebibytes: int) -> Iterator[Line]:
    """How much more memory the daemon takes while a large content goes in and out, sealed and not."""
    with _content(box.root, mebibytes) as source:
        small = box.root / "small"
        small.write_bytes(os.urandom(MIB))
        for mode, way in (("off", "not sealed"), ("server", "sealed")):
            set_sealing(box, mode)
            # What the first transfer takes once and for all is not what a larger one takes.
            _download(box.url(f"files/{_upload(box, small, f'small, {way}')}/content"), box.token)
            before = _peak_mib(box.pid, reset=True)
            file = _upload(box, source, f"large, {way}")
            after_upload = _peak_mib(box.pid)
            _download(box.url(f"files/{file}/content"), box.token)
            after_download = _peak_mib(box.pid)
            for what, peak in (("upload", after_upload), ("download", after_download)):
                target = MEMORY_TARGETS_MIB[way]
                comparison = f"target {target:.0f} MiB {'met' if peak - before <= target else 'MISSED'}"
                yield Line(f"memory, {what}, {way}, {mebibytes} MiB", f"{peak - before:.1f} MiB more", comparison)


def one_large_folder(box: Box, files: int) -> Iterator[Line]:
    """What a folder of many files costs, beside one of a few."""
    session = Session(box)
    with box.client() as client:
        folders = {count: _folder(client, session.token(), f"of {count}") for count in (FEW, files)}
    for count, folder in folders.items():
        by_many(box, lambda client, number, f=folder: _store(client, session.token(), f, f"file {number}"), count)
    # Another connection: nobody keeps one open that says nothing for so long.
    with box.client() as client:
        times: dict[str, dict[int, list[float]]] = {}
        for number in range(ASKED):
            for count, folder in folders.items():
                for what, call in {
                    "list 50 files": lambda f=folder: client.call(
                        "GET", f"/api/v1/files?folder_id={f}&order_by=name", token=session.token()
                    ),
                    "look at the folder": lambda f=folder: client.call("GET", f"/api/v1/folders/{f}", token=session.token()),
                    "upload 4 KiB": lambda f=folder, n=number: _store(client, session.token(), f, f"more {n}"),
                }.items():
                    times.setdefault(what, {}).setdefault(count, []).append(_timed(call) * 1000)
    for what, by_count in times.items():
        few, many = (_quantiles(by_count[count]) for count in (FEW, files))
        yield Line(f"{what}, folder of {FEW}", str(few))
        ratio = many.p50 / few.p50
        verdict = "met" if ratio <= SCALE_TARGET else "MISSED"
        comparison = f"p50 {ratio:.2f} x that of {FEW}; target {SCALE_TARGET} {verdict}"
        yield Line(f"{what}, folder of {files}", str(many), comparison)


def _folder(client: Client, token: str, name: str) -> str:
    return str(client.call("POST", "/api/v1/folders", {"name": name}, token).expect(HTTPStatus.CREATED)["id"])


def _store(client: Client, token: str, folder: str, name: str) -> None:
    path = f"/api/v1/files?folder_id={folder}&name={name.replace(' ', '%20')}"
    client.send(path, os.urandom(SMALL_BYTES), token).expect(HTTPStatus.CREATED)


def _quantiles(times: list[float]) -> Quantiles:
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return Quantiles(cuts[49], cuts[94], cuts[98])


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def set_sealing(box: Box, mode: str) -> None:
    """From now on contents are sealed that way: `off` or `server`."""
    with box.client() as client:
        client.call("PUT", "/api/v1/encryption", {"mode": mode}, box.token).expect(HTTPStatus.NO_CONTENT)


def _upload(box: Box, source: Path, name: str) -> str:
    command = ["curl", "-sS", "--fail", "-X", "POST", "-T", str(source), "-H", f"Authorization: Bearer {box.token}"]
    reply = subprocess.run([*command, box.url(f"files?name={quote(name)}")], check=True, capture_output=True, text=True)
    return reply.stdout.split('"id":"')[1].split('"')[0]


def _download(url: str, token: str) -> None:
    command = ["curl", "-sS", "--fail", "-o", "/dev/null", "-H", f"Authorization: Bearer {token}", url]
    subprocess.run(command, check=True)


def _dd(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    command = ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=fsync", "status=none"]
    subprocess.run(command, check=True)


def _peak_mib(pid: int, reset: bool = False) -> float:
    """The most memory that a process has had, since the last reset (proc(5), clear_refs)."""
    if reset:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise Unexpected("the kernel does not tell the peak of memory")


@contextmanager
def _content(root: Path, mebibytes: int) -> Iterator[Path]:
    """Bytes that nothing can compress, on the drive itself."""
    path = root / "content"
    with path.open("wb") as content:
        for _ in range(mebibytes):
            content.write(os.urandom(MIB))
    try:
        yield path
    finally:
        path.unlink()


@contextmanager
def _neighbours(box: Box) -> Iterator[tuple[Path, str]]:
    """A gocryptfs mount of its own beside the vault, and nginx serving it."""
    cipher, mount = box.root / "neighbour", box.root / "neighbour-view"
    for directory in (cipher, mount):
        directory.mkdir()
    secret = "not a secret\n"
    init = ["gocryptfs", "-init", "-q", "-deterministic-names", "-scryptn", "10", cipher]
    subprocess.run(init, check=True, input=secret, text=True, capture_output=True)
    subprocess.run(["gocryptfs", *MOUNT_OPTIONS, cipher, mount], check=True, input=secret, text=True, capture_output=True)
    try:
        with tempfile.TemporaryDirectory(dir=box.root) as state:
            socket_port = box.port + 1 if box.port < 65535 else box.port - 1
            config = Path(state) / "nginx.conf"
            config.write_text(
                f"daemon off; pid {state}/pid; error_log {state}/error.log; worker_processes auto; user root;\n"
                "events {}\n"
                "http { access_log off; sendfile on; tcp_nopush on;"
                f" server {{ listen 127.0.0.1:{socket_port}; root {mount}; }} }}\n"
            )
            nginx = subprocess.Popen(["nginx", "-c", str(config)])
            try:
                url = f"http://127.0.0.1:{socket_port}"
                _wait_for(url, Path(state) / "error.log")
                yield mount, url
            finally:
                nginx.terminate()
                nginx.wait()
    finally:
        subprocess.run(["fusermount3", "-u", mount], check=True)


def _wait_for(url: str, log: Path) -> None:
    due = time.monotonic() + 10
    while subprocess.run(["curl", "-s", "-o", "/dev/null", url]).returncode != 0:
        if time.monotonic() > due:
            raise Unexpected(f"nginx does not answer: {log.read_text() if log.exists() else ''}")
        time.sleep(0.05)
