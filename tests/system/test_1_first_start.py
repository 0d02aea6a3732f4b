"""A box out of its carton: it comes up by itself, read-only, hardened, unclaimed, and can be found by a phone."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from conftest import Box

from harness import disks

UNITS = (
    "cofferd", "coffer-ble", "coffer-storage", "coffer-firstboot", "coffer-claimed", "coffer-machine-id", "cloudflared",
    "coffer-tunnel", "coffer-wear",
)  # fmt: skip
FLAG_CLAIMED, FLAG_UNLOCKED, FLAG_NO_DAEMON = 0x01, 0x02, 0x80


def info(box: Box) -> bytes:
    """The `info` characteristic as a phone reads it over the air."""
    return box.phone.info()


def ask_on_the_box(box: Box, path: str) -> dict[str, Any]:
    """What the daemon answers on its control socket, which needs no login and no vault."""
    program = (
        "import socket; daemon = socket.socket(socket.AF_UNIX); daemon.connect('/run/coffer/control.sock');"
        f" daemon.sendall(b'GET {path} HTTP/1.0\\r\\n\\r\\n'); print(daemon.makefile().read().split(chr(10) * 2)[1])"
    )
    return dict(json.loads(box.sh(f'python3 -c "{program}"')))


def test_everything_is_running_and_nothing_failed(box: Box) -> None:
    assert box.sh("systemctl is-system-running || true") == "running", box.sh("systemctl --failed --no-legend")
    assert box.sh("systemctl is-active coffer.target cofferd coffer-ble") == "active\nactive\nactive"
    assert "ordering cycle" not in box.sh("journalctl --boot --no-pager")


def test_daemon_waits_for_no_network_clock_or_radio(box: Box) -> None:
    """Directly or by way of others. How long the first start waited for what is in the evidence, `boot.txt`."""
    waits_for = box.sh("systemctl list-dependencies --after --all --plain --no-pager cofferd.service").split()
    assert "coffer-firstboot.service" in waits_for
    slow = {
        "NetworkManager.service", "network-online.target", "NetworkManager-wait-online.service", "bluetooth.service",
        "time-sync.target", "coffer-ble.service", "cloudflared.service",
    }  # fmt: skip
    assert not slow & set(waits_for), slow & set(waits_for)


def test_root_cannot_be_written_even_by_root(box: Box) -> None:
    assert box.sh("findmnt -no OPTIONS /").split(",")[0] == "ro"
    assert box.machine.agent.run("touch /usr/bin/x").status != 0
    assert box.machine.agent.run("mount -o remount,rw / && touch /usr/bin/x").status != 0


def test_keys_cannot_be_swapped_out(box: Box) -> None:
    pid = box.sh("systemctl show -P MainPID cofferd")
    locked_kib = int(box.sh(f"awk '/^VmLck/ {{ print $2 }}' /proc/{pid}/status"))
    assert locked_kib > 0


def test_only_swap_is_compressed_memory(box: Box) -> None:
    assert box.sh("swapon --noheadings --show=NAME") == "/dev/zram0"


def test_no_configuration_key_is_unknown_to_its_reader(box: Box) -> None:
    journal = box.sh("journalctl --boot --no-pager")
    assert not re.findall(r".*[Uu]nknown (?:key|lvalue|section).*", journal)


def test_blank_drive_was_formatted_and_holds_the_ciphertext(box: Box) -> None:
    assert box.sh("blkid -s LABEL -o value /dev/nvme0n1") == "coffer-vault"
    assert box.sh("findmnt -no SOURCE,FSTYPE /srv/coffer").split() == ["/dev/nvme0n1", "ext4"]
    assert box.api.health()["storage_present"] is True


def test_drive_tells_how_worn_it_is(box: Box) -> None:
    # The timer's first time comes after a minute; this one must succeed as well.
    box.sh("systemctl start coffer-wear.service")
    stats = ask_on_the_box(box, "/api/v1/device/stats")
    [drive] = stats["nvme"]
    assert drive["name"] == "nvme0"
    # QEMU's drive is as new as it can be.
    assert (drive["wear"]["used_percent"], drive["wear"]["critical_warnings"]) == (0, [])
    assert drive["wear"]["media_errors"] == 0
    codes = [problem["code"] for problem in ask_on_the_box(box, "/api/v1/device/problems")["problems"]]
    assert not [code for code in codes if code.startswith("drive_")]


def test_setup_code_lies_on_the_boot_partition_for_the_owner_to_read(box: Box) -> None:
    # The partition is mounted only while something is written to it.
    box.machine.agent.wait_for("! findmnt /boot/firmware")
    first_line = disks.read_boot_partition_file(box.parts.sd_card, "SETUP-CODE.txt").splitlines()[0]
    assert re.fullmatch(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", first_line)


def test_unclaimed_box_has_no_vault_and_says_so(box: Box) -> None:
    health = box.api.health()
    assert (health["vault"], health["key_file"]) == ("absent", "absent")


def test_units_of_ours_are_hardened(box: Box) -> None:
    # As this system counts; tests/check-units holds the limit of 2.0, as the build machine counts.
    for unit in UNITS:
        box.sh(f"systemd-analyze security --no-pager --threshold=20 {unit}.service")


def test_only_the_setup_service_may_change_the_network(box: Box) -> None:
    call = (
        "setpriv --reuid={user} --clear-groups busctl call org.freedesktop.NetworkManager"
        " /org/freedesktop/NetworkManager org.freedesktop.NetworkManager {member}"
    )
    create = "CheckpointCreate aouu 0 60 0"
    # It answers with the path of what was made: o "/org/..."
    made = box.sh(call.format(user="coffer-ble", member=create)).split()[1]
    box.sh(call.format(user="coffer-ble", member=f"CheckpointDestroy o {made}"))
    assert box.machine.agent.run(call.format(user="coffer", member=create)).status != 0


def test_phone_finds_the_box_by_service_and_name(box: Box) -> None:
    sighting = box.phone.find()
    assert sighting.name == f"Coffer-{box.api.health()['device_id'][-4:].upper()}"
    assert sighting.legacy


def test_phone_reads_an_unclaimed_box(box: Box) -> None:
    value = info(box)
    assert len(value) == 21
    assert value[0] == 1
    assert value[3] & (FLAG_CLAIMED | FLAG_UNLOCKED | FLAG_NO_DAEMON) == 0
    assert str(uuid.UUID(bytes=value[5:21])) == box.api.health()["device_id"]
