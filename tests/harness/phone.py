"""A phone in the same room as the emulated box: it looks for boxes, reads `info`, and connects to stay.

Knows the attribute table of docs/ble.md and nothing of the messages in it. Needs no app: what a phone's system offers.
"""

from __future__ import annotations

import asyncio
import queue
from dataclasses import dataclass

from bumble.core import UUID, AdvertisingData
from bumble.device import Advertisement, Device, Peer
from bumble.device import Connection as Link
from bumble.gatt_client import CharacteristicProxy
from bumble.hci import Address
from bumble.host import Host

from harness.radio import Radio

_ADDRESSES = {
    "phone": ("00:AA:01:00:00:02", "F0:F1:F2:F3:F4:F5"),
    "stranger": ("00:AA:01:00:00:03", "F0:F1:F2:F3:F4:F6"),
}
_USUAL_MTU = 247
_LIMIT_S = 60.0
_FIND_LIMIT_S = 120.0
# Core specification 5.4, vol 4, part E, 7.8.53: bit 4 of Advertising_Event_Properties.
_USE_LEGACY_ADVERTS = 0x10


def uuid(number: int) -> str:
    """The service (0) or the characteristic of a channel number."""
    return f"c0ffe7{number:02x}-5a1e-4b8e-9c3d-6f2b1d8a4e01"


SERVICE = uuid(0)
INFO, SESSION, WIFI_SCAN, WIFI_CONFIG, WIFI_STATUS, USER_TOKEN, SERVER_URL, REGISTRATION, CONTROL = range(1, 10)
NOTIFYING = range(SESSION, CONTROL + 1)


@dataclass(frozen=True)
class Sighting:
    """An advert as a phone's scanner shows it, advert and scan response taken together."""

    address: Address
    name: str | None
    services: tuple[str, ...]
    # Sent as a legacy advert, of at most 31 bytes; many phones cannot see any other.
    legacy: bool


class Gone(Exception):
    """The connection has ended, or what was waited for did not come."""


class Phone:
    """Blocking calls, so that a test reads from top to bottom. A second one needs a name of its own."""

    def __init__(self, radio: Radio, name: str = "phone") -> None:
        self._radio = radio
        self._device: Device = radio.wait(self._switch_on(name))

    def find(self, service: str = SERVICE, *, limit_s: float = _FIND_LIMIT_S) -> Sighting:
        """Scans actively until a box that offers `service` has also told its name."""
        return self._radio.wait(self._find(service), limit_s)

    def sees_nothing(self, for_s: float) -> bool:
        """Whether no box is heard for so long."""
        try:
            self._radio.wait(self._find(SERVICE), for_s)
        except TimeoutError:
            return True
        return False

    def read(self, sighting: Sighting, service: str, characteristic: str) -> bytes:
        """Connects, reads one characteristic at the smallest MTU, disconnects."""
        return self._radio.wait(self._read(sighting, UUID(service), UUID(characteristic)))

    def info(self) -> bytes:
        return self.read(self.find(), SERVICE, uuid(INFO))

    def connect(self, mtu: int = _USUAL_MTU, *, limit_s: float = _FIND_LIMIT_S) -> Connection:
        """Finds a box, connects, and subscribes to all characteristics that notify."""
        sighting = self.find(limit_s=limit_s)
        return Connection(self._radio, self._radio.wait(self._connect(sighting.address)), mtu)

    async def _switch_on(self, name: str) -> Device:
        public, random = _ADDRESSES[name]
        host = Host()
        address = Address(public, Address.PUBLIC_DEVICE_ADDRESS)
        host.controller = self._radio.central(name, address)
        device = Device(name=name, address=Address(random), host=host)
        await device.power_on()
        return device

    async def _find(self, service: str) -> Sighting:
        found: asyncio.Future[Sighting] = self._radio.loop.create_future()

        def on_advertisement(advertisement: Advertisement) -> None:
            sighting = self._sighting(advertisement)
            if str(UUID(service)) in sighting.services and sighting.name is not None and not found.done():
                found.set_result(sighting)

        self._device.on("advertisement", on_advertisement)
        # Legacy adverts only: what an older phone can see.
        await self._device.start_scanning(legacy=True, active=True)
        try:
            return await found
        finally:
            await self._device.stop_scanning()
            self._device.remove_listener("advertisement", on_advertisement)

    def _sighting(self, advertisement: Advertisement) -> Sighting:
        data = advertisement.data
        lists = data.get_all(AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS)
        name = data.get(AdvertisingData.COMPLETE_LOCAL_NAME)
        all_sets = self._radio.box.advertising_sets.values()
        sets = [each.parameters for each in all_sets if each.enabled and each.parameters]
        return Sighting(
            address=advertisement.address,
            name=str(name) if name is not None else None,
            services=tuple(str(uuid) for each in lists for uuid in each),
            legacy=all(each.advertising_event_properties & _USE_LEGACY_ADVERTS for each in sets),
        )

    async def _connect(self, address: Address) -> Link:
        return await self._device.connect(address)

    async def _read(self, sighting: Sighting, service: UUID, characteristic: UUID) -> bytes:
        link = await self._connect(sighting.address)
        gone: asyncio.Future[None] = self._radio.loop.create_future()
        link.once("disconnection", lambda _reason: gone.set_result(None))
        peer = Peer(link)
        await peer.discover_services()
        [offered] = peer.get_services_by_uuid(service)
        await offered.discover_characteristics()
        [wanted] = offered.get_characteristics_by_uuid(characteristic)
        value = bytes(await wanted.read_value(no_long_read=True))
        await link.disconnect()
        await gone
        return value


class Connection:
    """One connection to a box, by channel numbers; a notification waits here until it is asked for."""

    def __init__(self, radio: Radio, link: Link, mtu: int) -> None:
        self._radio = radio
        self._link = link
        self._notified: dict[int, queue.Queue[bytes | None]] = {number: queue.Queue() for number in NOTIFYING}
        link.once("disconnection", self._on_disconnection)
        self._gone = False
        self._characteristics: dict[int, CharacteristicProxy[bytes]] = {}
        self.mtu = radio.wait(self._prepare(mtu))

    def write(self, number: int, frame: bytes) -> None:
        self._radio.wait(self._characteristics[number].write_value(frame, with_response=True))

    def read(self, number: int) -> bytes:
        """One read request; a frame never needs another for its rest."""
        return bytes(self._radio.wait(self._characteristics[number].read_value(no_long_read=True)))

    def notification(self, number: int, limit_s: float = _LIMIT_S) -> bytes:
        """The next one on this characteristic."""
        try:
            value = self._notified[number].get(timeout=limit_s)
        except queue.Empty:
            raise Gone(f"nothing came on characteristic {number} within {limit_s:.0f} s") from None
        if value is None:
            raise Gone("the connection has ended")
        return value

    def disconnect(self) -> None:
        if not self._gone:
            self._radio.wait(self._link.disconnect())
        self.wait_until_gone()

    def wait_until_gone(self, limit_s: float = _LIMIT_S) -> None:
        self._radio.wait(self._ended.wait(), limit_s)

    async def _prepare(self, mtu: int) -> int:
        self._ended = asyncio.Event()
        peer = Peer(self._link)
        agreed = await peer.request_mtu(mtu)
        await peer.discover_services()
        [service] = peer.get_services_by_uuid(UUID(SERVICE))
        await service.discover_characteristics()
        for number in (INFO, *NOTIFYING):
            [self._characteristics[number]] = service.get_characteristics_by_uuid(UUID(uuid(number)))
        for number in NOTIFYING:
            await self._characteristics[number].subscribe(self._notified[number].put)
        return agreed

    def _on_disconnection(self, _reason: int) -> None:
        self._gone = True
        self._ended.set()
        for each in self._notified.values():
            each.put(None)
