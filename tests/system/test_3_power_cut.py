"""The plug is pulled in the middle of an upload: what was acknowledged is there, what was not is not."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator

import owner
from conftest import Box

from harness import disks

_MIB = 1024 * 1024
_SENT = 8 * _MIB


class _CutOff:
    """An upload that stops in the middle and stays open until the power goes."""

    def __init__(self, box: Box) -> None:
        self._power_gone = threading.Event()
        self._thread = threading.Thread(target=self._upload, args=(box,))
        self.acknowledged = False
        self._thread.start()

    def end(self) -> None:
        self._power_gone.set()
        self._thread.join()

    def _upload(self, box: Box) -> None:
        try:
            box.api.upload("cut-off.bin", self._half(), size_bytes=2 * _SENT)
            self.acknowledged = True
        except (OSError, http.client.HTTPException):
            return  # the connection dies with the machine

    def _half(self) -> Iterator[bytes]:
        for _ in range(_SENT // _MIB):
            yield bytes(_MIB)
        self._power_gone.wait()


def test_power_is_cut_during_an_upload(box: Box) -> None:
    used = "$(du -sk /srv/coffer/cipher | cut -f1)"
    before_kib = int(box.sh(f"echo {used}"))
    upload = _CutOff(box)
    # Part of the new file has reached the drive.
    box.machine.agent.wait_for(f"[ {used} -ge $(({before_kib} + {_SENT // 1024 // 2})) ]")
    box.machine.save_journal()
    box.cut_power()
    upload.end()
    assert not upload.acknowledged


def test_box_comes_back_by_itself_and_is_locked(box: Box) -> None:
    machine_id = disks.read_data_partition_file(box.parts.sd_card, "/system/machine-id").strip()
    box.switch_on()
    assert box.sh("systemctl is-system-running || true") == "running", box.sh("systemctl --failed --no-legend")
    health = box.api.health()
    assert (health["vault"], health["key_file"]) == ("locked", "present")
    refused = box.api.call("GET", "/api/v1/files")
    assert refused.status in (401, 423), refused
    assert box.sh("cat /etc/machine-id") == machine_id
    assert machine_id in box.sh("journalctl --boot --no-pager --output=json --lines=1")


def test_setup_code_does_not_come_back(box: Box) -> None:
    box.machine.agent.wait_for("! findmnt /boot/firmware")
    assert "SETUP-CODE.txt" not in disks.boot_partition_files(box.parts.sd_card)


def test_acknowledged_files_are_all_there_and_the_cut_off_one_is_not(box: Box) -> None:
    unlocked = box.api.call("POST", "/api/v1/vault/unlock", {"master_password": owner.MASTER_PASSWORD})
    assert unlocked.status == 200, unlocked
    box.api.log_in(**owner.ADMIN)
    listing = box.api.call("GET", "/api/v1/files").body["items"]
    assert {item["name"] for item in listing} == set(owner.FILES)
    for item in listing:
        expected = owner.sha256(owner.content(item["name"]))
        assert item["sha256"] == expected
        assert owner.sha256(box.api.download(item["id"])) == expected


def test_stopping_the_daemon_locks_the_vault(box: Box) -> None:
    box.sh("systemctl stop cofferd")
    assert box.sh("systemctl show -P Result cofferd") == "success"
    assert box.machine.agent.run("pgrep -x gocryptfs").status == 1
    box.sh("systemctl start cofferd")
    assert box.api.health()["vault"] == "locked"


def test_box_switches_off_in_order(box: Box) -> None:
    box.machine.save_journal()
    box.machine.power_off()
    assert "Failed unmounting" not in (box.machine.directory / "serial.log").read_text(errors="replace")
