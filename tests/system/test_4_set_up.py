"""A box without a cable is set up over Bluetooth: code, clock, country, Wi-Fi and its wrong passwords, registration."""

from __future__ import annotations

import json

import pytest
from bumble.att import ATT_READ_NOT_PERMITTED_ERROR, ATT_Error
from conftest import WirelessBox
from handset import (
    FLAG_CLAIMED,
    FLAG_CODES_ACCEPTED,
    FLAG_NO_DAEMON,
    FLAG_UNLOCKED,
    HIDDEN,
    HOME,
    MODERN,
    PERSON,
    WRONG_PASSWORD,
    Handset,
    House,
    base64url,
    now,
)

from harness import disks
from harness.phone import (
    CONTROL,
    REGISTRATION,
    SERVER_URL,
    SESSION,
    USER_TOKEN,
    WIFI_CONFIG,
    WIFI_SCAN,
    WIFI_STATUS,
)
from harness.setup_client import Failed, Json
from harness.setup_protocol import codes
from harness.setup_protocol.handshake import Refused

SCAN_LIMIT_S = 120.0
REFUSED = 0x0F
WRITABLE = (SESSION, WIFI_SCAN, WIFI_CONFIG, USER_TOKEN, CONTROL)
READABLE = (WIFI_SCAN, WIFI_STATUS, SERVER_URL, REGISTRATION)


def flags(wireless_box: WirelessBox) -> int:
    return wireless_box.phone.info()[3]


def test_fresh_box_has_no_owner_and_takes_a_code(wireless_box: WirelessBox) -> None:
    assert wireless_box.sh("systemctl is-system-running || true") == "running", wireless_box.sh("systemctl --failed")
    seen = flags(wireless_box) & (FLAG_CLAIMED | FLAG_UNLOCKED | FLAG_CODES_ACCEPTED | FLAG_NO_DAEMON)
    assert seen == FLAG_CODES_ACCEPTED


def test_nothing_but_info_can_be_read_without_a_session(handset: Handset) -> None:
    app = handset.connect()
    for characteristic in READABLE:
        with pytest.raises(ATT_Error) as refused:
            app.connection.read(characteristic)
        assert refused.value.error_code == ATT_READ_NOT_PERMITTED_ERROR
    app.leave()


def test_nonsense_on_any_characteristic_changes_nothing(wireless_box: WirelessBox, handset: Handset) -> None:
    app = handset.connect()
    for characteristic in WRITABLE:
        for nonsense in (b"\x00", b"\xff" * 20, b"\x03\x00\x00\x00\x01\xee", b"\x01\x01\x00\x20\x01", b"\x02\x07\x03x"):
            try:
                app.connection.write(characteristic, nonsense)
            except ATT_Error:
                continue
    message = app.message(SESSION)
    assert (message[0], json.loads(message[1:])["code"]) == (REFUSED, "malformed_frame")
    app.leave()
    assert flags(wireless_box) & (FLAG_CLAIMED | FLAG_CODES_ACCEPTED | FLAG_NO_DAEMON) == FLAG_CODES_ACCEPTED
    assert wireless_box.sh("systemctl show -P NRestarts coffer-ble") == "0"


def test_wrong_code_opens_nothing(wireless_box: WirelessBox, handset: Handset) -> None:
    app = handset.connect()
    with pytest.raises(Refused) as refused:
        app.begin_by_code(handset.enrolment, codes.spelled("0123456789"))
    assert refused.value.code == "wrong_code"
    app.leave()
    assert flags(wireless_box) & FLAG_CLAIMED == 0


def test_code_from_the_card_opens_a_session(wireless_box: WirelessBox, handset: Handset) -> None:
    wireless_box.machine.agent.wait_for("! findmnt /boot/firmware")
    handset.code = disks.read_boot_partition_file(wireless_box.parts.sd_card, "SETUP-CODE.txt").splitlines()[0]
    welcome = handset.begin_by_code()
    expected = {"access": "setup", "claimed": False, "vault": "absent", "enrolled": False, "country": None}
    assert {key: welcome[key] for key in expected} == expected
    assert bytes.fromhex(welcome["device_id"].replace("-", "")) == handset.enrolment.device_id
    # The board's clock has no battery; the test started it in the past.
    assert welcome["clock_is_set"] is False


def test_radio_stays_silent_without_a_country(handset: Handset) -> None:
    with pytest.raises(Failed) as failed:
        handset.join(HOME)
    assert failed.value.code == "country_missing"


def test_phone_gives_clock_and_country(wireless_box: WirelessBox, handset: Handset) -> None:
    handset.app.control("set_clock", time=now())
    handset.app.control("set_country", country="DE")
    handset.app.welcome_when(lambda welcome: welcome["clock_is_set"] and welcome["country"] == "DE")
    assert wireless_box.sh("date -u +%Y") == now()[:4]
    assert "country DE" in wireless_box.sh("iw reg get")


def networks(scan: Json) -> dict[str, Json]:
    return {network["ssid"]: network for network in scan["networks"]}


def scan_until(handset: Handset, *houses: House, **fields: str) -> dict[str, Json]:
    """What is in reach once these houses are."""
    handset.app.send_sealed(WIFI_SCAN, {"op": "scan", **fields})
    wanted = {house.ssid for house in houses}
    return networks(handset.app.wait_for(WIFI_SCAN, lambda scan: wanted <= set(networks(scan)), SCAN_LIMIT_S))


def test_scan_shows_each_house_once_with_its_security(handset: Handset) -> None:
    found = scan_until(handset, HOME, MODERN)
    scan = handset.app.value(WIFI_SCAN)
    assert len(scan["networks"]) == len(networks(scan))
    signals = [network["signal_percent"] for network in scan["networks"]]
    assert signals == sorted(signals, reverse=True)
    for house in (HOME, MODERN):
        assert found[house.ssid]["ssid_text"] == house.name
        assert found[house.ssid]["security"] == house.security
        assert found[house.ssid]["bands"] == ["2.4"]
        assert found[house.ssid]["known"] is False
    assert HIDDEN.ssid not in found
    assert base64url("") not in found


def test_hidden_house_answers_to_its_name(handset: Handset) -> None:
    assert HIDDEN.ssid in scan_until(handset, HIDDEN, ssid=HIDDEN.ssid)


def test_wrong_wpa2_password_is_told_as_such(handset: Handset) -> None:
    with pytest.raises(Failed) as failed:
        handset.join(HOME, WRONG_PASSWORD)
    assert failed.value.code == "wrong_password"
    assert failed.value.failure["happened"] and failed.value.failure["try"]
    assert handset.app.value(WIFI_STATUS)["state"] in ("disconnected", "connecting")


def test_page_that_wants_a_click_is_told_as_such(wireless_box: WirelessBox, handset: Handset) -> None:
    wireless_box.portal.is_shut = True
    with pytest.raises(Failed) as failed:
        handset.join(HOME)
    wireless_box.portal.is_shut = False
    assert failed.value.code == "captive_portal"


def test_right_password_joins_the_house(handset: Handset) -> None:
    joined = handset.join(HOME)
    assert (joined["state"], joined["ssid"], joined["wired"]) == ("connected", HOME.ssid, False)
    assert joined["addresses"][0].startswith(HOME.subnet)
    assert (joined["gateway"], joined["dns"]) == (f"{HOME.subnet}1", [f"{HOME.subnet}1"])


def test_wrong_wpa3_password_is_told_as_such_and_the_house_before_comes_back(handset: Handset) -> None:
    """NetworkManager itself takes it for a network that is not there."""
    with pytest.raises(Failed) as failed:
        handset.join(MODERN, WRONG_PASSWORD)
    assert failed.value.code == "wrong_password"
    handset.app.wait_for(WIFI_STATUS, lambda at: (at["state"], at["ssid"]) == ("connected", HOME.ssid), 120)


def test_box_asks_the_registrar_and_the_power_goes(wireless_box: WirelessBox, handset: Handset) -> None:
    assert handset.app.value(SERVER_URL) == {"server_url": None, "tunnel": "none"}
    handset.ticket = wireless_box.cloud.ticket(PERSON)
    # The registrar has done half of its work, and the box has no answer.
    wireless_box.cloud.hold("create_tunnel")
    assert handset.app.request(USER_TOKEN, "register", registrar=wireless_box.cloud.url, ticket=handset.ticket) == {}
    wireless_box.cloud.wait_until_held()
    assert handset.app.value(REGISTRATION)["state"] == "registering"
    wireless_box.cut_power()
    wireless_box.cloud.let_go()
