"""Records one life of the daemon and checks the states that power cuts would leave. See README.md beside this file."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import queue
import random
import secrets
import shutil
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, dataclass, replace
from multiprocessing.queues import Queue
from pathlib import Path

from powercut import linux
from powercut.check import check
from powercut.cofferd import Places
from powercut.history import History
from powercut.journal import Cut, Kind, Record, Replayer
from powercut.lives import first_life, second_life

# The appliance keeps ciphertext on a drive, its identity on a card, and the keys there or on a stick: disks, each with
# its own idea of what is flushed.
DISKS = {"three": ["vault", "data", "stick"], "two": ["vault", "data"], "one": ["vault"]}
DISK_BYTES = 512 * 1024 * 1024

# Cuts before the vault exists are a small part of the writes, and the only ones that test its creation. Half of them
# lie where it goes over from one disk to the other: there the order of its steps shows.
CREATION_SHARE = 0.2
# Cuts in a checkpoint tear pages of the database itself; there are a dozen checkpoints among thousands of writes.
CHECKPOINT_SHARE = 0.15
CHECKPOINT_SECTORS = 24
# Cuts right behind an acknowledgement find what was acknowledged too early.
BEHIND_ACKNOWLEDGEMENT_SHARE = 0.35
# Of the states with a vault in use, so many are used for a while and then cut again: a repair must hold as well.
SECOND_CUT_SHARE = 0.2

# What the daemon logs when it repairs (daemon/src/storage/journal.rs): proof that the cuts hit where it hurts.
LOG_CUT = "tore the end of the database's log"
PAGES_RESTORED = "tore pages of the database"

# A disk that lost its cache is the harder case; how much of it was lost matters as well.
KINDS: list[Kind] = ["prefix", "subset", "subset"]
KEEPS = [0.1, 0.5, 0.9]


@dataclass(frozen=True)
class Options:
    binary: Path
    states: int
    seed: int
    layout: str
    sector: int
    work: Path
    artefacts: Path


@dataclass(frozen=True)
class Outcome:
    cut: Cut
    error: str | None
    log_cut: bool
    pages_restored: bool


def main() -> int:
    options, record = _options()
    linux.enter_private_mount_namespace()
    print(f"power cuts: seed {options.seed}, layout {options.layout}, {options.states} states", flush=True)
    directory = record or options.work / "record"
    if not (directory / "history").exists():
        started = time.monotonic()
        try:
            _record(options, directory)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            options.artefacts.mkdir(parents=True)
            shutil.copy(directory / "cofferd.log", options.artefacts)
            print(f"the life to be recorded did not succeed; its log is in {options.artefacts}\n0 passed, 1 failed")
            return 1
        print(f"recorded in {time.monotonic() - started:.0f} s: {_summary(directory)}", flush=True)
    failed = _check_all(options, directory)
    print(f"{options.states - failed} passed, {failed} failed")
    return 1 if failed else 0


def _options() -> tuple[Options, Path | None]:
    parser = argparse.ArgumentParser(prog="run-powercut", description=__doc__)
    parser.add_argument("--cofferd", type=Path, required=True, help="the daemon to test")
    parser.add_argument("--states", type=int, default=60, help="how many crash states to check (60)")
    parser.add_argument("--seed", type=int, default=None, help="chooses contents and cuts; printed when absent")
    parser.add_argument("--layout", choices=sorted(DISKS), default="three", help="drive, card, stick; or fewer (three)")
    parser.add_argument("--sector", type=int, default=4096, help="what a disk writes at once, in bytes (4096)")
    parser.add_argument("--record", type=Path, help="keep the record here, or use the one that is here")
    parser.add_argument("--artefacts", type=Path, required=True, help="where the first failing state goes")
    parser.add_argument("--work", type=Path, required=True, help="an empty directory for everything else")
    given = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if given.seed is None else given.seed
    options = Options(given.cofferd, given.states, seed, given.layout, given.sector, given.work, given.artefacts)
    return options, given.record


def _record(options: Options, directory: Path) -> None:
    directory.mkdir(parents=True)
    names = DISKS[options.layout]
    images = [directory / f"{name}.img" for name in names]
    for image in images:
        with image.open("wb") as file:
            file.truncate(DISK_BYTES)
        features = "nodiscard,lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", features, image], check=True)
    places = _places(options.work / "life", options.layout)
    history = first_life(options.binary, directory, images, places, options.seed)
    with (directory / "history").open("wb") as file:
        pickle.dump(history, file)


def _places(root: Path, layout: str) -> Places:
    vault, data, stick = {
        "three": ("vault", "data", "stick"),
        "two": ("vault", "data", "data"),
        "one": ("vault", "vault", "vault"),
    }[layout]
    return Places(vault=root / vault, data=root / data, stick=root / stick, run=root / "run")


def _summary(directory: Path) -> str:
    record, history = Record(directory), _history(directory)
    flushes = sum(entry.is_flush for entry in record.entries)
    acknowledged = len(history.acknowledgements())
    mib = (directory / "record").stat().st_size / (1 << 20)
    return f"{len(record.entries) - flushes} writes, {flushes} flushes, {mib:.0f} MiB, {acknowledged} acknowledgements"


def _history(directory: Path) -> History:
    with (directory / "history").open("rb") as file:
        history: History = pickle.load(file)
    return history


def _cuts(options: Options, record: Record, history: History) -> list[Cut]:
    chance = random.Random(options.seed)
    end = len(record.entries)
    created = next(history.of("vault.created")).acknowledged or end
    acknowledgements = history.acknowledgements()
    steps = record.changes_of_disk(created)
    checkpoints = [window for window in record.rewriting_windows(CHECKPOINT_SECTORS) if window[0] > created]

    def position() -> int:
        draw = chance.random()
        if draw < CREATION_SHARE / 2:
            return min(chance.choice(steps) + chance.randint(0, 2), created)
        if draw < CREATION_SHARE:
            return chance.randint(0, created)
        draw -= CREATION_SHARE
        if draw < CHECKPOINT_SHARE and checkpoints:
            return chance.randint(*chance.choice(checkpoints))
        draw -= CHECKPOINT_SHARE
        if draw < BEHIND_ACKNOWLEDGEMENT_SHARE:
            return min(chance.choice(acknowledgements) + chance.randint(0, 4), end)
        return chance.randint(created, end)

    cuts = []
    for _ in range(options.states):
        kind = chance.choice(KINDS)
        cuts.append(Cut(position(), kind, chance.choice(KEEPS), chance.randrange(1 << 32), options.sector))
    return sorted(cuts, key=lambda cut: cut.position)


def _check_all(options: Options, directory: Path) -> int:
    cuts = _cuts(options, Record(directory), _history(directory))
    workers = min(os.cpu_count() or 1, len(cuts))
    outcomes: Queue[Outcome] = multiprocessing.Queue()
    processes = [
        multiprocessing.Process(target=_worker, args=(options, directory, number, cuts[number::workers], outcomes))
        for number in range(workers)
    ]
    started = time.monotonic()
    for process in processes:
        process.start()
    failed = cut_logs = restored = 0
    for done in range(1, len(cuts) + 1):
        outcome = _next(outcomes, processes)
        cut_logs += outcome.log_cut
        restored += outcome.pages_restored
        if outcome.error is not None:
            failed += 1
            print(f"FAILED {outcome.cut}: {outcome.error}", flush=True)
            if failed == 1:
                print(f"its disks and log are in {options.artefacts}", flush=True)
        if done % max(1, len(cuts) // 5) == 0:
            print(f"{done} of {len(cuts)} states, {failed} failed, {time.monotonic() - started:.0f} s", flush=True)
    for process in processes:
        process.join()
    print(f"the daemon cut its database's log off in {cut_logs} states, and wrote torn pages again in {restored}")
    return failed


def _next(outcomes: Queue[Outcome], workers: list[multiprocessing.Process]) -> Outcome:
    while True:
        try:
            return outcomes.get(timeout=1)
        except queue.Empty:
            if any(worker.exitcode for worker in workers):
                raise RuntimeError("a worker ended before its time") from None


def _worker(options: Options, directory: Path, number: int, cuts: list[Cut], outcomes: Queue[Outcome]) -> None:
    """Checks its share of the states, in the order of their positions."""
    linux.enter_private_mount_namespace()
    root = options.work / f"worker{number}"
    root.mkdir()
    record, history = Record(directory), _history(directory)
    names = DISKS[options.layout]
    replayers = [
        Replayer(record, disk, directory / f"{name}.img", root / f"{name}.base") for disk, name in enumerate(names)
    ]
    for cut in cuts:
        images = {root / name: root / f"{name}.img" for name in names}
        log = root / "cofferd.log"
        log.unlink(missing_ok=True)
        error = None
        state = _State(cut, history, replayers, list(images.values()))
        try:
            state.make()
            if _is_cut_again(cut, history):
                state = _cut_again(options, state, root, log)
                state.make()
            check(options.binary, images, _places(root, options.layout), log, state.history, state.cut)
        except Exception as failure:
            error = "".join(traceback.format_exception_only(failure)).strip()
            _keep(options, state, error, log)
        said = log.read_text(errors="replace") if log.exists() else ""
        outcomes.put(Outcome(state.cut, error, LOG_CUT in said, PAGES_RESTORED in said))


@dataclass(frozen=True)
class _State:
    """The disks after a cut, and what led there."""

    cut: Cut
    history: History
    replayers: list[Replayer]
    images: list[Path]

    def make(self, directory: Path | None = None) -> None:
        for replayer, image in zip(self.replayers, self.images, strict=True):
            replayer.make(self.cut, image if directory is None else directory / image.name)


def _is_cut_again(cut: Cut, history: History) -> bool:
    in_use = bool(history.happened("session.opened", cut.position))
    return in_use and random.Random(f"{cut.seed}/again").random() < SECOND_CUT_SHARE


def _cut_again(options: Options, state: _State, root: Path, log: Path) -> _State:
    """Lets the daemon live on from a state, and cuts that life as well."""
    directory = root / "second"
    shutil.rmtree(directory, ignore_errors=True)
    places = _places(root, options.layout)
    history = second_life(options.binary, directory, state.images, places, log, state.history, state.cut)
    record = Record(directory)
    chance = random.Random(f"{state.cut.seed}/second")
    started, first_change, *_ = [position for position in history.acknowledgements() if position > 0]
    # Half of them while the daemon repairs, or writes for the first time behind what it found.
    repairing = chance.random() < 0.5
    position = chance.randint(*(started, first_change) if repairing else (0, len(record.entries)))
    cut = replace(state.cut, position=position, seed=state.cut.seed + 1, after=state.cut)
    replayers = [
        Replayer(record, disk, image, directory / f"{image.stem}.base") for disk, image in enumerate(state.images)
    ]
    return _State(cut, history, replayers, state.images)


def _keep(options: Options, state: _State, error: str, log: Path) -> None:
    """Keeps the first failing state as the cut left it; mounting has changed the images meanwhile."""
    try:
        options.artefacts.mkdir(parents=True)
    except FileExistsError:
        return
    state.make(options.artefacts)
    position = state.cut.position
    if log.exists():
        shutil.copy(log, options.artefacts)
    around = [
        asdict(operation)
        for operation in state.history.operations
        if operation.may_have_happened(position) and not operation.has_happened(position - 50)
    ]
    report = {"error": error, "cut": asdict(state.cut), "seed": options.seed, "operations_around": around}
    (options.artefacts / "report.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    sys.exit(main())
