"""The box moves: its owner's phone brings it to another network, a stranger's cannot; and nobody has heard a secret."""

from __future__ import annotations

from pathlib import Path

import owner
import pytest
from conftest import WirelessBox
from handset import HOME, NEXT, WRONG_PASSWORD, Handset
from test_4_set_up import scan_until
from test_5_back_by_itself import FILE, RETURN_LIMIT_S

from harness import disks, leaks
from harness.phone import NOTIFYING, SERVER_URL, Phone
from harness.setup_client import Enrolment, SetUp
from harness.setup_protocol.handshake import Refused

SILENCE_S = 15.0
# Two minutes offline, and the time to notice.
LONELY_LIMIT_S = 300.0


def test_box_that_is_online_is_silent(wireless_box: WirelessBox) -> None:
    # Ends the window that was opened for it.
    wireless_box.sh("systemctl restart coffer-ble")
    assert wireless_box.phone.sees_nothing(SILENCE_S)


def test_box_without_its_house_can_be_found_after_two_minutes(wireless_box: WirelessBox) -> None:
    for house in sorted(wireless_box.houses):
        wireless_box.sh(f"systemctl stop coffer-test-house@{house}")
    wireless_box.houses = {"next"}
    wireless_box.sh("systemctl start coffer-test-house@next")
    assert wireless_box.phone.sees_nothing(SILENCE_S)
    wireless_box.phone.find(limit_s=LONELY_LIMIT_S)


def test_stranger_is_told_that_the_box_has_an_owner(wireless_box: WirelessBox, handset: Handset) -> None:
    stranger = Phone(wireless_box.radio, "stranger")
    own = Enrolment(handset.enrolment.device_id, box_key=handset.enrolment.box_key)
    app = SetUp(stranger.connect())
    with pytest.raises(Refused) as by_code:
        app.begin_by_code(own, handset.code)
    assert by_code.value.code == "already_claimed"
    with pytest.raises(Refused) as by_key:
        app.begin_by_key(own)
    assert by_key.value.code == "not_enrolled"
    app.leave()


def test_owner_joins_the_new_house(handset: Handset) -> None:
    handset.begin_by_key()
    found = scan_until(handset, NEXT)
    assert found[NEXT.ssid]["security"] == NEXT.security
    joined = handset.join(NEXT)
    assert (joined["state"], joined["ssid"]) == ("connected", NEXT.ssid)
    assert joined["addresses"][0].startswith(NEXT.subnet)


def test_address_is_the_same_and_nothing_was_registered_again(wireless_box: WirelessBox, handset: Handset) -> None:
    where = handset.app.wait_for(SERVER_URL, lambda it: it["tunnel"] == "connected", RETURN_LIMIT_S)
    assert where["server_url"] == f"https://{wireless_box.edge.host}"
    assert len(wireless_box.cloud.tunnels()) == 1
    listing = wireless_box.api.call("GET", "/api/v1/files")
    assert {item["name"] for item in listing.body["items"]} == {FILE}
    handset.app.leave()


def secrets(wireless_box: WirelessBox, handset: Handset) -> dict[str, str]:
    [tunnel] = wireless_box.cloud.tunnels().values()
    [token] = {each["s"] for each in wireless_box.edge.tokens}
    return {
        "Wi-Fi password of the first house": HOME.password,
        "Wi-Fi password of the second house": NEXT.password,
        "mistyped Wi-Fi password": WRONG_PASSWORD,
        "claim ticket": handset.ticket,
        "tunnel token": tunnel["token"],
        "tunnel secret": token,
        "device token": handset.device_token,
        "setup code": handset.code,
        "setup code, without dashes": handset.code.replace("-", ""),
        "payload of the setup code": handset.code.replace("-", "")[:10],
        "master password": owner.MASTER_PASSWORD,
        "account password": owner.ADMIN["password"],
    }


def test_nobody_in_the_air_has_heard_a_secret(wireless_box: WirelessBox, handset: Handset) -> None:
    # The sniffer hears what is there to be heard: the whole set-up went by, over every characteristic.
    first = wireless_box.sniffers[0]
    assert handset.enrolment.device_id in first.heard()["raw"]
    assert len(first.attributes()) == 1 + len(NOTIFYING)
    heard = {
        f"start {number}, {place}": content
        for number, sniffer in enumerate(wireless_box.sniffers, start=1)
        for place, content in sniffer.heard().items()
    }
    assert not leaks.found(heard, secrets(wireless_box, handset))


def evidence(directory: Path) -> dict[str, bytes]:
    """Journal, console, and what programs were started with, of every start."""
    names = ("journal.export", "serial.log", "started")
    files = [file for name in names for file in sorted(directory.glob(f"start-*/{name}"))]
    return {str(file.relative_to(directory)): file.read_bytes() for file in files}


def test_neither_journal_nor_arguments_hold_a_secret(wireless_box: WirelessBox, handset: Handset) -> None:
    wireless_box.keep_what_programs_were_started_with()
    wireless_box.machine.save_journal()
    files = evidence(wireless_box.evidence)
    last = wireless_box.machine.directory.name
    # They hold what there is to hold.
    assert b"coffer-ble" in files[f"{last}/journal.export"]
    assert b"cloudflared tunnel --no-autoupdate run" in files[f"{last}/started"]
    assert not leaks.found(files, secrets(wireless_box, handset))


def test_drives_hold_neither_code_nor_passwords_of_the_owner(wireless_box: WirelessBox, handset: Handset) -> None:
    wireless_box.machine.power_off()
    assert wireless_box.parts.nvme is not None
    for drive in (wireless_box.parts.nvme, wireless_box.parts.sd_card):
        for secret in (owner.MASTER_PASSWORD, owner.ADMIN["password"]):
            assert not disks.contains(drive, secret.encode())
    # The search itself finds what is there: a Wi-Fi password has to be kept as it is.
    assert disks.contains(wireless_box.parts.sd_card, NEXT.password.encode())
