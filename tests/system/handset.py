"""What the owner's phone keeps of a box over all its connections, and what its owner types into it."""

from __future__ import annotations

import base64
import datetime
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import owner

from harness.phone import INFO, WIFI_CONFIG, Phone
from harness.setup_client import Enrolment, Failed, Json, SetUp

if TYPE_CHECKING:
    from conftest import WirelessBox

PERSON = "person-of-the-system-test"
CLAIM_LIMIT_S = UNLOCK_LIMIT_S = 240.0
# Up to 90 s, says docs/ble.md; several times slower under emulation.
CONNECT_LIMIT_S = 240.0
FLAG_CLAIMED, FLAG_UNLOCKED, FLAG_CODES_ACCEPTED, FLAG_NO_DAEMON = 0x01, 0x02, 0x04, 0x80


@dataclass(frozen=True)
class House:
    """A network as its owner knows it; tests/guest has the other side."""

    name: str
    password: str
    security: str
    subnet: str

    @property
    def ssid(self) -> str:
        return base64url(self.name)


HOME = House("Fährhaus 7", 'plum "harbour" \\77\' kite', "wpa2", "10.77.1.")
MODERN = House("Lantern 3", "battery-Staple-71", "wpa3", "10.77.2.")
HIDDEN = House("attic", "rafters-and-owls", "wpa2", "10.77.3.")
NEXT = House("Quay 12", "new-keys-same-box", "wpa2_wpa3", "10.77.4.")
WRONG_PASSWORD = "not-the-password-of-this-house"


def base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Handset:
    """The app of the owner: one key for this box, and at most one session with it."""

    def __init__(self, box: WirelessBox) -> None:
        self._box = box
        self.enrolment = Enrolment(b"")
        self.code = ""
        self.ticket = ""
        self.device_token = ""
        self.app: SetUp

    def connect(self, phone: Phone | None = None, *, limit_s: float = 120.0) -> SetUp:
        """Without a session yet. Learns the device id, as every phone does, from `info`."""
        connection = (phone or self._box.phone).connect(limit_s=limit_s)
        self.enrolment.device_id = connection.read(INFO)[5:21]
        return SetUp(connection)

    def begin_by_code(self) -> Json:
        self.app = self.connect()
        return self.app.begin_by_code(self.enrolment, self.code)

    def begin_by_key(self) -> Json:
        self.app = self.connect()
        return self.app.begin_by_key(self.enrolment)

    def join(self, house: House, password: str | None = None) -> Json:
        """The status afterwards; a failure is an exception."""
        return self.app.request(
            WIFI_CONFIG, "connect", ssid=house.ssid, password=password or house.password, limit_s=CONNECT_LIMIT_S
        )

    def ask_to_claim(self) -> int:
        """Without waiting for the answer."""
        return self.app.ask(9, "claim", **claim_fields())

    def unlock(self, master_password: str) -> Json:
        """Waits as long as the box asks for after a wrong guess, as every phone does."""
        while True:
            try:
                return self.app.control("unlock", master_password=master_password, limit_s=UNLOCK_LIMIT_S)
            except Failed as failed:
                if failed.code != "throttled":
                    raise
                time.sleep(failed.failure["retry_after_s"])

    def claim(self) -> Json:
        return self.app.control("claim", **claim_fields(), limit_s=CLAIM_LIMIT_S)


def claim_fields() -> Json:
    return {"master_password": owner.MASTER_PASSWORD, **owner.ADMIN, "phone_name": "Margit's phone"}
