"""The phone on the air: connecting, framing at two MTUs, sessions, requests, values; with a box of a few lines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_box import CODE, DEVICE_ID, WRONG_CODE, BoxOnTheAir

from harness import leaks
from harness.phone import CONTROL, NOTIFYING, WIFI_CONFIG, WIFI_STATUS, Phone
from harness.setup_client import Enrolment, Failed, SetUp
from harness.setup_protocol import codes
from harness.setup_protocol.handshake import Refused

SECRET = "correct horse battery staple"


@pytest.fixture
def air() -> Iterator[BoxOnTheAir]:
    air = BoxOnTheAir()
    yield air
    air.switch_off()


def begun(phone: Phone, enrolment: Enrolment, mtu: int = 247) -> SetUp:
    app = SetUp(phone.connect(mtu))
    app.begin_by_code(enrolment, codes.spelled(CODE.decode()))
    return app


def test_box_is_found_and_its_info_read(air: BoxOnTheAir) -> None:
    phone = Phone(air)
    assert phone.find().name == "Coffer-0E0F"
    assert phone.info()[5:21] == DEVICE_ID


@pytest.mark.parametrize("mtu", [23, 247])
def test_code_makes_a_session_and_the_key_another(air: BoxOnTheAir, mtu: int) -> None:
    phone, enrolment = Phone(air), Enrolment(DEVICE_ID)
    app = begun(phone, enrolment, mtu)
    assert app.welcome["type"] == "welcome"
    assert app.control("identify") == {}
    app.leave()

    again = SetUp(phone.connect(mtu))
    assert again.begin_by_key(enrolment)["type"] == "welcome"
    assert again.control("identify") == {}
    again.leave()


def test_wrong_code_is_refused(air: BoxOnTheAir) -> None:
    app = SetUp(Phone(air).connect())
    with pytest.raises(Refused):
        app.begin_by_code(Enrolment(DEVICE_ID), codes.spelled(WRONG_CODE.decode()))
    app.leave()


def test_failure_of_a_request_carries_its_code(air: BoxOnTheAir) -> None:
    app = begun(Phone(air), Enrolment(DEVICE_ID))
    with pytest.raises(Failed) as failed:
        app.request(WIFI_CONFIG, "forget", ssid="QQ")
    assert failed.value.code == "invalid"
    app.leave()


def test_value_is_read_in_frames_and_its_change_awaited(air: BoxOnTheAir) -> None:
    app = begun(Phone(air), Enrolment(DEVICE_ID))
    assert app.value(WIFI_STATUS)["state"] == "disconnected"
    app.ask(WIFI_CONFIG, "connect", ssid="QQ", password=SECRET)
    assert app.wait_for(WIFI_STATUS, lambda status: status["state"] == "connected", 30)["filling"] == "y" * 700
    app.leave()


def test_notification_that_is_older_than_what_was_read_counts_for_nothing(air: BoxOnTheAir) -> None:
    app = begun(Phone(air), Enrolment(DEVICE_ID))
    with pytest.raises(Failed):
        app.request(WIFI_CONFIG, "connect", ssid="QQ")
    air.status = {"state": "later"}
    assert app.value(WIFI_STATUS)["state"] == "later"
    assert app.notified(WIFI_STATUS)["state"] == "later"
    app.leave()


def test_sniffer_hears_everything_and_no_secret(air: BoxOnTheAir) -> None:
    app = begun(Phone(air), Enrolment(DEVICE_ID))
    app.ask(WIFI_CONFIG, "connect", ssid="QQ", password=SECRET)
    app.wait_for(WIFI_STATUS, lambda status: status["state"] == "connected", 30)
    app.control("identify")
    app.leave()
    assert len(air.sniffer.attributes()) == len({*NOTIFYING} & {2, WIFI_CONFIG, WIFI_STATUS, CONTROL})
    heard = air.sniffer.heard()
    assert len(heard["raw"]) > 2000
    assert not leaks.found(heard, {"password": SECRET, "code": CODE.decode()})


def test_second_phone_has_an_address_of_its_own(air: BoxOnTheAir) -> None:
    begun(Phone(air), Enrolment(DEVICE_ID)).leave()
    stranger = SetUp(Phone(air, "stranger").connect())
    with pytest.raises(Refused):
        stranger.begin_by_code(Enrolment(DEVICE_ID), codes.spelled(WRONG_CODE.decode()))
    stranger.leave()
