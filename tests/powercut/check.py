"""Checks one crash state with the real daemon: everything acknowledged is there, and nothing half-done shows."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
from http import HTTPStatus
from pathlib import Path
from typing import Any

from powercut import linux
from powercut.cofferd import Cofferd, Places, Reply, Unexpected
from powercut.history import History
from powercut.journal import Cut
from powercut.workload import ADMIN, FIRST_PASSWORD

# What the audit must know; our names for these are the audit's.
AUDITED = ("folder.created", "file.stored", "file.deleted")


def check(binary: Path, images: dict[Path, Path], places: Places, log: Path, history: History, cut: Cut) -> None:
    """Raises what is wrong. `images` maps mount points to the disks that the cut left."""
    mounted: list[Path] = []
    daemon: Cofferd | None = None
    try:
        for directory, image in images.items():
            linux.mount_image(image, directory)
            mounted.append(directory)
        daemon = Cofferd(binary, places, log)
        _Check(daemon, places, history, cut).everything()
        daemon.stop()
        _check_at_rest(places, history)
    finally:
        if daemon is not None:
            daemon.kill()
        for directory in reversed(mounted):
            linux.unmount_when_free(directory)
    for directory, image in images.items():
        report = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True)
        if report.returncode != 0:
            raise Unexpected(f"e2fsck of {directory.name}: {report.stdout[-400:]}")


class _Check:
    def __init__(self, daemon: Cofferd, places: Places, history: History, cut: Cut) -> None:
        self._owner = daemon.client()
        self._user = daemon.client()
        self._places = places
        self._history = history
        self._position = cut.position
        # Unlocking takes a second, so each state is unlocked in one way: every fourth with the recovery key.
        self._by_recovery_key = cut.seed % 4 == 0

    def everything(self) -> None:
        self._the_box_is_the_same()
        self._open_the_vault()
        self._be_logged_in()
        folders = self._folders()
        self._files([None, folders.get("inbox")])
        self._audit()
        self._still_works()
        self._owner.call("POST", "/vault/lock", {}).expect(HTTPStatus.OK, "locking")

    def _the_box_is_the_same(self) -> None:
        device_id = self._health()["device_id"]
        for known in self._history.happened("first_boot", self._position):
            if known.result != device_id:
                raise Unexpected(f"the box is {device_id} and was {known.result}")

    def _open_the_vault(self) -> None:
        """Makes the vault where none was acknowledged."""
        state = self._health()["vault"]
        if state == "absent" and not self._history.happened("vault.created", self._position):
            self._create().expect(HTTPStatus.CREATED, "creating the vault again")
        elif state == "locked":
            self._outlive_a_stale_stick()
            self._owner.unlock(self._history.possible_secrets(self._position, self._by_recovery_key))
        else:
            raise Unexpected(f"the vault is {state}")
        for left in (self._places.creation_mark, self._places.staged_key_file):
            if left.exists():
                raise Unexpected(f"the finished creation left {left.name}")

    def _create(self) -> Reply:
        return self._owner.call("POST", "/vault", {"master_password": FIRST_PASSWORD, "admin": ADMIN})

    def _outlive_a_stale_stick(self) -> None:
        """Attaches the stick of the interrupted creation in place of the genuine one, and claims the box again."""
        away = self._places.secrets.with_name("away")
        self._places.secrets.rename(away)
        self._places.secrets.mkdir()
        self._places.staged_key_file.write_bytes(self._history.stale_key_file)
        self._create().expect(HTTPStatus.CONFLICT, "creating a vault in place of one whose key is away")
        self._places.staged_key_file.unlink()
        self._places.secrets.rmdir()
        away.rename(self._places.secrets)

    def _be_logged_in(self) -> None:
        sessions = self._history.happened("session.opened", self._position)
        if sessions:
            self._user.token = sessions[-1].result
        else:
            reply = self._user.call("POST", "/sessions", ADMIN).expect(HTTPStatus.CREATED, "logging in")
            self._user.token = reply.json()["access_token"]
        self._user.call("GET", "/sessions").expect(HTTPStatus.OK, "using the session")

    def _folders(self) -> dict[str, str]:
        """Checks the folders, and returns the ids of those in the root by name."""
        roots = {folder["name"]: folder["id"] for folder in self._user.list_all("/folders")}
        there = set(roots.values())
        if "many" in roots:
            there |= {folder["id"] for folder in self._user.list_all("/folders", parent_id=roots["many"])}
        for operation in self._history.happened("folder.created", self._position):
            if operation.result not in there:
                raise Unexpected(f"the acknowledged folder {operation.detail['name']} is gone")
        return roots

    def _files(self, folders: list[str | None]) -> None:
        listed: dict[str, dict[str, Any]] = {}
        for folder in dict.fromkeys(folders):
            listed.update({file["name"]: file for file in self._user.list_all("/files", folder_id=folder)})
        deleted = {op.detail["name"] for op in self._history.happened("file.deleted", self._position)}
        deleting = {
            op.detail["name"] for op in self._history.of("file.deleted") if op.may_have_happened(self._position)
        }
        stored = {op.detail["name"]: op for op in self._history.of("file.stored")}
        for name, operation in stored.items():
            if operation.has_happened(self._position) and name not in deleting and name not in listed:
                raise Unexpected(f"the acknowledged file {name} of {operation.detail['size']} bytes is gone")
        for name, file in listed.items():
            if name in deleted:
                raise Unexpected(f"the deleted file {name} is back")
            if name not in stored or not stored[name].may_have_happened(self._position):
                raise Unexpected(f"the file {name} was not even begun")
            self._download(file, stored[name].detail["sha256"])

    def _download(self, file: dict[str, Any], sha256: str) -> None:
        reply = self._user.call("GET", f"/files/{file['id']}/content")
        reply.expect(HTTPStatus.OK, f"downloading {file['name']}")
        found = hashlib.sha256(reply.body).hexdigest()
        if not found == file["sha256"] == sha256:
            raise Unexpected(f"{file['name']} hashes to {found}; listed {file['sha256']}, sent {sha256}")

    def _audit(self) -> None:
        entries = {(entry["action"], entry["subject_id"]) for entry in self._user.list_all("/audit")}
        for action in AUDITED:
            for operation in self._history.happened(action, self._position):
                if (action, operation.result) not in entries:
                    raise Unexpected(f"the audit does not know {action} of {operation.detail['name']}")

    def _still_works(self) -> None:
        """The store takes more after what happened to it."""
        body = {"name": "after the cut", "parent_id": None}
        folder = self._user.call("POST", "/folders", body).expect(HTTPStatus.CREATED, "creating a folder").json()["id"]
        content = b"after the cut"
        reply = self._user.call("POST", "/files", content, name="after.bin", folder_id=folder)
        file = reply.expect(HTTPStatus.CREATED, "uploading after the cut").json()
        self._download(file, hashlib.sha256(content).hexdigest())

    def _health(self) -> dict[str, Any]:
        health: dict[str, Any] = self._owner.call("GET", "/health").expect(HTTPStatus.OK, "asking for health").json()
        return health


def _check_at_rest(places: Places, history: History) -> None:
    """Reads the locked vault without our programs: the database is whole, and each row has its bytes."""
    mount_point = places.run / "at-rest"
    mount_point.mkdir(exist_ok=True)
    command: list[str | Path] = ["gocryptfs", "-q", "-ro", places.cipher, mount_point]
    mounted = subprocess.run(command, input=f"{history.passphrase}\n", capture_output=True, text=True)
    if mounted.returncode == 12:
        # Wrong passphrase: this vault was made by the check, after a cut before the recorded one existed.
        return
    if mounted.returncode != 0:
        raise Unexpected(f"gocryptfs does not mount the locked vault: {mounted.stderr[-300:]}")
    try:
        if (mount_point / "coffer.db-wal").exists():
            raise Unexpected("locking left the database's log behind")
        database = sqlite3.connect(f"file:{mount_point}/coffer.db?immutable=1", uri=True)
        try:
            for pragma in ("integrity_check", "foreign_key_check"):
                rows = [row[0] for row in database.execute(f"PRAGMA {pragma}") if row[0] != "ok"]
                if rows:
                    raise Unexpected(f"{pragma}: {rows[:3]}")
            for blob, size in database.execute("SELECT blob_id, size_bytes FROM contents"):
                if (mount_point / "blobs" / blob[:2] / blob).stat().st_size != size:
                    raise Unexpected(f"the content {blob} has another length than its row says")
        finally:
            database.close()
    finally:
        linux.unmount(mount_point)
