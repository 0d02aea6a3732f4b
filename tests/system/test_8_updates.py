"""Updates of a box with two slots: proved before they stay, given up when they fail, refused when they are not ours.

The test is the firmware (harness/image.py, SlotBox); RAUC, the slots' units and the sealed root are the product's.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import owner
from conftest import SlotBox
from test_2_claim import claim

from harness import disks, image, slots

_FILE = "film-0.bin"
_TRYBOOT = "0 tryboot"
_PROVED_LIMIT_S = 300.0
_INSTALL_LIMIT_S = 600.0
_PARTITIONS = {"A": (2, 5), "B": (3, 6)}
_STATE = "/data/system/slots"


def install(box: SlotBox, bundle: str) -> int:
    return box.machine.agent.run(f"rauc install /run/stick/{bundle}.raucb", limit_s=_INSTALL_LIMIT_S).status


def version(box: SlotBox) -> str:
    return box.sh(". /usr/lib/os-release; echo $VERSION_ID")


def named_slot(box: SlotBox, scratch: Path) -> str:
    """Which slot starts from now on, as the card says it."""
    return image.choose(box.parts.sd_card, scratch).slot


def digests(box: SlotBox, slot: str) -> list[str]:
    return [slots.digest(box.parts.sd_card, number) for number in _PARTITIONS[slot]]


def wait_until_proved(box: SlotBox, slot: str) -> None:
    box.machine.agent.wait_for(
        f"[ -e {_STATE}/good.{slot} ] && [ $(systemctl show -P ActiveState coffer-slot-good) = inactive ]",
        limit_s=_PROVED_LIMIT_S,
    )


def slot_state(box: SlotBox) -> tuple[str, str, str]:
    """Of A, of B, and what is on trial."""
    a, b = (box.sh(f"[ -e {_STATE}/good.{slot} ] && echo good || echo bad") for slot in "AB")
    return a, b, box.sh(f"cat {_STATE}/trial 2>/dev/null || true")


def everything_is_there(box: SlotBox) -> None:
    """Claim, key file, and the owner's file, which the vault gives back to whoever knows the password."""
    health = box.api.health()
    assert (health["vault"], health["key_file"]) == ("locked", "present"), health
    unlocked = box.api.call("POST", "/api/v1/vault/unlock", {"master_password": owner.MASTER_PASSWORD})
    assert unlocked.status == 200, unlocked
    box.api.log_in(**owner.ADMIN)
    [item] = box.api.call("GET", "/api/v1/files").body["items"]
    assert item["name"] == _FILE
    assert owner.sha256(box.api.download(item["id"])) == owner.sha256(owner.content(_FILE))


def test_new_card_starts_in_a_and_proves_itself(slot_box: SlotBox, tmp_path: Path) -> None:
    assert slot_box.slot == "A" and version(slot_box) == "1.0.0"
    assert slot_box.sh("systemctl is-system-running || true") == "running", slot_box.sh("systemctl --failed --no-legend")
    wait_until_proved(slot_box, "A")
    assert slot_state(slot_box) == ("good", "bad", "")
    assert named_slot(slot_box, tmp_path) == "A"


def test_root_is_sealed_and_read_only(slot_box: SlotBox) -> None:
    assert "panic_on_corruption" in slot_box.sh("dmsetup table coffer-root")
    assert slot_box.sh("dmsetup status coffer-root").split()[-1] == "V"
    assert slot_box.machine.agent.run("touch /usr/bin/x").status != 0


def test_data_partition_grew_to_the_end_of_the_card(slot_box: SlotBox) -> None:
    # The image has 512 MiB of it.
    assert int(slot_box.sh("df --output=size -B 1M /data | tail -n 1")) > 800


def test_box_is_claimed_and_holds_a_file(slot_box: SlotBox) -> None:
    code = disks.read_boot_partition_file(slot_box.parts.sd_card, "SETUP-CODE.txt").splitlines()[0]
    assert claim(slot_box, code) == 201
    slot_box.api.log_in(**owner.ADMIN)
    assert slot_box.api.upload(_FILE, owner.content(_FILE)).status == 201


def test_bundles_that_are_not_ours_are_refused_before_anything_is_written(slot_box: SlotBox, tmp_path: Path) -> None:
    for bundle in ("strangers", "signature"):
        assert install(slot_box, bundle) != 0
        assert slot_state(slot_box) == ("good", "bad", ""), bundle
        assert all(slots.is_empty(slot_box.parts.sd_card, number) for number in _PARTITIONS["B"]), bundle
        assert named_slot(slot_box, tmp_path) == "A"


def test_bundle_with_a_changed_byte_is_never_started(slot_box: SlotBox, tmp_path: Path) -> None:
    before = digests(slot_box, "A")
    assert install(slot_box, "payload") != 0
    assert slot_state(slot_box) == ("good", "bad", "")
    assert digests(slot_box, "A") == before
    assert named_slot(slot_box, tmp_path) == "A"
    assert not slot_box.sh("cat /run/systemd/reboot-param 2>/dev/null || true")


def test_power_is_cut_in_the_middle_of_installing(slot_box: SlotBox) -> None:
    boot, root = _PARTITIONS["B"]
    # The broken bundle before may have left its beginning there.
    for number in (boot, root):
        slot_box.sh(f"blkdiscard --zeroout /dev/disk/by-partuuid/c0ffe5d1-0{number}")
    assert slots.is_empty(slot_box.parts.sd_card, boot)
    slot_box.machine.save_journal()
    slot_box.sh("systemd-run --no-block rauc install /run/stick/1.1.0.raucb")
    deadline = time.monotonic() + _INSTALL_LIMIT_S
    while slots.is_empty(slot_box.parts.sd_card, boot):
        assert time.monotonic() < deadline, "nothing was written"
    slot_box.cut_power()
    slot_box.switch_on()
    assert slot_box.slot == "A" and version(slot_box) == "1.0.0"
    # It was in the middle: nothing is to be tried.
    assert slot_state(slot_box) == ("good", "bad", "")
    assert slot_box.sh("systemctl is-system-running || true") == "running"


def test_update_can_be_installed_after_that(slot_box: SlotBox, tmp_path: Path) -> None:
    everything_is_there(slot_box)
    wait_until_proved(slot_box, "A")
    assert install(slot_box, "1.1.0") == 0
    assert slot_state(slot_box) == ("good", "bad", "B 0")
    # Not before it has proved itself.
    assert named_slot(slot_box, tmp_path) == "A"


def test_power_is_cut_during_the_trial(slot_box: SlotBox) -> None:
    assert slot_box.restart() == _TRYBOOT
    assert slot_box.slot == "B"
    slot_box.machine.wait_until_up()
    assert version(slot_box) == "1.1.0"
    slot_box.machine.agent.wait_for(f"grep -qx 'B 1' {_STATE}/trial", limit_s=_PROVED_LIMIT_S)
    slot_box.cut_power()
    # The firmware's word was for one start.
    slot_box.begin_start()
    assert slot_box.slot == "A"
    # Without a verdict the trial begins again, and the box does that by itself.
    assert slot_box.follow_restart() == _TRYBOOT
    assert slot_box.slot == "B"


def test_good_update_proves_itself_and_stays(slot_box: SlotBox, tmp_path: Path) -> None:
    slot_box.wait_until_up()
    wait_until_proved(slot_box, "B")
    assert named_slot(slot_box, tmp_path) == "B"
    assert slot_state(slot_box) == ("good", "good", "")
    everything_is_there(slot_box)
    assert slot_box.restart() is None
    assert slot_box.slot == "B"
    slot_box.wait_until_up()
    assert version(slot_box) == "1.1.0"
    everything_is_there(slot_box)


def test_bad_update_goes_back_by_itself_and_is_given_up(slot_box: SlotBox, tmp_path: Path) -> None:
    wait_until_proved(slot_box, "B")
    assert install(slot_box, "1.2.0") == 0
    assert slot_box.restart() == _TRYBOOT
    assert slot_box.slot == "A"
    slot_box.machine.wait_until_up()
    assert version(slot_box) == "1.2.0"
    # Nobody touches it.
    assert slot_box.follow_restart() is None
    assert slot_box.slot == "B"
    slot_box.wait_until_up()
    wait_until_proved(slot_box, "B")
    assert slot_state(slot_box) == ("bad", "good", "")
    assert named_slot(slot_box, tmp_path) == "B"
    everything_is_there(slot_box)


def test_root_with_a_changed_byte_runs_nothing_and_is_given_up(slot_box: SlotBox, tmp_path: Path) -> None:
    assert install(slot_box, "1.1.0") == 0
    slot_box.machine.save_journal()
    slot_box.machine.agent.run("systemctl --no-block reboot")
    assert slots.restart_argument(slot_box.machine.wait_until_it_restarts(_INSTALL_LIMIT_S)) == _TRYBOOT
    slot_box.radio.switch_off()
    # In the first block of the file system, with the machine off.
    slots.flip_byte_of_partition(slot_box.parts.sd_card, _PARTITIONS["A"][1], 1100)
    slot_box.begin_start(trial=True)
    trials = 0
    while slot_box.slot == "A":
        console = slot_box.machine.wait_until_it_restarts(_INSTALL_LIMIT_S)
        slot_box.radio.switch_off()
        assert re.search(r"Kernel panic - not syncing: dm-verity device corrupted", console), console[-2000:]
        assert "systemd" not in console, console[-2000:]
        trials += 1
        assert trials <= 3
        slot_box.begin_start()
        assert slot_box.slot == "B"
        if trials < 3:
            assert slot_box.follow_restart() == _TRYBOOT
    slot_box.wait_until_up()
    wait_until_proved(slot_box, "B")
    assert slot_state(slot_box) == ("bad", "good", "")
    assert named_slot(slot_box, tmp_path) == "B"
    everything_is_there(slot_box)
