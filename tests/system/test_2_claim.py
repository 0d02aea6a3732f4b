"""The box is claimed with the setup code and filled; nothing of it can be read from outside the daemon."""

from __future__ import annotations

import owner
from conftest import Box
from test_1_first_start import FLAG_CLAIMED, FLAG_UNLOCKED, info

from harness import disks

MOUNT_POINT = "/run/coffer/mnt"


def claim(box: Box, setup_code: str) -> int:
    request = {"setup_code": setup_code, "master_password": owner.MASTER_PASSWORD, "admin": owner.ADMIN}
    return box.api.call_patiently("POST", "/api/v1/vault", request).status


def test_stranger_without_the_setup_code_cannot_claim(box: Box) -> None:
    assert claim(box, "0000-0000-0000") == 403
    assert box.api.health()["vault"] == "absent"


def test_setup_code_claims_the_box_and_opens_the_vault(box: Box) -> None:
    code = disks.read_boot_partition_file(box.parts.sd_card, "SETUP-CODE.txt").splitlines()[0]
    assert claim(box, code) == 201
    assert box.api.health()["vault"] == "unlocked"


def test_setup_code_is_gone_after_the_claim(box: Box) -> None:
    box.machine.agent.wait_for(
        "[ $(systemctl show -P ActiveState coffer-claimed.service) = inactive ] && ! findmnt /boot/firmware"
    )
    assert "SETUP-CODE.txt" not in disks.boot_partition_files(box.parts.sd_card)


def test_files_are_stored_with_their_hash(box: Box) -> None:
    box.api.log_in(**owner.ADMIN)
    for name, size in owner.FILES.items():
        data = owner.content(name)
        stored = box.api.upload(name, data)
        assert stored.status == 201, stored
        assert stored.body["size_bytes"] == size
        assert stored.body["sha256"] == owner.sha256(data)


def test_plaintext_mount_is_in_no_mount_table_but_the_daemons(box: Box) -> None:
    holders = box.sh(f"grep -l ' {MOUNT_POINT} ' /proc/[0-9]*/mountinfo || true").split()
    programs = {box.sh(f"cat {path.rsplit('/', 1)[0]}/comm") for path in holders}
    assert programs <= {"cofferd", "gocryptfs"} and "cofferd" in programs


def test_root_sees_an_empty_mount_point_and_may_not_enter(box: Box) -> None:
    assert box.sh(f"ls -A {MOUNT_POINT}") == ""
    daemon = box.sh("systemctl show -P MainPID cofferd")
    assert box.machine.agent.run(f"ls /proc/{daemon}/root{MOUNT_POINT}").status != 0
    assert box.machine.agent.run(f"nsenter -t {daemon} -m ls {MOUNT_POINT}").status != 0


def test_raw_drives_hold_no_plaintext(box: Box) -> None:
    box.sh("sync")
    assert box.parts.nvme is not None
    # The search itself finds what is there.
    assert disks.contains(box.parts.nvme, b"coffer-vault")
    assert not disks.contains(box.parts.nvme, owner.MARKER)
    assert not disks.contains(box.parts.sd_card, owner.MARKER)


def test_phone_reads_a_claimed_and_open_box(box: Box) -> None:
    # A box with an owner is silent until somebody touches it.
    box.sh("coffer-ble window")
    assert info(box)[3] & (FLAG_CLAIMED | FLAG_UNLOCKED) == FLAG_CLAIMED | FLAG_UNLOCKED
