"""The slot logic, on folders that stand for the card and the firmware; with a power cut around every write of it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from image.checks import PATH, PROJECT

_SLOT = PROJECT / "systemd/libexec/coffer-slot"
_GATE = PROJECT / "systemd/libexec/coffer-slot-good"
# Every way in which the scripts change a disk. The wrapper counts calls in a file, and pulls the plug of everybody.
_CUT = """#!/bin/sh
count=$(($(cat "$CUT_COUNT") + 1))
echo "$count" >"$CUT_COUNT"
if [ "$CUT_AT" = "$count-before" ]; then
    # What was not synced is lost.
    for file; do if [ {program} = /bin/sync ] && [ -f "$file" ]; then : >"$file"; fi; done
    kill -9 0
fi
{program} "$@" || exit
if [ "$CUT_AT" = "$count-after" ]; then kill -9 0; fi
"""
_HEALTHY = (
    '{"status":"ok","version":"0","vault":"locked","key_file":"present","lockdown":false,'
    '"storage_present":true,"watchdog_alive":true,"tunnel":"connected","problems":[]}'
)


def checks() -> Iterator[tuple[str, Callable[[], None]]]:
    yield "an update is tried, proves itself and stays", an_update_proves_itself
    yield "a trial that ends is followed by the proved slot", a_failed_trial_falls_back
    yield "one power cut does not condemn a slot, two starts without a verdict do", a_trial_is_begun_again_once
    yield "a slot that panics before it can count is given up", a_slot_that_never_counts_is_given_up
    yield "a slot that does not run cannot be good", a_slot_that_does_not_run_cannot_be_good
    yield "the proved slot is not given up", the_proved_slot_is_not_given_up
    yield "the slot that starts is not written to", the_slot_that_starts_is_not_written_to
    yield "taking an update back", taking_back
    yield "the firmware's word goes before the command line's", the_firmware_goes_first
    yield "nonsense is refused", nonsense_is_refused
    for name, prepare, words in _OPERATIONS:
        yield f"a power cut after any write of {name}", partial(cut_after_every_write, prepare, words)
    yield "the gate lets a healthy slot start from then on", the_gate_passes_what_is_healthy
    for what, document in _AILMENTS.items():
        yield f"the gate sends back a slot where {what}", partial(the_gate_sends_back, document)
    yield "the gate sends back a slot whose clock is older than its image", the_gate_looks_at_the_clock
    yield "the gate holds against a slot only what was well before", the_gate_compares
    yield "the gate begins a trial again that was cut off", the_gate_begins_again


class _Box:
    """A box whose slot A has proved itself. Restarting it does what the firmware would."""

    def __init__(self, scratch: str) -> None:
        self.root = Path(scratch)
        self.state, self.selector = self.root / "state", self.root / "selector"
        self.firmware, self.programs = self.root / "firmware", self.root / "programs"
        self.reports = self.root / "reports"
        for folder in (self.state, self.selector, self.firmware, self.programs, self.reports):
            folder.mkdir()
        source = PROJECT / "buildroot/board/coffer/common/autoboot.txt"
        (self.selector / "autoboot.txt").write_bytes(source.read_bytes())
        (self.root / "cmdline").write_text("root=/dev/dm-0 quiet\n")
        self.argument = self.root / "run/reboot-param"
        self.runs("A")
        assert self.call("set-state", "A", "good").returncode == 0

    def runs(self, slot: str) -> None:
        (self.firmware / "partition").write_bytes({"A": 2, "B": 3}[slot].to_bytes(4, "big"))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.programs}:{PATH}", "COFFER_SLOT_STATE": str(self.state), "COFFER_SLOT_DEVICE": "",
            "COFFER_SLOT_SELECTOR": str(self.selector), "COFFER_SLOT_FIRMWARE": str(self.firmware),
            "COFFER_SLOT_CMDLINE": str(self.root / "cmdline"), "COFFER_SLOT_REBOOT": str(self.argument),
            "COFFER_SLOT": str(_SLOT), "COFFER_SLOT_REPORTS": str(self.reports),
        }  # fmt: skip

    def call(self, *words: str, cut: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, "CUT_AT": cut, "CUT_COUNT": str(self.root / "count")}
        (self.root / "count").write_text("0")
        return subprocess.run(
            [_SLOT, *words], env=environment, text=True, capture_output=True, check=False, start_new_session=True
        )

    def says(self, *words: str) -> str:
        done = self.call(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def restart(self) -> str:
        """As the firmware starts it: on trial when it was told to, once; the argument does not outlive a power cut."""
        lines = (self.selector / "autoboot.txt").read_text().splitlines()
        assert lines[0] == "[all]" and lines[1] == "tryboot_a_b=1" and lines[3] == "[tryboot]", lines
        numbers = [line.removeprefix("boot_partition=") for line in (lines[2], lines[4])]
        assert sorted(numbers) == ["2", "3"], lines
        slot = {"2": "A", "3": "B"}[numbers[1 if self.argument.exists() else 0]]
        self.argument.unlink(missing_ok=True)
        self.runs(slot)
        return slot

    def cut_power(self) -> str:
        self.argument.unlink(missing_ok=True)
        return self.restart()

    def look(self) -> tuple[str, str, str, str, list[str]]:
        a, b = (self.says("get-state", slot) for slot in "AB")
        files = sorted(path.name for path in self.state.iterdir() if path.suffix != ".new")
        return self.says("get-primary"), self.says("get-current"), a, b, files

    def updated(self) -> None:
        """What RAUC calls around writing the other slot."""
        self.says("set-state", "B", "bad")
        self.says("set-primary", "B")

    def program(self, name: str, script: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)


def _with_box(check: Callable[[_Box], None]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        check(_Box(scratch))


def an_update_proves_itself() -> None:
    def check(box: _Box) -> None:
        assert box.look() == ("A", "A", "good", "bad", ["good.A"]), box.look()
        box.updated()
        # Not before it has proved itself.
        assert box.says("get-primary") == "A" and box.says("get-state", "B") == "bad"
        assert box.argument.read_text() == "0 tryboot\n"
        assert box.restart() == "B" and box.says("get-primary") == "A"
        box.says("began")
        box.says("set-state", "B", "good")
        box.says("set-state", "B", "good")
        assert box.look() == ("B", "B", "good", "good", ["good.A", "good.B"]), box.look()
        assert box.restart() == "B" and box.says("resume") == ""
        # The way back is the same way.
        box.says("set-state", "A", "bad")
        box.says("set-primary", "A")
        assert box.restart() == "A"
        box.says("set-state", "A", "good")
        assert box.restart() == "A" and box.says("get-primary") == "A"

    _with_box(check)


def a_failed_trial_falls_back() -> None:
    def check(box: _Box) -> None:
        box.updated()
        assert box.restart() == "B"
        box.says("began")
        box.says("give-up")
        assert box.restart() == "A" and box.says("resume") == ""
        assert box.look() == ("A", "A", "good", "bad", ["good.A"]), box.look()

    _with_box(check)


def a_trial_is_begun_again_once() -> None:
    def check(box: _Box) -> None:
        box.updated()
        assert box.cut_power() == "A"
        assert box.says("resume") == "restart"
        assert box.restart() == "B"
        box.says("began")
        assert box.cut_power() == "A"
        assert box.says("resume") == "restart"
        assert box.restart() == "B"
        box.says("began")
        assert box.cut_power() == "A"
        assert box.says("resume") == "" and not box.argument.exists()
        assert box.look() == ("A", "A", "good", "bad", ["good.A"]), box.look()

    _with_box(check)


def a_slot_that_never_counts_is_given_up() -> None:
    def check(box: _Box) -> None:
        box.updated()
        assert box.restart() == "B"
        starts = 1
        while box.cut_power() == "A" and box.says("resume") == "restart":
            assert box.restart() == "B"
            starts += 1
            assert starts < 10, "without an end"
        assert starts == 3
        assert box.look() == ("A", "A", "good", "bad", ["good.A"]) and not box.argument.exists(), box.look()

    _with_box(check)


def a_slot_that_does_not_run_cannot_be_good() -> None:
    def check(box: _Box) -> None:
        box.updated()
        before = box.look()
        assert box.call("set-state", "B", "good").returncode == 1
        assert box.look() == before

    _with_box(check)


def the_proved_slot_is_not_given_up() -> None:
    def check(box: _Box) -> None:
        before = box.look()
        assert box.call("give-up").returncode == 1
        assert box.look() == before

    _with_box(check)


def the_slot_that_starts_is_not_written_to() -> None:
    def check(box: _Box) -> None:
        _on_trial(box)
        before = box.look()
        # What RAUC says before it writes: it does not know of trials.
        assert box.call("set-state", "A", "bad").returncode == 1
        assert box.look() == before

    _with_box(check)


def taking_back() -> None:
    def check(box: _Box) -> None:
        box.updated()
        box.says("set-primary", "A")
        assert box.restart() == "A" and box.says("resume") == ""

    _with_box(check)


def the_firmware_goes_first() -> None:
    def check(box: _Box) -> None:
        (box.root / "cmdline").write_text("rauc.slot=B quiet\n")
        assert box.says("get-current") == "A"
        (box.firmware / "partition").unlink()
        assert box.says("get-current") == "B"
        (box.root / "cmdline").write_text("notrauc.slot=A rauc.slot=C quiet\n")
        assert box.call("get-current").returncode == 1

    _with_box(check)


def nonsense_is_refused() -> None:
    def check(box: _Box) -> None:
        before = box.look()
        for words in (
            (),
            ("get-state",),
            ("get-state", "C"),
            ("set-primary", "../x"),
            ("set-state", "A", "fine"),
            ("boot",),
        ):
            assert box.call(*words).returncode == 1, words
        assert box.look() == before
        (box.selector / "autoboot.txt").write_text("[all]\nboot_partition=7\n")
        assert box.call("get-primary").returncode == 1
        assert box.call("set-primary", "B").returncode == 1

    _with_box(check)


def _idle(_: _Box) -> None:
    pass


def _downloaded(box: _Box) -> None:
    box.says("set-state", "B", "bad")


def _waiting(box: _Box) -> None:
    box.updated()


def _on_trial(box: _Box) -> None:
    box.updated()
    assert box.restart() == "B"


def _never_tried(box: _Box) -> None:
    box.updated()
    assert box.cut_power() == "A"


def _tried_twice(box: _Box) -> None:
    _on_trial(box)
    box.says("began")
    assert box.cut_power() == "A" and box.says("resume") == "restart"
    assert box.restart() == "B"
    box.says("began")
    assert box.cut_power() == "A"


_OPERATIONS: Sequence[tuple[str, Callable[[_Box], None], tuple[str, ...]]] = (
    ("set-primary of the new slot", _downloaded, ("set-primary", "B")),
    ("set-primary of the old slot", _waiting, ("set-primary", "A")),
    ("set-state bad before writing", _waiting, ("set-state", "B", "bad")),
    ("set-state good on trial", _on_trial, ("set-state", "B", "good")),
    ("set-state good again", _idle, ("set-state", "A", "good")),
    ("began", _on_trial, ("began",)),
    ("give-up", _on_trial, ("give-up",)),
    ("resume that begins again", _never_tried, ("resume",)),
    ("resume that gives up", _tried_twice, ("resume",)),
)


def cut_after_every_write(prepare: Callable[[_Box], None], words: tuple[str, ...]) -> None:
    """The box starts whatever was written by then, in a slot that proved itself; repeating the operation ends it."""
    with tempfile.TemporaryDirectory() as scratch:
        uncut = _Box(scratch)
        _wrap(uncut)
        prepare(uncut)
        before = uncut.look()
        uncut.says(*words)
        writes, after = int((uncut.root / "count").read_text()), uncut.look()
    assert writes > 0
    for moment in [f"{number}-{when}" for number in range(1, writes + 1) for when in ("before", "after")]:
        with tempfile.TemporaryDirectory() as scratch:
            box = _Box(scratch)
            _wrap(box)
            prepare(box)
            running = box.says("get-current")
            assert box.call(*words, cut=moment).returncode == -9, f"{moment}: was not cut"
            assert box.says("get-current") == running
            primary = box.says("get-primary")
            assert primary in (before[0], after[0]), f"{moment}: primary is {primary}"
            started = box.cut_power()
            assert started == primary, f"{moment}: {started} started"
            # Either it had proved itself before, or it runs because it just did.
            assert box.says("get-state", started) == "good" or words == ("set-state", started, "good"), moment
            box.runs(running)
            box.says(*words)
            if words != ("began",):
                assert box.look() == after, f"{moment}: {box.look()}, not {after}"


def _wrap(box: _Box) -> None:
    for name in ("sync", "mv", "rm"):
        box.program(name, _CUT.format(program=f"/bin/{name}").removeprefix("#!/bin/sh\n"))
    (box.root / "count").write_text("0")


# The gate, with a daemon and a systemd that say what the test wants.


def _gate(
    box: _Box,
    document: str,
    *,
    limit_s: int = 1,
    healthy_s: int = 0,
    image_time_s: int = 1,
    cut_off: bool = False,
) -> tuple[int, bool, str]:
    """Status, whether it restarted the box, and what it said."""
    (box.root / "health").write_text(document)
    box.program("cofferd", f"cat {box.root / 'health'}")
    restarted = box.root / "restarted"
    restarted.unlink(missing_ok=True)
    box.program("systemctl", f'if [ "$1" = reboot ]; then touch {restarted}; else echo 6f1d; fi')
    (box.root / "os-release").touch()
    os.utime(box.root / "os-release", (image_time_s, image_time_s))
    environment = {
        **box.environment, "COFFER_SLOT_HEALTHY_S": str(healthy_s), "COFFER_SLOT_LIMIT_S": str(limit_s),
        "COFFER_SLOT_PAUSE_S": "0.2", "COFFER_SLOT_IMAGE_FILE": str(box.root / "os-release"),
    }  # fmt: skip
    if cut_off:
        box.program("cofferd", "kill -9 0")
    done = subprocess.run([_GATE], env=environment, text=True, capture_output=True, check=False, start_new_session=True)
    return done.returncode, restarted.exists(), done.stderr


def the_gate_passes_what_is_healthy() -> None:
    def check(box: _Box) -> None:
        _on_trial(box)
        status, restarted, said = _gate(box, _HEALTHY)
        assert (status, restarted) == (0, False), said
        assert box.look()[:4] == ("B", "B", "good", "good"), box.look()
        assert (box.reports / "slot").read_text() == "B proved\n"
        assert (box.reports / "slot").stat().st_mode & 0o777 == 0o644
        # Also without anything to decide, and for some time.
        assert _gate(box, _HEALTHY, healthy_s=1, limit_s=20)[:2] == (0, False)

    _with_box(check)


_AILMENTS = {
    "the daemon does not answer": "",
    "the vault is not in order": _HEALTHY.replace('"locked"', '"locking"'),
    "the key file is damaged": _HEALTHY.replace('"present"', '"corrupt"'),
    "the watch has stopped": _HEALTHY.replace('"watchdog_alive":true', '"watchdog_alive":false'),
    "the drive is gone": _HEALTHY.replace('"storage_present":true', '"storage_present":false'),
    "the tunnel is down": _HEALTHY.replace('"connected"', '"disconnected"'),
}


def the_gate_sends_back(document: str) -> None:
    def check(box: _Box) -> None:
        # As the proved slot was.
        assert _gate(box, _HEALTHY)[0] == 0
        _on_trial(box)
        status, restarted, said = _gate(box, document)
        assert (status, restarted) == (0, True), said
        assert "not healthy" in said, said
        assert (box.reports / "slot").read_text() == "B trial\n"
        assert box.restart() == "A"
        # And there it is not begun again.
        status, restarted, said = _gate(box, _HEALTHY)
        assert (status, restarted) == (0, False), said
        assert box.look()[:4] == ("A", "A", "good", "bad"), box.look()

    _with_box(check)


def the_gate_looks_at_the_clock() -> None:
    def check(box: _Box) -> None:
        _on_trial(box)
        status, restarted, said = _gate(box, _HEALTHY, image_time_s=2**32)
        assert (status, restarted) == (0, True) and "clock" in said, said

    _with_box(check)


def the_gate_compares() -> None:
    def check(box: _Box) -> None:
        poor = _HEALTHY.replace('"storage_present":true', '"storage_present":false').replace('"connected"', '"none"')
        (box.state / "before").write_text(poor)
        _on_trial(box)
        status, restarted, said = _gate(box, poor)
        assert (status, restarted) == (0, False), said
        assert box.says("get-primary") == "B"

    _with_box(check)


def the_gate_begins_again() -> None:
    def check(box: _Box) -> None:
        _on_trial(box)
        for again in (True, False):
            # The gate alone counts; it is cut off while it waits.
            _gate(box, "", limit_s=0, cut_off=True)
            assert box.cut_power() == "A"
            status, restarted, said = _gate(box, _HEALTHY)
            assert (status, restarted) == (0, again) and ("begins again" in said) == again, said
            # The daemon takes what is told here for the end of the trial.
            assert (box.reports / "slot").read_text() == ("B trial\n" if again else "A proved\n")
            assert box.restart() == ("B" if again else "A")

    _with_box(check)
