"""A box that loses things: the stick with its key, its drive, and in the end its owner."""

from __future__ import annotations

import json
from pathlib import Path

import owner
from conftest import Box
from test_1_first_start import ask_on_the_box
from test_2_claim import claim

from harness import disks, stick

_FILE = "film-0.bin"
_MASTER = {"master_password": owner.MASTER_PASSWORD}
_GIB = 1024**3


def problems(box: Box) -> set[str]:
    return {problem["code"] for problem in ask_on_the_box(box, "/api/v1/device/problems")["problems"]}


def wait_for_state(box: Box, state: str) -> None:
    look = "import urllib.request as http; print(http.urlopen('http://127.0.0.1:8000/health').read().decode())"
    box.machine.agent.wait_for(f"python3 -c \"{look}\" | grep -q '\"vault\":\"{state}\"'", limit_s=120)


def unlock(box: Box) -> None:
    unlocked = box.api.call_patiently("POST", "/api/v1/vault/unlock", _MASTER)
    assert unlocked.status == 200, unlocked


def file_is_there(box: Box) -> None:
    box.api.log_in(**owner.ADMIN)
    [item] = box.api.call("GET", "/api/v1/files").body["items"]
    assert owner.sha256(box.api.download(item["id"])) == owner.sha256(owner.content(_FILE))


def key_stick(box: Box) -> Path:
    return box.evidence / "stick.img"


def test_key_moves_to_a_stick_and_the_vault_stays_open(losing_box: Box) -> None:
    code = disks.read_boot_partition_file(losing_box.parts.sd_card, "SETUP-CODE.txt").splitlines()[0]
    assert claim(losing_box, code) == 201
    losing_box.api.log_in(**owner.ADMIN)
    assert losing_box.api.upload(_FILE, owner.content(_FILE)).status == 201
    assert losing_box.api.call("PUT", "/api/v1/vault/key-stick", _MASTER).status == 409
    stick.make_stick(key_stick(losing_box), "COFFERKEY")
    losing_box.machine.usb.put_in(key_stick(losing_box))
    losing_box.machine.agent.wait_for("mountpoint -q /run/cofferkey")
    moved = losing_box.api.call_patiently("PUT", "/api/v1/vault/key-stick", _MASTER)
    assert (moved.status, moved.body["vault"]) == (200, "unlocked"), moved
    assert losing_box.sh("ls /data/coffer/secrets") == ""
    file_is_there(losing_box)


def test_pulling_the_stick_out_locks_the_vault(losing_box: Box) -> None:
    losing_box.machine.usb.pull_out()
    wait_for_state(losing_box, "locked")
    assert stick.files(key_stick(losing_box)) == ["vault.keys"]
    refused = losing_box.api.call_patiently("POST", "/api/v1/vault/unlock", _MASTER)
    assert (refused.status, refused.body["code"]) == (423, "key_file"), refused
    assert "key_stick_missing" in problems(losing_box)


def test_stranger_cannot_help_with_another_stick(losing_box: Box) -> None:
    strangers = losing_box.evidence / "strangers.img"
    stick.make_stick(strangers, "COFFERKEY")
    losing_box.machine.usb.put_in(strangers)
    losing_box.machine.agent.wait_for("mountpoint -q /run/cofferkey")
    assert losing_box.api.call_patiently("POST", "/api/v1/vault/unlock", _MASTER).status == 423
    losing_box.machine.usb.pull_out()
    losing_box.machine.agent.wait_for("! mountpoint -q /run/cofferkey")


def test_stick_is_put_in_again_and_gives_its_key_back(losing_box: Box) -> None:
    losing_box.machine.usb.put_in(key_stick(losing_box))
    losing_box.machine.agent.wait_for("mountpoint -q /run/cofferkey")
    unlock(losing_box)
    file_is_there(losing_box)
    moved = losing_box.api.call_patiently("DELETE", "/api/v1/vault/key-stick", _MASTER)
    assert (moved.status, moved.body["vault"]) == (200, "unlocked"), moved
    losing_box.machine.usb.pull_out()
    losing_box.machine.agent.wait_for("! mountpoint -q /run/cofferkey")
    assert stick.files(key_stick(losing_box)) == []
    assert losing_box.api.health()["vault"] == "unlocked"
    assert "key_stick_missing" not in problems(losing_box)


def test_box_without_its_drive_says_so(losing_box: Box) -> None:
    losing_box.machine.save_journal()
    losing_box.machine.power_off()
    losing_box.radio.switch_off()
    losing_box.with_drive(None, comes_up=False)
    losing_box.switch_on()
    health = losing_box.api.health()
    assert (health["vault"], health["storage_present"], health["status"]) == ("locked", False, "attention"), health
    assert losing_box.api.call_patiently("POST", "/api/v1/vault/unlock", _MASTER).status == 503
    assert "storage_missing" in problems(losing_box)


def test_drive_of_somebody_else_is_left_alone(losing_box: Box) -> None:
    losing_box.machine.save_journal()
    losing_box.machine.power_off()
    losing_box.radio.switch_off()
    foreign = losing_box.evidence / "foreign.img"
    disks.make_foreign(foreign, 2 * _GIB)
    before = disks.digest(foreign)
    losing_box.with_drive(foreign, comes_up=False)
    losing_box.switch_on()
    losing_box.machine.agent.wait_for("[ -s /run/coffer-storage/problem ]", limit_s=300)
    assert losing_box.api.health()["storage_present"] is False
    assert "storage_refused" in problems(losing_box)
    losing_box.machine.power_off()
    losing_box.radio.switch_off()
    assert disks.digest(foreign) == before


def test_its_own_drive_brings_everything_back(losing_box: Box) -> None:
    losing_box.with_drive(losing_box.evidence / "nvme.img", comes_up=True)
    losing_box.switch_on()
    unlock(losing_box)
    file_is_there(losing_box)


def test_file_on_the_boot_partition_resets_the_box_and_leaves_no_key(losing_box: Box) -> None:
    losing_box.machine.save_journal()
    losing_box.machine.power_off()
    losing_box.radio.switch_off()
    card = losing_box.parts.sd_card
    keys = json.loads(disks.read_data_partition_file(card, "/coffer/secrets/vault.keys"))
    secrets = [text.encode() for text in strings(keys) if len(text) >= 40]
    assert secrets and all(disks.contains(card, secret) for secret in secrets)
    disks.write_boot_partition_file(card, "FACTORY-RESET", "erase everything\n")
    losing_box.switch_on()
    assert losing_box.api.health()["vault"] == "absent"
    journal = losing_box.sh("journalctl --boot --no-pager -u coffer-firstboot -u cofferd")
    assert "the box was reset, and is nobody's" in journal
    assert "not erased" not in journal
    assert losing_box.sh("ls -A /srv/coffer/cipher 2>/dev/null || true") == ""
    losing_box.machine.save_journal()
    losing_box.machine.power_off()
    losing_box.radio.switch_off()
    assert not any(disks.contains(card, secret) for secret in secrets)
    assert "FACTORY-RESET" not in disks.boot_partition_files(card)
    losing_box.switch_on()
    code = disks.read_boot_partition_file(card, "SETUP-CODE.txt").splitlines()[0]
    assert claim(losing_box, code) == 201
    losing_box.api.log_in(**owner.ADMIN)
    assert losing_box.api.call("GET", "/api/v1/files").body["items"] == []


def strings(value: object) -> list[str]:
    """Every text in a JSON document."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []
