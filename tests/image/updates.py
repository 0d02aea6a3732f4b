"""How an update is installed: the program that speaks with RAUC, and a bus that says what the test wants."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from image.checks import PATH, PROJECT

_UPDATE = PROJECT / "systemd/libexec/coffer-update"
_ID = "01890000-0000-7000-8000-000000000001"
# Answers as busctl does: INFO, BEGUN and LAST_ERROR are what it says, in files; OPERATIONS one line for each time it is asked.
_BUS = r"""#!/bin/sh
echo "$*" >>"$BUS/asked"
answer() { cat "$BUS/$1"; ! grep -q '^Call failed' "$BUS/$1"; }
case "$*" in
*'Installer Info '*) answer info ;;
*'Installer InstallBundle '*) answer begun ;;
*' Operation')
    head -n 1 "$BUS/operations"
    sed -i 1d "$BUS/operations"
    ;;
*' Progress') echo '(isi) 40 "Copying image to root.1" 2' ;;
*' LastError') answer last_error ;;
esac
"""
# Every report that was ever there, and whether the wish was there still.
_MV = r"""#!/bin/sh
printf '%s %s\n' "$([ -e "$COFFER_UPDATE_WISH" ] && echo asked || echo taken)" "$(cut -d ' ' -f 2- "$1")" >>"$BUS/told"
/bin/mv "$@"
"""


def checks() -> Iterator[tuple[str, Callable[[], None]]]:
    yield "an update is installed, and told of at each step", an_update_is_installed
    yield "a bundle that RAUC refuses is refused", a_refused_bundle
    yield "a bundle that is not the announced one is refused", another_version
    yield "what goes wrong while a slot is written is told", failures
    yield "nothing is installed while a slot is on trial", nothing_on_trial
    yield "an installation that ends without a word has failed", an_end_without_a_word
    yield "a wish that is none is taken away", no_wish


class _System:
    """The folders, and a bus on which RAUC installs 0.2.0."""

    def __init__(self, scratch: str) -> None:
        self.root = Path(scratch)
        self.wish, self.reports, self.bus = self.root / "install", self.root / "reports", self.root / "bus"
        programs = self.root / "programs"
        for folder in (self.reports, self.bus, programs):
            folder.mkdir()
        for name, script in (("busctl", _BUS), ("mv", _MV), ("sleep", "#!/bin/sh\n")):
            (programs / name).write_text(script)
            (programs / name).chmod(0o755)
        self.says("info", 'ss "coffer-rpi5" "0.2.0"')
        self.says("begun", "")
        self.says("operations", 's "installing"\ns "idle"')
        self.says("last_error", 's ""')
        (self.reports / "slot").write_text("A proved\n")
        self.wish.write_text(_ID)
        self.environment = {
            "PATH": f"{programs}:{PATH}", "BUS": str(self.bus), "COFFER_UPDATE_WISH": str(self.wish),
            "COFFER_UPDATE_REPORTS": str(self.reports), "COFFER_UPDATE_BUNDLE": "/b.raucb",
        }  # fmt: skip

    def says(self, what: str, line: str) -> None:
        (self.bus / what).write_text(line + "\n")

    def run(self, *words: str) -> int:
        done = subprocess.run([_UPDATE, *words], env=self.environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0 or "coffer-update:" in done.stderr, done.stderr
        return done.returncode

    def report(self) -> str:
        named, _, words = (self.reports / "install").read_text().partition(" ")
        assert named == _ID, named
        return words.rstrip("\n")

    def asked(self) -> str:
        path = self.bus / "asked"
        return path.read_text() if path.exists() else ""


def _with_system(check: Callable[[_System], None]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        check(_System(scratch))


def an_update_is_installed() -> None:
    def check(system: _System) -> None:
        system.wish.write_text(f"{_ID} 0.2.0\n")
        assert system.run() == 0
        told = (system.bus / "told").read_text().splitlines()
        assert told == [
            "asked installing 0",
            "taken installing 0 0.2.0",
            "taken installing 40 0.2.0",
            "taken installed 0.2.0",
        ], told
        assert "InstallBundle sa{sv} /b.raucb 0" in system.asked()
        assert not os.path.lexists(system.wish)
        # What has ended is left as it is.
        assert system.run("ended") == 0 and system.report() == "installed 0.2.0"

    _with_system(check)


def a_refused_bundle() -> None:
    def check(system: _System) -> None:
        system.says("info", "Call failed: signature verification failed: self-signed `certificate`\n")
        assert system.run() == 0
        assert system.report() == "refused signature verification failed: self-signed certificate", system.report()
        assert "InstallBundle" not in system.asked()
        system.wish.write_text(_ID)
        system.says("info", "Call failed: already processing a different method")
        assert system.run() == 0 and system.report() == "failed already processing a different method"
        system.wish.write_text(_ID)
        system.says("info", 'ss "coffer-rpi5" ""')
        assert system.run() == 0 and system.report() == "refused the bundle has no version"
        assert "InstallBundle" not in system.asked()

    _with_system(check)


def another_version() -> None:
    def check(system: _System) -> None:
        system.wish.write_text(f"{_ID} 0.3.0")
        assert system.run() == 0
        assert system.report().startswith("refused the bundle has the version 0.2.0"), system.report()
        assert "InstallBundle" not in system.asked()

    _with_system(check)


def failures() -> None:
    def check(system: _System) -> None:
        for answer, word in (
            ('s "Failed updating slot root.1: No space left on device"', "failed"),
            ('s "Compatible mismatch: Expected \'coffer-rpi5\' but bundle manifest has \'coffer-qemu\'"', "refused"),
            ('s "signature verification failed"', "refused"),
        ):
            system.says("last_error", answer)
            system.says("operations", 's "idle"')
            system.wish.write_text(_ID)
            assert system.run() == 0
            assert system.report().startswith(f"{word} "), system.report()
        system.says("begun", "Call failed: already processing a different method")
        system.wish.write_text(_ID)
        assert system.run() == 0 and system.report() == "failed already processing a different method"

    _with_system(check)


def nothing_on_trial() -> None:
    def check(system: _System) -> None:
        (system.reports / "slot").write_text("B trial\n")
        assert system.run() == 0
        assert system.report() == "failed the image that runs has not proved itself yet"
        assert not system.asked()

    _with_system(check)


def an_end_without_a_word() -> None:
    def check(system: _System) -> None:
        assert system.run("ended") == 0, "before there was anything"
        (system.reports / "install").write_text(f"{_ID} installing 40 0.2.0\n")
        assert system.run("ended") == 0
        assert system.report() == "failed the installation ended before it was done"

    _with_system(check)


def no_wish() -> None:
    def check(system: _System) -> None:
        for wish in ("", "\n", "../../etc 0.2.0", "$(reboot)", "A1"):
            system.wish.write_text(wish)
            assert system.run() == 1
            assert not os.path.lexists(system.wish), wish
            assert not (system.reports / "install").exists(), wish
        assert not system.asked()

    _with_system(check)
