"""The life that is recorded: a vault is made, used by several callers at once, locked, killed and used again.

Interrupted on purpose in the two places where a start differs from an orderly one: in the middle of the creation, and
in the middle of the work.
"""

from __future__ import annotations

import hashlib
import http.client
import random
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from powercut.cofferd import Cofferd, Places, Unexpected, wait_for
from powercut.history import History, Witness
from powercut.journal import Position

FIRST_PASSWORD = "violet kettle orbit"
PASSWORDS = [FIRST_PASSWORD, "copper lantern mosaic", "granite willow beacon"]
ADMIN = {"username": "ada_", "password": "amber canoe thirteen"}

MIB = 1024 * 1024
SIZES = [0, 1, 17, 4095, 4096, 4097, 8192, 70_000, 131_072, MIB - 1, MIB, MIB + 1, 3 * MIB + 12_345]

# A commit takes seven or eight pages of SQLite's log, which is copied to the database after a thousand: with this many
# that happens twice in each of the five parts of the story.
FOLDERS_PER_PART = 260
FILES_PER_CALLER = len(SIZES)
CALLERS = 3
FOLDERS_AFTER_CUT = 5


def content(seed: str, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def run(binary: Path, places: Places, position: Position, log: Path, seed: int) -> History:
    """Lives the whole life, and leaves a killed daemon behind."""
    return _Life(binary, places, position, log, seed).live()


def go_on(binary: Path, places: Places, position: Position, log: Path, history: History, seed: int) -> History:
    """Lives on a little after a cut, and leaves a killed daemon behind."""
    return _Life(binary, places, position, log, seed, history).go_on()


class _Life:
    def __init__(
        self, binary: Path, places: Places, position: Position, log: Path, seed: int, history: History | None = None
    ) -> None:
        self._binary = binary
        self._places = places
        self._log = log
        self._seed = seed
        self._witness = Witness(position, history)
        self._daemon = self._first_start()
        self._owner = self._daemon.client()
        self._user = self._daemon.client()
        self._stored: list[tuple[str, str]] = []

    def live(self) -> History:
        self._begin_a_vault_that_is_never_finished()
        self._create()
        self._log_in()
        folders = [self._make_folder("inbox", None), self._make_folder("many", None)]
        self._together(self._callers("a", folders), self._change_master_password)
        self._lock_and_unlock()
        self._together(self._callers("b", folders), self._delete_every_other_file)
        self._be_killed_in_the_middle(self._callers("c", folders))
        self._restart()
        self._unlock()
        self._together(self._callers("d", folders), self._change_master_password, self._replace_recovery_key)
        self._be_killed_in_the_middle(self._callers("e", folders))
        return self._witness.history

    def go_on(self) -> History:
        history = self._witness.history
        try:
            self._owner.unlock(history.possible_secrets(0))
            self._user.token = history.happened("session.opened", 0)[-1].result
            for number in range(FOLDERS_AFTER_CUT):
                self._make_folder(f"again-{number}", None)
            for number, size in enumerate([0, 4097, 70_000]):
                self._store(f"again-{number}.bin", None, size)
        finally:
            self._daemon.kill()
        return history

    def _first_start(self) -> Cofferd:
        with self._witness.watch("first_boot") as acknowledge:
            daemon = Cofferd(self._binary, self._places, self._log)
            acknowledge(daemon.client().call("GET", "/health").json()["device_id"])
        return daemon

    def _restart(self) -> None:
        self._daemon = Cofferd(self._binary, self._places, self._log)
        self._owner = self._daemon.client()
        token = self._user.token
        self._user = self._daemon.client()
        self._user.token = token

    def _begin_a_vault_that_is_never_finished(self) -> None:
        """Leaves what a cut between the two renames of a creation leaves, which the next creation clears away."""
        attempt = threading.Thread(target=_until_the_connection_ends, args=(self._request_vault,))
        attempt.start()
        staged = self._places.cipher.with_name("cipher.creating")
        configuration = staged / "gocryptfs.conf"
        wait_for("cipher directory in the making", lambda: configuration.exists() and configuration.stat().st_size > 0)
        self._daemon.kill()
        attempt.join()
        if (self._places.secrets / "vault.keys").exists():
            raise Unexpected("the vault was finished before it could be interrupted")
        self._witness.history.stale_key_file = self._places.staged_key_file.read_bytes()
        staged.rename(self._places.cipher)
        subprocess.run(["sync", "-f", self._places.cipher], check=True)
        self._restart()

    def _request_vault(self) -> Any:
        body = {"master_password": FIRST_PASSWORD, "admin": ADMIN}
        return self._owner.call("POST", "/vault", body).expect(HTTPStatus.CREATED, "creating the vault").json()

    def _create(self) -> None:
        with self._witness.watch("vault.created", password=FIRST_PASSWORD) as acknowledge:
            self._recovery_key: str = self._request_vault()["recovery_key"]
            acknowledge(self._recovery_key)
        command: list[str | Path] = [self._binary, "passphrase", "--secrets", self._places.secrets]
        output = subprocess.run(command, input=FIRST_PASSWORD, check=True, capture_output=True, text=True).stdout
        self._witness.history.passphrase = output.strip()

    def _log_in(self) -> None:
        with self._witness.watch("session.opened") as acknowledge:
            reply = self._user.call("POST", "/sessions", ADMIN).expect(HTTPStatus.CREATED, "logging in")
            self._user.token = reply.json()["access_token"]
            acknowledge(self._user.token)

    def _make_folder(self, name: str, parent: str | None) -> str:
        with self._witness.watch("folder.created", name=name, parent=parent) as acknowledge:
            reply = self._user.call("POST", "/folders", {"name": name, "parent_id": parent})
            folder: str = reply.expect(HTTPStatus.CREATED, "creating a folder").json()["id"]
            acknowledge(folder)
        return folder

    def _store(self, name: str, folder: str | None, size: int) -> None:
        body = content(f"{self._seed}/{name}", size)
        digest = hashlib.sha256(body).hexdigest()
        with self._witness.watch("file.stored", name=name, folder=folder, sha256=digest, size=size) as acknowledge:
            reply = self._user.call("POST", "/files", body, name=name, folder_id=folder)
            file = reply.expect(HTTPStatus.CREATED, "uploading").json()
            acknowledge(file["id"])
        if file["sha256"] != digest:
            raise Unexpected(f"the daemon hashed {name} to {file['sha256']} instead of {digest}")
        self._stored.append((name, file["id"]))

    def _callers(self, part: str, folders: list[str]) -> list[Callable[[], None]]:
        """Each makes folders and uploads in turns, in an order of its own."""
        inbox, many = folders

        def work(caller: int) -> None:
            chance = random.Random(f"{self._seed}/{part}/{caller}")
            sizes = chance.sample(SIZES, len(SIZES))
            for number in range(FOLDERS_PER_PART // CALLERS):
                self._make_folder(f"{part}{caller}-{number}", many)
                if number % (FOLDERS_PER_PART // CALLERS // FILES_PER_CALLER) == 0 and sizes:
                    self._store(f"{part}{caller}-{number}.bin", chance.choice([None, inbox]), sizes.pop())

        return [partial(work, caller) for caller in range(CALLERS)]

    def _delete_every_other_file(self) -> None:
        for name, file in self._stored[::2]:
            with self._witness.watch("file.deleted", name=name, id=file) as acknowledge:
                self._user.call("DELETE", f"/files/{file}").expect(HTTPStatus.NO_CONTENT, "trashing")
                self._user.call("DELETE", f"/trash/{file}").expect(HTTPStatus.NO_CONTENT, "deleting")
                acknowledge(file)

    def _change_master_password(self) -> None:
        changed = len(list(self._witness.history.of("vault.master_password_changed")))
        old, new = PASSWORDS[changed], PASSWORDS[changed + 1]
        body = {"current_master_password": old, "new_master_password": new}
        with self._witness.watch("vault.master_password_changed", password=new) as acknowledge:
            reply = self._owner.call_in_time("PUT", "/vault/master-password", body)
            reply.expect(HTTPStatus.NO_CONTENT, "changing the master password")
            acknowledge(None)

    def _replace_recovery_key(self) -> None:
        """While the master password changes as well: who comes second waits for its turn, and uses the new one."""
        with self._witness.watch("vault.recovery_key_replaced") as acknowledge:
            reply = self._owner.call_in_time("POST", "/vault/recovery-key", {"master_password": self._password()})
            if reply.status == HTTPStatus.FORBIDDEN:
                reply = self._owner.call_in_time("POST", "/vault/recovery-key", {"master_password": self._password()})
            acknowledge(reply.expect(HTTPStatus.CREATED, "replacing the recovery key").json()["recovery_key"])

    def _password(self) -> str:
        changed = [op for op in self._witness.history.of("vault.master_password_changed") if op.acknowledged]
        return PASSWORDS[len(changed)]

    def _lock_and_unlock(self) -> None:
        self._owner.call("POST", "/vault/lock", {}).expect(HTTPStatus.OK, "locking")
        self._unlock()

    def _unlock(self) -> None:
        reply = self._owner.call_in_time("POST", "/vault/unlock", {"master_password": self._password()})
        reply.expect(HTTPStatus.OK, "unlocking")

    def _be_killed_in_the_middle(self, callers: list[Callable[[], None]]) -> None:
        threads = [threading.Thread(target=_until_the_connection_ends, args=(work,)) for work in callers]
        before = len(self._witness.history.operations)
        for thread in threads:
            thread.start()
        wait_for("work under way", lambda: len(self._witness.history.operations) > before + FOLDERS_PER_PART // 2)
        self._daemon.kill()
        for thread in threads:
            thread.join()

    def _together(self, callers: list[Callable[[], None]], *others: Callable[[], None]) -> None:
        failures: list[BaseException] = []

        def carefully(work: Callable[[], None]) -> None:
            try:
                work()
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=carefully, args=(work,)) for work in [*callers, *others]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


def _until_the_connection_ends(work: Callable[[], Any]) -> None:
    try:
        work()
    except (OSError, http.client.HTTPException):
        # The daemon was killed under it: that was the point.
        return
