"""Lets the daemon live on recording disks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from powercut import linux, workload
from powercut.cofferd import Places
from powercut.history import History
from powercut.journal import Cut, Position, copy_sparse


def first_life(binary: Path, directory: Path, images: list[Path], places: Places, seed: int) -> History:
    """From an empty disk to a daemon that was killed. The images stay as they are; the record is in `directory`."""
    with _recording(directory, images, places) as position:
        return workload.run(binary, places, position, directory / "cofferd.log", seed)


def second_life(
    binary: Path, directory: Path, images: list[Path], places: Places, log: Path, history: History, cut: Cut
) -> History:
    """What follows a cut: unlock, which repairs, and some more work. Returns the history of both lives."""
    with _recording(directory, images, places) as position:
        return workload.go_on(binary, places, position, log, history.as_of(cut.position), cut.seed)


@contextmanager
def _recording(directory: Path, images: list[Path], places: Places) -> Iterator[Position]:
    directory.mkdir(parents=True, exist_ok=True)
    live = [directory / f"{image.stem}.live" for image in images]
    for image, copy in zip(images, live, strict=True):
        copy_sparse(image, copy)
    served = directory / "disks"
    mount_points = list(dict.fromkeys([places.vault, places.data, places.stick]))
    command: list[str | Path] = [sys.executable, "-m", "powercut.disks", directory, *live]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as disks:
        try:
            if disks.stdout is None or disks.stdout.readline() != "ready\n":
                raise RuntimeError("the recording disks did not start")
            for number, mount_point in enumerate(mount_points):
                linux.mount_image(served / str(number), mount_point)
            yield Position(directory)
            for busy in [*mount_points, served]:
                linux.unmount_when_free(busy)
        except BaseException:
            # Whatever still uses them fails from now on, and the next life gets disks of its own.
            for busy in [*mount_points, served]:
                linux.detach(busy)
            raise
        finally:
            disks.kill()
    for copy in live:
        copy.unlink()
